"""The core wired together, in the one way there is: for the program, for the tests and for the benchmarks alike.

Makes no store, no provider and no platform (`bot.app` does) and starts no task.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from bot.access.permissions import AccessLists, Permissions
from bot.access.quotas import Limits, Quotas, limits_of
from bot.cluster.alone import alone
from bot.cluster.pictures import ClusterPictures
from bot.commands.router import CommandRouter
from bot.core.audience import Audiences
from bot.core.bus import Cluster
from bot.core.errors import SettingsError
from bot.core.events import EventBus
from bot.core.outlets import OutletsByPlatform
from bot.core.pictures import PictureSourceFactory, PictureSources
from bot.core.policy import SessionPolicy
from bot.core.ports import AvatarProvider, Capabilities, ChatModel, Clock, WatchLinks
from bot.core.precedence import Precedence
from bot.relay import Relay
from bot.services import Services
from bot.sessions.jobs import AUDIT_DAYS, PeriodicJobs
from bot.sessions.pictures import SessionPictures
from bot.sessions.recovery import SessionRecovery
from bot.sessions.registry import SessionRegistry
from bot.settings import NeedsViewer, RelayMode, Settings
from bot.store.store import Store
from bot.streams.accounting import show_counters
from bot.streams.catalogue import Catalogue
from bot.streams.opening_times import OpeningTimes
from bot.streams.pictures import StreamPictures
from bot.streams.streams import StreamCloser


@dataclass(frozen=True, slots=True)
class CoreOptions:
    """What the operator decides. user_rate: messages a minute from each person; user_characters: characters a minute;
    0 sets no limit. audit_days: how long the audit is kept, 0 for ever."""

    policy: SessionPolicy = field(default_factory=SessionPolicy)
    access: AccessLists = field(default_factory=AccessLists)
    limits: Limits = field(default_factory=Limits)
    relay: RelayMode = RelayMode.MENTIONS
    user_rate: int = 0
    user_characters: int = 0
    audit_days: int = AUDIT_DAYS


@dataclass(frozen=True, slots=True)
class Core:
    """The shared core: `commands` and `relay` take in what people do, `sessions` knows which avatars are where,
    `recovery` takes up those that nobody has, `jobs` are to be run beside them, `pictures` are what people watch, and
    all sessions share `services`."""

    services: Services
    sessions: SessionRegistry
    recovery: SessionRecovery
    permissions: Permissions
    quotas: Quotas
    relay: Relay
    commands: CommandRouter
    jobs: PeriodicJobs
    pictures: PictureSources


@asynccontextmanager
async def build_core(
    provider: AvatarProvider,
    chat_model: ChatModel | None,
    store: Store,
    links: WatchLinks,
    clock: Clock,
    options: CoreOptions,
    picture_factories: Sequence[PictureSourceFactory] = (),
    cluster: Cluster | None = None,
) -> AsyncIterator[Core]:
    """Wire the core over what is already open. It has recovered nothing yet (`SessionRecovery.recover`).

    picture_factories: what makes pictures that the bot serves itself; none lets pages play what a provider shows.
    cluster: the other processes on the database; without it there is none.

    At the end no task of it is left; sessions that were not shut down stay open at the provider and in the store, for
    the next start. Raises `StoreError` if the list of blocked people cannot be read.
    """
    show_counters(provider.name)
    closer = StreamCloser(provider, store, clock)
    precedence = Precedence(clock)
    services = Services(
        provider,
        chat_model,
        store,
        closer,
        EventBus(),
        Audiences(clock, are_required=options.policy.needs_viewer),
        links,
        clock,
        options.policy,
        Catalogue(provider, clock),
        OpeningTimes(),
        StreamPictures(picture_factories, clock, precedence),
        OutletsByPlatform(),
        cluster or alone(store),
        precedence,
    )
    sessions = SessionRegistry(services)
    recovery = SessionRecovery(sessions)
    permissions = Permissions(options.access)
    permissions.set_blocks(await store.blocks.everybody())
    quotas = Quotas(store, clock, options.limits, provider.capabilities)
    relay = Relay(
        sessions,
        permissions,
        clock,
        rule=options.relay,
        user_rate=options.user_rate,
        user_characters=options.user_characters,
    )
    commands = CommandRouter(sessions, relay, permissions, closer, quotas)
    jobs = PeriodicJobs(sessions, permissions, quotas, audit_days=options.audit_days)
    others = services.cluster
    pictures = ClusterPictures(SessionPictures(sessions), others.bus, others.directory, clock)
    try:
        yield Core(services, sessions, recovery, permissions, quotas, relay, commands, jobs, pictures)
    finally:
        await pictures.aclose()
        await sessions.abandon_all()
        await recovery.close()
        await services.pictures.aclose()
        await closer.stop()


def options_from(settings: Settings, capabilities: Capabilities, *, has_watch_page: bool) -> CoreOptions:
    """What the operator decides, as the settings have it, for a provider with these capabilities.

    `has_watch_page`: links lead to our own page, so that it is known who watches. Raises `SettingsError`.
    """
    avatar, session, access = settings.avatar, settings.session, settings.access
    policy = SessionPolicy(
        avatar=avatar.id,
        voice=avatar.voice_id,
        quality=avatar.quality,
        knowledge=avatar.knowledge,
        greeting=avatar.greeting,
        mode=session.mode,
        idle_timeout=session.idle_timeout,
        idle_warning=session.idle_warning,
        idle_ceiling=max(session.idle_ceiling, session.idle_timeout),
        unwatched_timeout=session.unwatched_timeout,
        needs_viewer=needs_viewer(session.needs_viewer, has_watch_page=has_watch_page),
        stream_linger=capabilities.linger if settings.stream.linger is None else settings.stream.linger,
        max_duration=session.max_duration,
        queue_limit=settings.queue_limit,
        queue_max_age=settings.queue_max_age,
        exclusive_key=avatar.key_exclusive,
    )
    lists = AccessLists(
        operators=frozenset(settings.admin_users),
        admins=frozenset(access.admins),
        hosts=frozenset(access.hosts),
        speakers=frozenset(access.speakers),
        channels_allowed=frozenset(access.channels_allowed),
        channels_denied=frozenset(access.channels_denied),
    )
    return CoreOptions(
        policy,
        lists,
        limits_of(settings),
        session.relay,
        settings.user_rate,
        settings.limit.user_characters,
        settings.audit_days,
    )


def needs_viewer(choice: NeedsViewer, *, has_watch_page: bool) -> bool:
    """Whether nothing is said while nobody watches. Raises `SettingsError` where nobody could ever be seen watching."""
    if choice is NeedsViewer.ALWAYS and not has_watch_page:
        raise SettingsError(
            "SESSION_NEEDS_VIEWER is always, but WEB_PUBLIC_URL is not set: watch links lead to the avatar service, so "
            "nobody can be seen watching, and nothing would ever be said. Set WEB_PUBLIC_URL, or leave "
            "SESSION_NEEDS_VIEWER empty."
        )
    return has_watch_page and choice is not NeedsViewer.NEVER
