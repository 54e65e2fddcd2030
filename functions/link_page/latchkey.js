// Shows a link's page and tells once what became of the link: docs/embed.md. What the page and its window say
// is a reason to ask /link/status, which alone decides.
globalThis.Latchkey ??= (() => {
  "use strict";
  const KEY = "latchkey"; // to the url whose callback is due
  const PATIENCE = 8000; // ms, with a silent frame, and a silent service when the user has left
  const GLANCE = 2000; // ms, at an end that needs no reading
  const TEXTS = {
    en: ["Connect your account", "Close", "One moment", "Leave before it is done?", "Keep going", "Leave"],
    es: ["Conecta tu cuenta", "Cerrar", "Un momento", "¿Salir antes de terminar?", "Seguir", "Salir"],
  };
  const SMALL = "(max-width: 40em), (max-height: 30em)";
  const STYLE = `
    :host { all: initial !important }
    dialog {
      box-sizing: border-box; width: 31rem; padding: 0; overflow: hidden; border-radius: 1.25rem;
      color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif
    }
    dialog[open] { display: flex; flex-direction: column }
    dialog, button { border: 1px solid #868b93 }
    dialog::backdrop { background: #0009 }
    header { display: flex; align-items: center; padding: .5rem .5rem 0 1.5rem }
    h2 { flex: 1; margin: 0; font-size: 1em }
    button { min-width: 2.75rem; min-height: 2.75rem; border-radius: .75rem; background: none; color: inherit; font: inherit }
    p, p ~ button { margin: 1rem; text-align: center }
    iframe { width: 100%; height: 32rem; min-height: 0; border: 0 }
    p + iframe { visibility: hidden }
    @media ${SMALL} {
      .page { width: 100%; max-width: none; height: 100%; max-height: none; border: 0; border-radius: 0 }
      iframe { flex: 1 }
    }`;

  let current; // closes the link that is open

  const stored = (method, ...value) => {
    try { return sessionStorage[method](KEY, ...value); } catch { return null; }
  };

  const element = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const attribute in attributes) made.setAttribute(attribute, attributes[attribute]);
    made.append(...children);
    return made;
  };
  const button = (text, onclick) => Object.assign(element("button", {}, text), { onclick });

  const openDialog = (title, loaded, leave) => {
    const lang = /^es/i.test(document.documentElement.lang || navigator.language) ? "es" : "en";
    const [connect, close, moment, question, stay, go] = TEXTS[lang];
    const name = title || connect;
    const frame = Object.assign(element("iframe", { title: name }), { onload: loaded });
    const cross = button("✕", leave);
    cross.setAttribute("aria-label", close);
    const wait = element("p", { role: "status" }, moment);
    const sure = element("dialog", { "aria-label": question }, element("p", {}, question),
      button(stay, () => sure.close()), button(go, () => leave(true)));
    const dialog = element("dialog", { class: "page", lang, "aria-label": name },
      element("header", {}, element("h2", {}, name), cross), wait, frame, sure);
    const refuse = (event) => {
      event.preventDefault();
      if (sure.open) sure.close();
      else leave();
    };
    dialog.onkeydown = (event) => { if (event.key === "Escape") refuse(event); };
    dialog.oncancel = refuse; // Android's way back; after a second Escape there would be none
    dialog.onclose = () => leave(true);
    const sheet = new CSSStyleSheet(); // no policy refuses it
    sheet.replaceSync(STYLE);
    const host = element("div");
    const root = host.attachShadow({ mode: "open" });
    root.adoptedStyleSheets = [sheet];
    root.append(dialog);
    document.body.append(host);
    dialog.showModal();
    const { style } = document.documentElement;
    const { overflow } = style;
    style.overflow = "hidden";
    return {
      frame,
      peer: frame.contentWindow,
      ask: () => { if (!sure.open) sure.showModal(); },
      show: () => {
        wait.remove();
        frame.focus();
      },
      close: () => {
        dialog.onclose = null;
        dialog.close();
        host.remove();
        style.overflow = overflow;
      },
    };
  };

  const follow = ({ url, mode = "auto", title, ...on }) => {
    let target;
    let linkId = null;
    let view; // {peer: the page's window, close}, of a dialog also {frame, show, ask}
    let heard, step; // from the page
    let leaving; // what is told if the service knows of no end
    let verdict; // while the user reads of it
    let over, back, kept, timer, late, ticker;
    let pause = 1000;
    const listening = new AbortController();

    const call = (name, value) => { // apart: its errors stop nothing here
      if (on[name]) queueMicrotask(() => on[name]({ linkId, ...value }));
    };
    const hide = () => {
      clearInterval(ticker);
      view?.close();
      view = null;
    };
    const finish = (status, error = null) => {
      if (over) return;
      over = true;
      clearTimeout(timer);
      listening.abort();
      hide();
      setTimeout(tell, back ? 1000 : 0, status, error); // storage comes back late
    };
    const tell = (status, error) => {
      if (current === leave) {
        current = null;
        if (back && stored("getItem") !== kept) return; // another page has told it
        if (target) stored("removeItem");
      }
      if (status === "complete") call("onComplete", { status });
      else call("onExit", { status, error });
    };
    const leave = (status = "closed") => {
      if (over) return;
      if (verdict || !target) return finish(...(verdict || [status]));
      leaving ||= status;
      late ||= setTimeout(finish, PATIENCE, leaving);
      hide();
      look();
    };
    const wantAway = (sure) => {
      if (view.frame && !verdict && sure !== true && step && !/consent|ended/.test(step)) view.ask();
      else leave();
    };

    const look = async () => {
      if (over || verdict) return;
      greet(); // the page may have been reloaded
      const gone = leaving;
      let known, found;
      try {
        const answer = await fetch(new URL("link/status", target), {
          method: "POST", headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ code: target.searchParams.get("code") }),
          cache: "no-store", credentials: "omit", signal: AbortSignal.timeout?.(10000),
        });
        found = await answer.json();
        known = answer.ok;
        if (known ? found.linkId !== linkId : answer.status < 429 && found.code) return finish("invalid");
      } catch { /* out of reach */ }
      if (over || verdict) return;
      if (known && /complete|failed|canceled|expired/.test(found.status)) return end(found.status, found.error);
      if (known && gone) return finish(gone);
      if (!known) pause = Math.min(pause * 2, 30000);
      else pause = heard || document.hidden ? 10000 : 2000; // a page that is heard says when to ask
      clearTimeout(timer);
      timer = setTimeout(look, pause * (0.75 + Math.random() / 2));
    };
    const end = (status, error) => {
      const shown = heard && view;
      if (shown?.frame) verdict = [status, error];
      else {
        if (shown) view = null; // a popup stays to be read
        finish(status, error);
      }
      const brief = status === "complete" || error?.code === "USER_CANCELED";
      if (shown && brief) timer = setTimeout(verdict ? leave : shown.close, GLANCE);
    };

    const greet = () => {
      if (!view) return false;
      try {
        if (view.peer.location.origin !== target.origin) return false; // there is no page yet
      } catch { /* it is of another origin */ }
      view.peer.postMessage({ latchkey: "hello" }, target.origin);
      return true;
    };
    const tick = (began) => {
      if (view.peer.closed) {
        clearInterval(ticker);
        if (heard) leave(); // else it may be open, but cut off
      } else if (!heard) {
        greet();
        if (performance.now() - began > PATIENCE) silent();
      }
    };
    const silent = () => {
      if (heard || !view?.frame) return;
      if (mode !== "auto") return leave("blocked");
      hide();
      location.assign(target);
    };
    const loaded = () => { if (greet() && mode === "auto") setTimeout(silent, GLANCE); }; // refused frames load too
    const hear = ({ origin, source, data }) => {
      if (source !== view?.peer || origin !== target.origin || data?.linkId !== linkId) return;
      if (data.latchkey === "ready" && !heard) {
        heard = true;
        view.show?.();
        call("onReady");
      }
      if (view.frame && data.height > 0) view.frame.style.height = `${data.height}px`;
      if (data.step && data.step !== step) {
        step = data.step;
        call("onEvent", { step });
        if (step === "ended") look();
      }
      if (data.latchkey === "close") wantAway();
    };

    const begin = (address) => {
      if (over) return;
      try {
        linkId = /^https?:.*\/(link_[\w~-]+)\?(.*&)?code=clm_/.exec(address)[1];
        target = new URL(address);
      } catch { return finish("invalid"); }
      stored("setItem", target.href);
      kept = stored("getItem");
      const listen = (to, type, hears) => to.addEventListener(type, hears, { signal: listening.signal });
      listen(window, "message", hear);
      listen(window, "online", look);
      listen(document, "visibilitychange", () => { if (!document.hidden) look(); });
      listen(window, "pageshow", ({ persisted }) => {
        if (!persisted) return;
        back = true;
        if (!view) leaving = "closed"; // from the redirect
        look();
      });
      if (view) {
        if (view.frame) view.frame.src = target;
        else view.peer.location.replace(target);
        ticker = setInterval(tick, 250, performance.now());
      } else if (!leaving) return location.assign(target);
      look();
    };

    current?.();
    current = leave;
    if (mode === "resume") leaving = "closed";
    if (mode === "popup") {
      const peer = window.open("", "_blank", "popup,width=480,height=720"); // now, in the click
      if (peer) view = { peer, close: () => peer.close() };
      else leaving = "blocked";
    }
    if (mode === "dialog" || (mode === "auto" && !matchMedia(SMALL).matches)) {
      try {
        view = openDialog(title, loaded, wantAway);
      } catch { // an old browser
        if (mode === "dialog") leaving = "blocked";
      }
    }
    if (url?.then) url.then(begin, begin);
    else begin(url);
    return { get linkId() { return linkId; }, close: () => leave() };
  };

  return {
    open: (options) => follow(options),
    resume: (callbacks) => {
      const url = stored("getItem");
      if (url && !current) follow({ ...callbacks, url, mode: "resume" });
    },
  };
})();
