/* Draws the charts of the rollout's pages from the JSON beside each: light and dark, on paper in black
   and white, by mouse and by arrow keys. Numbers and words come from the page; nothing is fetched. */

const lang = document.documentElement.lang;
const whole = new Intl.NumberFormat(lang);
const tenth = new Intl.NumberFormat(lang, { maximumFractionDigits: 1 });
const UTC = { timeZone: "UTC" };
const dayForm = new Intl.DateTimeFormat(lang === "ru" ? "ru" : "en-GB",
  lang === "ru" ? { day: "2-digit", month: "2-digit", year: "numeric", ...UTC } : { day: "numeric", month: "short", year: "numeric", ...UTC });
const monthForm = new Intl.DateTimeFormat(lang === "ru" ? "ru" : "en-GB", { month: lang === "ru" ? "2-digit" : "short", year: "numeric", ...UTC });
const sign = lang === "ru" ? "\u00a0%" : "%";
const day = (time) => dayForm.format(new Date(time));
const narrow = (box) => box.clientWidth < 560;
const dark = matchMedia("(prefers-color-scheme: dark)");
const paper = matchMedia("print");
const charts = [];
let printing = false;

/** Colours of the style sheet; on paper black alone, and shapes and dashes tell what is what. */
function colours() {
  const style = getComputedStyle(document.body);
  const of = (name) => (printing ? "#000" : style.getPropertyValue(`--${name}`).trim());
  return {
    ink: of("ink"), quiet: of("quiet"), sheet: printing ? "#fff" : of("sheet"), line: printing ? "#bbb" : of("line"),
    declared: of("declared"), proven: of("proven"), silent: of("silent"), never: of("never"),
    undeclared: of("undeclared"), analogue: of("analogue"), accent: of("accent"),
  };
}

/** What all charts have: letters, a legend above, a tooltip that needs no style of its own. */
function frame(c, box, more = {}) {
  return {
    animation: false,
    textStyle: { fontFamily: getComputedStyle(document.body).fontFamily, color: c.ink, fontSize: 13 },
    grid: { left: 8, right: 16, top: 44, bottom: 8, outerBoundsMode: "same", outerBoundsContain: "axisLabel" },
    legend: { top: 0, left: 0, itemWidth: narrow(box) ? 24 : 30, itemGap: narrow(box) ? 10 : 18, textStyle: { color: c.ink, fontSize: narrow(box) ? 12 : 13 }, type: "plain" },
    tooltip: {
      trigger: "axis", renderMode: "richText", confine: true, backgroundColor: c.sheet, borderColor: c.line,
      textStyle: { color: c.ink, fontSize: 13 }, axisPointer: { lineStyle: { color: c.quiet } },
    },
    ...more,
  };
}

const valueAxis = (c, more = {}) => ({
  type: "value", axisLabel: { color: c.quiet, formatter: (value) => whole.format(value) },
  splitLine: { lineStyle: { color: c.line } }, ...more,
});
const timeAxis = (c, box) => ({
  type: "time", splitNumber: narrow(box) ? 3 : 7, axisLine: { lineStyle: { color: c.quiet } },
  axisLabel: { color: c.quiet, hideOverlap: true, formatter: (value) => monthForm.format(new Date(value)) },
});

const percent = (part, all) => (all ? (100 * part) / all : null);

/** Straight lines from the last point to 100 %, month by month, and the band between the outer two. */
function outlook(data) {
  const [from, straight, to] = data.forecast.map((text) => (text ? Date.parse(text) : null));
  const [lastDay, part, all] = data.points.at(-1);
  const start = Date.parse(lastDay), share = percent(part, all);
  const at = (time, end) => (end ? Math.min(100, share + ((100 - share) * (time - start)) / (end - start)) : share);
  const end = Math.min(Math.max(straight, to ?? straight) , start + 6 * 365 * 864e5);
  const times = Array.from({ length: 25 }, (_, n) => start + ((end - start) * n) / 24);
  return {
    line: [[start, share], [Math.min(straight, end), at(Math.min(straight, end), straight)]],
    low: times.map((time) => [time, at(time, to)]),
    band: times.map((time) => [time, at(time, from ?? straight) - at(time, to)]),
  };
}

