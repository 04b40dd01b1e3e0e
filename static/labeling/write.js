/* The writing page: an editor over one form that also works without this script.

   The text is kept in this browser at every stroke and on the server at every pause. A reply that
   could not be sent stays here under its key and is sent again, so that the server stores it once,
   even if the page was closed meanwhile. */

import { clock, post } from "./work.js";

const COUNT_AFTER_MS = 200;
const DRAFT_AFTER_MS = 4_000;
const RENEW_EVERY_MS = 30_000;
const KEPT_MS = 7 * 86_400_000;
const RETRY_MS = [3_000, 8_000, 20_000, 60_000];
const KEEPALIVE_CHARACTERS = 20_000; // a browser lets a closing page send 64 KB

const page = document.querySelector(".write");
const desk = document.querySelector(".desk");
const live = document.getElementById("say");
const words = JSON.parse(document.getElementById("write-words").textContent);
const DRAFTS = `prefloop-writing:${desk.dataset.account}:`;
const FOLDED = "prefloop-writing-guidelines-folded";
const splitter = globalThis.Intl?.Segmenter && new Intl.Segmenter(undefined, { granularity: "word" });

let sheet = null; // what is bound now; null when nothing is left
let sending = false;
let tries = 0;

const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
const say = (sentence, values = {}) => (live.textContent = fill(sentence, values));

/* --- what is kept in this browser -------------------------------------------------------------- */

const store = {
  put(name, value) {
    try {
      localStorage.setItem(name, JSON.stringify(value));
      return true;
    } catch {
      return false; // a full or forbidden store costs the copy, never the work on the page
    }
  },
  get(name) {
    try {
      return JSON.parse(localStorage.getItem(name));
    } catch {
      return null;
    }
  },
  drop(name) {
    try {
      localStorage.removeItem(name);
    } catch {
      // Nothing was kept there then.
    }
  },
  names() {
    try {
      return Object.keys(localStorage).filter((name) => name.startsWith(DRAFTS));
    } catch {
      return [];
    }
  },
};

/* `base` is the server's revision that this text goes on from: where the server has a later one,
   the reply was written further on another machine. */
function keepHere() {
  return store.put(sheet.name, {
    text: sheet.text.value,
    base: sheet.revision,
    key: sheet.form.elements.key.value,
    active: Math.round(clock.total),
    at: Date.now(),
    pending: sheet.pending,
  });
}

function takeUpDraft() {
  const draft = store.get(sheet.name);
  if (!draft || draft.base < sheet.revision) return Boolean(sheet.text.value) && !sheet.corrects;
  sheet.text.value = draft.text;
  sheet.form.elements.key.value = draft.key;
  clock.restart(draft.active);
  return Boolean(draft.text);
}

/* --- the sheet --------------------------------------------------------------------------------- */

function bind(root, { focus = true } = {}) {
  const form = root.querySelector("form.leaf");
  sheet = form && {
    root,
    form,
    name: DRAFTS + form.dataset.uid + ("corrects" in form.dataset ? ":corrects" : ""),
    text: form.elements.text,
    shown: root.querySelector("#shown"),
    corrects: "corrects" in form.dataset,
    revision: Number(form.dataset.revision),
    saved: form.elements.text.value,
    leaseEnds: Date.now() + 1000 * form.dataset.leaseS,
    pending: null, // what was submitted and not acknowledged: where to, and its fields
  };
  if (!sheet) {
    root.querySelector(".nothing-left").focus();
    return say(words.empty);
  }
  clock.restart(0);
  const restored = takeUpDraft();
  count();
  const [talk, turn] = [form.querySelector(".talk"), form.querySelector(".turn:last-child")];
  talk.scrollTop = turn.offsetTop - talk.offsetTop - 14;
  if (focus) write();
  say(sheet.corrects ? words.correction : restored ? words.draft : words.card);
  noticeGuidelines();
}

function write() {
  const { text } = sheet;
  text.focus({ preventScroll: true });
  text.setSelectionRange(text.value.length, text.value.length);
}

function count() {
  const text = sheet.text.value;
  const number = splitter
    ? [...splitter.segment(text)].filter((part) => part.isWordLike).length
    : (text.match(/\S+/g) ?? []).length;
  sheet.form.querySelector(".words").textContent = fill(words.words, { count: number });
}

const state = (text) => (sheet.form.querySelector(".kept").textContent = text);

let [counting, drafting] = [null, null];

function onInput({ target }) {
  if (!sheet || target !== sheet.text) return;
  if (!sending) sheet.pending = null; // who writes on will submit again
  keepHere();
  state("");
  const box = sheet.form.querySelector(".note");
  if (box.textContent.includes(words.blank)) box.hidden = true;
  clearTimeout(counting);
  clearTimeout(drafting);
  counting = setTimeout(() => sheet && count(), COUNT_AFTER_MS);
  drafting = setTimeout(keepThere, DRAFT_AFTER_MS);
}

