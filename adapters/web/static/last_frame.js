// The last picture of a stream, kept in sight while the avatar is asleep or wakes up, until the next stream plays.

const INTERVAL = 1_000; // ms between pictures: a stream that ends takes its own away without a word

export class LastFrame {
  // `isPlaying()`: whether the video shows the avatar now.
  constructor(video, canvas, isPlaying) {
    this.video = video;
    this.canvas = canvas;
    this.hasPicture = false;
    setInterval(() => isPlaying() && this.keep(), INTERVAL);
  }

  forget() {
    this.hasPicture = false;
  }

  keep() {
    const { video, canvas } = this;
    if (!video.videoWidth) return;
    canvas.width = video.videoWidth;
    canvas.height = video.videoHeight;
    canvas.getContext("2d").drawImage(video, 0, 0);
    this.hasPicture = true;
  }
}
