"""The local Discord as tests see it: server, control of the gateway, faults and queries.

What people do in it is in `people.py` and `places.py`. It may not import anything of the bot.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

import discord
import yarl
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.fakes.discord import rest_application, rest_channels, rest_interactions
from tests.fakes.discord.activities import EMBEDDED
from tests.fakes.discord.changes import Changes
from tests.fakes.discord.faults import Fault, Faults
from tests.fakes.discord.gateway import Gateway, Identify
from tests.fakes.discord.interactions import Interaction, Interactions
from tests.fakes.discord.people import People
from tests.fakes.discord.rest import Request, Rest
from tests.fakes.discord.state import Channel, DiscordState, Guild, Message
from tests.fakes.discord.validation import Validation
from tests.fakes.discord.voice import Voice

TOKEN = "twin.discord.token"


class FakeDiscord(People):
    """A Discord of its own on an ephemeral loopback port, as an async context manager.

    Args:
        token: the bot token that is accepted.
        shards: how many shards `/gateway/bot` asks for.
        heartbeat_interval: seconds between heartbeats that HELLO asks for.
        allowed_intents: bits of the privileged intents switched on in the Developer Portal (GUILD_MEMBERS 1<<1,
            GUILD_PRESENCES 1<<8, MESSAGE_CONTENT 1<<15); identifying with another one closes with 4014 [D].
        strict: fail with AssertionError on exit when a request did not match the OpenAPI file.
        validate: check requests against the OpenAPI file; off where a benchmark measures, a check takes milliseconds.
        check_answers: check the local Discord's own answers too; `validation.mistakes` has what is wrong with them.
        voice: have a voice server; its voice channels are encrypted end to end where `dave` is set.
    """

    def __init__(
        self,
        *,
        token: str = TOKEN,
        shards: int = 1,
        heartbeat_interval: float = 41.25,
        allowed_intents: int = 1 << 15,
        strict: bool = True,
        validate: bool = True,
        check_answers: bool = False,
        voice: bool = False,
        dave: bool = False,
    ) -> None:
        self.token = token
        self.shards = shards
        self.strict = strict
        self.validate = validate
        self.check_answers = check_answers
        self.changes = Changes()
        self.world = DiscordState(shards=shards)
        self.bot = self.world.bot
        self.faults = Faults()
        self.validation = Validation()
        self.gateway = Gateway(
            self.world,
            self.changes,
            token=token,
            heartbeat_interval=heartbeat_interval,
            allowed_intents=allowed_intents,
        )
        self.interactions = Interactions(self.world, self.gateway, self.changes)
        self.activities = self.interactions.activities
        self.rest = Rest(self, {**rest_application.ACTS, **rest_channels.ACTS, **rest_interactions.ACTS})
        self._has_voice = voice
        self.voice = Voice(self.world, self.gateway, self.changes, dave=dave)
        self.gateway.voice_states = self.voice.shapes_in
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def __aenter__(self) -> Self:
        application = web.Application(client_max_size=32 * 1024 * 1024)
        application.router.add_get("/gateway", self.gateway.serve)
        application.router.add_get("/gateway/", self.gateway.serve)
        application.router.add_route("*", "/api/v10{path:/.*}", self.rest.serve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.gateway.url = self.gateway_url
        if self._has_voice:
            await self.voice.start()
            self.gateway.on_voice = self.voice.asked
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        await self.gateway.close()
        await self.voice.stop()
        if self._runner is not None:
            await self._runner.cleanup()
        if kind is None and self.strict:
            self.check()

    # -- where it is ------------------------------------------------------------------------------------------------

    @property
    def api_url(self) -> str:
        """The REST base, as `discord.http.Route.BASE` and DISCORD_API_URL take it: ends in /api/v10."""
        return f"http://127.0.0.1:{self._port}/api/v10"

    @property
    def gateway_url(self) -> str:
        """The gateway, as `DiscordWebSocket.DEFAULT_GATEWAY` and DISCORD_GATEWAY_URL take it."""
        return f"ws://127.0.0.1:{self._port}/gateway"

    @property
    def application_id(self) -> int:
        """The id of the bot's application; the bot user's id is the same, as for every newer application [D]."""
        return self.world.bot.id

    @contextlib.contextmanager
    def pointed(self) -> Iterator[None]:
        """Points discord.py of this process here and back again afterwards.

        Both places are needed: after an invalid session discord.py goes to DEFAULT_GATEWAY whatever `/gateway/bot`
        said [L gateway.py received_message].
        """
        route, gateway = discord.http.Route.BASE, discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY
        discord.http.Route.BASE = self.api_url
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(self.gateway_url)
        try:
            yield
        finally:
            discord.http.Route.BASE = route
            discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = gateway

    def enable_activities(self) -> Ed25519PrivateKey:
        """Switches Activities on in the portal: the application has the flag, and an entry point. Returns the key with
        which Discord's proxy signs."""
        self.activities.is_enabled = True
        self.world.application_flags |= EMBEDDED
        key = Ed25519PrivateKey.generate()
        self.world.public_key = key.public_key().public_bytes_raw().hex()
        self.interactions.commands.enable_activities()
        return key

    # -- gateway ----------------------------------------------------------------------------------------------------

    @property
    def connected(self) -> int:
        """How many gateway connections have a session (identified or resumed) at this moment."""
        return self.gateway.connected

    @property
    def identifies(self) -> list[Identify]:
        """Every IDENTIFY accepted or refused: shard, intents, close code (None when accepted), time."""
        return self.gateway.identifies

    def limit_identifies(self, interval: float, *, max_concurrency: int = 1) -> None:
        """Takes one IDENTIFY of a bucket (shard % `max_concurrency`) in `interval` seconds [D: 5]; one that comes too
        early is answered with INVALID_SESSION, and counted in `early_identifies`."""
        self.gateway.identify_interval, self.gateway.max_concurrency = interval, max_concurrency

    @property
    def early_identifies(self) -> int:
        """IDENTIFYs that came too early."""
        return self.gateway.early

    @property
    def resumes(self) -> int:
        """How many RESUMEs succeeded."""
        return self.gateway.resumes

    async def ready(self, *, times: int = 1, timeout: float = 30.0) -> None:
        """Waits until every shard has been given READY (or resumed) and all its guilds, `times` times in all."""
        await self.until(
            lambda: self.connected == self.shards and self.gateway.readies >= self.shards * times, timeout=timeout
        )

    async def drop_gateway(self, *, code: int | None = None) -> None:
        """Cuts every gateway connection: without a close frame, or with the close `code`. Sessions stay resumable."""
        await self.gateway.drop(code)

    async def request_reconnect(self) -> None:
        """Sends RECONNECT (op 7) to every connection: the client comes back by itself and resumes [D]."""
        await self.gateway.request_reconnect()

    async def invalidate_session(self, *, resumable: bool = False) -> None:
        """Sends INVALID_SESSION (op 9). Not resumable: the client has to identify anew, discord.py after 5 s [L]."""
        await self.gateway.invalidate(resumable=resumable)

    def send_event(self, event: str, data: Mapping[str, Any], *, guild: Guild) -> None:
        """Sends an event as it is, whatever it has or lacks, to the shard of the guild."""
        self.gateway.dispatch(event, data, guild=guild)

    def send_frame(self, text: str) -> None:
        """Sends a frame that need not be one: a gateway out of its mind."""
        self.gateway.send_frame(text)

    def refuse_identify(self, code: int, *, times: int = 1) -> None:
        """The next IDENTIFYs are answered by closing with `code` (4004, 4013, 4014, ...)."""
        self.gateway.refusals.extend([code] * times)

    def silence_gateway(self, *, silent: bool = True) -> None:
        """Makes the connections of this moment zombies: nothing is sent any more, not even a heartbeat's answer.

        What happens meanwhile is replayed when the client resumes on a new connection.
        """
        self.gateway.silence(silent=silent)

    # -- trouble ----------------------------------------------------------------------------------------------------

    def fail_next(self, method: str, pattern: str, fault: Fault, *, times: int = 1) -> None:
        """The next `times` requests of `method` whose path or OpenAPI template matches get the fault.

        Args:
            method: "POST", ... or "*".
            pattern: an OpenAPI template ("/channels/{channel_id}/messages") or a glob ("/interactions/*/callback").
            fault: `Fault.rate_limit(...)`, `.server_error(...)`, `.drop(...)`, `.refuse(...)`, `.hold(...)`.
        """
        self.faults.add(method, pattern, fault, times)

    def age_interactions(self, seconds: float) -> None:
        """Makes every interaction that exists `seconds` older than it is."""
        self.interactions.age(seconds)

    @property
    def response_deadline(self) -> float:
        """Seconds within which an interaction has to be acknowledged: 3 [D]; settable."""
        return self.interactions.response_deadline

    @response_deadline.setter
    def response_deadline(self, seconds: float) -> None:
        self.interactions.response_deadline = seconds

    # -- looking ----------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], object], *, timeout: float = 30.0) -> None:
        """Waits until the condition holds; it is looked at after every change here, not by polling.

        Raises AssertionError after `timeout` seconds.
        """
        await self.changes.until(condition, timeout=timeout)

    def messages(self, channel: Channel, *, ephemeral: bool = False) -> list[Message]:
        """The messages of the channel that exist, oldest first; those seen by one person only when `ephemeral`."""
        found = [message for message in self.world.messages.values() if message.channel is channel]
        return [message for message in found if not message.deleted and (ephemeral or not message.ephemeral)]

    def message(self, message_id: int) -> Message:
        """The message, also when it has been deleted. Raises KeyError for one that never existed."""
        return self.world.messages[message_id]

    @property
    def requests(self) -> list[Request]:
        """Every REST request, oldest first: method, path, template, query, body, at (monotonic seconds), status."""
        return self.rest.requests

    def count(self, method: str, template: str) -> int:
        """How many requests came for an OpenAPI template, such as ("PATCH", "/channels/{channel_id}/messages/...")."""
        return sum(request.method == method and request.template == template for request in self.rest.requests)

    @property
    def violations(self) -> list[str]:
        """What requests had that the OpenAPI file does not allow; emptied by a test that provokes one on purpose."""
        return self.validation.violations

    def check(self) -> None:
        """Raises AssertionError when there were violations."""
        assert not self.validation.violations, "\n".join(self.validation.violations)

    def visible_commands(self, guild: Guild) -> list[str]:
        """The names a member of the guild finds in the command list; a name in both scopes comes twice, as there."""
        return self.interactions.commands.visible(guild.id)

    @property
    def unknown_interactions(self) -> list[Interaction]:
        """The interactions whose answer was refused as too late (10062)."""
        return [one for one in self.interactions.all if any(attempt.code == 10062 for attempt in one.attempts)]

    def now(self) -> float:
        """Monotonic seconds, as in `Request.at` and `Identify.at`."""
        return time.monotonic()
