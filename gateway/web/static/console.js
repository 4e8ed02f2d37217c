/* Keeps a page of the console live: fetches it again while somebody looks at it and changes what has
   changed. The page stays usable without this script; a gateway that restarts is found again. */

const EVERY_MS = 3000;
const PATIENCE_MS = 20000;
const main = document.getElementById("live");
const lost = document.getElementById("lost");
let fetchedAt = new Date();
let busy = false;

/** Makes `old` look like `fresh` and keeps what a person has there: focus, what is typed, what is open. */
function become(old, fresh, posted) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
    old.replaceWith(fresh);
    return;
  }
  if (old.hasAttribute("data-keep") && !posted) return;
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old.nodeName === "DETAILS")) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  children(old, fresh, posted);
}

/** Children that have an id are the same by it, others by their order. */
function children(old, fresh, posted) {
  const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let place = old.firstChild;
  for (const next of [...fresh.childNodes]) {
    const same = next.id ? named.get(next.id) : place && !place.id ? place : null;
    if (!same) {
      old.insertBefore(next, place);
      continue;
    }
    if (same === place) place = place.nextSibling;
    else old.insertBefore(same, place);
    named.delete(next.id);
    become(same, next, posted);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
  for (const gone of named.values()) gone.remove();
}

async function take(request, posted) {
  const answer = await fetch(request, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("live");
  if (!fresh || (answer.status >= 500 && !posted)) throw new Error(`${answer.status}`);
  if (posted && !answer.ok) {
    document.getElementById("notice").replaceChildren(...fresh.querySelectorAll("h1, section"));
    return;
  }
  become(main, fresh, posted);
  document.title = page.title;
  fetchedAt = new Date();
  lost.hidden = true;
}

function tellLost() {
  document.getElementById("lost-at").textContent = fetchedAt.toLocaleTimeString();
  lost.hidden = false;
}

async function look() {
  if (busy || document.hidden || !main.hasAttribute("data-live")) return;
  busy = true;
  try {
    await take(location.href, false);
  } catch {
    tellLost();
  } finally {
    busy = false;
  }
}

/** Sends a form and shows its answer in place. */
async function send(form) {
  const button = form.querySelector("button");
  busy = true;
  button.disabled = true;
  form.setAttribute("aria-busy", "true");
  try {
    const body = new URLSearchParams(new FormData(form));
    await take(new Request(form.action, { method: "POST", body }), true);
    // What was pressed may be gone, and a keyboard must not start at the top again.
    if (document.activeElement === document.body) main.focus({ preventScroll: true });
  } catch {
    tellLost();
  } finally {
    busy = false;
    button.disabled = false;
    form.removeAttribute("aria-busy");
  }
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-live-form]")) return;
  event.preventDefault();
  if (!event.target.hasAttribute("aria-busy")) send(event.target);
});
document.addEventListener("visibilitychange", look);
setInterval(look, EVERY_MS);
