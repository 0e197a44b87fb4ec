// The words of every state, in one place. `name` picks the colour (watch.css), `icon` the symbol (watch.html).

const STATES = {
  connecting: {
    icon: "connecting", label: "Connecting", title: "Connecting",
    text: "",
  },
  starting: {
    icon: "starting", label: "Starting", title: "The avatar is waking up",
    text: "This takes a few seconds.",
  },
  live: {
    icon: "live", label: "Live", title: "Joining the stream",
    text: "The picture comes in a moment.",
  },
  waiting_for_text: {
    icon: "waiting", label: "Waiting for text", title: "Nothing to say right now",
    text: "Write in the channel to wake the avatar.",
  },
  waiting_for_viewer: {
    icon: "viewer", label: "Waiting for a viewer", title: "You are the one it waited for",
    text: "The avatar begins as soon as its stream reaches you.",
  },
  ended: {
    icon: "ended", label: "Ended", title: "The session has ended",
    text: "Start a new one in the channel.",
  },
  expired: {
    icon: "link", label: "Link expired", title: "This link has expired",
    text: "Ask for a new one in the channel: the watch command gives it to you.",
  },
  revoked: {
    icon: "link", label: "Link not valid", title: "This link is no longer valid",
    text: "It was replaced or taken back. The watch command in the channel gives you the current one.",
  },
  lost: {
    icon: "lost", label: "Connection lost", title: "Connection lost",
    text: "Everything goes on by itself once the line is back.",
  },
};

export const MODES = { repeat: "Repeats what you write", chat: "Answers what you write" };

// Which state a person sees: the end of the link or session first, then the line, then the session.
export function stateOf({ session, line, closed }) {
  if (closed === "ended" || session?.phase === "ended") return ended(session);
  if (closed) return { name: closed, ...STATES[closed] };
  if (line === "lost") return { name: "lost", ...STATES.lost };
  const name = session && session.phase in STATES ? session.phase : "connecting";
  return { name, ...STATES[name] };
}

export const isOver = (state) => ["ended", "expired", "revoked"].includes(state.name);

function ended(session) {
  return { name: "ended", ...STATES.ended, text: session?.ended || STATES.ended.text };
}
