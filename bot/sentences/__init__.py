"""Every word the program says to people: one place, the same for the same thing on every platform.

What happened, and what to do next. No id without meaning, no vendor's jargon, never a secret. Functions here only make
text; who reads it is decided by the caller. The words for admins and for failures are written in modules of their own.
"""
# `x as x` hands a name on, by which mypy knows it for one of this module; isort would make a statement of each.
# ruff: noqa: I001

import difflib
from collections.abc import Iterable, Sequence
from datetime import timedelta
from decimal import Decimal

from bot.sentences.amounts import count as count, dollars as dollars, duration as duration, used as used
from bot.core.billing import StreamSeconds
from bot.core.models import EndReason, Mode, Role
from bot.core.views import Phase, SessionView
from bot.sentences.admin import (
    DOLLARS_NOT_COUNTED as DOLLARS_NOT_COUNTED,
    NO_PRICE as NO_PRICE,
    SPEECH_NOT_COUNTED as SPEECH_NOT_COUNTED,
    blocked as blocked,
    blocked_by_operator as blocked_by_operator,
    cleaned_up as cleaned_up,
    dollars_here as dollars_here,
    dollars_in_workspace as dollars_in_workspace,
    limit_is_near as limit_is_near,
    limit_reached as limit_reached,
    limits_list as limits_list,
    minutes_here as minutes_here,
    minutes_in_workspace as minutes_in_workspace,
    no_such_session as no_such_session,
    not_a_person as not_a_person,
    session_list as session_list,
    sessions_at_once as sessions_at_once,
    stopping_all as stopping_all,
    too_many_sessions as too_many_sessions,
    unblocked as unblocked,
    usage_list as usage_list,
)
from bot.sentences.failures import (
    answer_broke_off as answer_broke_off,
    failure as failure,
    interrupt_failed as interrupt_failed,
    session_failed as session_failed,
    waits_for_stream as waits_for_stream,
    not_said as not_said,
)
from bot.sentences.network import network as network, network_fix as network_fix
from bot.sentences.voice import (
    LEAVING_PLACE as LEAVING_PLACE,
    NO_DECODER as NO_DECODER,
    NO_OUTLETS as NO_OUTLETS,
    NO_PLACE as NO_PLACE,
    NO_SOUND as NO_SOUND,
    NOT_HEARD as NOT_HEARD,
    heard_already as heard_already,
    joining as joining,
    left_alone as left_alone,
    no_such_place as no_such_place,
    place_closed as place_closed,
    place_forbidden as place_forbidden,
    place_full as place_full,
    place_taken as place_taken,
)

MODES = {
    Mode.REPEAT: "repeat (it says what you write)",
    Mode.CHAT: "chat (it answers what you write)",
}

PHASES = {
    Phase.STARTING: "starting",
    Phase.LIVE: "live",
    Phase.WAITING_FOR_TEXT: "asleep; the next message wakes it",
    Phase.WAITING_FOR_VIEWER: "waiting for a viewer: open the watch link",
    Phase.ENDED: "ended",
}

WAKING = "waking up"
ASLEEP_UNWATCHED = "asleep; open the watch link and write to it"
REFUSED = "asleep; the avatar service opens no stream now, I keep trying"

UNNAMED_AVATAR = "the avatar"
NO_SESSION = "No avatar is in this channel. Start one with `/avatar start`."
RESTARTING = "The bot is just being restarted. Try again in ten seconds."
TAKING_OVER = "Another process of the bot is taking over the avatar in this channel. Try again in ten seconds."
MAY_BE_DONE = (
    "The process of the bot that has the avatar in this channel has not answered, so that may be done or not. Look at "
    "the panel or at `/avatar status`; if nothing has changed, do it again in ten seconds."
)
CLOSING = "The avatar is just leaving this channel. Try again in a few seconds."
NOTHING_SAID = "The avatar is not saying anything right now."
EMPTY_TEXT = "There is nothing in that message that can be spoken. Write some words."
CLOSING_PANEL = "leaving…"
CHANNEL_DENIED = "Avatars are not allowed in this channel. Try another one."
PANEL_OVER = "That avatar has already left. Start one with `/avatar start`."
KEPT = "Good, the avatar stays."
NOBODY_WATCHED = "Nobody watched or wrote for a while, so the avatar has left"
STOPPING = "Stopping the avatar…"
NO_LINK = "There is no watch link yet. Try again in a few seconds."
WATCH = "Watch the avatar here:"
QUOTED = 3
"""Texts, or names of people, that are told; of more only how many."""
MAX_QUOTE_LENGTH = 60
"""Characters of a text that are repeated to its author."""
HELP = "What you can do with the avatar. Anything else you write to it is said, or answered in chat mode:"


