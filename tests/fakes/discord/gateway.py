"""The gateway: sessions, heartbeats, resuming, and what each intent lets through. It decides nothing about content.

[D] https://docs.discord.com/developers/events/gateway: opcodes, close codes, sharding by (guild_id >> 22) % shards,
direct messages and their interactions on shard 0, events replayed on RESUME, a session lost when its client closes with
1000 or 1001. Frames are plain text: discord.py takes them whatever compression it asked for [L].
"""

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.fakes.discord import shapes
from tests.fakes.discord.changes import Changes
from tests.fakes.discord.connection import Connection
from tests.fakes.discord.permissions import may
from tests.fakes.discord.state import Channel, DiscordState, Guild, Message

PRIVILEGED = 1 << 1 | 1 << 8 | 1 << 15
GUILDS, GUILD_MEMBERS, GUILD_MESSAGES, GUILD_REACTIONS = 1 << 0, 1 << 1, 1 << 9, 1 << 10
GUILD_VOICE_STATES = 1 << 7
DIRECT_MESSAGES, DIRECT_REACTIONS = 1 << 12, 1 << 13


@dataclass
class Identify:
    """One IDENTIFY as it came."""

    shard: tuple[int, int]
    intents: int
    code: int | None
    at: float


@dataclass(eq=False)
class Session:
    """What a shard keeps while its connection comes and goes."""

    id: str
    shard: tuple[int, int]
    intents: int
    sequence: int = 0
    sent: list[str] = field(default_factory=list)
    connection: Connection | None = None
    started: bool = False


