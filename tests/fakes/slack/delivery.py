"""One thing that Slack tells an app: an event or an interaction, with every attempt to deliver it.

An event that the app does not acknowledge within 3 s is sent again, up to three times, "nearly immediately", after
1 minute and after 5 minutes; commands and interactions are sent once, and the person sees that the app did not answer
(docs.slack.dev, Events API, slash commands)."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.fakes.slack.clock import Clock
from tests.fakes.slack.records import Ephemeral, Message, Payload, Team, View

if TYPE_CHECKING:
    from tests.fakes.slack.socket_mode import Connection


@dataclass(frozen=True)
class Timing:
    """Slack's own times, in seconds of the twin's clock.

    ack: until an unanswered delivery counts as failed. retries: the pauses before each further attempt of an event.
    trigger: the life of a trigger id. response_url: the life of a response URL. ping: between the websocket pings of
    Slack. refresh_grace: how long a socket stays open after a `disconnect` message.
    """

    ack: float = 3.0
    retries: tuple[float, ...] = (0.0, 60.0, 300.0)
    trigger: float = 3.0
    response_url: float = 1800.0
    ping: float = 5.0
    refresh_grace: float = 10.0


@dataclass
class Attempt:
    """One attempt: when (the twin's clock), over which socket, and why it failed."""

    number: int
    time: float
    connection: "Connection | None" = None
    failure: str = ""


@dataclass(eq=False)
class Delivery:
    """An event on its way. `type` is that of the Socket Mode envelope: events_api, slash_commands or interactive."""

    type: str
    payload: Payload
    team: Team
    clock: Clock
    attempts: list[Attempt] = field(default_factory=list)
    ack_payload: Payload | None = None
    ack_seconds: float | None = None
    """From sending the acknowledged attempt to the acknowledgement."""
    lost: bool = False
    """No attempt was acknowledged and there is none left."""

    @property
    def event(self) -> Payload:
        return dict(self.payload.get("event", {}))

    @property
    def event_id(self) -> str:
        return str(self.payload.get("event_id", ""))

    @property
    def done(self) -> bool:
        return self.ack_seconds is not None

    def acknowledge(self, payload: Payload | None, seconds: float) -> None:
        if self.ack_seconds is None:
            self.ack_payload, self.ack_seconds = payload, seconds
        self.clock.ring()

    async def acknowledged(self, timeout: float = 30) -> Payload | None:
        """Wait for the acknowledgement and return its payload. TimeoutError after `timeout` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self.clock.until(lambda: self.done, None)
        except TimeoutError:
            raise TimeoutError(f"{self.type} was not acknowledged after {len(self.attempts)} attempts") from None
        return self.ack_payload


@dataclass(eq=False)
class Interaction(Delivery):
    """A slash command, click, shortcut or view action, with the ways to answer it."""

    trigger_id: str = ""
    response_url: str = ""
    origin: Message | Ephemeral | None = None
    """The message that was clicked."""
    submitted: View | None = None
    """The modal that was submitted."""
    replies: list[Message | Ephemeral] = field(default_factory=list)
    """What the acknowledgement and the response URL made appear."""
