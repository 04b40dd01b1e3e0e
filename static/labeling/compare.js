/* The ranking page: keys, clicks and dragging over one form that also works without this script.

   The form's own fields are the only truth about what was said. Badges, chips in lanes and the
   count are drawn from them. A card that is submitted goes to the outbox; the next one, which the
   server leased ahead, takes its place at once, and the answer brings the one after it. */

import * as reading from "./reading.js";
import {
  clock, deliver, draftOf, forgetDraft, forgetOldDrafts, outbox, post, rested, say as fillIn, saidOf,
  saveDraft, worked,
} from "./work.js";

const MAX_EVENTS = 1500;
const RENEW_EVERY_MS = 30_000;
const LOOK_EVERY_MS = 15_000;
const QUALITIES = 7;

const page = document.querySelector(".compare");
const desk = document.querySelector(".desk");
const words = JSON.parse(document.getElementById("compare-words").textContent);
const live = document.getElementById("say");
const unsent = document.getElementById("unsent");
const letter = (position) => String.fromCharCode(65 + position);

let card = null; // what is bound now; null when nothing is left
let ahead = null; // the next card's element, leased already
let asked = null; // the card for which the next one was asked for in vain
let set = null; // the card that waits while an old judgement is looked at
let back = 0; // how many judgements back the one on the page is

const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
const say = (sentence, values = {}) => (live.textContent = fill(sentence, values));
const cardIn = (html) => new DOMParser().parseFromString(html, "text/html").getElementById("compare-card");
const formIn = (root) => root?.querySelector("form.sheet") ?? null;

/* --- the card ------------------------------------------------------------------------------- */

function bind(root, { focus = true } = {}) {
  const form = formIn(root);
  card = form && {
    root,
    form,
    uid: form.dataset.uid,
    isPair: form.dataset.kind === "pair",
    candidates: [...form.querySelectorAll(".candidate")],
    chips: [...form.querySelectorAll(".chip")],
    lanes: [...form.querySelectorAll("[data-lane]")],
    cursor: 0, // the position that keys speak to
    events: [],
    leaseEnds: (root.cameAt ?? Date.now()) + 1000 * form.dataset.leaseS,
  };
  if (!card) {
    root.querySelector(".nothing-left").focus();
    return say(words.empty);
  }
  clock.restart(0);
  const restored = restore();
  if ("rated" in form.dataset) stage(isRated() ? "rank" : "rate", { quietly: true });
  draw();
  reading.read(card);
  const [talk, turn] = [form.querySelector(".talk"), form.querySelector(".turn:last-child")];
  talk.scrollTop = turn.offsetTop - talk.offsetTop - 14;
  focus ? choose(0) : markCurrent();
  say(restored ? words.draft : words.card, { count: card.candidates.length });
  if (outbox.has(card.uid) && !form.dataset.revises) wait();
}

/* Put back what was said before: by a draft, or by the judgement that is being changed. */
function restore() {
  const said = card.root.querySelector(".said");
  if (said) fillIn(card.form, JSON.parse(said.textContent));
  const draft = draftOf(card.form);
  if (!draft?.said?.length) return false;
  fillIn(card.form, draft.said);
  card.form.elements.key.value = draft.key;
  card.events = draft.events;
  clock.restart(draft.active);
  return true;
}

const all = (selector, position) => [...card.candidates[position].querySelectorAll(selector)];
const radios = (position) => all(".rank input", position);
const qualities = (position) => all(".quality input", position);
const picked = (list) => list.find((radio) => radio.checked);
const line = () => [...card.form.querySelectorAll(".line input")];
const ranks = () => card.candidates.map((_, position) => Number(picked(radios(position))?.value ?? 0));
const positions = () => card.candidates.map((_, position) => position);
const unplaced = () => (card.isPair ? [] : positions().filter((position) => !picked(radios(position))));
const unrated = () =>
  "rated" in card.form.dataset ? positions().filter((position) => !picked(qualities(position))) : [];
const isRated = () => !unrated().length;
const rating = () => card.form.dataset.stage === "rate";

/* The element of a candidate that takes the focus: one Tab stop each. */
function spot(position) {
  const list = rating() ? qualities(position) : radios(position);
  return picked(list) ?? list[0] ?? card.candidates[position].querySelector(".prose");
}

