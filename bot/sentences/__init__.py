"""Every word the program says to people: one place, the same for the same thing on every platform.

What happened, and what to do next. No id without meaning, no vendor's jargon, never a secret. Functions here only make
text; who reads it is decided by the caller. The words about messages, commands, admins, voice channels and failures
are written in modules of their own.
"""
# `x as x` hands a name on, by which mypy knows it for one of this module; isort would make a statement of each.
# ruff: noqa: I001

from datetime import timedelta
from decimal import Decimal

from bot.sentences.amounts import count as count, dollars as dollars, duration as duration, used as used
from bot.core.billing import StreamSeconds
from bot.core.models import EndReason, Mode
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
from bot.sentences.commands import (
    NO_LANGUAGE as NO_LANGUAGE,
    NO_SPEED as NO_SPEED,
    needs_argument as needs_argument,
    not_a_language as not_a_language,
    not_allowed as not_allowed,
    one_of as one_of,
    speed_out_of_bounds as speed_out_of_bounds,
    takes_nothing as takes_nothing,
    unknown_command as unknown_command,
    unknown_option as unknown_option,
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
from bot.sentences.speech import (
    came_too_late as came_too_late,
    MAX_QUOTE_LENGTH as MAX_QUOTE_LENGTH,
    MODES as MODES,
    QUEUED_FOR_VIEWER as QUEUED_FOR_VIEWER,
    QUOTED as QUOTED,
    WAKES_FOR_VIEWER as WAKES_FOR_VIEWER,
    and_more as and_more,
    cleared as cleared,
    dropped_unsaid as dropped_unsaid,
    going_on as going_on,
    interrupted as interrupted,
    is_awake as is_awake,
    left_unsaid as left_unsaid,
    left_unsaid_of as left_unsaid_of,
    mode_is as mode_is,
    people as people,
    queue_full as queue_full,
    queue_list as queue_list,
    queued as queued,
    skipped as skipped,
    too_fast as too_fast,
    too_long as too_long,
    too_much as too_much,
    too_much_waits as too_much_waits,
    waited_in_vain as waited_in_vain,
    waking as waking,
)
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
