// The event log, newest first.

import { el, number } from "./dom.js";

const KEPT = 500;

export class Log {
  constructor(place) {
    this.search = el("input", { id: "log-search", type: "search", placeholder: "trip, command, alarm…", oninput: () => this.filter() });
    this.rows = el("tbody");
    place.append(el("div.card", {},
      el("label", { for: "log-search" }, "Search"), this.search,
      el("table.events", {}, el("thead", {}, el("tr", {}, ...["time", "kind", "what"].map((name) => el("th", { scope: "col" }, name)))), this.rows)));
  }

  begin() {
    this.rows.replaceChildren();
  }

  add(events) {
    const wanted = this.search.value.toLowerCase();
    for (const [, at, kind, text] of events) {
      const row = eventRow(at, kind, text);
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      this.rows.prepend(row);
    }
    while (this.rows.children.length > KEPT) this.rows.lastChild.remove();
  }

  filter() {
    const wanted = this.search.value.toLowerCase();
    for (const row of this.rows.children) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  }
}

export function eventRow(at, kind, text) {
  const row = el("tr", {}, el("td.time", {}, `${number(at, 2)} s`), el("td", {}, el("span.tag", {}, kind)), el("td", {}, text));
  row.dataset.kind = kind;
  return row;
}
