"""Discord's voice: who is in which channel, and a voice server that discord.py connects to as it is, with and without
end-to-end encryption. It may not import anything of the bot.

[D] https://docs.discord.com/developers/topics/voice-connections: version 8, opcodes, IP discovery, the mode
aead_xchacha20_poly1305_rtpsize. Between VOICE_STATE_UPDATE and VOICE_SERVER_UPDATE it leaves a moment: in one tick
discord.py 2.7.1 misses one of them, and no real server is that fast.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ipaddress
import json
import secrets
import ssl
import struct
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import nacl.bindings
from aiohttp import WSMsgType, web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from discord import opus

from tests.fakes.discord import shapes
from tests.fakes.discord.changes import Changes
from tests.fakes.discord.gateway import GUILD_VOICE_STATES, Gateway
from tests.fakes.discord.permissions import may
from tests.fakes.discord.state import Channel, DiscordState, Guild, User
from tests.fakes.discord.voice_group import VoiceGroup

MODE = "aead_xchacha20_poly1305_rtpsize"
SILENCE = b"\xf8\xff\xfe"
STAGE = 13


@dataclass(frozen=True, slots=True)
class Packet:
    """One RTP packet as somebody in the channel hears it. pcm: 16 bit mono; None where nobody there could decode it.
    at: monotonic seconds of its arrival."""

    at: float
    sequence: int
    timestamp: int
    opus: bytes
    pcm: bytes | None

    @property
    def is_silence(self) -> bool:
        """Whether it is the packet of silence."""
        return self.opus == SILENCE


@dataclass(eq=False)
class VoiceState:
    """One account in a voice channel."""

    user: User
    channel: Channel
    session_id: str
    mute: bool = False
    suppress: bool = False
    requested: bool = False


@dataclass(eq=False)
class Link:
    """The bot's connection to the voice server in one guild."""

    guild: Guild
    socket: web.WebSocketResponse
    ssrc: int
    secret: bytes
    decoder: opus.Decoder = field(default_factory=opus.Decoder)
    group: VoiceGroup | None = None
    sequence: int = 0
    address: tuple[str, int] | None = None
    speaking: list[int] = field(default_factory=list)


