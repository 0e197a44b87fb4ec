// The watch page: wires the connection, the players, the captions and the transcript together, and handles buttons and
// keys.

import { Attention } from "./attention.js";
import { Captions } from "./captions.js";
import { Connection } from "./connection.js";
import { enterFrame } from "./frame.js";
import { LastFrame } from "./last_frame.js";
import { PictureInPicture } from "./picture_in_picture.js";
import { Player } from "./player.js";
import { followPreferences, prefer, preferences } from "./preferences.js";
import { RoomPlayer } from "./room.js";
import { SeatView, visitorKey } from "./seat.js";
import { SettingsPanel } from "./settings.js";
import { isAsleep, isOver, stateOf } from "./states.js";
import { tabMemory } from "./storage.js";
import { Transcript } from "./transcript.js";
import { draw, drawPeople, drawPreferences, drawTime, drawViewers } from "./view.js";

const NO_WORDS_TIMEOUT = 2_000; // ms after which an utterance without words is shown as a whole
const MAX_LATENCY = 60; // seconds the video may lag behind the server; beyond that its dates are wrong

const $ = (id) => document.getElementById(id);
const video = $("video");

const frame = enterFrame((people) => drawPeople(people));
let session = null;
let vacancy = null; // what a frame's channel without an avatar is like
let closed = null; // why the connection was closed for good: ended, revoked, expired
let clockOffset = 0; // seconds the server's clock is ahead of this one
let speakingSince = 0; // 0 if nobody speaks, or the text is on the page already
let wordsSeen = false;
let soundTouched = false;

const stream = new Player(video, () => redraw());
const room = new RoomPlayer(video, { changed: () => redraw(), send: (message) => connection.send(message) });
const seat = new SeatView();
let player = stream; // what plays: the stream, or the room
const feed = feedUrl();
const captions = new Captions($("captions"), $("announce-speech"), playhead, () => preferences.captions === "on");
const transcript = new Transcript(
  { scroller: $("transcript"), list: $("transcript-list"), latest: $("transcript-latest") }, playhead,
);
const small = new PictureInPicture(video, $("captions"), { changed: onSmallWindow, onKey });
const attention = new Attention(video, (message) => connection.send(message));
const lastFrame = new LastFrame(video, $("last-frame"), () => player.showing);
const connection = new Connection(feed, {
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
  if (message.type === "transcript") transcript.add(message.entries);
  if (message.type === "viewers") drawViewers(message.count);
  if (message.type === "cut") captions.cut(message.at);
  if (message.type === "door") room.enter(message);
  if (message.type === "publish") room.publish(message);
  if (message.type === "seat") {
    seat.update(message);
    if (seat.isWaiting) room.leave();
    redraw();
  }
  if (message.type === "nobody") {
    vacancy = message;
    redraw();
  }
  if (message.type === "next") startOver();
  if (message.type === "session") {
    if (vacancy) attention.connected();
    vacancy = null;
    if (message.speaking !== session?.speaking) speakingSince = performance.now();
    session = message;
    captions.setLanguage(message.language ?? "");
    redraw();
  }
}

// Another session takes the place of the one that was shown, and nothing of that one is about it.
function startOver() {
  session = null;
  wordsSeen = false;
  captions.clear();
  transcript.clear();
  lastFrame.forget();
  attention.connected();
}

function redraw() {
  const state = stateOf({ session, connection: connection.status, closed, seat, room, stream, vacancy });
  selectPlayer(isOver(state));
  const isFrozen = isAsleep(state, session) && lastFrame.hasPicture;
  draw({ state, session, player, seat, soundTouched, isFrozen, small, frame, vacancy });
  small.say(player.showing && !isOver(state) ? "" : state.title);
  tick();
}

// Switch to what there is to play. Leaving and loading end in another redraw, which finds nothing left to do.
function selectPlayer(over) {
  const url = over || !session?.hls_url ? null : String(new URL(session.hls_url, frame ? feed.href.replace(/^ws/, "http") : location.href));
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
  drawTime({ session, now: serverNow(), seat, behind: player.showing ? secondsBehind() : null });
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
  return serverNow() - (secondsBehind() ?? 0);
}

// How far the picture is behind, if the stream says so.
function secondsBehind() {
  const playing = stream.playingDate();
  if (playing === null) return null;
  const behind = serverNow() - playing;
  return behind > -MAX_LATENCY / 10 && behind < MAX_LATENCY ? behind : null;
}

function feedUrl() {
  const address = new URL(frame ? document.body.dataset.feed : `${location.pathname}/live`, location.href);
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
  else if (document.fullscreenEnabled) $("player").requestFullscreen();
  else if (video.webkitSupportsFullscreen) video.webkitEnterFullscreen();
}

function toggleCaptions() {
  prefer("captions", preferences.captions === "on" ? "off" : "on");
}

function onSmallWindow() {
  attention.report();
  redraw();
}

const savedVolume = Number.parseFloat(tabMemory.get("volume"));
if (savedVolume > 0 && savedVolume <= 1) video.volume = savedVolume;

video.addEventListener("volumechange", () => {
  tabMemory.set("volume", String(video.volume));
  redraw();
});
$("unmute").addEventListener("click", () => { setSound(false); $("mute").focus(); });
$("play").addEventListener("click", () => { player.play(); });
$("mute").addEventListener("click", toggleSound);
$("mute-here").addEventListener("click", () => setSound(true));
$("captions-switch").addEventListener("click", toggleCaptions);
$("small-window").addEventListener("click", () => small.toggle());
$("bring-back").addEventListener("click", () => { small.close(); $("small-window").focus(); });
$("fullscreen").addEventListener("click", toggleFullScreen);
$("volume").addEventListener("input", (event) => {
  video.volume = event.target.valueAsNumber;
  setSound(video.volume === 0);
});
$("action").addEventListener("click", () => {
  if (connection.status === "lost") connection.retry();
  else if (vacancy) connection.send({ type: "start" });
  else if (session?.elsewhere) frame.openLink(session.link);
  else if (room.replaced) room.rejoin();
  else connection.send({ type: "ask" });
});
$("own-page").addEventListener("click", () => frame.openLink(session.link));
$("keep").addEventListener("click", () => connection.send({ type: "keep" }));
$("give").addEventListener("click", () => connection.send({ type: "give" }));
$("retry").addEventListener("click", () => connection.retry());
$("picture").addEventListener("error", ({ target }) => { target.dataset.failed = target.getAttribute("src"); redraw(); });

const KEYS = { m: toggleSound, " ": toggleSound, c: toggleCaptions, p: () => small.toggle(), f: toggleFullScreen };

function onKey(event) {
  if (preferences.shortcuts === "off" || event.ctrlKey || event.metaKey || event.altKey || !player.showing) return;
  if (event.key === " " && event.target.closest("button, input, summary, [tabindex]")) return;
  const action = KEYS[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
}

addEventListener("keydown", onKey);
new SettingsPanel($("settings"));
followPreferences(drawPreferences);
setInterval(tick, 1000);
redraw();
