"""One thing that was looked at, and what came of it; and where adapters add theirs. No I/O.

A chat adapter or a provider adds checks through the entry-point group `avatar_relay.checks`: a function that takes what
it needs as an `CheckContext` and yields `Check`s. It changes nothing, has timeouts of its own, and raises nothing.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum

from bot.core.ports import ChatModel, Clock
from bot.settings import Settings

GROUP = "avatar_relay.checks"


class Outcome(StrEnum):
    """How bad it is. `skip` is for what is not configured, or cannot be seen from here."""

    PASS = "pass"  # noqa: S105 - not a password
    WARNING = "warning"
    FAILURE = "failure"
    SKIP = "skip"


@dataclass(frozen=True, slots=True)
class Check:
    """`subject` is what was looked at, `found` what it is like, `fix` what to do about it where something is wrong."""

    subject: str
    outcome: Outcome
    found: str
    fix: str = ""


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What a check may use. `channel`: the id of a channel to look at, where the operator named one. `chat_model`: the
    one of the settings, not entered yet, where there is one."""

    settings: Settings
    clock: Clock
    channel: str | None = None
    chat_model: AbstractAsyncContextManager[ChatModel] | None = None


Examine = Callable[[CheckContext], AsyncIterator[Check]]


def passed(subject: str, found: str) -> Check:
    """It is as it should be."""
    return Check(subject, Outcome.PASS, found)


def warned(subject: str, found: str, fix: str) -> Check:
    """It works, but not as well as it could, or not for long."""
    return Check(subject, Outcome.WARNING, found, fix)


def failed(subject: str, found: str, fix: str) -> Check:
    """It does not work."""
    return Check(subject, Outcome.FAILURE, found, fix)


def skipped(subject: str, why: str) -> Check:
    """It was not looked at."""
    return Check(subject, Outcome.SKIP, why)
