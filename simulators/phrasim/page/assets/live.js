// The live page: rows as they come, of which only those in sight are in the document; and what a user does.
"use strict";

const byId = (id) => document.getElementById(id);
const ROWS_MAX = 20000; // more are never kept: the server begins anew before
const BEYOND = 12; // rows that are drawn above and below those in sight

/* The rows. */

const rows = [];          // all of them, by place
let shown = [];           // the places of those that the filter lets through
let chosen = 0;           // which of the shown ones the keyboard is at
let opened = null;        // the id of the message that is opened
let asked = "";           // what the filter asks for
let rowHeight = 0;
let drawing = false;
let followedTo = 0;       // how far was scrolled to follow what comes
let drawn = new Map();    // the elements in the document, by place

const win = byId("rows"), list = byId("list");

const text = (html) => html.replace(/<svg[\s\S]*?<\/svg>/g, " ").replace(/<[^>]*>/g, " ").toLowerCase();

const passes = (row) => !asked || row.text.includes(asked);

function take(row) {
  row.text = text(row.html) + " " + row.class;
  const isNew = !(row.n - 1 in rows);
  rows[row.n - 1] = row;
  if (isNew && passes(row)) shown.push(row.n - 1);
}

function measure() {
  const sample = document.createElement("li");
  sample.className = "row";
  list.append(sample);
  rowHeight = sample.getBoundingClientRect().height;
  sample.remove();
  document.body.style.setProperty("--bar", `${win.offsetWidth - win.clientWidth}px`);
}

/* The element of a row; the one that is in the document stays, if the row has not changed. */
function element(place, number) {
  const row = rows[place];
  let item = drawn.get(place);
  if (!item || item.row !== row) item = made(row);
  item.setAttribute("aria-posinset", number + 1);
  item.setAttribute("aria-setsize", shown.length);
  const inner = item.firstChild;
  if (row.id) inner.setAttribute("aria-expanded", row.id === opened);
  inner.tabIndex = number === chosen ? 0 : -1;
  inner.dataset.number = number;
  return item;
}

function made(row) {
  const item = document.createElement("li"), inner = document.createElement(row.id ? "button" : "div");
  item.className = `row ${row.class}`;
  item.row = row;
  inner.className = row.id ? "entry" : "closed";
  if (row.id) inner.type = "button";
  inner.innerHTML = row.html; // the server has escaped what others said
  item.append(inner);
  return item;
}

function draw() {
  drawing = false;
  if (!rowHeight) measure();
  const first = Math.max(0, Math.floor(win.scrollTop / rowHeight) - BEYOND);
  const last = Math.min(shown.length, Math.ceil((win.scrollTop + win.clientHeight) / rowHeight) + BEYOND);
  const focused = list.contains(document.activeElement) ? Number(document.activeElement.dataset.number) : null;
  list.style.height = `${shown.length * rowHeight}px`;
  list.style.paddingTop = `${first * rowHeight}px`;
  const places = shown.slice(first, last), items = places.map((place, index) => element(place, first + index));
  drawn = new Map(places.map((place, index) => [place, items[index]]));
  list.replaceChildren(...items);
  if (focused !== null) focusRow(focused);
  byId("count").textContent = asked ? `${shown.length} of ${rows.length}` : rows.length;
}

function drawSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    if (byId("follow").checked) {
      if (!rowHeight) measure();
      list.style.height = `${shown.length * rowHeight}px`;
      win.scrollTop = shown.length * rowHeight;
      followedTo = win.scrollTop;
    }
    draw();
  });
}

function focusRow(number) {
  const found = list.querySelector(`[data-number="${number}"]`);
  if (found) found.focus({ preventScroll: true });
}

function choose(number) {
  if (!shown.length) return;
  chosen = Math.max(0, Math.min(shown.length - 1, number));
  const top = chosen * rowHeight;
  if (top < win.scrollTop) win.scrollTop = top;
  if (top + rowHeight > win.scrollTop + win.clientHeight) win.scrollTop = top + rowHeight - win.clientHeight;
  draw();
  focusRow(chosen);
}

win.addEventListener("scroll", () => {
  if (win.scrollTop < followedTo - rowHeight) byId("follow").checked = false; // somebody has scrolled back
  if (!drawing) { drawing = true; requestAnimationFrame(draw); }
}, { passive: true });

