"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const body = document.body;
  const { script: TEXTS, tasks: TASKS, reasons: ADVICE } = JSON.parse($("texts").textContent);
  // A name in a sentence keeps its own direction (first strong isolate ... pop directional isolate), and a
  // word joiner after its hyphen keeps "T-Mobile" on one line.
  const own = (text) => `\u2068${text.split("-").join("-\u2060")}\u2069`;
  const brand = own(body.dataset.brand);
  let provider = own(body.dataset.provider);
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => ({ brand, provider, ...values })[name]);
  const say = (key, values) => fill(TEXTS[key], values);

  // --- What this browser remembers of this link ---------------------------------------------------
  // The session goes on in any tab of it until it ends; then this tab alone can still show how. Where storage
  // is refused, as in another site's frame, full or cleared, this entry of the tab's history remembers.
  const linkId = location.pathname.split("/").pop();
  const store = (kind, name, value) => {
    try {
      if (value === null) window[kind].removeItem(`${linkId} ${name}`);
      else window[kind].setItem(`${linkId} ${name}`, value);
    } catch { /* it is in the history */ }
  };
  const stored = (kind, name) => {
    try { return window[kind].getItem(`${linkId} ${name}`); } catch { return null; }
  };
  const memory = () => history.state || {};
  const recall = (name) => memory()[name] || stored("sessionStorage", name) || stored("localStorage", name);
  const remember = (name, value, kind = "localStorage") => {
    history.replaceState({ ...memory(), [name]: value }, "");
    store("localStorage", name, kind === "localStorage" ? value : null);
    store("sessionStorage", name, kind === "sessionStorage" ? value : null);
  };
  const leaveCode = () => { if (location.search) history.replaceState(memory(), "", location.pathname); };

  // --- Requests -------------------------------------------------------------------------------------
  const { code } = body.dataset; // the server has found it in the address, and it opens this link
  let token = null;
  // What came back: "ok" for an answer of the shape that was asked for, "refused" for a refusal in the service's
  // own words, and "away" for all else: no answer, a throttle's, a firewall's, a proxy's page.
  const call = async (method, path, hasShape, content, key) => {
    const headers = {};
    if (token) headers.Authorization = `Bearer ${token}`;
    if (key) headers["Idempotency-Key"] = key;
    if (content) headers["Content-Type"] = "application/json";
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), 35000); // the gateway gives up after 30 s
    try {
      const answer = await fetch(path, {
        method, headers, body: content && JSON.stringify(content),
        cache: "no-store", credentials: "omit", redirect: "error", signal: limit.signal,
      });
      const asked = answer.headers.get("Retry-After");
      const wait = /^\d{1,9}$/.test(asked) ? Math.min(1000 * asked, 60000) : 0; // a date counts as absent
      let value = null;
      try { value = JSON.parse(await answer.text()); } catch { /* not ours */ }
      if (answer.ok && hasShape(value || {})) return { kind: "ok", value, wait };
      const said = value && typeof value.error === "string" && typeof value.code === "string";
      const refused = said && answer.status >= 400 && answer.status < 500 && answer.status !== 429;
      return { kind: refused ? "refused" : "away", status: answer.status, value, wait };
    } catch {
      return { kind: "away", status: 0, value: null, wait: 0 };
    } finally {
      clearTimeout(timer);
    }
  };
  const isSession = (value) => value.linkId === linkId && typeof value.status === "string"
    && Array.isArray(value.operations) && Boolean(value.integration)
    && (value.status !== "awaiting_input" || Boolean(value.challenge && value.challenge.schema));
  const isClaim = (value) => /^ct_/.test(value.clientToken) && value.linkId === linkId;
  const isStatus = (value) => value.linkId === linkId && typeof value.status === "string";
  const notice = (text) => { if ($("notice").textContent !== text) $("notice").textContent = text; };

  // --- The page that shows this one -----------------------------------------------------------------
  // Whoever shows this page in a frame or popup, and says hello from one of the link's origins, is told how far the
  // user is: nothing that is secret, nothing that decides. A frame is left by its host alone.
  const framed = parent !== window;
  const origins = body.dataset.origins.split(" ").filter(Boolean);
  const root = document.documentElement;
  let host = null; // its window and origin
  let told = ""; // the step that it knows
  const tell = (type, more) => { if (host) host.source.postMessage({ latchkey: type, linkId, ...more }, host.origin); };
  const height = () => Math.ceil(root.getBoundingClientRect().height);
  const STEPS = { consent: "consent", working: "working", elsewhere: "wait", away: "working" };
  const step = () => STEPS[body.dataset.view] || (body.dataset.view === "ask" ? body.dataset.asks : "ended");
  const tellStep = () => {
    if (told === step()) return;
    told = step();
    tell("step", { step: told });
  };
  addEventListener("message", ({ source, origin, data }) => {
    if (source !== (framed ? parent : opener) || !origins.includes(origin) || !data || data.latchkey !== "hello") return;
    host = { source, origin };
    root.dataset.host = "";
    told = step();
    tell("ready", { step: told, height: height() });
  });
  const leave = () => {
    tell("close");
    if (!framed) close(); // a popup may
  };
  $("leave").onclick = leave;
  if (framed) {
    root.dataset.framed = "";
    // These pages would take this one's place, and many may not be shown in a frame.
    document.querySelectorAll("a[href^=https]:not(#back)").forEach((link) => { link.target = "_blank"; });
    addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.isComposing && !$("sure").open) tell("close");
    });
    new ResizeObserver(() => tell("size", { height: height() })).observe(root);
  }

  // --- Views ----------------------------------------------------------------------------------------
  const show = (view, title) => {
    const heading = $(view).querySelector("h1");
    if (title) heading.textContent = title;
    document.title = `${heading.textContent} – ${body.dataset.brand}`;
    if (body.dataset.view !== view) {
      body.dataset.view = view;
      heading.focus();
      scrollTo(0, 0);
    }
    tellStep();
  };
  const element = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  const drawSteps = (view, operations) => {
    if (view === "failed" && operations.every(({ status }) => status === "skipped")) return; // nothing was begun
    const list = $(view).querySelector(".steps");
    operations.forEach(({ description, status }, index) => {
      const task = TASKS[description] || description;
      const item = list.children[index]
        || list.appendChild(element("li", {}, element("span", { dir: "auto" }, task), element("small", {})));
      if (item.dataset.status === status) return;
      const text = say(TEXTS[status] ? status : "unknown");
      if (item.dataset.status) $("live").textContent = `${task}: ${text}`;
      item.dataset.status = status;
      item.lastChild.textContent = text;
    });
  };

  // Why a link failed, by its code: a heading, and what to do, which its reason may say better.
  const REASONS = {
    LOGIN_FAILED: ["loginFailedTitle", "loginFailed"],
    CLIENT_TIMEOUT: ["timeoutTitle", "timeout"],
    AUTOMATION_ERROR: ["providerFailedTitle", "automation"],
    RESULT_VALIDATION_ERROR: ["providerFailedTitle", "badData"],
    CONNECTION_FAILED: ["connectionTitle", "connection"],
    OUTCOME_UNKNOWN: ["outcomeTitle", "outcome"],
  };
  const drawFailure = (failure) => {
    const [title, advice] = REASONS[failure && failure.code] || ["internalTitle", "internal"];
    const better = failure && ADVICE[failure.reason];
    $("failed").querySelector("h1 + p").textContent = better ? fill(better) : say(advice);
    show("failed", say(title));
  };

  // --- The way back ---------------------------------------------------------------------------------
  const WEB = /^https?:\/\/([^/?#]+)/i;
  const drawReturn = (returnUrl, status) => {
    if (!returnUrl) return;
    $("back").href = status ? returnUrl.replace(/#|$/, (end) => `&status=${status}${end}`) : returnUrl; // linkId is its query
    const host = WEB.exec(returnUrl);
    $("back").textContent = say("backTo", { place: host ? own(host[1]) : say("theApp") });
  };
  // By itself only after an end that needs no reading, and once: who comes back, reloads or stays wants to be here.
  let leaving = 0;
  const stay = () => {
    clearTimeout(leaving);
    $("soon").hidden = true;
    remember("returned", "yes", "sessionStorage");
  };
  const goBack = () => {
    if (!(host || (WEB.test($("back").href) && !framed)) || recall("returned") || leaving) return;
    $("soon").hidden = framed; // there the host's script closes, before this does
    leaving = setTimeout(() => {
      stay();
      if (host) leave();
      else location.assign($("back").href);
    }, 4000);
    $("back").addEventListener("click", stay);
    $("leave").addEventListener("click", stay);
    addEventListener("pagehide", stay);
    $("stay").onclick = () => { stay(); $(host ? "leave" : "back").focus(); };
  };

  // --- The session ----------------------------------------------------------------------------------
  let turn = 0; // counts requests for the session: an answer that was overtaken is not drawn
  let timer = 0;
  let pause = 0; // ms until the next look; grows while nothing changes
  let failures = 0; // looks in a row that brought nothing
  let drawn = ""; // the session as it is on the page
  let over = false;
  let unsure = null; // what was sent without an answer: {challenge} or {cancel}
  const MOST_FAILURES = 60; // at 20 s each longer than a session lives

  const draw = (session) => {
    notice("");
    failures = 0;
    const text = JSON.stringify(session);
    const changed = text !== drawn;
    drawn = text;
    provider = own(session.integration.name);
    if (!$("provider").querySelector("svg")) $("provider").textContent = [...session.integration.name][0];
    over = !["awaiting_input", "running"].includes(session.status);
    if (over) return drawEnd(session);
    drawReturn(session.returnUrl);
    const asks = session.status === "awaiting_input";
    if (unsure && unsure.cancel) notice(say("notCanceled"));
    else if (unsure && asks && unsure.challenge === session.challenge.id) notice(say("notSent"));
    unsure = null;
    if (!asks) {
      drawSteps("working", session.operations);
      show("working", say(session.operations.some((operation) => operation.status !== "pending") ? "working" : "talking"));
    } else if (body.dataset.view !== "ask" || asked !== JSON.stringify(session.challenge)) {
      drawChallenge(session);
    }
    pause = changed ? (asks ? 3000 : 500) : Math.min(pause * 1.4, asks ? 15000 : 5000);
    lookIn(asks && session.challenge.type === "wait" ? 2500 : pause);
  };
  const drawEnd = ({ status, error, operations, returnUrl }) => {
    clearTimeout(timer);
    unsure = null;
    remember("token", token, "sessionStorage");
    if ($("sure").open) $("sure").close();
    const known = error ? error.code : "";
    drawReturn(returnUrl, status === "canceled" && known === "USER_CANCELED" ? "failed" : status);
    if (status === "complete") {
      drawDone(say("doneText"));
      drawSteps("done", operations);
    } else if (known && known !== "USER_CANCELED") {
      drawSteps("failed", operations);
      return drawFailure(error);
    } else {
      show(status === "canceled" && !known ? "canceled" : "stopped");
    }
    goBack();
  };
  const drawDone = (text) => {
    $("done").querySelector("h1 + p").textContent = text;
    show("done");
  };

  const lookIn = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(look, ms);
  };
  const look = async () => {
    clearTimeout(timer);
    if (document.hidden) return; // visibilitychange looks again
    const mine = ++turn;
    const answer = await call("GET", "link/session", isSession);
    if (mine !== turn) return;
    if (answer.kind === "ok") return draw(answer.value);
    if (answer.status === 401 && answer.kind === "refused" && answer.value.code === "unauthorized") {
      // The session is over for so long that its token no longer counts, or the link was erased; who has the code can
      // ask how it stands.
      remember("token", null);
      token = null;
      const { view } = body.dataset;
      await watch();
      if (body.dataset.view === view) show("used");
      return;
    }
    failures += 1;
    if (failures > MOST_FAILURES) return show("away");
    notice(say(answer.status === 0 && navigator.onLine === false ? "offline" : "noAnswer"));
    pause = Math.min(Math.max(pause, 1000) * 2, 20000);
    lookIn(Math.max(answer.wait, pause * (0.75 + Math.random() / 2)));
  };
  const lookAgain = () => { if (token && !over && !sending) look(); };
  addEventListener("online", lookAgain);
  document.addEventListener("visibilitychange", lookAgain);

  // --- The challenge --------------------------------------------------------------------------------
  let sending = false;
  const busy = (button, on) => {
    sending = on;
    if (on) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
  };

  const titles = {}; // the first title of each type of challenge: when it comes again, its own says what was wrong
  const typed = {}; // what was typed into fields that are no secret, for when they come again
  let asked = ""; // the challenge as it is on the page
  let acted = false; // whether an action was chosen last: then a message is news, and no fault
  const drawChallenge = ({ challenge, expiresAt, operations }) => {
    const form = $("form");
    const waits = challenge.type === "wait";
    const task = operations.find(({ status }) => status === "running");
    const names = `${operations.indexOf(task)} ${Object.keys(challenge.schema.properties)}`;
    const again = !waits && challenge.type === form.dataset.type && names === form.dataset.names;
    const still = body.dataset.view === "ask" && challenge.id === form.dataset.challenge; // a wait with news
    if (!again) titles[challenge.type] = challenge.title;
    asked = JSON.stringify(challenge);
    form.dataset.challenge = challenge.id;
    form.dataset.type = body.dataset.asks = challenge.type;
    form.dataset.names = names;
    $("task").textContent = task ? say("askedFor", { task: own(TASKS[task.description] || task.description) }) : "";
    const message = challenge.message || (again && challenge.title !== titles[challenge.type] ? challenge.title : "");
    $("message").className = acted || waits ? "" : "fault";
    if (still && message !== $("message").textContent) $("live").textContent = message;
    $("message").textContent = message;
    $("send").textContent = say({ login: "logIn", otp: "confirm" }[challenge.type] || "continue");
    $("send").hidden = waits;
    const ends = Math.min(expiresAt, challenge.expiresAt || expiresAt);
    const time = new Date(ends).toLocaleTimeString(document.documentElement.lang, { hour: "numeric", minute: "2-digit" });
    const until = say(ends < expiresAt ? "haveUntil" : "until", { time: time.split(" ").join("\u00a0") });
    $("until").textContent = waits ? `${say("waits")} ${until}` : until;
    if (still) return show("ask", challenge.title);
    $("others").replaceChildren(...(challenge.actions || []).map(({ id, title }) => {
      const button = element("button", { type: "button", dir: "auto" }, title);
      button.onclick = () => { if (!sending) send(button, { action: id }); };
      return button;
    }));
    const required = challenge.schema.required || [];
    const values = { ...(again ? typed : {}), ...challenge.values };
    const texts = Object.keys(challenge.schema.properties).filter((name) => !challenge.schema.properties[name].oneOf);
    fields = Object.entries(challenge.schema.properties).map(([name, schema], index) => {
      const first = texts.find((text) => !isSecret(challenge.schema.properties[text])) === name;
      const code = challenge.type === "otp" && texts[0] === name && schema.format !== "password";
      return makeField({ name, schema, index, code, login: challenge.type === "login", first, needed: required.includes(name), value: values[name] });
    });
    $("fields").replaceChildren(...fields.map((field) => field.box));
    show("ask", challenge.message ? challenge.title : titles[challenge.type]);
    const empty = fields.find((field) => !field.read());
    if (again && message && empty) {
      empty.input.setAttribute("aria-describedby", `message ${empty.input.getAttribute("aria-describedby")}`);
      empty.input.focus();
    } else $("ask").querySelector("h1").focus();
  };
  const isSecret = (schema) => schema.format === "password" || schema.writeOnly === true;

  // The decimal digits of every script: Unicode has them in tens, which begin at a multiple of 16, or at 6 beyond;
  // the mathematical ones alone stand close together.
  const isDigit = (point) => /\p{Nd}/u.test(String.fromCodePoint(point));
  const digit = (character) => {
    const point = character.codePointAt(0);
    if (point >= 0x1d7ce && point <= 0x1d7ff) return String((point - 0x1d7ce) % 10);
    const low = point % 16;
    return String(isDigit(point - low) ? low : low - 6);
  };
  const visible = (text) => text.replace(/[\p{Cc}\p{Cf}\u034f\ufe00-\ufe0f]/gu, "").trim();
  const fits = (schema, text) => {
    const length = [...text].length;
    if (length < schema.minLength || length > schema.maxLength) return false;
    try { return !schema.pattern || new RegExp(schema.pattern, "u").test(text); } catch { return true; }
  };
  // A code as it was meant: without what is between its parts, if then it fits.
  const asCode = (schema, text) => {
    const plain = visible(text).replace(/\p{Nd}/gu, digit);
    const bare = plain.replace(/[\s\p{Pd}.·_]/gu, "");
    return !fits(schema, plain) && fits(schema, bare) ? bare : plain;
  };
  // Whether all that fits is digits, so that a keypad with nothing else will do.
  const takesDigitsAlone = (schema) => {
    if (!schema.pattern) return false;
    const lengths = Array.from({ length: Math.min(schema.maxLength || 12, 12) }, (_, index) => index + 1);
    return lengths.some((n) => fits(schema, "1".repeat(n))) && !lengths.some((n) => fits(schema, "A".repeat(n)) || fits(schema, "a".repeat(n)));
  };

  let fields = []; // {name, box, input, secret, read, refuse, check} of each
  const makeField = ({ name, schema, index, code, login, first, needed, value }) => {
    const id = `field-${index}`;
    const { title } = schema;
    const secret = isSecret(schema);
    const fault = element("p", { class: "fault", id: `${id}-fault`, dir: "auto" });
    const hint = schema.description && element("p", { class: "hint", id: `${id}-hint`, dir: "auto" }, schema.description);
    const described = `${hint ? `${id}-hint ` : ""}${id}-fault`;
    const label = needed ? title : say("optional", { title });
    let box, input, read;
    if (schema.oneOf) {
      const radios = schema.oneOf.map((choice, number) => {
        const radio = element("input", { type: "radio", name: id, id: `${id}-${number}`, "aria-describedby": described });
        radio.checked = choice.const === value;
        return [radio, choice, element("label", { class: "choice", for: radio.id }, radio, element("span", { dir: "auto" }, choice.title))];
      });
      box = element("fieldset", { class: "field" }, element("legend", { dir: "auto" }, label), hint || "", ...radios.map((radio) => radio[2]), fault);
      input = radios[0][0];
      read = () => { const found = radios.find(([radio]) => radio.checked); return found ? found[1].const : ""; };
    } else {
      const hidden = schema.format === "password" && !code;
      input = element("input", {
        id, dir: "auto", type: hidden ? "password" : "text",
        inputmode: takesDigitsAlone(schema) ? "numeric" : undefined,
        autocomplete: code ? "one-time-code" : login && hidden ? "current-password" : login && first ? "username" : "off",
        autocapitalize: "none", autocorrect: "off", spellcheck: "false", enterkeyhint: "go",
        "aria-describedby": described, "aria-required": String(needed),
      });
      if (value !== undefined && !secret) input.value = value;
      const entry = element("div", { class: code ? "entry code" : "entry" }, input);
      if (hidden) {
        const toggle = element("button", { type: "button", "aria-pressed": "false", "aria-label": say("showField", { title }) }, say("show"));
        toggle.onclick = () => {
          const hide = input.type === "text";
          input.type = hide ? "password" : "text";
          toggle.setAttribute("aria-pressed", String(!hide));
        };
        entry.append(toggle);
      }
      box = element("div", { class: "field" }, element("label", { for: id, dir: "auto" }, label), hint || "", entry, fault);
      read = () => (code ? asCode(schema, input.value) : secret ? input.value : visible(input.value));
    }
    const refuse = (text) => {
      fault.textContent = text;
      box.classList.toggle("wrong", text !== "");
      if (text) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    };
    const check = (text) => {
      const length = [...text].length;
      if (text === "") return needed ? say(schema.oneOf ? "chooseOne" : "empty") : "";
      if (length < schema.minLength) return say("tooShort", { count: schema.minLength });
      if (length > schema.maxLength) return say("tooLong", { count: schema.maxLength });
      return fits(schema, text) ? "" : say("wrongForm"); // a pattern that this browser cannot read is the server's to check
    };
    return { name, box, input, secret, read, refuse, check };
  };
  const refuseFields = (faults) => {
    fields.forEach((field, index) => field.refuse(faults[index]));
    const first = fields[faults.findIndex(Boolean)];
    if (first) first.input.focus();
    return Boolean(first);
  };

  $("form").onsubmit = async (event) => {
    event.preventDefault();
    if (sending) return;
    const values = fields.map((field) => field.read());
    if (refuseFields(fields.map((field, index) => field.check(values[index])))) return;
    const input = Object.fromEntries(fields.map((field, index) => [field.name, values[index]]).filter(([, value]) => value !== ""));
    send($("send"), { input });
  };
  const send = async (button, content) => {
    const { challenge } = $("form").dataset;
    busy(button, true);
    ++turn;
    clearTimeout(timer);
    const answer = await call("POST", "link/session/input", isSession, { challengeId: challenge, ...content });
    busy(button, false);
    if (answer.kind === "ok") {
      acted = "action" in content;
      fields.forEach((field) => { if (!field.secret) typed[field.name] = field.read(); });
      $("fields").replaceChildren(); // nothing that was typed stays in the page
      fields = [];
      draw(answer.value);
    } else if (answer.kind === "away") { // it may have arrived or not: the session tells
      unsure = { challenge };
      notice(say("maybeSent"));
      lookIn(Math.max(answer.wait, 1500));
    } else if (answer.status === 409 || answer.status === 401) {
      look(); // another challenge is open, or none
    } else {
      const issues = answer.value.issues || [];
      const faults = fields.map((field) => (issues.some((issue) => issue.path === `input.${field.name}`) ? say("wrongForm") : ""));
      if (!refuseFields(faults)) notice(say("notUnderstood"));
      lookIn(10000);
    }
  };

  // --- Canceling ------------------------------------------------------------------------------------
  const cancel = async () => {
    ++turn;
    clearTimeout(timer);
    const answer = await call("POST", "link/session/cancel", isSession);
    if (answer.kind === "ok") return draw(answer.value);
    if (answer.kind === "away") {
      unsure = { cancel: true };
      notice(say("maybeCanceled"));
    }
    lookIn(answer.kind === "away" ? Math.max(answer.wait, 1500) : 0);
  };
  document.querySelectorAll("[data-cancel]").forEach((button) => {
    button.onclick = () => ($("sure").showModal ? $("sure").showModal() : cancel());
  });
  $("sure").onclose = () => {
    const stop = $("sure").returnValue === "stop";
    $("sure").returnValue = "";
    if (stop) cancel();
  };

  // --- The claim ------------------------------------------------------------------------------------
  // Whether the link is this browser's now. If it is not, the page says why, or asks to try again.
  const claim = async (button) => {
    if (sending) return false;
    busy(button, true);
    notice("");
    // If the answer is lost, the same key gets the same session once more, also in another tab of this browser.
    const key = recall("key") || [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    remember("key", key);
    const answer = await call("POST", "link/claim", isClaim, { code }, key);
    busy(button, false);
    if (answer.kind === "ok") {
      token = answer.value.clientToken;
      remember("token", token);
      remember("key", null);
      leaveCode();
      return true;
    }
    if (answer.kind === "away") notice(say(answer.status === 0 && navigator.onLine === false ? "offlineTry" : "noAnswerTry"));
    else if (answer.status === 409) { leaveCode(); show("used"); }
    else await watch(); // it has ended in the meantime
    return false;
  };
  const goOn = () => {
    show("working", say("talking"));
    look();
  };
  $("agree").onclick = async () => { if (await claim($("agree"))) goOn(); };
  // Who says no has claimed and canceled: that way the one who made the link is told.
  $("decline").onclick = async () => { if (await claim($("decline"))) cancel(); };
  $("reload").onclick = () => {
    failures = 0;
    if (token && !over) goOn();
    else location.reload();
  };

  // --- A link that is claimed, or ends, elsewhere -----------------------------------------------------
  const WATCH_MS = 4000;
  const watch = async () => {
    clearTimeout(timer);
    if (!code || document.hidden || token) return;
    const answer = await call("POST", "link/status", isStatus, { code });
    if (token || sending) return; // claimed here in the meantime
    if (answer.kind === "refused") return; // it ended long ago
    if (answer.kind === "ok" && answer.value.status !== "pending") {
      if (resume()) return; // in another tab of this browser
      leaveCode();
      drawElsewhere(answer.value);
      if (answer.value.status !== "active") return;
    }
    timer = setTimeout(watch, Math.max(answer.wait, WATCH_MS));
  };
  const drawElsewhere = ({ status, error }) => {
    if (status === "active") return show("elsewhere");
    if ($("back").hasAttribute("href")) drawReturn($("back").getAttribute("href"), status);
    if (status === "complete") drawDone(say("doneElsewhere"));
    else if (status !== "failed" || (error && error.code === "USER_CANCELED")) return show(status === "failed" ? "stopped" : status);
    else return drawFailure(error);
    goBack();
  };
  document.addEventListener("visibilitychange", () => { if (!token && !over && ["consent", "elsewhere"].includes(body.dataset.view)) watch(); });

  // --- At the start ---------------------------------------------------------------------------------
  // Whether this browser has the session; then the page goes on with it.
  const resume = () => {
    token = recall("token");
    if (!token) return false;
    leaveCode();
    show("working", say("moment"));
    look();
    return true;
  };
  const start = () => {
    const { view } = body.dataset;
    if (["unknown", "incomplete"].includes(view)) return show(view);
    if (resume()) return;
    if (view === "used" && code && recall("key")) { // by this browser, perhaps: no answer came before its reload
      show("working", say("moment"));
      claim($("reload")).then((claimed) => { if (claimed) look(); else if (body.dataset.view === "working") show("away"); });
      return;
    }
    show(view);
    if (["used", "expired", "canceled"].includes(view)) leaveCode();
    if (view === "consent") timer = setTimeout(watch, WATCH_MS);
  };
  if (document.prerendering) document.addEventListener("prerenderingchange", start, { once: true });
  else start();
  $("old").remove();
})();
