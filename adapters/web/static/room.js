// Plays a LiveKit room in the video element. It only ever subscribes: no camera, no microphone, no list of devices. The
// page with the seat also carries: it says in the room what the server wants said, and reports what the avatar says.

const LIVEKIT = "./vendor/livekit-client-2.23.0.umd.js";
const WAITS = [300, 1000, 2000, 4000]; // ms before the room is asked for again; the last one repeats
const MANY_ATTEMPTS = 3; // after which a person is told that it does not work
const BETWEEN_LOADS = 10_000; // ms at least between two times that the page reloads itself
const LONGEST_REPORT = 16 * 1024; // bytes, as adapters/web/feed.py says
const LONGEST_TOPIC = 128; // as adapters/web/protocol.py says
const MOST_HEARD = 80; // reports per second; it takes 100
const MOST_KEPT = 50; // reports from before the seat is confirmed

let loading = null;

export class RoomPlayer {
  // `changed()` is called whenever something to see is different, `say(message)` reaches the server.
  constructor(video, { changed, say }) {
    this.video = video;
    this.changed = changed;
    this.say = say;
    this.door = null;
    this.room = null;
    this.kinds = new Set();
    this.sound = null;
    this.showing = false;
    this.blocked = false;
    this.ousted = false; // somebody else came in with the same name
    this.attempts = 0;
    this.isReported = false;
    this.toldMissing = false; // the server was told that the avatar is not in the room
    this.kept = [];
    this.heardSince = 0;
    this.heardCount = 0;
    for (const event of ["playing", "resize", "timeupdate"]) video.addEventListener(event, () => this.look());
    document.addEventListener("visibilitychange", () => this.comeBack());
    setInterval(() => this.watch(), 1000);
  }

  get struggles() {
    return this.attempts >= MANY_ATTEMPTS;
  }

  async enter(door) {
    if (this.room && this.door?.room === door.room) {
      this.door = door; // only the line to the server was away
      this.isReported = false;
      this.toldMissing = false;
      this.look();
      return;
    }
    this.drop();
    this.door = door;
    this.note({ ousted: false });
    try {
      if (isAllowed(door.url)) await this.join(door, await library());
      else this.loadPageAnew();
    } catch {
      if (this.door === door) this.again();
    }
  }

  async join(door, kit) {
    if (this.door !== door) return;
    const { RoomEvent } = kit;
    const room = new kit.Room({ adaptiveStream: true });
    const ifStill = (act) => (...details) => { if (room === this.room) act(...details); };
    this.room = room;
    room.on(RoomEvent.TrackSubscribed, ifStill((track) => this.show(track)));
    room.on(RoomEvent.TrackUnsubscribed, ifStill((track) => this.hide(track)));
    room.on(RoomEvent.DataReceived, ifStill((bytes, sender, _, topic) => this.hear(bytes, sender, topic)));
    room.on(RoomEvent.Disconnected, ifStill((reason) => {
      if (reason === kit.DisconnectReason.DUPLICATE_IDENTITY) this.beOusted();
      else this.again();
    }));
    await room.connect(door.url, door.token);
  }

  leave() {
    clearTimeout(this.timer);
    this.attempts = 0;
    this.drop();
    this.note({ ousted: false });
  }

  // A person wants in again after being ousted.
  comeIn() {
    this.note({ ousted: false });
    this.say({ type: "door" });
  }

  // `attach` follows the size of the picture, but unmutes wherever there is sound; a browser then stops a page that
  // nobody has clicked yet. So it meets the picture alone, and the sound is added by hand.
  show(track) {
    const { video } = this;
    const { muted } = video;
    if (track.kind === "video") {
      this.silence();
      track.attach(video);
    } else {
      this.sound = track.mediaStreamTrack;
    }
    video.srcObject ??= new MediaStream();
    if (this.sound) video.srcObject.addTrack(this.sound);
    if (video.muted !== muted) video.muted = muted;
    this.kinds.add(track.kind);
    this.tellOfAvatar();
    this.play();
    this.look();
  }

  hide(track) {
    if (track.kind === "video") track.detach(this.video);
    else {
      this.silence();
      this.sound = null;
    }
    this.kinds.delete(track.kind);
    this.stopCarrying();
    this.tellOfAvatar();
    if (!this.kinds.has("video")) this.note({ showing: false });
  }

  silence() {
    for (const sound of this.video.srcObject?.getAudioTracks() ?? []) this.video.srcObject.removeTrack(sound);
  }

