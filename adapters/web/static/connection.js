// The line to the server: one WebSocket that comes back by itself, with patience and jitter, until the server says why not.

const FINAL = { 1000: "ended", 4404: "revoked", 4410: "expired" }; // adapters/web/protocol.py, Close
const SILENCE = 45_000; // ms; the server sends something every 15 s
const FIRST_WAIT = 1; // seconds; doubled up to LONGEST_WAIT
const LONGEST_WAIT = 20;
const STEADY = 10_000; // ms a connection must last to count as a success

export class Connection {
  // on.open() on each new line, on.message(object), on.change() whenever `line` is different, on.closed(why) once and
  // for all.
  constructor(url, on) {
    this.line = "connecting";
    this.url = url;
    this.on = on;
    this.failures = 0;
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => this.lookAgain());
    this.open();
  }

  retry() {
    if (this.line === "lost") this.open();
  }

  open() {
    clearTimeout(this.timer);
    const socket = new WebSocket(this.url);
    this.socket = socket;
    let steady = 0;
    socket.onopen = () => {
      steady = setTimeout(() => { this.failures = 0; }, STEADY);
      this.expectSomething();
      this.on.open();
      this.change("open");
    };
    socket.onmessage = (event) => {
      this.expectSomething();
      this.on.message(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      clearTimeout(steady);
      if (socket === this.socket) this.lose(event.code);
    };
  }

  // What is said while the connection is down is not sent; the server then asks again.
  say(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  // A phone that was asleep has missed things, or its line is dead without knowing.
  lookAgain() {
    if (document.visibilityState !== "visible") return;
    if (this.line === "open" && this.socket.readyState === WebSocket.OPEN) this.say({ type: "hello" });
    else this.retry();
  }

  expectSomething() {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => {
      this.socket.close();
      this.lose(1006);
    }, SILENCE);
  }

  lose(code) {
    clearTimeout(this.watchdog);
    this.socket = null;
    if (code in FINAL) {
      this.change("closed");
      this.on.closed(FINAL[code]);
      return;
    }
    const wait = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.failures) * (0.5 + Math.random() / 2);
    this.failures += 1;
    this.timer = setTimeout(() => this.open(), wait * 1000);
    this.change("lost");
  }

  change(line) {
    this.line = line;
    this.on.change();
  }
}
