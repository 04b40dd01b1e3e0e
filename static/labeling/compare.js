/* The ranking page: keys, clicks and dragging over one form that also works without this script.

   The form's radio buttons are the only truth about the ranking. Everything else (badges, chips in
   lanes, the count) is drawn from them, and a draft of them is kept until the server has taken it. */

const IDLE_MS = 60_000;
const MAX_EVENTS = 1500;
const DRAFT_MS = 7 * 86_400_000;
const RENEW_EVERY_MS = 30_000;
const SEND_LIMIT_MS = 20_000;

const page = document.querySelector(".compare");
const words = JSON.parse(document.getElementById("compare-words").textContent);
const live = document.getElementById("say");
const letter = (position) => String.fromCharCode(65 + position);

let card = null; // what is bound now; null when nothing is left
let sending = false;

const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
const say = (sentence, values = {}) => (live.textContent = fill(sentence, values));

/* --- active time: idle beyond a minute and hidden tabs don't count ----------------------------- */

const clock = {
  total: 0,
  last: null,
  tick() {
    const now = performance.now();
    if (this.last !== null) this.total += Math.min(now - this.last, IDLE_MS);
    this.last = document.hidden ? null : now;
  },
  restart(total) {
    this.total = total;
    this.last = document.hidden ? null : performance.now();
  },
};
for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "scroll", "visibilitychange"]) {
  document.addEventListener(kind, () => clock.tick(), { passive: true, capture: true });
}

/* --- the card ------------------------------------------------------------------------------- */

function bind(root, { focus = true } = {}) {
  const form = root.querySelector("form.sheet");
  card = form && {
    root,
    form,
    candidates: [...form.querySelectorAll(".candidate")],
    chips: [...form.querySelectorAll(".chip")],
    lanes: [...form.querySelectorAll("[data-lane]")],
    cursor: 0, // the position that keys speak to
    events: [],
    leaseEnds: Date.now() + 1000 * form.dataset.leaseS,
  };
  if (!card) {
    root.querySelector(".nothing-left").focus();
    return say(words.empty);
  }
  clock.restart(0);
  const restored = restoreDraft();
  draw();
  const [talk, turn] = [form.querySelector(".talk"), form.querySelector(".turn:last-child")];
  talk.scrollTop = turn.offsetTop - talk.offsetTop - 14;
  focus ? choose(0) : markCurrent();
  say(restored ? words.draft : words.card, { count: card.candidates.length });
}

const radios = (position) => [...card.candidates[position].querySelectorAll(".rank input")];
const chosen = (position) => radios(position).find((radio) => radio.checked);
const anchor = (position) => chosen(position) ?? radios(position)[0];
const ranks = () => card.candidates.map((_, position) => Number(chosen(position)?.value ?? 0));
const unplaced = () => ranks().flatMap((rank, position) => (rank ? [] : [position]));

function note(code, position) {
  clock.tick();
  if (card.events.length < MAX_EVENTS) card.events.push([Math.round(clock.total), code, position]);
}

function place(position, rank, how) {
  for (const radio of radios(position)) radio.checked = Number(radio.value) === rank;
  note(how + rank, position);
  draw();
  saveDraft();
  announce(position, rank);
}

function announce(position, rank) {
  const others = ranks().flatMap((r, p) => (rank && r === rank && p !== position ? [letter(p)] : []));
  const sentence = !rank ? words.unplaced : others.length ? words.tied : words.placed;
  const rest = rank && !unplaced().length ? ` ${words.ready}` : "";
  say(sentence + rest, { reply: letter(position), rank, others: others.join(", ") });
}

function draw() {
  const now = ranks();
  now.forEach((rank, position) => {
    const tied = rank && now.filter((r) => r === rank).length > 1;
    const badge = card.candidates[position].querySelector(".rank-badge");
    badge.textContent = rank ? rank + (tied ? "=" : "") : "";
    badge.dataset.rank = rank;
    const stop = anchor(position); // one Tab stop a candidate, placed or not
    for (const radio of radios(position)) radio.tabIndex = radio === stop ? 0 : -1;
  });
  for (const lane of card.lanes) {
    const inside = card.chips.filter((_, p) => now[p] === Number(lane.dataset.lane));
    lane.querySelector(".chips").replaceChildren(...inside);
  }
  const placed = now.filter(Boolean).length;
  card.form.querySelector(".count").textContent = fill(words.count, { placed, count: now.length });
  card.form.querySelector("[data-submit]").setAttribute("aria-disabled", placed < now.length);
}

/* Move to a candidate: its radio group takes the focus, and the digits speak to it. */
function choose(position) {
  anchor(position).focus({ preventScroll: true });
  card.cursor = position;
  markCurrent();
  card.candidates[position].scrollIntoView({ block: "nearest", inline: "nearest" });
}

function markCurrent() {
  for (const list of [card.candidates, card.chips]) {
    list.forEach((element, position) => element.toggleAttribute("data-current", position === card.cursor));
  }
}

