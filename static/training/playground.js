/* The playground: what is typed goes to one model or to two, and their replies come as they are
   drawn. A reply is text while it comes; complete, it is the HTML that the server has sanitized.

   The conversation lives in this page alone: each turn sends all of it, and leaving forgets it. */

const page = document.querySelector(".playground");
const composer = page.querySelector(".composer");
const message = document.getElementById("message");
const consent = document.getElementById("consent");
const told = page.querySelector(".told");
const [send, stop, anew] = ["send", "stop", "new"].map((name) => page.querySelector(`[data-${name}]`));
const words = JSON.parse(document.getElementById("playground-words").textContent);

const ASK_AGAIN_MS = 1000;
const PATIENCE_MS = 300_000; // a large model takes minutes to load
const NEAR_END_PX = 60;

let under = null; // the AbortController of the replies that are on their way

/* --- one model's side ---------------------------------------------------------------------------- */

class Talk {
  constructor(root) {
    this.log = root.querySelector(".said");
    this.picker = root.querySelector("select");
    this.label = root.querySelector("label").textContent;
    this.turns = [];
  }

  get model() {
    return this.picker.value;
  }

  clear() {
    this.turns = [];
    this.log.replaceChildren();
  }

  add(kind, who) {
    const turn = document.createElement("div");
    turn.className = `turn ${kind}`;
    turn.append(paragraph("who", who), block("plain-text"));
    const atEnd = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < NEAR_END_PX;
    this.log.querySelector(".nothing")?.remove();
    this.log.append(turn);
    if (atEnd) this.log.scrollTop = this.log.scrollHeight;
    return turn;
  }

  follow() {
    const left = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight;
    if (left < NEAR_END_PX * 2) this.log.scrollTop = this.log.scrollHeight;
  }

  async ask(text, settings, signal) {
    this.add("mine", words.you).querySelector(".plain-text").textContent = text;
    this.turns.push({ role: "user", content: text });
    const reply = new Reply(this, this.add("theirs", this.picker.selectedOptions[0].textContent));
    const fields = new URLSearchParams(settings);
    fields.set("model", this.model);
    fields.set("messages", JSON.stringify(this.turns));
    try {
      await reply.come(fields, signal);
    } catch {
      reply.note(signal.aborted ? words.stopped : words.away, !signal.aborted);
    }
    reply.end();
    if (reply.text) this.turns.push({ role: "assistant", content: reply.text });
    else this.turns.pop(); // what was not answered is not part of the conversation
    return reply.complete;
  }
}

class Reply {
  constructor(talk, turn) {
    this.talk = talk;
    this.turn = turn;
    this.body = turn.querySelector(".plain-text");
    this.text = "";
    this.complete = false;
    turn.setAttribute("aria-busy", "true");
    talk.log.setAttribute("aria-busy", "true");
    this.note(words.waiting);
  }

  note(text, bad = false) {
    this.turn.querySelector(".note")?.remove();
    if (text) this.turn.append(paragraph(bad ? "note bad" : "note", text));
    this.talk.follow();
  }

  /* Ask until the model is loaded and has a place for us, then listen. */
  async come(fields, signal) {
    const end = Date.now() + PATIENCE_MS;
    while (Date.now() < end) {
      const answer = await post(page.dataset.reply, fields, signal);
      if (answer.status === 200) return this.listen(answer.body.getReader());
      const said = await answer.json().catch(() => ({ message: words.away }));
      const passes = answer.status === 202 || answer.status === 429;
      this.note(reasons(said), !passes);
      if (!passes) return;
      await pause(ASK_AGAIN_MS, signal);
      fields.set("again", "1");
    }
    this.note(words.late, true);
  }

