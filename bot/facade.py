"""What a chat adapter is given to work with: the core's front desk as one value."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from bot.core.events import SessionEvent

if TYPE_CHECKING:
    from bot.settings import Settings

from bot.commands.router import CommandRouter
from bot.core.ports import Clock
from bot.relay import Relay
from bot.sessions.registry import SessionRegistry
from bot.settings import Settings


@dataclass(frozen=True, slots=True)
class WebRoute:
    """A request the project's web server passes on: `handle` takes and returns aiohttp's request and response, which
    the core does not look into."""

    method: str
    path: str
    handle: Callable[[Any], Awaitable[Any]]


class ChatAdapter(AbstractAsyncContextManager["ChatAdapter"], Protocol):
    """One chat platform.

    Life: entered, then `run`, which is cancelled at the shutdown; `show` is called from the entering to the leaving, so
    also while the sessions close. Leaving delivers what is still to be shown, within 2 seconds, and disconnects.

    `run` is called again after a pause when it failed with an error nobody foresaw (`bot.platforms`): it connects anew,
    and what is still to be shown stays.
    """

    name: str
    routes: Sequence[WebRoute]

    @classmethod
    def missing_settings(cls, settings: "Settings") -> str | None:
        """What has to be set before this platform can be used, as a sentence; None where nothing is missing."""

    @property
    def unhealthy_reason(self) -> str | None:
        """Why messages or commands cannot come in right now, or not all of them, for `/readyz`; None while they can."""

    async def run(self) -> None:
        """Connect and serve until cancelled, or until there is nothing left to read.

        Raises `SettingsError` with one line where only the operator can help (a wrong token, a missing intent): the
        platform is left out then, and the program ends where there is no other. Everything that may pass is waited out
        here, never in a hot loop.
        """

    async def show(self, event: SessionEvent) -> None:
        """Show something that happened in one of this platform's channels. Must not raise; must not take long."""


@dataclass(frozen=True, slots=True)
class Bot:
    """`commands` answers commands, `relay` takes messages in, `sessions` knows which avatars are where.

    opening: lines for people who start the program, for an adapter that has a screen.
    stop: asks the whole program to shut down.
    """

    commands: CommandRouter
    relay: Relay
    sessions: SessionRegistry
    clock: Clock
    settings: Settings
    stop: Callable[[], None]
