"""Socket Mode of the local Slack (docs.slack.dev, "Using Socket Mode").

An app may hold up to ten sockets; each envelope goes to one of them and is acknowledged by its `envelope_id`, on any of
them. Slack closes sockets now and then, first saying `disconnect` with `warning` or `refresh_requested`. A pong carries
what the ping carried, which slack_sdk relies on."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

from tests.fakes.slack.delivery import Attempt, Delivery, Interaction
from tests.fakes.slack.events import Events
from tests.fakes.slack.records import new_id
from tests.fakes.slack.responses import Responses

MOST = 10


class Connection:
    """One open socket."""

    def __init__(self, number: int, http: web.Request, events: Events) -> None:
        self.number = number
        self.silent = False
        self.retiring = False
        self.closed = False
        self.deliveries: list[Delivery] = []
        self._http, self._events = http, events
        self.ws = web.WebSocketResponse(autoping=False)

    @property
    def open(self) -> bool:
        """Whether Slack would send an event here; a silent socket looks healthy from afar."""
        return not self.closed and not self.retiring

    async def send(self, message: dict[str, Any]) -> None:
        """Send, unless the socket is silent or gone."""
        if self.silent or self.closed:
            return
        try:
            await self.ws.send_str(json.dumps(message))
        except ConnectionError:
            self.closed = True

    def silence(self) -> None:
        """From now on neither pings nor pongs nor events, and nothing is taken in; the connection stays up."""
        self.silent = True

    async def cut(self) -> None:
        """The connection breaks off, without a closing handshake."""
        self.closed = True
        if self._http.transport is not None:
            self._http.transport.abort()
        self._events.clock.ring()
        await asyncio.sleep(0)

    async def disconnect(self, reason: str = "refresh_requested") -> None:
        """Slack says that it will close this socket, sends nothing more over it, and closes it after a while."""
        self.retiring = True
        host = "applink-twin"
        await self.send({"type": "disconnect", "reason": reason, "debug_info": {"host": host}})
        self._events.owner.create_task(self._close_later(), name="slack socket closes")

    async def _close_later(self) -> None:
        timing = self._events.timing
        await self._events.clock.until(lambda: self.closed, self._events.now() + timing.refresh_grace)
        await self.ws.close()

    async def ping(self) -> None:
        """Ping as long as the socket lives."""
        while not self.closed:
            await asyncio.sleep(self._events.timing.ping)
            if not self.silent and not self.closed:
                try:
                    await self.ws.ping(f"Ping from applink-twin-{self.number}".encode())
                except ConnectionError:
                    return


class SocketMode:
    """The sockets of the app, and the envelopes on their way."""

    def __init__(self, events: Events, responses: Responses) -> None:
        self._events, self._responses = events, responses
        self._tickets: set[str] = set()
        self._envelopes: dict[str, tuple[Delivery, float]] = {}
        self._turn = 0
        self.sockets: list[Connection] = []
        self.choose: Callable[[list[Connection]], Connection] | None = None
        self.base = ""

    def new_url(self) -> str:
        """A websocket URL, good for one connection."""
        ticket = new_id("ticket-")
        self._tickets.add(ticket)
        return f"{self.base.replace('http', 'ws', 1)}link/?ticket={ticket}&app_id={self._events.app_id}"

    async def handle(self, http: web.Request) -> web.StreamResponse:
        """One socket, from hello to its end."""
        ticket = http.query.get("ticket", "")
        if ticket not in self._tickets:
            return web.Response(status=403)
        self._tickets.discard(ticket)
        connection = Connection(len(self.sockets) + 1, http, self._events)
        await connection.ws.prepare(http)
        if len([other for other in self.sockets if other.open]) >= MOST:
            await connection.send({"type": "disconnect", "reason": "too_many_websockets", "debug_info": {}})
            await connection.ws.close()
            return connection.ws
        hello = {"type": "hello", "num_connections": 1 + len([other for other in self.sockets if other.open])}
        info = {"host": "applink-twin", "approximate_connection_time": 18060}
        await connection.send(hello | {"debug_info": info, "connection_info": {"app_id": self._events.app_id}})
        self.sockets.append(connection)
        self._events.clock.ring()
        pinging = self._events.owner.create_task(connection.ping(), name="slack socket pings")
        try:
            await self._listen(connection)
        finally:
            pinging.cancel()
            connection.closed = True
            self._events.clock.ring()
        return connection.ws

    async def _listen(self, connection: Connection) -> None:
        async for message in connection.ws:
            if connection.silent:
                continue
            if message.type == WSMsgType.PING:
                await connection.ws.pong(message.data)
            elif message.type == WSMsgType.TEXT:
                self._take(json.loads(message.data))

    def _take(self, answer: dict[str, Any]) -> None:
        """An acknowledgement."""
        known = self._envelopes.get(str(answer.get("envelope_id")))
        if known is None or set(answer) - {"envelope_id", "payload"}:
            self._events.violation(f"acknowledgement of no envelope: {answer}")
            return
        delivery, sent = known
        payload = answer.get("payload")
        first = not delivery.done
        delivery.acknowledge(payload, self._events.now() - sent)
        if isinstance(delivery, Interaction):
            if first:
                self._responses.acknowledge(delivery, payload or {})
        elif payload:
            self._events.violation(f"acknowledgement of an event with a payload: {payload}")

    async def send(self, delivery: Delivery, attempt: Attempt) -> bool:
        """`events.Transport`: over one of the sockets, waiting for one until the deadline."""
        clock, deadline = self._events.clock, self._events.now() + self._events.timing.ack
        connection = await clock.until(self._next, deadline)
        if connection is None:
            attempt.failure = "no connection"
            return True
        attempt.connection = connection
        connection.deliveries.append(delivery)
        envelope = new_id("envelope-")
        sent = self._events.now()
        self._envelopes[envelope] = (delivery, sent)
        message: dict[str, Any] = {"envelope_id": envelope, "type": delivery.type, "payload": delivery.payload}
        message["accepts_response_payload"] = delivery.type != "events_api"
        if delivery.type == "events_api":
            message["retry_attempt"] = attempt.number
            message["retry_reason"] = "timeout" if attempt.number else ""
        await connection.send(message)
        await clock.until(lambda: delivery.done or connection.closed, sent + self._events.timing.ack)
        if not delivery.done:
            attempt.failure = "cut" if connection.closed else "timeout"
        return True

    def _next(self) -> Connection | None:
        """The sockets take turns, unless a test chooses."""
        ready = [connection for connection in self.sockets if connection.open]
        if not ready:
            return None
        if self.choose is not None:
            return self.choose(ready)
        self._turn += 1
        return ready[self._turn % len(ready)]

    async def close(self) -> None:
        for connection in self.sockets:
            if not connection.closed:
                await connection.cut()
