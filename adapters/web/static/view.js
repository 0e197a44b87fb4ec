// Draws what is known onto the page. Text from outside only ever goes through textContent.

import { MODES, isOver } from "./states.js";

const $ = (id) => document.getElementById(id);

export function draw({ state, session, player, seat, soundTouched }) {
  document.body.dataset.state = state.name;
  document.body.toggleAttribute("data-speaking", Boolean(session?.speaking) && state.name === "live");
  const name = session?.avatar || "Avatar";
  say("avatar", name);
  say("state-label", state.label);
  icon("state-icon", state.icon);
  const isAsked = seat.place === "asked" && !isOver(state);
  document.title = `${isAsked ? "Somebody asks for your seat" : state.label} · ${name}`;
  $("asked").hidden = !isAsked;
  drawCurtain(state, session, player);
  drawAsking(state, seat);
  drawFacts(state, session);
  drawSound(player, soundTouched);
  if (isOver(state)) say("announce-end", `${state.title}. ${state.text}`);
}

// What changes with the time alone.
export function drawTime({ session, now, line, over, seat }) {
  $("trouble").hidden = line !== "lost" || over;
  if (seat.place === "asked") say("asked-seconds", String(seat.secondsLeft));
  if (document.body.dataset.state === "asking") say("curtain-text", asking(seat));
  if (session) say("time-left", duration(session.ends_at - now));
}

function drawCurtain(state, session, player) {
  const open = player.showing && !isOver(state);
  $("curtain").hidden = open;
  if (open) return;
  say("curtain-title", state.title);
  say("curtain-text", state.text);
  icon("curtain-icon", state.icon);
  const picture = $("picture");
  const address = isOver(state) ? null : session?.picture;
  if (address && picture.getAttribute("src") !== address) picture.src = address;
  picture.hidden = !address || picture.dataset.failed === address;
}

function drawAsking(state, seat) {
  const waits = ["seat_taken", "seat_lost", "seat_kept"].includes(state.name);
  $("ask").hidden = !(waits && seat.mayAsk) && state.name !== "ousted";
  say("ask", state.name === "ousted" ? "Watch here" : "Take the seat");
}

function asking({ secondsLeft }) {
  return `It is yours in ${secondsLeft} s, unless the person who watches keeps it.`;
}

function drawFacts(state, session) {
  $("facts").hidden = !session || isOver(state);
  if (!session) return;
  say("mode", MODES[session.mode] ?? session.mode);
  say("started-by", session.started_by);
  say("queue", waiting(session));
}

function drawSound({ video, showing, blocked }, soundTouched) {
  const silent = video.muted || video.volume === 0;
  $("play").hidden = !blocked;
  $("unmute").hidden = !showing || blocked || soundTouched || !silent;
  $("controls").hidden = !showing;
  $("mute").setAttribute("aria-label", silent ? "Unmute" : "Mute");
  icon("mute-icon", silent ? "muted" : "sound");
  $("volume").value = String(video.muted ? 0 : video.volume);
}

function waiting({ queue, held }) {
  const count = queue === 0 ? "Nothing" : queue === 1 ? "1 message" : `${queue} messages`;
  return held && queue ? `${count}, held` : count;
}

function duration(seconds) {
  const left = Math.max(0, Math.round(seconds));
  const [h, m, s] = [Math.floor(left / 3600), Math.floor(left / 60) % 60, left % 60];
  const two = (number) => String(number).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

function say(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text;
}

function icon(id, name) {
  $(id).setAttribute("href", `#icon-${name}`);
}
