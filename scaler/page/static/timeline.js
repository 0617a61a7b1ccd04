// Draws /api/v1/timeline: demand, plan and the fan of the forecast, and below them replicas. Both charts have one cursor
// and one zoom: drag to zoom, double click to see all, click to ask what was thought then.
"use strict";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const timed = (seconds, options) => new Date(1000 * seconds).toLocaleString(undefined, options);
const dated = (seconds) => timed(seconds, { dateStyle: "medium", timeStyle: "short" });
const percentile = (level) => `p${Number((100 * level).toPrecision(4))}`;
const shown = (value) => (value == null ? "–" : value.toLocaleString(undefined, { maximumSignificantDigits: 4 }));
const iso = (seconds) => new Date(1000 * Math.round(seconds)).toISOString().replace(".000", "");
const stepped = () => uPlot.paths.stepped({ align: 1 });

function faded(hex, alpha) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}

function line(label, values, name, extra = {}) {
  return { values, series: { label, stroke: colour(name), width: 1.5, value: (u, value) => shown(value), ...extra } };
}

function demandLines(found) {
  const levels = Object.keys(found.quantiles).map(Number).sort((a, b) => a - b);
  const all = [
    line("demand", found.observed, "--observed"),
    line("planned", found.planned, "--planned", { paths: stepped(), width: 2 }),
  ];
  const first = all.length + 1;
  const away = (level) => Math.abs(level - found.quantile);
  const upper = Math.min(...levels.map(away));
  for (const level of levels) {
    const isNamed = level === 0.5 || away(level) === upper;
    const extra = { width: isNamed ? 1.5 : 0.5, dash: level === 0.5 ? [5, 3] : undefined, class: isNamed ? "named" : "unnamed" };
    all.push(line(percentile(level), found.quantiles[String(level)], "--band", extra));
  }
  const fill = faded(colour("--band"), 0.18);
  const bands = levels.slice(1).map((level, place) => ({ series: [first + place + 1, first + place], fill }));
  if (bands.length) asBand(all.slice(first - 1), levels, found);
  return { all, bands };
}

// The line of the lowest level stands for the whole band in the legend.
function asBand(lines, levels, found) {
  const [low, high] = [levels[0], levels[levels.length - 1]];
  const ends = (at) => [low, high].map((level) => shown(found.quantiles[String(level)][at])).join(" to ");
  const value = (u, own, series, at) => (own == null ? "–" : ends(at));
  Object.assign(lines[0].series, { label: `${percentile(low)} to ${percentile(high)}`, class: "band", value });
}

function replicaLines(found) {
  return {
    all: [
      line("plan", found.planned_replicas, "--planned", { paths: stepped(), width: 2 }),
      line("reactive", found.reactive_replicas, "--reactive", { paths: stepped(), dash: [6, 3] }),
    ],
    bands: [],
  };
}

function draw(element, found, { all, bands }, height, hooks) {
  const axis = { stroke: colour("--text"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
  const options = {
    width: element.clientWidth,
    height,
    bands,
    cursor: { drag: { x: true, y: false }, sync: { key: "time" } },
    axes: [axis, { ...axis, size: 64, values: (u, ticks) => ticks.map(shown) }],
    legend: {
      markers: {
        fill: (u, place) => (u.series[place].class === "band" ? faded(colour("--band"), 0.3) : null),
        dash: (u, place) => (u.series[place].dash ? "dashed" : "solid"),
      },
    },
    series: [{ label: "time", value: (u, at) => (at == null ? "–" : dated(at)) }, ...all.map((one) => one.series)],
    scales: { y: { range: (u, low, high) => [0, (high || 1) * 1.05] } },
    hooks,
  };
  const plot = new uPlot(options, [found.times, ...all.map((one) => one.values)], element);
  element.dataset.drawn = "true";
  const watcher = new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height }));
  watcher.observe(element);
  return { plot, end: () => (watcher.disconnect(), plot.destroy()) };
}

// A line over the whole height, with a sign at its top: colour is never the only difference.
function mark(plot, at, name, sign, dash, row = 1) {
  const x = plot.valToPos(at, "x", true);
  const { ctx, bbox } = plot;
  if (x < bbox.left || x > bbox.left + bbox.width) return;
  ctx.strokeStyle = ctx.fillStyle = colour(name);
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash(dash.map((one) => one * devicePixelRatio));
  ctx.beginPath();
  ctx.moveTo(x, bbox.top);
  ctx.lineTo(x, bbox.top + bbox.height);
  ctx.stroke();
  ctx.fillText(sign, x + 3 * devicePixelRatio, bbox.top + 13 * row * devicePixelRatio);
}

function shade(plot, one) {
  const { ctx, bbox } = plot;
  const [from, to] = [one.since, one.until].map((at) => plot.valToPos(at, "x", true));
  const [left, right] = [Math.max(from, bbox.left), Math.min(to, bbox.left + bbox.width)];
  if (right <= left) return;
  ctx.fillStyle = faded(colour("--bad"), 0.16);
  ctx.fillRect(left, bbox.top, right - left, bbox.height);
  ctx.fillStyle = colour("--bad");
  ctx.fillText(one.direction === "above" ? "▲" : "▼", left + 2, bbox.top + bbox.height - 6 * devicePixelRatio);
}

