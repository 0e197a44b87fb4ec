// The watch page: joins the line to the server, the player and the captions, and answers to buttons and keys.

import { Captions } from "./captions.js";
import { Connection } from "./connection.js";
import { Player } from "./player.js";
import { RoomPlayer } from "./room.js";
import { SeatView, visitor } from "./seat.js";
import { isOver, stateOf } from "./states.js";
import { draw, drawTime } from "./view.js";

const NO_WORDS = 2_000; // ms after which an utterance without words is shown as a whole
const BELIEVABLE = 60; // seconds the picture may lie behind the server; beyond that its dates mean nothing

const $ = (id) => document.getElementById(id);
const video = $("video");

let session = null;
let closed = null; // why there is nothing more to come
let ahead = 0; // seconds the server's clock is ahead of this one
let speakingSince = 0; // 0 where nobody speaks, or the text is on the page already
let wordsSeen = false;
let soundTouched = false;

const stream = new Player(video, () => redraw());
const room = new RoomPlayer(video, { changed: () => redraw(), say: (message) => connection.say(message) });
const seat = new SeatView();
let player = stream; // what plays: the stream, or the room
const captions = new Captions($("captions"), $("announce-speech"), playhead);
const connection = new Connection(liveAddress(), {
  open: () => connection.say({ type: "visit", visitor: visitor(), plays: room.showing }),
  message: receive,
  change: () => redraw(),
  closed: (why) => { closed = why; redraw(); },
});

function receive(message) {
  if ("now" in message) ahead = message.now - Date.now() / 1000;
  if (message.type === "words") {
    wordsSeen = true;
    captions.add(message.words);
  }
  if (message.type === "cut") captions.cut(message.at);
  if (message.type === "door") room.enter(message);
  if (message.type === "publish") room.publish(message);
  if (message.type === "seat") {
    seat.take(message);
    if (seat.waits) room.leave();
    redraw();
  }
  if (message.type === "session") {
    if (message.speaking !== session?.speaking) speakingSince = performance.now();
    session = message;
    redraw();
  }
}

function redraw() {
  const state = stateOf({ session, line: connection.line, closed, seat, room });
  play(isOver(state));
  draw({ state, session, player, seat, soundTouched });
  tick();
}

// Turn to what there is to play. Leaving and loading end in another redraw, which finds nothing left to do.
function play(over) {
  const url = over ? null : session?.hls_url ?? null;
  const inRoom = !over && Boolean(session?.has_room);
  player = inRoom ? room : stream;
  if (!inRoom && (room.door || seat.place)) {
    seat.reset();
    room.leave();
  }
  if (url !== stream.url) stream.show(url);
}

function tick() {
  const over = closed !== null || session?.phase === "ended";
  drawTime({ session, now: serverNow(), line: connection.line, over, seat });
  showWhatHasNoWords();
}

// Some avatars tell no words. One that ever did is believed to do so always, and words come before their picture.
function showWhatHasNoWords() {
  if (wordsSeen || !speakingSince || !session?.speaking || session.phase !== "live") return;
  if (session.hls_url && !stream.showing) speakingSince = performance.now();
  if (performance.now() - speakingSince < NO_WORDS) return;
  speakingSince = 0;
  captions.showWhole(session.speaking);
}

function serverNow() {
  return Date.now() / 1000 + ahead;
}

function playhead() {
  const playing = stream.playingDate();
  const behind = playing === null ? NaN : serverNow() - playing;
  return behind > -BELIEVABLE / 10 && behind < BELIEVABLE ? playing : serverNow();
}

function liveAddress() {
  const address = new URL(`${location.pathname}/live`, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  return address;
}

// --- sound: muted until somebody asks, the volume remembered for this tab

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
  else if ($("theatre").requestFullscreen) $("theatre").requestFullscreen();
  else video.webkitEnterFullscreen?.();
}

const remembered = Number.parseFloat(sessionStorage.getItem("volume"));
if (remembered > 0 && remembered <= 1) video.volume = remembered;

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
$("ask").addEventListener("click", () => { if (room.ousted) room.comeIn(); else connection.say({ type: "ask" }); });
$("keep").addEventListener("click", () => connection.say({ type: "keep" }));
$("give").addEventListener("click", () => connection.say({ type: "give" }));
$("retry").addEventListener("click", () => connection.retry());
$("picture").addEventListener("error", ({ target }) => { target.dataset.failed = target.getAttribute("src"); redraw(); });

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !player.showing) return;
  if (event.key === " " && event.target.closest("button, input")) return;
  const act = { m: toggleSound, " ": toggleSound, f: toggleFullScreen }[event.key.toLowerCase()];
  if (!act) return;
  event.preventDefault();
  act();
});

setInterval(tick, 1000);
redraw();
