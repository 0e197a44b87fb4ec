"""One of several processes that share a PostgreSQL database, in this one: the real membership, claims, directory, bus,
parcels and fences, the real core, store and client of the provider, behind a gate (`tests.harness.process_gate`).

Put together as `bot.app` does it, and what Slack sends comes in through its real routing; only bolt, which would
read it, and what would be told to Slack is a list. Notifications go through memory, where they arrive at once.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from typing import Any
from unittest.mock import patch

from pydantic import SecretStr
from slack_bolt.response import BoltResponse

from adapters.avatars.heygen_realtime.provider import HeyGenRealtime
from adapters.avatars.heygen_streaming.provider import HeyGenStreaming
from adapters.chat.slack.app import App, failed
from adapters.chat.slack.events import RETRY_HEADER
from adapters.chat.slack.outbox import Outbox, ReplyTarget
from adapters.chat.slack.routing import Routing, payload_of
from bot.cluster import joining
from bot.cluster.bus import PostgresBus
from bot.cluster.claims import Recovery
from bot.cluster.fenced import fence
from bot.cluster.membership import Membership
from bot.commands.parser import AVATAR, CommandContext, parse
from bot.core.errors import OwnershipLost, Refused, StoreError
from bot.core.events import Delivery, LeftUnsaid, SessionEvent, UtteranceChanged
from bot.core.models import Channel
from bot.core.policy import SessionPolicy
from bot.core.tasks import TaskSet, cancel_and_wait
from bot.core.views import Reply
from bot.relay import Message
from bot.settings import RelayMode, Shutdown
from bot.shutdown import end_sessions
from bot.store.store import Store
from bot.store.url import parse_url
from bot.supervision import Supervised
from bot.wiring import Core, CoreOptions, build_core
from tests.builders import an_actor
from tests.fakes.notifications import NotifyingServer
from tests.harness.bot import KEY, Links
from tests.harness.clock import ManualClock, ProcessClock
from tests.harness.process_gate import GuardedRows, ProcessGate

PROVIDERS: dict[str, type[HeyGenRealtime | HeyGenStreaming]] = {
    "heygen-realtime": HeyGenRealtime,
    "heygen-streaming": HeyGenStreaming,
}
"""Those to which all that is said goes by HTTP."""

TEAM = "T1"
ANA = an_actor("Ana", platform="slack", id="U1")
SECRET = SecretStr("0123456789abcdef" * 2)

GRID = 0.05
"""Seconds: when timers of a process ring."""

USER_RATE = 1000
"""Messages a minute: a limit that nobody reaches, so that they are counted over all processes."""


class Heard:
    """What people were told. refused: sentences, by the text they were told of. answers: to commands."""

    def __init__(self) -> None:
        self.accepted: list[str] = []
        self.refused: dict[str, list[str]] = {}
        self.answers: list[str] = []
        self.events: list[SessionEvent] = []


class Member:
    """One process, at first not running: `boot` starts it, and again after its end."""

    def __init__(self, name: str, url: str, host: ManualClock, server: NotifyingServer, heard: Heard) -> None:
        self.name = name
        self.is_up = False
        self.gate: ProcessGate
        self.membership: Membership
        self.core: Core
        self.heard = heard
        self._url, self._host, self._server = url, host, server
        self._stack = AsyncExitStack()
        self._ending: asyncio.Task[None] | None = None
        self.on_lost: Callable[[], None] = lambda: None
        """Called when another one has ended it, so that it has to `exit`."""

    # --- its life ----------------------------------------------------------------------------------------------------

    async def boot(self, provider: str, provider_url: str, policy: SessionPolicy) -> None:
        """Start it as `bot.app` does, with one of `PROVIDERS` at its address."""
        self.clock = ProcessClock(self._host, grid=GRID)
        self.gate = ProcessGate(self.clock)
        self._stack, self._ending = AsyncExitStack(), None
        enter, address = self._stack.enter_async_context, parse_url(self._url)
        self.membership = await enter(Membership(self._url, self.clock, GuardedRows(address, self.gate), secret=SECRET))
        store = await enter(
            await Store.open(self._url, self.clock, member=self.membership.member, wrap_begin=self.gate.wrap_begin)
        )
        self.gate.guard_reads(store)
        with patch.object(joining, "PostgresBus", partial(PostgresBus, wire=partial(self.gate.wire, self._server))):
            others = await enter(joining.joined(address, self.membership, store, SECRET, self.clock))
        client: HeyGenRealtime | HeyGenStreaming = await enter(PROVIDERS[provider](KEY, provider_url, self.clock))
        fence(client, self.membership.may_act)
        self.gate.guard_requests(client._connection, self.membership.process.id)
        options = CoreOptions(policy, user_rate=USER_RATE)
        self.core = await enter(build_core(client, None, store, Links(), self.clock, options, (), others.cluster))
        self.routing = Routing(_Front(self), others.cluster, _Told(self.heard), self.clock, RelayMode.ALL)
        self._stack.push_async_callback(self.routing.close)
        self._subscription = self._stack.enter_context(self.core.services.event_bus.subscribe(backlog=100_000))
        others.claims.sessions, others.claims.recover = self.core.sessions, self.core.recovery.recover
        others.claims.on_others, others.claims.on_recovery = _nothing, _look_away
        await others.claims.claim()
        parts = [
            Supervised("sweeper", self.core.jobs.run, self.clock),
            Supervised("membership", self._hold, self.clock),
            *others.parts,
        ]
        self._parts = [asyncio.create_task(part.run(), name=f"{self.name}: {part.part}") for part in parts]
        self._parts.append(asyncio.create_task(self._follow(), name=f"{self.name}: follow"))
        self._incoming = TaskSet()
        self.routing.begin()
        self.is_up = True

    async def _hold(self) -> None:
        try:
            await self.membership.hold()
        except OwnershipLost:
            self.on_lost()

    async def _follow(self) -> None:
        async for event in self._subscription:
            # What is told by one that is dead nobody hears.
            if not self.gate.is_dead:
                self.heard.events.append(event)
                if isinstance(event, UtteranceChanged | LeftUnsaid) and event.delivery is not None:
                    event.delivery.release()

    async def leave(self) -> None:
        """Hand over what it has and end, as on a signal with `SHUTDOWN=keep`; takes seconds of its clock."""
        sessions = self.core.sessions
        sessions.is_leaving = True
        await self.membership.announce_leaving()
        await self._incoming.close()
        for part in self._parts[:-1]:
            await cancel_and_wait(part)
        await end_sessions(sessions, self.membership, Shutdown.KEEP, self.clock, lambda _: None)
        await self._take_down()

    async def exit(self) -> None:
        """End because another process has ended this one: everything is left to that."""
        await self._take_down()

    async def kill(self) -> None:
        """End in this instant."""
        self.gate.die()
        ending = asyncio.create_task(self._take_down(), name=f"{self.name} is killed")
        while not ending.done():
            self.gate.release()
            await asyncio.sleep(0)
        await ending

    async def _take_down(self) -> None:
        self.is_up = False
        if self._ending is None:
            self._ending = asyncio.create_task(self._close(), name=f"take {self.name} down")
        await asyncio.shield(self._ending)

    async def _close(self) -> None:
        await self._incoming.close()
        self.routing.end()
        await self.core.sessions.abandon_all()
        # What it has told until now was told.
        self._subscription.close()
        await asyncio.wait(self._parts[-1:])
        for part in self._parts:
            await cancel_and_wait(part)
        await self._stack.aclose()

    # --- what comes in -----------------------------------------------------------------------------------------------

    def hear(self, payload: dict[str, Any], *, attempt: int = 0) -> "asyncio.Future[int | None]":
        """Have Slack send it something. The future has the status of the answer; None where it ends before."""
        status: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

        async def answer() -> None:
            try:
                await self.gate.passage(StoreError("the process is dead"))
                answered = await self.routing.answer(payload, {RETRY_HEADER: str(attempt)}, mode="socket_mode")
                await self.gate.passage(StoreError("the process is dead"))
                status.set_result(answered.status)
            except StoreError:
                pass
            finally:
                if not status.done():
                    status.set_result(None)

        self._incoming.create_task(answer(), name=f"{self.name} hears")
        return status


class _Front(App):
    """In bolt's place: hands what Slack sends to the core."""

    def __init__(self, member: Member) -> None:
        self._member = member

    async def answer(
        self,
        body: str | dict[str, Any],
        headers: Mapping[str, str],
        *,
        mode: str = "http",
        late_by: float | None = None,
    ) -> BoltResponse:
        payload = dict(payload_of(body))
        try:
            if "event" in payload:
                await self._take_message(payload["event"])
            else:
                await self._run(payload)
        except Exception as error:  # noqa: BLE001 - as bolt's own
            return await failed(error, payload)
        return BoltResponse(status=200, body="{}")

    async def _take_message(self, event: Mapping[str, str]) -> None:
        channel, text, heard = Channel("slack", TEAM, event["channel"]), event["text"], self._member.heard
        message = Message(channel, ANA, text, keys=(f"slack {event['ts']}",), message_id=event["ts"])
        try:
            receipt = await self._member.core.relay.receive(message)
        except Refused as refusal:
            heard.refused.setdefault(text, []).append(str(refusal))
        else:
            if receipt.utterance is not None:
                heard.accepted.append(text)

    async def _run(self, payload: Mapping[str, str]) -> None:
        commands, heard = self._member.core.commands, self._member.heard
        command = parse(payload["text"], commands.usages, AVATAR)
        channel = Channel("slack", TEAM, payload["channel_id"])
        reply = await commands.run(CommandContext(command, channel, ANA, (payload["trigger_id"],)))
        if reply is not None:
            heard.answers.append(reply.text)


class _Told(Outbox):
    """In the place of what goes to Slack."""

    def __init__(self, heard: Heard) -> None:
        self._heard = heard

    def reply_ephemeral(self, target: ReplyTarget, reply: Reply, delivery: Delivery | None = None) -> None:
        self._heard.answers.append(reply.text)


async def _nothing() -> None:
    pass


def _look_away(_: Recovery) -> None:
    pass
