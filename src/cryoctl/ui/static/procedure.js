// What to do next: the steps of a treatment, the reasons against ARM, how far it has come.

import { clock, el, number, say, words } from "./dom.js";
import { post } from "./net.js";

const STEPS = [
  { name: "Test", asks: [["begin", "Begin: test probe and line"]], phases: ["IDLE", "SELF_TEST", "LEAK_TEST"] },
  { name: "Place", asks: [["place", "Place the needle"], ["placed", "Needle is in place"]], phases: ["PLACEMENT"] },
  { name: "Arm", asks: [["arm", "ARM"]], phases: ["READY"] },
  { name: "Start", asks: [["start", "START"]], phases: ["ARMED"] },
  { name: "Freeze and thaw", asks: [], phases: ["PREWARM", "COOLING", "HOLD", "THAWING", "RELEASE", "PAUSE"] },
  { name: "End", asks: [["reset", "Reset"]], phases: ["COMPLETE", "SAFE", "FAULT"] },
];
const HINTS = {
  CONNECTING: "Waiting for the probe.",
  IDLE: "The probe tests itself and its line for leaks, 12 s. Nothing freezes.",
  SELF_TEST: "The probe tests itself.",
  LEAK_TEST: "The line is under pressure; a leak would show within 10 s.",
  READY: "Place the needle, then ARM. Nothing freezes before START.",
  PLACEMENT: "Put the needle where it belongs. The nerve may be stimulated now.",
  ARMED: "START within 10 s of ARM, or it is disarmed.",
  PREWARM: "The skin at the needle is warmed.",
  COOLING: "The tip falls to its set-point.",
  HOLD: "The tip is held at its set-point.",
  THAWING: "Do not move the needle until it is free.",
  RELEASE: "The needle is free.",
  PAUSE: "Rest between two cycles.",
  COMPLETE: "The treatment is over. Reset to begin another.",
  SAFE: "The probe is made safe. Do not move the needle until it is free.",
  FAULT: "The probe is safe. Acknowledge the alarm, mend its cause, then Reset.",
};
const SHORT = { PREWARM: "warm", COOLING: "cool", HOLD: "hold", THAWING: "thaw", PAUSE: "rest" };

export class Procedure {
  constructor(place, ask, notice) {
    this.ask = ask;
    this.key = "";
    this.steps = el("ol.steps");
    this.hint = el("p.hint", { role: "status" });
    this.buttons = el("div.actions");
    this.why = el("div.blockers");
    this.report = el("p");
    this.verdict = el("p.verdict", { role: "status" });
    this.stimulus = new Stimulus(notice);
    place.append(this.steps, this.verdict, this.hint, this.report, this.buttons, this.stimulus.form, this.why);
  }

  /** Shows where the state stands; `mayAsk` is false for a page that only looks. */
  show(state, mayAsk) {
    const { phase, blockers, recovery, link, outcome, job, now } = state;
    const name = phase?.phase ?? "";
    this.stimulus.show(name === "PLACEMENT" && link.state !== "ended" && !job.looks_on, now, mayAsk);
    const key = JSON.stringify([name, phase?.asks, phase?.verdict, phase?.failure, phase?.again, blockers, recovery, mayAsk, link.state, outcome, job.looks_on]);
    if (key !== this.key) {
      this.key = key;
      this.build(state, name, mayAsk);
    }
    if (this.armLeft && phase) say(this.armLeft, `START (${number(phase.arm_left_s)} s)`);
  }

  build({ phase, blockers, recovery, link, outcome, job }, name, mayAsk) {
    const now = STEPS.findIndex((step) => step.phases.includes(name));
    this.steps.replaceChildren(...STEPS.map((step, index) => {
      const state = index === now ? "now" : index < now ? "done" : "next";
      return el(`li.${state}`, index === now ? { "aria-current": "step" } : {}, step.name);
    }));
    this.armLeft = null;
    const asks = phase?.asks ?? [];
    const isOpen = link.state !== "ended" && link.state !== "none";
    const offered = isOpen ? STEPS.flatMap((step) => step.asks).filter(([ask]) => asks.includes(ask)) : [];
    this.buttons.replaceChildren(...offered.map(([ask, label]) => this.button(ask, label, mayAsk, against(ask, blockers, recovery))));
    if (isOpen && asks.includes("cartridge")) this.buttons.append(this.plain("cartridge", "New cartridge is in", mayAsk));
    const verdict = (isOpen ? null : outcome?.verdict) ?? phase?.verdict;
    say(this.verdict, verdict ? `Verdict: ${words(verdict)}` : "");
    this.verdict.dataset.verdict = verdict ?? "";
    const failure = phase?.failure || outcome?.failure || "";
    say(this.hint, hintOf(name, link, failure, phase?.again));
    this.report.replaceChildren(...(outcome?.report && !isOpen
      ? [el("a.button", { href: `/runs/${encodeURIComponent(outcome.folder)}/report.html`, target: "_blank", rel: "noopener" }, "Report")] : []));
    if (job.looks_on && isOpen) this.buttons.append(el("p.help", {}, "Who began this run asks for its steps. STOP works from here."));
    if (name === "FAULT" && isOpen) this.showRecovery(recovery, asks, job.looks_on);
    else this.showWhy(name, blockers, isOpen);
  }

