"""The composition root: settings become a running program. The only module of the core that knows adapters exist,
but for `bot.simulation`.

Builds in order (database, simulator, provider, other processes, core, web, chats), tells in one line each what was
started and what was left out and why, and takes everything down again in the opposite order, the sessions first
(`bot.shutdown`).
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog

from adapters.avatars.rooms.transport import VIEWER
from adapters.media.relay import RelayFactory
from adapters.media.room.encoder_process import try_encoder
from adapters.media.room.factory import RoomPictures
from adapters.media.sound import can_decode
from adapters.web import Embeds, SignedTickets, SignedWatchLinks, WebServer
from bot.cluster.admission import refuse_company, refuse_strangers
from bot.cluster.claims import Recovery
from bot.cluster.fenced import fence
from bot.cluster.joining import joined
from bot.cluster.membership import Membership
from bot.core.bind_errors import explain_bind_error, is_loopback
from bot.core.errors import OwnershipLost, SettingsError
from bot.core.pictures import PictureSourceFactory
from bot.core.ports import AvatarProvider, ChatModel, Clock, Echo
from bot.facade import Bot, ChatAdapter
from bot.platforms import Platforms
from bot.plugins import make_provider, with_simulator
from bot.provider_change import close_left_to_other_providers
from bot.readiness import Readiness
from bot.sentences import DOLLARS_NOT_COUNTED, NO_DECODER, NO_SOUND, count
from bot.settings import SIMULATOR, Settings, database_url_or_default, web_secret
from bot.shutdown import end_sessions
from bot.store import migrate
from bot.store.lock.instance import InstanceLock
from bot.store.store import Store
from bot.store.url import parse_url
from bot.streams.entered_rooms import EntersRooms
from bot.streams.page_bridge import seats_of
from bot.supervision import Supervised
from bot.telemetry import metrics
from bot.watching import EXTRA, address_of_provider, plan_watching
from bot.wiring import build_core, options_from

if TYPE_CHECKING:
    from adapters.llm.openai_compatible import OpenAICompatible
    from bot.simulation import Simulator, SimulatorOptions

log = structlog.get_logger(__name__)

SHOWN_BACKLOG = 100_000
"""Events that wait for the chat platforms at the most; a platform that is behind must not lose a notice."""

ENCODER_DOES_NOT_START = (
    "The bot encodes the avatar's room for those who watch, and the encoder does not start ({why}). Install "
    f"{EXTRA} again, or set AVATAR_WATCH=seat for one page at a time."
)

SIMULATOR_INSIDE = "AVATAR_PROVIDER=simulator has its avatars inside one process"
"""Why a process has to be alone on its database."""

LINK_OUTLIVES_SESSION = 3600.0
"""Seconds that a watch link still shows why its session ended."""


class Application:
    """One running bot. `start`, then `serve`, and `stop` in any case."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        echo: Echo,
        *,
        simulator: "SimulatorOptions | None" = None,
        alone_because: str | None = None,
    ) -> None:
        """`echo` gets the lines for whoever started the program. `simulator` is for `AVATAR_PROVIDER=simulator`, or
        runs one for the provider in `settings`, whose addresses and keys then point at it. alone_because: why no other
        process may share the database, as the beginning of a sentence."""
        self._settings = settings
        self._clock = clock
        self._echo = echo
        self._simulator_options = simulator
        has_simulator = simulator is not None or settings.avatar.provider == SIMULATOR
        self._alone_because = alone_because or (SIMULATOR_INSIDE if has_simulator else None)
        self._stack = AsyncExitStack()
        self._stopping = asyncio.Event()
        # From https besides; over plain http only from a service that is itself addressed so, on a machine nearby.
        self._plain_sources: list[str] = []
        for url in (settings.heygen.api_url, settings.liveavatar.api_url):
            if url.startswith("http:"):
                self._plain_sources.append(f"http://{urlsplit(url).netloc.rpartition('@')[2]}")
        self.simulator: Simulator | None = None
        self.bot: Bot
        self._adapters: list[ChatAdapter] = []
        self._platforms: Platforms
        self._parts: list[Supervised] = []

    async def start(self, chats: Sequence[Callable[[Bot], ChatAdapter]]) -> None:
        """Build everything. Raises `SettingsError` and `StoreError` with a sentence for the operator."""
        url = database_url_or_default(self._settings)
        address = parse_url(url)
        if address.is_sqlite:
            await self._stack.enter_async_context(InstanceLock(url, self._clock, stopping=self._stopping))
        await migrate.upgrade(url)
        secret = web_secret(self._settings)
        self._membership = await self._stack.enter_async_context(Membership(url, self._clock, secret=secret))
        await refuse_strangers(url, self._membership, secret, self._clock)
        if self._alone_because is not None:
            await refuse_company(url, self._membership, self._alone_because, self._clock)
        store = await self._stack.enter_async_context(
            await Store.open(url, self._clock, member=self._membership.member)
        )
        if self._simulator_options is None:
            self._echo(f"Database: {str(address).removeprefix('the database ')}.")
            self._echo_others()
        settings = await self._with_simulator(self._settings)
        provider = await self._stack.enter_async_context(make_provider(settings, self._clock))
        if self._settings.avatar.provider == SIMULATOR:
            # What it opens has nothing to do with the real service behind the same client, and ends with this process.
            provider.name = SIMULATOR
        fence(provider, self._membership.may_act)
        chat_model = await self._enter_chat_model(settings)
        has_watch_page = settings.web.public_url is not None or self._is_demo_page(settings)
        options = options_from(settings, provider.capabilities, has_watch_page=has_watch_page)
        others = await self._stack.enter_async_context(
            joined(address, self._membership, store, secret, self._clock, late_after=options.policy.late_after)
        )
        # The simulator's rooms are watched as HLS, unless it has a LiveKit server.
        is_stand_in = self.simulator is not None and not self._simulator_has_rooms
        self._plan = plan_watching(
            settings,
            shows_hls=provider.capabilities.many_viewers,
            enters_rooms=isinstance(provider, EntersRooms),
            is_stand_in=is_stand_in,
        )
        pictures = await self._enter_pictures(settings, provider)
        self._links = SignedWatchLinks(
            web_secret(settings),
            settings.web.public_url,
            options.policy.max_duration + LINK_OUTLIVES_SESSION,
            self._clock,
        )
        self._core = await self._stack.enter_async_context(
            build_core(provider, chat_model, store, self._links, self._clock, options, pictures, others.cluster)
        )
        self._claims = others.claims
        self._claims.sessions, self._claims.recover = self._core.sessions, self._core.recovery.recover
        self._claims.on_others, self._claims.on_recovery = self._close_left, self._echo_recovery
        self._core.services.outlets.silent_because = self._why_silent
        self._echo_provider()
        self._echo(f"Picture: {self._plan.told}.")
        if options.policy.needs_viewer:
            self._echo("Speech: only while somebody watches, and no stream is open before (SESSION_NEEDS_VIEWER).")
        self.bot = Bot(
            self._core.commands,
            self._core.relay,
            self._core.sessions,
            self._clock,
            settings,
            self.ask_to_stop,
            self._plan.has_media and (settings.web.public_url or "").startswith("https:"),
        )
        self._adapters = [make(self.bot) for make in chats]
        self._platforms = Platforms(self._adapters, self._core.sessions, self._clock, self._echo)
        self._parts = [
            Supervised("sweeper", self._core.jobs.run, self._clock),
            Supervised("catalogue", self._core.services.catalogue.refresh_forever, self._clock),
            # It ends only where another process has ended this one: then every stream is that one's business.
            Supervised("membership", self._membership.hold, self._clock, may_end_program=OwnershipLost),
            *others.parts,
        ]
        await self._start_web(store, settings)
        # From here on, so that the platforms are told also of sessions that end while they are still entered.
        self._subscription = self._stack.enter_context(self._core.services.event_bus.subscribe(backlog=SHOWN_BACKLOG))
        await self._recover()

    async def serve(self) -> None:
        """Run the chat platforms and the periodic jobs until `ask_to_stop`, then close every session.

        Raises `SettingsError` if the last chat platform can only be helped by the operator; the sessions are closed
        then. Raises `OwnershipLost` if another process has taken the database over; the sessions are left to it.
        """
        async with AsyncExitStack() as entered:
            showing: asyncio.Task[None] | None = None
            try:
                await self._platforms.enter(entered)
                showing = asyncio.create_task(self._platforms.show(self._subscription), name="show")
                await self._run_until_stopped()
            finally:
                await end_sessions(
                    self._core.sessions, self._membership, self._settings.shutdown, self._clock, self._echo
                )
                self._subscription.close()
                if showing is not None:
                    await showing

    async def _run_until_stopped(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = self._platforms.start(group)
                tasks += [group.create_task(part.run(), name=part.part) for part in self._parts]
                await self._stopping.wait()
                self._core.sessions.is_leaving = True
                # Before the platforms let go of what they have, so that the others know whose it is to be.
                await self._membership.announce_leaving()
                for task in tasks:
                    task.cancel()
        except* SettingsError as group:
            raise SettingsError(str(group.exceptions[0])) from group
        except* OwnershipLost as group:
            raise OwnershipLost(str(group.exceptions[0])) from group

    def ask_to_stop(self) -> None:
        """Begin the shutdown; `serve` returns when it is done. Also what a signal does."""
        self._stopping.set()

    async def stop(self) -> None:
        """Take down what `start` built."""
        await self._stack.aclose()

    # --- the parts, in order -----------------------------------------------------------------------------------------

    async def _with_simulator(self, settings: Settings) -> Settings:
        if self._simulator_options is None and settings.avatar.provider != SIMULATOR:
            return settings
        from bot.simulation import Simulator, SimulatorOptions  # 4 MB, see there

        options = self._simulator_options or SimulatorOptions()
        self.simulator = await self._stack.enter_async_context(Simulator(options, self._clock))
        self._plain_sources.append(self.simulator.address)
        self._echo(f"Simulator: running at {self.simulator.address}; no account, no cost, no real avatar.")
        return with_simulator(settings, self.simulator.address, options.api_key)

    async def _enter_chat_model(self, settings: Settings) -> ChatModel | None:
        model = make_chat_model(settings, self._clock)
        return None if model is None else await self._stack.enter_async_context(model)

    @property
    def _simulator_has_rooms(self) -> bool:
        return self._simulator_options is not None and self._simulator_options.livekit is not None

    async def _enter_pictures(self, settings: Settings, provider: AvatarProvider) -> list[PictureSourceFactory]:
        if not self._plan.is_served:
            return []
        relay = RelayFactory(address_of_provider(settings), self._clock)
        factories: list[PictureSourceFactory] = [await self._stack.enter_async_context(relay)]
        if self._plan.is_encoded and isinstance(provider, EntersRooms):
            if (why := await try_encoder()) is not None:
                raise SettingsError(ENCODER_DOES_NOT_START.format(why=why))
            rooms = RoomPictures(self._clock, VIEWER)
            provider.entered.follower = rooms
            factories.append(rooms)
        return factories

    @property
    def _why_silent(self) -> str | None:
        """Why nobody can hear the avatar but on its page; None if they can."""
        if not self._plan.has_media:
            return NO_SOUND
        # A room's sound comes decoded.
        return None if self._plan.is_encoded or can_decode() else NO_DECODER

    def _echo_others(self) -> None:
        if others := self._membership.others:
            known = ", ".join(str(other) for other in others)
            self._echo(f"Cluster: shares the avatars with {known}; one that has ended is forgotten in some seconds.")

    def _echo_provider(self) -> None:
        provider = self._core.services.provider
        answers = "answers by itself" if provider.capabilities.chat else "answers with the chat model"
        if not self._core.services.can_answer:
            needed = provider.capabilities.chat_setting or "CHAT_API_URL and CHAT_MODEL"
            answers = f"can only repeat; set {needed} to let it answer"
        self._echo(f"Avatar: {provider.name}{' (simulated)' if self.simulator else ''}, {answers}.")
        if self._core.quotas.price_unknown:
            log.warning(DOLLARS_NOT_COUNTED)

    async def _start_web(self, store: Store, settings: Settings) -> None:
        bus = self.bot.cluster.bus
        readiness = Readiness(store, self._membership, self._platforms, self._core.jobs, bus, self._parts)
        server = WebServer(
            self._core.sessions,
            self._core.services.event_bus,
            self._core.services.audiences,
            self._links,
            self._clock,
            host=settings.web.host,
            port=settings.web.port,
            media_sources=() if self._plan.is_served else ("https:", *self._plain_sources),
            image_sources=self._plain_sources,
            readiness=readiness.look,
            members=self._membership.told,
            registry=metrics.registry,
            pictures=self._core.pictures,
            seats=seats_of(self._core.services.provider),
            embeds=Embeds(
                self._core.sessions,
                SignedTickets(web_secret(settings), self._clock),
                [adapter.embed for adapter in self._adapters if adapter.embed is not None],
                show_pictures=self.bot.shows_in_frames,
                directory=self.bot.cluster.directory,
            ),
            cluster=self.bot.cluster,
        )
        for adapter in self._adapters:
            for route in adapter.routes:
                server.app.router.add_route(route.method, route.path, route.handle)
        try:
            local = await server.start()
        except OSError as error:
            web = settings.web
            raise SettingsError(
                explain_bind_error(error, host=("WEB_HOST", web.host), port=("WEB_PORT", web.port))
            ) from error
        self._stack.push_async_callback(server.stop)
        if self._links.public_url is None and self._is_demo_page(settings):
            self._links.public_url = local
        if self._links.public_url is None:
            self._echo(
                f"Web: running at {local}, but WEB_PUBLIC_URL is not set, so others could not open watch links: "
                "the provider's own link is handed out instead."
            )
        else:
            self._echo(f"Web: watch links begin with {self._links.public_url}, served at {local}.")

    def _is_demo_page(self, settings: Settings) -> bool:
        """Whether whoever runs the bot is who watches: a simulated avatar, on this machine."""
        return self.simulator is not None and is_loopback(settings.web.host)

    async def _recover(self) -> None:
        await self._close_left()
        await self._claims.claim()

    async def _close_left(self) -> None:
        await close_left_to_other_providers(self._core.services, self._settings, self._stack, self._echo)

    def _echo_recovery(self, found: Recovery) -> None:
        if found.adopted or found.closed:
            self._echo(f"Recovered: {count(found.adopted, 'session')} on, {count(found.closed, 'session')} closing.")
        if found.unknown_utterances:
            unsure = count(found.unknown_utterances, "message").capitalize()
            self._echo(f"{unsure} may not have been said before the restart; I do not repeat what was under way.")


def make_chat_model(settings: Settings, clock: Clock) -> "OpenAICompatible | None":
    """The chat model that the settings name, not entered yet; None if they name none."""
    if not settings.chat_model.is_set:
        return None
    from adapters.llm.openai_compatible import OpenAICompatible

    return OpenAICompatible.from_settings(settings, clock)