  async listen(reader) {
    const decoder = new TextDecoder();
    let rest = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      const events = (rest + decoder.decode(part.value, { stream: true })).split("\n\n");
      rest = events.pop();
      for (const event of events) this.hear(event);
    }
    if (this.turn.hasAttribute("aria-busy") && !this.ended) this.note(words.away, true);
  }

  hear(event) {
    const [, name] = event.match(/^event: (.*)$/m) ?? [];
    const [, data] = event.match(/^data: (.*)$/m) ?? [];
    if (!name || !data) return;
    const said = JSON.parse(data);
    if (name === "piece") {
      if (!this.text) this.note("");
      this.text += said.text;
      this.body.append(said.text);
      this.talk.follow();
    } else if (name === "done") this.finish(said);
    else {
      this.ended = true;
      this.note(said.message, true);
    }
  }

  finish(said) {
    this.ended = this.complete = true;
    const html = new DOMParser().parseFromString(said.html, "text/html");
    const prose = block("prose");
    prose.append(...html.body.childNodes);
    this.body.replaceWith(prose);
    this.note(said.is_cut ? words.cut : said.text.trim() ? "" : words.empty);
  }

  end() {
    this.turn.removeAttribute("aria-busy");
    this.talk.log.removeAttribute("aria-busy");
  }
}

/* --- small things -------------------------------------------------------------------------------- */

function block(name) {
  const element = document.createElement("div");
  element.className = name;
  element.dir = "auto";
  return element;
}

function paragraph(name, text) {
  const element = document.createElement("p");
  element.className = name;
  element.textContent = text;
  return element;
}

function reasons(said) {
  const named = Object.values(said.errors ?? {}).flat();
  return [said.message, ...named].filter(Boolean).join(" ");
}

function post(url, fields, signal) {
  const token = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1] ?? "";
  const headers = { Accept: "application/json, text/event-stream", "X-CSRFToken": token };
  return fetch(url, { method: "POST", body: fields, headers, signal });
}

function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}

function settings() {
  const named = [...composer.querySelectorAll(".settings [name]")];
  return named.map((field) => [field.name, field.value]);
}

/* --- the page ------------------------------------------------------------------------------------ */

const talks = [...page.querySelectorAll(".talk")].map((root) => new Talk(root));

function begin() {
  const system = document.getElementById("system").value.trim();
  for (const talk of talks) {
    if (!talk.turns.length && system) talk.turns.push({ role: "system", content: system });
  }
}

/* Only with consent, and only the first message: what follows depends on what a model said. */
async function offer(text) {
  const fields = new URLSearchParams({ messages: JSON.stringify([{ role: "user", content: text }]), consent: "1" });
  try {
    const answer = await post(page.dataset.offer, fields);
    told.textContent = reasons(await answer.json());
  } catch {
    told.textContent = words.away;
  }
}

async function say() {
  const text = message.value.trim();
  const asked = talks.filter((talk) => talk.model);
  if (under || !text || !asked.length) return;
  if (!composer.reportValidity()) return;
  const first = asked.every((talk) => !talk.turns.some((turn) => turn.role === "user"));
  begin();
  told.textContent = "";
  message.value = "";
  under = new AbortController();
  working(true);
  if (first && consent.checked) offer(text);
  const replies = asked.map(async (talk) => {
    const complete = await talk.ask(text, settings(), under.signal);
    if (complete) told.textContent = `${told.textContent} ${words.replied.replace("{name}", talk.label)}`.trim();
    return complete;
  });
  const complete = await Promise.all(replies);
  if (!complete.some(Boolean) && !message.value) message.value = text; // nothing was lost
  under = null;
  working(false);
}

function working(on) {
  stop.hidden = !on;
  send.disabled = anew.disabled = on;
  for (const talk of talks) talk.picker.disabled = on;
  if (!on) message.focus({ preventScroll: true });
}

composer.addEventListener("submit", (event) => {
  event.preventDefault();
  say();
});
composer.addEventListener("invalid", () => (composer.querySelector(".settings").open = true), true);
message.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.isComposing || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  say();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !event.isComposing) under?.abort();
});
stop.addEventListener("click", () => under?.abort());
anew.addEventListener("click", () => {
  for (const talk of talks) talk.clear();
  told.textContent = "";
  message.focus();
});
window.addEventListener("pagehide", () => under?.abort());
