"""The bolt listeners: they acknowledge, and hand over what came to those who carry it out.

The same listeners serve Socket Mode and HTTP. Commands, buttons and forms, which Slack sends once and which a person
waits for, are acknowledged before anything else. Messages, which Slack sends again, are acknowledged when what they
cause is stored, so that a crash loses none."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from slack_bolt.async_app import AsyncAck

from adapters.chat.slack.app import App, failed
from adapters.chat.slack.blocks import PRESSED
from adapters.chat.slack.client import WorkspaceClient
from adapters.chat.slack.events import EventDelivery, NotPersisted, Stored, is_left_out, is_of_a_person, slack_message
from adapters.chat.slack.handlers import CommandRequest, EventHandlers
from adapters.chat.slack.home import Home
from adapters.chat.slack.lifecycle import AppLifecycle
from adapters.chat.slack.manifest import SAY_THIS, START_HERE
from adapters.chat.slack.message_words import words_of
from adapters.chat.slack.modal import CALLBACK, ModalAnswer, Modals, read_submission
from adapters.chat.slack.origins import Claim, Origins, author_team, claim_of
from adapters.chat.slack.outbox import Outbox, ReplyTarget
from adapters.chat.slack.panels import Panels
from adapters.chat.slack.rate_limited_log import RateLimitedLog
from adapters.chat.slack.side_pane import DetailsRequest, SidePane
from adapters.chat.slack.strings import NOT_INSTALLED
from adapters.chat.slack.users import UserCache
from adapters.chat.slack.workspaces import Workspaces
from bot.commands.parser import ADMIN, AVATAR, Command
from bot.core.models import Channel
from bot.core.ports import Clock
from bot.core.tasks import TaskSet
from bot.core.views import Reply, Visibility
from bot.settings import Settings

log = structlog.get_logger(__name__)

Payload = Mapping[str, Any]
_NOT_OURS = "something came from a workspace in which the Slack app is not installed, and was left out"

_FAREWELLS = ("app_uninstalled", "tokens_revoked")
"""Events that end an installation; they come together, so the second finds none."""

STORED_WITHIN = 2.0
"""Seconds of real time after which an event that is not stored is left to be delivered again; Slack waits 3 s."""


class Listeners:
    """Hears everything Slack sends."""

    def __init__(
        self,
        settings: Settings,
        clock: Clock,
        workspaces: Workspaces,
        origins: Origins,
        handlers: EventHandlers,
        people: UserCache,
        panels: Panels,
        side_pane: SidePane,
        modals: Modals,
        home: Home,
        lifecycle: AppLifecycle,
        outbox: Outbox,
    ) -> None:
        self._settings = settings
        self._log = RateLimitedLog(clock)
        self._workspaces = workspaces
        self._origins = origins
        self._outbox = outbox
        self._handlers = handlers
        self._people = people
        self._panels = panels
        self._side_pane = side_pane
        self._modals = modals
        self._home = home
        self._lifecycle = lifecycle
        self._tasks = TaskSet()

    def listen(self, app: App) -> None:
        """Register every listener."""
        app.error(failed)
        app.take_message = self._take_message
        word = self._settings.slack.command
        app.command(f"/{word}")(self._slash(AVATAR))
        app.command(f"/{word}-admin")(self._slash(ADMIN))
        app.action(re.compile(re.escape(PRESSED)))(self._button)
        app.shortcut(SAY_THIS)(self._say_this)
        app.shortcut(START_HERE)(self._start_here)
        app.view(CALLBACK)(self._submitted)
        app.event("app_home_opened")(self._event(self._home_opened))
        app.event("entity_details_requested")(self._event(self._details_requested))
        app.event(re.compile(r"subteam_\w+"))(self._event(self._groups_changed))
        app.event(re.compile(r"(channel|group)_(archive|deleted|left)"))(self._event(self._channel_gone))
        app.event("member_left_channel")(self._event(self._member_left))
        app.event(re.compile("|".join(_FAREWELLS)))(self._event(self._uninstalled))
        app.event(re.compile(r"team_access_(granted|revoked)"))(self._event(self._team_access_changed))

    async def close(self) -> None:
        """End what is still under way."""
        await self._tasks.close()

    # --- commands, buttons, forms ------------------------------------------------------------------------------------

    def _slash(self, group: str) -> Callable[..., Awaitable[None]]:
        async def listener(ack: AsyncAck, body: dict[str, Any]) -> None:
            await ack()
            asker = await self._asker(body, str(body["channel_id"]), response_url=body.get("response_url"))
            if asker is None:
                return
            words = str(body.get("text", ""))
            if group == AVATAR and words.split() == ["start", "choose"]:
                self._tasks.create_task(self._modals.open(asker, str(body["trigger_id"])), name="slack modal")
                return
            self._handlers.on_command(CommandRequest(asker, (group, words), _interaction_keys(body)))

        return listener

    async def _button(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        action = body["actions"][0]
        verb = str(action["action_id"]).removeprefix(PRESSED)
        if verb == "link":
            return
        place = body.get("channel", {}).get("id") or body.get("container", {}).get("channel_id")
        if place is None:
            return
        thread = body.get("message", {}).get("thread_ts")
        asker = await self._asker(body, str(place), thread=thread, response_url=body.get("response_url"))
        if asker is not None:
            command, keys = Command(AVATAR, verb), _interaction_keys(body)
            self._handlers.on_command(CommandRequest(asker, command, keys, session_id=action.get("value")))

    async def _say_this(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        asker = await self._asker(body, str(body["channel"]["id"]), response_url=body.get("response_url"))
        if asker is not None:
            command = Command(AVATAR, "say", words_of(body["message"]))
            self._handlers.on_command(CommandRequest(asker, command, _interaction_keys(body)))

    async def _start_here(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        await ack()
        asker = await self._asker(body, "")
        if asker is not None:
            self._tasks.create_task(self._modals.open(asker, str(body["trigger_id"])), name="slack modal")

    async def _submitted(self, ack: AsyncAck, body: dict[str, Any]) -> None:
        answer: ModalAnswer = read_submission(body["view"], no_answers=self._modals.no_answers)
        if answer.errors:
            await ack(response_action="errors", errors=dict(answer.errors))
            return
        await ack()
        asker = await self._asker(body, answer.channel)
        if asker is not None:
            keys = (f"slack:view:{body['view']['id']}",)
            self._handlers.on_command(CommandRequest(asker, answer.command, keys))

    async def _asker(
        self, body: Payload, channel: str, *, thread: str | None = None, response_url: str | None = None
    ) -> ReplyTarget | None:
        """Who asks; None if the app is not installed there, which they are told. Raises `StoreError`."""
        user = str(body.get("user_id") or body.get("user", {}).get("id"))
        workspace = await self._origins.workspace(body)
        if workspace is None:
            self._log.warning(_NOT_OURS, kind=str(body.get("type") or body.get("command")))
            nowhere = ReplyTarget(Channel("slack", "", channel), user, response_url=response_url)
            self._outbox.reply_ephemeral(nowhere, Reply(NOT_INSTALLED, Visibility.PRIVATE))
            return None
        return ReplyTarget(self._origins.channel(workspace, channel), user, thread, response_url, author_team(body))

    # --- events ------------------------------------------------------------------------------------------------------

    async def _take_message(self, body: dict[str, Any], delivery: EventDelivery) -> None:
        """Take in a message or a mention; returns, so that it is acknowledged, once what it causes is stored.

        Raises `NotPersisted` or `StoreError` where the database is in trouble, and `TimeoutError` where storing takes
        too long; what has begun goes on, and the core knows the event when it comes again.
        """
        async with asyncio.timeout(STORED_WITHIN):
            heard = await self._heard(body)
            stored = None if heard is None else self._message(heard, delivery)
            if stored is not None and not await asyncio.shield(stored):
                raise NotPersisted

    async def _heard(self, body: dict[str, Any]) -> "Heard | None":
        """The event, with where it comes from; None if the app is not installed there. Raises `StoreError`."""
        workspace, event = await self._origins.workspace(body), body["event"]
        if workspace is not None:
            return Heard(workspace, event, author_team(body), claim_of(body))
        if event.get("type") not in _FAREWELLS:
            self._log.warning(_NOT_OURS, kind=str(event.get("type")))
        return None

    def _message(self, heard: "Heard", delivery: EventDelivery) -> Stored | None:
        workspace, event = heard.workspace, heard.event
        channel = self._channel(heard)
        subtype = event.get("subtype")
        if subtype == "message_changed":
            return self._edited(workspace, channel, event)
        if subtype == "message_deleted":
            previous = event.get("previous_message")
            return self._handlers.on_delete(channel, previous) if previous else None
        if not is_of_a_person(event, workspace.bot_user):
            self._find_panel(workspace, channel, event)
            return None
        if is_left_out(event, workspace.bot_user, self._settings.session.relay):
            return None
        return self._handlers.on_message(slack_message(workspace, channel, event, delivery, heard.team))

    def _channel(self, heard: "Heard") -> Channel:
        return self._origins.channel(heard.workspace, str(heard.event["channel"]))

    def _edited(self, workspace: WorkspaceClient, channel: Channel, event: Payload) -> Stored | None:
        message, before = event.get("message", {}), event.get("previous_message", {})
        # Slack also calls it a change when a link gets its preview, or a thread its first answer.
        if not is_of_a_person(message, workspace.bot_user) or words_of(message) == words_of(before):
            return None
        return self._handlers.on_edit(workspace, channel, message)

    def _find_panel(self, workspace: WorkspaceClient, channel: Channel, event: Payload) -> None:
        if event.get("bot_id") != workspace.bot_id:
            return
        for block in event.get("blocks", ()):
            kind, _, session_id = str(block.get("block_id", "")).partition(":")
            if kind == "panel":
                self._panels.found(channel, session_id, str(event["ts"]))

    def _event(self, handle: Callable[["Heard"], None]) -> Callable[..., Awaitable[None]]:
        """A listener for events of which nothing needs to be stored before they are acknowledged."""

        async def listener(body: dict[str, Any]) -> None:
            async with asyncio.timeout(STORED_WITHIN):
                heard = await self._heard(body)
            if heard is not None:
                handle(heard)

        return listener

    def _home_opened(self, heard: "Heard") -> None:
        if heard.event.get("tab") == "home":
            self._tasks.create_task(self._home.publish(heard.workspace, str(heard.event["user"])), name="slack home")

    def _details_requested(self, heard: "Heard") -> None:
        event = heard.event
        channel = self._origins.channel(heard.workspace, str(event.get("channel") or ""))
        user, trigger, reference = (event.get(name) for name in ("user", "trigger_id", "external_ref"))
        if not (isinstance(user, str) and isinstance(trigger, str)):
            self._log.warning("Slack does not say who clicked a panel's card, or how to answer")
            return
        self._side_pane.requested(DetailsRequest(heard.workspace, channel, user, heard.team, trigger, reference))

    def _groups_changed(self, heard: "Heard") -> None:
        workspace = heard.workspace
        others = self._workspaces.teams(workspace.organisation) if workspace.organisation else ()
        self._people.forget_groups(workspace.team_id, *others)

    def _channel_gone(self, heard: "Heard") -> None:
        self._leave(heard, str(heard.event["type"]).rpartition("_")[2])

    def _member_left(self, heard: "Heard") -> None:
        if heard.event.get("user") == heard.workspace.bot_user:
            self._leave(heard, "left")

    def _leave(self, heard: "Heard", what: str) -> None:
        self._tasks.create_task(self._lifecycle.leave_channel(self._channel(heard), what), name="slack channel gone")

    def _uninstalled(self, heard: "Heard") -> None:
        if heard.event["type"] == "tokens_revoked" and not heard.event.get("tokens", {}).get("bot"):
            return
        workspace, organisation = heard.workspace, heard.workspace.organisation
        if organisation is None or heard.claim.organisation == organisation:
            leaving = self._lifecycle.leave_installation(workspace)
        else:
            # It is one workspace's, and the organisation may still have its own.
            leaving = self._lifecycle.team_access(organisation, [workspace.team_id], is_granted=False)
        self._tasks.create_task(leaving, name="slack uninstalled")

    def _team_access_changed(self, heard: "Heard") -> None:
        organisation = heard.workspace.organisation
        if organisation is None:
            return
        teams = [team for team in heard.event.get("team_ids") or () if isinstance(team, str)]
        is_granted = heard.event["type"] == "team_access_granted"
        changing = self._lifecycle.team_access(organisation, teams, is_granted=is_granted)
        self._tasks.create_task(changing, name="slack team access")


@dataclass(frozen=True, slots=True)
class Heard:
    """An event, whose installation heard it, and whom its author belongs to. `claim`: what it says of its origin."""

    workspace: WorkspaceClient
    event: Payload
    team: str | None
    claim: Claim


def _interaction_keys(body: Payload) -> tuple[str, ...]:
    """Slack makes one trigger id for each thing a person does, however often it is delivered."""
    trigger = body.get("trigger_id")
    return (f"slack:trigger:{trigger}",) if trigger else ()
