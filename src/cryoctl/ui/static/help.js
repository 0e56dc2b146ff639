// What each alarm means and what to do: from the controller's own tables, without a network.

import { byId, el } from "./dom.js";
import { get } from "./net.js";

export class Help {
  constructor(place, notice) {
    this.notice = notice;
    this.search = el("input", { id: "help-search", type: "search", placeholder: "sensor, gas, link…", oninput: () => this.filter() });
    this.rows = el("div.meanings");
    place.append(el("div.card", {}, el("label", { for: "help-search" }, "Search"), this.search), this.rows);
  }

  /** Shows all alarms, and goes to one if it is named; faults are links where they can be simulated. */
  async look(id, simulated) {
    try {
      this.alarms ??= await get("/api/alarms");
    } catch (error) {
      this.notice(error.message);
      return;
    }
    this.rows.replaceChildren(...this.alarms.map((one) => meaning(one, simulated)));
    if (id) this.search.value = "";
    this.filter();
    for (const row of this.rows.children) row.toggleAttribute("data-asked", row.id === `meaning-${id}`);
    if (id) byId(`meaning-${id}`)?.scrollIntoView({ block: "center" });
  }

  filter() {
    const wanted = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of this.rows.children) row.hidden = !wanted.every((word) => row.textContent.toLowerCase().includes(word));
  }
}

function meaning(one, simulated) {
  const links = (part, ids) => ids.flatMap((id, index) => [index ? ", " : "", el("a", { href: `#${part}/${id}` }, id)]);
  const row = el("article.card.meaning", { id: `meaning-${one.id}` },
    el("h2", {}, el("span.priority", {}, `${one.mark} ${one.priority}`), one.id),
    el("p", {}, `${one.text.charAt(0).toUpperCase()}${one.text.slice(1)}.`),
    el("p.do", {}, one.action),
    el("p", {}, one.going_on),
    el("dl.facts", {},
      el("dt", {}, "Requirement"), el("dd", {}, `${one.requirement.id}: ${one.requirement.text}`),
      ...one.hazards.flatMap((hazard) => [el("dt", {}, hazard.id), el("dd", {}, hazard.text)]),
      ...(one.follows.length ? [el("dt", {}, "May come from"), el("dd", {}, ...links("help", one.follows))] : []),
      ...(one.faults.length ? [el("dt", {}, "Faults behind it"), el("dd", {}, ...(simulated ? links("faults", one.faults) : [one.faults.join(", ")]))] : [])));
  row.dataset.priority = one.priority;
  return row;
}
