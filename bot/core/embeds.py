"""What a chat platform and the web server agree on so that the watch page runs in a frame inside the platform's
client: who may frame it, and what a frame may see.

Protocols and values only. The web server knows no platform: it keeps what a platform says of a frame in a ticket that
it signs, and hands it back each time it wants to know what the frame may see now. So a platform keeps nothing about
frames.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from bot.core.models import Channel


@dataclass(frozen=True, slots=True)
class ChannelGrant:
    """The picture of whichever session is in a channel, also of the next one."""

    channel: Channel


@dataclass(frozen=True, slots=True)
class SessionGrant:
    """The picture of one session. viewer: what the person is called who sees it, where that is known for certain."""

    session_id: str
    viewer: str | None = None


Grant = ChannelGrant | SessionGrant
"""What a frame may see."""


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """What a client's frame asked for: the variable parts of the path and the values of the query by name, and the
    headers, names in small letters."""

    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that may load the page.

    claim: what the platform needs to find out what the frame may see, at most 300 characters of ASCII. The page can
    read it, and cannot change it. lifetime: seconds after which it is worth nothing, whatever the platform would say.
    facts: what the page's script needs to know, as `data-` attributes of its body.
    """

    claim: str
    lifetime: float
    facts: Mapping[str, str] = field(default_factory=dict)


class EmbedHost(Protocol):
    """A chat platform whose client can frame the watch page."""

    name: str
    """What the page knows it as (`data-embed`), and the tickets."""

    path: str
    """Where its frames load the page, with variable parts such as `/embed/example/{ticket}`."""

    opens_links: bool
    """Whether its client opens an address for the page, so that the page is told the watch link. A link outlives the
    ticket of a frame, so no other page gets it."""

    @property
    def frame_ancestors(self) -> Sequence[str]:
        """The hosts of its client, as sources of a Content-Security-Policy; nothing else may frame the page."""

    @property
    def origins(self) -> Sequence[str]:
        """The origins that its frames may have besides our own: addresses without a path, or `null` for frames without
        an origin of their own. Empty while that is not known."""

    async def open(self, request: FrameRequest) -> Frame | None:
        """Whether a frame may load the page; None for a request that no frame of its client would make. Raises
        `bot.core.errors.LinkInvalid` if it may not, and `EmbedUnavailable` if that cannot be known right now."""

    async def grant(self, claim: str, request: FrameRequest) -> Grant:
        """What a frame may see at this moment; it is asked again every few seconds, and at each file of the picture, so
        whatever takes long is to be remembered for some seconds.

        claim: of a frame that `open` let in. request: what asks now; empty where nothing does. Raises as `open` does.
        """

    async def may_start(self, claim: str) -> bool:
        """Whether the person in front of the frame is known for certain, and may bring an avatar to its channel."""

    async def start(self, claim: str) -> str | None:
        """Bring an avatar to the channel of the frame, in the name of the person in front of it; the sentence that they
        read where that is not possible. Raises `bot.core.errors.AvatarRelayError`."""