/* --- the server's copy, and the lease ---------------------------------------------------------- */

const own = () => new URLSearchParams({ assignment: sheet.form.dataset.uid });

async function keepThere() {
  if (!sheet || sheet.corrects || sending || sheet.text.value === sheet.saved) return;
  const [about, text] = [sheet, sheet.text.value];
  const fields = own();
  fields.set("text", text);
  try {
    const answer = await post(`${desk.dataset.at}draft/`, fields);
    if (sheet !== about) return;
    if (answer.ok) {
      about.revision = (await answer.json()).revision;
      about.saved = text;
      if (sheet !== about) return;
      renewed();
      keepHere();
      if (sheet.text.value === text) state(words.kept);
    } else if (answer.status === 409) complain(words.lost);
    else state(words.kept_here);
  } catch {
    if (sheet === about) state(words.kept_here);
  }
}

const renewed = () => (sheet.leaseEnds = Date.now() + 1000 * sheet.form.dataset.leaseS);

async function renew() {
  const due = sheet && !sheet.corrects && Date.now() > sheet.leaseEnds - 500 * sheet.form.dataset.leaseS;
  if (!due || clock.last === null || performance.now() - clock.last > RENEW_EVERY_MS) return;
  const about = sheet;
  try {
    const answer = await post(`${desk.dataset.at}renew/`, own());
    if (sheet !== about) return;
    if (answer.ok) renewed();
    else if (answer.status === 409) complain(words.lost);
  } catch {
    // Offline: the submit will say so, and the next turn of the timer tries again.
  }
}

function onHide() {
  if (!sheet || document.visibilityState === "visible") return;
  if (sheet.text.value === sheet.saved) return;
  keepHere();
  if (sheet.corrects || sending || sheet.text.value.length > KEEPALIVE_CHARACTERS) return;
  const fields = new URLSearchParams(new FormData(sheet.form));
  const options = { method: "POST", body: fields, keepalive: true, headers: { "HX-Request": "true" } };
  fetch(`${desk.dataset.at}draft/`, options).catch(() => {});
}

/* --- sending ----------------------------------------------------------------------------------- */

const fieldsOf = (form) => new URLSearchParams(new FormData(form));

function submit() {
  if (!sheet || sending) return;
  if (!sheet.text.value.trim()) {
    showText();
    write();
    return complain(words.blank);
  }
  sheet.form.elements.active_ms.value = Math.round(clock.total);
  sheet.pending = { url: sheet.form.action, fields: [...fieldsOf(sheet.form)] };
  keepHere();
  tries = 0;
  send(sheet.form);
}

/* Send a form of the sheet; its answer is the next prompt. */
async function send(form) {
  if (sending) return;
  sending = true;
  const about = sheet;
  if (form === about.form) state(words.sending);
  try {
    const answer = await post(form.action, fieldsOf(form));
    const html = await answer.text();
    if (answer.ok) return showNext(about, html);
    refuse(answer.status, html);
    if (answer.status >= 500 && form === about.form) again(about);
  } catch {
    complain(words.offline);
    if (form === about.form) again(about);
  } finally {
    sending = false;
    if (sheet === about) state("");
  }
}

function again(about) {
  const wait = RETRY_MS[Math.min(tries, RETRY_MS.length - 1)];
  tries += 1;
  const retry = () => {
    clearTimeout(timer);
    removeEventListener("online", retry);
    if (sheet === about && about.pending) send(about.form);
  };
  const timer = setTimeout(retry, wait);
  addEventListener("online", retry);
}

function showNext(sent, html) {
  const next = new DOMParser().parseFromString(html, "text/html").getElementById("write-card");
  store.drop(sent.name);
  sent.root.replaceWith(next);
  if (sent.corrects) history.replaceState(null, "", desk.dataset.at);
  document.getElementById("done-today").textContent = next.dataset.done;
  document.getElementById("left").textContent = next.dataset.left;
  bind(next, { focus: matchMedia("(hover: hover)").matches });
  window.scrollTo(0, 0); // where the page itself scrolls, begin with the conversation
}

function refuse(status, html) {
  const answer = new DOMParser().parseFromString(html, "text/html");
  const said = answer.querySelector("#error strong, .note-text")?.textContent.trim();
  if (status === 401) complain(words.signed_out);
  else complain(said || fill(words.failed, { status }), status === 404 || status === 409);
}

function complain(text, over = false) {
  const box = sheet.form.querySelector(".note");
  box.querySelector(".note-text").textContent = text;
  box.querySelector("a").hidden = !over;
  box.hidden = false;
}

