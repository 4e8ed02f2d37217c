/* The upload page: files go in batches to the store route (STOW-RS, PS3.18 10.5), and each file's
   fate is told in words. What a batch's answer does not tell about a file is asked by sending that
   file alone; a repeated file is harmless, because the gateway compares what a site holds. */
"use strict";

const BATCH_FILES = 250;
const BATCH_BYTES = 256 * 2 ** 20;
const TRIES = 3;
const WAIT_MS = 4000;
const HEAD_BYTES = 4096;
const SHOWN_PROBLEMS = 500;
const MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"; // a DICOMDIR is no image
// Structured reports and encapsulated documents (PS3.4 B.5): the gateway shows them as a page.
const IS_REPORT = /^1\.2\.840\.10008\.5\.1\.4\.1\.1\.(88|104)\./;
const NO_CONNECTION = ["нет связи со шлюзом", "no connection to the gateway"];
const STOPPED = ["остановлено", "stopped"];
const UNREADABLE = ["файл не читается", "the file cannot be read"];

/* FailureReason (PS3.18 Table I.2-2, PS3.4 Table B.2-1). */
const REASONS = new Map([
  [0x0110, ["сервер больницы не смог сохранить, попробуйте позже", "the hospital's server could not store it, try later"]],
  [0x0111, ["такой снимок уже есть, но с другим содержимым; прежний оставлен", "held already with other content; the original stays"]],
  [0x0122, ["сервер больницы не принимает такой вид снимков", "the hospital's server does not take this kind of image"]],
  [0xa700, ["на сервере больницы нет места", "the hospital's server has no room"]],
  [0xa901, ["снимок другого исследования", "of another study"]],
  [0xa902, ["это исследование уже есть, но у другого пациента", "its study is held, of another patient"]],
  [0xc000, ["файл повреждён или не читается как DICOM", "damaged, or cannot be read as DICOM"]],
  [0xc122, ["такой способ сжатия не принимается", "this transfer syntax is not taken"]],
]);
const STATUSES = new Map([
  [413, ["файл слишком велик", "the file is too large"]],
  [502, ["сервер больницы отвечает ошибкой", "the hospital's server fails"]],
  [503, ["сервер больницы не отвечает", "the hospital's server does not answer"]],
  [504, ["сервер больницы не отвечает", "the hospital's server does not answer"]],
  [507, ["на диске шлюза нет места", "the gateway's disk is full"]],
]);

const at = (id) => document.getElementById(id);
const number = (n) => n.toLocaleString("ru");
const megabytes = (bytes) =>
  (bytes / 2 ** 20).toLocaleString("ru", { maximumFractionDigits: bytes < 10 * 2 ** 20 ? 1 : 0 });

const state = { busy: false, stopped: false, request: null, items: [], sent: 0, studies: new Map(), reports: new Set() };

/* ---- reading ---- */

/** {uid, kind} by the file meta information (PS3.10 7.1); null if it is no DICOM file. */
function identify(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const letters = (from, to) => String.fromCharCode(...bytes.subarray(from, to));
  let place = -1;
  if (letters(128, 132) === "DICM") place = 132;
  else if (letters(0, 4) === "DICM") place = 4;
  else if (letters(0, 6) === "\x02\x00\x00\x00UL") place = 0;
  if (place < 0) return null;
  const found = new Map();
  while (place + 12 <= bytes.length && view.getUint16(place, true) === 2) {
    const element = view.getUint16(place + 2, true);
    const long = ["OB", "OW", "UN", "UT"].includes(letters(place + 4, place + 6));
    const size = long ? view.getUint32(place + 8, true) : view.getUint16(place + 6, true);
    const start = place + (long ? 12 : 8);
    found.set(element, letters(start, Math.min(start + size, bytes.length)).replace(/[\0 ]+$/, ""));
    place = start + size;
  }
  return { kind: found.get(2) ?? "", uid: found.get(3) ?? "" };
}

/** Files with their paths out of what was dropped, folders at any depth. */
async function droppedFiles(list) {
  const entries = [...list].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const found = [];
  while (entries.length) {
    const entry = entries.shift();
    if (entry.isFile) {
      const file = await new Promise((done) => entry.file(done, () => done(null)));
      if (file) found.push({ file, name: entry.fullPath.replace(/^\//, "") });
      continue;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((done) => reader.readEntries(done, () => done([])));
      if (!some.length) break;
      entries.push(...some);
    }
  }
  return found;
}

const chosenFiles = (input) =>
  [...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }));

/** Looks into each file; what is no image is skipped, not failed. */
async function look(files) {
  const items = [];
  for (const { file, name } of files) {
    let head;
    try {
      head = identify(new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer()));
    } catch {
      items.push({ file, name, uid: "", fate: UNREADABLE });
      continue;
    }
    const image = head !== null && head.kind !== MEDIA_DIRECTORY;
    items.push({ file, name, uid: head?.uid ?? "", fate: image ? null : "skipped" });
    if (items.length % 200 === 0) stage(`Читаю файлы: ${number(items.length)}`, `Reading files: ${items.length}`);
  }
  return items;
}

