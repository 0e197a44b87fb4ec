// The picture in a small window of its own, above everything else: with its captions where the browser has windows for
// documents, else the video alone. What is moved into the window comes back when it closes.

const SIZE = { width: 480, height: 390 }; // pixels: 16:9, and two lines of captions

// Whether a person can see the video: on the page, or in a small window while the page is hidden.
export function isSeen(video) {
  return document.visibilityState === "visible" || isDetached(video);
}

function isDetached(video) {
  return video.ownerDocument !== document || document.pictureInPictureElement === video;
}

export class PictureInPicture {
  // `captions` goes along with the video. `changed()` is called when the window has opened or closed, `onKey(event)`
  // when a key is pressed in it.
  constructor(video, captions, { changed, onKey }) {
    Object.assign(this, { video, captions, changed, onKey });
    this.window = null;
    this.message = null;
    for (const event of ["enterpictureinpicture", "leavepictureinpicture"]) video.addEventListener(event, changed);
  }

  // Browsers give the frames of a page no windows, or only if that page allows it, which chat clients do not.
  get isSupported() {
    return window.parent === window && Boolean(window.documentPictureInPicture || (document.pictureInPictureEnabled && this.video.requestPictureInPicture));
  }

  get isOpen() {
    return isDetached(this.video);
  }

  get isWindow() {
    return this.window !== null;
  }

  async toggle() {
    if (this.isOpen) await this.close();
    else await this.open();
  }

  async close() {
    if (this.window) this.window.close();
    else if (document.pictureInPictureElement) await document.exitPictureInPicture();
  }

  async open() {
    if (document.fullscreenElement) await document.exitFullscreen();
    try {
      if (window.documentPictureInPicture) this.fill(await window.documentPictureInPicture.requestWindow(SIZE));
      else await this.video.requestPictureInPicture();
    } catch {
      // The browser does not want to, for example without a click or while there is no picture.
    }
  }

  // In place of a picture, while there is none.
  say(text) {
    if (this.message && this.message.textContent !== text) this.message.textContent = text;
  }

  fill(small) {
    const { document: page } = small;
    const style = page.createElement("link");
    style.rel = "stylesheet";
    style.href = document.querySelector("link[rel=stylesheet]").href;
    page.head.append(style);
    page.title = document.title;
    page.documentElement.lang = document.documentElement.lang;
    Object.assign(page.documentElement.dataset, document.documentElement.dataset);
    page.body.className = "small-window";
    this.message = page.createElement("p");
    this.message.className = "small-window-message";
    const wasPlaying = !this.video.paused;
    const places = [this.video, this.captions].map((element) => {
      const place = document.createComment("in the small window");
      element.replaceWith(place);
      return [place, element];
    });
    page.body.append(this.video, this.message, this.captions);
    this.window = small;
    small.addEventListener("keydown", this.onKey);
    small.addEventListener("pagehide", () => {
      const isPlaying = !this.video.paused;
      for (const [place, element] of places) place.replaceWith(element);
      this.window = this.message = null;
      this.goOn(isPlaying);
      this.changed();
    }, { once: true });
    this.goOn(wasPlaying);
    this.changed();
  }

  // Browsers may pause what is moved.
  goOn(wasPlaying) {
    this.captions.scrollTop = this.captions.scrollHeight;
    if (wasPlaying && this.video.paused) this.video.play().catch(() => {});
  }
}