function shareChart(data, c, box) {
  const { words, points } = data;
  const lines = [
    { name: words.declared, symbol: "circle", color: c.declared, from: 1, type: "solid" },
    { name: words.proven, symbol: "triangle", color: c.proven, from: 3, type: [8, 4] },
  ].map(({ name, symbol, color, from, type }) => ({
    name, type: "line", symbol, symbolSize: 7, color, lineStyle: { width: 2.5, type, color }, itemStyle: { color },
    data: points.map((point) => [Date.parse(point[0]), percent(point[from], point[from + 1]), point[from], point[from + 1]]),
  }));
  lines[0].markLine = {
    silent: true, symbol: "none", lineStyle: { color: c.ink, type: "solid", width: 1 },
    label: { formatter: words.target, position: "insideStartBottom", color: c.ink, fontSize: 12 }, data: [{ yAxis: 100 }],
  };
  const more = [];
  if (data.forecast) {
    const { line, low, band } = outlook(data);
    const none = { type: "line", symbol: "none", stack: "band", silent: true, tooltip: { show: false }, lineStyle: { opacity: 0 }, emphasis: { disabled: true } };
    more.push({ ...none, data: low, name: "-low" });
    more.push({ ...none, data: band, name: words.band, color: c.declared, areaStyle: { color: c.declared, opacity: printing ? 0.08 : 0.13 } });
    more.push({ name: words.forecast, type: "line", symbol: "none", silent: true, color: c.declared, lineStyle: { type: [2, 4], width: 2, color: c.declared }, data: line });
  }
  const names = [words.declared, words.proven, ...(data.forecast ? [words.forecast, words.band] : [])];
  const told = (point) => `${tenth.format(point[1])}${sign} (${whole.format(point[2])} ${words.of} ${whole.format(point[3])})`;
  return frame(c, box, {
    legend: { ...frame(c, box).legend, data: names.map((name) => (name === words.band ? { name, icon: "rect", itemStyle: { opacity: 0.25 } } : name)) },
    grid: { ...frame(c, box).grid, top: narrow(box) && data.forecast ? 84 : narrow(box) ? 62 : 48 },
    xAxis: timeAxis(c, box),
    yAxis: valueAxis(c, { min: 0, max: 100, axisLabel: { color: c.quiet, formatter: `{value}${sign}` } }),
    tooltip: {
      ...frame(c, box).tooltip,
      formatter: (found) => {
        const known = found.filter((one) => one.value.length === 4);
        return known.length ? [day(known[0].value[0]), ...known.map((one) => `${one.seriesName}: ${told(one.value)}`)].join("\n") : "";
      },
    },
    series: [...lines, ...more],
  });
}

function flowChart(data, c, box) {
  const { rows, words } = data;
  return frame(c, box, {
    xAxis: timeAxis(c, box),
    yAxis: valueAxis(c),
    tooltip: { ...frame(c, box).tooltip, formatter: (found) => `${day(found[0].value[0])}\n${words.name}: ${tenth.format(found[0].value[1])}` },
    series: [{
      name: words.name, type: "line", data: rows.map(([at, count]) => [Date.parse(at), count]), symbol: "circle", symbolSize: 6,
      color: c.declared, lineStyle: { width: 2.5, color: c.declared }, areaStyle: { color: c.declared, opacity: printing ? 0.08 : 0.13 },
    }],
  });
}

/** A pattern for each meaning, so that a bar is read without its colour. */
const PATTERNS = {
  proven: null,
  silent: { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 4], rotation: Math.PI / 4 },
  never: { symbol: "triangle", symbolSize: 0.8, dashArrayX: [[8, 8], [0, 8, 8, 0]], dashArrayY: [6, 2] },
  undeclared: { symbol: "circle", symbolSize: 0.8, dashArrayX: [[6, 6], [0, 6, 6, 0]], dashArrayY: [5, 1] },
  analogue: { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [1, 6], rotation: 0 },
};
const GREYS = { proven: "#333", silent: "#fff", never: "#fff", undeclared: "#fff", analogue: "#fff" };

function evidenceChart(data, c, box) {
  const rows = [...data.rows].reverse();
  return frame(c, box, {
    grid: { ...frame(c, box).grid, top: narrow(box) ? 84 : 48 },
    xAxis: valueAxis(c),
    yAxis: {
      type: "category", data: rows.map((row) => row[0]), axisTick: { show: false }, axisLine: { lineStyle: { color: c.quiet } },
      axisLabel: { color: c.ink, width: narrow(box) ? 96 : 220, overflow: "break", fontSize: narrow(box) ? 11 : 13, lineHeight: 14 },
    },
    tooltip: { ...frame(c, box).tooltip, axisPointer: { type: "shadow", shadowStyle: { opacity: 0.08 } }, valueFormatter: (value) => whole.format(value) },
    series: data.names.map((name, n) => ({
      name, type: "bar", stack: "all", data: rows.map((row) => row[n + 1]), barCategoryGap: "28%",
      itemStyle: {
        color: printing ? GREYS[data.codes[n]] : c[data.codes[n]], borderColor: printing ? "#000" : c.sheet, borderWidth: printing ? 1 : 0.5,
        decal: PATTERNS[data.codes[n]] && { color: printing ? "#000" : c.sheet, ...PATTERNS[data.codes[n]] },
      },
    })),
  });
}

