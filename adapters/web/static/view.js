// Draws the state onto the page. Text from outside only ever goes through textContent.

import { preferences } from "./preferences.js";
import { MODES, isOver } from "./states.js";

const MIN_DELAY_CHANGE = 0.8; // seconds

const $ = (id) => document.getElementById(id);

export function draw({ state, session, player, seat, soundTouched, isFrozen, small, frame, vacancy }) {
  document.body.dataset.state = state.name;
  document.body.toggleAttribute("data-speaking", Boolean(session?.speaking) && state.name === "live");
  const name = session?.avatar || "Avatar";
  setText("avatar", name);
  setText("state-label", state.label);
  setIcon("state-icon", state.icon);
  const isRequested = seat.place === "asked" && !isOver(state);
  document.title = `${isRequested ? "Somebody asks for your seat" : state.label} · ${name}`;
  $("seat-request").hidden = !isRequested;
  drawCurtain(state, session, player, isFrozen);
  drawAction(state, seat, vacancy, session);
  $("own-page").hidden = !frame?.openLink || !session?.link || isOver(state);
  drawDetails(state, session);
  drawSound(player, soundTouched);
  drawPlace(session, player, isOver(state));
  drawSmallWindow(small);
  announce(state, player);
}

// What changes with time alone.
export function drawTime({ session, now, seat, behind }) {
  if (seat.place === "asked") setText("seat-request-seconds", String(seat.secondsLeft));
  if (document.body.dataset.state === "asking") setText("overlay-text", requestText(seat));
  if (session) setText("time-left", duration(session.ends_at - now));
  drawDelay(behind);
}

// A hint, which does not follow every fraction of a second.
function drawDelay(behind) {
  const element = $("delay");
  element.parentElement.toggleAttribute("data-unknown", behind === null);
  if (behind === null || Math.abs(behind - Number(element.dataset.seconds)) < MIN_DELAY_CHANGE) return;
  const seconds = Math.round(behind);
  element.dataset.seconds = seconds;
  element.textContent = seconds < 1 ? "Less than 1 s behind" : `About ${seconds} s behind`;
}

export function drawViewers(count) {
  setText("viewers", count === 1 ? "1 person" : `${count} people`);
  $("viewers").parentElement.removeAttribute("data-unknown");
}

// Who is in front of the same frame elsewhere, as the chat client tells the page; our server is not told.
export function drawPeople(names) {
  const { parentElement } = $("people");
  parentElement.hidden = !names.length;
  setText("people", names.join(", "));
}

export function drawPreferences() {
  $("captions-switch").setAttribute("aria-pressed", String(preferences.captions === "on"));
  for (const button of document.querySelectorAll("[data-key]")) {
    if (preferences.shortcuts === "on") button.setAttribute("aria-keyshortcuts", button.dataset.key);
    else button.removeAttribute("aria-keyshortcuts");
  }
}

function drawCurtain(state, session, player, isFrozen) {
  const isPlaying = player.showing && !isOver(state);
  $("overlay").hidden = isPlaying;
  $("connection-lost").hidden = !(isPlaying && state.name === "lost");
  document.body.toggleAttribute("data-frozen", isFrozen && !isPlaying);
  $("last-frame").hidden = isPlaying || !isFrozen;
  if (isPlaying) return;
  setText("overlay-title", state.title);
  setText("overlay-text", state.text);
  setIcon("overlay-icon", state.icon);
  const picture = $("picture");
  const address = isOver(state) ? null : session?.picture;
  if (address && picture.getAttribute("src") !== address) picture.src = address;
  picture.hidden = !address || picture.dataset.failed === address;
}

const ACTIONS = {
  seat_taken: "Take the seat", seat_lost: "Take the seat", seat_kept: "Take the seat",
  replaced: "Watch here", lost: "Try now", elsewhere: "Open its page",
};

function drawAction(state, seat, vacancy, session) {
  let label = ACTIONS[state.name];
  if (vacancy && isOver(state)) label = vacancy.may_start && "Bring an avatar here";
  if (state.name === "elsewhere" && !session.link) label = null;
  $("action").hidden = !label || (state.name.startsWith("seat_") && !seat.mayAsk);
  if (label) setText("action", label);
}

// For screen readers: what the overlay says, or the state's label while the video plays.
function announce(state, player) {
  const text = `${state.title}. ${state.text}`;
  if (isOver(state)) setText("announce-end", text);
  else setText("announce-state", player.showing ? state.label : text);
}

function requestText({ secondsLeft }) {
  return `It is yours in ${secondsLeft} s, unless the person watching keeps it.`;
}

function drawDetails(state, session) {
  $("details").hidden = isOver(state);
  $("details").toggleAttribute("data-unknown", !session);
  if (!session) return;
  setText("mode", MODES[session.mode] ?? session.mode);
  setText("started-by", session.started_by);
  setText("queue", queueText(session));
}

function drawSound({ video, showing, blocked }, soundTouched) {
  const silent = video.muted || video.volume === 0;
  $("play").hidden = !blocked;
  $("unmute").hidden = !showing || blocked || soundTouched || !silent;
  $("controls").hidden = !showing;
  $("mute").setAttribute("aria-label", silent ? "Unmute" : "Mute");
  setIcon("mute-icon", silent ? "muted" : "sound");
  $("volume").value = String(video.muted ? 0 : video.volume);
}

// A frame may fill the screen only if the page around it lets it. The other is Safari's on a phone, for the video alone.
function canFill() {
  return document.fullscreenEnabled || Boolean($("video").webkitSupportsFullscreen);
}

// Where the avatar is heard besides the page: both at once are out of step.
function drawPlace(session, { video, showing }, over) {
  const place = over ? null : session?.heard_in ?? null;
  const isLoud = showing && !video.muted && video.volume > 0;
  $("place").parentElement.hidden = !place;
  $("heard-in").hidden = !place || !isLoud;
  if (!place) return;
  setText("place", place);
  setText("heard-in-text", `The avatar speaks in ${place} as well.`);
}

function drawSmallWindow(small) {
  $("small-window").hidden = !small.isSupported;
  $("small-window").setAttribute("aria-pressed", String(small.isOpen));
  $("elsewhere").hidden = !small.isWindow;
  $("fullscreen").hidden = small.isWindow || !canFill();
}

function queueText({ queue, held }) {
  const count = queue === 0 ? "Nothing" : queue === 1 ? "1 message" : `${queue} messages`;
  return held && queue ? `${count}, held` : count;
}

function duration(seconds) {
  const left = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60];
  const two = (number) => String(number).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

function setText(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text;
}

function setIcon(id, name) {
  $(id).setAttribute("href", `#icon-${name}`);
}
