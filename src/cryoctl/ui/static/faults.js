// Break the simulated probe, and mend it.

import { el, number, say } from "./dom.js";
import { get, post } from "./net.js";

const MOMENTS = [["now", "now"], ["freeze+3s", "3 s into the next freeze"], ["thaw+3s", "3 s into the next thaw"], ["tip_c<-40", "when the tip is below −40 °C"]];

export class Faults {
  constructor(place, notice) {
    this.notice = notice;
    this.device = "";
    this.search = el("input", { id: "fault-search", type: "search", placeholder: "sensor, valve, link…", oninput: () => this.filter() });
    this.when = el("input", { id: "fault-when", type: "text", value: "now", list: "fault-moments", spellcheck: "false" });
    this.last = el("input", { id: "fault-last", type: "text", value: "", placeholder: "for good", spellcheck: "false" });
    this.rows = el("div.fault-list");
    this.active = el("div.fault-active");
    this.none = el("p.hint", {}, "Faults are for simulated probes: connect one first.");
    this.all = el("div.columns", {},
      el("div.card", {},
        el("div.fields", {},
          el("div", {}, el("label", { for: "fault-search" }, "Search"), this.search),
          el("div", {}, el("label", { for: "fault-when" }, "When"), this.when, el("datalist", { id: "fault-moments" }, ...MOMENTS.map(([value, text]) => el("option", { value }, text)))),
          el("div", {}, el("label", { for: "fault-last" }, "For"), this.last)),
        el("p.help", {}, "When: now, 12s, a state of the probe such as freeze+3s, or a condition such as tip_c<-60. For: such as 5s."),
        this.rows),
      el("div.card", {}, el("h2", {}, "Present, waiting and over"), this.active));
    place.append(this.none, this.all);
  }

  async load() {
    try {
      this.known = await get("/api/faults");
    } catch (error) {
      this.notice(error.message);
      return;
    }
    this.rows.replaceChildren(...this.known.map((one) => this.row(one)));
    this.filter();
  }

  row(one) {
    const row = el("div.fault", {},
      el("div", {}, el("b", {}, one.id), el("span.tag", {}, one.group), el("p", {}, one.text), one.parameters.length > 0 && el("p.help", {}, one.parameters.join(", "))),
      el("button", { type: "button", onclick: () => this.inject(one.id), "aria-label": `Inject ${one.id}` }, "Inject"));
    row.dataset.words = `${one.id} ${one.group} ${one.text}`.toLowerCase();
    return row;
  }

  /** Shows one fault alone. */
  find(id) {
    this.search.value = id;
    this.filter();
  }

  filter() {
    const wanted = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of this.rows.children) row.hidden = !wanted.every((word) => row.dataset.words.includes(word));
  }

  async inject(id) {
    const when = this.when.value.trim();
    const lasts = this.last.value.trim();
    const moment = when === "" || when === "now" ? "0s" : when;
    await this.send("/api/inject", { fault: `${id}@${moment}${lasts ? `:${lasts}` : ""}` });
  }

  async send(path, wish) {
    await post(path, wish).catch((error) => this.notice(error.message));
  }

  show(job, notes, mayAsk) {
    const simulated = Boolean(job.simulated);
    this.none.hidden = simulated;
    this.all.hidden = !simulated;
    const device = simulated ? `${job.device} ${job.description}` : "";
    if (device !== this.device) {
      this.device = device;
      if (simulated) this.load();
    }
    const key = JSON.stringify([notes, mayAsk]);
    if (key === this.key) return;
    this.key = key;
    this.rows.toggleAttribute("inert", !mayAsk);
    this.active.replaceChildren(...(notes.length ? notes.toReversed().map((note) => this.note(note, mayAsk)) : [el("p.hint", {}, "Nothing is broken.")]));
  }

  note(note, mayAsk) {
    const state = note.ended_s !== null ? "over" : note.began_s !== null ? "present" : "waits";
    const since = note.began_s === null ? "" : ` since ${number(note.began_s, 1)} s`;
    const id = note.fault.split(/[@(]/)[0];
    const row = el("div.fault", {}, el("div", {}, el("b", {}, note.fault), el("span.tag", {}, `${state}${since}`)),
      state !== "over" && el("button", { type: "button", disabled: !mayAsk, onclick: () => this.send("/api/clear", { fault_id: id }), "aria-label": `Clear ${id}` }, "Clear"));
    row.dataset.state = state;
    return row;
  }
}
