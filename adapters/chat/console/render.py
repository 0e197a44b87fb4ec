"""What the console writes: replies, notices and what becomes of messages, as lines. No I/O, no colours."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto

from bot.commands.parser import Usage
from bot.core.events import Notice, SessionChanged, SessionEvent, UtteranceChanged
from bot.core.models import Mode, UtteranceState
from bot.core.ports import Clock
from bot.core.views import Reply, SessionView
from bot.sentences import count, dollars, state
from bot.terminal import printable
from bot.text import mask_spoilers

MAX_ECHO_LENGTH = 200
"""Characters of a piped line that are repeated; a person knows what they wrote."""

WAITING = "(Waiting until everything is said.)"
NOT_RELAYED = "That was not said: SESSION_RELAY is off. Use `/avatar say TEXT` or `/avatar ask TEXT`."
CLOSING = "Closing everything…"

_MARKS = {
    UtteranceState.SPEAKING: "saying:",
    UtteranceState.SPOKEN: "said:",
    UtteranceState.INTERRUPTED: "cut:",
    UtteranceState.DROPPED: "dropped:",
    UtteranceState.FAILED: "failed:",
    UtteranceState.UNKNOWN: "not sure it was said:",
}
_ANSWER_MARKS = {UtteranceState.SPEAKING: "answering:", UtteranceState.SPOKEN: "answered:"}
IN_PART = "answered in part:"
_TROUBLE = (UtteranceState.FAILED, UtteranceState.UNKNOWN)


class Tone(Enum):
    """What kind of line it is, for a terminal that can show it."""

    PLAIN = auto()
    QUIET = auto()
    LINK = auto()
    TROUBLE = auto()


@dataclass(frozen=True, slots=True)
class Line:
    """One line for the screen, without control characters."""

    text: str
    tone: Tone = Tone.PLAIN


def lines_of_reply(reply: Reply) -> list[Line]:
    """A reply as lines, its facts aligned, the link on a line of its own."""
    lines = [Line(printable(text)) for text in reply.text.splitlines()]
    width = max((len(name) for name, _ in reply.fields), default=0)
    lines += [Line(printable(f"  {name.ljust(width)}  {value}")) for name, value in reply.fields]
    if reply.link:
        lines.append(Line(printable(f"  Watch: {reply.link}"), Tone.LINK))
    return lines


def lines_of_event(event: SessionEvent) -> list[Line]:
    """What happened, as lines; nothing for what a console does not show."""
    match event:
        case Notice(reply=reply):
            return lines_of_reply(reply)
        case UtteranceChanged(utterance=utterance, answer=answer) if utterance.state in _MARKS:
            tone = Tone.TROUBLE if utterance.state in _TROUBLE else Tone.QUIET
            marks = _ANSWER_MARKS if utterance.mode is Mode.CHAT else _MARKS
            mark = marks.get(utterance.state, _MARKS[utterance.state])
            if answer and utterance.state is UtteranceState.FAILED:
                return [Line(printable(f"  {IN_PART} {mask_spoilers(answer)}"), tone)]
            said = mask_spoilers(answer) if answer and utterance.state is UtteranceState.SPOKEN else utterance.text
            return [Line(printable(f"  {mark} {said}"), tone)]
        case SessionChanged() | _:
            return []


def echo(line: str) -> Line:
    """A piped line as it would look if somebody had typed it."""
    shown = line if len(line) <= MAX_ECHO_LENGTH else f"{line[:MAX_ECHO_LENGTH]}…"
    return Line(printable(f"> {shown}"))


def status_line(view: SessionView | None, clock: Clock) -> str:
    """The state of the session in one line, for the bottom of a terminal."""
    if view is None:
        return " no avatar here: /avatar start brings one · /help explains everything · Ctrl-D leaves "
    left = (view.ends_at - clock.now()).total_seconds()
    parts = [
        _in_short(state(view)),
        f"mode {view.mode}",
        f"{count(view.queue_length, 'message')} waiting",
        f"{countdown(left)} left",
    ]
    if view.price_per_minute:
        parts.append(f"{dollars(view.price_per_minute)}/min")
    return f" {' · '.join(parts)} "


def _in_short(words: str) -> str:
    """What a session is doing, without what to do about it."""
    return words.partition(":")[0].partition(";")[0]


def countdown(seconds: float) -> str:
    """Time that is left, as a clock: `4:05`, `1:00:00`."""
    minutes, second = divmod(max(0, int(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def completions(usages: Iterable[Usage]) -> list[str]:
    """What Tab offers: every command, and its choices where it has some (`repeat|chat`)."""
    words = ["/help"]
    for usage in usages:
        command = f"/{usage.group} {usage.verb}"
        words.append(command)
        if usage.argument.islower():
            words += [f"{command} {choice}" for choice in usage.argument.split("|")]
    return words
