// Choose or edit a treatment; the server checks it while one types and says what it would do.

import { clock, el, number, say, svg, words } from "./dom.js";
import { post } from "./net.js";

const CHECK_MS = 250;

export class Treatment {
  constructor(place, notice) {
    this.notice = notice;
    this.known = [];
    this.title = "none chosen";
    this.choice = el("select", { id: "treatment-choice", onchange: () => this.choose(this.choice.value) });
    this.editor = el("textarea", { id: "treatment-text", spellcheck: "false", rows: "26", oninput: () => this.typed() });
    this.lines = el("pre.line-numbers", { "aria-hidden": "true" });
    this.editor.addEventListener("scroll", () => { this.lines.scrollTop = this.editor.scrollTop; });
    this.file = el("input", { type: "file", id: "treatment-file", accept: ".toml", onchange: () => this.load() });
    this.problems = el("ul.problems");
    this.preview = el("div.plan");
    place.append(el("div.columns.wide-left", {},
      el("div.card", {},
        el("label", { for: "treatment-choice" }, "Built-in"), this.choice,
        el("label", { for: "treatment-file" }, "or a file of yours"), this.file,
        el("label", { for: "treatment-text" }, "Text; every change is checked"),
        el("div.editor", {}, this.lines, this.editor), el("div", { role: "status", "aria-label": "Mistakes" }, this.problems)),
      el("div.card", {}, el("h2", {}, "What it would do"), this.preview)));
  }

  get text() {
    return this.editor.value;
  }

  offer(treatments) {
    if (this.known.length) return;
    this.known = treatments;
    this.choice.replaceChildren(...treatments.map((one) => el("option", { value: one.name }, `${one.title} (${one.profile})`)));
    this.chooseFor("n2o-20g");
  }

  chooseFor(profile) {
    const found = this.known.find((one) => one.name === profile) ?? this.known.find((one) => one.profile === profile);
    if (found) this.choose(found.name);
  }

  choose(name) {
    const found = this.known.find((one) => one.name === name);
    if (!found) return;
    this.choice.value = name;
    this.put(found.text);
  }

  async load() {
    const [file] = this.file.files;
    if (file) this.put(await file.text());
  }

  put(text) {
    this.editor.value = text;
    this.number();
    this.check();
  }

  typed() {
    this.number();
    clearTimeout(this.due);
    this.due = setTimeout(() => this.check(), CHECK_MS);
  }

  number(wrong = new Map()) {
    const count = this.editor.value.split("\n").length;
    this.lines.replaceChildren(...Array.from({ length: count }, (_, index) =>
      el(wrong.has(index + 1) ? "span.wrong" : "span", {}, `${index + 1}\n`)));
  }

  async check() {
    const asked = this.editor.value;
    try {
      const found = await post("/api/check", { treatment: asked });
      if (asked === this.editor.value) this.tell(found);
    } catch (error) {
      this.notice(error.message);
    }
  }

  tell({ problems, plan }) {
    this.number(new Map(problems.map((one) => [one.line, one])));
    this.problems.replaceChildren(...problems.map((one) => this.problem(one)));
    this.problems.dataset.clear = String(problems.length === 0);
    if (problems.length === 0) this.problems.append(el("li.fine", {}, "No mistakes."));
    this.title = plan ? `${plan.name}, ${plan.cycles} × ${number(plan.setpoint_c)} °C for ${number(plan.hold_s)} s` : "has mistakes";
    this.preview.replaceChildren(...(plan ? pictureOf(plan) : [el("p.hint", {}, "Nothing can be planned before the mistakes are mended.")]));
  }

  problem(one) {
    const where = one.line === null ? "" : `line ${one.line}: `;
    const text = `${where}${one.key ? `${one.key}: ` : ""}${one.message}`;
    return el("li", {}, el("button.link", { type: "button", onclick: () => this.goTo(one.line) }, text), one.hint && el("span", {}, one.hint));
  }

  goTo(line) {
    if (line === null) return;
    const lines = this.editor.value.split("\n");
    const start = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    this.editor.focus();
    this.editor.setSelectionRange(start, start + lines[line - 1].length);
  }
}

/** Curve, timeline and figures of a plan. */
export function pictureOf(plan) {
  const rows = [
    ["Time", `${clock(plan.expected_s)} expected, ${clock(plan.maximum_s)} at most`],
    ["Set-point", `${number(plan.setpoint_c, 1)} ± ${number(plan.band_c, 1)} °C, ${number(plan.setpoint_margin_c, 1)} °C above the coldest allowed`],
    ["Gas", `${number(plan.gas_with_reserve_g, 1)} g with reserve of ${number(plan.gas_usable_g, 1)} g usable`],
    ["Profile", plan.profile],
  ];
  return [
    curve(plan),
    el("dl.facts", {}, ...rows.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)])),
    el("p", { class: plan.blockers.length ? "bad" : "fine" }, plan.blockers.length ? "Would not be armed:" : "Nothing in this plan speaks against ARM."),
    el("ul.reasons", {}, ...plan.blockers.map((one) => el("li", {}, `${one.id}: ${one.value}, needs ${one.limit}. ${one.text}`))),
    el("table.phases", {},
      el("tr", {}, ...["phase", "cycle", "starts", "expected", "at most"].map((name) => el("th", { scope: "col" }, name))),
      ...plan.phases.map((row) => el("tr", {}, ...[words(row.phase), row.cycle || "–", clock(row.starts_s), `${number(row.expected_s)} s`, `${number(row.maximum_s)} s`].map((text) => el("td", {}, text))))),
  ];
}

function curve(plan) {
  const [width, height, low, high] = [600, 190, Math.min(plan.floor_c, plan.setpoint_c) - 6, 45];
  const x = (second) => 44 + ((width - 52) * second) / plan.expected_s;
  const y = (celsius) => 8 + ((height - 34) * (high - celsius)) / (high - low);
  const line = (celsius, name) => svg(`path.${name}`, { d: `M44 ${y(celsius)}H${width - 8}` });
  const label = (celsius) => svg("text", { x: 38, y: y(celsius) + 4, "text-anchor": "end" }, number(celsius));
  const picture = svg("svg.curve", { viewBox: `0 0 ${width} ${height}`, role: "img" },
    svg("title", {}, "Tip temperature, planned, not simulated"),
    ...plan.phases.filter((row) => row.phase === "HOLD").map((row) => svg("rect.hold", { x: x(row.starts_s), y: 8, width: x(row.expected_s) - 44, height: height - 34 })),
    line(37, "grid"), line(0, "grid"), line(plan.setpoint_c, "setpoint"), line(plan.floor_c, "floor"),
    label(37), label(0), label(plan.setpoint_c), 
    svg("text", { x: width - 10, y: y(plan.floor_c) - 4, "text-anchor": "end" }, `trip at ${number(plan.floor_c)} °C`),
    svg("path.tip", { d: plan.curve.map(([second, celsius], index) => `${index ? "L" : "M"}${x(second).toFixed(1)} ${y(celsius).toFixed(1)}`).join("") }),
    svg("text", { x: 44, y: height - 6 }, "0:00"),
    svg("text", { x: width - 8, y: height - 6, "text-anchor": "end" }, clock(plan.expected_s)));
  return el("figure", {}, picture, el("figcaption", {}, "Tip temperature in °C, planned, not simulated"));
}
