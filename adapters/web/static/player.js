// Plays one HLS stream after the other in the video element: with hls.js if the browser has MediaSource, else natively.
// Errors are retried silently for as long as the same stream is wanted.

const HLS = "./vendor/hls-1.7.4.min.mjs";
const NATIVE = "application/vnd.apple.mpegurl";
const FAILING = 4; // attempts in a row after which it is said that there is no picture
const STALL_TIMEOUT = 6_000; // ms the video may stand still before the stream is loaded again
const START_TIMEOUT = 15_000; // ms the first frame may take
const RETRY_DELAYS = [300, 600, 1200, 2500, 4000]; // ms between attempts; the last one repeats
const MAX_LATENCY = 12; // seconds behind the live edge; beyond that the player jumps
const BEHIND = 2; // target durations behind the live edge, where the playlist does not say how far (HOLD-BACK)
const CONFIG = {
  enableWorker: false, // the policy of the page allows none, and fMP4 needs no transmuxing worth one
  lowLatencyMode: true,
  liveSyncOnStallIncrease: 0.3, // seconds further behind after each stall
  liveDurationInfinity: true,
  maxLiveSyncPlaybackRate: 1.08,
  maxBufferLength: 20,
  backBufferLength: 10,
  // Few retries inside hls.js: it fails soon, and `retry` decides.
  manifestLoadPolicy: policy(4_000, 0),
  playlistLoadPolicy: policy(4_000, 2),
  fragLoadPolicy: policy(10_000, 2),
};

export class Player {
  // `changed()` is called whenever `showing` (the video moves) or `blocked` (the browser requires a click) is different.
  constructor(video, changed) {
    this.video = video;
    this.changed = changed;
    this.url = null;
    this.showing = false;
    this.blocked = false;
    this.hls = null;
    this.attempts = 0;
    this.lastProgress = 0;
    video.addEventListener("timeupdate", () => this.onProgress());
    video.addEventListener("playing", () => this.url && this.update({ showing: true, blocked: false }));
    video.addEventListener("error", () => !this.url || this.hls || this.retry());
    document.addEventListener("visibilitychange", () => this.onVisible());
    setInterval(() => this.check(), 1000);
  }

  // Whether the picture does not come although it was tried again and again.
  get isFailing() {
    return this.attempts >= FAILING;
  }

  // Play `url`, or nothing.
  show(url) {
    if (url === this.url) return;
    this.url = url;
    this.attempts = 0;
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
      this.update({ blocked: true });
    }
  }

  // The moment being shown, UTC epoch seconds, if the stream says so (EXT-X-PROGRAM-DATE-TIME).
  playingDate() {
    if (!this.showing) return null;
    if (this.hls) return this.hls.playingDate ? this.hls.playingDate.getTime() / 1000 : null;
    const start = this.video.getStartDate?.().getTime();
    return start > 0 ? start / 1000 + this.video.currentTime : null;
  }

  async load() {
    const url = this.url;
    this.lastProgress = performance.now();
    if (!(window.ManagedMediaSource || window.MediaSource)) {
      if (this.video.canPlayType(NATIVE)) this.video.src = url;
      await this.play();
      return;
    }
    let Hls;
    try {
      Hls = (await import(HLS)).default;
    } catch {
      this.retry();
      return;
    }
    if (url !== this.url || this.hls) return; // another stream was asked for meanwhile
    // As a default and not in CONFIG, where it would count for more than what the playlist says.
    Hls.DefaultConfig.liveSyncDurationCount = BEHIND;
    const hls = new Hls(CONFIG);
    this.hls = hls;
    hls.on(Hls.Events.ERROR, (_, error) => this.onError(error, Hls));
    hls.on(Hls.Events.MANIFEST_PARSED, () => this.play());
    hls.loadSource(url);
    hls.attachMedia(this.video);
  }

  onError(error, Hls) {
    if (!error.fatal) return;
    if (error.type === Hls.ErrorTypes.MEDIA_ERROR && this.attempts === 0) {
      this.attempts = 1;
      this.hls.recoverMediaError();
      return;
    }
    this.retry();
  }

  // Load the same stream again, after a while.
  retry() {
    const url = this.url;
    this.unload();
    if (!url) return;
    const delay = RETRY_DELAYS[Math.min(this.attempts, RETRY_DELAYS.length - 1)];
    this.attempts += 1;
    if (this.attempts === FAILING) this.changed();
    this.timer = setTimeout(() => this.load(), delay);
  }

  unload() {
    clearTimeout(this.timer);
    this.hls?.destroy();
    this.hls = null;
    this.video.removeAttribute("src");
    this.video.load();
    this.update({ showing: false, blocked: false });
  }

  onProgress() {
    const wasFailing = this.isFailing;
    this.lastProgress = performance.now();
    this.attempts = 0;
    if (wasFailing) this.changed();
  }

  // Browsers pause a muted video that nobody sees.
  onVisible() {
    if (document.visibilityState === "visible" && this.showing && !this.blocked) this.play();
  }

  check() {
    const { video, hls } = this;
    if (!this.url || this.timer && !hls && !video.src || document.visibilityState !== "visible") {
      this.lastProgress = performance.now();
      return;
    }
    if (hls && !video.paused && hls.liveSyncPosition && hls.latency > MAX_LATENCY) {
      video.currentTime = hls.liveSyncPosition;
    }
    // Paused from outside, for example by unplugged headphones: resuming is up to the person.
    if (video.paused && this.showing && !video.ended) this.update({ blocked: true });
    const timeout = this.showing ? STALL_TIMEOUT : START_TIMEOUT;
    if (performance.now() - this.lastProgress > timeout && !this.blocked && !video.ended) this.retry();
  }

  update(changes) {
    const isDifferent = Object.entries(changes).some(([name, value]) => this[name] !== value);
    Object.assign(this, changes);
    if (isDifferent) this.changed();
  }
}

function policy(timeout, retries) {
  return {
    default: {
      maxTimeToFirstByteMs: timeout,
      maxLoadTimeMs: timeout * 2,
      timeoutRetry: { maxNumRetry: 1, retryDelayMs: 0, maxRetryDelayMs: 0 },
      errorRetry: { maxNumRetry: retries, retryDelayMs: 500, maxRetryDelayMs: 1000 },
    },
  };
}
