"""What people do in Slack, handed to the core: commands, messages, edits and deletions, in the order of each channel.

Commands have been acknowledged before they get here; messages, edits and deletions are when the future that `on_…`
returns is done. So each may come again, and de-duplication is the core's: it gets the id of the event and the place of
the message as keys, because one message may come as two events with two ids."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from operator import eq
from typing import Any

import structlog
from cachetools import LRUCache

from adapters.chat.keyed_queue import KeyedTaskQueue
from adapters.chat.slack import mrkdwn
from adapters.chat.slack.client import SlackError, SlackUnavailable, WorkspaceClient
from adapters.chat.slack.events import MAX_REMEMBERED_EDITS, RecentEdits, SlackMessage, Stored, message_id_of
from adapters.chat.slack.message_words import joined, own_words, shared_words
from adapters.chat.slack.mrkdwn import command_line, is_to_be_said
from adapters.chat.slack.outbox import Outbox, ReplyTarget
from adapters.chat.slack.reactions import Reactions
from adapters.chat.slack.strings import DIRECT_MESSAGE, IN_DOUBT, NOT_RELAYED, NOT_SHOWN, TOO_LONG, place_trouble
from adapters.chat.slack.users import UserCache
from adapters.chat.slack.workspaces import Workspaces
from bot import sentences
from bot.commands.parser import AVATAR, Command, CommandContext, parse
from bot.core.errors import AvatarRelayError, Refused, StoreError
from bot.core.models import Channel
from bot.core.unexpected import report_unexpected
from bot.core.views import Reply, Visibility
from bot.facade import Bot
from bot.relay import Message
from bot.settings import RelayMode

log = structlog.get_logger(__name__)

Payload = Mapping[str, Any]

_OF_PEOPLE = ("im:read", "mpim:read")
"""Scopes that tell of direct messages and group messages; the app does without."""

MAX_REMEMBERED_ASKERS = 1000
"""People whose last question is remembered, for something that is told to them later: where they asked, and the way
back."""


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """A command that somebody gave. `keys`, `message_id` and `session_id` as in `bot.commands.parser.CommandContext`.

    command: what a button or a form stands for, or the command group and what was typed after it. The text in either
    is as Slack writes it.
    """

    asker: ReplyTarget
    command: Command | tuple[str, str]
    keys: tuple[str, ...]
    message_id: str | None = None
    session_id: str | None = None


class EventHandlers:
    """Carries out what the listeners hear, and tells who asked what became of it."""

    def __init__(
        self,
        bot: Bot,
        incoming: KeyedTaskQueue,
        workspaces: Workspaces,
        people: UserCache,
        outbox: Outbox,
        reactions: Reactions,
    ) -> None:
        """`incoming`: one queue for each channel."""
        self._bot = bot
        self._incoming = incoming
        self._workspaces = workspaces
        self._people = people
        self._outbox = outbox
        self._reactions = reactions
        self._starters: LRUCache[Channel, ReplyTarget] = LRUCache(MAX_REMEMBERED_ASKERS)
        self._askers: LRUCache[tuple[Channel, str], ReplyTarget] = LRUCache(MAX_REMEMBERED_ASKERS)
        self._edits = RecentEdits()
        self._in_doubt: deque[str] = deque(maxlen=MAX_REMEMBERED_EDITS)

    def cannot_show(self, channel: Channel, error: str) -> None:
        """The panel of a channel cannot be posted: whoever started the avatar there should know why."""
        sentence = place_trouble(error, self._workspaces.bot_name)
        if sentence and (asker := self._starters.get(channel)) is not None:
            self._outbox.reply_ephemeral(asker, Reply(sentence))
        if sentence and error != TOO_LONG:
            # Nobody could see it or stop it, and it costs money.
            self._incoming.submit(channel, partial(self._leave, channel))

    async def _leave(self, channel: Channel) -> None:
        async with self._answering(None):
            await self._bot.sessions.end_in_channels(partial(eq, channel), NOT_SHOWN)

    def asker(self, channel: Channel, user: str) -> ReplyTarget:
        """How to tell one person something: in the thread and over the way back of what they asked last there."""
        return self._askers.get((channel, user)) or ReplyTarget(channel, user)

    # --- commands ----------------------------------------------------------------------------------------------------

    def on_command(self, request: CommandRequest) -> None:
        """Somebody typed a command, pressed a button, filled in a form or used a shortcut."""
        if not self._incoming.submit(request.asker.channel, partial(self._answer, request)):
            self._outbox.reply(request.asker, Reply(sentences.too_much_waits(), Visibility.PRIVATE))

    async def _answer(self, request: CommandRequest) -> None:
        async with self._answering(request.asker):
            await self._run(request)

    async def _run(self, request: CommandRequest) -> None:
        """Run a command and show the reply. Raises `AvatarRelayError`."""
        asker = request.asker
        workspace = await self._workspace(asker.channel)
        if isinstance(request.command, Command):
            decoded = await self._decode(workspace, request.command.text)
            command = replace(request.command, text=decoded.text)
        else:
            group, line = request.command
            decoded = await self._decode(workspace, line)
            command = parse(decoded.text, self._bot.commands.usages, group)
        self._askers[asker.channel, asker.user] = asker
        starts = (command.group, command.verb) == (AVATAR, "start")
        if starts:
            await self._require_presence(workspace, asker.channel)
            self._starters[asker.channel] = asker
        actor = await self._people.actor(workspace, asker.user, asker.team)
        ctx = CommandContext(
            command, asker.channel, actor, request.keys, request.message_id, decoded.names, request.session_id
        )
        reply = await self._bot.commands.run(ctx)
        if reply is None:
            if request.message_id in self._in_doubt:
                raise Refused(IN_DOUBT, stage="store")
            return
        if starts:
            # The channel gets the panel; what it costs and the way in are for who started it.
            reply = Reply(reply.text, Visibility.PRIVATE, reply.fields, reply.link, reply.buttons)
        self._outbox.reply(asker, reply)

    async def _require_presence(self, workspace: WorkspaceClient, channel: Channel) -> None:
        """An avatar costs money: do not bring one where nobody could be heard, nor where that is not sure. Raises
        `Refused`."""
        if channel.id.startswith("D"):
            raise Refused(DIRECT_MESSAGE, stage="channel")
        try:
            found = (await workspace.call("conversations.info", channel=channel.id)).get("channel", {})
        except SlackError as refusal:
            if refusal.needed in _OF_PEOPLE:
                # A conversation between people, in which no app can be.
                raise Refused(DIRECT_MESSAGE, stage="channel") from None
            known = place_trouble(refusal.error, self._workspaces.bot_name)
            raise Refused(known or sentences.not_sure_of_channel("Slack"), stage="channel") from None
        except SlackUnavailable:
            raise Refused(sentences.not_sure_of_channel("Slack"), stage="channel") from None
        if found.get("is_im") or found.get("is_mpim"):
            raise Refused(DIRECT_MESSAGE, stage="channel")
        error = "is_archived" if found.get("is_archived") else None if found.get("is_member") else "not_in_channel"
        if error and (why := place_trouble(error, self._workspaces.bot_name)):
            raise Refused(why, stage="channel")

    # --- messages ----------------------------------------------------------------------------------------------------

    def on_message(self, message: SlackMessage) -> Stored:
        """Somebody wrote a message. Who does not mention the avatar is told nothing: a mark is the most."""
        stored: Stored = asyncio.get_running_loop().create_future()
        self._incoming.submit(message.channel, partial(self._process, message, stored))
        return stored

    async def _process(self, message: SlackMessage, stored: Stored) -> None:
        """Take a message in as it reads now, and say in `stored` whether the database has it.

        What the database refuses comes again, so the person only hears of it when the last delivery was in vain.
        """
        asker = ReplyTarget(message.channel, message.user, message.thread, team=message.team)
        is_stored = True
        async with self._answering(asker if message.is_addressed else None, message):
            try:
                raw = self._edits.text_now(message.channel, message.ts, message.raw)
                if raw is not None and message.late_by is not None:
                    self._decline(message, message.late_by)
                elif raw is not None and message.is_addressed:
                    await self._handle_mention(replace(message, raw=raw), asker)
                elif raw is not None:
                    await self._receive(message, raw)
            except StoreError as error:
                is_stored = False
                if message.is_last:
                    raise
                self._in_doubt.append(message.message_id)
                log.warning("a message could not be taken in and is expected again", error=str(error))
        stored.set_result(is_stored)

    def _decline(self, message: SlackMessage, late_by: float) -> None:
        """Not take a message that comes too late, whatever it asks for, and have everybody see that. Raises `Refused`
        for an author who addressed the avatar."""
        if message.is_addressed or self._bot.sessions.in_channel(message.channel) is not None:
            self._mark_not_said(message)
        if message.is_addressed:
            raise Refused(sentences.came_too_late(late_by), stage="age")

    async def _handle_mention(self, message: SlackMessage, asker: ReplyTarget) -> None:
        raw = mrkdwn.without_mention(message.raw, message.workspace.bot_user)
        # What was forwarded is never a command, and a mention of the bot with it is not a question for help.
        found = command_line(raw, self._bot.commands.usages) if raw or not message.shared else None
        if found is not None:
            if message.shared and is_to_be_said(found):
                found = found[0], f"{found[1]} {message.shared}"
            await self._run(CommandRequest(asker, found, message.keys, message.message_id))
        elif self._bot.settings.session.relay is RelayMode.OFF:
            raise Refused(NOT_RELAYED, stage="channel")
        else:
            await self._receive(message, raw)

    async def _receive(self, message: SlackMessage, raw: str) -> None:
        """Hand `raw`, and what was forwarded with it, to the core as something to say."""
        if not message.is_addressed and self._bot.sessions.in_channel(message.channel) is None:
            return
        workspace = await self._workspace(message.channel)
        actor = await self._people.actor(workspace, message.user, message.team)
        decoded = await self._decode(workspace, joined(raw, message.shared))
        # Slack has been asked all there was: what follows is the database, which commits many messages at once.
        self._incoming.give_room(message.channel)
        receipt = await self._bot.relay.receive(
            Message(
                channel=message.channel,
                actor=actor,
                text=decoded.text,
                keys=message.keys,
                message_id=message.message_id,
                addressed=message.is_addressed,
                names=decoded.names,
            )
        )
        if receipt.is_missed:
            self._mark_not_said(message)
        elif receipt.utterance is not None and self._bot.settings.session.reactions:
            # Told here, since the core tells only what becomes of it from now on.
            self._reactions.accepted(message.channel, receipt.utterance)

    def _mark_not_said(self, message: SlackMessage) -> None:
        if self._bot.settings.session.reactions:
            self._reactions.mark_not_spoken(message.channel, message.message_id)

    # --- edits and deletions -----------------------------------------------------------------------------------------

    def on_edit(self, workspace: WorkspaceClient, channel: Channel, message: Payload) -> Stored | None:
        """A message was edited: what still waits is said as it reads now. None: it has been changed again since."""
        if not self._edits.edited(channel, message):
            return None
        stored: Stored = asyncio.get_running_loop().create_future()
        self._incoming.submit(channel, partial(self._edit, workspace, channel, message, stored))
        return stored

    async def _edit(self, workspace: WorkspaceClient, channel: Channel, message: Payload, stored: Stored) -> None:
        async with self._answering(None):
            raw = own_words(message)
            if mrkdwn.mentions(raw, workspace.bot_user):
                raw = mrkdwn.without_mention(raw, workspace.bot_user)
                found = command_line(raw, self._bot.commands.usages)
                if found is not None and is_to_be_said(found):
                    raw = found[1].partition(" ")[2]
            decoded = await self._decode(workspace, joined(raw, shared_words(message)))
            await self._bot.relay.edit(channel, message_id_of(message), decoded.text, decoded.names)
            await self._settle_behind_session(channel, stored)

    def on_delete(self, channel: Channel, message: Payload) -> Stored:
        """A message was deleted: it leaves the queue."""
        self._edits.deleted(channel, message)
        self._reactions.forget(channel, message_id_of(message))
        stored: Stored = asyncio.get_running_loop().create_future()
        self._incoming.submit(channel, partial(self._delete, channel, message, stored))
        return stored

    async def _delete(self, channel: Channel, message: Payload, stored: Stored) -> None:
        async with self._answering(None):
            await self._bot.relay.delete(channel, message_id_of(message))
            await self._settle_behind_session(channel, stored)

    async def _settle_behind_session(self, channel: Channel, stored: Stored) -> None:
        """`stored` is done once the session has done what it was handed.

        A session that ends before leaves it open: the event is not acknowledged, comes again and finds nothing to do.
        """

        async def settle() -> None:
            stored.set_result(True)

        running = self._bot.sessions.in_channel(channel)
        if running is None:
            await settle()
        else:
            running.mailbox.post(settle)

    # --- what all have in common -------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _answering(self, asker: ReplyTarget | None, message: SlackMessage | None = None) -> AsyncIterator[None]:
        """Whatever goes wrong in the block becomes a sentence for who asked; where nobody did, a mark on `message`."""
        try:
            yield
        except Refused as refusal:
            sentence = str(refusal)
        except AvatarRelayError as error:
            sentence, reference = sentences.failure(error)
            log.error("something could not be taken in", reference=reference, error=str(error))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, who asked must read something (rule 10)
            sentence, reference = sentences.failure(AvatarRelayError("unexpected"))
            report_unexpected("something could not be taken in", error, told=reference)
        else:
            return
        if asker is not None:
            self._outbox.reply_ephemeral(asker, Reply(sentence, Visibility.PRIVATE))
        elif message is not None:
            self._mark_not_said(message)

    async def _workspace(self, channel: Channel) -> WorkspaceClient:
        workspace = await self._workspaces.find(channel.workspace)
        if workspace is None:
            raise AvatarRelayError("the app is not installed in that workspace")
        return workspace

    async def _decode(self, workspace: WorkspaceClient, raw: str) -> mrkdwn.Decoded:
        return await mrkdwn.decode(
            raw,
            person=partial(self._people.name, workspace),
            group=partial(self._people.group_name, workspace),
        )