  async play() {
    try {
      await this.video.play();
      this.note({ blocked: false });
    } catch (error) {
      if (error.name !== "NotAllowedError" || !this.room) return;
      if (this.video.muted) return void this.note({ blocked: true });
      this.video.muted = true;
      await this.play();
    }
  }

  look() {
    const { video, room, kinds } = this;
    if (!room || !kinds.has("video") || video.paused || !video.videoWidth) return;
    this.attempts = 0;
    this.note({ showing: true, blocked: false });
    if (this.isReported || !kinds.has("audio")) return;
    this.isReported = true;
    if (!this.door.is_seat) return;
    this.say({ type: "seated", room: this.door.room });
    for (const report of this.kept.splice(0)) this.say(report);
  }

  // --- carrying

  async publish({ id, topic, data }) {
    const room = this.room;
    try {
      const bytes = new TextEncoder().encode(JSON.stringify(data));
      await room.localParticipant.publishData(bytes, { reliable: true, topic });
    } catch {
      if (room && room === this.room) this.again();
      return;
    }
    this.say({ type: "published", id });
  }

  hear(bytes, sender, topic) {
    if (!this.door.is_seat || !sender?.trackPublications.size) return;
    const now = performance.now();
    if (now - this.heardSince > 1000) [this.heardSince, this.heardCount] = [now, 0];
    this.heardCount += 1;
    if (this.heardCount > MOST_HEARD) return;
    const data = parsed(bytes);
    if (!data) return;
    const report = { type: "heard", topic: (topic ?? "").slice(0, LONGEST_TOPIC), data };
    if (new TextEncoder().encode(JSON.stringify(report)).length > LONGEST_REPORT) return;
    if (this.isReported) this.say(report);
    else this.kept = [...this.kept, report].slice(-MOST_KEPT);
  }

  stopCarrying() {
    if ((this.isReported || this.toldMissing) && this.door?.is_seat) this.say({ type: "left" });
    this.isReported = this.toldMissing = false;
  }

  // The server cannot look into the room: an avatar that is missing there is closed after a while.
  tellOfAvatar() {
    if (this.room?.state !== "connected" || !this.door.is_seat) return;
    const isHere = [...this.room.remoteParticipants.values()].some(
      ({ trackPublications }) => new Set([...trackPublications.values()].map(({ kind }) => kind)).size > 1,
    );
    if (isHere !== this.toldMissing) return;
    this.toldMissing = !isHere;
    this.say({ type: "avatar", room: this.door.room, is_here: isHere });
  }

  // --- trouble

  beOusted() {
    this.stopCarrying();
    this.drop();
    this.note({ ousted: true });
  }

  again() {
    this.drop();
    this.timer = setTimeout(() => this.say({ type: "door" }), WAITS[Math.min(this.attempts, WAITS.length - 1)]);
    this.attempts += 1;
    this.changed();
  }

  drop() {
    clearTimeout(this.timer);
    const room = this.room;
    if (room) this.stopCarrying();
    this.room = this.door = null;
    this.sound = null;
    this.kept = [];
    this.kinds.clear();
    if (!room) return;
    room.disconnect();
    this.video.srcObject = null;
    this.note({ showing: false, blocked: false });
  }

  // This page was sent before anybody knew where the room would be, so its policy does not allow to join.
  loadPageAnew() {
    const since = Date.now() - Number(sessionStorage.getItem("loaded-anew"));
    if (since < BETWEEN_LOADS) return void this.again();
    sessionStorage.setItem("loaded-anew", String(Date.now()));
    location.reload();
  }

  // Browsers pause a muted video that nobody sees.
  comeBack() {
    if (document.visibilityState === "visible" && this.showing && !this.blocked) this.play();
  }

  // Paused from outside, by unplugged headphones for one: going on is for the person to say.
  watch() {
    this.tellOfAvatar();
    if (this.showing && this.video.paused && document.visibilityState === "visible") this.note({ blocked: true });
  }

  note(news) {
    const different = Object.entries(news).some(([name, value]) => this[name] !== value);
    Object.assign(this, news);
    if (different) this.changed();
  }
}

// livekit-client lists the devices whenever one is plugged in. Nobody needs that here.
function library() {
  loading ??= (async () => {
    navigator.mediaDevices?.addEventListener("devicechange", (event) => event.stopImmediatePropagation());
    await import(LIVEKIT);
    globalThis.LivekitClient.setLogLevel("silent");
    return globalThis.LivekitClient;
  })().catch((error) => { loading = null; throw error; });
  return loading;
}

function isAllowed(url) {
  const place = originOf(url);
  return document.body.dataset.rooms.split(" ").some((allowed) => allowed && originOf(allowed) === place);
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
