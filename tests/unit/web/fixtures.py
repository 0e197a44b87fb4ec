"""The sessions in memory and everything around it that a watch page needs, for the unit tests and the browser tests."""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from adapters.web import Embeds, SignedTickets, SignedWatchLinks, WebServer
from bot.core.audience import Audiences
from bot.core.bus import Cluster
from bot.core.embeds import ChannelGrant, EmbedHost, Frame, FrameRequest, Grant
from bot.core.errors import LinkInvalid
from bot.core.events import EventBus, SessionChanged, WordsSpoken
from bot.core.models import Channel, RoomAccess, Word
from bot.core.pictures import MediaFile, PlaylistPosition
from bot.core.ports import Clock
from bot.core.views import Phase, SessionView
from bot.streams.page_bridge import PageBridge
from tests.builders import a_session_view

NONCE = "nonce-of-link"
CHANNEL = Channel("console", "home", "channel-4711")
PATIENCE = 5.0
"""Seconds for what takes milliseconds on a machine that is not busy."""


def view_of(ends_at: datetime, **changes: object) -> SessionView:
    """A live session, with some of it different."""
    mine: dict[str, Any] = {
        "session_id": "session-815",
        "channel": CHANNEL,
        "avatar": "Town crier",
        "started_by_name": "The host",
        "queue_length": 2,
        "watch_url": "https://watch.example/w/secret-link",
    }
    return a_session_view(ends_at=ends_at, **(mine | changes))


class MemoryLookup:
    """Knows the sessions it was told of, and counts how often it was asked."""

    def __init__(self) -> None:
        self.views: dict[str, SessionView] = {}
        self.asked = 0
        self.failure: Exception | None = None
        self.open: dict[Channel, str] = {}
        self.doors: Iterator[RoomAccess] | None = None
        self.closed_door: Exception | None = None

    async def view_by_link(self, link_nonce: str) -> SessionView | None:
        self.asked += 1
        if self.failure is not None:
            raise self.failure
        return self.views.get(link_nonce)

    async def room_access(self, link_nonce: str) -> RoomAccess | None:
        if self.closed_door is not None:
            raise self.closed_door
        if self.doors is None or link_nonce not in self.views:
            return None
        return next(self.doors)

    def link_in(self, channel: Channel) -> str | None:
        return self.open.get(channel)

    async def link_of(self, session_id: str) -> str | None:
        return next((nonce for nonce, view in self.views.items() if view.session_id == session_id), None)


class MemoryPictures:
    """The files it was given: link, picture and name -> a file, or why there is none."""

    def __init__(self) -> None:
        self.files: dict[tuple[str, str, str], MediaFile | Exception] = {}
        self.asked: list[tuple[str, PlaylistPosition | None]] = []

    async def fetch(
        self, link_nonce: str, picture: str, name: str, after: PlaylistPosition | None = None
    ) -> MediaFile | None:
        self.asked.append((name, after))
        found = self.files.get((link_nonce, picture, name))
        if isinstance(found, Exception):
            raise found
        return found


class MemoryHost:
    """A platform whose client frames the page at `/frame?of=CLAIM`: it grants what it was told, and counts how often it
    was asked."""

    name = "example"
    path = "/frame"
    opens_links = True

    def __init__(self, *, origins: tuple[str, ...] = ("https://frames.example",)) -> None:
        self.origins = origins
        self.frame_ancestors = ("https://client.example", "https://*.client.example")
        self.grants: dict[str, Grant | Exception] = {"channel": ChannelGrant(CHANNEL)}
        self.facts = {"client-id": "4711"}
        self.lifetime = 600.0
        self.asked: list[FrameRequest] = []
        self.starters: set[str] = set()
        self.refusal: str | None = None
        self.started: list[str] = []

    async def open(self, request: FrameRequest) -> Frame | None:
        claim = request.query.get("of")
        if claim is None:
            return None
        await self.grant(claim, request)
        return Frame(claim, self.lifetime, self.facts)

    async def grant(self, claim: str, request: FrameRequest) -> Grant:
        self.asked.append(request)
        grant = self.grants.get(claim, LinkInvalid("revoked"))
        if isinstance(grant, Exception):
            raise grant
        return grant

    async def may_start(self, claim: str) -> bool:
        return claim in self.starters

    async def start(self, claim: str) -> str | None:
        self.started.append(claim)
        return self.refusal