/* ---- sending ---- */

/** Batches in which each UID stands once, so that an answer is about one file. */
function* batches(items) {
  let batch = [], uids = new Set(), bytes = 0;
  for (const item of items) {
    const full = batch.length >= BATCH_FILES || bytes + item.file.size > BATCH_BYTES || uids.has(item.uid);
    if (batch.length && full) {
      yield batch;
      [batch, uids, bytes] = [[], new Set(), 0];
    }
    batch.push(item);
    uids.add(item.uid);
    bytes += item.file.size;
  }
  if (batch.length) yield batch;
}

/** {status, answer}; status 0 if there was no answer, answer null if it is no JSON. */
function post(items) {
  const random = crypto.getRandomValues(new Uint32Array(4));
  const boundary = "upload-" + [...random].map((n) => n.toString(16)).join("");
  const head = `--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`;
  const body = new Blob([...items.flatMap((item) => [head, item.file, "\r\n"]), `--${boundary}--\r\n`]);
  const bytes = items.reduce((sum, item) => sum + item.file.size, 0); // without what frames them
  const request = new XMLHttpRequest();
  state.request = request;
  return new Promise((done) => {
    request.open("POST", at("site").value + "/studies");
    request.setRequestHeader("Content-Type", `multipart/related; type="application/dicom"; boundary=${boundary}`);
    request.setRequestHeader("Accept", "application/dicom+json");
    request.upload.onprogress = (event) => progress(Math.min(event.loaded, bytes));
    request.onload = () => {
      let answer = null;
      try {
        answer = JSON.parse(request.responseText);
      } catch { /* a proxy's page: the status says enough */ }
      done({ status: request.status, answer });
    };
    request.onerror = request.onabort = () => done({ status: 0, answer: null });
    request.send(body);
  });
}

