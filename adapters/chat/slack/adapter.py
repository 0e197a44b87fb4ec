"""Slack as a chat platform: puts the parts together, connects, and shows what happens in the sessions.

Decides nothing about avatars: what people ask goes through `listeners` and `handlers` to the core, what the core tells
goes through `panels`, `reactions` and `outbox` to Slack."""

import asyncio
import json
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

import structlog
from slack_bolt.authorization import AuthorizeResult
from slack_sdk.web.async_client import AsyncWebClient

from adapters import network
from adapters.chat.keyed_queue import KeyedTaskQueue
from adapters.chat.slack import missing_settings
from adapters.chat.slack.app import App
from adapters.chat.slack.blocks import CommandRenamer
from adapters.chat.slack.cards import Cards, card_page
from adapters.chat.slack.client import quiet_logger, web_client
from adapters.chat.slack.events import RETRY_HEADER, answered_in, ts_of
from adapters.chat.slack.frames import SlackFrames
from adapters.chat.slack.handlers import EventHandlers
from adapters.chat.slack.home import Home
from adapters.chat.slack.http_mode import EventsEndpoint, is_slacks
from adapters.chat.slack.installation_store import Installations
from adapters.chat.slack.lifecycle import AppLifecycle
from adapters.chat.slack.listeners import Listeners
from adapters.chat.slack.manifest import EVENTS_PATH, INSTALL_PATH, REDIRECT_PATH, uses_http
from adapters.chat.slack.modal import Modals
from adapters.chat.slack.oauth import InstallPages
from adapters.chat.slack.origins import Origins
from adapters.chat.slack.outbox import Outbox
from adapters.chat.slack.panels import Panels
from adapters.chat.slack.reactions import Reactions
from adapters.chat.slack.routing import Routing
from adapters.chat.slack.side_pane import SidePane
from adapters.chat.slack.socket_mode import SocketModeConnections
from adapters.chat.slack.tickets import Tickets
from adapters.chat.slack.users import UserCache
from adapters.chat.slack.work_object import CARD_PATH
from adapters.chat.slack.workspaces import Workspaces
from bot.core.events import LeftUnsaid, Notice, NoticeKind, SessionChanged, SessionEvent, UtteranceChanged
from bot.core.models import Session
from bot.facade import Bot, EmbedHost, WebRoute
from bot.settings import AnswerPlacement, EmbedChoice, Settings, web_secret

log = structlog.get_logger(__name__)

DRAIN_TIMEOUT = 2.0
"""Seconds of real time for what is still to be shown when the program ends."""

_SHOWN_BY_THE_PANEL = (NoticeKind.LIVE, NoticeKind.WAITING)

CHANNELS_AT_ONCE = 8
"""Channels whose work goes on at the same time: what a hundred people ask at once must not hold up the acknowledgement
of the hundredth."""


