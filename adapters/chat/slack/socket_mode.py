"""Socket Mode: several websockets to Slack, each watched, and replaced before it is missed.

Knows envelopes, not what is in them. slack_sdk's own client is not used, for three things it does otherwise: it closes
the old socket before it opens the next, so that commands sent in between reach nobody (Slack does not repeat those); it
waits for a dead socket in real time, out of reach of our clock; and it goes on forever with a wrong token."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import aiohttp
import structlog
from slack_sdk.web.async_client import AsyncWebClient

from adapters.chat.slack.client import SlackError, SlackUnavailable, call
from adapters.chat.slack.strings import app_token_trouble
from adapters.network import told
from bot.core.backoff import Backoff
from bot.core.errors import SettingsError
from bot.core.ports import Clock
from bot.core.tasks import TaskSet

log = structlog.get_logger(__name__)

PING_EVERY = 6.0
"""Seconds between our pings."""

LOST_PINGS = 3
"""After how many of our pings in a row without a sign of life a socket is given up: within 30 s. Slack pings every few
seconds itself. Seconds alone would not tell a silent socket from a program that the machine did not let run."""

SUSPECT = 10.0
"""Seconds without a sign of life, longer than a pause between pings, after which messages may not be coming in."""

STABLE = 10.0
"""Seconds that a socket must have lasted for the next one to be opened at once."""

BACKOFF = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before each further attempt to connect; the last one again and again."""

CONNECTING = 10.0
"""Seconds of real time a connection may take to come about."""

TOO_MANY = "too_many_websockets"
"""Why Slack closes the eleventh socket of an app at once, whichever processes have the others."""

_SPOKEN = {aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG}

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any] | None]]
"""Handles an envelope and returns what to acknowledge it with beside its id; None: do not acknowledge it."""


class SocketModeConnections:
    """As many open sockets as wished, for as long as `run` runs."""

    def __init__(
        self, client: AsyncWebClient, session: aiohttp.ClientSession, clock: Clock, handle: Handler, *, number: int
    ) -> None:
        """`client` carries the app-level token; `number` is how many sockets to hold."""
        self._client = client
        self._session = session
        self._clock = clock
        self._handle = handle
        self._number = number
        self._open: dict[int, SocketModeConnection] = {}
        self._acknowledging = TaskSet()

    @property
    def unhealthy_reason(self) -> str | None:
        """Why messages may not come in right now; None while every socket is alive: Slack spreads over all of them."""
        if len(self._open) < self._number:
            return "not connected to Slack"
        return "a connection to Slack is silent" if any(socket.is_suspect for socket in self._open.values()) else None

    async def run(self) -> None:
        """Hold the sockets until cancelled. Raises `SettingsError` if the app-level token is wrong."""
        try:
            async with asyncio.TaskGroup() as group:
                for place in range(self._number):
                    group.create_task(self._hold(place), name=f"slack socket {place + 1}")
        except* SettingsError as errors:
            raise SettingsError(str(errors.exceptions[0])) from None
        finally:
            await self._acknowledging.close()

    async def _hold(self, place: int) -> None:
        """Keep one socket open forever, one after the other."""
        again = Backoff(BACKOFF)
        receiving = TaskSet()
        try:
            while True:
                socket = await self._connect()
                if socket is not None and await self._use(place, socket, receiving) > STABLE:
                    again.reset()
                    continue
                await self._clock.sleep(again.next())
        finally:
            self._open.pop(place, None)
            await receiving.close()

    async def _use(self, place: int, socket: "SocketModeConnection", receiving: TaskSet) -> float:
        """Use a socket until it is to be replaced. Returns how long it was good for, seconds.

        One that only retires goes on with what is under way, while the next one is opened.
        """
        begun = self._clock.monotonic()
        task = receiving.create_task(socket.receive(), name=f"slack socket {place + 1} receives")
        if await socket.until_ready():
            self._open[place] = socket
            await socket.until_to_be_replaced()
        if socket.is_lost:
            self._open.pop(place, None)
            task.cancel()
        return self._clock.monotonic() - begun

    async def _connect(self) -> "SocketModeConnection | None":
        try:
            async with asyncio.timeout(CONNECTING):
                opened = await call(self._client, "apps.connections.open")
                websocket = await self._session.ws_connect(
                    str(opened["url"]), autoping=False, timeout=aiohttp.ClientWSTimeout(ws_close=1.0)
                )
        except SlackError as refusal:
            if sentence := app_token_trouble(refusal.error):
                raise SettingsError(sentence) from None
            log.warning("Slack opens no connection", error=refusal.error)
        except (SlackUnavailable, aiohttp.ClientError, TimeoutError, OSError, KeyError) as error:
            log.warning("no connection to Slack", error=told(error))
        else:
            return SocketModeConnection(websocket, self._clock, self._handle, self._acknowledging)
        return None


