// Choose a device, connect, disconnect.

import { el, say } from "./dom.js";
import { get, post } from "./net.js";

export class Device {
  constructor(place, { notice, treatment, goLive }) {
    this.notice = notice;
    this.treatment = treatment;
    this.goLive = goLive;
    this.list = el("div.choices", { role: "group", "aria-label": "Devices" });
    this.url = el("input", { id: "device-url", type: "text", spellcheck: "false", autocomplete: "off", value: "sim:n2o-20g" });
    this.speed = el("input", { id: "device-speed", type: "number", min: "0.1", max: "1000", step: "any", value: "1" });
    this.connect = el("button.big.primary", { type: "submit" }, "Connect");
    this.disconnect = el("button", { type: "button", onclick: () => this.leave() }, "Disconnect");
    this.state = el("p.hint", { role: "status" });
    this.what = el("p.hint");
    place.append(
      el("div.columns", {},
        el("div.card", {},
          el("h2", {}, "What can be seen from here"),
          this.list,
          el("button", { type: "button", onclick: () => this.look() }, "Look again")),
        el("form.card", { onsubmit: (event) => this.open(event) },
          el("h2", {}, "Connect"),
          el("label", { for: "device-url" }, "Address"), this.url,
          el("p.help", {}, "sim:PROFILE, serial:/dev/ttyACM0, serial:auto, tcp://host:port, mqtt://host/site/device"),
          el("label", { for: "device-speed" }, "Speed of a simulator, times real time"), this.speed,
          this.what, this.connect, this.disconnect, this.state)));
    this.look();
  }

  async look() {
    try {
      const { devices, treatments } = await get("/api/choices");
      this.treatment.offer(treatments);
      this.list.replaceChildren(...devices.map((one) => this.choice(one)));
    } catch (error) {
      this.notice(error.message);
    }
  }

  choice(one) {
    return el("button.choice", { type: "button", "aria-pressed": String(one.url === this.url.value), onclick: (event) => this.choose(one, event.currentTarget) },
      el("b", {}, one.title), el("code", {}, one.url), el("span", {}, [one.kind, one.note].filter(Boolean).join(": ")));
  }

  choose(one, button) {
    for (const other of this.list.children) other.setAttribute("aria-pressed", String(other === button));
    this.url.value = one.url;
    if (one.profile) this.treatment.chooseFor(one.profile);
  }

  async open(event) {
    event.preventDefault();
    if (!this.treatment.text) {
      this.notice("Choose a treatment first.");
      return;
    }
    try {
      await post("/api/connect", { device: this.url.value.trim(), speed: Number(this.speed.value), treatment: this.treatment.text });
      this.goLive();
    } catch (error) {
      this.notice(error.message);
    }
  }

  async leave() {
    await post("/api/disconnect").catch((error) => this.notice(error.message));
  }

  show(link, job, mayAsk) {
    const isOpen = !["none", "ended"].includes(link.state);
    this.connect.disabled = isOpen || !mayAsk || job.looks_on === true;
    this.disconnect.disabled = !isOpen || !mayAsk || job.looks_on === true;
    say(this.what, `Treatment: ${this.treatment.title}`);
    const who = [job.description, link.device_id, link.firmware].filter(Boolean).join(", ");
    const how = job.looks_on ? "Who began this run asks for its steps; pages look on, and can STOP it." : "Disconnect stops what runs and waits until the needle is free.";
    say(this.state, isOpen ? `${link.state}: ${who || job.device}. ${how}` : "No session is open.");
  }
}