function placeByKey(rank) {
  const position = card.cursor;
  place(position, rank, "k");
  const rest = unplaced();
  if (rank && rest.length) choose(rest.find((p) => p > position) ?? rest[0]);
  else choose(position);
}

/* --- drafts --------------------------------------------------------------------------------- */

const draftName = () => `prefloop:${card.form.dataset.uid}`;

function saveDraft() {
  const draft = {
    ranks: ranks(),
    key: card.form.elements.key.value,
    active: Math.round(clock.total),
    events: card.events,
    at: Date.now(),
  };
  try {
    localStorage.setItem(draftName(), JSON.stringify(draft));
  } catch {
    // A full or forbidden store costs the draft, never the work on the page.
  }
}

function restoreDraft() {
  let draft = null;
  try {
    forgetOldDrafts();
    draft = JSON.parse(localStorage.getItem(draftName()));
  } catch {
    return false;
  }
  if (!draft?.ranks?.some(Boolean)) return false;
  draft.ranks.forEach((rank, position) => {
    for (const radio of radios(position)) radio.checked = Number(radio.value) === rank;
  });
  card.form.elements.key.value = draft.key;
  card.events = draft.events;
  clock.restart(draft.active);
  return true;
}

function forgetOldDrafts() {
  for (const name of Object.keys(localStorage)) {
    const kept = name.startsWith("prefloop:") && JSON.parse(localStorage.getItem(name));
    if (kept && !(kept.at > Date.now() - DRAFT_MS)) localStorage.removeItem(name);
  }
}

function forgetDraft(name) {
  try {
    localStorage.removeItem(name);
  } catch {
    // Nothing was kept there then.
  }
}

/* --- sending ---------------------------------------------------------------------------------- */

function fieldsOf(form) {
  const fields = new URLSearchParams(new FormData(form));
  const token = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];
  if (token) fields.set("csrfmiddlewaretoken", token); // a login in another tab changes it
  return fields;
}

function post(url, fields) {
  const limits = { headers: { "HX-Request": "true" }, signal: AbortSignal.timeout(SEND_LIMIT_MS) };
  return fetch(url, { method: "POST", body: fields, ...limits });
}

function submit() {
  const missing = unplaced();
  if (missing.length) {
    choose(missing[0]);
    return say(words.missing, { replies: missing.map(letter).join(", ") });
  }
  note("s", 0);
  card.form.elements.active_ms.value = Math.round(clock.total);
  card.form.elements.events.value = JSON.stringify(card.events);
  saveDraft();
  send(card.form);
}

/* Send a form of the card; its answer is the next card. What failed stays on the page and is sent
   again under the same key, so that the server stores it once. */
async function send(form) {
  if (sending) return;
  sending = true;
  const sent = card;
  try {
    const answer = await post(form.action, fieldsOf(form));
    const html = await answer.text();
    if (answer.ok) showNext(sent, html);
    else refuse(answer.status, html);
  } catch {
    complain(words.offline);
    addEventListener("online", () => card === sent && send(form), { once: true });
  } finally {
    sending = false;
  }
}

function showNext(sent, html) {
  const next = new DOMParser().parseFromString(html, "text/html").getElementById("compare-card");
  forgetDraft(`prefloop:${sent.form.dataset.uid}`);
  sent.root.replaceWith(next);
  if (next.dataset.done) document.getElementById("done-today").textContent = next.dataset.done;
  bind(next);
  window.scrollTo(0, 0); // where the page itself scrolls, begin with the conversation
}

function refuse(status, html) {
  const answer = new DOMParser().parseFromString(html, "text/html");
  const said = answer.querySelector("#error strong, .note-text")?.textContent.trim();
  if (status === 401) complain(words.signed_out);
  else complain(said || fill(words.failed, { status }), status === 404 || status === 409);
}

function complain(text, over = false) {
  const box = card.form.querySelector(".note");
  box.querySelector(".note-text").textContent = text;
  box.querySelector("a").hidden = !over;
  box.hidden = false;
}

async function renew() {
  const wanted = card && Date.now() > card.leaseEnds - 500 * card.form.dataset.leaseS;
  if (!wanted || clock.last === null || performance.now() - clock.last > RENEW_EVERY_MS) return;
  const about = card;
  try {
    const answer = await post(card.form.action.replace(/submit\/$/, "renew/"), fieldsOf(card.form));
    if (card !== about) return;
    if (answer.ok) about.leaseEnds = Date.now() + 1000 * about.form.dataset.leaseS;
    else if (answer.status === 409) complain(words.lost);
  } catch {
    // Offline: the submit will say so, and the next turn of the timer tries again.
  }
}

/* --- keys ------------------------------------------------------------------------------------- */

const OPENERS = { s: "skip", g: "guidelines", "?": "keys" };
const typing = (target) =>
  target.isContentEditable || target.matches("textarea, select, input:not([type=radio], [type=checkbox])");

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (!card || typing(event.target) || document.querySelector(":popover-open")) return;
  if (act(event)) event.preventDefault();
}