class SlackAdapter:
    """The Slack adapter."""

    name = "slack"

    @classmethod
    def missing_settings(cls, settings: Settings) -> str | None:
        """What has to be set before Slack can be used."""
        return missing_settings(settings)

    def __init__(self, bot: Bot) -> None:
        self._bot = bot
        self._settings = bot.settings
        slack = self._settings.slack
        self._store = bot.sessions.services.store
        secret = slack.signing_secret
        self._web = (
            EventsEndpoint(secret.get_secret_value(), bot.clock) if uses_http(self._settings) and secret else None
        )
        self._installations, self._pages = None, None
        if slack.client_id:
            self._installations = Installations(self._store, web_secret(self._settings))
            self._pages = InstallPages(self._settings, self._store, bot.clock)
        self._tickets = Tickets(web_secret(self._settings), bot.clock, self._store.tickets, bot.cluster.bus)
        is_framed = slack.embed is EmbedChoice.AUTO and bot.shows_in_frames
        self._people = UserCache(bot.clock)
        self._frames = SlackFrames(bot, self._tickets, self._people) if is_framed else None
        self.embed: EmbedHost | None = self._frames
        self._sockets: SocketModeConnections | None = None
        self._is_up = False

    @property
    def routes(self) -> Sequence[WebRoute]:
        """What Slack, and browsers that install the app, ask for on our web server."""
        routes = [WebRoute("POST", EVENTS_PATH, self._web.handle)] if self._web else []
        if self._pages:
            routes += [
                WebRoute("GET", INSTALL_PATH, self._pages.install),
                WebRoute("GET", REDIRECT_PATH, self._pages.redirect),
            ]
        if self._settings.slack.embed is EmbedChoice.AUTO:
            routes.append(WebRoute("GET", CARD_PATH, card_page))
        return routes

    @property
    def unhealthy_reason(self) -> str | None:
        """Why messages cannot come in right now."""
        if not self._is_up:
            return "not connected to Slack"
        return self._sockets.unhealthy_reason if self._sockets else None

    # --- life --------------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        bot, wording = self._bot, CommandRenamer(self._settings.slack.command)
        self._session = network.session()
        self._incoming, self._outgoing = (
            KeyedTaskQueue("slack in", at_once=CHANNELS_AT_ONCE),
            KeyedTaskQueue("slack out"),
        )
        self._lifecycle = AppLifecycle(bot.sessions)
        self._workspaces = Workspaces(
            self._settings.slack, self._session, self._installations, bot.clock, self._lifecycle.token_is_useless
        )
        self._lifecycle.workspaces = self._workspaces
        if self._frames is not None:
            self._frames.workspaces = self._workspaces
        self._outbox = Outbox(self._outgoing, self._workspaces, self._session, wording)
        self._reactions = Reactions(self._workspaces, bot.clock, bot.sessions.services.precedence)
        self._handlers = EventHandlers(
            bot, self._incoming, self._workspaces, self._people, self._outbox, self._reactions
        )
        cards = Cards(self._settings, shows_in_frames=bot.shows_in_frames)
        self._panels = Panels(bot, self._outgoing, self._workspaces.find, wording, cards, self._handlers.cannot_show)
        cards.on_give_up = self._panels.redraw
        bot.cluster.claims.when_claimed("slack", self._go_on)
        bot.cluster.claims.when_ended("slack", self._take_up_left)
        bot.cluster.claims.before_release("slack", self._panels.let_go)
        self._side_pane = SidePane(bot, cards, self._tickets, self._people, self._outbox, wording)
        self._listeners = Listeners(
            self._settings,
            bot.clock,
            self._workspaces,
            Origins(self._workspaces, bot.sessions),
            self._handlers,
            self._people,
            self._panels,
            self._side_pane,
            Modals(bot, self._workspaces, self._outbox),
            Home(bot, wording),
            self._lifecycle,
            self._outbox,
        )
        self._app = self._make_app()
        self._listeners.listen(self._app)
        self._routing = Routing(self._app, bot.cluster, self._outbox, bot.clock, bot.settings.session.relay)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Say what is still to be said, then disconnect."""
        self._is_up = False
        self._routing.end()
        await self._routing.close()
        await self._listeners.close()
        await self._side_pane.close()
        self._tickets.close()
        await self._incoming.close()
        self._panels.hurry()
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT):
                await self._panels.drained()
                await self._outgoing.idle()
                await self._reactions.drained()
        except TimeoutError:
            log.warning("Slack is too slow: something was not shown before the end")
        await self._panels.close()
        await self._reactions.close()
        await self._outgoing.close()
        await self._lifecycle.close()
        await self._session.close()

    async def run(self) -> None:
        """Connect and serve. Raises `SettingsError` for a token that is not accepted, or no longer.

        May be called again after it failed: what has come in is still handled, and what goes out waits in its queues.
        """
        try:
            await self._serve()
        except Exception:
            # Who is not listened to must not be told that they were heard: Slack brings events again.
            self._is_up, self._sockets = False, None
            if self._web is not None:
                self._web.app = None
            raise

    async def _serve(self) -> None:
        await self._workspaces.sign_in()
        if self._pages:
            self._pages.workspaces, self._pages.session = self._workspaces, self._session
        self._panels.restore()
        self._routing.begin()
        if self._web is not None:
            self._web.app = self._routing
            self._is_up = True
            await self._lifecycle.wait_fatal()
            return
        app_token = self._settings.slack.app_token
        assert app_token is not None  # noqa: S101 - `missing` has asked for it
        client = web_client(app_token.get_secret_value(), self._settings.slack.api_url, self._session)
        self._sockets = SocketModeConnections(
            client, self._session, self._bot.clock, self._answer_envelope, number=self._settings.slack.sockets
        )
        self._is_up = True
        serving = asyncio.ensure_future(self._sockets.run())
        failing = asyncio.ensure_future(self._lifecycle.wait_fatal())
        try:
            await asyncio.wait([serving, failing], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (serving, failing):
                task.cancel()
            ended = await asyncio.gather(serving, failing, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception):
                raise error
        raise RuntimeError("the connections to Slack have ended, and nobody asked them to")

    def _make_app(self) -> App:
        """Bolt, with what we do ourselves switched off: signatures come before it, and our own messages are ignored by
        the listeners, which look at them first.

        `process_before_response`: by itself bolt acknowledges an event before the listener has seen it, and a crash in
        between would lose it. The listeners of commands acknowledge first and return at once.

        Bolt reads variables that are ours too: with `SLACK_CLIENT_ID` and `SLACK_CLIENT_SECRET` it makes an OAuth flow
        of its own, which only its own server would ever ask. Whose something is decide the listeners, with `Origins`:
        bolt would acknowledge what it cannot place, and nobody would ever hear of it.
        """
        return App(
            name="avatar-relay",
            logger=quiet_logger,
            client=AsyncWebClient(base_url=f"{self._settings.slack.api_url.rstrip('/')}/", logger=quiet_logger),
            authorize=_authorize,
            process_before_response=True,
            request_verification_enabled=False,
            ssl_check_enabled=False,
            ignoring_self_events_enabled=False,
            attaching_function_token_enabled=False,
            attaching_conversation_kwargs_enabled=False,
        )

    async def _answer_envelope(self, envelope: dict[str, Any]) -> dict[str, Any] | None:
        """Hand a Socket Mode envelope to the app, and return what it is acknowledged with; None if it is not."""
        payload = envelope.get("payload")
        if not isinstance(payload, dict) or not is_slacks(payload):
            log.warning("Slack sent something that cannot be read", kind=str(envelope.get("type")))
            return {}
        headers = {RETRY_HEADER: str(envelope.get("retry_attempt", 0))}
        answer = await self._routing.answer(payload, headers, mode="socket_mode")
        if answer.status >= 500:
            return None
        if answer.status != 200:
            log.info("Slack sent something that nobody listens to", kind=str(envelope.get("type")))
            return {}
        body = json.loads(answer.body) if answer.body.startswith("{") else {}
        return body if isinstance(body, dict) else {}

    async def _go_on(self, sessions: Sequence[Session]) -> None:
        """Sessions were claimed that another process had."""
        self._panels.take_up_left(session.id for session in sessions)

    async def _take_up_left(self) -> None:
        self._panels.take_up_left()

    # --- showing -----------------------------------------------------------------------------------------------------

    async def show(self, event: SessionEvent) -> None:
        """Show what happened in a channel."""
        match event:
            case SessionChanged(view=view):
                self._panels.show(view)
            case UtteranceChanged():
                self._show_utterance(event)
            case Notice(channel=channel, session_id=session_id, reply=reply, occasion=occasion):
                say = partial(self._outbox.post, channel, reply, session_id=session_id)
                if occasion is NoticeKind.ENDED:
                    self._panels.after_the_last(session_id, say)
                elif occasion not in _SHOWN_BY_THE_PANEL:
                    say()
            case LeftUnsaid(channel=channel, people=people, delivery=delivery):
                for words in people:
                    asker = self._handlers.asker(channel, words.person.partition(":")[2])
                    self._outbox.reply_ephemeral(asker, words.reply, delivery)
            case _:
                pass

    def _show_utterance(self, event: UtteranceChanged) -> None:
        session, utterance = self._settings.session, event.utterance
        if session.reactions:
            self._reactions.show(event.channel, utterance, event.delivery)
        if not event.answer or not utterance.state.is_final or session.answers is AnswerPlacement.OFF:
            return
        thread = answered_in(utterance.message_id)
        if session.answers is AnswerPlacement.THREAD and thread is None:
            thread = ts_of(utterance.message_id) if utterance.message_id else self._panels.ts_of(utterance.session_id)
        self._outbox.show_answer(event.channel, event.answer, thread=thread)


async def _authorize(enterprise_id: str | None, team_id: str | None) -> AuthorizeResult:
    """Lets everything that is Slack's through to the listeners, without a token: they make the calls."""
    return AuthorizeResult(enterprise_id=enterprise_id, team_id=team_id)
