// The text of every state, in one place. The state's name picks the colour (watch.css), `icon` the symbol (watch.html).

const STATES = {
  connecting: {
    icon: "connecting", label: "Connecting", title: "Connecting",
    text: "",
  },
  starting: {
    icon: "starting", label: "Starting", title: "The avatar is starting",
    text: "This takes a few seconds.",
  },
  live: {
    icon: "live", label: "Live", title: "Joining the stream",
    text: "The picture comes in a moment.",
  },
  waiting_for_text: {
    icon: "waiting", label: "Asleep", title: "The avatar is asleep",
    text: "The next message wakes it.",
  },
  waiting_for_viewer: {
    icon: "viewer", label: "Waiting for a viewer", title: "The avatar is waiting for a viewer",
    text: "It begins as soon as its picture reaches you.",
  },
  blocked: {
    icon: "viewer", label: "Waiting for a viewer", title: "The avatar is waiting for a viewer",
    text: "Press play, and it begins.",
  },
  unreachable: {
    icon: "lost", label: "No picture", title: "No picture is reaching you",
    text: "This network may not let live video through. We keep trying.",
  },
  seat_taken: {
    icon: "viewer", label: "Seat taken", title: "Somebody else is watching",
  },
  seat_lost: {
    icon: "viewer", label: "Seat taken", title: "Somebody else is watching now",
  },
  seat_kept: {
    icon: "viewer", label: "Seat taken", title: "They want to keep watching",
  },
  asking: {
    icon: "viewer", label: "Asked for the seat", title: "You asked for the seat",
    text: "You get it in a moment, unless the person watching keeps it.",
  },
  replaced: {
    icon: "viewer", label: "Plays elsewhere", title: "The picture is playing elsewhere",
    text: "Another program joined in your place.",
  },
  ended: {
    icon: "ended", label: "Ended", title: "The session has ended",
    text: "Start a new one in the channel.",
  },
  expired: {
    icon: "link", label: "Link expired", title: "This link has expired",
    text: "Ask for a new one in the channel: use the watch command.",
  },
  revoked: {
    icon: "link", label: "Link not valid", title: "This link is no longer valid",
    text: "It was replaced or taken back. The watch command in the channel gives you the current one.",
  },
  nobody: {
    icon: "waiting", label: "Nobody here", title: "No avatar is in this channel",
    text: "Type /avatar start in the channel to bring one. It appears here by itself.",
  },
  elsewhere: {
    icon: "viewer", label: "On its own page", title: "The picture is on a page of its own",
    text: "This bot cannot show it in here. Its page opens in your browser.",
  },
  lost: {
    icon: "lost", label: "Connection lost", title: "Connection lost",
    text: "Reconnecting automatically…",
  },
};

const NEXT = "The next avatar of this channel appears here by itself.";
const CLOSED = { label: "Closed", title: "This has been closed", text: "Close it, and open it again from the channel." };
const NOT_SERVED = { text: "The bot cannot show it right now. We keep trying; its log says why." };
const REFUSED = { text: "The avatar service opens no stream right now. We keep trying." };

export const MODES = { repeat: "Repeats what you write", chat: "Answers what you write" };

// Which state a person sees: the end of the link or session first, then the connection, the room, the session.
export function stateOf({ session, connection, closed, seat, room, stream, vacancy }) {
  if (closed && closed !== "ended") return { name: closed, ...STATES[closed], ...(isFramed && CLOSED) };
  if (connection === "lost" && vacancy) return { name: "lost", ...STATES.lost };
  if (vacancy) return vacantState(session, vacancy);
  if (closed === "ended" || session?.phase === "ended") return endedState(session);
  if (connection === "lost") return { name: "lost", ...STATES.lost };
  if (session?.elsewhere) return { name: "elsewhere", ...STATES.elsewhere };
  if (session?.has_room) {
    const name = roomState(session, seat, room);
    if (name) return { name, ...STATES[name], ...(seat.place === "waiting" && { text: queueText(seat) }) };
  }
  if (session?.phase === "live" && session.hls_url && stream.isFailing) return { name: "unreachable", ...STATES.unreachable, ...NOT_SERVED };
  const name = session && session.phase in STATES ? session.phase : "connecting";
  return { name, ...STATES[name], ...sleepState(name, session) };
}

// A first start has a state of its own; waking is another word for starting again.
function sleepState(name, session) {
  const about = session?.wakes_in ? `about ${session.wakes_in} s` : "";
  if (name === "waiting_for_text" && session.refused) return REFUSED;
  if (name === "waiting_for_text") return about && { text: `The next message wakes it (${about}).` };
  if (name !== "starting" || !session.waking) return {};
  return { label: "Waking up", title: "The avatar is waking up", text: `This takes ${about || "a few seconds"}.` };
}

function roomState(session, seat, room) {
  if (seat.place === "asking") return "asking";
  if (seat.place === "waiting") return { lost: "seat_lost", refused: "seat_kept" }[seat.before] ?? "seat_taken";
  if (room.replaced) return "replaced";
  if (room.isFailing && !room.showing) return "unreachable";
  if (room.blocked && session.phase === "waiting_for_viewer") return "blocked";
  return null;
}

function queueText({ watching, ahead }) {
  if (watching < 2) return "They have just left. The seat will be free in a moment.";
  const others = ahead === 1 ? "One person is ahead of you." : `${ahead} people are ahead of you.`;
  const turn = ahead === 0 ? "You are next." : others;
  return `${watching} people are here; one at a time can see this avatar. ${turn}`;
}

// Whether the picture is only away for a while: the next message, or the first viewer, brings it back.
export const isAsleep = (state, session) =>
  ["waiting_for_text", "waiting_for_viewer"].includes(state.name) || (state.name === "starting" && session.waking);

export const isOver = (state) => ["ended", "expired", "revoked", "nobody"].includes(state.name);

const isFramed = "embed" in document.body.dataset;

// Of a frame whose channel has no avatar now, or none any more.
function vacantState(session, { told }) {
  if (!session) return { name: "nobody", ...STATES.nobody, ...(told && { text: told }) };
  const ended = endedState(session);
  return { ...ended, text: told ?? `${ended.text} ${NEXT}` };
}

function endedState(session) {
  return { name: "ended", ...STATES.ended, text: session?.ended || STATES.ended.text };
}
