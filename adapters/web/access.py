"""What a page was opened with, and what that opens now: a watch link, or a ticket of a frame in a chat client.

It is asked anew each time: when a page connects, every few seconds while it is connected, and for each file of the
picture. Knows no page and no socket.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from adapters.web.links import SignedWatchLinks
from adapters.web.lookup import SessionLookup
from adapters.web.tickets import SignedTickets, Ticket
from bot.core.bus import Directory
from bot.core.embeds import ChannelGrant, EmbedHost, FrameRequest, SessionGrant
from bot.core.errors import LinkInvalid
from bot.core.pictures import PLAYLIST

OPAQUE = "null"
"""The origin of a frame that has none of its own (HTML standard, "opaque origin")."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What something opens now: the session with this link; none, where a channel has no avatar at the moment. follows:
    whether the next session of the channel takes its place when it is over. viewer: see `SessionGrant`."""

    nonce: str | None
    follows: bool = False
    viewer: str | None = None


class Access(Protocol):
    """What a page was opened with."""

    @property
    def key(self) -> str:
        """The same for everybody who may see the same, so that it is looked up once."""

    @property
    def is_framed(self) -> bool:
        """Whether the page is in a frame of a chat client."""

    @property
    def shows_picture(self) -> bool:
        """Whether the picture can be seen on this page at all."""

    @property
    def opens_links(self) -> bool:
        """Whether the page can open a watch link outside its frame; no other framed page is told one."""

    @property
    def media_prefix(self) -> str:
        """What the addresses of its picture begin with."""

    def media(self, picture: str) -> str:
        """Where the playlist of a picture is, relative to the page; in a frame, to the address of its socket."""

    async def look_up(self) -> Opened:
        """What it opens now. Raises `LinkInvalid`, `EmbedUnavailable`, `StoreError`."""


class LinkAccess:
    """A watch link."""

    is_framed = False
    shows_picture = True
    opens_links = False

    def __init__(self, links: SignedWatchLinks, signed: str) -> None:
        self._links = links
        self.key = signed
        self.media_prefix = f"{signed}/"

    def media(self, picture: str) -> str:
        """See `Access`."""
        return f"{self.media_prefix}media/{picture}/{PLAYLIST}"

    async def look_up(self) -> Opened:
        """See `Access`."""
        return Opened(self._links.nonce_of(self.key))


class TicketAccess:
    """A ticket of a frame."""

    is_framed = True
    media_prefix = ""

    def __init__(self, embeds: "Embeds", text: str, request: FrameRequest) -> None:
        """`request` is the one that the ticket came with."""
        self._embeds = embeds
        self._text = text
        self._request = request
        self.key = text
        self.shows_picture = embeds.show_pictures
        self.opens_links = False

    def media(self, picture: str) -> str:
        """See `Access`."""
        return f"media/{picture}/{PLAYLIST}"

    @property
    def ticket(self) -> Ticket:
        """What the ticket says now. Raises `LinkInvalid`."""
        return self._embeds.tickets.read(self._text)

    async def look_up(self) -> Opened:
        """See `Access`."""
        # What came with a request proves something of that request, and nothing of a look some time later.
        request, self._request = self._request, FrameRequest()
        ticket = self.ticket
        self.opens_links = self._embeds.host(ticket.host).opens_links
        return await self._embeds.look_up(ticket, request)

    async def may_start(self) -> bool:
        """See `EmbedHost`."""
        ticket = self.ticket
        return await self._embeds.host(ticket.host).may_start(ticket.claim)

    async def start(self) -> str | None:
        """See `EmbedHost`."""
        ticket = self.ticket
        return await self._embeds.host(ticket.host).start(ticket.claim)


class Embeds:
    """The platforms whose clients can frame the page, and what their tickets open."""

    def __init__(
        self,
        lookup: SessionLookup,
        tickets: SignedTickets,
        hosts: Sequence[EmbedHost] = (),
        *,
        show_pictures: bool = True,
        directory: Directory | None = None,
    ) -> None:
        """`show_pictures`: whether this server has the picture of every session, so that frames can play it.
        `directory` knows the sessions of other processes, where there may be any."""
        self.show_pictures = show_pictures
        self._lookup = lookup
        self._directory = directory
        self.tickets = tickets
        self._hosts: Mapping[str, EmbedHost] = {host.name: host for host in hosts}

    @property
    def hosts(self) -> Sequence[EmbedHost]:
        """The platforms."""
        return tuple(self._hosts.values())

    def host(self, name: str) -> EmbedHost:
        """A platform. Raises `LinkInvalid` if it is not there (any more)."""
        if (host := self._hosts.get(name)) is None:
            raise LinkInvalid("revoked")
        return host

    def access(self, text: str, request: FrameRequest) -> TicketAccess:
        """What a ticket opens. Raises `LinkInvalid` if it is not one of ours."""
        access = TicketAccess(self, text, request)
        self.host(access.ticket.host)
        return access

    def takes_origin(self, text: str, origin: str) -> bool:
        """Whether a frame with this ticket may have this origin; a ticket that is not good (any more) opens none."""
        try:
            return origin in self.host(self.tickets.read(text).host).origins
        except LinkInvalid:
            return False

    def is_of_a_client(self, origin: str) -> bool:
        """Whether some platform's frames have this origin, and it is one of their own."""
        return origin != OPAQUE and any(origin in host.origins for host in self._hosts.values())

    async def look_up(self, ticket: Ticket, request: FrameRequest) -> Opened:
        """What a ticket opens now. Raises `LinkInvalid`, `EmbedUnavailable`, `StoreError`."""
        match await self.host(ticket.host).grant(ticket.claim, request):
            case ChannelGrant(channel):
                nonce = self._lookup.link_in(channel)
                if nonce is None and self._directory is not None:
                    nonce = self._directory.link_in(channel)
                return Opened(nonce, follows=True)
            case SessionGrant(session_id, viewer):
                nonce = await self._lookup.link_of(session_id)
                if nonce is None:
                    raise LinkInvalid("revoked")
                return Opened(nonce, viewer=viewer)
