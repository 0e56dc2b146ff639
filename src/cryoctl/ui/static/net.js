// The way to the server: one socket that only listens, one that only stops, and POSTs.

import { byId } from "./dom.js";

const QUIET_MS = 800; // The cover has to be there within a second of the last picture.
const AGAIN_MS = 400;
const STOP_UNHEARD_MS = 150;

const socketUrl = (path) => `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;

function randomName() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** What this page calls itself; nobody else knows it, and a copy of this tab has another. */
export const PAGE = randomName();

/** Sends a wish; returns the answer, or throws an Error with the server's words. */
export async function post(path, wish = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-cryoctl-page": PAGE },
      body: JSON.stringify(wish),
      keepalive: path === "/api/stop",
    });
  } catch {
    throw new Error("the server does not answer");
  }
  return await read(answer);
}

/** Fetches something to look at. */
export async function get(path) {
  return await read(await fetch(path));
}

async function read(answer) {
  const data = await answer.json().catch(() => ({}));
  if (answer.status === 401) byId("login").hidden = false;
  if (!answer.ok) throw new Error(data.error ?? `the server says ${answer.status}`);
  return data;
}

/** Listens to pictures of the state, for ever. */
export class Live {
  constructor(onPicture, onQuiet) {
    this.onPicture = onPicture;
    this.onQuiet = onQuiet;
    this.heardMs = performance.now();
    this.pictures = 0;
    this.open();
    setInterval(() => this.watch(), 100);
  }

  open() {
    const socket = new WebSocket(socketUrl(`/live?page=${PAGE}`));
    this.socket = socket;
    socket.onmessage = (event) => {
      this.heardMs = performance.now();
      this.pictures += 1;
      this.onPicture(JSON.parse(event.data));
    };
    socket.onclose = () => setTimeout(() => this.open(), AGAIN_MS);
  }

  watch() {
    const ageMs = performance.now() - this.heardMs;
    this.onQuiet(ageMs > QUIET_MS ? ageMs : 0);
  }
}

/** Sends STOP: on its own socket, and by POST if that does not answer at once. */
export class StopLine {
  constructor() {
    this.unheard = null;
    this.open();
  }

  open() {
    const socket = new WebSocket(socketUrl("/stop"));
    this.socket = socket;
    socket.onmessage = () => {
      clearTimeout(this.unheard);
      this.unheard = null;
    };
    socket.onclose = () => setTimeout(() => this.open(), AGAIN_MS);
  }

  press() {
    if (this.socket.readyState !== WebSocket.OPEN) {
      this.byPost();
      return;
    }
    this.socket.send("STOP");
    clearTimeout(this.unheard);
    this.unheard = setTimeout(() => this.byPost(), STOP_UNHEARD_MS);
  }

  byPost() {
    post("/api/stop").catch(() => {}); // The cover says already that nobody answers.
  }
}
