// The connection to the server: one WebSocket, reconnected with backoff and jitter until the server says why not.

const FINAL = { 1000: "ended", 4404: "revoked", 4410: "expired" }; // adapters/web/protocol.py, Close
const SILENCE_TIMEOUT = 45_000; // ms; the server sends something every 15 s
const FIRST_DELAY = 1; // seconds; doubled up to MAX_DELAY
const MAX_DELAY = 20;
const STABLE_AFTER = 10_000; // ms a connection must last to count as a success

export class Connection {
  // on.open() after each connect, on.message(object), on.change() whenever `status` (connecting, open, lost, closed) is
  // different, on.closed(why) once, at the end.
  constructor(url, on) {
    this.status = "connecting";
    this.url = url;
    this.on = on;
    this.failures = 0;
    addEventListener("online", () => this.retry());
    document.addEventListener("visibilitychange", () => this.onVisible());
    this.open();
  }

  retry() {
    if (this.status === "lost") this.open();
  }

  open() {
    clearTimeout(this.timer);
    const socket = new WebSocket(this.url);
    this.socket = socket;
    let stable = 0;
    socket.onopen = () => {
      stable = setTimeout(() => { this.failures = 0; }, STABLE_AFTER);
      this.resetWatchdog();
      this.on.open();
      this.setStatus("open");
    };
    socket.onmessage = (event) => {
      this.resetWatchdog();
      this.on.message(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      clearTimeout(stable);
      if (socket === this.socket) this.onClose(event.code);
    };
  }

  // What is sent while the connection is down is dropped; the server then asks again.
  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  // A phone that was asleep has missed messages, or its connection is dead without knowing.
  onVisible() {
    if (document.visibilityState !== "visible") return;
    if (this.status === "open" && this.socket.readyState === WebSocket.OPEN) this.send({ type: "hello" });
    else this.retry();
  }

  resetWatchdog() {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => {
      this.socket.close();
      this.onClose(1006);
    }, SILENCE_TIMEOUT);
  }

  onClose(code) {
    clearTimeout(this.watchdog);
    this.socket = null;
    if (code in FINAL) {
      this.setStatus("closed");
      this.on.closed(FINAL[code]);
      return;
    }
    const delay = Math.min(MAX_DELAY, FIRST_DELAY * 2 ** this.failures) * (0.5 + Math.random() / 2);
    this.failures += 1;
    this.timer = setTimeout(() => this.open(), delay * 1000);
    this.setStatus("lost");
  }

  setStatus(status) {
    this.status = status;
    this.on.change();
  }
}
