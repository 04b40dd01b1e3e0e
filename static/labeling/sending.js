/* Sending, and which card comes next.

   A card that is submitted goes to the outbox; the next one, which the server leased ahead, takes
   its place at once, and the answer brings the one after it. */

import {
  bind, card, complain, choose, fill, formIn, heard, letter, missing, note, rating, say, stage, words,
} from "./card.js";
import { clock, deliver, forgetDraft, outbox, post, saidOf, saveDraft, worked } from "./work.js";

const RENEW_EVERY_MS = 30_000;
const LOOK_EVERY_MS = 15_000;
const PIECE = { headers: { "HX-Request": "true" } };

const page = document.querySelector(".compare");
const desk = document.querySelector(".desk");
const unsent = document.getElementById("unsent");
const cardIn = (html) => new DOMParser().parseFromString(html, "text/html").getElementById("compare-card");

let ahead = null; // the next card's element, leased already
let asked = null; // the card for which the next one was asked for in vain
let set = null; // the card that waits while an old judgement is looked at
let back = 0; // how many judgements back the one on the page is

/* --- sending ---------------------------------------------------------------------------------- */

export function submit(verdict = "") {
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

export function skip(form) {
  form.closest("[popover]").hidePopover();
  send({ url: form.action, fields: String(new URLSearchParams(new FormData(form))), uid: card.uid, skips: true });
}

/* Keep it, show the next card where one is there already, and send. */
function send(item) {
  saveDraft(card.form, card.events); // until the server has it: a refusal brings it back
  outbox.add(item);
  if (!item.skips && worked(clock.total)) document.getElementById("break").hidden = false;
  const told = item.skips ? words.skipped : words.submitted;
  if (ahead && !item.revises) {
    showAhead();
    say(`${told} ${heard()}`);
  } else {
    wait();
    if (!item.revises) say(told);
  }
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
  if (card && outbox.has(card.uid) && !card.form.dataset.revises) wait();
  window.scrollTo(0, 0); // where the page itself scrolls, begin with the conversation
}

const shownUid = () => (set ?? card)?.uid ?? null;
export const deliverNow = () => deliver(shownUid, { taken, refused, held });

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
    if (document.activeElement === document.body) choose(card.cursor); // the wait took the focus
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

/* Ask for the card behind this one, once, where no answer brought it. */
async function requestAhead() {
  if (!card || ahead || set || asked === card.uid || outbox.all().length) return;
  asked = card.uid;
  try {
    const answer = await fetch(`${desk.dataset.at}ahead/?behind=${asked}`, PIECE);
    if (answer.ok && !outbox.all().length) takeIn(cardIn(await answer.text()), null);
  } catch {
    // The next submit will bring it.
  }
}

/* Where nothing was left, look again: a lease may have run out, or a policy's samples come in. */
export async function lookAgain() {
  if (card || document.hidden || outbox.all().length) return;
  try {
    const answer = await fetch(desk.dataset.at, PIECE);
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

export async function goBack() {
  if (outbox.all().length) await deliverNow();
  try {
    const answer = await fetch(`${desk.dataset.at}back/?n=${back + 1}`, PIECE);
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
export function leaveRevision() {
  if (!set) return false;
  const waiting = set.root;
  [set, back] = [null, 0];
  page.classList.remove("back");
  show(waiting);
  return true;
}

/* Begin with the card that came with the page. */
export function begin() {
  const { back: wanted } = desk.dataset;
  bind(document.getElementById("compare-card"), { focus: matchMedia("(hover: hover)").matches });
  if (card && outbox.has(card.uid)) wait();
  if (outbox.all().length) deliverNow();
  else requestAhead();
  unsentCount({ stays: true });
  setInterval(renew, RENEW_EVERY_MS);
  setInterval(lookAgain, LOOK_EVERY_MS);
  if (wanted) {
    back = Number(wanted) - 1;
    goBack();
  }
}
