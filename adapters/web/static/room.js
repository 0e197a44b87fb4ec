// Plays a LiveKit room in the video element. It only subscribes: no camera, no microphone, no list of devices. The page
// with the seat also carries data: it publishes in the room what the server sends, and reports what the avatar says.

import { isSeen } from "./picture_in_picture.js";
import { tabMemory } from "./storage.js";

const LIVEKIT = "./vendor/livekit-client-2.23.0.umd.js";
const RETRY_DELAYS = [300, 1000, 2000, 4000]; // ms before access is requested again; the last one repeats
const MAX_SILENT_ATTEMPTS = 3; // after which the page says that it does not work
const RELOAD_INTERVAL = 10_000; // ms at least between two reloads of the page by itself
const MAX_REPORT_SIZE = 16 * 1024; // bytes, as in adapters/web/feed.py
const MAX_TOPIC_LENGTH = 128; // as in adapters/web/protocol.py
const MAX_REPORTS = 80; // per second; the server takes 100
const MAX_PENDING = 50; // reports from before both tracks play

let loading = null;

export class RoomPlayer {
  // `changed()` is called whenever something visible is different; `send(message)` reaches the server.
  constructor(video, { changed, send }) {
    this.video = video;
    this.changed = changed;
    this.send = send;
    this.access = null;
    this.room = null;
    this.kinds = new Set();
    this.audioTrack = null;
    this.showing = false;
    this.blocked = false;
    this.replaced = false; // somebody else joined with the same identity
    this.attempts = 0;
    this.reportedPlaying = false;
    this.reportedMissing = false; // the server was told that the avatar is not in the room
    this.pending = [];
    this.countedSince = 0;
    this.reportCount = 0;
    for (const event of ["playing", "resize", "timeupdate"]) video.addEventListener(event, () => this.checkPlaying());
    document.addEventListener("visibilitychange", () => this.onVisible());
    setInterval(() => this.check(), 1000);
  }

  get isFailing() {
    return this.attempts >= MAX_SILENT_ATTEMPTS;
  }

  async enter(access) {
    if (this.room && this.access?.room === access.room) {
      this.access = access; // only the connection to the server was lost
      this.reportedPlaying = false;
      this.reportedMissing = false;
      this.checkPlaying();
      return;
    }
    this.disconnect();
    this.access = access;
    this.update({ replaced: false });
    try {
      if (isAllowed(access.url)) await this.join(access, await loadLiveKit());
      else this.reloadPage();
    } catch {
      if (this.access === access) this.retry();
    }
  }

  async join(access, livekit) {
    if (this.access !== access) return;
    const { RoomEvent } = livekit;
    const room = new livekit.Room({ adaptiveStream: true });
    const ifCurrent = (act) => (...details) => { if (room === this.room) act(...details); };
    this.room = room;
    room.on(RoomEvent.TrackSubscribed, ifCurrent((track) => this.attach(track)));
    room.on(RoomEvent.TrackUnsubscribed, ifCurrent((track) => this.detach(track)));
    room.on(RoomEvent.DataReceived, ifCurrent((bytes, sender, _, topic) => this.onData(bytes, sender, topic)));
    room.on(RoomEvent.Disconnected, ifCurrent((reason) => {
      if (reason === livekit.DisconnectReason.DUPLICATE_IDENTITY) this.onReplaced();
      else this.retry();
    }));
    await room.connect(access.url, access.token);
  }

  leave() {
    clearTimeout(this.timer);
    this.attempts = 0;
    this.disconnect();
    this.update({ replaced: false });
  }

  // A person wants the video back after being replaced.
  rejoin() {
    this.update({ replaced: false });
    this.send({ type: "door" });
  }

  // LiveKit's `attach` follows the size of the video, but unmutes it if it has audio; a browser then stops a page that
  // nobody has clicked yet. So it gets the video track alone, and the audio track is added here.
  attach(track) {
    const { video } = this;
    const { muted } = video;
    if (track.kind === "video") {
      this.removeAudio();
      track.attach(video);
    } else {
      this.audioTrack = track.mediaStreamTrack;
    }
    video.srcObject ??= new MediaStream();
    if (this.audioTrack) video.srcObject.addTrack(this.audioTrack);
    if (video.muted !== muted) video.muted = muted;
    this.kinds.add(track.kind);
    this.reportAvatar();
    this.play();
    this.checkPlaying();
  }

  detach(track) {
    if (track.kind === "video") track.detach(this.video);
    else {
      this.removeAudio();
      this.audioTrack = null;
    }
    this.kinds.delete(track.kind);
    this.stopCarrying();
    this.reportAvatar();
    if (!this.kinds.has("video")) this.update({ showing: false });
  }

  removeAudio() {
    for (const audioTrack of this.video.srcObject?.getAudioTracks() ?? []) this.video.srcObject.removeTrack(audioTrack);
  }

  async play() {
    try {
      await this.video.play();
      this.update({ blocked: false });
    } catch (error) {
      if (error.name !== "NotAllowedError" || !this.room) return;
      if (this.video.muted) return void this.update({ blocked: true });
      this.video.muted = true;
      await this.play();
    }
  }

