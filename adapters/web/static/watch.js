// The watch page: wires the connection, the players and the captions together, and handles buttons and keys.

import { Attention } from "./attention.js";
import { Captions } from "./captions.js";
import { Connection } from "./connection.js";
import { LastFrame } from "./last_frame.js";
import { Player } from "./player.js";
import { RoomPlayer } from "./room.js";
import { SeatView, visitorKey } from "./seat.js";
import { isAsleep, isOver, stateOf } from "./states.js";
import { draw, drawTime } from "./view.js";

const NO_WORDS_TIMEOUT = 2_000; // ms after which an utterance without words is shown as a whole
const MAX_LATENCY = 60; // seconds the video may lag behind the server; beyond that its dates are wrong

const $ = (id) => document.getElementById(id);
const video = $("video");

let session = null;
let closed = null; // why the connection was closed for good: ended, revoked, expired
let clockOffset = 0; // seconds the server's clock is ahead of this one
let speakingSince = 0; // 0 if nobody speaks, or the text is on the page already
let wordsSeen = false;
let soundTouched = false;

const stream = new Player(video, () => redraw());
const room = new RoomPlayer(video, { changed: () => redraw(), send: (message) => connection.send(message) });
const seat = new SeatView();
let player = stream; // what plays: the stream, or the room
const captions = new Captions($("captions"), $("announce-speech"), playhead);
const attention = new Attention(video, (message) => connection.send(message));
const lastFrame = new LastFrame(video, $("last-frame"), () => player.showing);
const connection = new Connection(feedUrl(), {
  open: () => {
    connection.send({ type: "visit", visitor: visitorKey(), plays: room.showing });
    attention.connected();
  },
  message: onMessage,
  change: () => redraw(),
  closed: (why) => { closed = why; redraw(); },
});

function onMessage(message) {
  if ("now" in message) clockOffset = message.now - Date.now() / 1000;
  if (message.type === "words") {
    wordsSeen = true;
    captions.add(message.words);
  }
  if (message.type === "cut") captions.cut(message.at);
  if (message.type === "door") room.enter(message);
  if (message.type === "publish") room.publish(message);
  if (message.type === "seat") {
    seat.update(message);
    if (seat.isWaiting) room.leave();
    redraw();
  }
  if (message.type === "session") {
    if (message.speaking !== session?.speaking) speakingSince = performance.now();
    session = message;
    redraw();
  }
}

function redraw() {
  const state = stateOf({ session, connection: connection.status, closed, seat, room, stream });
  selectPlayer(isOver(state));
  const isFrozen = isAsleep(state, session) && lastFrame.hasPicture;
  draw({ state, session, player, seat, soundTouched, isFrozen });
  tick();
}

// Switch to what there is to play. Leaving and loading end in another redraw, which finds nothing left to do.
function selectPlayer(over) {
  const url = over ? null : session?.hls_url ?? null;
  const inRoom = !over && Boolean(session?.has_room);
  player = inRoom ? room : stream;
  if (!inRoom && (room.access || seat.place)) {
    seat.reset();
    room.leave();
  }
  if (url !== stream.url) {
    if (stream.showing) lastFrame.keep();
    stream.show(url);
  }
}

function tick() {
  drawTime({ session, now: serverNow(), seat });
  showTextWithoutWords();
}

// Some avatars report no words. One that ever did is expected to do so always; words come before their video.
function showTextWithoutWords() {
  if (wordsSeen || !speakingSince || !session?.speaking || session.phase !== "live") return;
  if (session.hls_url && !stream.showing) speakingSince = performance.now();
  if (performance.now() - speakingSince < NO_WORDS_TIMEOUT) return;
  speakingSince = 0;
  captions.showText(session.speaking);
}

function serverNow() {
  return Date.now() / 1000 + clockOffset;
}

function playhead() {
  const playing = stream.playingDate();
  const behind = playing === null ? NaN : serverNow() - playing;
  return behind > -MAX_LATENCY / 10 && behind < MAX_LATENCY ? playing : serverNow();
}

function feedUrl() {
  const address = new URL(`${location.pathname}/live`, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return address;
}

// --- sound: muted until somebody unmutes it, the volume is remembered for this tab

function setSound(muted) {
  soundTouched = true;
  if (!muted && video.volume === 0) video.volume = 1;
  video.muted = muted;
  if (video.paused) player.play();
  redraw();
}

function toggleSound() {
  setSound(!video.muted);
}

function toggleFullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else if ($("player").requestFullscreen) $("player").requestFullscreen();
  else video.webkitEnterFullscreen?.();
}

const savedVolume = Number.parseFloat(sessionStorage.getItem("volume"));
if (savedVolume > 0 && savedVolume <= 1) video.volume = savedVolume;

video.addEventListener("volumechange", () => {
  sessionStorage.setItem("volume", String(video.volume));
  redraw();
});
$("unmute").addEventListener("click", () => { setSound(false); $("mute").focus(); });
$("play").addEventListener("click", () => { player.play(); });
$("mute").addEventListener("click", toggleSound);
$("fullscreen").addEventListener("click", toggleFullScreen);
$("volume").addEventListener("input", (event) => {
  video.volume = event.target.valueAsNumber;
  setSound(video.volume === 0);
});
$("action").addEventListener("click", () => {
  if (connection.status === "lost") connection.retry();
  else if (room.replaced) room.rejoin();
  else connection.send({ type: "ask" });
});
$("keep").addEventListener("click", () => connection.send({ type: "keep" }));
$("give").addEventListener("click", () => connection.send({ type: "give" }));
$("retry").addEventListener("click", () => connection.retry());
$("picture").addEventListener("error", ({ target }) => { target.dataset.failed = target.getAttribute("src"); redraw(); });

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !player.showing) return;
  if (event.key === " " && event.target.closest("button, input")) return;
  const action = { m: toggleSound, " ": toggleSound, f: toggleFullScreen }[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
});

setInterval(tick, 1000);
redraw();
