// The tissue around one needle, cut along it: what the observer estimates, and a simulator's truth.

import { el, number, say, svg } from "./dom.js";

const WIDTH_MM = 20;
const HEIGHT_MM = 15;
const MIDDLE_MM = 7.6; // Of the active length, from the top; the needle comes from there.

export class Tissue {
  constructor(place) {
    this.job = null;
    this.picture = svg("svg", { viewBox: `${-WIDTH_MM / 2} 0 ${WIDTH_MM} ${HEIGHT_MM}`, role: "img" });
    this.title = svg("title", {}, "Cross-section of the tissue along the needle");
    this.words = el("p.tissue-words", { "aria-live": "off" });
    this.legend = el("ul.legend", {},
      key("edge", "ice edge, −3 °C, as ultrasound shows it (estimate)"),
      key("minus20", "−20 °C (estimate, band: 1 σ)"),
      key("true", "simulated truth: ice and −20 °C"),
      key("nerve", "nerve (simulated)"));
    place.append(this.picture, this.legend, this.words);
    this.prepare({});
  }

  /** Draws what stays: needle, scale, nerve. */
  prepare(job) {
    const text = JSON.stringify([job.needle_od_mm, job.active_length_mm, job.nerve]);
    if (text === this.job) return;
    this.job = text;
    this.focus = job.focus_mm ?? 0;
    const radius = (job.needle_od_mm ?? 0.9) / 2;
    const half = (job.active_length_mm ?? 8) / 2;
    this.shapes = Object.fromEntries(
      ["edge", "sigma", "minus20", "true-edge", "true-minus20"].map((name) => [name, svg(`ellipse.${name}`, { cx: 0, cy: MIDDLE_MM })]));
    this.legend.children[2].hidden = true;
    this.legend.children[3].hidden = !job.nerve;
    const tip = MIDDLE_MM + half;
    this.picture.replaceChildren(
      this.title,
      svg("rect.flesh", { x: -WIDTH_MM / 2, y: 0, width: WIDTH_MM, height: HEIGHT_MM }),
      this.shapes.edge, this.shapes.sigma, this.shapes.minus20,
      job.nerve ? nerve(job.nerve) : "",
      this.shapes["true-edge"], this.shapes["true-minus20"],
      svg("path.shaft", { d: `M${-radius} 0 H${radius} V${MIDDLE_MM - half} H${-radius} Z` }),
      svg("path.active", { d: `M${-radius} ${MIDDLE_MM - half} H${radius} V${tip - radius * 2} L0 ${tip} L${-radius} ${tip - radius * 2} Z` }),
      scale());
  }

  /** Draws an estimate and a truth; either may be empty. */
  show(ice, truth) {
    this.ellipse("edge", ice.edge_mm);
    this.ellipse("minus20", ice.minus20_mm);
    this.ellipse("sigma", ice.minus20_mm ? ice.minus20_mm + (ice.sigma_mm ?? 0) : 0);
    this.ellipse("true-edge", truth.edge_mm);
    this.ellipse("true-minus20", truth.minus20_mm);
    this.legend.children[2].hidden = truth.minus20_mm === undefined;
    const estimate = ice.minus20_mm === undefined ? "No estimate yet: it begins with the first freeze."
      : ice.minus20_mm === 0 ? "Nothing is at −20 °C or colder any more, by the estimate."
      : `−20 °C at ${number(ice.minus20_mm, 2)}${ice.sigma_mm === undefined ? "" : ` ± ${number(ice.sigma_mm, 2)}`} mm, ice to ${number(ice.edge_mm, 2)} mm: an estimate from a model, nothing has seen the tissue.`;
    const lesion = truth.nerve_min_c === undefined || truth.nerve_min_c === null ? ""
      : ` Truth of the simulation: −20 °C at ${number(truth.minus20_mm, 2)} mm; nerve ${number(truth.nerve_covered_mm, 1)} mm covered, ${number(truth.nerve_touched_mm, 1)} mm touched, coldest ${number(truth.nerve_min_c, 1)} °C, injury: ${truth.nerve_injury}.`;
    say(this.words, estimate + lesion);
  }

  ellipse(name, radius) {
    const shape = this.shapes[name];
    const on = radius > 0;
    shape.setAttribute("rx", on ? radius : 0);
    shape.setAttribute("ry", on ? Math.hypot(this.focus, radius) : 0);
  }
}

function key(name, text) {
  return el("li", {}, el(`i.key-${name}`, { "aria-hidden": "true" }), text);
}

function nerve({ distance_mm, angle_deg, axial_mm, length_mm }) {
  // Seen from where the needle and the nearest point of the nerve lie in the plane.
  const angle = (angle_deg * Math.PI) / 180;
  const reach = (Math.min(length_mm, 40) / 2) * Math.cos(angle);
  const at = MIDDLE_MM + axial_mm;
  if (reach < 1) return svg("circle.nerve", { cx: distance_mm, cy: at, r: 0.5 });
  return svg("line.nerve", { x1: distance_mm, x2: distance_mm, y1: at - reach, y2: at + reach });
}

function scale() {
  const x = -WIDTH_MM / 2 + 0.8;
  const y = HEIGHT_MM - 0.8;
  return svg("g.scale", {},
    svg("path", { d: `M${x} ${y - 0.3} v0.3 h5 v-0.3` }),
    svg("text", { x: x + 2.5, y: y - 0.5, "text-anchor": "middle" }, "5 mm"));
}