def state(view: SessionView) -> str:
    """How a session is doing, in the words of `PHASES`; of a waking avatar, and of one that is asleep, with the seconds
    that waking usually takes."""
    if view.phase is Phase.WAITING_FOR_TEXT and view.is_refused:
        return REFUSED
    if view.phase is Phase.WAITING_FOR_TEXT and view.needs_viewer:
        return ASLEEP_UNWATCHED
    words = WAKING if view.is_waking else PHASES[view.phase]
    return words if view.wakes_in is None else f"{words} (about {view.wakes_in} s)"


# --- starting and stopping -------------------------------------------------------------------------------------------


def starting(price: Decimal | None, idle: float, longest: float, *, needs_viewer: bool = False) -> str:
    """The answer to a start that opens a session; durations in seconds. `needs_viewer`: it opens no stream before
    somebody watches."""
    cost = f" An open minute costs up to {dollars(price)}." if price else ""
    if needs_viewer:
        each = f", then up to {dollars(price)} a minute" if price else ""
        cost = f" It costs nothing until somebody watches and there is something to say{each}."
    leaves = (
        f"It leaves by itself after {duration(idle)} without a message, and after {duration(longest)} at the latest."
    )
    return f"Starting the avatar…{cost} {leaves}"


def already_running(name: str) -> str:
    """The answer to a start where a session is open."""
    return f"An avatar is already in this channel, started by {name}. Everybody can watch and write to it."


def not_sure_of_channel(platform: str) -> str:
    """The refusal of a start where the platform (`Discord`) does not say whether the avatar could be seen there."""
    return f"{platform} does not tell me whether I can write in this channel, so I opened nothing. Try again soon."


def live(mode: Mode, *, is_asleep: bool = False) -> str:
    """Told to the channel when the avatar takes messages; `is_asleep`: it opens its stream for the first one."""
    does = "says" if mode is Mode.REPEAT else "answers"
    if is_asleep:
        return f"The avatar is here. Open the link and write something: it wakes up and {does} it."
    return f"The avatar is live. It {does} what you write here."


def waiting_for_viewer() -> str:
    """Told to the channel when speech waits for somebody to watch."""
    return "The avatar is waiting for a viewer. Open the watch link, and it says what you wrote."


def ended(
    reason: EndReason | None, lasted: timedelta, detail: str | None, seconds: StreamSeconds, cost: Decimal | None
) -> str:
    """Told to the channel, and shown on the watch page, when a session is closed. `seconds`: what its streams have
    used, for so many dollars; not told of a session that never had one."""
    if reason in (None, EndReason.FAILED):
        return detail or "The avatar session failed. Bring the avatar back with `/avatar start`."
    why = (detail if reason is EndReason.IDLE else None) or {
        EndReason.STOPPED: "The avatar has left",
        EndReason.IDLE: "Nobody wrote for a while, so the avatar has left",
        EndReason.MAX_DURATION: "The avatar has reached its time limit and left",
        EndReason.PROVIDER_ENDED: "The avatar service has ended the session",
        EndReason.ADMIN: "An admin has sent the avatar away",
        EndReason.SHUTDOWN: "The bot is shutting down, so the avatar has left",
    }[reason]
    stay = duration(lasted.total_seconds())
    spent = f" {used(seconds, cost).capitalize()}." if seconds.open else ""
    if reason is EndReason.MAX_DURATION and detail:
        return f"{detail} The avatar has left after {stay}.{spent}"
    return f"{why} after {stay}.{spent} Bring it back with `/avatar start`."


