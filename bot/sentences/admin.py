"""What admins read of sessions, usage, limits and blocks, and what everybody reads where a limit stops them.

Part of `bot.sentences`, which is where the rest of the program takes it from.
"""

from decimal import Decimal

from bot.sentences.amounts import count, dollars

NO_PRICE = "without effect: the price of this avatar service is not known"
SPEECH_NOT_COUNTED = "What is said in a stream is counted when it closes; some are open now."
DOLLARS_NOT_COUNTED = f"LIMIT_CHANNEL_DOLLARS and LIMIT_WORKSPACE_DOLLARS are {NO_PRICE}; limit minutes instead"


def session_list(number: int, unconfirmed: int) -> str:
    """The head of the admin's list of sessions."""
    text = f"{count(number, 'open session').capitalize()}."
    if unconfirmed:
        text += f" {count(unconfirmed, 'stream').capitalize()} not confirmed as closed yet; I keep trying."
    return text


def cleaned_up(ended: int, unowned: int, *, exclusive_key: bool) -> str:
    """The answer to `cleanup`; `exclusive_key` says that streams nobody owns are closed (AVATAR_KEY_EXCLUSIVE)."""
    text = f"Closed {count(ended, 'session')}."
    if not unowned:
        return text
    text += f" The provider has {count(unowned, 'more open stream')} that no session here owns; "
    if exclusive_key:
        whom = "it" if unowned == 1 else "them"
        return f"{text}nobody else uses this key (AVATAR_KEY_EXCLUSIVE), so I close {whom} within half a minute."
    whose, whom = ("it may belong", "it") if unowned == 1 else ("they may belong", "them")
    return f"{text}{whose} to somebody else who uses the same key, so I left {whom} alone."


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
    return f"Today's limit is used up: {what}. It resets at midnight UTC."


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
    return "Avatar time today (UTC):" if any_used else "No avatar has been open today (UTC)."


def blocked(person: str, *, is_new: bool) -> str:
    """The answer to a block."""
    return f"{person} can no longer use the avatar." if is_new else f"{person} was blocked already."


def unblocked(person: str, *, was_blocked: bool) -> str:
    """The answer to the lifting of a block."""
    return f"{person} may use the avatar again." if was_blocked else f"{person} was not blocked."


def blocked_by_operator(person: str) -> str:
    """The answer to an admin who lifts a block that the operator has set."""
    return f"{person} is blocked in every workspace. Only the operator of this bot can lift that."


def not_a_person(text: str) -> str:
    """The answer to a block of something that is not a person."""
    return f"I do not know who `{text[:40]}` is. Mention the person, or give their id on this platform."


def stopping_all(number: int) -> str:
    """The answer to `stop-all`."""
    return f"Stopping {count(number, 'session')}." if number else "No session is open."


def no_such_session(session_id: str) -> str:
    """The answer to an admin who names a session that is not open."""
    return f"There is no open session {session_id[:16]}. `/avatar-admin sessions` lists them."
