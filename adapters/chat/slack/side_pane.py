"""Somebody opens the panel's card: Slack asks for what its side pane is to show, and gets a page for that person alone.

Slack wants the answer within three seconds of the click. Whoever cannot get the page gets a sentence in the pane; where
Slack or the page itself fails, they get the watch link, once for each session: an answer of Slack says nothing about
whether the frame was let in, so the page is waited for."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from cachetools import LRUCache

from adapters.chat.slack.blocks import CommandRenamer
from adapters.chat.slack.cards import Cards
from adapters.chat.slack.client import SlackError, SlackUnavailable, WorkspaceClient
from adapters.chat.slack.frames import WATCH, frame_address
from adapters.chat.slack.outbox import Outbox, ReplyTarget
from adapters.chat.slack.strings import (
    NO_SUCH_AVATAR,
    NO_WAY_IN,
    NOT_HERE,
    OTHER_CHANNEL,
    PANE_FAILED,
    PANE_IS_OFF,
)
from adapters.chat.slack.tickets import IssuedTicket, Tickets
from adapters.chat.slack.users import UserCache
from adapters.chat.slack.work_object import Json, dropped_because, pane_of, refusal, session_of
from bot import sentences
from bot.core.errors import AvatarRelayError, Refused, StoreError
from bot.core.models import Channel
from bot.core.tasks import TaskSet
from bot.core.unexpected import report_unexpected
from bot.core.views import Phase, Reply, SessionView, Visibility
from bot.facade import Bot

log = structlog.get_logger(__name__)

OPENED_WITHIN = 8.0
"""Seconds from Slack's answer to the page's first call, after which the person gets the link: our choice."""

MAX_TOLD = 5000
"""People of whom it is remembered that they got the link, and which page they were given last."""

SWITCHED_OFF = frozenset({"feature_not_enabled", "missing_interactivity_url"})
"""Errors that concern the app in this workspace and not the one click (docs.slack.dev, entity.presentDetails)."""


@dataclass(frozen=True, slots=True)
class DetailsRequest:
    """A click. reference: the entity's `external_ref`. channel: where the message with the card stands; its id is
    empty where Slack names none. team: whom the person belongs to, as far as the event says."""

    workspace: WorkspaceClient
    channel: Channel
    user: str
    team: str | None
    trigger_id: str
    reference: object


@dataclass(frozen=True, slots=True)
class Answer:
    """What the pane shows: `arguments` of `entity.presentDetails`. view, ticket: the session, where it can be watched,
    and the way in that was made for it."""

    arguments: Json
    view: SessionView | None = None
    ticket: IssuedTicket | None = None


class SidePane:
    """Answers clicks on the cards of panels."""

    def __init__(
        self, bot: Bot, cards: Cards, tickets: Tickets, people: UserCache, outbox: Outbox, wording: CommandRenamer
    ) -> None:
        self._bot = bot
        self._cards = cards
        self._tickets = tickets
        self._people = people
        self._outbox = outbox
        self._wording = wording
        self._work = TaskSet()
        self._told: LRUCache[tuple[str, str], bool] = LRUCache(MAX_TOLD)
        self._newest: LRUCache[tuple[str, str], IssuedTicket] = LRUCache(MAX_TOLD)

    def requested(self, request: DetailsRequest) -> None:
        """Somebody has clicked."""
        self._work.create_task(self._present(request), name="slack side pane")

    async def close(self) -> None:
        """End what is still under way."""
        await self._work.close()

    async def _present(self, request: DetailsRequest) -> None:
        answer = await self._answer(request)
        is_taken = await self._hand_over(request, answer.arguments)
        if answer.view is None or (is_taken and answer.ticket is None):
            return
        key = (answer.view.session_id, request.user)
        if is_taken and answer.ticket is not None:
            self._newest[key] = answer.ticket
            # Of a second click, or one that Slack brought again, the pane shows the newer page.
            if await self._is_opened(answer.ticket) or self._newest.get(key) is not answer.ticket:
                return
            log.info("a page in Slack's side pane was never opened", session=answer.view.session_id)
        await self._give_link(request, answer.view.session_id)

    async def _answer(self, request: DetailsRequest) -> Answer:
        try:
            return await self._decide(request)
        except Refused as refused:
            return self._refused(NO_WAY_IN, str(refused))
        except AvatarRelayError as error:
            sentence, reference = sentences.failure(error)
            log.error("the side pane could not be filled", reference=reference, error=str(error))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, who clicked must read something (rule 10)
            sentence, reference = sentences.failure(AvatarRelayError("unexpected"))
            report_unexpected("the side pane could not be filled", error, told=reference)
        return self._refused(NOT_HERE, sentence)

    async def _decide(self, request: DetailsRequest) -> Answer:
        """What the person gets. Raises `Refused` where they may not watch, and other `AvatarRelayError`s."""
        session_id = session_of(request.reference)
        view = None if session_id is None else await self._bot.sessions.view(session_id)
        if view is None or view.channel.platform != "slack":
            return self._refused(NOT_HERE, NO_SUCH_AVATAR)
        # A card can be forwarded; who sees it in its own channel is in that channel, and nobody else surely is.
        if view.channel != request.channel:
            return self._refused(NOT_HERE, OTHER_CHANNEL)
        actor = await self._people.actor(request.workspace, request.user, request.team)
        self._bot.commands.require(actor, view.channel, WATCH)
        if view.phase is Phase.ENDED:
            return Answer({"metadata": pane_of(view, self._cards.public_url, None, self._wording)})
        if not self._cards.are_offered(view.channel.workspace):
            return self._refused(NOT_HERE, PANE_IS_OFF, view)
        ticket = self._tickets.issue(view.session_id, request.user)
        page = frame_address(self._cards.public_url, ticket.text)
        return Answer({"metadata": pane_of(view, self._cards.public_url, page, self._wording)}, view, ticket)

    def _refused(self, title: str, sentence: str, view: SessionView | None = None) -> Answer:
        """A sentence in the pane, which shows no code."""
        return Answer({"error": refusal(title, self._wording(sentence).replace("`", ""))}, view)

    async def _hand_over(self, request: DetailsRequest, arguments: Json) -> bool:
        """Answer Slack. False where it did not take the answer, or not the page in it."""
        workspace = request.workspace
        try:
            taken = await workspace.call("entity.presentDetails", trigger_id=request.trigger_id, **arguments)
        except SlackError as error:
            log.warning("Slack's side pane was not filled", error=error.error)
            if error.error in SWITCHED_OFF:
                self._cards.give_up(request.channel.workspace, error.error)
            return False
        except SlackUnavailable as error:
            log.warning("Slack's side pane was not filled", error=str(error))
            return False
        return not self._is_dropped(taken)

    def _is_dropped(self, taken: Mapping[str, Any]) -> bool:
        if (why := dropped_because(taken)) is not None:
            log.warning("Slack's side pane was not filled", error=why)
        return why is not None

    async def _is_opened(self, ticket: IssuedTicket) -> bool:
        """Wait until the page has called home. False if it does not in time."""
        opening = asyncio.ensure_future(ticket.opened.wait())
        patience = asyncio.ensure_future(self._bot.clock.sleep(OPENED_WITHIN))
        try:
            await asyncio.wait({opening, patience}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (opening, patience):
                task.cancel()
            await asyncio.gather(opening, patience, return_exceptions=True)
        return ticket.opened.is_set()

    async def _give_link(self, request: DetailsRequest, session_id: str) -> None:
        """Give the person the link, if the session still has one and they did not get it before."""
        key = (session_id, request.user)
        try:
            view = await self._bot.sessions.view(session_id)
        except StoreError as error:
            log.error("a link could not be given", error=str(error))
            return
        if key in self._told or view is None or view.watch_url is None:
            return
        self._told[key] = True
        target = ReplyTarget(view.channel, request.user, team=request.team)
        self._outbox.reply_ephemeral(target, Reply(PANE_FAILED, Visibility.PRIVATE, link=view.watch_url))