function note(code, position) {
  clock.tick();
  if (card.events.length < MAX_EVENTS) card.events.push([Math.round(clock.total), code, position]);
}

function changed() {
  const passing = card.form.querySelector(".note[data-passing]");
  if (passing) passing.hidden = true;
  draw();
  if (saidOf(card.form).length) saveDraft(card.form, card.events);
  else forgetDraft(card.form);
}

function place(position, rank, how) {
  for (const radio of radios(position)) radio.checked = Number(radio.value) === rank;
  note(how + rank, position);
  changed();
  announce(position, rank);
}

function announce(position, rank) {
  const others = ranks().flatMap((r, p) => (rank && r === rank && p !== position ? [letter(p)] : []));
  const sentence = !rank ? words.unplaced : others.length ? words.tied : words.placed;
  const rest = rank && !unplaced().length ? ` ${words.ready}` : "";
  say(sentence + rest, { reply: letter(position), rank, others: others.join(", ") });
}

function draw() {
  if (!card.isPair) drawRanks();
  for (const position of positions()) {
    for (const radio of qualities(position)) radio.tabIndex = radio === spot(position) ? 0 : -1;
  }
  for (const opener of card.form.querySelectorAll("[data-mark]")) {
    const filled = card.form.elements[opener.dataset.mark]?.value.trim();
    opener.classList.toggle("filled", Boolean(filled));
  }
  const done = card.candidates.length - (rating() ? unrated() : unplaced()).length;
  const sentence = rating() ? words.rated : words.count;
  const count = card.isPair && !rating() ? "" : fill(sentence, { placed: done, count: card.candidates.length });
  card.form.querySelector(".count").textContent = count;
  card.form.querySelector("[data-submit]").setAttribute("aria-disabled", Boolean(missing()));
}

function drawRanks() {
  const now = ranks();
  now.forEach((rank, position) => {
    const tied = rank && now.filter((r) => r === rank).length > 1;
    const badge = card.candidates[position].querySelector(".rank-badge");
    badge.textContent = rank ? rank + (tied ? "=" : "") : "";
    badge.dataset.rank = rank;
    const list = radios(position);
    const stop = picked(list) ?? list[0]; // one Tab stop a candidate, placed or not
    for (const radio of list) radio.tabIndex = radio === stop ? 0 : -1;
  });
  for (const lane of card.lanes) {
    const inside = card.chips.filter((_, p) => now[p] === Number(lane.dataset.lane));
    lane.querySelector(".chips").replaceChildren(...inside);
  }
}

/* Move to a candidate: it takes the focus, and the digits speak to it. */
function choose(position) {
  card.cursor = position;
  markCurrent();
  spot(position).focus({ preventScroll: true });
  card.candidates[position].scrollIntoView({ block: "nearest", inline: "nearest" });
}

function markCurrent() {
  for (const list of [card.candidates, card.chips]) {
    list.forEach((element, position) => element.toggleAttribute("data-current", position === card.cursor));
  }
}

const nextOf = (rest) => rest.find((position) => position > card.cursor) ?? rest[0];

function placeByKey(rank) {
  place(card.cursor, rank, "k");
  const rest = unplaced();
  choose(rank && rest.length ? nextOf(rest) : card.cursor);
}

function pick(radio, code) {
  if (!radio) return false;
  radio.checked = true;
  note(code + radio.value, 0);
  changed();
  say(words.chosen, { label: radio.closest("label").title || radio.closest("label").innerText });
  return true;
}

/* --- ratings, before the ranks (InstructGPT) ----------------------------------------------------- */

function stage(name, { quietly = false } = {}) {
  card.form.dataset.stage = name;
  card.form.querySelector("[data-stage]").setAttribute("aria-pressed", name === "rate");
  if (quietly) return;
  draw();
  choose(name === "rate" ? (unrated()[0] ?? card.cursor) : (unplaced()[0] ?? 0));
  say(name === "rate" ? words.stage_rate : words.stage_rank);
}

function rate(position, quality, how) {
  for (const radio of qualities(position)) radio.checked = Number(radio.value) === quality;
  note(`${how}q${quality}`, position);
  changed();
  say(words.quality, { reply: letter(position), quality });
}

