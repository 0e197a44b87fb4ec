// The transcript: who asked, and what was said, when. Names and texts from outside only ever go through textContent.

const MAX_ENTRIES = 200;
const TICK = 500; // ms
const NEAR_END = 24; // pixels above the end that still count as the end

export class Transcript {
  // `scroller` contains `list`; `latest` is the button that leads to its end. An entry appears when `playhead()` (UTC
  // epoch seconds) reaches the moment at which it began.
  constructor({ scroller, list, latest }, playhead) {
    Object.assign(this, { scroller, list, latest, playhead });
    this.pending = new Map();
    this.shown = new Map();
    scroller.addEventListener("scroll", () => { if (this.isAtEnd) latest.hidden = true; });
    latest.addEventListener("click", () => { this.scrollToEnd(); scroller.focus({ preventScroll: true }); });
    // What is hidden by a small window or a larger text stays at its end.
    new ResizeObserver(() => { if (this.wasAtEnd) this.scrollToEnd(); }).observe(scroller);
    this.wasAtEnd = true;
    scroller.addEventListener("scroll", () => { this.wasAtEnd = this.isAtEnd; });
    setInterval(() => this.tick(), TICK);
  }

  get isAtEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    return scrollTop + clientHeight >= scrollHeight - NEAR_END;
  }

  scrollToEnd() {
    this.scroller.scrollTop = this.scroller.scrollHeight;
    this.latest.hidden = true;
  }

  // The same entry may come again, different or after a lost connection.
  add(entries) {
    for (const entry of entries) this.pending.set(`${entry.at} ${entry.n}`, entry);
    this.tick();
  }

  clear() {
    this.pending.clear();
    this.shown.clear();
    this.list.replaceChildren();
    this.latest.hidden = true;
  }

  tick() {
    const now = this.playhead();
    const due = [...this.pending].filter(([key, { at }]) => at <= now || this.shown.has(key));
    if (!due.length) return;
    const wasAtEnd = this.isAtEnd;
    for (const [key, entry] of due) {
      this.pending.delete(key);
      this.show(key, entry);
    }
    this.forget(wasAtEnd);
    if (wasAtEnd) this.scrollToEnd();
    else this.latest.hidden = false;
  }

  show(key, entry) {
    const item = drawn(entry);
    const before = this.shown.get(key);
    this.shown.set(key, item);
    if (before) before.replaceWith(item);
    else this.list.append(item);
  }

  // Who reads further up sees the text stay where it is while the oldest goes.
  forget(wasAtEnd) {
    const height = this.scroller.scrollHeight;
    const top = this.scroller.scrollTop;
    const surplus = [...this.shown].slice(0, Math.max(0, this.shown.size - MAX_ENTRIES));
    for (const [key, item] of surplus) {
      item.remove();
      this.shown.delete(key);
    }
    if (surplus.length && !wasAtEnd) this.scroller.scrollTop = top - (height - this.scroller.scrollHeight);
  }
}

function drawn(entry) {
  const item = document.createElement("li");
  item.toggleAttribute("data-speaking", !entry.is_over);
  const began = new Date(entry.at * 1000);
  const time = textOf("time", "transcript-time", began.toLocaleTimeString([], { hour: "numeric", minute: "2-digit" }));
  time.dateTime = began.toISOString();
  const heading = document.createElement("p");
  heading.className = "transcript-heading";
  heading.append(foreign(textOf("span", "transcript-who", entry.who)), " ", time);
  if (entry.is_cut) heading.append(" ", textOf("span", "transcript-cut", "cut off"));
  item.append(heading);
  if (entry.mode !== "chat") {
    item.append(foreign(textOf("p", "transcript-said", entry.text)));
    return item;
  }
  item.append(foreign(textOf("p", "transcript-question", entry.text)));
  if (entry.answer) {
    const answer = textOf("p", "transcript-said transcript-answer", "");
    answer.append(textOf("span", "visually-hidden", "Answer: "), foreign(textOf("span", "", entry.answer)));
    item.append(answer);
  }
  return item;
}

function textOf(name, className, text) {
  const element = document.createElement(name);
  element.className = className;
  element.textContent = text;
  return element;
}

// Written by somebody, in a language that the page does not know.
function foreign(element) {
  element.dir = "auto";
  element.lang = "";
  return element;
}