class Watching:
    """A web server with one session, whose link and events the test holds in its hands."""

    def __init__(
        self,
        clock: Clock,
        *,
        lifetime: float = 3600.0,
        media_sources: tuple[str, ...] = ("https:",),
        port: int = 0,
        hosts: Sequence[EmbedHost] = (),
        shows_in_frames: bool = True,
        cluster: Cluster | None = None,
    ) -> None:
        """`hosts`: the platforms whose clients frame the page. `cluster`: the other processes."""
        self.clock = clock
        self._cluster = cluster
        self._hosts = hosts
        self._shows_in_frames = shows_in_frames
        self.tickets = SignedTickets(SecretStr("a secret of some length"), clock)
        self.lookup = MemoryLookup()
        self.event_bus = EventBus()
        self.audiences = Audiences(clock, are_required=False)
        self.registry = CollectorRegistry()
        self.seats = PageBridge()
        self.pictures = MemoryPictures()
        self.readiness: dict[str, str | None] = {"store": None}
        self.links = SignedWatchLinks(
            SecretStr("a secret of some length"), "https://watch.example", lifetime=lifetime, clock=clock
        )
        self.media_sources = media_sources
        self.server = self.make_server(port)
        self.base = ""
        self.view = view_of(clock.now() + timedelta(minutes=12))
        self.lookup.views[NONCE] = self.view
        self.lookup.open[CHANNEL] = NONCE

    def make_server(self, port: int = 0) -> WebServer:
        """Another server over the same sessions, as after a restart."""
        return WebServer(
            self.lookup,
            self.event_bus,
            self.audiences,
            self.links,
            self.clock,
            host="127.0.0.1",
            port=port,
            media_sources=self.media_sources,
            image_sources=self.media_sources,
            readiness=self._ready,
            registry=self.registry,
            pictures=self.pictures,
            seats=self.seats,
            embeds=Embeds(
                self.lookup,
                self.tickets,
                self._hosts,
                show_pictures=self._shows_in_frames,
                directory=self._cluster.directory if self._cluster else None,
            ),
            cluster=self._cluster,
        )

    async def start(self) -> None:
        self.base = await self.server.start()

    async def stop(self) -> None:
        await self.server.stop()

    @property
    def signed(self) -> str:
        """The signed id of the session's link."""
        url = self.links.url(NONCE)
        assert url is not None
        return url.rsplit("/", 1)[1]

    @property
    def page(self) -> str:
        """The address of the watch page on this machine."""
        return f"{self.base}/w/{self.signed}"

    def change(self, **changes: object) -> None:
        """The session is different now, and everybody is told."""
        self.view = replace(self.view, **changes)  # type: ignore[arg-type]  # the caller names fields of the view
        self.lookup.views[NONCE] = self.view
        self.event_bus.publish(SessionChanged(self.view))

    def open_room(self, door: RoomAccess, *more: RoomAccess, phase: Phase = Phase.LIVE) -> None:
        """There is a room to enter: the same door each time, or one after the other where there are more."""
        self.lookup.doors = itertools.repeat(door) if not more else itertools.chain([door], more)
        self.change(has_room=True, phase=phase)

    def close_room(self, phase: Phase = Phase.WAITING_FOR_TEXT) -> None:
        """The stream is over."""
        self.lookup.doors = None
        self.change(has_room=False, phase=phase)

    def speak(self, text: str, *, at: datetime | None = None, pace: float = 0.25) -> None:
        """The avatar says `text`, one word every `pace` seconds from `at` (now) on."""
        start = (at or self.clock.now()).timestamp()
        words = tuple(Word(word, start + n * pace, start + (n + 1) * pace) for n, word in enumerate(text.split()))
        self.event_bus.publish(WordsSpoken(self.view.session_id, words))

    def next_session(self, nonce: str, **changes: object) -> None:
        """Another session is in the channel now."""
        self.view = view_of(self.clock.now() + timedelta(minutes=12), session_id=f"session of {nonce}", **changes)
        self.lookup.views[nonce] = self.view
        self.lookup.open[CHANNEL] = nonce

    def leave_channel(self) -> None:
        """No session is in the channel any more; the last one is over."""
        self.change(phase=Phase.ENDED, ended="Stopped with `/avatar stop`.")
        del self.lookup.open[CHANNEL]

    def revoke(self) -> None:
        """The link opens nothing any more."""
        del self.lookup.views[NONCE]

    async def _ready(self) -> dict[str, str | None]:
        return self.readiness


async def eventually(true: Callable[[], bool]) -> None:
    """Wait until something is so that only the network brings about."""
    async with asyncio.timeout(PATIENCE):
        while not true():  # noqa: ASYNC110  there is nothing to wait for but the network
            await asyncio.sleep(0.005)
