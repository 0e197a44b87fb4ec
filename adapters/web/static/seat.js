// Where this page stands while one page plays at a time: what the server says of it, and the words for it.

const KEY = "visitor";

// The same for this tab after a reload, and known to nobody else.
export function visitor() {
  let key = sessionStorage.getItem(KEY);
  if (!key) {
    key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem(KEY, key);
  }
  return key;
}

export class SeatView {
  constructor() {
    this.reset();
  }

  reset() {
    this.place = null; // seated, asked, waiting, asking; null where nobody has to wait
    this.before = null; // why somebody waits who did not before: lost, refused
    this.due = 0;
  }

  take(message) {
    const had = this.place;
    const { place, watching, ahead, may_ask: mayAsk } = message;
    Object.assign(this, { place, watching, ahead, mayAsk });
    this.due = performance.now() + (message.seconds ?? 0) * 1000;
    if (message.place !== "waiting") this.before = null;
    else if (had === "seated" || had === "asked") this.before = "lost";
    else if (had === "asking") this.before = "refused";
  }

  get waits() {
    return this.place === "waiting" || this.place === "asking";
  }

  get secondsLeft() {
    return Math.max(0, Math.ceil((this.due - performance.now()) / 1000));
  }
}
