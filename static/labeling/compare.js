/* The ranking page: what keys, clicks and dragging do to the card. Without this script its form
   works by itself. */

import {
  card, changed, choose, flag, flagged, letter, line, markCurrent, note, pick, place,
  placeByKey, rate, rateByKey, rating, say, stage, unplaced, words,
} from "./card.js";
import * as reading from "./reading.js";
import { begin, deliverNow, goBack, leaveRevision, lookAgain, skip, submit } from "./sending.js";
import { forgetOldDrafts, post, rested } from "./work.js";

const QUALITIES = 7;

const page = document.querySelector(".compare");
const desk = document.querySelector(".desk");

/* --- keys ------------------------------------------------------------------------------------- */

const OPENERS = { s: "skip", x: "unrankable", m: "comment", w: "own", "?": "keys" };
const SURE = ["j", "k", "l"];
const DEEDS = {
  u: goBack,
  c: () => page.classList.toggle("talk-open"),
  g: toggleGuidelines,
  v: () => say(reading.nextLayout()),
  f: () => (reading.toggleFull(), choose(card.cursor)),
  d: showDifferences,
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
  if (card && !card.form.inert ? act(event) : whileWaiting(event)) event.preventDefault();
}

/* With nothing on the page to be ranked two keys remain: send again what waits, and go back. */
function whileWaiting({ key, repeat }) {
  if (repeat) return false;
  if (key === "Enter" && card) return deliverNow(), true;
  return key.toLowerCase() === "u" && (goBack(), true);
}

/* Do what a key asks; return whether the browser's own meaning must be kept out. */
function act(event) {
  const { key, code, target, repeat, shiftKey } = event;
  const digit = /^Digit[0-9]$/.test(code) || /^[0-9]$/.test(key) ? Number((code.match(/\d$/) ?? [key])[0]) : null;
  if (digit !== null && shiftKey && /^Digit/.test(code)) return repeat || flag(digit);
  if (digit !== null) return repeat || byDigit(digit);
  if (key === "Backspace" || key === "Delete") return byDigit(0);
  if (key.startsWith("Arrow") && target.closest(".line, .confidence")) return false; // as in any such group
  if (key === "ArrowLeft" || key === "ArrowRight") return sideways(target, key === "ArrowRight" ? 1 : -1);
  if (key === "ArrowUp" || key === "ArrowDown") return scroll(target, key === "ArrowDown" ? 1 : -1);
  if (key === "Enter" && !shiftKey && !target.closest("button, a, summary")) return repeat || (submit(), true);
  if (key === "Escape") return leaveGuidelines() || reading.leaveFull() || reading.leaveDiff() || leaveRevision();
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
  if (opened) note(`r${key}`, card.cursor);
  opened?.showPopover();
  return Boolean(opened);
}

async function showDifferences() {
  const reply = letter(card.cursor);
  say((await reading.toggleDiff(card.cursor)) ? words.diff_on : words.diff_off, { reply });
}

/* A table or formula that has the focus is scrolled as far as it goes; else, the next reply. */
function sideways(target, by) {
  if (target.matches(".scroll")) {
    const from = target.scrollLeft;
    target.scrollBy({ left: by * 80 });
    if (target.scrollLeft !== from) return true;
  }
  step(by);
  return true;
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

function leaveGuidelines() {
  const aside = document.getElementById("guidelines");
  if (!aside || aside.hidden) return false;
  toggleGuidelines();
  return true;
}

/* Where they cover the page, going on from them by Tab folds them: nobody works on what is hidden. */
function onLeave({ target, relatedTarget }) {
  const aside = target.closest(".guidelines");
  if (!aside || !relatedTarget || aside.contains(relatedTarget)) return;
  if (getComputedStyle(aside).position !== "fixed") return;
  aside.hidden = true;
  document.querySelector('.bar [data-act="guidelines"]').setAttribute("aria-expanded", false);
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
page.addEventListener("focusout", onLeave);
page.addEventListener("submit", onSubmit);
page.addEventListener("input", onInput);
addEventListener("online", deliverNow);
document.addEventListener("visibilitychange", () => document.hidden || (deliverNow(), lookAgain()));
addEventListener("pagehide", () => card && !card.form.inert && changed());
forgetOldDrafts();
begin();
