// Plays one HLS stream after the other in the video element: hls.js where the browser has MediaSource, else the browser
// itself. Trouble is retried quietly for as long as the same stream is wanted.

const HLS = "./vendor/hls-1.7.4.min.mjs";
const NATIVE = "application/vnd.apple.mpegurl";
const STALL = 6_000; // ms a picture may stand still before the stream is loaded again
const SLOW_START = 15_000; // ms the first picture may take
const WAITS = [300, 600, 1200, 2500, 4000]; // ms between attempts; the last one repeats
const TOO_FAR_BEHIND = 12; // seconds behind the live edge that are caught up by a jump
const CONFIG = {
  enableWorker: false, // the policy of the page allows none, and fMP4 needs no transmuxing worth one
  lowLatencyMode: true,
  liveSyncDurationCount: 2,
  liveDurationInfinity: true,
  maxLiveSyncPlaybackRate: 1.08,
  maxBufferLength: 20,
  backBufferLength: 10,
  // Few retries inside hls.js: it fails soon, and `again` decides.
  manifestLoadPolicy: policy(4_000, 0),
  playlistLoadPolicy: policy(4_000, 2),
  fragLoadPolicy: policy(10_000, 2),
};

export class Player {
  // `changed()` is called whenever `showing` (a picture moves) or `blocked` (the browser wants a click) is different.
  constructor(video, changed) {
    this.video = video;
    this.changed = changed;
    this.url = null;
    this.showing = false;
    this.blocked = false;
    this.hls = null;
    this.attempt = 0;
    this.moved = 0;
    video.addEventListener("timeupdate", () => this.noteProgress());
    video.addEventListener("playing", () => this.url && this.note({ showing: true, blocked: false }));
    video.addEventListener("error", () => !this.url || this.hls || this.again());
    document.addEventListener("visibilitychange", () => this.comeBack());
    setInterval(() => this.watch(), 1000);
  }

  // Play `url`, or nothing.
  show(url) {
    if (url === this.url) return;
    this.url = url;
    this.attempt = 0;
    this.unload();
    if (url) this.load();
  }

  async play() {
    try {
      await this.video.play();
    } catch (error) {
      if (error.name !== "NotAllowedError") return; // AbortError: another load came in between
      if (!this.video.muted) {
        this.video.muted = true;
        await this.play();
        return;
      }
      this.note({ blocked: true });
    }
  }

  // The moment being shown, UTC epoch seconds, where the stream tells (EXT-X-PROGRAM-DATE-TIME).
  playingDate() {
    if (!this.showing) return null;
    if (this.hls) return this.hls.playingDate ? this.hls.playingDate.getTime() / 1000 : null;
    const start = this.video.getStartDate?.().getTime();
    return start > 0 ? start / 1000 + this.video.currentTime : null;
  }

  async load() {
    const url = this.url;
    this.moved = performance.now();
    if (!(window.ManagedMediaSource || window.MediaSource)) {
      if (this.video.canPlayType(NATIVE)) this.video.src = url;
      await this.play();
      return;
    }
    let Hls;
    try {
      Hls = (await import(HLS)).default;
    } catch {
      this.again();
      return;
    }
    if (url !== this.url || this.hls) return; // another stream was asked for meanwhile
    const hls = new Hls(CONFIG);
    this.hls = hls;
    hls.on(Hls.Events.ERROR, (_, error) => this.meet(error, Hls));
    hls.on(Hls.Events.MANIFEST_PARSED, () => this.play());
    hls.loadSource(url);
    hls.attachMedia(this.video);
  }

  meet(error, Hls) {
    if (!error.fatal) return;
    if (error.type === Hls.ErrorTypes.MEDIA_ERROR && this.attempt === 0) {
      this.attempt = 1;
      this.hls.recoverMediaError();
      return;
    }
    this.again();
  }

  // Load the same stream again, after a while.
  again() {
    const url = this.url;
    this.unload();
    if (!url) return;
    const wait = WAITS[Math.min(this.attempt, WAITS.length - 1)];
    this.attempt += 1;
    this.timer = setTimeout(() => this.load(), wait);
  }

  unload() {
    clearTimeout(this.timer);
    this.hls?.destroy();
    this.hls = null;
    this.video.removeAttribute("src");
    this.video.load();
    this.note({ showing: false, blocked: false });
  }

  noteProgress() {
    this.moved = performance.now();
    this.attempt = 0;
  }

  // Browsers pause a muted video that nobody sees.
  comeBack() {
    if (document.visibilityState === "visible" && this.showing && !this.blocked) this.play();
  }

  watch() {
    const { video, hls } = this;
    if (!this.url || this.timer && !hls && !video.src || document.visibilityState !== "visible") {
      this.moved = performance.now();
      return;
    }
    if (hls && !video.paused && hls.liveSyncPosition && hls.latency > TOO_FAR_BEHIND) {
      video.currentTime = hls.liveSyncPosition;
    }
    // Paused from outside, by unplugged headphones for one: going on is for the person to say.
    if (video.paused && this.showing && !video.ended) this.note({ blocked: true });
    const patience = this.showing ? STALL : SLOW_START;
    if (performance.now() - this.moved > patience && !this.blocked && !video.ended) this.again();
  }

  note(news) {
    const different = Object.entries(news).some(([name, value]) => this[name] !== value);
    Object.assign(this, news);
    if (different) this.changed();
  }
}

function policy(patience, retries) {
  return {
    default: {
      maxTimeToFirstByteMs: patience,
      maxLoadTimeMs: patience * 2,
      timeoutRetry: { maxNumRetry: 1, retryDelayMs: 0, maxRetryDelayMs: 0 },
      errorRetry: { maxNumRetry: retries, retryDelayMs: 500, maxRetryDelayMs: 1000 },
    },
  };
}
