// Plots over one time axis, with the phases behind them.

import { byId, clock, el, mark, number, say, words } from "./dom.js";

const PANELS = [
  {
    title: "Temperature, °C",
    share: 1.7,
    axes: [{ scale: "c", digits: 0 }],
    series: [
      { column: "tip_c", label: "tip", scale: "c", ink: "--tip", width: 2, digits: 1, unit: "°C" },
      { column: "setpoint_c", label: "set-point", scale: "c", ink: "--setpoint", dash: [7, 5], digits: 1, unit: "°C" },
      { column: "skin_c", label: "skin", scale: "c", ink: "--skin", digits: 1, unit: "°C" },
      { column: "true_tip_c", label: "tip, truth", scale: "c", ink: "--truth", dash: [2, 4], digits: 1, unit: "°C", hidden: true },
    ],
  },
  {
    title: "Gas: bar (left), mg/s (right)",
    share: 1,
    axes: [{ scale: "bar", digits: 0 }, { scale: "flow", digits: 0, side: 1 }],
    series: [
      { column: "supply_bar", label: "supply", scale: "bar", ink: "--supply", digits: 1, unit: "bar", floor: 0 },
      { column: "flow_mg_s", label: "flow", scale: "flow", ink: "--flow", dash: [6, 3], digits: 0, unit: "mg/s", floor: 0 },
      { column: "exhaust_bar", label: "exhaust", scale: "bar", ink: "--exhaust", dash: [2, 3], digits: 2, unit: "bar", hidden: true },
    ],
  },
  {
    title: "Outputs, %",
    share: 0.8,
    axes: [{ scale: "share", digits: 0, factor: 100 }],
    series: [
      { column: "valve", label: "valve", scale: "share", ink: "--valve", digits: 0, unit: "%", factor: 100 },
      { column: "heater", label: "heater", scale: "share", ink: "--heater", dash: [6, 3], digits: 0, unit: "%", factor: 100 },
      { column: "warmer", label: "skin warmer", scale: "share", ink: "--skin", dash: [2, 3], digits: 0, unit: "%", factor: 100, hidden: true },
    ],
  },
  {
    title: "Radius at −20 °C, mm",
    share: 0.8,
    axes: [{ scale: "mm", digits: 1 }],
    series: [
      { column: "radius_mm", label: "estimate", scale: "mm", ink: "--minus20", width: 2, digits: 2, unit: "mm" },
      { column: "true_radius_mm", label: "truth", scale: "mm", ink: "--truth", dash: [2, 4], digits: 2, unit: "mm" },
    ],
  },
];
const RANGES = {
  c: (low, high) => [Math.min(low ?? 0, -10) - 8, Math.max(high ?? 40, 40) + 14],
  bar: (_low, high) => [0, Math.max(high ?? 0, 10) * 1.12],
  flow: (_low, high) => [0, Math.max(high ?? 0, 20) * 1.12],
  share: () => [-0.04, 1.08],
  mm: (_low, high) => [0, Math.max(high ?? 0, 1) * 1.15],
};
const TINTS = {
  COOLING: "--band-cold", HOLD: "--band-hold", THAWING: "--band-warm", RELEASE: "--band-warm",
  PREWARM: "--band-warm", SAFE: "--band-trip", FAULT: "--band-trip",
};
const AXIS_PX = 50;
const WINDOWS = [["30 s", 30], ["5 min", 300], ["Run", null]];

