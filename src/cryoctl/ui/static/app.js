// Puts the parts together: pictures come in, each part draws its section; keys and STOP.

import { Alarms } from "./alarms.js";
import { Device } from "./device.js";
import { byId, el, number, say, words } from "./dom.js";
import { Faults } from "./faults.js";
import { Figures } from "./figures.js";
import { Help } from "./help.js";
import { Log } from "./log.js";
import { Live, StopLine, post } from "./net.js";
import { Plots } from "./plots.js";
import { Procedure, Progress } from "./procedure.js";
import { Recordings } from "./recordings.js";
import { Tissue } from "./tissue.js";
import { Trace } from "./trace.js";
import { Treatment } from "./treatment.js";

const PARTS = ["device", "treatment", "live", "faults", "recordings", "help", "log"];
const NOTICE_MS = 9000;
const LINKS = {
  none: "not connected", opening: "opening", connected: "connected", stale: "stale", lost: "LOST", ended: "session over",
};
const state = { link: { state: "none" }, job: {}, phase: null, now: {}, ice: {}, truth: {}, blockers: [], recovery: {}, placements: [], faults: [], alarms: null, seat: {}, outcome: {} };

// -- STOP: before everything else, so that an error further down cannot take it away ---------------

const stopLine = new StopLine();
const stopButton = byId("stop");

function stop() {
  stopLine.press();
  stopButton.dataset.sent = "true";
  setTimeout(() => { delete stopButton.dataset.sent; }, 1500);
}

const isTyping = (target) => target instanceof Element && target.closest("textarea, input:not([type=range]), [contenteditable]") !== null;

function onKey(event) {
  const isStop = event.key === "Escape" || (event.key === " " && !isTyping(event.target));
  if (!isStop) return;
  event.preventDefault();
  event.stopPropagation();
  if (event.type === "keydown" && !event.repeat) stop();
}
addEventListener("keydown", onKey, { capture: true });
addEventListener("keyup", onKey, { capture: true });
stopButton.addEventListener("pointerdown", (event) => { if (event.button === 0) stop(); });
stopButton.addEventListener("click", (event) => { if (event.detail === 0) stop(); }); // By Enter, or a screen reader.

// -- parts ----------------------------------------------------------------------------------------

const mayAsk = () => state.seat.yours === true;

let noticeTimer;
function notice(text) {
  const place = byId("notice");
  place.hidden = false;
  say(place, text);
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { place.hidden = true; }, NOTICE_MS);
}

const ask = (request) => post("/api/ask", { request }).catch((error) => notice(error.message));
const goTo = (part) => { location.hash = part; };

function liveParts() {
  const side = el("div.live-side");
  const main = el("div.live-main");
  byId("live").append(side, main);
  const card = (place, name, title) => {
    const node = el(`div.card.${name}`, {}, title && el("h2", {}, title));
    place.append(node);
    return node;
  };
  const figures = card(main, "figures");
  const progress = card(main, "progress");
  const plotsCard = card(main, "plots");
  return {
    procedure: new Procedure(card(side, "procedure", "Next"), ask, notice),
    tissue: new Tissue(card(side, "tissue", "Tissue along the needle")),
    figures: new Figures(figures),
    progress: new Progress(progress, card(main, "cycles-card", "Cycles")),
    plotsCard,
  };
}

const live = liveParts();
const alarms = new Alarms(ask);
const log = new Log(byId("log"));
const treatment = new Treatment(byId("treatment"), notice);
const device = new Device(byId("device"), { notice, treatment, goLive: () => goTo("live") });
const faults = new Faults(byId("faults"), notice);
const recordings = new Recordings(byId("recordings"), notice);
const help = new Help(byId("help"), notice);
let plots = null;
let trace = null;