function rateByKey(quality) {
  rate(card.cursor, quality, "k");
  const rest = unrated();
  if (quality && !rest.length) stage("rank");
  else choose(quality ? nextOf(rest) : card.cursor);
}

function flag(number) {
  const box = all(".flag input", card.cursor)[number - 1];
  if (!box) return false;
  box.checked = !box.checked;
  flagged(box);
  return true;
}

function flagged(box) {
  note(`f${box.checked ? "+" : "-"}${box.value}`, card.cursor);
  changed();
  say(box.checked ? words.flag_on : words.flag_off, { flag: box.closest("label").innerText });
}

/* --- sending ---------------------------------------------------------------------------------- */

/* What still has to be said before a submit: the sentence, and where to go; null when nothing. */
function missing() {
  if (unrated().length) return { text: words.missing_ratings, at: unrated(), stage: "rate" };
  if (card.isPair && !picked(line())) return { text: words.missing_line, at: [] };
  if (unplaced().length) return { text: words.missing, at: unplaced(), stage: "rank" };
  const sure = [...card.form.querySelectorAll(".confidence input")];
  if (sure.length && !picked(sure)) return { text: words.missing_confidence, at: [] };
  return null;
}

function submit(verdict = "") {
  if (card.form.inert) return deliverNow(); // submitted before, and still on its way
  const lacks = verdict === "unrankable" ? null : missing();
  if (lacks && !(verdict === "both_bad" && lacks.stage !== "rate")) {
    if (lacks.stage && lacks.stage !== (rating() ? "rate" : "rank")) stage(lacks.stage);
    if (lacks.at.length) choose(lacks.at[0]);
    const text = fill(lacks.text, { replies: lacks.at.map(letter).join(", ") });
    return complain(text, { passing: true });
  }
  note("s", 0);
  const said = saidOf(card.form);
  card.form.elements.active_ms.value = Math.round(clock.total);
  card.form.elements.events.value = JSON.stringify(card.events);
  const fields = new URLSearchParams(new FormData(card.form));
  if (verdict !== "unrankable") fields.delete("unrankable_reason");
  if (verdict) fields.set("verdict", verdict);
  const revises = card.form.dataset.revises;
  send({ url: card.form.action, fields: String(fields), uid: revises ?? card.uid, said, revises });
}

function skip(form) {
  form.closest("[popover]").hidePopover();
  send({ url: form.action, fields: String(new URLSearchParams(new FormData(form))), uid: card.uid, skips: true });
}

/* Keep it, show the next card where one is there already, and send. */
function send(item) {
  saveDraft(card.form, card.events); // until the server has it: a refusal brings it back
  outbox.add(item);
  if (!item.skips && worked(clock.total)) document.getElementById("break").hidden = false;
  if (item.revises) wait();
  else if (ahead) showAhead();
  else wait();
  unsentCount();
  deliverNow();
}

function wait() {
  card.form.inert = true;
  page.setAttribute("aria-busy", "true");
}

function showAhead() {
  const next = ahead;
  ahead = null;
  show(next);
}

function show(next) {
  card?.root.isConnected ? card.root.replaceWith(next) : document.getElementById("compare-card").replaceWith(next);
  page.removeAttribute("aria-busy");
  bind(next);
  window.scrollTo(0, 0); // where the page itself scrolls, begin with the conversation
}

const shownUid = () => (set ?? card)?.uid ?? null;
const deliverNow = () => deliver(shownUid, { taken, refused, held });

function taken(item, html) {
  const next = cardIn(html);
  forgetItsDraft(item);
  const today = document.getElementById("done-today");
  if (!item.skips && !item.revises) today.textContent = next?.dataset.done || Number(today.textContent) + 1;
  unsentCount();
  if (item.revises) {
    if (card?.form.dataset.revises === item.uid) leaveRevision();
    return say(words.revised);
  }
  takeIn(next, item.uid);
}

