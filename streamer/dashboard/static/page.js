// Asks for the state again and again, and puts it where it belongs; nothing is kept but the charts' points.
"use strict";
const $ = id => document.getElementById(id);
const made = (tag, text, kind) => { const e = document.createElement(tag); if (text !== undefined) e.textContent = text; if (kind) e.className = kind; return e; };
const known = value => value !== null && value !== undefined && !Number.isNaN(value);
const count = n => !known(n) ? "–" : n >= 1e7 ? (n / 1e6).toFixed(1) + "M" : Math.round(n).toLocaleString("en");
const rate = n => !known(n) ? "–" : (n >= 100 ? n.toFixed(0) : n.toFixed(1)) + "/s";
const share = n => known(n) ? (n * 100).toFixed(n < .1 ? 1 : 0) + " %" : "–";
const seconds = s => !known(s) ? "–" : s === 0 ? "0 s" : s < 1 ? (s * 1000).toFixed(s < .01 ? 1 : 0) + " ms" : s < 120 ? s.toFixed(1) + " s" : s < 7200 ? (s / 60).toFixed(0) + " min" : (s / 3600).toFixed(1) + " h";
const clock = at => known(at) ? new Date(at * 1000).toLocaleTimeString() : "never";
const when = text => text ? new Date(text).toLocaleString() : "";
const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };

// Rows are kept by key and changed in place: focus and selection survive, and little is made anew.
function rows(body, entries, key, cells, empty) {
  const columns = body.parentElement.tHead.rows[0].cells.length;
  if (!entries.length) {
    if (body.dataset.empty !== empty) { const td = made("td", empty, "none"), tr = made("tr"); td.colSpan = columns; tr.append(td); body.replaceChildren(tr); body.dataset.empty = empty; }
    return;
  }
  if (body.dataset.empty) { body.replaceChildren(); delete body.dataset.empty; }
  const there = new Map([...body.rows].map(tr => [tr.dataset.key, tr]));
  entries.forEach((entry, at) => {
    const name = String(key(entry)); let tr = there.get(name);
    if (!tr) { tr = made("tr"); tr.dataset.key = name; }
    there.delete(name);
    cells(entry).forEach(([content, kind], n) => {
      const td = tr.cells[n] ?? tr.appendChild(made("td"));
      if (content instanceof Node) { if (!td.firstChild || !td.firstChild.isEqualNode(content)) td.replaceChildren(content); }
      else put(td, String(content ?? ""));
      td.className = kind ?? "";
    });
    if (body.rows[at] !== tr) body.insertBefore(tr, body.rows[at] ?? null);
  });
  for (const tr of there.values()) tr.remove();
}

// ---- charts -------------------------------------------------------------------------------------
const CHARTS = [
  { title: "Records a second", series: ["consumed_per_s", "done_per_s", "dead_per_s"], names: ["in", "done", "dead"], told: rate },
  { title: "Lag, records", series: ["lag_records", "in_flight"], names: ["lag", "in flight"], told: count },
  { title: "Latency", series: ["p50", "p95", "p99"], names: ["p50", "p95", "p99"], told: seconds },
];
const KEPT = 450, HIGH = 170;
const views = new Map();
const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options(chart, width) {
  const colours = ["--one", "--two", "--three"].map(css), soft = css("--soft"), line = css("--line");
  const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
  return {
    width, height: HIGH, legend: { show: false }, cursor: { y: false, drag: { setScale: false } },
    scales: { y: { range: (_, low, high) => [0, Math.max(high || 0, 1e-3) * 1.1] } },
    axes: [axis, { ...axis, size: 62, values: (_, ticks) => ticks.map(tick => chart.told(tick).replace("/s", "")) }],
    series: [{}, ...chart.names.map((label, at) => ({ label, stroke: colours[at], width: 2, points: { show: false }, spanGaps: false }))],
  };
}

function addCharts(view) {
  for (const chart of CHARTS) {
    const figure = made("figure", undefined, "chart"), caption = made("figcaption"), place = made("div");
    caption.append(made("b", chart.title));
    const keys = chart.names.map((name, at) => { const key = made("span", name, "key k" + at); caption.append(key); return key; });
    place.setAttribute("role", "img");
    figure.append(caption, place); view.charts.append(figure);
    view.drawn.push({ chart, place, keys, plot: null });
  }
}

