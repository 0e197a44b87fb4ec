"""A command as a platform hands it in, and a line of the table that says what becomes of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from bot.commands.grammar import Command, Usage
from bot.core.models import Actor, Channel, Role
from bot.core.views import Reply


@dataclass(frozen=True, slots=True)
class Asked:
    """A command, where it was given, and by whom. `message_id` and `keys` as in `bot.relay.Message`.

    session_id: the session whose panel a button was pressed on; it must still be the one in the channel.
    """

    command: Command
    channel: Channel
    actor: Actor
    keys: tuple[str, ...] = ()
    message_id: str | None = None
    names: Mapping[str, str] | None = None
    session_id: str | None = None


Run = Callable[[Asked], Awaitable[Reply | None]]
"""What a command does."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the table."""

    usage: Usage
    role: Role
    run: Run
    relays: bool = False
    """It is a message for the queue, which looks after its keys itself."""
    may_repeat: bool = False
    """Done twice, minutes apart, because of a crash in between, it does no harm."""
