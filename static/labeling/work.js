/* What must not be lost: active time, half-made rankings, and judgements not yet acknowledged.

   All of it is kept in this browser's storage until the server has it. A full or forbidden store
   costs the copy, never the work on the page. */

const IDLE_MS = 60_000;
const BREAK_MS = 600_000; // without work for so long is a break
const WORK_MS = 3_600_000; // after so much work without one, a break is suggested
const DRAFT_MS = 7 * 86_400_000;
const SEND_LIMIT_MS = 20_000;
const RETRY_MS = [2_000, 5_000, 15_000, 30_000];

const desk = document.querySelector(".desk");
const DRAFT = "prefloop:";
const OUTBOX = `prefloop-outbox:${desk.dataset.account}:`;
const WORKED = `prefloop-worked:${desk.dataset.account}`;

function keep(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

function kept(name) {
  try {
    return JSON.parse(localStorage.getItem(name));
  } catch {
    return null;
  }
}

function forget(name) {
  try {
    localStorage.removeItem(name);
  } catch {
    // Nothing was kept there then.
  }
}

/* --- active time: idle beyond a minute and hidden tabs don't count ----------------------------- */

export const clock = {
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
  isIdle: (since) => clock.last === null || performance.now() - clock.last > since,
};
for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "scroll", "visibilitychange"]) {
  document.addEventListener(kind, () => clock.tick(), { passive: true, capture: true });
}

/* Add a card's active time to the work since the last break; return whether one is due. */
export function worked(ms) {
  const before = kept(WORKED);
  const fresh = !before || Date.now() - before.at > BREAK_MS;
  const total = (fresh ? 0 : before.ms) + ms;
  keep(WORKED, { ms: total, at: Date.now() });
  return total >= WORK_MS;
}

export const rested = () => forget(WORKED);

/* --- drafts ------------------------------------------------------------------------------------ */

/* What the form holds, as pairs of name and value; what belongs to the sending is left out. */
export function saidOf(form) {
  const own = new Set(["csrfmiddlewaretoken", "assignment", "judgement", "active_ms", "events", "key"]);
  return [...new FormData(form)].filter(([name, value]) => !own.has(name) && value !== "");
}

export function say(form, said) {
  const values = new Map();
  for (const [name, value] of said) values.set(name, [...(values.get(name) ?? []), value]);
  for (const element of form.elements) {
    const wanted = values.get(element.name);
    if (element.type === "radio" || element.type === "checkbox") {
      element.checked = Boolean(wanted?.includes(element.value));
    } else if (element.tagName === "TEXTAREA") element.value = wanted?.[0] ?? "";
  }
}

export function saveDraft(form, events) {
  const draft = {
    said: saidOf(form),
    key: form.elements.key.value,
    active: Math.round(clock.total),
    events,
    at: Date.now(),
  };
  keep(DRAFT + draftName(form), draft);
}

const draftName = (form) => form.dataset.revises ?? form.dataset.uid;

export const draftOf = (form) => kept(DRAFT + draftName(form));
export const forgetDraft = (form) => forget(DRAFT + draftName(form));

export function forgetOldDrafts() {
  for (const name of Object.keys(localStorage)) {
    if (name.startsWith(DRAFT) && !(kept(name)?.at > Date.now() - DRAFT_MS)) forget(name);
  }
}

/* --- sending ----------------------------------------------------------------------------------- */

export function post(url, fields) {
  const token = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/)?.[1];
  if (token) fields.set("csrfmiddlewaretoken", token); // a login in another tab changes it
  const limits = { headers: { "HX-Request": "true" }, signal: AbortSignal.timeout(SEND_LIMIT_MS) };
  return fetch(url, { method: "POST", body: fields, ...limits });
}

/* What was submitted and not yet acknowledged, oldest first. It is sent in its order, under the
   keys it was made with, so that the server stores each once however often it comes. */
export const outbox = {
  waiting: [], // of a browser that keeps nothing
  names: () => Object.keys(localStorage).filter((name) => name.startsWith(OUTBOX)).sort(),
  add(item) {
    item.name = OUTBOX + String(Date.now()).padStart(15, "0") + item.uid;
    if (!keep(item.name, item)) outbox.waiting.push(item);
    return item;
  },
  all: () => [...outbox.names().map(kept).filter(Boolean), ...outbox.waiting],
  remove(item) {
    forget(item.name);
    outbox.waiting = outbox.waiting.filter((other) => other !== item);
  },
  has: (uid) => outbox.all().some((item) => item.uid === uid),
};

let [delivering, tries, timer] = [null, 0, null];

/* Send what waits. `behind()` names the assignment on the screen; `told` hears what became of it:
   taken(item, html), refused(item, status, html), held(status or null where nobody answered).
   Asked again while it is at it, it ends with what is under way. */
export function deliver(behind, told) {
  delivering ??= deliverAll(behind, told).finally(() => (delivering = null));
  return delivering;
}

async function deliverAll(behind, told) {
  clearTimeout(timer);
  try {
    for (let item; (item = outbox.all()[0]); tries = 0) {
      const fields = new URLSearchParams(item.fields);
      const shown = behind();
      if (shown && shown !== item.uid) fields.set("behind", shown);
      const answer = await post(item.url, fields);
      if (answer.status === 401 || answer.status === 429 || answer.status >= 500) {
        told.held(answer.status);
        return again(behind, told);
      }
      const html = await answer.text();
      outbox.remove(item);
      if (answer.ok) told.taken(item, html);
      else told.refused(item, answer.status, html);
    }
  } catch {
    told.held(null);
    again(behind, told);
  }
}

function again(behind, told) {
  const wait = RETRY_MS[Math.min(tries, RETRY_MS.length - 1)];
  tries += 1;
  timer = setTimeout(() => deliver(behind, told), wait);
}
