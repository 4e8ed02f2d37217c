/* The rule editor without page loads: a form that a button sends comes back in place, the sentence
   and the mistakes follow what is typed, rules can be dragged. The server judges everything; without
   this script every button works too. */

const PATIENCE_MS = 60000;
const PAUSE_MS = 400;
const main = document.getElementById("live");
let turn = 0;
let timer = 0;

document.documentElement.classList.add("scripted");

async function fetchPage(form, button) {
  const body = new FormData(form, button && button.form === form ? button : null);
  if (!body.has("act")) body.set("act", "look");
  const address = (button && button.getAttribute("formaction")) || form.action;
  const plain = form.enctype !== "multipart/form-data";
  const request = { method: "POST", body: plain ? new URLSearchParams(body) : body, signal: AbortSignal.timeout(PATIENCE_MS) };
  const answer = await fetch(address, request);
  if (answer.redirected) {
    location.assign(answer.url);
    return null;
  }
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!page.getElementById("live")) throw new Error(`${answer.status}`);
  const refusal = page.querySelector("[data-refusal]");
  if (!refusal) return page;
  // What has been typed stays; why it was not taken is told above it.
  document.getElementById("notice").replaceChildren(...page.querySelectorAll("h1, [data-refusal]"));
  document.getElementById("notice").scrollIntoView({ block: "nearest" });
  return null;
}

/** Shows the page that a button asked for; the keyboard stays where it was as far as that is there. */
async function send(form, button) {
  const mine = ++turn;
  clearTimeout(timer);
  form.setAttribute("aria-busy", "true");
  const focused = document.activeElement && document.activeElement.id;
  const action = form.getAttribute("action");
  try {
    const page = await fetchPage(form, button);
    if (!page || mine !== turn) return;
    const fresh = page.getElementById("live");
    const opened = [...main.querySelectorAll("details[open]")].length;
    main.replaceChildren(...fresh.childNodes);
    document.title = page.title;
    if (opened) main.querySelectorAll("details").forEach((one) => { one.open = true; });
    prepare();
    const moved = main.querySelector("[data-work]")?.getAttribute("action") !== action;
    const wrong = main.querySelector("[aria-invalid]");
    const place = (focused && document.getElementById(focused)) || null;
    if (button && button.value === "done" && wrong) wrong.focus();
    else if (place && !place.disabled) place.focus({ preventScroll: true });
    else if (!moved && button) main.focus({ preventScroll: true });
    else if (moved) { scrollTo(0, 0); main.focus(); }
    if (button && button.value.startsWith("try-")) document.getElementById("tried").scrollIntoView({ block: "nearest" });
    document.getElementById("lost").hidden = true;
  } catch {
    document.getElementById("lost").hidden = false;
  } finally {
    form.removeAttribute("aria-busy");
  }
}

/** While somebody types: the sentence and the mistakes only, never what is being typed into. */
async function tell(form) {
  const mine = ++turn;
  try {
    const page = await fetchPage(form, null);
    if (!page || mine !== turn) return;
    for (const old of main.querySelectorAll("#sentence, .mistakes")) {
      const fresh = page.getElementById(old.id);
      if (fresh && !old.isEqualNode(fresh)) old.replaceChildren(...fresh.childNodes);
    }
    for (const old of main.querySelectorAll("[aria-describedby]")) {
      const fresh = old.id && page.getElementById(old.id);
      if (fresh) old.toggleAttribute("aria-invalid", false);
      if (fresh && fresh.hasAttribute("aria-invalid")) old.setAttribute("aria-invalid", "true");
    }
  } catch {
    /* the next key tries again; buttons tell */
  }
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  const button = event.submitter;
  if (!form.matches("[data-work]") || (button && button.hasAttribute("formtarget"))) return;
  event.preventDefault();
  send(form, button);
});
document.addEventListener("change", (event) => {
  const form = event.target.form;
  if (form && form.matches("[data-work]") && event.target.hasAttribute("data-redraw")) send(form, null);
});
document.addEventListener("input", (event) => {
  const form = event.target.form;
  if (!form || !form.matches("[data-live-words]") || event.target.hasAttribute("data-redraw")) return;
  clearTimeout(timer);
  timer = setTimeout(tell, PAUSE_MS, form);
});

/** Rules follow the pointer; the new order is sent when it is let go. */
function drag(list) {
  let held = null;
  list.addEventListener("pointerdown", (event) => {
    if (!event.target.closest(".grip")) return;
    event.preventDefault();
    held = event.target.closest("[data-rule]");
    held.classList.add("dragged");
    list.setPointerCapture(event.pointerId);
  });
  list.addEventListener("pointermove", (event) => {
    if (!held) return;
    const rows = [...list.querySelectorAll("[data-rule]")].filter((row) => row !== held);
    const next = rows.find((row) => { const box = row.getBoundingClientRect(); return event.clientY < box.top + box.height / 2; });
    if (next) list.insertBefore(held, next);
    else if (rows.length) rows[rows.length - 1].after(held);
  });
  list.addEventListener("lostpointercapture", () => {
    if (!held) return;
    held.classList.remove("dragged");
    held = null;
    const form = list.closest("form");
    form.elements.order.value = [...list.querySelectorAll("[data-rule]")].map((row) => row.dataset.rule).join(" ");
    send(form, null);
  });
}

/** Files may be dropped onto the place for them. */
function drop(place) {
  const input = place.querySelector("input[type=file]");
  place.addEventListener("dragover", (event) => { event.preventDefault(); place.classList.add("over"); });
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("over");
    input.files = event.dataTransfer.files;
  });
}

function prepare() {
  main.querySelectorAll("[data-sort]").forEach(drag);
  main.querySelectorAll("[data-drop]").forEach(drop);
}

prepare();