class SocketModeConnection:
    """One websocket, from `hello` to its end."""

    def __init__(
        self, websocket: aiohttp.ClientWebSocketResponse, clock: Clock, handle: Handler, acknowledging: TaskSet
    ) -> None:
        self._websocket = websocket
        self._clock = clock
        self._handle = handle
        self._acknowledging = acknowledging
        self._heard_at = clock.monotonic()
        self._ready = asyncio.Event()
        self._replace = asyncio.Event()
        self.is_lost = False

    @property
    def is_suspect(self) -> bool:
        """Whether it has ended, or has been silent for longer than it should."""
        return self.is_lost or self._clock.monotonic() - self._heard_at > SUSPECT

    async def until_ready(self) -> bool:
        """Wait for Slack's `hello`. False if the socket is lost before."""
        await _first_of(self._ready, self._replace)
        return self._ready.is_set() and not self.is_lost

    async def until_to_be_replaced(self) -> None:
        """Wait until Slack announces the end of this socket, or it ended, or it is silent."""
        await self._replace.wait()

    async def receive(self) -> None:
        """Take everything in until the socket ends."""
        try:
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch(), name="slack socket watch")
                await self._read()
                watching.cancel()
        finally:
            self.is_lost = True
            self._replace.set()
            with suppress(aiohttp.ClientError, OSError):
                await self._websocket.close()

    async def _read(self) -> None:
        while True:
            message = await self._websocket.receive()
            if message.type not in _SPOKEN:
                return
            self._heard_at = self._clock.monotonic()
            if message.type is aiohttp.WSMsgType.PING:
                await self._send_pong(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                self._understand(message.data)

    def _understand(self, text: str) -> None:
        try:
            message = json.loads(text)
            kind = message.get("type")
        except (ValueError, AttributeError, RecursionError):
            log.warning("Slack sent something that is not a message")
            return
        if kind == "hello":
            self._ready.set()
        elif kind == "disconnect":
            reason = str(message.get("reason"))
            if reason == TOO_MANY:
                log.warning("Slack takes ten sockets for an app: have fewer processes, or fewer SLACK_SOCKETS in each")
            else:
                log.info("Slack asks for another connection", reason=reason)
            self._replace.set()
        elif message.get("envelope_id"):
            self._acknowledging.create_task(self._answer(message), name="slack envelope")

    async def _answer(self, envelope: dict[str, Any]) -> None:
        payload = await self._handle(envelope)
        if payload is None:
            return
        answer: dict[str, Any] = {"envelope_id": envelope["envelope_id"]}
        if payload:
            answer["payload"] = payload
        try:
            await self._websocket.send_str(json.dumps(answer))
        except (aiohttp.ClientError, OSError):
            # Slack sends an event again that was not acknowledged, and the core knows that it had it.
            log.info("an acknowledgement did not reach Slack")

    async def _send_pong(self, data: bytes) -> None:
        with suppress(aiohttp.ClientError, OSError):
            await self._websocket.pong(data)

    async def _watch(self) -> None:
        """Ping, and give the socket up once nothing has been heard for too long."""
        lost = 0
        while lost < LOST_PINGS:
            heard_at = self._heard_at
            with suppress(aiohttp.ClientError, OSError):
                await self._websocket.ping()
            await self._clock.sleep(PING_EVERY)
            lost = lost + 1 if self._heard_at == heard_at else 0
        log.warning("a connection to Slack has gone silent and is replaced")
        self.is_lost = True
        self._replace.set()
        with suppress(aiohttp.ClientError, OSError):
            await self._websocket.close()


async def _first_of(*events: asyncio.Event) -> None:
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
