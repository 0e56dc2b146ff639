// Runs that are kept: their reports, and one of them played again.

import { clock, el, number, say, words } from "./dom.js";
import { eventRow } from "./log.js";
import { get } from "./net.js";
import { Plots } from "./plots.js";
import { Tissue } from "./tissue.js";
import { columnsOf, firstAt } from "./trace.js";

const SPEEDS = [0.1, 0.5, 1, 2, 5, 10, 50];

const cell = (name, text) => el("td", { "data-of": name }, text);

export class Recordings {
  constructor(place, notice) {
    this.notice = notice;
    this.list = el("tbody");
    this.player = el("div.player", { hidden: true });
    this.suites = el("tbody");
    place.append(
      el("div.card", {},
        el("button", { type: "button", onclick: () => this.look() }, "Look again"),
        el("table.runs", {}, el("thead", {}, el("tr", {}, ...["run", "treatment", "device", "length", "verdict", "alarms", "open"].map((name) => el("th", { scope: "col" }, name)))), this.list)),
      this.player,
      el("div.card.suites", {},
        el("h2", {}, "Hardware-in-the-loop suites"),
        el("table.runs", {}, el("thead", {}, el("tr", {}, ...["run", "begun, UTC", "rig", "probe", "tests", "verdict", "open"].map((name) => el("th", { scope: "col" }, name)))), this.suites)));
  }

  async look() {
    try {
      const runs = await get("/api/runs");
      this.list.replaceChildren(...runs.map((run) => this.row(run)));
      const suites = await get("/api/suites");
      this.suites.replaceChildren(...suites.map((run) => this.suite(run)));
      if (suites.length === 0) this.suites.append(el("tr", {}, el("td", { colspan: "7" }, "No suite was run here yet: cryoctl hil runs it.")));
      if (runs.length === 0) this.list.append(el("tr", {}, el("td", { colspan: "7" }, "No run is kept in this folder yet.")));
    } catch (error) {
      this.notice(error.message);
    }
  }

  row(run) {
    const name = encodeURIComponent(run.name);
    return el("tr", {},
      cell("run", el("code", {}, run.name)), cell("treatment", run.treatment), cell("device", run.device),
      cell("length", run.seconds === null ? "–" : clock(run.seconds)),
      el("td", { "data-of": "verdict" }, run.verdict ? words(run.verdict) : "not closed",
        !run.verdict && el("p.help", {}, "it runs still, or: ", el("code", {}, `cryoctl recover ${run.path}`))),
      cell("alarms", run.alarms.join(", ")),
      el("td.tools", {},
        el("button", { type: "button", onclick: () => this.play(run.name) }, "Replay"),
        run.report && el("a.button", { href: `/runs/${name}/report.html`, target: "_blank", rel: "noopener" }, "Report")));
  }

  suite(run) {
    const failed = run.failed ?? [];
    const verdict = run.verdict === undefined ? run.problem : run.ended ? words(run.verdict) : "not ended";
    return el("tr", {},
      cell("run", el("code", {}, run.name)), cell("begun", run.started_utc.slice(0, 19).replace("T", " ")),
      cell("rig", run.rig ?? ""), cell("probe", run.probe ?? ""),
      cell("tests", run.tests === undefined ? "" : `${run.passed} of ${run.tests} PASS`),
      el("td", { "data-of": "verdict" }, el("b", {}, verdict),
        run.verdict !== undefined && run.problem && el("p.help", {}, run.problem),
        failed.length > 0 && el("details", {}, el("summary", {}, `${failed.length} failed`), el("ul", {}, ...failed.map((text) => el("li", {}, text))))),
      el("td.tools", {}, run.report && el("a.button", { href: `/suites/${encodeURIComponent(run.name)}/report.html`, target: "_blank", rel: "noopener", "aria-label": `Report of ${run.name}` }, "Report")));
  }

  async play(name) {
    try {
      const run = await get(`/api/runs/${encodeURIComponent(name)}`);
      this.replay?.close();
      this.player.replaceChildren();
      this.player.hidden = false;
      this.replay = new Replay(this.player, run);
      this.player.scrollIntoView({ block: "start" });
    } catch (error) {
      this.notice(error.message);
    }
  }
}

class Replay {
  constructor(place, run) {
    this.run = run;
    this.rows = run.rows;
    this.first = run.rows[0][0];
    this.last = run.rows.at(-1)[0];
    this.at = this.last;
    this.speed = 1;
    this.playing = false;
    this.open = true;
    this.button = el("button.primary", { type: "button", onclick: () => this.toggle() }, "Play");
    this.seek = el("input", { id: "replay-seek", type: "range", min: this.first, max: this.last, step: "any", value: this.last, oninput: () => this.go(Number(this.seek.value)) });
    this.speeds = el("select", { id: "replay-speed", onchange: () => { this.speed = Number(this.speeds.value); } },
      ...SPEEDS.map((speed) => el("option", { value: speed, selected: speed === 1 }, `${speed}×`)));
    this.time = el("output.value");
    const plots = el("div.card.plots");
    const tissue = el("div.card.tissue");
    this.events = el("tbody");
    place.append(
      el("div.card", {},
        el("h2", {}, `Replay of ${run.name}`),
        run.complete ? "" : el("p.bad", {}, "This recording was not closed: its last moments may be missing."),
        el("div.transport", {}, this.button, el("label.unseen", { for: "replay-seek" }, "Seek"), this.seek, this.time, el("label.unseen", { for: "replay-speed" }, "Speed"), this.speeds)),
      el("div.columns.wide-left", {}, plots, tissue),
      el("div.card.scroll", { tabindex: 0, role: "region", "aria-label": "Events" }, el("table.events", {}, this.events)));
    this.plots = new Plots(plots, run.columns, run.phases, { live: false });
    this.tissue = new Tissue(tissue);
    this.tissue.prepare(run.job);
    this.go(this.last);
  }

  toggle() {
    this.playing = !this.playing;
    say(this.button, this.playing ? "Pause" : "Play");
    if (!this.playing) return;
    if (this.at >= this.last) this.at = this.first;
    this.ms = performance.now();
    requestAnimationFrame((ms) => this.step(ms));
  }

  step(ms) {
    if (!this.playing || !this.open) return;
    this.go(this.at + ((ms - this.ms) / 1000) * this.speed);
    this.ms = ms;
    if (this.at >= this.last) this.toggle();
    else requestAnimationFrame((next) => this.step(next));
  }

  go(at) {
    this.at = Math.min(this.last, Math.max(this.first, at));
    this.seek.value = this.at;
    say(this.time, `${clock(this.at)} of ${clock(this.last)}`);
    const to = firstAt(this.rows, this.at + 1e-9);
    this.plots.show(columnsOf(this.rows, 0, to, this.run.columns.length), this.last);
    const row = this.rows[Math.max(0, to - 1)];
    const value = (name) => row[this.run.columns.indexOf(name)] ?? undefined;
    this.tissue.show(
      { minus20_mm: value("radius_mm"), edge_mm: value("ice_mm") },
      { minus20_mm: value("true_radius_mm"), edge_mm: value("true_ice_mm") });
    const shown = this.run.events.filter(([time]) => time <= this.at).slice(-60).reverse();
    this.events.replaceChildren(...shown.map(([time, kind, text]) => eventRow(time, kind, text)));
  }

  close() {
    this.open = false;
    this.playing = false;
  }
}
