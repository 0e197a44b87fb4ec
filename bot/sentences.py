"""Every word the program says to people: one place, the same for the same thing on every platform.

What happened, and what to do next. No id without meaning, no vendor's jargon, never a secret. Functions here only make
text; who reads it is decided by the caller.
"""

import difflib
from collections.abc import Iterable
from datetime import timedelta
from decimal import ROUND_UP, Decimal

from bot.errors import (
    AnswerError,
    AuthenticationFailed,
    AvatarRelayError,
    ConcurrencyReached,
    Invalid,
    NotReady,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    StoreError,
    StreamGone,
    Sunset,
    Transient,
)
from bot.ids import new_reference
from bot.model import EndReason, Mode, Phase, Role, UtteranceState

MODES = {
    Mode.REPEAT: "repeat (it says what you write)",
    Mode.CHAT: "chat (it answers what you write)",
}

PHASES = {
    Phase.STARTING: "starting",
    Phase.LIVE: "live",
    Phase.WAITING_FOR_TEXT: "waiting for text: the next message wakes the avatar",
    Phase.WAITING_FOR_VIEWER: "waiting for the first viewer: open the watch link",
    Phase.ENDED: "ended",
}

UNNAMED_AVATAR = "the avatar"
NO_SESSION = "No avatar is in this channel. Start one with `/avatar start`."
CLOSING = "The avatar in this channel is just being closed. Try again in a few seconds."
NOTHING_SAID = "The avatar is not saying anything right now."
EMPTY_TEXT = "There is nothing in that message that can be spoken. Write some words."
CLOSING_PANEL = "leaving…"
CHANNEL_DENIED = "The operator wants no avatar in this channel. Try another one."
PANEL_OVER = "That panel belongs to an avatar that has left. Start one with `/avatar start`."
KEPT = "Good, the avatar stays."
NO_PRICE = "without effect: nobody knows the price of this avatar service"
STOPPING = "Stopping the avatar…"
STOPPED_BY_SIGNAL = "avatar-relay is shutting down"
NO_LINK = "There is no watch link yet. Try again in a few seconds."
WATCH = "Watch the avatar here:"
HELP = "What you can do with the avatar. Anything else you write to it is said, or answered in chat mode:"


def duration(seconds: float) -> str:
    """A length of time as people say it: `45 s`, `5 min`, `1 h 5 min`."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min"
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def dollars(amount: Decimal) -> str:
    """An amount of US dollars, rounded up to the cent: a price is never shown smaller than it is."""
    return f"${amount.quantize(Decimal('0.01'), rounding=ROUND_UP)}"


def count(number: int, thing: str) -> str:
    """`no messages`, `1 message`, `3 messages`."""
    if number == 1:
        return f"1 {thing}"
    return f"{number or 'no'} {thing}s"


# --- starting and stopping -------------------------------------------------------------------------------------------


def starting(price: Decimal | None, idle: float, longest: float) -> str:
    """The answer to a start that opens a session; durations in seconds."""
    cost = f" An open minute costs up to {dollars(price)}." if price else ""
    leaves = (
        f"It leaves by itself after {duration(idle)} without a message, and after {duration(longest)} at the latest."
    )
    return f"Starting the avatar…{cost} {leaves}"


def already_running(name: str) -> str:
    """The answer to a start where a session is open."""
    return f"An avatar is already in this channel, started by {name}. Everybody can watch and write to it."


def live(mode: Mode) -> str:
    """Told to the channel when the avatar can be watched."""
    does = "It says what you write here." if mode is Mode.REPEAT else "It answers what you write here."
    return f"The avatar is live. {does}"


def waiting_for_viewer() -> str:
    """Told to the channel when speech waits for somebody to watch."""
    return "The avatar waits for its first viewer: open the watch link, then it speaks."


def ended(reason: EndReason | None, lasted: timedelta, detail: str | None, cost: Decimal | None) -> str:
    """Told to the channel, and shown on the watch page, when a session is closed."""
    if reason in (None, EndReason.FAILED):
        return detail or "The avatar session failed. Bring the avatar back with `/avatar start`."
    why = {
        EndReason.STOPPED: "The avatar has left",
        EndReason.IDLE: "Nobody wrote for a while, so the avatar has left",
        EndReason.MAX_DURATION: "The avatar has stayed as long as it may and has left",
        EndReason.PROVIDER_ENDED: "The avatar service has ended the session",
        EndReason.ADMIN: "An admin has sent the avatar away",
        EndReason.SHUTDOWN: "The bot is shutting down, so the avatar has left",
    }[reason]
    if reason is EndReason.MAX_DURATION and detail:
        return f"{detail} The avatar has left after {duration(lasted.total_seconds())}."
    spent = f", for about {dollars(cost)}" if cost else ""
    return f"{why} after {duration(lasted.total_seconds())}{spent}. Bring it back with `/avatar start`."


def close_not_confirmed() -> str:
    """Told to the channel when the provider did not confirm a close."""
    return "The avatar service did not confirm that the stream is closed. I keep trying until it does."


def idle_warning(seconds: float) -> str:
    """Told to the channel before an idle session closes."""
    return f"Nobody has written for a while: the avatar leaves in {duration(seconds)} unless somebody writes."


def restarted() -> str:
    """Told to the channel when a start was cut short by a restart of the bot."""
    return "The bot was restarted while the avatar was starting. Start it again with `/avatar start`."


def chat_not_configured(setting: str | None = None) -> str:
    """The answer to a question, or to chat mode, where nothing can answer. `setting`: what would let this avatar."""
    also = f", or {setting}" if setting else ""
    return (
        "This avatar can repeat, but it has no mind to answer with yet. "
        f"Use `/avatar say`, or ask the operator to set CHAT_API_URL and CHAT_MODEL{also}."
    )


# --- speaking --------------------------------------------------------------------------------------------------------


def queued(position: int, *, live_yet: bool) -> str:
    """The answer to a message that was taken; `position` is how many are before it."""
    if not live_yet:
        return "Taken. The avatar says it as soon as it is there."
    if position == 0:
        return "The avatar says it now."
    return f"Taken. {count(position, 'message').capitalize()} before it."


def queue_full(limit: int) -> str:
    """The refusal of a message that found the queue full."""
    return (
        f"The avatar already has {count(limit, 'message')} waiting. Try again when it has said some, "
        "or use `/avatar skip` or `/avatar clear`."
    )


def too_long(length: int, limit: int) -> str:
    """The refusal of a message that is too long."""
    return f"That message has {length:,} characters; the avatar takes at most {limit:,} at once. Please shorten it."


def too_much(limit: int) -> str:
    """The answer to somebody who writes more characters within a minute than allowed."""
    return f"That is more than {limit} characters within a minute. Wait a little, then go on."


def too_fast(limit: int) -> str:
    """The refusal of a message from somebody who writes too much."""
    return f"That is a lot for one avatar: at most {count(limit, 'message')} a minute from each person. Try again soon."


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
        text += " The next message is with the avatar already; skip it when it comes."
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


def session_list(number: int, unconfirmed: int) -> str:
    """The head of the admin's list of sessions."""
    text = f"{count(number, 'open session').capitalize()}."
    if unconfirmed:
        text += f" {count(unconfirmed, 'stream').capitalize()} not confirmed as closed yet; I keep trying."
    return text


