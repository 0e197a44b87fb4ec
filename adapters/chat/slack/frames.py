"""The watch page in Slack's side pane: who may frame it, and what a frame sees (`bot.core.embeds`).

A frame comes with the ticket that was made for one click (`side_pane`), which is good for one page. What that sees is
the one session of the ticket, for as long as it runs and the person is not blocked.
"""

import asyncio
from collections.abc import Sequence
from urllib.parse import urlencode

import structlog
from cachetools import TTLCache

from adapters.chat.slack.tickets import Tickets
from adapters.chat.slack.users import UserCache
from adapters.chat.slack.workspaces import Workspaces
from bot.commands.parser import AVATAR
from bot.core.embeds import Frame, FrameRequest, SessionGrant
from bot.core.errors import LinkInvalid, Refused
from bot.core.models import Actor
from bot.core.views import Phase, SessionView
from bot.facade import Bot

log = structlog.get_logger(__name__)

FRAME_PATH = "/slack/pane"
WATCH = (AVATAR, "watch")

CLIENTS = ("https://*.slack.com", "https://*.slack-gov.com", "https://*.slack-mcps.com")
"""What frames the page: all three, or Slack does not load it (docs.slack.dev, Work Objects embeds)."""

ASKED_WITHIN = 2.0
"""Seconds of real time in which Slack says what somebody is called; the page waits for it."""

ASK_EVERY = 60.0
"""Seconds until it is asked again about somebody of whom it did not say it."""

MAX_ASKED = 1000
"""People of whom that is remembered."""

OPAQUE = "null"
"""The origin of Slack's sandboxed frames, unless the app's settings let them have their own."""


def frame_address(public_url: str, ticket: str) -> str:
    """The page for whoever has this ticket."""
    return f"{public_url.rstrip('/')}{FRAME_PATH}?{urlencode({'ticket': ticket})}"


class SlackFrames:
    """`bot.core.embeds.EmbedHost` for Slack. workspaces: where people are looked up, once they are known."""

    name = "slack"
    path = FRAME_PATH
    opens_links = False

    def __init__(self, bot: Bot, tickets: Tickets, people: UserCache) -> None:
        self._bot = bot
        self._tickets = tickets
        self._people = people
        self._asked: TTLCache[tuple[str, str], None] = TTLCache(MAX_ASKED, ASK_EVERY, timer=bot.clock.monotonic)
        self.workspaces: Workspaces | None = None

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
        return SessionGrant(session_id, await self._name_of(view.channel.workspace, viewer))

    async def may_start(self, claim: str) -> bool:  # noqa: ARG002 - a frame shows one session
        """See `EmbedHost`: a pane shows one session, and no other after it."""
        return False

    async def start(self, claim: str) -> str | None:  # noqa: ARG002 - as above
        """See `EmbedHost`."""
        raise LinkInvalid("revoked")

    async def _name_of(self, team_id: str, viewer: str) -> str | None:
        """What somebody is called; None where Slack does not say it now. They may have asked for the page at another
        process, so that this one has not heard of them."""
        known = self._people.known_name(team_id, viewer)
        if known is not None or (team_id, viewer) in self._asked or self.workspaces is None:
            return known
        self._asked[team_id, viewer] = None
        try:
            async with asyncio.timeout(ASKED_WITHIN):
                if (workspace := await self.workspaces.find(team_id)) is not None:
                    await self._people.person(workspace, viewer)
        except TimeoutError:
            log.info("Slack did not say in time what somebody is called who watches")
        return self._people.known_name(team_id, viewer)

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
