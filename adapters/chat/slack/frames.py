"""The watch page in Slack's side pane: who may frame it, and what a frame sees (`bot.core.embeds`).

A frame comes with the ticket that was made for one click (`side_pane`), which is good for one page. What that sees is
the one session of the ticket, for as long as it runs and the person is not blocked.
"""

from collections.abc import Sequence
from urllib.parse import urlencode

from adapters.chat.slack.tickets import Tickets
from adapters.chat.slack.users import UserCache
from bot.commands.parser import AVATAR
from bot.core.embeds import Frame, FrameRequest, SessionGrant
from bot.core.errors import LinkInvalid, Refused
from bot.core.models import Actor
from bot.core.views import Phase, SessionView
from bot.facade import Bot

FRAME_PATH = "/slack/pane"
WATCH = (AVATAR, "watch")

CLIENTS = ("https://*.slack.com", "https://*.slack-gov.com", "https://*.slack-mcps.com")
"""What frames the page: all three, or Slack does not load it (docs.slack.dev, Work Objects embeds)."""

OPAQUE = "null"
"""The origin of Slack's sandboxed frames, unless the app's settings let them have their own."""


def frame_address(public_url: str, ticket: str) -> str:
    """The page for whoever has this ticket."""
    return f"{public_url.rstrip('/')}{FRAME_PATH}?{urlencode({'ticket': ticket})}"


class SlackFrames:
    """`bot.core.embeds.EmbedHost` for Slack."""

    name = "slack"
    path = FRAME_PATH
    opens_links = False

    def __init__(self, bot: Bot, tickets: Tickets, people: UserCache) -> None:
        self._bot = bot
        self._tickets = tickets
        self._people = people

    @property
    def frame_ancestors(self) -> Sequence[str]:
        """See `EmbedHost`."""
        return CLIENTS

    @property
    def origins(self) -> Sequence[str]:
        """See `EmbedHost`."""
        return (OPAQUE,)

    async def open(self, request: FrameRequest) -> Frame:
        """See `EmbedHost`. The ticket is exchanged when the page calls, and what it may see is asked for the first
        time."""
        ticket = self._tickets.read(request.query.get("ticket", ""))
        if (await self._view(ticket.session_id, ticket.viewer)).phase is Phase.ENDED:
            raise LinkInvalid("revoked")
        page = await self._tickets.page_for(ticket)
        claim = f"{ticket.session_id} {ticket.viewer} {ticket.nonce} {page}"
        return Frame(claim, self._bot.settings.session.max_duration)

    async def grant(self, claim: str, request: FrameRequest) -> SessionGrant:  # noqa: ARG002 - the claim says it all
        """See `EmbedHost`. Of a session that has ended: how it did."""
        session_id, viewer, nonce, page = claim.split(" ")
        view = await self._view(session_id, viewer)
        await self._tickets.call(nonce, page)
        return SessionGrant(session_id, self._people.known_name(view.channel.workspace, viewer))

    async def may_start(self, claim: str) -> bool:  # noqa: ARG002 - a frame shows one session
        """See `EmbedHost`: a pane shows one session, and no other after it."""
        return False

    async def start(self, claim: str) -> str | None:  # noqa: ARG002 - as above
        """See `EmbedHost`."""
        raise LinkInvalid("revoked")

    async def _view(self, session_id: str, viewer: str) -> SessionView:
        """The session as it is now. Raises `LinkInvalid` where there is none, or the person is blocked there."""
        view = await self._bot.sessions.view(session_id)
        if view is None or view.channel.platform != "slack":
            raise LinkInvalid("revoked")
        try:
            self._bot.commands.require(Actor("slack", viewer, viewer), view.channel, WATCH)
        except Refused:
            raise LinkInvalid("revoked") from None
        return view