const inkOf = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export class Plots {
  /** Draws into `place`; `windows` false leaves out what only a live view needs. */
  constructor(place, columns, phases, { live = true } = {}) {
    this.columns = columns;
    this.phases = phases;
    this.seconds = live ? 30 : null;
    this.paused = false;
    this.hidden = new Set();
    this.data = columns.map(() => []);
    this.end = 0;
    this.bar = el("div.plot-bar");
    this.age = el("span.age", { role: "status", hidden: true });
    this.stage = el("div.stage");
    this.stage.setAttribute("aria-label", "Plots over time");
    if (live) this.bar.append(this.windowButtons(), this.pauseButton(), this.age);
    place.append(this.bar, this.stage);
    this.sync = uPlot.sync(`plots-${live}`);
    for (const panel of PANELS) for (const line of panel.series) if (line.hidden) this.hidden.add(line.column);
    this.build();
    new ResizeObserver(() => this.fit()).observe(this.stage);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.build());
  }

  windowButtons() {
    const group = el("div.segments", { role: "group", "aria-label": "Time shown" });
    this.windowMarks = WINDOWS.map(([label, seconds]) => {
      const button = el("button", { type: "button", "aria-pressed": seconds === this.seconds }, label);
      button.setAttribute("aria-pressed", String(seconds === this.seconds));
      button.addEventListener("click", () => {
        this.seconds = seconds;
        for (const [other, value] of this.windowMarks) other.setAttribute("aria-pressed", String(value === seconds));
        this.refresh();
      });
      group.append(button);
      return [button, seconds];
    });
    return group;
  }

  pauseButton() {
    const button = el("button", { type: "button", "aria-pressed": "false" }, "Pause view");
    button.addEventListener("click", () => {
      this.paused = !this.paused;
      button.setAttribute("aria-pressed", String(this.paused));
      say(button, this.paused ? "Go on (recording goes on)" : "Pause view");
    });
    return button;
  }

  build() {
    for (const plot of this.plots ?? []) plot.destroy();
    this.stage.replaceChildren();
    this.chips = new Map();
    this.plots = PANELS.map((panel, index) => this.panel(panel, index));
    this.fit();
    this.refresh();
  }

  panel(panel, index) {
    const holder = el("div.panel");
    const chips = el("div.chips", {}, el("span.panel-title", {}, panel.title));
    this.stage.append(el("div.panel-box", {}, chips, holder));
    const plot = new uPlot(this.options(panel, index), this.select(panel), holder);
    for (const [at, line] of panel.series.entries()) chips.append(this.chip(plot, line, at + 1));
    return plot;
  }

  chip(plot, line, at) {
    const value = el("b");
    const sample = el("i", { "aria-hidden": "true" });
    sample.style.color = `var(${line.ink})`;
    sample.dataset.dash = line.dash ? (line.dash[0] < 3 ? "dots" : "dashes") : "line";
    const button = el("button.chip-line", { type: "button", "aria-pressed": String(!this.hidden.has(line.column)) }, sample, line.label, value);
    button.addEventListener("click", () => {
      const show = this.hidden.delete(line.column);
      if (!show) this.hidden.add(line.column);
      button.setAttribute("aria-pressed", String(show));
      plot.setSeries(at, { show });
    });
    this.chips.set(line.column, { value, line });
    return button;
  }

  options(panel, index) {
    const ink = inkOf("--muted");
    const grid = { stroke: inkOf("--grid"), width: 1 };
    const isLast = index === PANELS.length - 1;
    const font = "12px system-ui, sans-serif";
    const time = {
      stroke: ink, grid, font, ticks: { show: false }, size: isLast ? 26 : 8, gap: 4,
      values: (_plot, splits) => splits.map((second) => (isLast ? clock(second) : "")),
      incrs: [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200], space: 70,
    };
    const sides = panel.axes.map((axis) => ({
      scale: axis.scale, side: axis.side ?? 3, stroke: ink, font, size: AXIS_PX, gap: 6, space: 26,
      grid: axis.side ? { show: false } : grid, ticks: { show: false },
      values: (_plot, splits) => splits.map((value) => number(value * (axis.factor ?? 1), axis.digits)),
    }));
    if (sides.length === 1) sides.push({ scale: panel.axes[0].scale, side: 1, size: AXIS_PX, values: () => [], grid: { show: false }, ticks: { show: false } });
    return {
      width: 600, height: 120, legend: { show: false },
      padding: [6, 0, 0, 0],
      cursor: { sync: { key: this.sync.key }, drag: { x: false, y: false }, points: { size: 6 }, y: false },
      scales: {
        x: { time: false, range: () => this.span() },
        ...Object.fromEntries(panel.axes.map((axis) => [axis.scale, { range: (_plot, low, high) => RANGES[axis.scale](low, high) }])),
      },
      axes: [time, ...sides],
      series: [
        {},
        ...panel.series.map((line) => ({
          scale: line.scale, stroke: inkOf(line.ink), width: line.width ?? 1.5, dash: line.dash,
          points: { show: false }, show: !this.hidden.has(line.column), spanGaps: false,
        })),
      ],
      hooks: {
        drawClear: [(plot) => this.drawPhases(plot, fillBand)],
        draw: index === 0 ? [(plot) => this.drawPhases(plot, nameBand)] : [],
        setCursor: [(plot) => this.tell(plot.cursor.idx)],
      },
    };
  }

  span() {
    const first = this.data[0][0] ?? 0;
    if (this.seconds === null) return [first, Math.max(this.end, first + 10)];
    return [this.end - this.seconds, this.end];
  }

  /** Calls `drawBand` for each stretch of one phase in sight. */
  drawPhases(plot, drawBand) {
    const times = this.data[0];
    const phases = this.data[this.columns.indexOf("phase")];
    if (times.length === 0) return;
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    let from = 0;
    for (let at = 1; at <= times.length; at += 1) {
      if (at < times.length && phases[at] === phases[from]) continue;
      const name = this.phases[phases[from]] ?? "";
      const left = plot.valToPos(times[from], "x", true);
      const right = plot.valToPos(times[Math.min(at, times.length - 1)], "x", true);
      drawBand(ctx, bbox, name, left, right);
      from = at;
    }
    ctx.restore();
  }

  /** Shows columns up to time `end`. */
  show(data, end) {
    if (this.paused) return;
    this.data = data;
    this.end = end;
    this.draw();
  }

  /** Asks whoever owns the data to show it again, as after another window was chosen. */
  refresh() {
    this.onWindow?.(this.seconds);
    this.draw();
  }

  draw() {
    if (this.stage.offsetParent === null) return;
    for (const [index, plot] of this.plots.entries()) plot.setData(this.select(PANELS[index]));
    if (this.plots[0].cursor.idx === null || this.plots[0].cursor.idx === undefined) this.tell(null);
  }

  select(panel) {
    return [this.data[0], ...panel.series.map((line) => this.data[this.columns.indexOf(line.column)])];
  }

  /** Writes the values under the cursor, or the newest, into the chips. */
  tell(index) {
    const at = index ?? this.data[0].length - 1;
    for (const [column, { value, line }] of this.chips) {
      const raw = this.data[this.columns.indexOf(column)][at];
      say(value, raw === null || raw === undefined ? "–" : `${number(raw * (line.factor ?? 1), line.digits)} ${line.unit}`);
    }
  }

  /** Greys the plots and says how old they are; null when they are not. */
  stale(text) {
    mark(this.stage, "data-stale", text !== null);
    this.age.hidden = text === null;
    say(this.age, text ?? "");
  }

  fit() {
    const width = this.stage.clientWidth;
    if (width === 0) return;
    const total = PANELS.reduce((sum, panel) => sum + panel.share, 0);
    const room = Math.max(430, Math.min(innerHeight - 360, 1000));
    for (const [index, plot] of this.plots.entries()) {
      plot.setSize({ width, height: Math.round((room * PANELS[index].share) / total) + (index === PANELS.length - 1 ? 18 : 0) });
    }
  }
}

function fillBand(ctx, bbox, name, left, right) {
  if (!(name in TINTS)) return;
  ctx.fillStyle = inkOf(TINTS[name]);
  ctx.fillRect(left, bbox.top, right - left, bbox.height);
}

function nameBand(ctx, bbox, name, left, right) {
  const scale = devicePixelRatio;
  const start = Math.max(left, bbox.left);
  const text = words(name);
  ctx.fillStyle = inkOf("--rule");
  ctx.fillRect(left, bbox.top, scale, bbox.height);
  ctx.font = `600 ${10.5 * scale}px system-ui, sans-serif`;
  if (ctx.measureText(text).width + 8 * scale > right - start) return;
  ctx.fillStyle = inkOf("--muted");
  ctx.textAlign = "left";
  ctx.textBaseline = "top";
  ctx.fillText(text, start + 5 * scale, bbox.top + 3 * scale);
}