function drawCharts(view, names) {
  const times = view.points.map(point => point[0]);
  for (const one of view.drawn) {
    const columns = one.chart.series.map(series => names.indexOf(series) + 1);
    const lines = columns.map(column => view.points.map(point => point[column]));
    const last = lines.map(line => line.length ? line[line.length - 1] : null);
    last.forEach((value, at) => put(one.keys[at], `${one.chart.names[at]} ${one.chart.told(value)}`));
    const said = one.chart.title + ": " + one.keys.map(key => key.textContent).join(", ");
    if (one.place.getAttribute("aria-label") !== said) one.place.setAttribute("aria-label", said);
    if (typeof uPlot === "undefined") { put(one.place, "Charts need pip install 'streamer[dashboard]'."); continue; }
    if (!one.plot) one.plot = new uPlot(options(one.chart, Math.max(one.place.clientWidth, 200)), [times, ...lines], one.place);
    else one.plot.setData([times, ...lines]);
  }
}

function forgetCharts() { for (const view of views.values()) for (const one of view.drawn) { one.plot?.destroy(); one.plot = null; } }
let resized;
addEventListener("resize", () => { clearTimeout(resized); resized = setTimeout(() => {
  for (const view of views.values()) for (const one of view.drawn) one.plot?.setSize({ width: Math.max(one.place.clientWidth, 200), height: HIGH });
}, 150); });

// ---- topologies ---------------------------------------------------------------------------------
function viewOf(name) {
  if (views.has(name)) return views.get(name);
  const card = $("topology").content.firstElementChild.cloneNode(true), find = kind => card.querySelector(kind);
  const view = { card, about: find(".about"), graph: find(".graph"), figures: find(".figures"), charts: find(".charts"), steps: find(".steps"),
    partitions: find(".partitions"), stages: find(".stages"), tiles: {}, drawn: [], points: [], shape: "", update: null };
  put(find("h3"), name); view.graph.setAttribute("aria-label", `Graph of ${name}`);
  card.dataset.topology = name;
  const after = [...$("topologies").children].find(other => other.dataset.topology > name);
  $("topologies").insertBefore(card, after ?? null);
  addCharts(view); views.set(name, view);
  return view;
}

function tile(view, name, text, kind) {
  let box = view.tiles[name];
  if (!box) { box = view.tiles[name] = made("div"); box.append(made("dt", name), made("dd")); box.dataset.figure = name; view.figures.append(box); }
  put(box.lastChild, text); box.className = kind ?? "";
}

function drain(t) {
  if (t.keeps_up) return [t.lag_records < 1 ? "caught up" : "keeps up", "good"];
  return t.drain_s === null ? ["not falling", "warn"] : [seconds(t.drain_s), ""];
}

function topology(name, t, names) {
  const view = viewOf(name);
  view.card.classList.toggle("stale", t.stale);
  const runs = `${t.daemons} ${t.daemons === 1 ? "daemon" : "daemons"}, ${t.assignment} partitions, group ${t.group}, ${t.delivery}`;
  put(view.about, t.stale ? `No daemon that runs this answers; what is shown was true at ${clock(t.seen)}.` : runs);
  view.about.classList.toggle("bad", t.stale);
  const shape = Graph.shape(t);
  if (shape !== view.shape) { view.update = Graph.draw(view.graph, name, t, rate); view.shape = shape; }
  view.update(t);
  tile(view, "Records in", rate(t.consumed_per_s)); tile(view, "Records done", rate(t.done_per_s));
  tile(view, "Done in all", count(t.done)); tile(view, "In flight", count(t.in_flight));
  tile(view, "Lag, records", count(t.lag_records), t.drain_s === null && !t.keeps_up ? "warn" : "");
  tile(view, "Lag, age", seconds(t.lag_seconds)); tile(view, "Time to drain", ...drain(t));
  for (const p of ["p50", "p95", "p99"]) tile(view, `Latency ${p}`, seconds(t.latency[p]));
  tile(view, "Dead letters", count(t.dead), t.dead_per_s > 0 ? "bad" : ""); tile(view, "Paused", count(t.paused));
  rows(view.steps, t.steps, s => s.name, s => [[s.name], [`${s.model} ${s.version}`], [`${s.device}, ${s.sessions} sessions`], [rate(s.answers_per_s)],
    [known(s.batch_items) ? s.batch_items.toFixed(1) : "–"], [known(s.batch_items) && s.batch_bound ? share(s.batch_items / s.batch_bound) : "–"],
    [share(s.full_share)], [share(s.padding)], [seconds(s.inference.p50)], [seconds(s.inference.p99)]], "none");
  rows(view.partitions, t.partitions, p => p.partition, p => [[p.partition, "where"], [count(p.records)], [seconds(p.seconds)]], "none assigned");
  rows(view.stages, t.stages, s => s.stage, s => [[s.stage], [seconds(s.waited)], [seconds(s.worked)]], "nothing in the last minute");
  drawCharts(view, names);
}