function marks(plot, found, asked) {
  plot.ctx.save();
  plot.ctx.font = `${12 * devicePixelRatio}px system-ui, sans-serif`;
  plot.ctx.textAlign = "left";
  for (const one of found.anomalies) shade(plot, one);
  for (const one of found.events) mark(plot, one.at, "--quiet", "◆", [1, 3]);
  mark(plot, found.at, "--quiet", "now", [2, 4]);
  if (asked != null) mark(plot, asked, "--link", "this moment", [], 2);
  plot.ctx.restore();
}

function address(changes) {
  const query = new URLSearchParams(location.search);
  for (const name of ["at", "since", "until", "after"]) query.delete(name);
  for (const [name, value] of Object.entries(changes)) query.set(name, value);
  return `?${query}`;
}

// Permalinks: to the window after a zoom, to a moment after a click.
function link(name, changes, anchor = "") {
  const element = document.querySelector(`[data-${name}]`);
  element.href = address(changes) + anchor;
  element.hidden = false;
  return element;
}

// The entry of the band in the legend shows and hides all lines that have none.
function showBand(u, place, show) {
  if (show == null || place == null || u.series[place].class !== "band") return;
  u.series.forEach((one, other) => one.class === "unnamed" && u.setSeries(other, { show }));
}

function made(name, text, children = []) {
  const element = document.createElement(name);
  element.append(text, ...children);
  return element;
}

function askedAt(at, text) {
  const element = made("a", text);
  element.href = `${address({ at: Math.ceil(at) })}#then`;
  return element;
}

function tellLargest(found, since, until) {
  let best = null;
  found.observed.forEach((value, place) => {
    const at = found.times[place];
    if (value != null && at >= since && at <= until && (best === null || value > found.observed[best])) best = place;
  });
  const element = document.querySelector("[data-largest]");
  element.hidden = best === null;
  if (best === null) return;
  const [at, planned, reactive] = [found.times[best], found.planned_replicas[best], found.reactive_replicas[best]];
  const replicas = planned == null ? `${shown(reactive)} replicas of a reactive trigger` : `${shown(planned)} replicas`;
  const text = `Largest demand in the time shown: ${shown(found.observed[best])} at ${dated(at)} (${replicas}): `;
  element.replaceChildren(text, askedAt(at, "what did it think?"));
}

function tellEvents(found) {
  if (!found.events.length) return;
  const newest = [...found.events].sort((a, b) => b.at - a.at);
  const items = newest.map((one) => made("li", "", [askedAt(one.at, dated(one.at)), `: ${one.text}`]));
  const element = document.querySelector("[data-events]");
  element.replaceChildren(made("summary", `◆ Events in the time shown: ${items.length}`), made("ul", "", items));
  element.hidden = false;
}

function joined(element, found, asked) {
  const charts = element.querySelectorAll("[data-chart]");
  const drawn = [];
  let zooming = false;
  let complete = false;
  const hooks = {
    draw: [(u) => marks(u, found, asked)],
    setScale: [
      (u, key) => {
        if (key !== "x" || zooming || !complete) return;
        zooming = true;
        const { min, max } = u.scales.x;
        for (const { plot } of drawn) if (plot !== u) plot.setScale("x", { min, max });
        zooming = false;
        link("window", { since: iso(min), until: iso(Math.min(max, found.at)) });
        tellLargest(found, min, max);
      },
    ],
    setSeries: [(u, place, { show }) => showBand(u, place, show)],
    ready: [(u) => u.over.addEventListener("click", () => pick(u))],
  };
  const pick = (u) => {
    const at = u.data[0][u.cursor.idx];
    if (at == null || at > found.at) return;
    link("moment", { at: Math.round(at) }, "#then").textContent = `What did it think at ${timed(at, { timeStyle: "short" })}?`;
  };
  for (const chart of charts) {
    const isDemand = chart.dataset.chart === "demand";
    drawn.push(draw(chart, found, isDemand ? demandLines(found) : replicaLines(found), isDemand ? 340 : 200, hooks));
  }
  setTimeout(() => (complete = true));
  return () => drawn.forEach((one) => one.end());
}

function notice(element, text) {
  const made = document.createElement("p");
  made.className = "notice";
  made.textContent = text;
  element.before(made);
}

async function show(element) {
  let answer, found;
  try {
    answer = await fetch(element.dataset.timeline);
    found = await answer.json();
  } catch (error) {
    notice(element, `The time line could not be read: ${error.message}`);
    return;
  }
  for (const text of answer.ok ? found.missing : found.errors.map((one) => `${one.field}: ${one.rule}`)) notice(element, text);
  if (!answer.ok) return;
  const asked = element.dataset.at === undefined ? null : Number(element.dataset.at);
  tellLargest(found, -Infinity, Infinity);
  tellEvents(found);
  let end = joined(element, found, asked);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    end();
    end = joined(element, found, asked);
  });
}

for (const element of document.querySelectorAll("[data-timeline]")) show(element);
