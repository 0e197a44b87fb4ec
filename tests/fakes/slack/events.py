"""Events of the local Slack on their way to the app: who gets which, the envelope around it, and the attempts.

Slack sends an event to an app that subscribed to it, holds its scope and, for messages, is in the channel."""

import asyncio
import time
from typing import Protocol

from bot.core.tasks import TaskSet
from tests.fakes.slack.catalogue import EVENTS
from tests.fakes.slack.delivery import Attempt, Delivery, Timing
from tests.fakes.slack.records import Channel, Payload, Team, new_id
from tests.fakes.slack.state import SlackState

ALWAYS = ("app_uninstalled", "team_access_granted", "team_access_revoked", "tokens_revoked")
"""What an app hears although its tokens no longer work."""


class Transport(Protocol):
    """Socket Mode or HTTP."""

    async def send(self, delivery: Delivery, attempt: Attempt) -> bool:
        """One attempt. Returns whether another may follow; the delivery knows whether it was acknowledged."""


class Events(SlackState):
    """A world whose changes the app hears of."""

    socket: Transport
    http: Transport
    mode: str

    def __init__(self, *, timing: Timing, bot_name: str) -> None:
        super().__init__(timing=timing, bot_name=bot_name)
        self.owner = TaskSet()

    def emit(
        self,
        event: Payload,
        team: Team,
        subscription: str = "",
        *,
        channel: Channel | None = None,
        author: Team | None = None,
    ) -> list[Delivery]:
        """Send an event to the installation of `team`, if it is to have it. Returns the delivery, or an empty list.

        channel, author: where it happened and whose person did it, for the outer ids of a shared channel.
        """
        name = subscription or str(event["type"])
        scope = EVENTS[name]
        if channel is not None and channel.kind == "private" and scope == "channels:read":
            scope = "groups:read"
        if name not in self.subscriptions or (scope and scope not in team.scopes):
            return []
        if not team.installed and name not in ALWAYS:
            return []
        self.used_subscriptions.add(name)
        self.used_scopes |= {scope} - {""}
        return [self.start(Delivery("events_api", self.callback(event, team, channel, author), team, self.clock))]

    def start(self, delivery: Delivery) -> Delivery:
        """Begin the attempts."""
        self.deliveries.append(delivery)
        self.owner.create_task(self._attempt(delivery), name=f"slack delivery {delivery.type}")
        return delivery

    async def redeliver(self, delivery: Delivery) -> Delivery:
        """The same event, with the same event id, once more as a retry would bring it."""
        again = Delivery(delivery.type, delivery.payload, delivery.team, self.clock)
        again.attempts.append(Attempt(0, self.now(), failure="sent before"))
        self.start(again)
        await asyncio.sleep(0)
        return again

    async def _attempt(self, delivery: Delivery) -> None:
        pauses = self.timing.retries if delivery.type == "events_api" else ()
        for pause in (0.0, *pauses):
            if await self.clock.until(lambda: delivery.done, self.now() + pause):
                return
            attempt = Attempt(len(delivery.attempts), self.now())
            delivery.attempts.append(attempt)
            self.clock.ring()
            transport = self.http if self.mode == "http" else self.socket
            again = await transport.send(delivery, attempt)
            self.clock.ring()
            if not again:
                break
        delivery.lost = not delivery.done
        self.clock.ring()

    def callback(
        self, event: Payload, team: Team, channel: Channel | None = None, author: Team | None = None
    ) -> Payload:
        """The outer event. In a shared channel the outer ids are those of the author's workspace, for a mention those
        of the channel's host, and only `authorizations` tells the installation (bolt-python, tests of
        `request/internals.py`, has such payloads)."""
        host = channel.team if channel is not None else team
        outer = host if event["type"] == "app_mention" else author or team
        owner = team.enterprise if team.is_org_install else None
        return {
            "token": "verification-token-nobody-should-use",
            "team_id": outer.id,
            "enterprise_id": outer.enterprise.id if outer.enterprise else None,
            "context_team_id": host.id,
            "context_enterprise_id": host.enterprise.id if host.enterprise else None,
            "api_app_id": self.app_id,
            "event": event,
            "type": "event_callback",
            "event_id": new_id("Ev"),
            "event_time": int(time.time()),
            "authorizations": [
                {
                    "enterprise_id": team.enterprise.id if team.enterprise else None,
                    "team_id": None if owner else team.id,
                    "user_id": team.bot.id,
                    "is_bot": True,
                    "is_enterprise_install": owner is not None,
                }
            ],
            "is_ext_shared_channel": channel is not None and channel.is_ext_shared,
        }