const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function reachable() {
  try {
    return (await fetch("/healthz", { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}

/** Sends a batch, again after a silence; files that the answer leaves open go alone. */
async function send(items) {
  let status = 0, answer = null;
  for (let attempt = 1; attempt <= TRIES && !state.stopped; attempt++) {
    ({ status, answer } = await post(items));
    const told = answer !== null && ("00081198" in answer || "00081199" in answer || "0008119A" in answer);
    if (told || ![0, 502, 503, 504].includes(status) || state.stopped) break;
    if (status === 0 && (await reachable())) break; // it is a file that cannot be read
    if (attempt < TRIES) await pause(WAIT_MS * attempt);
  }
  if (state.stopped) return;
  const open = judge(items, status, answer ?? {});
  if (open.length && status === 0 && !(await reachable())) {
    for (const item of open) item.fate = NO_CONNECTION;
  } else if (items.length > 1 && ![502, 503, 504, 507].includes(status)) {
    for (const item of open) if (!state.stopped) await send([item]);
  } else {
    const words = status === 0 ? UNREADABLE : STATUSES.get(status);
    for (const item of open) item.fate = words ?? [`отказ шлюза (${status})`, `the gateway refuses (${status})`];
  }
}

const values = (answer, tag) => answer[tag]?.Value ?? [];
const first = (item, tag) => item[tag]?.Value?.[0];

/** Gives each file its fate by a Store Instances Response; returns those that it does not tell. */
function judge(items, status, answer) {
  const fates = new Map();
  for (const item of values(answer, "00081199")) {
    fates.set(first(item, "00081155"), "stored");
    const study = /\/studies\/([0-9.]+)\//.exec(first(item, "00081190") ?? "")?.[1];
    if (study) state.studies.set(study, (state.studies.get(study) ?? 0) + 1);
    if (study && IS_REPORT.test(first(item, "00081150") ?? "")) state.reports.add(study);
  }
  const failures = [...values(answer, "00081198"), ...values(answer, "0008119A")];
  for (const item of failures) fates.set(first(item, "00081155"), reason(first(item, "00081197")));
  if (items.length === 1 && fates.size === 1) items[0].fate = [...fates.values()][0];
  else for (const item of items) item.fate = (item.uid && fates.get(item.uid)) || null;
  return items.filter((item) => item.fate === null);
}

function reason(code) {
  const hex = (code ?? 0).toString(16).toUpperCase().padStart(4, "0");
  return REASONS.get(code) ?? REASONS.get(code & 0xff00) ?? [`отказ сервера (${hex})`, `refused by the server (${hex})`];
}

/* ---- showing ---- */

/** Russian with English beside it. */
function say(element, russian, english) {
  const beside = document.createElement("span");
  beside.className = "beside";
  beside.lang = "en";
  beside.textContent = english;
  element.replaceChildren(russian + " ", beside);
}

const stage = (russian, english) => say(at("stage"), russian, english);

function progress(bytes) {
  const total = state.items.reduce((sum, item) => sum + (item.fate === "skipped" ? 0 : item.file.size), 0);
  const done = Math.min(state.sent + bytes, total);
  at("bar").value = total ? done / total : 1;
  at("moved").textContent = `${megabytes(done)} / ${megabytes(total)} МБ · MB`;
}

function show() {
  const count = (fate) => state.items.filter((item) => item.fate === fate).length;
  const failed = state.items.filter((item) => Array.isArray(item.fate));
  at("stored").textContent = number(count("stored"));
  at("skipped").textContent = number(count("skipped"));
  at("failed").textContent = number(failed.length);
  at("failed").className = failed.length ? "bad" : "";
  at("problems").hidden = !failed.length;
  const rows = failed.slice(0, SHOWN_PROBLEMS).map((item) => row(item.name, item.fate));
  const more = failed.length - rows.length;
  if (more > 0) rows.push(row("…", [`и ещё ${number(more)}`, `and ${more} more`]));
  at("problem-list").replaceChildren(...rows);
  at("studies").hidden = !state.studies.size;
  at("study-list").replaceChildren(...[...state.studies].map(studyLine));
}

function row(name, [russian, english]) {
  const line = document.createElement("tr");
  const file = document.createElement("th");
  const why = document.createElement("td");
  file.scope = "row";
  file.textContent = name;
  say(why, russian, english);
  line.append(file, why);
  return line;
}

function studyLine([uid, images]) {
  const line = document.createElement("li");
  const link = document.createElement("a");
  link.href = "/viewer/viewer?StudyInstanceUIDs=" + encodeURIComponent(uid);
  say(link, `Открыть исследование, снимков: ${number(images)}`, `Open the study, images: ${images}`);
  line.append(link);
  if (state.reports.has(uid)) {
    const report = document.createElement("a");
    report.href = "/report/" + encodeURIComponent(uid);
    say(report, "Протокол", "Report");
    line.append(" · ", report);
  }
  return line;
}

function finish() {
  const failed = state.items.some((item) => Array.isArray(item.fate));
  if (state.stopped) stage("Остановлено", "Stopped");
  else if (!state.items.some((item) => item.fate !== "skipped")) stage("Снимков не найдено", "No images were found");
  else if (failed) stage("Готово, но не всё сохранено", "Done, but not all was stored");
  else stage("Готово: всё сохранено", "Done: all is stored");
  at("again").hidden = !failed;
}

function lock(busy) {
  state.busy = busy;
  for (const id of ["folder", "files", "site"]) at(id).disabled = busy;
  at("stop").hidden = !busy;
  if (busy) at("again").hidden = true;
}

/* ---- the course of it ---- */

async function upload(items) {
  stage("Отправляю снимки", "Sending images");
  state.sent = state.items.reduce((sum, item) => sum + (item.fate === "stored" ? item.file.size : 0), 0);
  progress(0);
  for (const batch of batches(items)) {
    if (state.stopped) break;
    await send(batch);
    state.sent += batch.reduce((sum, item) => sum + item.file.size, 0);
    progress(0);
    show();
  }
  for (const item of items) item.fate ??= STOPPED;
}

async function run(gather) {
  if (state.busy) return;
  lock(true);
  state.stopped = false;
  at("work").hidden = false;
  try {
    await upload(await gather());
  } finally {
    show();
    finish();
    lock(false);
  }
}

function begin(files) {
  return run(async () => {
    stage("Читаю файлы", "Reading files");
    state.studies.clear();
    state.reports.clear();
    state.items = [];
    show();
    state.items = await look(await files);
    return state.items.filter((item) => item.fate === null);
  });
}

for (const id of ["folder", "files"]) {
  at(id).addEventListener("change", () => {
    const files = chosenFiles(at(id));
    at(id).value = ""; // so that the same folder can be chosen again
    if (files.length) begin(files);
  });
}
at("again").addEventListener("click", () => run(async () => {
  const failed = state.items.filter((item) => Array.isArray(item.fate));
  for (const item of failed) item.fate = null;
  return failed;
}));
at("stop").addEventListener("click", () => {
  state.stopped = true;
  state.request?.abort();
});
/* Anywhere on the page: a file dropped beside the frame would replace the page. */
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  at("drop").classList.add("over");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) at("drop").classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  at("drop").classList.remove("over");
  if (!state.busy) begin(droppedFiles(event.dataTransfer.items));
});
window.addEventListener("beforeunload", (event) => {
  if (state.busy) event.preventDefault();
});
