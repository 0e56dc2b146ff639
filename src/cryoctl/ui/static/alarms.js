// The alarm banner after IEC 60601-1-8: most urgent first, others counted, the sound that is due.

import { byId, el, say } from "./dom.js";

const TONE_HZ = { HIGH: 880, MEDIUM: 660, LOW: 520 };
const TONE_S = { HIGH: 0.15, MEDIUM: 0.2, LOW: 0.2 };
const GAP_S = { HIGH: 0.12, MEDIUM: 0.22, LOW: 0.25 };
const GROUP = 5; // Ten pulses are two groups of five.
const LOUDNESS = 0.2;

export class Alarms {
  constructor(ask) {
    this.place = byId("alarms");
    this.ask = ask;
    this.open = false;
    this.heard = null;
    this.shown = "";
    this.sound = null;
    // Browsers let nothing sound before somebody has touched the page.
    for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => this.unlock(), { passive: true });
  }

  unlock() {
    this.sound ??= new AudioContext();
    if (this.sound.state === "suspended") this.sound.resume().then(() => this.draw());
  }

  /** Shows the section of the alarms. */
  show(section, asks) {
    this.section = section;
    this.asks = asks;
    this.draw();
    this.play(section.burst);
  }

  draw() {
    const section = this.section;
    if (!section) return;
    const isMute = !this.sound || this.sound.state !== "running";
    const key = JSON.stringify([section.lines, section.audio_off, section.pause_left_s > 0, this.open, this.asks, isMute]);
    if (key !== this.shown) {
      this.shown = key;
      this.build(section, isMute);
    }
    if (this.countdown) say(this.countdown, `sound paused, ${section.pause_left_s} s`);
  }

  build(section, isMute) {
    const [first, ...others] = section.lines;
    this.place.hidden = !first;
    this.countdown = null;
    if (!first) {
      this.place.replaceChildren();
      return;
    }
    const more = others.length + first.consequences.length;
    const tools = el("div.alarm-tools", {},
      this.asks.includes("acknowledge") && el("button", { type: "button", onclick: () => this.ask("acknowledge") }, "Acknowledge"),
      this.asks.includes("pause_audio") && el("button", { type: "button", onclick: () => this.ask("pause_audio") }, "Pause sound 2 min"),
      more > 0 && el("button", { type: "button", "aria-expanded": String(this.open), onclick: () => this.toggle() }, this.open ? "Fewer" : `and ${more} more`));
    if (section.pause_left_s > 0) tools.append((this.countdown = el("span.sound", {}, "")));
    else if (section.audio_off) tools.append(el("span.sound", {}, "ALARM SOUND OFF"));
    else if (section.burst && isMute) tools.append(el("span.sound", {}, "sound: press a key or click once"));
    this.place.replaceChildren(this.line(first, tools, false), ...(this.open ? this.rest(first, others) : []));
  }

  rest(first, others) {
    const below = (line) => line.consequences.map((one) => this.line(one, null, true));
    return [...below(first), ...others.flatMap((line) => [this.line(line, null, false), ...below(line)])];
  }

  line(line, tools, isConsequence) {
    const states = [line.first_out && "first cause", !line.present && "over", line.signal === "acknowledged" && "acknowledged", line.held && "latched"].filter(Boolean);
    const row = el("div.alarm", { role: tools ? "alert" : "listitem" },
      el("span.alarm-mark", {}, line.mark),
      el("div.alarm-words", {},
        el("p", {}, el("b", {}, `${isConsequence ? "and so " : ""}${line.id}`), el("span.alarm-states", {}, [line.priority, ...states].join(", "))),
        el("p", {}, `${capital(line.text)}. `, el("strong", {}, line.action), " ",
          el("a", { href: `#help/${line.id}`, "aria-label": `What ${line.id} means` }, "More"))),
      tools);
    row.dataset.priority = line.priority;
    row.dataset.on = String(line.signal === "on");
    row.dataset.indent = String(isConsequence);
    return row;
  }

  toggle() {
    this.open = !this.open;
    this.draw();
  }

  play(burst) {
    if (!burst) {
      this.heard = null;
      return;
    }
    const key = `${burst.priority} ${burst.at_s}`;
    if (key === this.heard || !this.sound || this.sound.state !== "running") return;
    this.heard = key;
    let at = this.sound.currentTime + 0.02;
    for (let pulse = 0; pulse < burst.pulses; pulse += 1) {
      this.tone(TONE_HZ[burst.priority], at, TONE_S[burst.priority]);
      at += TONE_S[burst.priority] + GAP_S[burst.priority] + ((pulse + 1) % GROUP === 0 ? 0.4 : 0);
    }
  }

  tone(pitch, at, seconds) {
    const oscillator = new OscillatorNode(this.sound, { type: "triangle", frequency: pitch });
    const volume = new GainNode(this.sound, { gain: 0 });
    volume.gain.setValueAtTime(0, at);
    volume.gain.linearRampToValueAtTime(LOUDNESS, at + 0.02);
    volume.gain.setValueAtTime(LOUDNESS, at + seconds - 0.03);
    volume.gain.linearRampToValueAtTime(0, at + seconds);
    oscillator.connect(volume).connect(this.sound.destination);
    oscillator.start(at);
    oscillator.stop(at + seconds);
  }
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);
