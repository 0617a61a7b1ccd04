// Draws /api/v1/timeline: demand, plan and the fan of the forecast, with a cursor that shows values. Drag to zoom,
// double click to see all.
"use strict";

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const shown = (value) => (value == null ? "–" : value.toLocaleString(undefined, { maximumSignificantDigits: 4 }));

function faded(hex, alpha) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}

function lines(found) {
  const levels = Object.keys(found.quantiles).map(Number).sort((a, b) => a - b);
  const quantile = (level) => found.quantiles[String(level)];
  const line = (label, values, name, extra = {}) => ({
    values,
    series: { label, stroke: colour(name), width: 1.5, value: (u, value) => shown(value), ...extra },
  });
  const all = [
    line("demand", found.observed, "--observed"),
    line("planned", found.planned, "--planned", { paths: uPlot.paths.stepped({ align: 1 }) }),
  ];
  const first = all.length + 1;
  for (const level of levels) {
    const isMedian = level === 0.5;
    all.push(
      line(`p${100 * level}`, quantile(level), "--band", {
        width: isMedian || level === found.quantile ? 1.5 : 0.5,
        dash: isMedian ? [5, 3] : undefined,
      }),
    );
  }
  const fill = faded(colour("--band"), 0.18);
  const bands = [];
  for (let place = levels.length - 1; place > 0; place--) bands.push({ series: [first + place, first + place - 1], fill });
  return { all, bands };
}

function draw(element, found) {
  const { all, bands } = lines(found);
  const axis = { stroke: colour("--text"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") } };
  const options = {
    width: element.clientWidth,
    height: 340,
    bands,
    cursor: { drag: { x: true, y: false } },
    axes: [axis, { ...axis, size: 64, values: (u, ticks) => ticks.map(shown) }],
    series: [{ label: "time" }, ...all.map((one) => one.series)],
    scales: { y: { range: (u, low, high) => [0, (high || 1) * 1.05] } },
    hooks: { draw: [(u) => markNow(u, found.at)] },
  };
  const plot = new uPlot(options, [found.times, ...all.map((one) => one.values)], element);
  element.dataset.drawn = "true";
  new ResizeObserver(() => plot.setSize({ width: element.clientWidth, height: 340 })).observe(element);
  return plot;
}

function markNow(plot, at) {
  const x = plot.valToPos(at, "x", true);
  const { left, top, width, height } = plot.bbox;
  if (x < left || x > left + width) return;
  plot.ctx.save();
  plot.ctx.strokeStyle = colour("--quiet");
  plot.ctx.setLineDash([2, 4]);
  plot.ctx.beginPath();
  plot.ctx.moveTo(x, top);
  plot.ctx.lineTo(x, top + height);
  plot.ctx.stroke();
  plot.ctx.restore();
}

async function show(element) {
  const answer = await fetch(element.dataset.timeline);
  const found = await answer.json();
  const notices = answer.ok ? found.missing : found.errors.map((one) => `${one.field}: ${one.rule}`);
  for (const text of notices) {
    const notice = document.createElement("p");
    notice.className = "notice";
    notice.textContent = text;
    element.before(notice);
  }
  if (!answer.ok) return;
  let plot = draw(element, found);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    plot.destroy();
    plot = draw(element, found);
  });
}

for (const element of document.querySelectorAll("[data-timeline]")) show(element);
