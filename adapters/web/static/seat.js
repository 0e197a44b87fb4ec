// This page's place in the queue for the seat, while one page plays at a time, as the server tells it.

import { tabMemory } from "./storage.js";

const KEY = "visitor";

// This tab's key: the same after a reload, and known to nobody else.
export function visitorKey() {
  let key = tabMemory.get(KEY);
  if (!key) {
    key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    tabMemory.set(KEY, key);
  }
  return key;
}

export class SeatView {
  constructor() {
    this.reset();
  }

  reset() {
    this.place = null; // seated, asked, waiting, asking; null if nobody has to wait
    this.before = null; // why this page waits again: lost, refused
    this.due = 0;
  }

  update(message) {
    const previous = this.place;
    const { place, watching, ahead, may_ask: mayAsk } = message;
    Object.assign(this, { place, watching, ahead, mayAsk });
    this.due = performance.now() + (message.seconds ?? 0) * 1000;
    if (message.place !== "waiting") this.before = null;
    else if (previous === "seated" || previous === "asked") this.before = "lost";
    else if (previous === "asking") this.before = "refused";
  }

  get isWaiting() {
    return this.place === "waiting" || this.place === "asking";
  }

  get secondsLeft() {
    return Math.max(0, Math.ceil((this.due - performance.now()) / 1000));
  }
}
