"""What a chat adapter is given to work with: the core's front desk as one value."""

from collections.abc import Callable
from dataclasses import dataclass

from bot.commands.table import Commands
from bot.core.ports import Clock
from bot.relay import Relay
from bot.sessions.registry import Sessions
from bot.settings import Settings


@dataclass(frozen=True, slots=True)
class Desk:
    """`commands` answers commands, `relay` takes messages in, `sessions` knows which avatars are where.

    opening: lines for people who start the program, for an adapter that has a screen.
    stop: asks the whole program to shut down.
    """

    commands: Commands
    relay: Relay
    sessions: Sessions
    clock: Clock
    settings: Settings
    stop: Callable[[], None]