def close_not_confirmed() -> str:
    """Told to the channel when the provider did not confirm a close."""
    return "The avatar service did not confirm that the stream is closed. I keep trying until it does."


def idle_warning(seconds: float, *, is_unwatched: bool) -> str:
    """Told to the channel before an idle session closes; `is_unwatched`: it would stay if somebody watched."""
    if is_unwatched:
        return f"Nobody is watching or writing: the avatar leaves in {duration(seconds)} unless somebody does."
    return f"Nobody has written for a while: the avatar leaves in {duration(seconds)} unless somebody writes."


def restarted() -> str:
    """Told to the channel when a start was cut short by a restart of the bot."""
    return "The bot was restarted while the avatar was starting. Start it again with `/avatar start`."


def chat_not_configured(setting: str | None = None) -> str:
    """The answer to a question, or to chat mode, where nothing can answer. `setting`: what would let this avatar."""
    also = f", or {setting}" if setting else ""
    return (
        "This avatar can only repeat what you write; answering is not set up yet. "
        f"Use `/avatar say`, or ask the operator to set CHAT_API_URL and CHAT_MODEL{also}."
    )


def idle_is(seconds: float, *, is_changed: bool, is_own: bool) -> str:
    """The answer to `idle`; `is_own` says that the channel has chosen it, and does not follow the operator."""
    now, whose = "now " if is_changed else "", "chosen here" if is_own else "as the operator has set it"
    return f"The avatar {now}leaves this channel after {duration(seconds)} without a message, {whose}."


def idle_out_of_bounds(least: float, most: float, word: str) -> str:
    """The answer to an idle time that cannot be; `word` goes back to the operator's."""
    return f"Give a number of seconds from {least:g} to {most:g}, or `{word}` for what the operator has set."


# --- speaking --------------------------------------------------------------------------------------------------------


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
        f"Send {again} again when somebody watches."
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


# --- refusals --------------------------------------------------------------------------------------------------------


def not_allowed(role: Role) -> str:
    """The refusal of somebody who may not."""
    return {
        Role.ADMIN: "Only admins of this bot can do that. The operator names them in ADMIN_USERS.",
        Role.HOST: "You may not start or stop the avatar here. Ask a host of this channel.",
        Role.SPEAKER: "You may not write to the avatar here. Ask a host of this channel.",
        Role.VIEWER: "You are blocked from using the avatar here.",
        Role.BLOCKED: "You are blocked from using the avatar here.",
    }[role]


def unknown_command(word: str, known: Iterable[str]) -> str:
    """The answer to a verb that does not exist; names one that is close, else all."""
    known = list(known)
    if close := difflib.get_close_matches(word, known, n=1):
        return f"Unknown command `{word}`. Did you mean `{close[0]}`?"
    return f"Unknown command `{word}`. Available: {', '.join(known)}. `/help` explains them."


def needs_argument(command: str, argument: str) -> str:
    """The answer to a command without its argument."""
    return f"`{command}` needs {argument}."


def takes_nothing(usage: str, rest: str) -> str:
    """The answer to a command with something behind it that has no meaning there."""
    return f"I do not understand `{rest}` there. Usage: `{usage}`."


def unknown_option(name: str, known: Iterable[str]) -> str:
    """The answer to `name=value` with an unknown name."""
    return f"Unknown option `{name}=`. Available: {', '.join(f'`{option}=`' for option in known)}."


def one_of(name: str, value: str, choices: Iterable[str]) -> str:
    """The answer to a choice that does not exist."""
    return f"`{value}` is not a valid {name}. Choose one of: {', '.join(choices)}."


NO_SPEED = "This avatar service has one speed of speech. Start it without `speed=`."
NO_LANGUAGE = "With this avatar service the voice decides the language. Start it without `language=`."


def speed_out_of_bounds(value: str, slowest: float, fastest: float) -> str:
    """The answer to a speed that the avatar service does not have."""
    return f"`{value}` is not a speed. Give a number from {slowest:g} (slow) to {fastest:g} (fast); 1 is normal."


def not_a_language(value: str) -> str:
    """The answer to a language that is written in no known way."""
    return f"`{value}` is not a language code. Give one such as `en`, `de` or `pt-BR`."