win.addEventListener("keydown", (event) => {
  const page = Math.max(1, Math.floor(win.clientHeight / (rowHeight || 1)) - 1);
  const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
  if (!(event.key in steps)) return;
  event.preventDefault();
  choose(event.target === win && Math.abs(steps[event.key]) === 1 ? chosen : chosen + steps[event.key]);
});

list.addEventListener("click", (event) => {
  const entry = event.target.closest("button.entry");
  if (!entry) return;
  chosen = Number(entry.dataset.number);
  open(rows[shown[chosen]].id);
});

byId("filter").addEventListener("input", (event) => {
  asked = event.target.value.trim().toLowerCase();
  shown = rows.flatMap((row, place) => (passes(row) ? [place] : []));
  chosen = 0;
  drawSoon();
});

document.title += ` at ${location.host}`; // one of several, with --shards
byId("follow").addEventListener("change", drawSoon);
addEventListener("resize", () => { rowHeight = 0; drawSoon(); });

/* A message that is opened. */

async function open(id) {
  const answer = await fetch(`/page/message?id=${encodeURIComponent(id)}`);
  if (!answer.ok) return say(await problem(answer), true);
  opened = id;
  byId("opened").innerHTML = await answer.text();
  byId("message").hidden = false;
  byId("message").scrollIntoView({ block: "nearest" });
  draw();
}

function close() {
  byId("message").hidden = true;
  byId("opened").replaceChildren();
  opened = null;
  draw();
  focusRow(chosen);
}

byId("close").addEventListener("click", close);
document.addEventListener("keydown", (event) => { if (event.key === "Escape" && opened) close(); });
byId("opened").addEventListener("click", async (event) => {
  const link = event.target.closest("[data-open]"), copy = event.target.closest("[data-copy]");
  if (link) {
    const place = rows.findIndex((row) => row && row.id === link.dataset.open);
    const number = shown.indexOf(place);
    if (number >= 0) choose(number);
    open(link.dataset.open);
  }
  if (copy) {
    const command = byId(copy.dataset.copy);
    try {
      await navigator.clipboard.writeText(command.textContent);
      say("copied");
    } catch {
      getSelection().selectAllChildren(command); // without leave to use the clipboard
      say("marked: copy it by the keyboard");
    }
  }
});

/* What happens. */

function say(words, bad = false) {
  byId("outcome").textContent = words;
  byId("outcome").classList.toggle("bad", bad);
}

function connection(words, state) {
  byId("connection").textContent = words;
  byId("connection").className = `connection ${state}`;
}

const feed = new EventSource("/page/feed");
feed.onopen = () => connection("live", "live");
feed.onerror = () => connection("the server does not answer; waiting for it", "lost");
feed.addEventListener("begin", (event) => {
  if (JSON.parse(event.data).title !== byId("kind").textContent) return location.reload(); // it is another server
  rows.length = 0;
  shown = [];
  chosen = 0;
  drawSoon();
});
feed.addEventListener("rows", (event) => {
  for (const row of JSON.parse(event.data)) take(row);
  drawSoon();
});
feed.addEventListener("state", (event) => {
  const held = byId("participants"), lifted = document.activeElement?.dataset.lift;
  const told = JSON.parse(event.data);
  held.innerHTML = told.html;
  offer(told.loose);
  if (lifted) held.querySelector(`[data-lift="${lifted}"]`)?.focus();
});

/* What a user does. */

async function problem(answer) {
  const told = await answer.json().catch(() => ({}));
  return told.detail || told["hydra:description"] || `${answer.status} ${answer.statusText}`;
}

async function ask(method, path, body) {
  const headers = body && !(body instanceof Blob) ? { "content-type": "application/json" } : {};
  const sent = body && !(body instanceof Blob) ? JSON.stringify(body) : body;
  try {
    const answer = await fetch(path, { method, headers, body: sent });
    if (!answer.ok) { say(await problem(answer), true); return null; }
    return answer.status === 204 ? {} : await answer.json();
  } catch (error) {
    say(`${method} ${path}: ${error.message}`, true);
    return null;
  }
}

const refused = (told) => `the upload service answered ${told.status}: ${JSON.stringify(told.answer)}`;