def cleaned_up(ended: int, unowned: int) -> str:
    """The answer to `cleanup`."""
    text = f"Closed {count(ended, 'session')}."
    if unowned:
        text += (
            f" The provider has {count(unowned, 'more open stream')} that no session here owns; "
            "they may belong to somebody else who uses the same key, so I left them alone."
        )
    return text


# --- limits ----------------------------------------------------------------------------------------------------------


def _minutes(minutes: float) -> str:
    return f"{minutes:g} minute" if minutes == 1 else f"{minutes:g} minutes"


def minutes_here(minutes: float) -> str:
    """A limit in words."""
    return f"{_minutes(minutes)} a day in this channel"


def minutes_in_workspace(minutes: float) -> str:
    """A limit in words."""
    return f"{_minutes(minutes)} a day in this workspace"


def dollars_here(amount: Decimal) -> str:
    """A limit in words."""
    return f"{dollars(amount)} a day in this channel"


def dollars_in_workspace(amount: Decimal) -> str:
    """A limit in words."""
    return f"{dollars(amount)} a day in this workspace"


def too_many_sessions(limit: int) -> str:
    """The answer to a start where the workspace has as many sessions as it may."""
    there, one = ("1 avatar is", "it") if limit == 1 else (f"{limit} avatars are", "one")
    return (
        f"{there} in this workspace already, and that is the limit. "
        f"Stop {one} first with `/avatar stop` in its channel."
    )


def limit_reached(what: str) -> str:
    """The answer to a start, and the end of a session, where a day's limit is used up."""
    return f"Today's limit is used up: {what}. It begins anew at midnight UTC."


def limit_is_near(what: str, used: float) -> str:
    """Told to the channel once, when most of a day's limit is used."""
    return f"{round(used * 100)} % of today's limit is used: {what}. When it is used up, the avatar leaves."


def sessions_at_once(limit: int) -> str:
    """A limit in words."""
    return f"{count(limit, 'session')} at once in this workspace"


def limits_list(any_set: bool) -> str:
    """The head of the admin's list of limits."""
    return "Limits, and how much of them is used here today:" if any_set else "No limits are set."


def usage_list(any_used: bool) -> str:
    """The head of the admin's list of what was used today."""
    return "Open avatar time today (UTC):" if any_used else "No avatar has been open today (UTC)."


def used(seconds: float, cost: Decimal | None) -> str:
    """How much was used."""
    return duration(seconds) if cost is None else f"{duration(seconds)}, about {dollars(cost)}"


