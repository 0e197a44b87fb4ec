"""What people do in Slack, handed to the core: commands, messages, edits and deletions, in the order of each channel.

Commands have been acknowledged before they get here; events are when the future they are given back is done. So each
may come again, and de-duplication is the core's: it gets the id of the event and the place of the message as keys,
because one post may come as two events with two ids."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from operator import eq
from typing import Any

import structlog
from cachetools import LRUCache

from adapters.chat.keyed_queue import KeyedTaskQueue
from adapters.chat.slack import mrkdwn
from adapters.chat.slack.client import SlackError, SlackUnavailable, WorkspaceClient
from adapters.chat.slack.events import MAX_REMEMBERED_EDITS, RecentEdits, SlackMessage, message_id_of
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
from bot.settings import Relay

log = structlog.get_logger(__name__)

Payload = Mapping[str, Any]

_OF_PEOPLE = ("im:read", "mpim:read")
"""Scopes that tell of direct messages and group messages; the app does without."""

MAX_REMEMBERED_ASKERS = 1000
"""People whose last question is remembered, for something that is told to them later: where they asked, and the way
back."""


class EventHandlers:
    """Takes in what people do."""

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
        self._starters: dict[Channel, ReplyTarget] = {}
        self._askers: LRUCache[tuple[Channel, str], ReplyTarget] = LRUCache(MAX_REMEMBERED_ASKERS)
        self._changes = RecentEdits()
        self._in_doubt: deque[str] = deque(maxlen=MAX_REMEMBERED_EDITS)

    def cannot_show(self, channel: Channel, error: str) -> None:
        """The panel of a channel cannot be posted: whoever started the avatar there should know why."""
        sentence = place_trouble(error, self._workspaces.bot_name)
        if sentence and (asker := self._starters.get(channel)) is not None:
            self._outbox.reply_ephemeral(asker, Reply(sentence))
        if sentence and error != TOO_LONG:
            # Nobody could see it or stop it, and it costs money.
            leave = partial(self._bot.sessions.end_in_channels, partial(eq, channel), NOT_SHOWN)
            self._incoming.submit(channel, partial(self._guarded, None, leave))

    def asker(self, channel: Channel, user: str) -> ReplyTarget:
        """How to tell one person something: in the thread and over the way back of what they asked last there."""
        return self._askers.get((channel, user)) or ReplyTarget(channel, user)

    # --- commands ----------------------------------------------------------------------------------------------------

    def on_command(self, group: str, words: str, asker: ReplyTarget, keys: tuple[str, ...]) -> None:
        """A slash command; `words` is what follows its name, as Slack wrote it."""
        self._later(asker, partial(self._run_line, group, words, asker, keys, None))

    def on_button(self, verb: str, session_id: str | None, asker: ReplyTarget, keys: tuple[str, ...]) -> None:
        """A button that stands for a command."""
        self._later(asker, partial(self._run, Command(AVATAR, verb), asker, keys, session_id=session_id))

    def on_modal(self, command: Command, asker: ReplyTarget, keys: tuple[str, ...]) -> None:
        """A command that a form was filled in for."""
        self._later(asker, partial(self._run, command, asker, keys))

    def say(self, raw: str, asker: ReplyTarget, keys: tuple[str, ...]) -> None:
        """The message shortcut: the avatar says somebody's message."""
        self._later(asker, partial(self._say, raw, asker, keys))

    async def _say(self, raw: str, asker: ReplyTarget, keys: tuple[str, ...]) -> None:
        if not raw.strip():
            raise Refused(sentences.EMPTY_TEXT, stage="grammar")
        decoded = await self._decode(await self._workspace(asker.channel), raw)
        await self._run(Command(AVATAR, "say", decoded.text), asker, keys, names=decoded.names)

    async def _run_line(
        self, group: str, words: str, asker: ReplyTarget, keys: tuple[str, ...], message_id: str | None
    ) -> None:
        decoded = await self._decode(await self._workspace(asker.channel), words)
        command = parse(decoded.text, self._bot.commands.usages, group)
        await self._run(command, asker, keys, names=decoded.names, message_id=message_id)

    async def _run(
        self,
        command: Command,
        asker: ReplyTarget,
        keys: tuple[str, ...],
        *,
        names: Mapping[str, str] | None = None,
        message_id: str | None = None,
        session_id: str | None = None,
    ) -> None:
        self._askers[asker.channel, asker.user] = asker
        workspace = await self._workspace(asker.channel)
        starts = (command.group, command.verb) == (AVATAR, "start")
        if starts:
            await self._require_presence(workspace, asker.channel)
            self._starters[asker.channel] = asker
        actor = await self._people.actor(workspace, asker.user, asker.team)
        ctx = CommandContext(command, asker.channel, actor, keys, message_id, names, session_id)
        reply = await self._bot.commands.run(ctx)
        if reply is None:
            if message_id in self._in_doubt:
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

    def on_mention(self, post: SlackMessage) -> asyncio.Future[bool]:
        """A message that mentions the avatar: a command, or something for it to say."""
        return self._recorded(post, self._handle_mention)

    async def _handle_mention(self, post: SlackMessage, asker: ReplyTarget) -> None:
        raw = mrkdwn.without_mention(post.raw, post.workspace.bot_user)
        # What was forwarded is never a command, and a mention of the bot with it is not a question for help.
        found = command_line(raw, self._bot.commands.usages) if raw or not post.shared else None
        if found is not None:
            group, line = found
            if post.shared and is_to_be_said(found):
                line = f"{line} {post.shared}"
            await self._run_line(group, line, asker, post.keys, post.message_id)
        elif self._bot.settings.session.relay is Relay.OFF:
            raise Refused(NOT_RELAYED, stage="channel")
        else:
            await self._receive(post, joined(raw, post.shared), addressed=True)

    def on_message(self, post: SlackMessage) -> asyncio.Future[bool]:
        """A message in a channel that mentions nobody of ours: nobody is told anything, a mark is the most."""
        return self._recorded(post, self._handle_message, addressed=False)

    async def _handle_message(self, post: SlackMessage, _asker: ReplyTarget) -> None:
        await self._receive(post, joined(post.raw, post.shared), addressed=False)

    async def _receive(self, post: SlackMessage, raw: str, *, addressed: bool) -> None:
        if not addressed and self._bot.sessions.in_channel(post.channel) is None:
            return
        workspace = await self._workspace(post.channel)
        actor = await self._people.actor(workspace, post.user, post.team)
        decoded = await self._decode(workspace, raw)
        receipt = await self._bot.relay.receive(
            Message(post.channel, actor, decoded.text, post.keys, post.message_id, addressed, decoded.names)
        )
        if receipt.is_missed:
            self._mark_not_said(post)
        elif receipt.utterance is not None and self._bot.settings.session.reactions:
            # Told here, since the core tells only what becomes of it from now on.
            self._reactions.accepted(post.channel, receipt.utterance)

    def _mark_not_said(self, post: SlackMessage) -> None:
        if self._bot.settings.session.reactions:
            self._reactions.mark_not_spoken(post.channel, post.message_id)

    def on_edit(self, workspace: WorkspaceClient, channel: Channel, message: Payload) -> asyncio.Future[bool] | None:
        """A message was edited: what still waits is said as it reads now."""
        if not self._changes.edited(channel, message):
            return None
        return self._changed(channel, partial(self._edited, workspace, channel, message))

    async def _edited(self, workspace: WorkspaceClient, channel: Channel, message: Payload) -> None:
        raw = own_words(message)
        if mrkdwn.mentions(raw, workspace.bot_user):
            raw = mrkdwn.without_mention(raw, workspace.bot_user)
            found = command_line(raw, self._bot.commands.usages)
            if found is not None and is_to_be_said(found):
                raw = found[1].partition(" ")[2]
        decoded = await self._decode(workspace, joined(raw, shared_words(message)))
        await self._bot.relay.edit(channel, message_id_of(message), decoded.text, decoded.names)

    def on_delete(self, channel: Channel, message: Payload) -> asyncio.Future[bool]:
        """A message was deleted: it leaves the queue."""
        self._changes.deleted(channel, message)
        self._reactions.forget(channel, message_id_of(message))
        return self._changed(channel, partial(self._bot.relay.delete, channel, message_id_of(message)))

    # --- what all have in common -------------------------------------------------------------------------------------

    def _recorded(
        self,
        post: SlackMessage,
        take: Callable[[SlackMessage, ReplyTarget], Awaitable[None]],
        *,
        addressed: bool = True,
    ) -> asyncio.Future[bool]:
        """Take a post in after what came before it in its channel. The future tells whether that is stored."""
        stored: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        asker = ReplyTarget(post.channel, post.user, post.thread, team=post.team)

        async def record() -> None:
            raw = self._changes.text_now(post.channel, post.ts, post.raw)
            if raw is not None:
                await take(replace(post, raw=raw), asker)

        told = asker if addressed else None
        self._incoming.submit(post.channel, partial(self._record, post, told, record, stored))
        return stored

    async def _record(
        self,
        post: SlackMessage,
        asker: ReplyTarget | None,
        record: Callable[[], Awaitable[None]],
        stored: asyncio.Future[bool],
    ) -> None:
        """Do it. What the database did not take comes again, so the person only hears of it when that was in vain."""
        trouble: StoreError | None = None

        async def attempt() -> None:
            nonlocal trouble
            try:
                await record()
            except StoreError as error:
                trouble = error
                if post.is_last:
                    raise
                self._in_doubt.append(post.message_id)
                log.warning("a message could not be taken in and is expected again", error=str(error))

        if not await self._guarded(asker, attempt) and asker is None:
            self._mark_not_said(post)
        _settle(stored, is_stored=trouble is None)

    def _changed(self, channel: Channel, change: Callable[[], Awaitable[None]]) -> asyncio.Future[bool]:
        """Change what waits, after what came before it in the channel. The future is done when the session has done it.

        A session that ends before leaves it open: the event is not acknowledged, comes again and finds nothing to do.
        """
        stored: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        async def done() -> None:
            _settle(stored, is_stored=True)

        async def apply() -> None:
            await change()
            running = self._bot.sessions.in_channel(channel)
            if running is None:
                await done()
            else:
                running.post(done)

        self._incoming.submit(channel, partial(self._guarded, None, apply))
        return stored

    def _later(self, asker: ReplyTarget, work: Callable[[], Awaitable[None]]) -> None:
        self._incoming.submit(asker.channel, partial(self._guarded, asker, work))

    async def _guarded(self, asker: ReplyTarget | None, work: Callable[[], Awaitable[None]]) -> bool:
        """Do it; whatever goes wrong becomes a sentence for who asked, where somebody did. Whether all went well."""
        try:
            await work()
        except Refused as refusal:
            sentence = str(refusal)
        except AvatarRelayError as error:
            sentence, reference = sentences.failure(error)
            log.error("something could not be taken in", reference=reference, error=str(error))
        except Exception as error:  # noqa: BLE001 - whatever went wrong, who asked must read something (rule 10)
            sentence, told = sentences.failure(AvatarRelayError("unexpected"))
            report_unexpected("something could not be taken in", error, told=told)
        else:
            return True
        if asker is not None:
            self._outbox.reply_ephemeral(asker, Reply(sentence, Visibility.PRIVATE))
        return False

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


def _settle(stored: asyncio.Future[bool], *, is_stored: bool) -> None:
    if not stored.done():
        stored.set_result(is_stored)