class Gateway:
    """Accepts shards and sends them events."""

    def __init__(
        self, world: DiscordState, changes: Changes, *, token: str, heartbeat_interval: float, allowed_intents: int
    ) -> None:
        self.world = world
        self.changes = changes
        self.url = ""
        self.token = token
        self.heartbeat_interval = heartbeat_interval
        self.allowed_intents = allowed_intents
        self.identifies: list[Identify] = []
        self.refusals: list[int] = []
        self.resumes = 0
        self.readies = 0
        self.heartbeats = 0
        self.early = 0
        """IDENTIFYs that came too early after another one of their bucket."""
        self.on_voice: Callable[[Mapping[str, Any]], None] = lambda _: None
        self.identify_interval = 0.0
        self.max_concurrency = 1
        self._last_of_bucket: dict[int, float] = {}
        self.voice_states: Callable[[Guild], list[dict[str, Any]]] = lambda _: []
        self._sessions: dict[str, Session] = {}
        self._connections: set[Connection] = set()

    @property
    def connected(self) -> int:
        """How many sessions have a living connection."""
        return len(self._living())

    def _living(self) -> list[Session]:
        return [one for one in self._sessions.values() if one.started and one.connection and one.connection.living]

    # -- a connection -----------------------------------------------------------------------------------------------

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        """Serves one WebSocket from HELLO to its end."""
        socket = web.WebSocketResponse(timeout=1.0, max_msg_size=0)
        await socket.prepare(request)
        connection = Connection(socket, request.transport)
        self._connections.add(connection)
        session: Session | None = None
        try:
            connection.send({"op": 10, "d": {"heartbeat_interval": int(self.heartbeat_interval * 1000), "_trace": []}})
            async for frame in socket:
                if frame.type is not WSMsgType.TEXT:
                    break
                session = self._receive(connection, session, json.loads(frame.data)) or session
        finally:
            self._connections.discard(connection)
            await connection.end()
            if session is not None and session.connection is connection:
                session.connection = None
                if socket.close_code in (1000, 1001) and not connection.cut:
                    self._sessions.pop(session.id, None)
            self.changes.tell()
        return socket

    def _receive(self, connection: Connection, session: Session | None, frame: Mapping[str, Any]) -> Session | None:
        match frame["op"]:
            case 1:
                self.heartbeats += 1
                self.changes.tell()
                connection.send({"op": 11})
            case 2:
                return self._identify(connection, frame["d"])
            case 6:
                return self._resume(connection, frame["d"])
            case 8 if session is not None:
                self._members(session, frame["d"])
            case 4:
                self.on_voice(frame["d"])
            case 3:
                pass
            case 8:
                connection.close(4003)
            case _:
                connection.close(4001)
        return None

    def _identify(self, connection: Connection, asked: Mapping[str, Any]) -> Session | None:
        number, count = asked.get("shard", (0, 1))
        now = time.monotonic()
        if (code := self._objection(asked)) is None and self._is_too_early(number, now):
            # [D] more than one IDENTIFY of a bucket within 5 s: INVALID_SESSION.
            self.early += 1
            self.changes.tell()
            connection.send({"op": 9, "d": False})
            return None
        self.identifies.append(Identify((number, count), asked["intents"], code, now))
        self.changes.tell()
        if code is not None:
            connection.close(code)
            return None
        session = Session(secrets.token_hex(16), (number, count), asked["intents"], connection=connection)
        self._sessions[session.id] = session
        guilds = [guild for guild in self.world.guilds.values() if guild.has_bot and self._reaches(session, guild)]
        ready = {
            "v": 10,
            "user": shapes.user(self.world.bot) | {"verified": True, "mfa_enabled": False, "email": None},
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
            "session_id": session.id,
            "resume_gateway_url": self.url,
            "shard": [number, count],
            "application": {"id": str(self.world.bot.id), "flags": 0},
        }
        self._send(session, "READY", ready)
        for guild in guilds:
            if guild.available:
                self._send(session, "GUILD_CREATE", self._guild_shape(session, guild))
        session.started = True
        self.readies += 1
        self.changes.tell()
        return session

    def _is_too_early(self, number: int, now: float) -> bool:
        bucket = number % self.max_concurrency
        last, self._last_of_bucket[bucket] = self._last_of_bucket.get(bucket), now
        return last is not None and now - last < self.identify_interval

    def _guild_shape(self, session: Session, guild: Guild) -> dict[str, Any]:
        shape = shapes.guild(guild, self.world)
        if session.intents & GUILD_VOICE_STATES:
            states = self.voice_states(guild)
            shape["voice_states"] = [{name: one for name, one in state.items() if name != "member"} for state in states]
            shape["members"] += [one["member"] for one in states if one["user_id"] != str(self.world.bot.id)]
        return shape

    def _objection(self, asked: Mapping[str, Any]) -> int | None:
        if self.refusals:
            return self.refusals.pop(0)
        if asked["token"] != self.token:
            return 4004
        number, count = asked.get("shard", (0, 1))
        if not 0 <= number < count:
            return 4010
        return 4014 if asked["intents"] & PRIVILEGED & ~self.allowed_intents else None

    def _resume(self, connection: Connection, asked: Mapping[str, Any]) -> Session | None:
        session = self._sessions.get(asked["session_id"])
        if asked["token"] != self.token:
            connection.close(4004)
            return None
        if session is None or not 0 <= asked["seq"] <= session.sequence:
            connection.send({"op": 9, "d": False})
            return None
        if session.connection is not None:
            session.connection.close(4000)
        session.connection = connection
        for text in session.sent[asked["seq"] :]:
            connection.send_text(text)
        self._send(session, "RESUMED", {"_trace": []})
        self.resumes += 1
        self.changes.tell()
        return session

    def _members(self, session: Session, asked: Mapping[str, Any]) -> None:
        guild = self.world.guilds[int(asked["guild_id"])]
        wanted = [int(number) for number in asked.get("user_ids") or guild.members]
        found = [shapes.member(guild, self.world.users[number]) for number in wanted if number in guild.members]
        chunk = {"guild_id": str(guild.id), "members": found, "chunk_index": 0, "chunk_count": 1}
        self._send(session, "GUILD_MEMBERS_CHUNK", chunk | ({"nonce": asked["nonce"]} if "nonce" in asked else {}))

    # -- events -----------------------------------------------------------------------------------------------------

    def _reaches(self, session: Session, guild: Guild | None) -> bool:
        number, count = session.shard
        return number == ((guild.id >> 22) % count if guild else 0)

    def _send(self, session: Session, event: str, data: Mapping[str, Any]) -> None:
        session.sequence += 1
        text = json.dumps({"op": 0, "t": event, "s": session.sequence, "d": data}, ensure_ascii=False)
        session.sent.append(text)
        if session.connection is not None:
            session.connection.send_text(text)

    def dispatch(self, event: str, data: Mapping[str, Any], *, guild: Guild | None, intent: int = 0) -> None:
        """Sends an event to the shard of the guild (0 for direct messages) if it identified with the intent."""
        for session in list(self._sessions.values()):
            if self._reaches(session, guild) and (not intent or session.intents & intent):
                self._send(session, event, data)
        self.changes.tell()

    def dispatch_message(self, event: str, message: Message) -> None:
        """Sends MESSAGE_CREATE or MESSAGE_UPDATE, without the content where the intents do not let it through."""
        channel, guild = message.channel, message.channel.guild
        if self._hidden(channel) or message.ephemeral:
            self.changes.tell()
            return
        for session in list(self._sessions.values()):
            if self._reaches(session, guild) and session.intents & (GUILD_MESSAGES if guild else DIRECT_MESSAGES):
                shape = shapes.message(message, bot=self.world.bot)
                shape = shapes.stripped(shape, message, self.world.bot, session.intents)
                if guild is not None:
                    shape["guild_id"] = str(guild.id)
                    if message.author.id in guild.members and message.webhook_id is None:
                        shape["member"] = shapes.member(guild, message.author, within=False)
                shape["channel_type"] = channel.type
                self._send(session, event, shape)
        self.changes.tell()

    def dispatch_in(self, event: str, channel: Channel, data: Mapping[str, Any], *, reactions: bool = False) -> None:
        """Sends another event of a channel, by the messages' or reactions' intents, if the bot sees the channel."""
        if self._hidden(channel):
            return
        shape = {"channel_id": str(channel.id)} | dict(data)
        if channel.guild is not None:
            shape["guild_id"] = str(channel.guild.id)
        ours, direct = (GUILD_REACTIONS, DIRECT_REACTIONS) if reactions else (GUILD_MESSAGES, DIRECT_MESSAGES)
        self.dispatch(event, shape, guild=channel.guild, intent=ours if channel.guild else direct)

    def _hidden(self, channel: Channel) -> bool:
        guild = channel.guild
        gone = guild is not None and not (guild.has_bot and guild.available)
        return gone or not may(channel, self.world.bot, "view_channel")

    async def flush(self) -> None:
        """Returns when everything sent so far is written to the sockets."""
        await asyncio.gather(*(connection.flush() for connection in self._connections))

    # -- trouble ----------------------------------------------------------------------------------------------------

    async def drop(self, code: int | None) -> None:
        """Cuts every connection, with a close code or without a word."""
        for connection in list(self._connections):
            if code is None:
                connection.abort()
            else:
                connection.close(code)
        await self._ended()

    async def request_reconnect(self) -> None:
        """Sends RECONNECT to everybody."""
        for connection in list(self._connections):
            connection.send({"op": 7, "d": None})
        await self.flush()

    async def invalidate(self, *, resumable: bool) -> None:
        """Sends INVALID_SESSION to everybody; sessions that are not resumable are forgotten."""
        for session in self._living():
            if session.connection is not None:
                session.connection.send({"op": 9, "d": resumable})
            if not resumable:
                self._sessions.pop(session.id)
        await self.flush()
        self.changes.tell()

    def send_frame(self, text: str) -> None:
        """Writes a frame to everybody as it is."""
        for connection in self._connections:
            connection.send_text(text)

    def silence(self, *, silent: bool) -> None:
        """Stops (or starts again) sending on the connections there are."""
        for connection in self._connections:
            connection.silent = silent

    async def close(self) -> None:
        """Ends every connection."""
        for connection in list(self._connections):
            connection.abort()
        await self._ended()

    async def _ended(self) -> None:
        ending = set(self._connections)
        await self.changes.until(lambda: not ending & self._connections, timeout=5.0)
