/* Reading: lengths, raw text, layouts, one reply alone, scrolling together, differences.

   Nothing here touches what was said of a card. What a reader prefers is kept in this browser. */

const LAYOUTS = ["columns", "rows", "single"];
const PREFERENCES = "prefloop-reading";
const FOLD_WORDS = 40; // a shared beginning of fewer words is not worth folding
const WORD =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]|[\p{L}\p{N}\p{M}_]+|[^\s]/gu;
// What would not be seen, or would turn the reading order around, even in a raw text.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g;
const CAN_MARK = Boolean(globalThis.CSS?.highlights && globalThis.Highlight);

const page = document.querySelector(".compare");
const words = JSON.parse(document.getElementById("compare-words").textContent);
const button = (act) => document.querySelector(`.bar [data-act="${act}"]`);

let [card, texts, base] = [null, null, null];
let sharedWords = null; // comes with the first difference asked for
let wanted = { layout: "columns", together: false, raw: false };

try {
  wanted = { ...wanted, ...JSON.parse(localStorage.getItem(PREFERENCES)) };
} catch {
  // The layout everybody begins with.
}

function prefer(change) {
  Object.assign(wanted, change);
  try {
    localStorage.setItem(PREFERENCES, JSON.stringify(wanted));
  } catch {
    // It holds for this page then.
  }
  apply();
}

function apply() {
  page.dataset.layout = wanted.layout;
  button("raw").setAttribute("aria-pressed", wanted.raw);
  button("together").setAttribute("aria-pressed", wanted.together);
}

const prose = (position) => card.candidates[position].querySelector(".prose");

/* Take up a card that was just put on the page. */
export function read(next) {
  card = next;
  base = null;
  texts = JSON.parse(card.root.querySelector(".texts").textContent);
  unmark();
  apply();
  if (!CAN_MARK) button("diff").hidden = true;
  button("diff").setAttribute("aria-pressed", false);
  page.classList.remove("talk-open");
  texts.replies.forEach((text, position) => {
    const label = card.candidates[position].querySelector(".length");
    label.firstChild.textContent = (text.match(WORD) ?? []).filter(isWord).length;
    label.lastChild.textContent = ` ${words.length}`;
  });
  if (wanted.raw) showRaw();
}

const isWord = (token) => /[\p{L}\p{N}]/u.test(token);

/* --- raw text ---------------------------------------------------------------------------------- */

export function toggleRaw() {
  prefer({ raw: !wanted.raw });
  showRaw();
  if (base !== null) compareWith(base);
}

function showRaw() {
  const turns = [...card.form.querySelectorAll(".turn .prose")];
  const shown = [...card.candidates.map((_, p) => [prose(p), texts.replies[p]])];
  shown.push(...turns.map((box, n) => [box, texts.messages[n]]));
  for (const [box, text] of shown) {
    box.rendered ??= [...box.childNodes];
    if (!wanted.raw) box.replaceChildren(...box.rendered);
    else {
      const raw = Object.assign(document.createElement("pre"), { className: "raw", dir: "auto" });
      raw.textContent = text.replace(UNSEEN, (c) => `[U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`);
      box.replaceChildren(raw);
    }
  }
}

/* --- layouts ----------------------------------------------------------------------------------- */

export function nextLayout() {
  const layout = LAYOUTS[(LAYOUTS.indexOf(wanted.layout) + 1) % LAYOUTS.length];
  prefer({ layout });
  return words[`layout_${layout}`];
}

export function toggleFull() {
  const full = page.classList.toggle("full");
  button("full").setAttribute("aria-pressed", full);
  return full;
}

export function leaveFull() {
  if (!page.classList.contains("full")) return false;
  toggleFull();
  return true;
}

/* --- scrolling together ------------------------------------------------------------------------ */

let led = null; // who scrolls the others

export const toggleTogether = () => prefer({ together: !wanted.together });

