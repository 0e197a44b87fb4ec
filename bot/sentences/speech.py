"""What people are told of the messages that they give the avatar: taken, waiting, dropped, cut, not said.

Part of `bot.sentences`, which is where the rest of the program takes it from.
"""

from collections.abc import Iterable, Sequence

from bot.core.models import Mode
from bot.core.views import Phase, SessionView
from bot.sentences.amounts import count, duration

MODES = {
    Mode.REPEAT: "repeat (it says what you write)",
    Mode.CHAT: "chat (it answers what you write)",
}

QUOTED = 3
"""Texts, or names of people, that are told; of more only how many."""
MAX_QUOTE_LENGTH = 60
"""Characters of a text that are repeated to its author."""


def queued(position: int, *, live_yet: bool, wakes: bool = False) -> str:
    """The answer to a message that was taken; `position` is how many are before it, `wakes` that it has to wake up."""
    if not live_yet:
        return "Got it. The avatar will say it as soon as it is live."
    if position == 0:
        return "The avatar is waking up to say it." if wakes else "The avatar is saying it now."
    return f"Queued, with {count(position, 'message')} ahead of it."


def queue_full(limit: int) -> str:
    """The refusal of a message that found the queue full."""
    return (
        f"The avatar already has {count(limit, 'message')} waiting. Try again when it has said some, "
        "or use `/avatar skip` or `/avatar clear`."
    )


QUEUED_FOR_VIEWER = "Got it. The avatar says it as soon as somebody opens the watch link."
WAKES_FOR_VIEWER = "Nobody is watching yet. Open the link first: the avatar wakes for whoever watches."


def waking(seconds: int | None) -> str:
    """The answer to `wake`; `seconds` is how long that usually takes, where it is known."""
    return "The avatar is waking up." if seconds is None else f"The avatar is waking up, in about {seconds} s."


def is_awake(view: SessionView) -> str:
    """The answer to `wake` where there is nothing to wake."""
    return "The avatar is just coming." if view.phase is Phase.STARTING else "The avatar is awake already."


def waited_in_vain(names: Sequence[str], seconds: float) -> str:
    """Told to the channel when the first messages are dropped that could not be said for so long."""
    return (
        f"What {people(names)} wrote could not be said for {duration(seconds)}, so I dropped it, "
        "as whatever waits that long. Write it again if it still matters."
    )


def dropped_unsaid(texts: Sequence[str], seconds: float) -> str:
    """Told to somebody who had read that these texts were taken, when they are dropped after so long."""
    verb, again = ("was", "it") if len(texts) == 1 else ("were", "them")
    whose = _yours(texts)
    return (
        f"{whose[:1].upper()}{whose[1:]} could not be said for {duration(seconds)} and {verb} dropped. "
        f"Send {again} again if that still matters."
    )


def came_too_late(seconds: float) -> str:
    """Told to somebody whose message the avatar could not be given for so long."""
    return (
        f"What you wrote could not be passed to the avatar for {duration(seconds)}, so I dropped it. "
        "Write it again if it still matters."
    )


def too_long(length: int, limit: int) -> str:
    """The refusal of a message that is too long."""
    return f"That message has {length:,} characters; the avatar takes at most {limit:,} at once. Please shorten it."


def too_much(limit: int) -> str:
    """The answer to somebody who writes more characters within a minute than allowed."""
    return f"That is more than {limit} characters within a minute. Wait a little, then go on."


def too_fast(limit: int) -> str:
    """The refusal of a message from somebody who writes too much."""
    return f"That is too fast: each person may send at most {count(limit, 'message')} a minute. Try again shortly."


def too_much_waits() -> str:
    """The refusal of a command that was not taken, because so much has come in from its channel."""
    return "Too much is waiting in this channel, so the bot did not take that. Try again in a minute."


def left_unsaid(unsaid: Sequence[str], in_doubt: Sequence[str]) -> str:
    """Told to somebody who had read that these texts were taken: the first were not said, the others perhaps not."""
    told = []
    if unsaid:
        again = "it" if len(unsaid) == 1 else "them"
        told.append(
            f"The avatar left before it said {_yours(unsaid)}. "
            f"Send {again} again when there is an avatar here: `/avatar start` brings one."
        )
    if in_doubt:
        whose = _yours(in_doubt)
        again = "it" if len(in_doubt) == 1 else "them"
        told.append(f"{whose[:1].upper()}{whose[1:]} may not have been said. I do not repeat {again}, to be safe.")
    return " ".join(told)


def left_unsaid_of(names: Sequence[str]) -> str:
    """Told to the channel where `left_unsaid` does not reach people any more."""
    return f"Not everything was said: some words that {people(names)} gave the avatar are missing."


def people(names: Sequence[str]) -> str:
    """Several people, of whom some are named."""
    more = len(names) - QUOTED
    shown = [*names[:QUOTED], *([count(more, "other")] if more > 0 else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _yours(texts: Sequence[str]) -> str:
    shown = [f"“{_quote(text)}”" for text in texts[:QUOTED]]
    if len(texts) == 1:
        return f"your message {shown[0]}"
    more = f" {and_more(len(texts) - QUOTED)}" if len(texts) > QUOTED else ""
    return f"{len(texts)} of your messages ({', '.join(shown)}{more})"


def _quote(text: str) -> str:
    # Backquotes stand for code on every platform, and would take the rest of the sentence with them.
    line = " ".join(text.replace("`", "'").split())
    return line if len(line) <= MAX_QUOTE_LENGTH else f"{line[: MAX_QUOTE_LENGTH - 1]}…"


def interrupted(waiting: int) -> str:
    """The answer to an interrupt."""
    if not waiting:
        return "Quiet. Nothing else is waiting."
    wait = "1 message waits" if waiting == 1 else f"{waiting} messages wait"
    return f"Quiet. {wait}: write something or `/avatar skip` to go on, `/avatar clear` to drop them."


def skipped(waiting: int) -> str:
    """The answer to a skip."""
    return (
        f"Skipped. {count(waiting, 'message').capitalize()} left." if waiting else "Skipped. Nothing else is waiting."
    )


def going_on(waiting: int) -> str:
    """The answer to a skip after an interrupt."""
    return f"Going on with {count(waiting, 'waiting message')}."


def cleared(number: int, *, sent_ahead: bool) -> str:
    """The answer to a clear; `sent_ahead` says that the avatar has the next message already."""
    text = f"Dropped {count(number, 'waiting message')}." if number else "Nothing was waiting."
    if sent_ahead:
        text += (
            " One more message has already been sent to the avatar; use `/avatar skip` when it comes if you do not "
            "want it."
        )
    return text


def queue_list(lines: Iterable[str], now: str | None) -> str:
    """The answer to `queue`."""
    numbered = [f"{place}. {line}" for place, line in enumerate(lines, 1)]
    if now is not None:
        numbered.insert(0, f"Now: {now}")
    return "\n".join(numbered) if numbered else "The queue is empty."


def mode_is(mode: Mode, *, for_next: bool = False) -> str:
    """The answer to `mode`."""
    return f"{'The next avatar here starts in' if for_next else 'The avatar is now in'} mode {MODES[mode]}."


def and_more(number: int) -> str:
    """The last line of a list that was cut."""
    return f"and {number} more"