/* A card came: it is the next one to show, or the one behind what is on the page. */
function takeIn(next, judged) {
  if (!next) return;
  next.cameAt = Date.now();
  const isShown = formIn(next) && shownUid() === formIn(next).dataset.uid;
  if (shownUid() === judged && !set) show(next);
  else if (formIn(next) && !isShown) ahead = next;
  requestAhead();
}

function forgetItsDraft(item) {
  const form = document.createElement("form");
  Object.assign(form.dataset, item.revises ? { revises: item.uid } : { uid: item.uid });
  forgetDraft(form);
}

/* The server won't have it. What was said is still the draft of its card. */
function refused(item, status, html) {
  unsentCount();
  if (item.skips && status === 409) return;
  const answer = new DOMParser().parseFromString(html, "text/html");
  const said = answer.querySelector("#error strong, .note-text")?.textContent.trim();
  const isShown = card && (card.form.dataset.revises ?? card.uid) === item.uid;
  if (isShown) {
    card.form.inert = false;
    page.removeAttribute("aria-busy");
  }
  const over = status === 404 || status === 409;
  complain(said || fill(words.failed, { status }), { over: over || !isShown });
}

function held(status) {
  const text = { null: words.offline, 401: words.signed_out }[status] ?? fill(words.failed, { status });
  complain(text, { held: true });
  unsentCount({ stays: true });
}

/* Tell how much is on its way; the words come only where it stays. */
function unsentCount({ stays = false } = {}) {
  const count = outbox.all().length;
  desk.dataset.unsent = count;
  unsent.hidden = !count || (!stays && unsent.hidden);
  unsent.textContent = count ? fill(words.unsent, { count }) : "";
  const box = card?.form.querySelector(".note[data-held]");
  if (!count && box) box.hidden = true;
}

/* Say what is wrong: above the dock, or where nothing is left to rank, in the header. */
function complain(text, { over = false, passing = false, held = false } = {}) {
  say(text);
  if (!card) return;
  const box = card.form.querySelector(".note");
  box.querySelector(".note-text").textContent = text;
  box.querySelector("a").hidden = !over;
  box.toggleAttribute("data-passing", passing);
  box.toggleAttribute("data-held", held);
  box.hidden = false;
}

/* Ask for the card behind this one, once, where no answer brought it. */
async function requestAhead() {
  if (!card || ahead || set || asked === card.uid || outbox.all().length) return;
  asked = card.uid;
  try {
    const answer = await fetch(`${desk.dataset.at}ahead/?behind=${asked}`, { headers: { "HX-Request": "true" } });
    if (answer.ok && !outbox.all().length) takeIn(cardIn(await answer.text()), null);
  } catch {
    // The next submit will bring it.
  }
}

/* Where nothing was left, look again: a lease may have run out, or a policy's samples come in. */
async function lookAgain() {
  if (card || document.hidden || outbox.all().length) return;
  try {
    const answer = await fetch(desk.dataset.at, { headers: { "HX-Request": "true" } });
    const next = answer.ok && cardIn(await answer.text());
    if (!card && formIn(next)) show(next);
  } catch {
    // It is looked again soon.
  }
}

async function renew() {
  const wanted = card && !card.form.dataset.revises && Date.now() > card.leaseEnds - 500 * card.form.dataset.leaseS;
  if (!wanted || clock.isIdle(RENEW_EVERY_MS)) return;
  const about = card;
  try {
    const fields = new URLSearchParams({ assignment: about.uid });
    const answer = await post(`${desk.dataset.at}renew/`, fields);
    if (card !== about) return;
    if (answer.ok) about.leaseEnds = Date.now() + 1000 * about.form.dataset.leaseS;
    else if (answer.status === 409) complain(words.lost);
  } catch {
    // Offline: the submit will say so, and the next turn of the timer tries again.
  }
}

/* --- going back --------------------------------------------------------------------------------- */

async function goBack() {
  if (outbox.all().length) await deliverNow();
  try {
    const answer = await fetch(`${desk.dataset.at}back/?n=${back + 1}`, { headers: { "HX-Request": "true" } });
    if (!answer.ok) return complain(words.no_further, { passing: true });
    const old = cardIn(await answer.text());
    if (!back) set = card ?? { root: document.getElementById("compare-card") };
    back += 1;
    page.classList.add("back");
    show(old);
    say(words.back, { count: back });
  } catch {
    complain(words.offline, { passing: true });
  }
}