  /** What is left to do before a trip can be left behind, in its order. */
  showRecovery(recovery, asks, looksOn) {
    const present = recovery.present ?? [];
    const isQuiet = !asks.includes("acknowledge");
    const step = (done, ...text) => el(`li.${done ? "done" : "todo"}`, {}, el("b", { "aria-label": done ? "done" : "to do" }, done ? "✓" : "○"), el("span", {}, ...text));
    const causes = present.flatMap((id, index) => [index ? ", " : "", el("a", { href: `#help/${id}` }, id)]);
    this.why.replaceChildren(
      el("h3", {}, "To go on after this trip"),
      el("ul", {},
        step(true, "The probe is safe, the needle free."),
        step(isQuiet, isQuiet ? "Alarms are acknowledged." : "Acknowledge the alarm."),
        step(!recovery.why_not, recovery.why_not ? "Against a reset: " : "Nothing speaks against a reset.", recovery.why_not, ...(recovery.why_not && causes.length ? [": ", ...causes] : [])),
        looksOn
          ? step(false, "This run ends here; begin another.")
          : step(false, "Reset, then begin anew: tests, ARM, START. What was treated so far is kept as a placement of its own.")));
    this.why.dataset.clear = String(!recovery.why_not);
  }

  button(ask, label, mayAsk, isBlocked) {
    const button = el("button.big", { type: "button", disabled: !mayAsk || isBlocked, onclick: () => this.ask(ask) }, label);
    button.dataset.ask = ask;
    if (ask === "start") this.armLeft = button;
    return button;
  }

  plain(ask, label, mayAsk) {
    const button = el("button", { type: "button", disabled: !mayAsk, onclick: () => this.ask(ask) }, label);
    button.dataset.ask = ask;
    return button;
  }

  showWhy(name, blockers, isOpen) {
    const isBefore = isOpen && ["IDLE", "SELF_TEST", "LEAK_TEST", "READY", "PLACEMENT"].includes(name);
    if (!isBefore) {
      this.why.replaceChildren();
      return;
    }
    const rows = blockers.map((one) => el("li", {},
      el("b", {}, one.id), el("span", {}, one.text), el("em", {}, `${one.value}, needs ${one.limit}`)));
    this.why.replaceChildren(
      el("h3", {}, rows.length ? `Against ARM: ${rows.length}` : "Nothing speaks against ARM"),
      el("ul", {}, ...rows));
    this.why.dataset.clear = String(rows.length === 0);
  }
}

/** The nerve stimulator, while the needle is being placed. */
class Stimulus {
  constructor(notice) {
    this.notice = notice;
    const field = (name, label, value, step) => {
      const input = el("input", { id: `stimulus-${name}`, type: "number", min: "0", step, value });
      return [input, el("div", {}, el("label", { for: `stimulus-${name}` }, label), input)];
    };
    const [amplitude, first] = field("ma", "Current, mA", "0.5", "0.05");
    const [frequency, second] = field("hz", "Pulses a second", "2", "1");
    const [pulse, third] = field("ms", "Pulse, ms", "0.1", "0.05");
    this.inputs = { amplitude, frequency, pulse };
    this.button = el("button", { type: "submit" }, "Stimulate for 5 s");
    this.answer = el("p.hint", { role: "status" });
    this.form = el("form.stimulus", { hidden: true, onsubmit: (event) => this.send(event) },
      el("h3", {}, "Stimulate the nerve"), el("div.fields", {}, first, second, third), this.button, this.answer);
  }

  show(isPlacing, now, mayAsk) {
    this.form.hidden = !isPlacing;
    this.button.disabled = !mayAsk;
    const response = now.response === null || now.response === undefined ? "the probe cannot tell" : now.response;
    say(this.answer, now.stimulus_ma > 0 ? `${number(now.stimulus_ma, 2)} mA, response: ${response}` : "off");
  }

  async send(event) {
    event.preventDefault();
    const { amplitude, frequency, pulse } = this.inputs;
    const wish = { amplitude_ma: Number(amplitude.value), frequency_hz: Number(frequency.value), pulse_ms: Number(pulse.value), duration_s: 5 };
    await post("/api/stimulate", wish).catch((error) => this.notice(error.message));
  }
}

const against = (ask, blockers, recovery) => (ask === "arm" && blockers.length > 0) || (ask === "reset" && Boolean(recovery.why_not));

