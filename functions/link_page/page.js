"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const body = document.body;
  // A name in a sentence keeps its own direction (first strong isolate ... pop directional isolate), and a
  // word joiner after its hyphen keeps "T-Mobile" on one line.
  const own = (text) => `\u2068${text.replaceAll("-", "-\u2060")}\u2069`;
  const brand = own(body.dataset.brand);
  let provider = "";

  // --- What this tab remembers of this link -------------------------------------------------------
  const linkId = location.pathname.split("/").pop();
  const memory = new Map(); // where the browser refuses storage, a reload cannot resume
  const recall = (name) => {
    try { return sessionStorage.getItem(`${linkId} ${name}`); } catch { return memory.get(name) ?? null; }
  };
  const remember = (name, value) => {
    try {
      if (value === null) sessionStorage.removeItem(`${linkId} ${name}`);
      else sessionStorage.setItem(`${linkId} ${name}`, value);
    } catch { memory.set(name, value); }
  };

  // --- Requests -------------------------------------------------------------------------------------
  let token = recall("token");
  const call = async (method, path, content, key) => {
    const headers = {};
    if (token) headers.Authorization = `Bearer ${token}`;
    if (key) headers["Idempotency-Key"] = key;
    if (content) headers["Content-Type"] = "application/json";
    const limit = new AbortController();
    const timer = setTimeout(() => limit.abort(), 35000); // the gateway gives up after 30 s
    try {
      const answer = await fetch(path, {
        method, headers, body: content && JSON.stringify(content),
        cache: "no-store", credentials: "omit", signal: limit.signal,
      });
      const text = await answer.text();
      let value = {};
      try { value = JSON.parse(text); } catch { /* the gateway's own words */ }
      return { status: answer.status, value, wait: 1000 * answer.headers.get("Retry-After") };
    } catch {
      return { status: 0, value: {}, wait: 0 };
    } finally {
      clearTimeout(timer);
    }
  };
  const unreachable = (answer) => answer.status === 0 || answer.status === 429 || answer.status >= 500;
  const notice = (text) => { if ($("notice").textContent !== text) $("notice").textContent = text; };
  const explain = (answer) => notice(
    answer.status === 0 ? "There is no connection. This page goes on by itself when it is back."
      : "The service does not answer right now. Trying again…",
  );

  // --- Views ----------------------------------------------------------------------------------------
  const show = (view, title) => {
    const heading = $(view).querySelector("h1");
    if (title) heading.textContent = title;
    document.title = `${heading.textContent} – ${body.dataset.brand}`;
    if (body.dataset.view === view) return;
    body.dataset.view = view;
    heading.focus();
    scrollTo(0, 0);
  };
  const element = (name, attributes, ...children) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) if (value !== undefined) made.setAttribute(key, value);
    made.append(...children);
    return made;
  };

  const STATUS = { pending: "Waiting", running: "In progress", succeeded: "Done", skipped: "Not done" };
  const drawSteps = (view, operations, failed = "Failed") => {
    if (view === "failed" && operations.every(({ status }) => status === "skipped")) return; // nothing was begun
    const list = $(view).querySelector(".steps");
    operations.forEach(({ description, status }, index) => {
      const item = list.children[index] ?? list.appendChild(
        element("li", {}, element("span", { dir: "auto" }, description), element("small", {})),
      );
      if (item.dataset.status === status) return;
      const text = STATUS[status] ?? failed;
      if (item.dataset.status) $("live").textContent = `${description}: ${text}`;
      item.dataset.status = status;
      item.lastChild.textContent = text;
    });
  };

  // Why a session failed, by its code: a heading, and what to do.
  const reason = (code) => ({
    LOGIN_FAILED: [`${provider} did not accept the login`, `Check your user name and password at ${provider}, then ask ${brand} for a new link.`],
    CLIENT_TIMEOUT: ["Time ran out", `This took longer than a visit may last. Ask ${brand} for a new link to try again.`],
    AUTOMATION_ERROR: [`Something went wrong at ${provider}`, `Not everything could be done, so nothing was passed on to ${brand}.`],
    RESULT_VALIDATION_ERROR: [`Something went wrong at ${provider}`, `${provider} gave an answer that could not be used, so nothing was passed on to ${brand}.`],
    CONNECTION_FAILED: [`${provider} cannot be reached`, `Try again later with a new link from ${brand}.`],
    OUTCOME_UNKNOWN: [`Please check your ${provider} account`, "A change was interrupted: it may have been made or not. Look there before you try again."],
  })[code] ?? ["Something went wrong", `It was not your fault. Ask ${brand} for a new link to try again.`];

  const drawReturn = (returnUrl) => {
    if (!returnUrl) return;
    const host = /^https:\/\/([^/?#]+)/i.exec(returnUrl);
    $("back").href = returnUrl;
    $("back").textContent = host ? `Back to ${own(host[1])}` : "Back to the app";
  };
  // By itself only after an end that needs no reading, and only once: who comes back here wants to stay.
  const goBack = (returnUrl) => {
    if (!/^https:/i.test(returnUrl ?? "") || recall("returned")) return;
    $("soon").hidden = false;
    const timer = setTimeout(() => {
      remember("returned", "yes");
      $("soon").hidden = true;
      location.assign(returnUrl);
    }, 4000);
    $("stay").onclick = () => {
      clearTimeout(timer);
      $("soon").hidden = true;
      $("back").focus();
    };
  };

  // --- The session ----------------------------------------------------------------------------------
  let turn = 0; // counts requests for the session: an answer that was overtaken is not drawn
  let timer = 0;
  let pause = 0; // ms until the next look; grows while nothing changes
  let drawn = ""; // the session as it is on the page
  const ended = (status) => !["awaiting_input", "running"].includes(status);

  const draw = (session) => {
    notice("");
    const text = JSON.stringify(session);
    const changed = text !== drawn;
    drawn = text;
    provider = own(session.integration.name);
    $("provider").textContent = [...session.integration.name][0];
    drawReturn(session.returnUrl);
    if (ended(session.status)) return drawEnd(session);
    const asks = session.status === "awaiting_input";
    if (!asks) {
      drawSteps("working", session.operations);
      show("working", session.operations.some((operation) => operation.status !== "pending") ? `Working at ${provider}` : `Talking to ${provider}`);
    } else if (body.dataset.view !== "ask" || $("form").dataset.challenge !== session.challenge.id) {
      drawChallenge(session);
    }
    pause = changed ? (asks ? 3000 : 500) : Math.min(pause * 1.4, asks ? 15000 : 5000);
    lookIn(pause);
  };
  const drawEnd = (session) => {
    clearTimeout(timer);
    if ($("sure").open) $("sure").close();
    if (session.status === "complete") {
      $("done").querySelector("h1 + p").textContent = `Your ${provider} account is connected with ${brand}.`;
      drawSteps("done", session.operations);
      show("done");
    } else if (session.status === "canceled") {
      show("stopped");
    } else {
      const [title, advice] = reason(session.error?.code);
      $("failed").querySelector("h1 + p").textContent = advice;
      drawSteps("failed", session.operations, session.error?.code === "OUTCOME_UNKNOWN" ? "Not known" : undefined);
      show("failed", title);
      return;
    }
    goBack(session.returnUrl);
  };

  const lookIn = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(look, ms);
  };
  const look = async () => {
    clearTimeout(timer);
    if (document.hidden) return; // visibilitychange looks again
    const mine = ++turn;
    const answer = await call("GET", "link/session");
    if (mine !== turn) return;
    if (answer.status === 200) {
      draw(answer.value);
    } else if (unreachable(answer)) {
      explain(answer);
      pause = Math.min(Math.max(pause, 1000) * 2, 20000);
      lookIn(Math.max(answer.wait, pause * (0.75 + Math.random() / 2)));
    } else { // the session is over for so long that its token no longer counts
      remember("token", null);
      token = null;
      show("used");
    }
  };
  const lookAgain = () => { if (token && (!drawn || !ended(JSON.parse(drawn).status)) && !sending) look(); };
  addEventListener("online", lookAgain);
  document.addEventListener("visibilitychange", lookAgain);

  // --- The challenge --------------------------------------------------------------------------------
  let sending = false;
  const busy = (button, on) => {
    sending = on;
    if (on) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
  };
  const SEND = { login: "Log in", otp: "Confirm" };

  const drawChallenge = ({ challenge, expiresAt }) => {
    const form = $("form");
    $("ask").dataset.again = challenge.type === form.dataset.type; // the title says what was wrong
    form.dataset.challenge = challenge.id;
    form.dataset.type = challenge.type;
    $("send").textContent = SEND[challenge.type] ?? "Continue";
    const time = new Date(expiresAt).toLocaleTimeString([], { hour: "numeric", minute: "2-digit" }).replace(" ", "\u00a0");
    $("until").textContent = `This page waits for you until ${time}.`;
    const required = challenge.schema.required ?? [];
    fields = Object.entries(challenge.schema.properties).map(
      ([name, schema], index) => makeField(challenge.type, name, schema, required.includes(name), index),
    );
    $("fields").replaceChildren(...fields.map((field) => field.box));
    show("ask", challenge.title);
    $("ask").querySelector("h1").focus();
  };

  let fields = []; // {name, box, read, refuse, check} of each
  const makeField = (type, name, schema, needed, index) => {
    const id = `field-${index}`;
    const { title } = schema;
    const fault = element("p", { class: "fault", id: `${id}-fault`, dir: "auto" });
    const hint = schema.description && element("p", { class: "hint", id: `${id}-hint`, dir: "auto" }, schema.description);
    const described = `${hint ? `${id}-hint ` : ""}${id}-fault`;
    const choices = schema.oneOf;
    const optional = needed ? "" : " (optional)";
    let box, input, read;
    if (choices) {
      const radios = choices.map((choice, number) => {
        const radio = element("input", { type: "radio", name: id, id: `${id}-${number}`, "aria-describedby": described });
        return [radio, choice, element("label", { class: "choice", for: radio.id }, radio, element("span", { dir: "auto" }, choice.title))];
      });
      box = element("fieldset", { class: "field" }, element("legend", { dir: "auto" }, title + optional), hint ?? "", ...radios.map((radio) => radio[2]), fault);
      input = radios[0][0];
      read = () => radios.find(([radio]) => radio.checked)?.[1].const ?? "";
    } else {
      const code = type === "otp";
      const secret = schema.format === "password" && !code;
      input = element("input", {
        id, dir: "auto", type: secret ? "password" : "text",
        inputmode: code ? "numeric" : undefined,
        autocomplete: code ? "one-time-code" : secret ? "current-password" : type === "login" ? "username" : "off",
        autocapitalize: "none", autocorrect: "off", spellcheck: "false", enterkeyhint: "go",
        "aria-describedby": described, "aria-required": String(needed),
      });
      const entry = element("div", { class: code ? "entry code" : "entry" }, input);
      if (secret) {
        const toggle = element("button", { type: "button", "aria-pressed": "false", "aria-label": `Show ${title}` }, "Show");
        toggle.onclick = () => {
          const hide = input.type === "text";
          input.type = hide ? "password" : "text";
          toggle.setAttribute("aria-pressed", String(!hide));
        };
        entry.append(toggle);
      }
      box = element("div", { class: "field" }, element("label", { for: id, dir: "auto" }, title + optional), hint ?? "", entry, fault);
      read = () => (secret ? input.value : code ? input.value.replace(/\s/g, "") : input.value.trim());
    }
    const refuse = (text) => {
      fault.textContent = text;
      box.classList.toggle("wrong", text !== "");
      if (text) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    };
    const check = (value) => {
      const length = [...value].length;
      if (value === "") return needed ? (choices ? "Choose one." : "Fill this in.") : "";
      if (length < schema.minLength) return `This must have at least ${schema.minLength} characters.`;
      if (length > schema.maxLength) return `This must have at most ${schema.maxLength} characters.`;
      try {
        if (schema.pattern && !new RegExp(schema.pattern, "u").test(value)) return "This does not have the right form.";
      } catch { /* a pattern that this browser cannot read is checked by the server alone */ }
      return "";
    };
    return { name, box, input, read, refuse, check };
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
    const { challenge } = $("form").dataset;
    busy($("send"), true);
    ++turn;
    clearTimeout(timer);
    const answer = await call("POST", "link/session/input", { challengeId: challenge, input });
    busy($("send"), false);
    if (answer.status === 202) {
      $("fields").replaceChildren(); // nothing that was typed stays in the page
      fields = [];
      draw(answer.value);
    } else if (answer.status === 400) {
      const issues = answer.value.issues ?? [];
      const faults = fields.map((field) => (issues.some((issue) => issue.path === `input.${field.name}`) ? "This does not have the right form." : ""));
      if (!refuseFields(faults)) notice("This was not understood. Check what you typed.");
      lookIn(3000);
    } else if (unreachable(answer)) {
      notice(answer.status === 0 ? "There is no connection, so nothing was sent. Try again when it is back." : "The service does not answer right now. Try again in a moment.");
      lookIn(10000);
    } else {
      look(); // another challenge is open, or none
    }
  };

  // --- Canceling ------------------------------------------------------------------------------------
  const cancel = async () => {
    ++turn;
    clearTimeout(timer);
    const answer = await call("POST", "link/session/cancel");
    if (unreachable(answer)) {
      notice("This could not be canceled: there is no connection to the service. Try again.");
      lookIn(3000);
    } else {
      look();
    }
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
  const reopen = () => {
    const code = recall("code");
    if (code) location.replace(`${location.pathname}?code=${encodeURIComponent(code)}`);
    else location.reload();
  };
  // Whether the link was claimed; null if it cannot be, and the server's page is on its way to say why.
  const claim = async (button) => {
    if (sending) return false;
    busy(button, true);
    notice("");
    // If the answer is lost, the same key gets the same session once more, and another tab does not.
    const key = recall("key") ?? [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    remember("key", key);
    const answer = await call("POST", "link/claim", { code: recall("code") }, key);
    busy(button, false);
    if (answer.status === 200) {
      token = answer.value.clientToken;
      remember("token", token);
      remember("code", null);
      remember("key", null);
      return true;
    }
    if (unreachable(answer)) {
      notice(answer.status === 0 ? "There is no connection. Try again when it is back." : "The service does not answer right now. Try again in a moment.");
      return false;
    }
    remember("key", null);
    reopen(); // used, expired or canceled in the meantime
    return null;
  };
  const begin = () => {
    show("working", `Talking to ${own(body.dataset.provider)}`);
    look();
  };
  $("agree").onclick = async () => { if (await claim($("agree"))) begin(); };
  // Who says no has claimed and canceled: that way the one who made the link is told.
  $("decline").onclick = async () => { if (await claim($("decline"))) cancel(); };
  $("reload").onclick = reopen;

  // --- At the start ---------------------------------------------------------------------------------
  const code = new URLSearchParams(location.search).get("code");
  if (code && !token && ["consent", "away"].includes(body.dataset.view)) remember("code", code);
  if (location.search) history.replaceState(null, "", location.pathname);
  if (token && body.dataset.view !== "unknown") {
    show("working", "One moment");
    look();
  } else if (body.dataset.view === "used" && recall("key")) { // by this tab, perhaps: no answer came before its reload
    show("working", "One moment");
    claim($("reload")).then((claimed) => {
      if (claimed) look();
      else if (claimed === false) show("away");
    });
  } else if (body.dataset.view === "incomplete" && recall("code")) {
    reopen(); // a reload before the claim: the code is no longer in the address
  } else {
    show(body.dataset.view);
  }
})();