// ---- models, results, dead letters, daemons -----------------------------------------------------
function accuracy(s, model, version) {
  const found = s.accuracies.filter(a => a.model === model && a.version === version);
  if (!found.length) for (const l of s.deployed.learning) if (l.model === model && l.live[version])
    found.push({ accuracy: l.live[version][0], labelled: l.live[version][1], step: "its random share" });
  return found.map(a => `${share(a.accuracy)} of ${count(a.labelled)} labelled (${a.step})`).join("; ") || "no labels";
}

// The candidate of a model: how it is compared, its share or how often it agrees, its accuracy.
function beside(s, m) {
  if (!m.candidate) return "";
  const told = s.rollouts.filter(r => r.model === m.model).map(r => r.told), agreement = told.map(r => r.agreement).find(known);
  const part = m.mode === "shadow" ? "" : " " + share(m.shares[m.candidate] ?? told[0]?.share);
  return `${m.candidate}: ${m.mode}${part}${known(agreement) ? `, agrees on ${share(agreement)}` : ""}, ${accuracy(s, m.model, m.candidate)}`;
}

function servedBy(m) {
  const serving = Object.values(m.serving), there = serving.filter(one => one.version === m.champion).length;
  const failed = serving.filter(one => one.state === "failed").map(one => one.reason).join("; ");
  return [serving.length ? `${there} of ${serving.length} daemons${failed ? `; failed: ${failed}` : ""}` : "", failed ? "bad" : ""];
}

function models(s) {
  const entries = s.deployed.models.map(m => ({ ...m }));
  const names = new Set(entries.map(m => m.model));
  for (const t of Object.values(s.topologies)) for (const step of t.steps) if (!names.has(step.model)) { names.add(step.model); entries.push({ model: step.model, champion: step.version, serving: {} }); }
  rows($("models"), entries, m => m.model, m => [[m.model], [m.champion], [when(m.at), "where"], servedBy(m), [beside(s, m)], [accuracy(s, m.model, m.champion)]],
    "no model is known yet");
  put($("deployed-error"), s.deployed.error ? `Deployments: ${s.deployed.error}.` : "");
  rows($("sessions"), s.sessions, x => x.model + x.device + x.provider, x => [[x.model], [x.device], [x.provider], [x.sessions]], "none");
  rows($("events"), s.deployed.events, e => e.at + e.model + e.what + e.text, e => [[when(e.at), "where"], [e.model], [e.what], [e.text, "text"]], "none");
}

function runs(s) {
  const learning = s.deployed.learning.map(l => ({ model: l.model, run: l.run === null ? "next" : String(l.run), state: l.silent ? "silent" : l.stage, at: l.at, progress: l.progress,
    reason: l.run !== null ? `${l.why}, for ${seconds(l.seconds)} of ${seconds(l.limit_s)}` : `${count(l.taken)} labels${l.due_at ? ` of ${count(l.due_at)}` : ""}${l.last ? `; last run: ${l.last}` : ""}` }));
  const told = s.deployed.runs.filter(r => !learning.some(l => l.model === r.model && l.run === r.run));
  rows($("runs"), [...learning, ...told], r => r.model + " " + r.run, r => {
    const bar = made("progress"); bar.max = 1; bar.setAttribute("aria-label", `Progress of ${r.model}, run ${r.run}`);
    bar.value = "progress" in r ? r.progress ?? 0 : r.state === "begun" ? 0 : 1;
    return [[r.model], [r.run], [r.state], [bar], [when(r.at), "where"], [r.reason, "text"]];
  }, "none");
}

function pictures(entries) {
  const box = $("pictures"), wanted = new Set(entries.map(e => "p" + e.number));
  for (const figure of [...box.children]) if (!wanted.has(figure.id)) figure.remove();
  for (const e of [...entries].reverse()) if (!$("p" + e.number)) {
    const figure = made("figure", undefined, "picture"), img = made("img"); figure.id = "p" + e.number; img.src = "picture/" + e.number;
    img.alt = `${e.source}: ${e.said}`; figure.append(img, made("figcaption", `${e.topology} · ${e.source} · ${e.said}`)); box.prepend(figure);
  }
}

function choices(select, values, first) {
  const wanted = [...first, ...values.map(value => [value, value])];
  if (JSON.stringify([...select.options].map(o => o.value)) === JSON.stringify(wanted.map(w => w[0]))) return;
  const chosen = select.value;
  select.replaceChildren(...wanted.map(([value, text]) => { const o = made("option", text); o.value = value; return o; }));
  if (wanted.some(w => w[0] === chosen)) select.value = chosen;
}