/* Return from an old judgement to the card that waited. */
function leaveRevision() {
  if (!set) return false;
  const waiting = set.root;
  [set, back] = [null, 0];
  page.classList.remove("back");
  show(waiting);
  return true;
}

/* --- keys ------------------------------------------------------------------------------------- */

const OPENERS = { s: "skip", x: "unrankable", m: "comment", w: "own", "?": "keys" };
const SURE = ["j", "k", "l"];
const DEEDS = {
  u: goBack,
  c: () => page.classList.toggle("talk-open"),
  g: toggleGuidelines,
  v: () => say(reading.nextLayout()),
  f: () => (reading.toggleFull(), choose(card.cursor)),
  d: () => say(reading.toggleDiff(card.cursor) ? words.diff_on : words.diff_off, { reply: letter(card.cursor) }),
  y: () => reading.toggleTogether(),
  r: () => reading.toggleRaw(),
  t: () => card.form.querySelector("[data-stage]") && stage(rating() ? "rank" : "rate"),
};
const ACTS = { back: "u", layout: "v", full: "f", diff: "d", raw: "r", together: "y", guidelines: "g" };
const typing = (target) =>
  target.isContentEditable || target.matches("textarea, select, input:not([type=radio], [type=checkbox])");

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (typing(event.target) || document.querySelector(":popover-open")) return;
  if (card && !card.form.inert ? act(event) : event.key.toLowerCase() === "u" && !event.repeat && (goBack(), true)) {
    event.preventDefault();
  }
}

/* Do what a key asks; return whether the browser's own meaning must be kept out. */
function act(event) {
  const { key, code, target, repeat, shiftKey } = event;
  const digit = /^Digit[0-9]$/.test(code) || /^[0-9]$/.test(key) ? Number((code.match(/\d$/) ?? [key])[0]) : null;
  if (digit !== null && shiftKey && /^Digit/.test(code)) return repeat || flag(digit);
  if (digit !== null) return repeat || byDigit(digit);
  if (key === "Backspace" || key === "Delete") return byDigit(0);
  if (key === "ArrowLeft" || key === "ArrowRight") return step(key === "ArrowRight" ? 1 : -1), true;
  if (key === "ArrowUp" || key === "ArrowDown") return scroll(target, key === "ArrowDown" ? 1 : -1);
  if (key === "Enter" && !shiftKey && !target.closest("button, a, summary")) return repeat || (submit(), true);
  if (key === "Escape") return reading.leaveFull() || reading.leaveDiff() || leaveRevision();
  return byLetter(key.toLowerCase(), repeat);
}

function byDigit(digit) {
  if (rating()) return digit <= QUALITIES && (rateByKey(digit), true);
  if (card.isPair) {
    if (digit) return pick(line().filter((radio) => radio.value !== "both_bad")[digit - 1], "k");
    for (const radio of line()) radio.checked = false;
    return note("k0", 0), changed(), true;
  }
  return digit <= card.candidates.length && (placeByKey(digit), true);
}

function byLetter(key, repeat) {
  if (card.isPair && key === "b") return pick(line().find((radio) => radio.value === "both_bad"), "k");
  const sure = SURE.indexOf(key);
  if (sure >= 0) return pick(card.form.querySelector(`.confidence input[value="${sure + 1}"]`), "c");
  if (DEEDS[key]) {
    if (repeat) return true;
    note(`r${key}`, card.cursor);
    DEEDS[key]();
    return true;
  }
  const opened = document.getElementById(OPENERS[key]);
  opened?.showPopover();
  return Boolean(opened);
}

function step(by) {
  const position = Math.min(Math.max(card.cursor + by, 0), card.candidates.length - 1);
  note("f", position);
  choose(position);
}

function scroll(target, direction) {
  if (target.closest(".talk, .guidelines")) return false; // the browser scrolls these itself
  const reply = card.candidates[card.cursor];
  const box = reply.scrollHeight > reply.clientHeight ? reply : document.scrollingElement;
  box.scrollBy({ top: direction * 80 });
  return true;
}

/* --- guidelines beside the work ------------------------------------------------------------------ */

