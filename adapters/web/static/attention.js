// Tells the server whether anybody can see or hear this page. A hidden page without sound is shown to nobody, and a stream
// is not paid for it; a hidden one with sound is listened to.

import { isSeen } from "./picture_in_picture.js";

export class Attention {
  // `send(message)` reaches the server.
  constructor(video, send) {
    this.video = video;
    this.send = send;
    this.isFrozen = false;
    this.reported = true; // what the server believes of a page that has just connected
    video.addEventListener("volumechange", () => this.report());
    document.addEventListener("visibilitychange", () => this.report());
    // A phone that is locked stops pages without another word.
    document.addEventListener("freeze", () => { this.isFrozen = true; this.report(); });
    document.addEventListener("resume", () => { this.isFrozen = false; this.report(); });
  }

  get isThere() {
    const isHeard = !this.video.muted && this.video.volume > 0;
    return !this.isFrozen && (isSeen(this.video) || isHeard);
  }

  // The connection is new: the server believes that somebody is there.
  connected() {
    this.reported = true;
    this.report();
  }

  report() {
    if (this.isThere === this.reported) return;
    this.reported = this.isThere;
    this.send({ type: "attention", is_there: this.isThere });
  }
}