function showPart() {
  const [wanted, detail] = location.hash.slice(1).split("/");
  const part = PARTS.includes(wanted) ? wanted : "device";
  for (const name of PARTS) byId(name).hidden = name !== part;
  for (const link of document.querySelectorAll("#tabs a")) {
    if (link.hash === `#${part}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (part === "recordings") recordings.look();
  plots?.fit();
  scrollTo(0, 0);
  if (part === "help") help.look(detail, Boolean(state.job.simulated));
  if (part === "faults" && detail) faults.find(detail);
}
addEventListener("hashchange", showPart);

// -- pictures -------------------------------------------------------------------------------------

function onPicture(picture) {
  if (picture.hello) {
    trace = new Trace(picture.hello.columns);
    if (plots === null) {
      plots = new Plots(live.plotsCard, picture.hello.columns, picture.hello.phases);
      plots.onWindow = () => drawPlots();
    }
    return;
  }
  const wasOpen = state.link.state;
  Object.assign(state, picture);
  if (picture.history) {
    trace.begin(picture.history);
    log.begin();
  }
  if (picture.rows) trace.add(picture.rows);
  if (picture.events) log.add(picture.events);
  if (picture.notice?.number) notice(picture.notice.text);
  if (wasOpen === "none" && (state.link.state === "connected" || state.job.looks_on) && location.hash === "") goTo("live");
  draw(Boolean(picture.rows || picture.history));
}

function ageText() {
  const { link } = state;
  if (link.state === "ended") return "session over, last values";
  if (link.control_age_ms > 1500) return `controller silent for ${number(link.control_age_ms / 1000, 1)} s`;
  if (link.state === "stale" || link.state === "lost") return `data ${number(link.age_ms)} ms old`;
  return null;
}

function drawPlots() {
  const last = trace?.last;
  if (last) plots.show(trace.window(plots.seconds, last[0]), last[0]);
}

function draw(hasRows) {
  const { link, job, phase, now, outcome } = state;
  const age = ageText();
  drawLink(link, age);
  drawHead(phase, now, job);
  drawSeat();
  if (state.alarms) alarms.show(state.alarms, phase?.asks ?? []);
  device.show(link, job, mayAsk());
  faults.show(job, state.faults, mayAsk());
  live.procedure.show(state, mayAsk());
  live.progress.prepare(job.plan);
  if (phase) live.progress.show(phase, state.placements);
  live.figures.show(now, age !== null);
  live.tissue.prepare(job);
  live.tissue.show(state.ice, state.truth);
  plots?.stale(age);
  if (hasRows) drawPlots();
}

function drawLink(link, age) {
  const chip = byId("link");
  chip.dataset.state = age !== null && link.state === "connected" ? "stale" : link.state;
  const isOld = ["stale", "lost"].includes(link.state);
  const lost = link.frames_lost ? `, ${link.frames_lost} frames lost` : "";
  say(chip.lastElementChild, `${LINKS[link.state]}${isOld ? ` ${number(link.age_ms)} ms` : ""}`);
  chip.title = `${link.device_id ?? ""} ${link.firmware ?? ""}${lost}`.trim();
}

function tipText(now) {
  if (now.device_state === undefined) return "–";
  return now.tip_c === null ? "no reading" : `${number(now.tip_c, 1)} °C`;
}

function drawHead(phase, now, job) {
  say(byId("head-tip"), tipText(now));
  say(byId("head-phase"), phase ? words(phase.phase) : "–");
  byId("head-phase").dataset.phase = phase?.phase ?? "";
  say(byId("head-cycle"), phase?.cycle ? `${phase.cycle} of ${job.plan?.cycles ?? "–"}` : "–");
  document.title = phase ? `${words(phase.phase)} – cryoctl` : "cryoctl";
}

function drawSeat() {
  const { yours, free, pages } = state.seat;
  const key = JSON.stringify([yours, free, pages, state.job.looks_on]);
  if (key === drawSeat.key) return;
  drawSeat.key = key;
  const text = state.job.looks_on ? "Looks on at a run; STOP works" : yours ? "This page has control" : "Looking only; STOP works";
  const others = pages > 1 ? `, ${pages} pages` : "";
  const button = yours
    ? pages > 1 && el("button", { type: "button", onclick: () => seat(false) }, "Release control")
    : el("button", { type: "button", disabled: !free, onclick: () => seat(true) }, "Take control");
  byId("seat").replaceChildren(el("span", {}, text + others), ...(button ? [button] : []));
}

const seat = (take) => post("/api/seat", { take }).catch((error) => notice(error.message));

function onQuiet(ageMs) {
  byId("cover").hidden = ageMs === 0;
  if (ageMs === 0) return;
  say(byId("cover-age"), `Nothing has come for ${number(ageMs / 1000, 1)} s.`);
  byId("link").dataset.state = "lost";
  say(byId("link").lastElementChild, "no server");
  for (const name of ["head-tip", "head-phase", "head-cycle"]) say(byId(name), "–");
}

// -- token ----------------------------------------------------------------------------------------

async function logIn(token) {
  await post("/api/login", { token });
  byId("login").hidden = true;
  location.reload();
}

byId("login").querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  logIn(byId("token").value).catch((error) => say(byId("login-error"), error.message));
});

async function begin() {
  if (location.hash.startsWith("#token=")) {
    const token = decodeURIComponent(location.hash.slice(7));
    history.replaceState(null, "", location.pathname);
    await logIn(token).catch((error) => { byId("login").hidden = false; say(byId("login-error"), error.message); });
    return;
  }
  showPart();
  globalThis.cryoctl = { live: new Live(onPicture, onQuiet) }; // For tests and the curious.
}
begin();