function hintOf(name, link, failure, again) {
  if (failure) return failure;
  if (link.state === "none") return "Choose a device and connect.";
  if (link.state === "ended") return "The session is over. Its recording is kept.";
  if (link.state === "opening" && !name) return "The device is being opened.";
  if (name === "IDLE" && again) return `${HINTS.IDLE} The treatment begins anew, with its first cycle.`;
  return HINTS[name] ?? "";
}

function placementText(placements) {
  const present = placements.find((one) => one.present);
  if (!present) return "";
  return `Placement ${present.number} of ${placements.length}${present.name ? `, ${present.name}` : ""}: `;
}

export class Progress {
  constructor(place, cyclesPlace) {
    this.band = el("div.band", { role: "img", "aria-label": "Phases: no treatment yet" });
    this.now = el("p.progress-now");
    this.cycles = el("table.cycles");
    this.placements = el("table.placements");
    place.append(this.now, this.band);
    cyclesPlace.append(this.cycles, this.placements);
    this.key = "";
  }

  prepare(plan) {
    const key = JSON.stringify(plan?.phases ?? null);
    if (key === this.key) return;
    this.key = key;
    this.plan = plan;
    this.parts = (plan?.phases ?? []).map((row) => {
      const fill = el("i");
      const part = el("div.part", { title: `${words(row.phase)}, cycle ${row.cycle || "–"}, ${clock(row.expected_s)}` }, fill, el("span", {}, SHORT[row.phase] ?? ""));
      part.style.flexGrow = row.expected_s;
      part.dataset.phase = row.phase;
      if (row.cycle > 1 && row.phase === "COOLING") part.classList.add("first");
      return { row, part, fill };
    });
    this.band.replaceChildren(...this.parts.map(({ part }) => part));
  }

  show(phase, placements = []) {
    const running = this.parts?.findIndex(({ row }) => row.phase === phase.phase && (row.cycle === phase.cycle || row.cycle === 0)) ?? -1;
    const isOver = phase.verdict === "PASS";
    const isStopped = ["SAFE", "FAULT"].includes(phase.phase); // The band stays where it was broken off.
    for (const [index, { row, part, fill }] of (this.parts ?? []).entries()) {
      part.dataset.now = String(index === running);
      if (isStopped) continue;
      const share = isOver || index < running ? 1 : index === running ? Math.min(1, phase.elapsed_s / row.expected_s) : 0;
      fill.style.width = `${(share * 100).toFixed(1)}%`;
    }
    const count = this.plan?.cycles ?? 0;
    const elapsed = phase.planned_s ? `${number(phase.elapsed_s)} of ${number(phase.planned_s)} s` : `${number(phase.elapsed_s)} s`;
    const left = phase.left_s === null ? "" : `, about ${clock(phase.left_s)} left in all`;
    const place = placementText(placements);
    const text = `${place}${words(phase.phase)} ${elapsed}${phase.cycle ? `, cycle ${phase.cycle} of ${count}` : ""}${left}`;
    say(this.now, text);
    this.band.setAttribute("aria-label", text);
    this.table(phase.cycles, placements);
  }

  table(cycles, placements) {
    const key = JSON.stringify([cycles, placements]);
    if (key === this.tableKey) return;
    this.tableKey = key;
    const cell = (text) => el("td", {}, text);
    this.cycles.parentElement.hidden = cycles.length === 0 && placements.length === 0;
    this.placements.replaceChildren(...(placements.length === 0 ? [] : [
      el("caption", {}, "Placements of this session"),
      el("tr", {}, ...["placement", "where", "cycles", "gas", "verdict"].map((name) => el("th", { scope: "col" }, name))),
      ...placements.map((one) => el("tr", one.present ? { "aria-current": "true" } : {},
        cell(one.number), cell(one.name || "–"), cell(one.cycles || "–"), cell(one.gas_g === null ? "–" : `${number(one.gas_g, 2)} g`),
        cell(one.verdict ? words(one.verdict) : one.present ? "runs" : "to come")))]));
    this.cycles.replaceChildren(...(cycles.length === 0 ? [] : [
      el("tr", {}, ...["cycle", "to set-point", "in band", "coldest", "−20 °C", "gas", "verdict"].map((name) => el("th", { scope: "col" }, name))),
      ...cycles.map((one) => el("tr", {},
        cell(one.index), cell(one.reached_s === null ? "–" : `${number(one.reached_s, 1)} s`), cell(`${number(one.in_band_s, 1)} s`),
        cell(`${number(one.tip_min_c, 1)} °C`), cell(one.radius_mm === null ? "–" : `${number(one.radius_mm, 2)} mm`),
        cell(`${number(one.gas_g, 2)} g`), el("td", { title: one.reason }, one.verdict ? words(one.verdict) : "runs")))]));
  }
}
