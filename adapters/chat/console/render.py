"""What the console writes: replies, notices and what becomes of messages, as plain lines. No I/O."""

import re

from bot.model import Notice, Reply, SessionChanged, SessionEvent, SessionView, UtteranceChanged, UtteranceState
from bot.ports import Clock
from bot.sentences import PHASES, count, duration

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_MARKS = {
    UtteranceState.SPEAKING: "saying:",
    UtteranceState.SPOKEN: "said:",
    UtteranceState.INTERRUPTED: "cut:",
    UtteranceState.DROPPED: "dropped:",
    UtteranceState.FAILED: "failed:",
    UtteranceState.UNKNOWN: "not sure it was said:",
}


def lines_of_reply(reply: Reply) -> list[str]:
    """A reply as lines, its facts aligned, the link on a line of its own."""
    lines = reply.text.splitlines()
    width = max((len(name) for name, _ in reply.fields), default=0)
    lines += [f"  {name.ljust(width)}  {value}" for name, value in reply.fields]
    if reply.link:
        lines.append(f"  Watch: {reply.link}")
    return [clean(line) for line in lines]


def lines_of_event(event: SessionEvent) -> list[str]:
    """What happened, as lines; nothing for what a console does not show."""
    match event:
        case Notice(reply=reply):
            return lines_of_reply(reply)
        case UtteranceChanged(utterance=utterance) if utterance.state in _MARKS:
            return [clean(f"  {_MARKS[utterance.state]} {utterance.text}")]
        case SessionChanged() | _:
            return []


def status_line(view: SessionView | None, clock: Clock) -> str:
    """The state of the session in one line, for the bottom of a terminal."""
    if view is None:
        return " no avatar here: /avatar start    /help explains everything, Ctrl-D leaves "
    left = (view.ends_at - clock.now()).total_seconds()
    parts = [
        PHASES[view.phase].partition(":")[0],
        f"mode {view.mode}",
        count(view.queue_length, "message") + " waiting",
    ]
    parts.append(f"leaves in {duration(left)}")
    if view.price_per_minute:
        parts.append(f"${view.price_per_minute}/min")
    return f" {' · '.join(parts)} "


def clean(text: str) -> str:
    """Text that cannot steer a terminal."""
    return _CONTROL.sub("", text)