  checkPlaying() {
    const { video, room, kinds } = this;
    if (!room || !kinds.has("video") || video.paused || !video.videoWidth) return;
    this.attempts = 0;
    this.update({ showing: true, blocked: false });
    if (this.reportedPlaying || !kinds.has("audio")) return;
    this.reportedPlaying = true;
    if (!this.access.is_seat) return;
    this.send({ type: "seated", room: this.access.room });
    for (const report of this.pending.splice(0)) this.send(report);
  }

  // --- data messages

  async publish({ id, topic, data }) {
    const room = this.room;
    try {
      const bytes = new TextEncoder().encode(JSON.stringify(data));
      await room.localParticipant.publishData(bytes, { reliable: true, topic });
    } catch {
      if (room && room === this.room) this.retry();
      return;
    }
    this.send({ type: "published", id });
  }

  onData(bytes, sender, topic) {
    if (!this.access.is_seat || !sender?.trackPublications.size) return;
    const now = performance.now();
    if (now - this.countedSince > 1000) [this.countedSince, this.reportCount] = [now, 0];
    this.reportCount += 1;
    if (this.reportCount > MAX_REPORTS) return;
    const data = parsed(bytes);
    if (!data) return;
    const report = { type: "heard", topic: (topic ?? "").slice(0, MAX_TOPIC_LENGTH), data };
    if (new TextEncoder().encode(JSON.stringify(report)).length > MAX_REPORT_SIZE) return;
    if (this.reportedPlaying) this.send(report);
    else this.pending = [...this.pending, report].slice(-MAX_PENDING);
  }

  stopCarrying() {
    if ((this.reportedPlaying || this.reportedMissing) && this.access?.is_seat) this.send({ type: "left" });
    this.reportedPlaying = this.reportedMissing = false;
  }

  // The server cannot see into the room. It closes a stream whose avatar is missing for a while.
  reportAvatar() {
    if (this.room?.state !== "connected" || !this.access.is_seat) return;
    const isHere = [...this.room.remoteParticipants.values()].some(
      ({ trackPublications }) => new Set([...trackPublications.values()].map(({ kind }) => kind)).size > 1,
    );
    if (isHere !== this.reportedMissing) return;
    this.reportedMissing = !isHere;
    this.send({ type: "avatar", room: this.access.room, is_here: isHere });
  }

  // --- errors

  onReplaced() {
    this.stopCarrying();
    this.disconnect();
    this.update({ replaced: true });
  }

  retry() {
    this.disconnect();
    const delay = RETRY_DELAYS[Math.min(this.attempts, RETRY_DELAYS.length - 1)];
    this.timer = setTimeout(() => this.send({ type: "door" }), delay);
    this.attempts += 1;
    this.changed();
  }

  disconnect() {
    clearTimeout(this.timer);
    const room = this.room;
    if (room) this.stopCarrying();
    this.room = this.access = null;
    this.audioTrack = null;
    this.pending = [];
    this.kinds.clear();
    if (!room) return;
    room.disconnect();
    this.video.srcObject = null;
    this.update({ showing: false, blocked: false });
  }

  // This page was loaded before the room's address was known, so its Content-Security-Policy does not allow it.
  reloadPage() {
    const since = Date.now() - Number(tabMemory.get("loaded-anew"));
    if (since < RELOAD_INTERVAL) return void this.retry();
    tabMemory.set("loaded-anew", String(Date.now()));
    location.reload();
  }

  // Browsers pause a muted video that nobody sees.
  onVisible() {
    if (document.visibilityState === "visible" && this.showing && !this.blocked) this.play();
  }

  // Paused from outside, for example by unplugged headphones: resuming is up to the person.
  check() {
    this.reportAvatar();
    if (this.showing && this.video.paused && isSeen(this.video)) this.update({ blocked: true });
  }

  update(changes) {
    const isDifferent = Object.entries(changes).some(([name, value]) => this[name] !== value);
    Object.assign(this, changes);
    if (isDifferent) this.changed();
  }
}

// livekit-client lists the devices whenever one is plugged in, which this page does not need.
function loadLiveKit() {
  loading ??= (async () => {
    navigator.mediaDevices?.addEventListener("devicechange", (event) => event.stopImmediatePropagation());
    await import(LIVEKIT);
    globalThis.LivekitClient.setLogLevel("silent");
    return globalThis.LivekitClient;
  })().catch((error) => { loading = null; throw error; });
  return loading;
}

function isAllowed(url) {
  const origin = originOf(url);
  return document.body.dataset.rooms.split(" ").some((allowed) => allowed && originOf(allowed) === origin);
}

function originOf(url) {
  const { protocol, host } = new URL(url.replace(/^http/, "ws"));
  return `${protocol}//${host}`;
}

function parsed(bytes) {
  try {
    const data = JSON.parse(new TextDecoder().decode(bytes));
    return data && typeof data === "object" && !Array.isArray(data) ? data : null;
  } catch {
    return null;
  }
}