function noticeGuidelines() {
  const shown = document.getElementById("guidelines")?.dataset.version ?? "0";
  if (sheet.corrects || Number(sheet.form.dataset.guideline) <= Number(shown)) return;
  complain(words.guidelines, true);
}

/* Deliver what an earlier page could not, and forget drafts that nobody comes back to. */
async function deliverOld() {
  for (const name of store.names()) {
    const draft = store.get(name);
    if (!draft || Date.now() - draft.at > KEPT_MS) store.drop(name);
    else if (draft.pending && name !== sheet?.name) await deliver(name, draft.pending);
  }
}

async function deliver(name, pending) {
  try {
    const answer = await post(pending.url, new URLSearchParams(pending.fields));
    if (answer.ok) say(words.delivered);
    // A conflict means that the reply is there already, or that another took its place.
    if (answer.ok || answer.status === 409) store.drop(name);
  } catch {
    // It waits for the next time.
  }
}

/* --- the preview ------------------------------------------------------------------------------- */

const button = () => sheet.form.querySelector("[data-act=preview]");
const previewing = () => button().getAttribute("aria-pressed") === "true";

function showText() {
  if (!sheet || !previewing()) return;
  sheet.text.hidden = false;
  sheet.shown.hidden = true;
  button().setAttribute("aria-pressed", "false");
}

async function togglePreview() {
  if (previewing()) {
    showText();
    write();
    return say(words.hidden);
  }
  const about = sheet;
  const fields = new URLSearchParams({ text: sheet.text.value });
  try {
    const answer = await post(`${desk.dataset.at}preview/`, fields);
    const html = await answer.text();
    if (sheet !== about) return;
    if (!answer.ok) return refuse(answer.status, html);
    const piece = new DOMParser().parseFromString(html, "text/html").getElementById("write-preview");
    sheet.shown.replaceChildren(piece);
    sheet.shown.hidden = false;
    sheet.text.hidden = true;
    button().setAttribute("aria-pressed", "true");
    sheet.shown.focus();
    say(words.shown);
  } catch {
    if (sheet === about) complain(words.offline);
  }
}

/* --- keys and clicks --------------------------------------------------------------------------- */

const typing = (target) =>
  target.isContentEditable || target.matches("textarea, select, input:not([type=radio], [type=checkbox])");

function onKey(event) {
  if (event.isComposing || !sheet || document.querySelector(":popover-open")) return;
  const { key, code, target } = event;
  const [control, alt] = [event.ctrlKey || event.metaKey, event.altKey];
  if (key === "Enter" && control) event.repeat || submit();
  else if (code === "KeyP" && alt && !control) togglePreview();
  else if (key === "Escape" && target === sheet.text) leaveText();
  else if (control || alt || typing(target) || !act(key)) return;
  event.preventDefault();
}

function leaveText() {
  sheet.form.querySelector(".talk").focus();
  say(words.outside);
}

/* Do what a single key asks; return whether it asked for anything. */
function act(key) {
  const deeds = {
    e: () => (showText(), write()),
    p: togglePreview,
    s: () => document.getElementById("skip")?.showPopover(),
    g: foldGuidelines,
    u: () => sheet.form.querySelector("[data-act=correct]")?.click(),
    "?": () => document.getElementById("keys").showPopover(),
  };
  const deed = deeds[key.toLowerCase()];
  deed?.();
  return Boolean(deed);
}

function foldGuidelines() {
  const aside = document.getElementById("guidelines");
  if (!aside) return;
  const details = aside.querySelector("details");
  details.open = !details.open;
  if (details.open) aside.focus();
  store.put(FOLDED, !details.open);
}

function onClick(event) {
  const link = event.target.closest(".prose a");
  if (link) link.target = "_blank"; // reading on must not take the text away
  if (!sheet) return;
  if (event.target.closest("[data-act=preview]")) {
    event.preventDefault();
    togglePreview();
  } else if (event.target.closest("[data-act=guidelines]")) {
    document.querySelector("#guidelines details").open = true; // then the link leads there
  }
}

function onSubmit(event) {
  if (!sheet) return;
  event.preventDefault();
  if (event.target === sheet.form) return submit();
  event.target.closest("[popover]").hidePopover();
  send(event.target);
}

document.addEventListener("keydown", onKey);
document.addEventListener("click", onClick);
document.addEventListener("visibilitychange", onHide);
page.addEventListener("input", onInput);
page.addEventListener("submit", onSubmit);
setInterval(renew, RENEW_EVERY_MS);

const details = document.querySelector("#guidelines details");
if (details && store.get(FOLDED)) details.open = false;
details?.addEventListener("toggle", () => store.put(FOLDED, !details.open));
bind(document.getElementById("write-card"), { focus: matchMedia("(hover: hover)").matches });
if (store.get(sheet?.name)?.pending) submit();
deliverOld();