/* Do what a key asks; return whether the browser's own meaning must be kept out. */
function act({ key, target, repeat, shiftKey }) {
  const digit = /^[0-9]$/.test(key) ? Number(key) : null;
  if (digit !== null && digit <= card.candidates.length) return repeat || (placeByKey(digit), true);
  if (key === "Backspace" || key === "Delete") return placeByKey(0), true;
  if (key === "ArrowLeft" || key === "ArrowRight") return step(key === "ArrowRight" ? 1 : -1), true;
  if (key === "ArrowUp" || key === "ArrowDown") return scroll(target, key === "ArrowDown" ? 1 : -1);
  if (key === "Enter" && !shiftKey && !target.closest("button, a, summary")) return repeat || (submit(), true);
  if (key.toLowerCase() === "c") return page.classList.toggle("talk-open"), true;
  const opened = document.getElementById(OPENERS[key.toLowerCase()]);
  opened?.showPopover();
  return Boolean(opened);
}

function step(by) {
  const position = Math.min(Math.max(card.cursor + by, 0), card.candidates.length - 1);
  note("f", position);
  choose(position);
}

function scroll(target, direction) {
  if (target.closest(".talk")) return false; // the browser scrolls the conversation itself
  const reply = card.candidates[card.cursor];
  const box = reply.scrollHeight > reply.clientHeight ? reply : document.scrollingElement;
  box.scrollBy({ top: direction * 80 });
  return true;
}

/* --- pointer ------------------------------------------------------------------------------------ */

function onDown(event) {
  const handle = event.target.closest("[data-drag]");
  if (!handle || !card || event.button) return;
  event.preventDefault();
  const position = Number(handle.dataset.drag);
  card.cursor = position;
  markCurrent();
  const from = { x: event.clientX, y: event.clientY };
  const stop = new AbortController();
  let [ghost, lane] = [null, null];
  handle.setPointerCapture(event.pointerId);
  const over = (next) => {
    for (const element of card.lanes) element.classList.toggle("over", element === next);
    lane = next;
  };
  const move = ({ clientX, clientY }) => {
    if (!ghost && Math.hypot(clientX - from.x, clientY - from.y) < 6) return;
    ghost ??= makeGhost(position);
    ghost.style.translate = `${clientX}px ${clientY}px`;
    over(document.elementFromPoint(clientX, clientY)?.closest("[data-lane]") ?? null);
  };
  const end = (dropped) => {
    stop.abort();
    const target = lane;
    over(null);
    ghost?.remove();
    page.classList.remove("dragging");
    if (dropped && ghost && target) place(position, Number(target.dataset.lane), "d");
    if (dropped) choose(position);
  };
  const options = { signal: stop.signal };
  handle.addEventListener("pointermove", move, options);
  handle.addEventListener("pointerup", () => end(true), options);
  handle.addEventListener("pointercancel", () => end(false), options);
  document.addEventListener("keydown", (e) => e.key === "Escape" && end(false), options);
}

function makeGhost(position) {
  const looks = { className: "chip ghost", textContent: letter(position) };
  const ghost = Object.assign(document.createElement("span"), looks);
  page.append(ghost);
  page.classList.add("dragging");
  return ghost;
}

function onClick(event) {
  if (!card) return;
  const link = event.target.closest(".prose a");
  if (link) link.target = "_blank"; // reading on must not take the ranking away
  const radio = event.target.closest(".rank input");
  if (radio) {
    const position = Number(radio.name.slice("rank-".length)); // the focus has moved there already
    const again = card.candidates[position].querySelector(".rank-badge").dataset.rank === radio.value;
    return place(position, again ? 0 : Number(radio.value), "c"); // 0 takes it back
  }
  const lane = event.target.closest(".lane");
  if (lane && !event.target.closest("[data-drag]")) {
    place(card.cursor, Number(lane.dataset.lane), "l");
    choose(unplaced()[0] ?? card.cursor);
  }
}

function onFocus({ target }) {
  const candidate = target.closest(".candidate");
  if (!candidate || !card) return;
  card.cursor = Number(candidate.dataset.position);
  markCurrent();
}

function onSubmit(event) {
  if (!card) return;
  event.preventDefault();
  if (event.target === card.form) submit();
  else {
    event.target.closest("[popover]").hidePopover();
    send(event.target);
  }
}

document.addEventListener("keydown", onKey);
page.addEventListener("pointerdown", onDown);
page.addEventListener("click", onClick);
page.addEventListener("focusin", onFocus);
page.addEventListener("submit", onSubmit);
window.addEventListener("pagehide", () => card && ranks().some(Boolean) && saveDraft());
setInterval(renew, RENEW_EVERY_MS);
bind(document.getElementById("compare-card"), { focus: matchMedia("(hover: hover)").matches });