function onScroll({ target }) {
  if (!wanted.together || !target.classList?.contains("candidate") || (led && led !== target)) return;
  led = target;
  const share = target.scrollTop / Math.max(1, target.scrollHeight - target.clientHeight);
  for (const other of card.candidates) {
    if (other !== target) other.scrollTop = share * (other.scrollHeight - other.clientHeight);
  }
  clearTimeout(onScroll.timer);
  onScroll.timer = setTimeout(() => (led = null), 120);
}

document.addEventListener("scroll", onScroll, { capture: true, passive: true });

/* --- differences ------------------------------------------------------------------------------- */

/* The words of a box, each with the range of the page where it stands. */
function wordsIn(box) {
  const [found, ranges] = [[], []];
  const walker = document.createTreeWalker(box, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode()); ) {
    for (const { 0: word, index } of node.data.matchAll(WORD)) {
      found.push(word);
      ranges.push([node, index, index + word.length]);
    }
  }
  return { words: found, ranges };
}

function unmark() {
  if (!CAN_MARK) return;
  for (const name of ["shared", "differs"]) CSS.highlights.delete(name);
  for (const fold of document.querySelectorAll(".same-start")) fold.remove();
  for (const block of document.querySelectorAll(".folded")) block.classList.remove("folded");
  for (const element of document.querySelectorAll("[data-base]")) element.removeAttribute("data-base");
}

/* Show how the others differ from the chosen reply; asked again of the same one, stop. */
export async function toggleDiff(position) {
  if (!CAN_MARK) return false;
  sharedWords ??= (await import("./diff.js")).sharedWords;
  base = base === position ? null : position;
  button("diff").setAttribute("aria-pressed", base !== null);
  base === null ? unmark() : compareWith(base);
  return base !== null;
}

export function leaveDiff() {
  if (base === null) return false;
  toggleDiff(base);
  return true;
}

function compareWith(position) {
  unmark();
  const [shared, differs] = [new Highlight(), new Highlight()];
  const mine = wordsIn(prose(position));
  const everywhere = new Uint8Array(mine.words.length).fill(1);
  card.candidates.forEach((_, other) => {
    if (other === position) return;
    const theirs = wordsIn(prose(other));
    const [inMine, inTheirs] = sharedWords(mine.words, theirs.words);
    inMine.forEach((is, n) => (everywhere[n] &= is));
    mark(theirs.ranges, inTheirs, shared, differs);
    foldStart(prose(other), theirs, inTheirs);
  });
  mark(mine.ranges, everywhere, shared, differs);
  foldStart(prose(position), mine, everywhere);
  CSS.highlights.set("shared", shared);
  CSS.highlights.set("differs", differs);
  card.candidates[position].dataset.base = "";
}

/* Add runs of words to the two highlights; neighbours in one text node become one range. */
function mark(ranges, flags, shared, differs) {
  for (let n = 0; n < ranges.length; ) {
    const [node, start] = ranges[n];
    let end = ranges[n][2];
    const is = flags[n];
    for (n++; n < ranges.length && ranges[n][0] === node && flags[n] === is; n++) end = ranges[n][2];
    const range = new StaticRange({ startContainer: node, startOffset: start, endContainer: node, endOffset: end });
    (is ? shared : differs).add(range);
  }
}

/* Fold the paragraphs at the beginning of a reply that all of them begin with. */
function foldStart(box, { ranges }, flags) {
  const same = flags.indexOf(0) < 0 ? flags.length : flags.indexOf(0);
  const blocks = [];
  let folded = 0;
  for (const block of box.children) {
    const inside = ranges.filter(([node]) => block.contains(node)).length;
    if (folded + inside > same || block === box.lastElementChild) break;
    folded += inside;
    blocks.push(block);
  }
  if (folded < FOLD_WORDS) return;
  for (const block of blocks) block.classList.add("folded");
  const open = Object.assign(document.createElement("button"), {
    type: "button",
    className: "same-start button quiet small",
    textContent: words.same_start.replace("{count}", folded),
  });
  open.addEventListener("click", () => {
    open.remove();
    for (const block of blocks) block.classList.remove("folded");
  });
  box.prepend(open);
}