/* What may be committed: what the server holds, whoever has uploaded it. A mark that somebody has taken off stays off. */
function offer(loose) {
  const held = byId("uploaded"), known = new Map([...held.querySelectorAll("input")].map((box) => [box.value, box]));
  const focused = held.contains(document.activeElement) ? document.activeElement.value : null;
  for (const label of held.querySelectorAll("label")) label.remove();
  for (const { id, name } of loose) {
    const label = document.createElement("label"), box = known.get(id) || document.createElement("input");
    if (!known.has(id)) Object.assign(box, { type: "checkbox", checked: true, value: id });
    label.append(box, ` ${name}`);
    held.append(label);
    if (id === focused) box.focus();
  }
  offered();
}

function offered() {
  const boxes = [...byId("uploaded").querySelectorAll("input")];
  byId("nothing-uploaded").hidden = boxes.length > 0;
  byId("commit-button").disabled = !boxes.some((box) => box.checked);
}

byId("uploaded").addEventListener("change", offered);

byId("upload").addEventListener("submit", async (event) => {
  event.preventDefault();
  const files = [...byId("files").files];
  const empty = files.find((file) => !file.size);
  if (empty) return say(`'${empty.name}' is empty, and the upload service refuses empty files`, true);
  for (const [index, file] of files.entries()) {
    say(`uploading ${file.name}, ${index + 1} of ${files.length}`);
    const told = await ask("POST", `/page/assets?name=${encodeURIComponent(file.name)}`, file);
    if (!told) return;
    if (told.status !== 201) return say(refused(told), true);
  }
  say(`${files.length} uploaded`);
  byId("upload").reset();
});

byId("commit").addEventListener("submit", async (event) => {
  event.preventDefault();
  const boxes = [...byId("uploaded").querySelectorAll("input:checked")];
  const query = new URLSearchParams(boxes.map((box) => ["asset", box.value]));
  query.set("title", byId("title").value);
  const told = await ask("POST", `/page/commits?${query}`);
  if (!told) return;
  if (told.status >= 300) return say(refused(told), true);
  say(`${boxes.length} committed`);
});

const whole = (written) => (/^[0-9]{1,9}$/.test(written) ? Number(written) : written);
const spaced = (written) => written.replace(/^([0-9.]+)\s*([a-zA-Z]+)$/, "$1 $2"); // 2s is 2 s

const AMOUNTS = {
  answer: ["Status", "500", (written) => ({ answer: { status: whole(written) } })],
  delay: ["By", "2 s", (written) => ({ delay: spaced(written) })],
  cutBody: ["After", "10 B", (written) => ({ cutBody: { after: spaced(written) } })],
};

byId("effect").addEventListener("change", () => {
  const [name, value] = AMOUNTS[byId("effect").value] || [];
  byId("amount-label").hidden = !name;
  if (!name) return;
  byId("amount-label").firstChild.textContent = `${name} `;
  byId("amount").value = value;
});

byId("fault").addEventListener("submit", async (event) => {
  event.preventDefault();
  const effect = byId("effect").value, amount = AMOUNTS[effect], written = byId("amount").value.trim();
  if (effect === "answer" && typeof whole(written) === "string") {
    return say(`Status: ${written} is no number; write a status, such as 500`, true);
  }
  const numbers = byId("occurrences").value.split(",").map((one) => one.trim()).filter(Boolean).map(whole);
  const wrong = numbers.find((one) => typeof one === "string");
  if (wrong !== undefined) return say(`Calls: ${wrong} is no number; write numbers from 1 on, such as 1, 2`, true);
  const fault = {
    operationId: byId("operation").value,
    ...(numbers.length ? { occurrences: numbers } : {}),
    ...(amount ? amount[2](written) : { [effect]: true }),
  };
  if (await ask("POST", "/_phrasim/faults", fault)) say("the fault is set");
});

byId("participants").addEventListener("click", async (event) => {
  const lift = event.target.closest("[data-lift]");
  if (lift && (await ask("DELETE", `/_phrasim/faults/${lift.dataset.lift}`))) say("the fault is lifted");
});

byId("poll").addEventListener("click", async () => {
  const told = await ask("POST", "/_phrasim/poll");
  if (told) say(`polled: ${told.accepted} new`);
});

byId("reset").addEventListener("click", async () => {
  if (!(await ask("POST", "/_phrasim/reset"))) return;
  if (opened) close();
  say("begun anew");
});