class Voice:
    """Voice channels of the local Discord.

    Args:
        dave: whether voice channels (not stages) are encrypted end to end, as the real ones are.

    Faults, each as long as it is set: `deaf_udp` answers no IP discovery; `mute_gateway` answers no request to join;
    `no_endpoint` names no server; `no_description` sends no session description; `closes` has codes with which the next
    identifications are closed; `no_group` never completes an encryption group.
    """

    def __init__(self, world: DiscordState, gateway: Gateway, changes: Changes, *, dave: bool) -> None:
        self.world = world
        self.gateway = gateway
        self.changes = changes
        self.dave = dave
        self.states: dict[tuple[int, int], VoiceState] = {}
        self.links: dict[int, Link] = {}
        self.packets: dict[int, list[Packet]] = {}
        self.joins = 0
        self.resumes = 0
        self.deaf_udp = self.mute_gateway = self.no_endpoint = self.no_description = self.no_group = False
        self.closes: list[int] = []
        self._last: dict[int, Link] = {}
        self._tokens: dict[str, Guild] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None
        self._udp: asyncio.DatagramTransport | None = None
        self._port = self._udp_port = 0

    async def start(self) -> None:
        """Opens both ends."""
        application = web.Application()
        application.router.add_get("/", self._serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=_tls()[0])
        await site.start()
        self._port = self._runner.addresses[0][1]
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), local_addr=("127.0.0.1", 0))
        self._udp_port = self._udp.get_extra_info("sockname")[1]

    @property
    def certificate(self) -> str:
        """What a program in another process has to trust (PEM)."""
        return _tls()[1]

    async def stop(self) -> None:
        """Closes both ends."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._udp is not None:
            self._udp.close()
        if self._runner is not None:
            await self._runner.cleanup()

    # -- looking ----------------------------------------------------------------------------------------------------

    def channel_of(self, guild: Guild, user: User | None = None) -> Channel | None:
        """The channel that an account, by default the bot, is in."""
        state = self.states.get((guild.id, (user or self.world.bot).id))
        return state.channel if state else None

    def heard(self, guild: Guild) -> list[Packet]:
        """Everything the bot has sent in a guild, oldest first."""
        return self.packets.setdefault(guild.id, [])

    def shapes_in(self, guild: Guild) -> list[dict[str, Any]]:
        """The voice states that GUILD_CREATE has."""
        return [self._shape(state) for (number, _), state in self.states.items() if number == guild.id]

    # -- what people do ---------------------------------------------------------------------------------------------

    async def enter(self, user: User, channel: Channel) -> None:
        """Somebody goes into a voice channel."""
        assert channel.guild is not None
        state = VoiceState(user, channel, secrets.token_hex(8))
        self.states[channel.guild.id, user.id] = state
        self._dispatch(channel.guild, state)
        await self.gateway.flush()
        await self._regroup(channel.guild)

    async def leave(self, user: User, guild: Guild) -> None:
        """Somebody leaves."""
        state = self.states.pop((guild.id, user.id))
        self._dispatch(guild, state, gone=True)
        await self.gateway.flush()
        await self._regroup(guild)

    async def mute_bot(self, guild: Guild, *, mute: bool) -> None:
        """A moderator mutes the bot, or takes that back."""
        state = self.states[guild.id, self.world.bot.id]
        state.mute = mute
        self._dispatch(guild, state)
        await self.gateway.flush()

    async def kick(self, guild: Guild) -> None:
        """A moderator disconnects the bot: no channel any more, and the voice server closes with 4014 [D]."""
        state = self.states.pop((guild.id, self.world.bot.id))
        self._dispatch(guild, state, gone=True)
        await self.gateway.flush()
        await self.drop(guild, 4014)

    async def move(self, guild: Guild, channel: Channel) -> None:
        """A moderator moves the bot: its state, a close with 4014, and the server of the other channel [D]."""
        state = self.states[guild.id, self.world.bot.id]
        state.channel = channel
        self._dispatch(guild, state)
        await self.gateway.flush()
        await self.drop(guild, 4014)
        await self._name_server(guild)

    async def change_region(self, guild: Guild) -> None:
        """Somebody changes the region of the channel: another VOICE_SERVER_UPDATE [D]."""
        await self._name_server(guild)

    async def drop(self, guild: Guild, code: int) -> None:
        """The voice server closes the bot's connection."""
        link = self.links.pop(guild.id, None)
        if link is not None:
            await link.socket.close(code=code)

    async def invite_to_speak(self, guild: Guild) -> None:
        """A moderator lets the bot speak on a stage."""
        self.states[guild.id, self.world.bot.id].suppress = False
        self._dispatch(guild, self.states[guild.id, self.world.bot.id])
        await self.gateway.flush()

    def edit_own_state(self, guild: Guild, body: Mapping[str, Any]) -> None:
        """PATCH /guilds/{guild.id}/voice-states/@me: the bot takes the floor of a stage, or asks for it [D]."""
        state = self.states[guild.id, self.world.bot.id]
        state.requested = state.requested or bool(body.get("request_to_speak_timestamp"))
        if body.get("suppress") is False and may(state.channel, self.world.bot, "mute_members"):
            state.suppress = False
        self._dispatch(guild, state)

    # -- the main gateway -------------------------------------------------------------------------------------------

    def asked(self, data: Mapping[str, Any]) -> None:
        """Opcode 4 of the main gateway: the bot goes into a channel, or leaves."""
        guild = self.world.guilds[int(data["guild_id"])]
        number = data.get("channel_id")
        key = (guild.id, self.world.bot.id)
        if number is None:
            state = self.states.pop(key, None)
            if state is not None:
                self._dispatch(guild, state, gone=True)
            self.changes.tell()
            return
        channel = self.world.channels[int(number)]
        if self.mute_gateway or channel.deleted or not may(channel, self.world.bot, "connect"):
            return
        self.joins += 1
        suppress = channel.type == STAGE
        self.states[key] = VoiceState(self.world.bot, channel, secrets.token_hex(8), suppress=suppress)
        self._dispatch(guild, self.states[key])
        task = asyncio.create_task(self._name_server(guild))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.changes.tell()

    async def _name_server(self, guild: Guild) -> None:
        await self.gateway.flush()
        await asyncio.sleep(0.02)
        token = secrets.token_hex(8)
        self._tokens[token] = guild
        endpoint = None if self.no_endpoint else f"localhost:{self._port}"
        shape = {"token": token, "guild_id": str(guild.id), "endpoint": endpoint}
        self.gateway.dispatch("VOICE_SERVER_UPDATE", shape, guild=guild)
        await self.gateway.flush()

    def _dispatch(self, guild: Guild, state: VoiceState, *, gone: bool = False) -> None:
        self.gateway.dispatch(
            "VOICE_STATE_UPDATE", self._shape(state, gone=gone), guild=guild, intent=GUILD_VOICE_STATES
        )

    def _shape(self, state: VoiceState, *, gone: bool = False) -> dict[str, Any]:
        guild = state.channel.guild
        assert guild is not None
        return {
            "guild_id": str(guild.id),
            "channel_id": None if gone else str(state.channel.id),
            "user_id": str(state.user.id),
            "member": shapes.member(guild, state.user),
            "session_id": state.session_id,
            "deaf": False,
            "mute": state.mute,
            "self_deaf": state.user.bot,
            "self_mute": False,
            "self_video": False,
            "suppress": state.suppress,
            "request_to_speak_timestamp": "2026-01-01T00:00:00+00:00" if state.requested else None,
        }

    # -- the voice server -------------------------------------------------------------------------------------------

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(timeout=0.5)
        await socket.prepare(request)
        await socket.send_json({"op": 8, "d": {"v": 8, "heartbeat_interval": 13_750}})
        link: Link | None = None
        async for frame in socket:
            if frame.type is WSMsgType.TEXT:
                link = await self._receive(socket, link, json.loads(frame.data)) or link
            elif frame.type is WSMsgType.BINARY and link is not None:
                await self._receive_binary(link, frame.data)
        if link is not None and self.links.get(link.guild.id) is link:
            del self.links[link.guild.id]
        self.changes.tell()
        return socket

    async def _receive(self, socket: web.WebSocketResponse, link: Link | None, frame: Mapping[str, Any]) -> Link | None:
        data = frame["d"]
        match frame["op"]:
            case 0 | 7:
                guild = self._tokens.get(data["token"])
                state = self.states.get((guild.id, self.world.bot.id)) if guild else None
                if self.closes:
                    await socket.close(code=self.closes.pop(0))
                elif guild is None or state is None or state.session_id != data["session_id"]:
                    await socket.close(code=4006)
                elif frame["op"] == 7:
                    return await self._resume(socket, guild)
                else:
                    return await self._identify(socket, guild, data)
            case 1 if link is not None:
                await self._select(link, data)
            case 3:
                await socket.send_json({"op": 6, "d": {"t": data["t"] if isinstance(data, dict) else data}})
            case 5 if link is not None:
                link.speaking.append(data["speaking"])
                self.changes.tell()
            case 23 if link is not None and link.group is not None:
                await socket.send_json({"op": 22, "d": {"transition_id": data["transition_id"]}})
            case 31:
                raise AssertionError("the bot did not take a commit or a welcome")
            case _:
                pass
        return None

    async def _identify(self, socket: web.WebSocketResponse, guild: Guild, data: Mapping[str, Any]) -> Link | None:
        channel = self.channel_of(guild)
        needs_dave = self.dave and channel is not None and channel.type != STAGE
        if needs_dave and data.get("max_dave_protocol_version", 0) < 1:
            await socket.close(code=4017)
            return None
        link = Link(guild, socket, secrets.randbelow(1 << 31), secrets.token_bytes(32))
        if needs_dave and channel is not None:
            link.group = VoiceGroup(channel.id, self.world.bot.id)
        self.links[guild.id] = self._last[guild.id] = link
        ready = {
            "ssrc": link.ssrc,
            "ip": "127.0.0.1",
            "port": self._udp_port,
            "modes": ["aead_aes256_gcm_rtpsize", MODE],
        }
        await socket.send_json({"op": 2, "d": ready})
        return link

    async def _resume(self, socket: web.WebSocketResponse, guild: Guild) -> Link | None:
        before = self._last.get(guild.id)
        if before is None:
            await socket.close(code=4006)
            return None
        before.socket = socket
        self.links[guild.id] = before
        self.resumes += 1
        await socket.send_json({"op": 9, "d": None})
        return before

    async def _select(self, link: Link, data: Mapping[str, Any]) -> None:
        assert data["data"]["mode"] == MODE
        if self.no_description:
            return
        version = 0 if link.group is None else 1
        shape = {"mode": MODE, "secret_key": list(link.secret), "dave_protocol_version": version}
        await link.socket.send_json({"op": 4, "d": shape})
        if link.group is not None:
            await self._send_binary(link, 25, link.group.external_sender)
        self.changes.tell()

    async def _receive_binary(self, link: Link, frame: bytes) -> None:
        group = link.group
        assert group is not None
        if frame[0] == 26:
            group.key_package = frame[1:]
            await self._propose(link)
        elif frame[0] == 28 and not self.no_group:
            commit, number = group.committed(frame[1:])
            await self._send_binary(link, 29, struct.pack(">H", number) + commit)
        self.changes.tell()

    async def _regroup(self, guild: Guild) -> None:
        """Who is there has changed: a new group from the beginning, as Discord makes where it cannot go on with one."""
        link = self.links.get(guild.id)
        if link is None or link.group is None:
            return
        if not link.group.is_begun:
            await self._propose(link)
            return
        channel = self.channel_of(guild)
        assert channel is not None
        link.group = VoiceGroup(channel.id, self.world.bot.id)
        await link.socket.send_json({"op": 24, "d": {"epoch": 1, "protocol_version": 1}})
        await self._send_binary(link, 25, link.group.external_sender)

    async def _propose(self, link: Link) -> None:
        group, channel = link.group, self.channel_of(link.guild)
        people = [state.user.id for state in self.states.values() if state.channel is channel and not state.user.bot]
        if group is None or group.key_package is None or group.is_begun or not people:
            return
        await link.socket.send_json({"op": 11, "d": {"user_ids": [str(number) for number in people]}})
        await self._send_binary(link, 27, group.proposals(people))

    async def _send_binary(self, link: Link, op: int, body: bytes) -> None:
        link.sequence += 1
        await link.socket.send_bytes(struct.pack(">HB", link.sequence, op) + body)

    # -- UDP --------------------------------------------------------------------------------------------------------

    def received(self, data: bytes, address: tuple[str, int]) -> None:
        """A datagram of the bot."""
        if len(data) == 74 and data[:2] == b"\x00\x01":
            if not self.deaf_udp and self._udp is not None:
                answer = struct.pack(">HH", 2, 70) + data[4:8] + address[0].encode().ljust(64, b"\0")
                self._udp.sendto(answer + struct.pack(">H", address[1]), address)
            return
        if len(data) < 28:
            return
        sequence, timestamp, ssrc = struct.unpack(">HII", data[2:12])
        link = next((one for one in self.links.values() if one.ssrc == ssrc), None)
        if link is None:
            return
        nonce = data[-4:].ljust(24, b"\0")
        payload = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(data[12:-4], data[:12], nonce, link.secret)
        packet = self._decoded(link, payload, sequence, timestamp)
        self.packets.setdefault(link.guild.id, []).append(packet)
        self.changes.tell()

    def _decoded(self, link: Link, payload: bytes, sequence: int, timestamp: int) -> Packet:
        if link.group is not None and payload != SILENCE:
            plain = link.group.decrypted(payload)
            if plain is None:
                return Packet(time.monotonic(), sequence, timestamp, payload, None)
            payload = plain
        stereo = link.decoder.decode(payload, fec=False)
        mono = memoryview(stereo).cast("h")[::2].tolist()
        return Packet(time.monotonic(), sequence, timestamp, payload, struct.pack(f"<{len(mono)}h", *mono))


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, voice: Voice) -> None:
        self._voice = voice

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._voice.received(data, addr)


@cache
def _tls() -> tuple[ssl.SSLContext, str]:
    """A server's context for `localhost`, with a certificate that aiohttp trusts from now on, and that certificate; one
    for the process, since OpenSSL looks issuers up by their names."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    alternative = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(alternative, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "voice.pem"
        file.write_bytes(pem + private)
        context.load_cert_chain(file)
    aiohttp.connector._SSL_CONTEXT_VERIFIED.load_verify_locations(cadata=pem.decode())
    return context, pem.decode()
