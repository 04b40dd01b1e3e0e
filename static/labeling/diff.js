/* Which words two texts share, in order.

   Common ends first, then words that stand once in both as anchors (patience diff: the longest
   rising run of them), then, between anchors, the longest common subsequence by the usual table.
   Gaps too large for the table are taken as different, so that the time stays bounded. */

const TABLE_CELLS = 400_000;

/* Return two arrays of booleans, one a word: whether it is shared. */
export function sharedWords(a, b) {
  const shared = [new Uint8Array(a.length), new Uint8Array(b.length)];
  match(a, b, 0, a.length, 0, b.length, shared);
  return shared;
}

function match(a, b, aFrom, aTo, bFrom, bTo, shared) {
  const pair = (i, j) => ((shared[0][i] = 1), (shared[1][j] = 1));
  while (aFrom < aTo && bFrom < bTo && a[aFrom] === b[bFrom]) pair(aFrom++, bFrom++);
  while (aFrom < aTo && bFrom < bTo && a[aTo - 1] === b[bTo - 1]) pair(--aTo, --bTo);
  if (aFrom === aTo || bFrom === bTo) return;
  const anchors = risingAnchors(a, b, aFrom, aTo, bFrom, bTo);
  if (!anchors.length) return table(a, b, aFrom, aTo, bFrom, bTo, pair);
  let [i, j] = [aFrom, bFrom];
  for (const [nextI, nextJ] of anchors) {
    match(a, b, i, nextI, j, nextJ, shared);
    pair(nextI, nextJ);
    [i, j] = [nextI + 1, nextJ + 1];
  }
  match(a, b, i, aTo, j, bTo, shared);
}

function once(words, from, to) {
  const at = new Map();
  for (let n = from; n < to; n++) at.set(words[n], at.has(words[n]) ? -1 : n);
  return at;
}

function risingAnchors(a, b, aFrom, aTo, bFrom, bTo) {
  const inB = once(b, bFrom, bTo);
  const piles = []; // the smallest last j of a rising run of each length, and how it came there
  for (const [word, i] of once(a, aFrom, aTo)) {
    const j = inB.get(word) ?? -1;
    if (i < 0 || j < 0) continue;
    let [low, high] = [0, piles.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      piles[middle].j < j ? (low = middle + 1) : (high = middle);
    }
    piles[low] = { i, j, before: piles[low - 1] };
  }
  const run = [];
  for (let step = piles.at(-1); step; step = step.before) run.unshift([step.i, step.j]);
  return run;
}

function table(a, b, aFrom, aTo, bFrom, bTo, pair) {
  const [rows, columns] = [aTo - aFrom, bTo - bFrom];
  if (rows * columns > TABLE_CELLS) return;
  const wide = columns + 1;
  const length = new Uint16Array((rows + 1) * wide);
  for (let i = rows - 1; i >= 0; i--) {
    for (let j = columns - 1; j >= 0; j--) {
      const here = i * wide + j;
      const same = a[aFrom + i] === b[bFrom + j];
      length[here] = same
        ? length[here + wide + 1] + 1
        : Math.max(length[here + wide], length[here + 1]);
    }
  }
  for (let i = 0, j = 0; i < rows && j < columns; ) {
    const here = i * wide + j;
    if (a[aFrom + i] === b[bFrom + j]) pair(aFrom + i++, bFrom + j++);
    else length[here + wide] >= length[here + 1] ? i++ : j++;
  }
}
