/* The card on the page: what was said of it, and how that is shown.

   The form's own fields are the only truth about what was said. Badges, chips in lanes and the
   count are drawn from them. */

import * as reading from "./reading.js";
import { clock, draftOf, forgetDraft, say as fillIn, saidOf, saveDraft } from "./work.js";

const MAX_EVENTS = 1500;

const live = document.getElementById("say");
export const words = JSON.parse(document.getElementById("compare-words").textContent);
export const letter = (position) => String.fromCharCode(65 + position);
export const fill = (sentence, values) => sentence.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all);
export const say = (sentence, values = {}) => (live.textContent = fill(sentence, values));
export const heard = () => live.textContent;
export const formIn = (root) => root?.querySelector("form.sheet") ?? null;

export let card = null; // what is bound now; null when nothing is left

/* --- the card ------------------------------------------------------------------------------- */

export function bind(root, { focus = true } = {}) {
  const form = formIn(root);
  root.cameAt ??= Date.now();
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
    leaseEnds: root.cameAt + 1000 * form.dataset.leaseS,
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
export const picked = (list) => list.find((radio) => radio.checked);
export const line = () => [...card.form.querySelectorAll(".line input")];
const ranks = () => card.candidates.map((_, position) => Number(picked(radios(position))?.value ?? 0));
const positions = () => card.candidates.map((_, position) => position);
export const unplaced = () => (card.isPair ? [] : positions().filter((position) => !picked(radios(position))));
const unrated = () =>
  "rated" in card.form.dataset ? positions().filter((position) => !picked(qualities(position))) : [];
const isRated = () => !unrated().length;
export const rating = () => card.form.dataset.stage === "rate";

/* The element of a candidate that takes the focus: one Tab stop each. */
function spot(position) {
  const list = rating() ? qualities(position) : radios(position);
  return picked(list) ?? list[0] ?? card.candidates[position].querySelector(".prose");
}

export function note(code, position) {
  clock.tick();
  if (card.events.length < MAX_EVENTS) card.events.push([Math.round(clock.total), code, position]);
}

export function changed() {
  const passing = card.form.querySelector(".note[data-passing]");
  if (passing) passing.hidden = true;
  draw();
  if (saidOf(card.form).length) saveDraft(card.form, card.events);
  else forgetDraft(card.form);
}

export function place(position, rank, how) {
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
export function choose(position) {
  card.cursor = position;
  markCurrent();
  spot(position).focus({ preventScroll: true });
  card.candidates[position].scrollIntoView({ block: "nearest", inline: "nearest" });
}

export function markCurrent() {
  for (const list of [card.candidates, card.chips]) {
    list.forEach((element, position) => element.toggleAttribute("data-current", position === card.cursor));
  }
  for (const position of positions()) {
    // Tab goes through the flags of one reply, not through those of nine
    for (const box of all(".flag input", position)) box.tabIndex = position === card.cursor ? 0 : -1;
  }
}

const nextOf = (rest) => rest.find((position) => position > card.cursor) ?? rest[0];

export function placeByKey(rank) {
  place(card.cursor, rank, "k");
  const rest = unplaced();
  choose(rank && rest.length ? nextOf(rest) : card.cursor);
}

export function pick(radio, code) {
  if (!radio) return false;
  radio.checked = true;
  note(code + radio.value, 0);
  changed();
  say(words.chosen, { label: radio.closest("label").title || radio.closest("label").innerText });
  return true;
}

/* --- ratings, before the ranks (InstructGPT) ----------------------------------------------------- */

export function stage(name, { quietly = false } = {}) {
  card.form.dataset.stage = name;
  card.form.querySelector("[data-stage]").setAttribute("aria-pressed", name === "rate");
  if (quietly) return;
  draw();
  choose(name === "rate" ? (unrated()[0] ?? card.cursor) : (unplaced()[0] ?? 0));
  say(name === "rate" ? words.stage_rate : words.stage_rank);
}

export function rate(position, quality, how) {
  for (const radio of qualities(position)) radio.checked = Number(radio.value) === quality;
  note(`${how}q${quality}`, position);
  changed();
  say(words.quality, { reply: letter(position), quality });
}

export function rateByKey(quality) {
  rate(card.cursor, quality, "k");
  const rest = unrated();
  if (quality && !rest.length) stage("rank");
  else choose(quality ? nextOf(rest) : card.cursor);
}

export function flag(number) {
  const box = all(".flag input", card.cursor)[number - 1];
  if (!box) return false;
  box.checked = !box.checked;
  flagged(box);
  return true;
}

export function flagged(box) {
  note(`f${box.checked ? "+" : "-"}${box.value}`, card.cursor);
  changed();
  say(box.checked ? words.flag_on : words.flag_off, { flag: box.closest("label").innerText });
}

/* --- what is missing, and what went wrong ----------------------------------------------------------- */

/* What still has to be said before a submit: the sentence, and where to go; null when nothing. */
export function missing() {
  if (unrated().length) return { text: words.missing_ratings, at: unrated(), stage: "rate" };
  if (card.isPair && !picked(line())) return { text: words.missing_line, at: [] };
  if (unplaced().length) return { text: words.missing, at: unplaced(), stage: "rank" };
  const sure = [...card.form.querySelectorAll(".confidence input")];
  if (sure.length && !picked(sure)) return { text: words.missing_confidence, at: [] };
  return null;
}

/* Say what is wrong: above the dock, or where nothing is left to rank, in the header. */
export function complain(text, { over = false, passing = false, held = false } = {}) {
  say(text);
  if (!card) return;
  const box = card.form.querySelector(".note");
  box.querySelector(".note-text").textContent = text;
  box.querySelector("a").hidden = !over;
  box.toggleAttribute("data-passing", passing);
  box.toggleAttribute("data-held", held);
  box.hidden = false;
}

