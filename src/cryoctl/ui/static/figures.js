// The newest figures, large enough to be read from where the probe is held.

import { el, mark, number, say } from "./dom.js";

const TREND = { "-1": ["▼", "falling"], 0: ["▪", "steady"], 1: ["▲", "rising"] };
const SMALL = [
  ["Set-point", (now) => `${number(now.setpoint_c, 1)}`, "°C"],
  ["Supply", (now) => number(now.supply_bar, 1), "bar"],
  ["Flow", (now) => number(now.flow_mg_s, 0), "mg/s"],
  ["Valve", (now) => number(now.valve * 100, 0), "%"],
  ["Heater", (now) => number(now.heater * 100, 0), "%"],
  ["Skin", (now) => number(now.skin_c, 1), "°C"],
  ["Gas left", (now) => number(now.gas_left_g, 1), "g"],
  ["In the room", (now) => number(now.room_g, 1), "g/h"],
  ["Battery", (now) => number(now.battery_v, 2), "V"],
];

export class Figures {
  constructor(place) {
    this.place = place;
    this.tip = el("output.value");
    this.trend = el("span.trend", { "aria-hidden": "true" });
    this.trendWord = el("span.unseen");
    this.open = el("span.open");
    this.small = SMALL.map(([name, text, unit]) => {
      const value = el("output.value");
      return { text, value, node: el("div.figure", {}, el("span.name", {}, name), el("span", {}, value, el("span.unit", {}, ` ${unit}`))) };
    });
    place.append(
      el("div.figure.figure-tip", {}, el("span.name", {}, "Tip"), el("span", {}, this.tip, el("span.unit", {}, " °C"), this.trend, this.trendWord), this.open),
      el("div.figures-small", {}, ...this.small.map(({ node }) => node)));
  }

  show(now, isStale) {
    mark(this.place, "data-stale", isStale);
    const has = now.device_state !== undefined;
    say(this.tip, has ? number(now.tip_c, 1) : "–");
    say(this.open, now.open ? `sensor open: ${now.open}` : "");
    const [arrow, word] = TREND[now.trend ?? 0];
    say(this.trend, has ? ` ${arrow}` : "");
    say(this.trendWord, has ? ` ${word}` : "");
    this.trend.title = word;
    for (const { text, value } of this.small) say(value, has ? text(now) : "–");
  }
}