def blocked(person: str, *, is_new: bool) -> str:
    """The answer to a block."""
    return f"{person} can do nothing with the avatar any more." if is_new else f"{person} was blocked already."


def unblocked(person: str, *, was_blocked: bool) -> str:
    """The answer to the lifting of a block."""
    return f"{person} may use the avatar again." if was_blocked else f"{person} was not blocked."


def blocked_by_operator(person: str) -> str:
    """The answer to an admin who lifts a block that the operator has set."""
    return f"{person} is blocked in every workspace. Only the operator of this bot can lift that."


def not_a_person(text: str) -> str:
    """The answer to a block of something that is no person."""
    return f"I do not know who `{text[:40]}` is. Mention the person, or give their id on this platform."


def stopping_all(number: int) -> str:
    """The answer to `stop-all`."""
    return f"Stopping {count(number, 'session')}." if number else "No session is open."


def idle_is(seconds: float, *, is_changed: bool) -> str:
    """The answer to `idle`."""
    return f"The avatar {'now ' if is_changed else ''}leaves this channel after {duration(seconds)} without a message."


def idle_out_of_bounds(least: float, most: float) -> str:
    """The answer to an idle time that cannot be."""
    return f"Give a number of seconds from {least:g} to {most:g}."


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
        return f"I do not know `{word}`. Did you mean `{close[0]}`?"
    return f"I do not know `{word}`. There is: {', '.join(known)}. `/help` explains them."


def needs_argument(command: str, argument: str) -> str:
    """The answer to a command without its argument."""
    return f"`{command}` needs {argument}."


def takes_nothing(usage: str, rest: str) -> str:
    """The answer to a command with something behind it that has no meaning there."""
    return f"I do not understand `{rest}` there. It is written `{usage}`."


def unknown_option(name: str, known: Iterable[str]) -> str:
    """The answer to `name=value` with an unknown name."""
    return f"There is no `{name}=`. There is: {', '.join(f'`{option}=`' for option in known)}."


def one_of(name: str, value: str, choices: Iterable[str]) -> str:
    """The answer to a choice that does not exist."""
    return f"`{value}` is no {name}. There is: {', '.join(choices)}."


def no_such_session(session_id: str) -> str:
    """The answer to an admin who names a session that is not open."""
    return f"There is no open session {session_id[:16]}. `/avatar-admin sessions` lists them."


# --- failures --------------------------------------------------------------------------------------------------------


def failure(error: AvatarRelayError) -> tuple[str, str]:
    """What to tell people of a failure, and the reference that the caller must log with the error (rule 10)."""
    reference = new_reference()
    return f"{_what_happened(error)} (ref {reference})", reference


def not_said(state: UtteranceState, error: ProviderError) -> tuple[str, str]:
    """What to tell of a message that the avatar did not say, or may not have said."""
    text, reference = failure(error)
    if state is UtteranceState.UNKNOWN:
        why = "The avatar service did not answer in time, so one message may not have been said."
        return f"{why} I do not repeat it, to be safe. (ref {reference})", reference
    return f"One message could not be said. {text}", reference


def interrupt_failed(error: ProviderError) -> tuple[str, str]:
    """What to tell when the provider did not take an interrupt."""
    text, reference = failure(error)
    return f"The avatar could not be interrupted. {text}", reference


def _what_happened(error: AvatarRelayError) -> str:
    match error:
        case AuthenticationFailed():
            return "The avatar service does not accept the bot's key. Ask the operator to check it."
        case QuotaExhausted():
            return "The avatar account has no credit left. Ask the operator to top it up."
        case ConcurrencyReached():
            return (
                "As many avatars as the account allows are open already. "
                "Stop one with `/avatar stop` in its channel, or try again later."
            )
        case RateLimited(retry_after=seconds):
            return f"The avatar service asks us to slow down. Try again in {duration(max(1.0, seconds))}."
        case NotReady():
            return "The avatar is not ready yet. Try again in a few seconds."
        case StreamGone():
            return "The avatar service has closed the stream. The next message opens a new one."
        case Sunset():
            return (
                "The avatar service has switched this API off for good. The operator can set AVATAR_PROVIDER to "
                "heygen-realtime, or to simulator."
            )
        case Invalid(parameter=parameter):
            what = f" ({parameter})" if parameter else ""
            return f"The avatar service does not accept a value{what}. Check the avatar, the voice and the text."
        case Transient(may_have_taken_effect=True):
            return "The avatar service did not answer in time. If a stream was opened, it closes by itself. Try again."
        case Transient():
            return "The avatar service cannot be reached right now. Try again in a minute."
        case AnswerError():
            return "The avatar could not think of an answer. Try again, or use `/avatar say`."
        case StoreError():
            return "The bot cannot write to its database, so that was not taken. Ask the operator to look at the log."
        case _:
            return "Something went wrong. Try again, and tell the operator if it stays."