const categories = (c, names) => ({
  type: "category", data: names, axisTick: { show: false }, axisLine: { lineStyle: { color: c.quiet } }, axisLabel: { color: c.quiet, hideOverlap: true },
});
const bars = (c, name, values, colour, more = {}) => ({
  name, type: "bar", data: values, color: colour, itemStyle: { color: printing ? "#777" : colour, borderColor: printing ? "#000" : colour, borderWidth: 1, ...more },
});

function moneyChart({ rows, words }, c, box) {
  const upward = [...rows].reverse();
  return frame(c, box, {
    grid: { ...frame(c, box).grid, right: 70, top: 8 }, legend: { show: false },
    xAxis: valueAxis(c, { splitNumber: narrow(box) ? 2 : 5 }),
    yAxis: { ...categories(c, upward.map((row) => row[0])), axisLabel: { color: c.ink, width: narrow(box) ? 110 : 260, overflow: "break", lineHeight: 15 } },
    series: [{
      ...bars(c, words.name, upward.map((row) => row[1]), c.declared), barMaxWidth: 34,
      label: { show: true, position: "right", color: c.ink, formatter: ({ value }) => tenth.format(value) },
    }],
  });
}

function monthsChart({ rows, words }, c, box) {
  return frame(c, box, {
    xAxis: categories(c, rows.map((row) => row[0])), yAxis: valueAxis(c, { minInterval: 1 }),
    series: [
      { ...bars(c, words.renewed, rows.map((row) => row[1]), c.proven), stack: "all" },
      { ...bars(c, words.planned, rows.map((row) => row[2]), c.declared, { color: c.sheet, borderColor: c.declared, decal: { symbol: "rect", dashArrayX: [1, 0], dashArrayY: [2, 4], rotation: Math.PI / 4, color: c.declared } }), stack: "all" },
    ],
  });
}

function joiningChart({ rows, words }, c, box) {
  const line = (name, at, color, symbol, type) => ({
    name, type: "line", symbol, symbolSize: 6, color, lineStyle: { color, width: 2.5, type }, data: rows.map((row) => row[at]),
  });
  return frame(c, box, {
    xAxis: categories(c, rows.map((row) => row[0])), yAxis: valueAxis(c, { minInterval: 1 }),
    series: [line(words.joined, 1, c.proven, "circle", "solid"), line(words.planned, 2, c.declared, "none", [6, 4])],
  });
}

/** Shapes tell how far a facility is, and so do colours. */
const SHAPES = {
  none: ["triangle", 11, "never"], partly: ["diamond", 11, "declared"], whole: ["circle", 8, "proven"], empty: ["emptyCircle", 6, "analogue"],
};

/** One scale for both axes: what is east-west and what is north-south keeps its length. */
function mapChart(data, c, box) {
  const xs = data.points.map((point) => point[0]), ys = data.points.map((point) => point[1]);
  const top = narrow(box) ? 112 : box.clientWidth < 720 ? 66 : 40, margin = 14;
  const width = box.clientWidth - 2 * margin, height = box.clientHeight - top - margin;
  const span = (values) => [Math.min(...values), Math.max(...values)];
  const [west, east] = span(xs), [south, north] = span(ys);
  const km = Math.max((east - west) / width, (north - south) / height, 0.001) * 1.08;
  const axis = (from, to, size) => ({
    type: "value", min: (from + to) / 2 - (km * size) / 2, max: (from + to) / 2 + (km * size) / 2,
    axisLabel: { show: false }, axisTick: { show: false }, axisLine: { show: false }, splitLine: { show: false },
  });
  const zoom = { type: "inside", filterMode: "none", zoomOnMouseWheel: "ctrl", moveOnMouseMove: true, preventDefaultMouseMove: false };
  const placed = [];
  const free = ([x, y, name]) => {
    const at = [x / km, y / km, 4 + name.length * 4.2];
    if (placed.some((other) => Math.abs(other[0] - at[0]) < other[2] + at[2] && Math.abs(other[1] - at[1]) < 18)) return false;
    placed.push(at);
    return true;
  };
  return frame(c, box, {
    grid: { left: margin, right: margin, top, bottom: margin },
    xAxis: axis(west, east, width), yAxis: axis(south, north, height),
    dataZoom: [{ ...zoom, xAxisIndex: 0 }, { ...zoom, yAxisIndex: 0 }],
    tooltip: {
      ...frame(c, box).tooltip, trigger: "item",
      formatter: ({ value }) => (value.length < 6 ? "" : `${value[3]}\n${data.names[value[2]]}\n${data.proven}: ${value[4]}`),
    },
    series: [
      ...Object.entries(SHAPES).map(([code, [symbol, size, colour]]) => ({
        name: data.names[code], type: "scatter", symbol, symbolSize: size, color: c[colour],
        itemStyle: { color: c[colour], opacity: 0.85, borderColor: c.sheet, borderWidth: symbol === "emptyCircle" ? 0 : 0.7 },
        data: data.points.filter((point) => point[2] === code),
      })),
      {
        type: "scatter", silent: true, symbolSize: 0, z: 5, data: data.towns.filter(free),
        label: { show: true, position: "top", distance: 9, formatter: ({ value }) => value[2], color: c.ink, fontSize: 12, fontWeight: 600, textBorderColor: c.sheet, textBorderWidth: 3 },
      },
    ],
  });
}