function letters(s) {
  rows($("letters"), s.letters ?? [], l => l.number, l => [[clock(l.at), "where"], [l.source, "where"], [[l.stage, l.step].filter(Boolean).join(" ")], [l.reason, "bad"], [l.message, "text"]], "none: every record was answered");
  $("replay").hidden = !s.replay; $("replay-off").hidden = s.replay;
  const topics = [...new Set(Object.values(s.topologies).map(t => t.deadletter).filter(Boolean))].sort();
  const reasons = [...new Set(Object.values(s.topologies).flatMap(t => Object.keys(t.deadletters).map(name => name.split("/")[1])))].sort();
  choices($("replay").elements.topic, topics, []); choices($("replay").elements.reason, reasons, [["", "all"]]);
}

$("replay").addEventListener("submit", async event => {
  event.preventDefault();
  const form = event.target.elements, told = $("replayed");
  told.className = ""; put(told, "replaying …");
  try {
    const answer = await fetch("replay", { method: "POST", headers: { authorization: "Bearer " + form.token.value, "content-type": "application/json" },
      body: JSON.stringify({ topic: form.topic.value, reason: form.reason.value || null }) });
    const said = await answer.json(), counts = Object.entries(said.replayed ?? {});
    told.className = answer.ok ? "good" : "bad";
    put(told, said.error ?? (counts.length ? counts.map(([topic, n]) => `${n} replayed to ${topic}`).join(", ") + (said.more ? "; there are more: streamer deadletters replay" : "") : "nothing to replay"));
  } catch { told.className = "bad"; put(told, "the page's server does not answer"); }
});

function daemons(s) {
  rows($("daemons"), s.daemons, d => d.url, d => [[d.name], [d.url, "where"], [d.error ? `gone since ${clock(d.seen)}: ${d.error}` : "answers", d.error ? "bad" : "good"], [d.sidecar ? "learns" : d.topologies.join(", ")]], "none is known");
  const gone = s.daemons.filter(d => d.error).length, state = $("state");
  put(state, gone ? `${gone} of ${s.daemons.length} daemons do not answer` : s.daemons.length ? `live, ${clock(s.at)}` : "no daemon is known");
  state.className = gone || !s.daemons.length ? "bad" : "good";
}

// ---- the colours and the clock ------------------------------------------------------------------
const dark = matchMedia("(prefers-color-scheme: dark)"), THEMES = ["auto", "light", "dark"];
let theme = "auto";
function paint() {
  document.documentElement.dataset.theme = theme === "auto" ? (dark.matches ? "dark" : "light") : theme;
  put($("theme"), { auto: "◐ auto", light: "○ light", dark: "● dark" }[theme]);
  $("theme").setAttribute("aria-label", theme === "auto" ? "Colours: as the system has them" : `Colours: ${theme}`);
  forgetCharts(); if (state) for (const view of views.values()) drawCharts(view, state.series);
}
$("theme").addEventListener("click", () => { theme = THEMES[(THEMES.indexOf(theme) + 1) % 3]; paint(); });
dark.addEventListener("change", paint);

let since = 0, state = null;

// What the server says; nothing if it does not answer.
async function asked() {
  try { return await (await fetch("state?since=" + since, { signal: AbortSignal.timeout(10000) })).json(); } catch { return null; }
}

function show(s) {
  state = s;
  for (const [name, points] of Object.entries(s.history)) {
    const view = viewOf(name); view.points.push(...points);
    if (view.points.length > KEPT) view.points.splice(0, view.points.length - KEPT);
    for (const point of points) since = Math.max(since, point[0]);
  }
  $("no-topologies").hidden = Object.keys(s.topologies).length > 0;
  for (const [name, t] of Object.entries(s.topologies)) topology(name, t, s.series);
  models(s); runs(s); pictures(s.pictures ?? []);
  rows($("texts"), s.texts ?? [], e => e.number, e => [[e.source, "where"], [e.value, "text"], [e.said]], "none yet");
  put($("results-error"), s.results_error ? `Kafka: ${s.results_error}.` : "");
  letters(s); daemons(s);
  document.documentElement.dataset.shown = String(s.at);
}

async function update() {
  const s = await asked();
  setTimeout(update, s ? Math.max(s.interval * 1000, 500) : 2000);
  if (s) show(s);
  else { put($("state"), "the page's server does not answer; what is shown is the last that was known"); $("state").className = "bad"; }
}
paint();
update();