function toggleGuidelines() {
  const aside = document.getElementById("guidelines");
  if (!aside) return;
  const button = document.querySelector('.bar [data-act="guidelines"]');
  aside.hidden = !aside.hidden;
  button.setAttribute("aria-expanded", !aside.hidden);
  if (aside.hidden) return card && choose(card.cursor);
  aside.focus();
  const isNew = button.querySelector(".changed");
  if (isNew.hidden) return;
  isNew.hidden = true;
  post(`${desk.dataset.at}guideline/`, new URLSearchParams({ version: aside.dataset.version })).catch(
    () => (isNew.hidden = false), // told again the next time
  );
}

/* --- pointer ------------------------------------------------------------------------------------ */

function onDown(event) {
  const handle = event.target.closest("[data-drag]");
  if (!handle || !card || card.isPair || event.button) return;
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
  const { target } = event;
  const doer = target.closest("[data-act]");
  if (doer) return press(doer.dataset.act);
  if (!card) return;
  const link = target.closest(".prose a");
  if (link) link.target = "_blank"; // reading on must not take the ranking away
  if (target.closest("[data-return]") && leaveRevision()) return event.preventDefault();
  if (target.closest("[data-stage]:not(form)")) return stage(rating() ? "rank" : "rate");
  const copied = target.closest("[data-copy]");
  if (copied) return copyReply(Number(copied.dataset.copy));
  const lane = target.closest(".lane");
  if (lane && !target.closest("[data-drag]")) {
    place(card.cursor, Number(lane.dataset.lane), "l");
    choose(unplaced()[0] ?? card.cursor);
  } else pickByClick(target);
}

function press(act) {
  if (act === "break") {
    rested();
    document.getElementById("break").hidden = true;
  } else if (card || act === "back" || act === "guidelines") DEEDS[ACTS[act]]();
}

/* A click on a radio button that was chosen already takes it back. */
function pickByClick(target) {
  const rank = target.closest(".rank input");
  const quality = target.closest(".quality input");
  if (rank || quality) {
    const position = Number((rank ?? quality).name.split("-")[1]); // the focus is there already
    const again = (rank ?? quality).dataset.was === "yes";
    const value = again ? 0 : Number((rank ?? quality).value);
    rank ? place(position, value, "c") : rate(position, value, "c");
  }
  const other = target.closest(".line input, .confidence input");
  if (other) pick(other, "c");
  const box = target.closest(".flag input");
  if (box) flagged(box);
}

/* A click says only what is chosen now; what was, is noted as it begins. */
function noteWhatWas({ target }) {
  const radio = target.closest?.("label")?.querySelector(".rank input, .quality input");
  if (radio) radio.dataset.was = radio.checked ? "yes" : "no";
}

function copyReply(position) {
  const text = JSON.parse(card.root.querySelector(".texts").textContent).replies[position];
  const area = card.form.elements.own_text;
  area.value = area.value.trim() ? `${area.value}\n\n${text}` : text;
  area.focus();
  changed();
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
  event.submitter?.closest("[popover]")?.hidePopover();
  if (event.target === card.form) submit(event.submitter?.value ?? "");
  else skip(event.target);
}

function onInput({ target }) {
  if (card && target.matches("textarea")) changed();
}

document.addEventListener("keydown", onKey);
document.addEventListener("click", onClick);
page.addEventListener("pointerdown", noteWhatWas);
page.addEventListener("pointerdown", onDown);
page.addEventListener("focusin", onFocus);
page.addEventListener("submit", onSubmit);
page.addEventListener("input", onInput);
addEventListener("online", deliverNow);
document.addEventListener("visibilitychange", () => document.hidden || (deliverNow(), lookAgain()));
addEventListener("pagehide", () => card && !card.form.inert && changed());
setInterval(renew, RENEW_EVERY_MS);
setInterval(lookAgain, LOOK_EVERY_MS);
forgetOldDrafts();
bind(document.getElementById("compare-card"), { focus: matchMedia("(hover: hover)").matches });
if (outbox.all().length) deliverNow();
else requestAhead();
unsentCount({ stays: true });
if (desk.dataset.back) {
  back = Number(desk.dataset.back) - 1;
  goBack();
}