/** Both axes together, about the middle; ctrl and the wheel, two fingers and dragging do so too. */
function zooms(one) {
  const buttons = document.querySelector(`[data-zoom="${one.box.id}"]`);
  if (!buttons) return;
  buttons.hidden = false;
  buttons.addEventListener("click", ({ target }) => {
    const step = Number(target.dataset.step);
    if (Number.isNaN(step)) return;
    one.chart.getOption().dataZoom.forEach(({ start, end }, dataZoomIndex) => {
      const middle = (start + end) / 2, half = step ? Math.min(50, ((end - start) / 2) * step) : 50;
      const at = Math.min(100 - half, Math.max(half, middle));
      one.chart.dispatchAction({ type: "dataZoom", dataZoomIndex, start: at - half, end: at + half });
    });
  });
}

/** A facility of the map leads to its page. */
function leads(one) {
  if (!one.data.address) return;
  one.chart.on("click", ({ value }) => {
    if (value?.length === 6) location.href = one.data.address.replace("ID", encodeURIComponent(value[5]));
  });
}

const KINDS = { share: shareChart, flow: flowChart, evidence: evidenceChart, money: moneyChart, months: monthsChart, joining: joiningChart, map: mapChart };

function draw(one) {
  const c = colours();
  one.chart.setOption({ ...KINDS[one.data.kind](one.data, c, one.box), backgroundColor: c.sheet }, { notMerge: true });
}
const drawAll = () => charts.forEach(draw);

/** The numbers under the arrow keys, for eyes and for a screen reader. */
function byKeys(one) {
  let at = -1;
  const said = document.getElementById(`${one.box.id}-said`);
  one.box.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const { series } = one.chart.getOption();
    if (!step || !series?.length) return;
    event.preventDefault();
    const last = series[0].data.length - 1;
    at = at < 0 ? (step > 0 ? 0 : last) : Math.min(last, Math.max(0, at + step));
    one.chart.dispatchAction({ type: "showTip", seriesIndex: 0, dataIndex: at });
    const row = document.querySelector(`#${one.box.id} ~ .below tbody tr:nth-child(${rowOf(one, at, last)})`);
    said.textContent = [...(row?.cells ?? [])].map((cell) => cell.textContent.trim()).join(", ");
  });
  one.box.addEventListener("blur", () => one.chart.dispatchAction({ type: "hideTip" }));
}
/** Days stand with the newest first in a table, and on the right in a chart; bars stand upside down. */
const rowOf = (one, at, last) => (one.data.upright ? at + 1 : last - at + 1);

function save(one) {
  const link = document.createElement("a");
  link.href = one.chart.getDataURL({ type: "png", pixelRatio: 3, backgroundColor: colours().sheet });
  link.download = `${one.box.id}.png`;
  link.click();
}

function begin(script) {
  const box = document.getElementById(script.dataset.chart);
  const one = { box, data: JSON.parse(script.textContent), chart: echarts.init(box, null, { devicePixelRatio: Math.max(2, devicePixelRatio) }) };
  charts.push(one);
  one.chart.on("finished", () => { box.dataset.drawn = "yes"; });
  draw(one);
  byKeys(one);
  zooms(one);
  leads(one);
  const button = document.querySelector(`[data-png="${box.id}"]`);
  if (button) {
    button.hidden = false;
    button.addEventListener("click", () => save(one));
  }
  let width = box.clientWidth;
  new ResizeObserver(() => {
    if (box.clientWidth === width || !box.clientWidth) return;
    width = box.clientWidth;
    one.chart.resize();
    draw(one);
  }).observe(box);
}

/** Charts are pictures of a fixed size: for paper they are drawn anew, before it is laid out. */
function print(on) {
  if (printing === on) return;
  printing = on;
  for (const numbers of document.querySelectorAll("[data-paper] details.on-paper")) numbers.open = on;
  for (const one of charts) one.chart.resize(on ? { width: Math.min(one.box.clientWidth, 690) } : { width: "auto" });
  drawAll();
}

document.querySelectorAll("script[data-chart]").forEach(begin);
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
dark.addEventListener("change", drawAll);
paper.addEventListener("change", (event) => print(event.matches));
addEventListener("beforeprint", () => print(true));
addEventListener("afterprint", () => print(false));
