"""Messages of people on their way to the avatar, and what their authors do to them afterwards.

Channels, threads, forum posts and the chats of voice channels are all the same here. Bots, webhooks and what Discord
itself writes are none of our business. Without the Message Content intent Discord shows only the text of messages that
mention the bot.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import discord
import structlog
from cachetools import LRUCache

from adapters.chat.discord import strings
from adapters.chat.discord.converters import actor_of, channel_of, names_in, without_mention
from adapters.chat.discord.message_words import words_of
from adapters.chat.discord.outbox import Outbox, OutgoingMessage
from adapters.chat.discord.reactions import Reactions
from adapters.chat.discord.render import escape, split
from adapters.chat.discord.rest import TRANSIENT_ERRORS
from bot import sentences
from bot.core.errors import AvatarRelayError, Refused
from bot.core.models import Channel
from bot.core.tasks import TaskSet
from bot.core.unexpected import report_unexpected
from bot.facade import Bot
from bot.relay import Message
from bot.settings import RelayMode

log = structlog.get_logger(__name__)

_BY_PEOPLE = (discord.MessageType.default, discord.MessageType.reply)
_SAME_REFUSAL = 30.0
"""Seconds in which one person reads the same refusal once; their further messages get the reaction alone."""
_MAX_REMEMBERED_REFUSALS = 1000


def key_of(message: discord.Message) -> str:
    """What tells a message from every other one."""
    return f"discord:message:{message.id}"


class Messages:
    """Takes in what people write."""

    def __init__(self, bot: Bot, outbox: Outbox, reactions: Reactions) -> None:
        self._bot = bot
        self._outbox = outbox
        self._reactions = reactions
        self._tasks = TaskSet()
        self._refusals: LRUCache[tuple[Channel, int, str], float] = LRUCache(_MAX_REMEMBERED_REFUSALS)
        self._reads_all = bot.settings.session.relay is RelayMode.ALL
        self._held_up: dict[Channel, asyncio.Event] = {}
        self.is_leaving = False

    def written(self, message: discord.Message, me: discord.ClientUser) -> None:
        """Somebody wrote a message."""
        if not _is_by_a_person(message) or self.is_leaving:
            return
        if message.guild is None:
            self._tasks.create_task(_decline(message), name=f"direct message {message.id}")
            return
        channel = channel_of(message.guild.id, message.channel.id)
        if self._bot.cluster.directory.owner_of(channel) is not None:
            # Its session is on its way here, and what was written until then is read when it has come (`catch_up`).
            return
        is_addressed = _addresses(message, me)
        if is_addressed or self._reads_all:
            taking = self._take_in_turn(channel, message, me, is_addressed=is_addressed)
            self._tasks.create_task(taking, name=f"message {message.id}")

    def edited(self, message: discord.Message, me: discord.ClientUser) -> None:
        """Somebody changed a message; Discord also says so when it only adds the preview of a link."""
        if message.author.bot or message.guild is None or message.edited_at is None:
            return
        channel = channel_of(message.guild.id, message.channel.id)
        if self._bot.sessions.in_channel(channel) is not None:
            self._tasks.create_task(self._change_in_turn(channel, message, me), name=f"edit of {message.id}")

    def deleted(self, guild_id: int | None, channel_id: int, message_ids: set[int]) -> None:
        """Messages were deleted, one or many at once."""
        if guild_id is None:
            return
        channel = channel_of(guild_id, channel_id)
        if self._bot.sessions.in_channel(channel) is not None:
            self._tasks.create_task(self._withdraw_in_turn(channel, message_ids), name=f"deletion in {channel}")

    async def close(self) -> None:
        """Give up what has not been taken."""
        await self._tasks.close()

    # --- what comes late (`catch_up`) --------------------------------------------------------------------------------

    def is_meant(self, message: discord.Message, me: discord.ClientUser) -> bool:
        """Whether a message of a server would be taken, did it come now."""
        return _is_by_a_person(message) and (self._reads_all or _addresses(message, me))

    @contextmanager
    def held_up(self, channel: Channel) -> Iterator[None]:
        """Have what comes from the channel inside the block wait for its end, in its order."""
        over = self._held_up[channel] = asyncio.Event()
        try:
            yield
        finally:
            del self._held_up[channel]
            over.set()

    async def take_late(self, message: discord.Message, me: discord.ClientUser, *, is_stale: bool) -> None:
        """Take a message that was written before. is_stale: it comes too late, and is marked as not spoken."""
        assert message.guild is not None  # noqa: S101 - what was read is a server's
        channel = channel_of(message.guild.id, message.channel.id)
        if is_stale:
            self._mark_not_spoken(channel, message)
        elif not self.is_leaving:
            await self._take(channel, message, me, is_addressed=_addresses(message, me))

    async def change_late(self, message: discord.Message, me: discord.ClientUser) -> None:
        """A message that waits to be said may have been changed meanwhile."""
        assert message.guild is not None  # noqa: S101 - what was read is a server's
        if message.edited_at is not None:
            await self._change(channel_of(message.guild.id, message.channel.id), message, me)

    async def withdraw_late(self, channel: Channel, message_ids: set[int]) -> None:
        """Messages that wait to be said were deleted meanwhile."""
        await self._withdraw(channel, message_ids)

    async def _turn(self, channel: Channel) -> None:
        while (over := self._held_up.get(channel)) is not None:
            await over.wait()

    # --- one message -------------------------------------------------------------------------------------------------

    async def _take_in_turn(
        self, channel: Channel, message: discord.Message, me: discord.ClientUser, *, is_addressed: bool
    ) -> None:
        await self._turn(channel)
        await self._take(channel, message, me, is_addressed=is_addressed)

    async def _take(
        self, channel: Channel, message: discord.Message, me: discord.ClientUser, *, is_addressed: bool
    ) -> None:
        text = without_mention(words_of(message), me.id)
        rights = message.author.guild_permissions if isinstance(message.author, discord.Member) else _NONE
        try:
            if not message.content and is_addressed and not self._can_read(message, me):
                raise Refused(strings.UNREADABLE, stage="clean")
            receipt = await self._bot.relay.receive(
                Message(
                    channel,
                    actor_of(message.author, rights),
                    text,
                    keys=(key_of(message),),
                    message_id=str(message.id),
                    addressed=is_addressed,
                    names=names_in(text, message.guild, message.mentions),
                )
            )
            if receipt.is_missed:
                self._mark_not_spoken(channel, message)
            elif receipt.utterance is not None and self._bot.settings.session.reactions:
                # Told here, since the core tells only what becomes of it from now on.
                self._reactions.accepted(channel, receipt.utterance)
        except Refused as refusal:
            self._refuse(channel, message, str(refusal))
        except AvatarRelayError as error:
            sentence, reference = sentences.failure(error)
            log.error("a message was not taken", reference=reference, error=str(error))
            self._not_taken(channel, message, sentence, is_addressed=is_addressed)
        except Exception as error:  # noqa: BLE001 - its author must read something, whatever went wrong (rule 10)
            sentence, told = sentences.failure(AvatarRelayError("unexpected"))
            report_unexpected("a message was not taken: unexpected error", error, told=told)
            self._not_taken(channel, message, sentence, is_addressed=is_addressed)

    def _not_taken(self, channel: Channel, message: discord.Message, sentence: str, *, is_addressed: bool) -> None:
        if is_addressed:
            self._refuse(channel, message, sentence)
        else:
            self._mark_not_spoken(channel, message)

    async def _change_in_turn(self, channel: Channel, message: discord.Message, me: discord.ClientUser) -> None:
        await self._turn(channel)
        await self._change(channel, message, me)

    async def _change(self, channel: Channel, message: discord.Message, me: discord.ClientUser) -> None:
        if not message.content and not self._can_read(message, me):
            # What it says now cannot be read, and what its author took back must not be said.
            await self._bot.relay.delete(channel, str(message.id))
            return
        text = without_mention(words_of(message), me.id)
        names = names_in(text, message.guild, message.mentions)
        await self._bot.relay.edit(channel, str(message.id), text, names)

    async def _withdraw_in_turn(self, channel: Channel, message_ids: set[int]) -> None:
        await self._turn(channel)
        await self._withdraw(channel, message_ids)

    async def _withdraw(self, channel: Channel, message_ids: set[int]) -> None:
        for message_id in sorted(message_ids):
            self._reactions.forget(channel, str(message_id))
            await self._bot.relay.delete(channel, str(message_id))

    def _can_read(self, message: discord.Message, me: discord.ClientUser) -> bool:
        return self._reads_all or me in message.mentions

    def _mark_not_spoken(self, channel: Channel, message: discord.Message) -> None:
        if self._bot.settings.session.reactions:
            self._reactions.mark_not_spoken(channel, str(message.id))

    def _refuse(self, channel: Channel, message: discord.Message, sentence: str) -> None:
        """Tell the author, who addressed the bot, why."""
        now = self._bot.clock.monotonic()
        key = (channel, message.author.id, sentence)
        self._mark_not_spoken(channel, message)
        if now - self._refusals.get(key, -_SAME_REFUSAL) < _SAME_REFUSAL:
            return
        self._refusals[key] = now
        self._outbox.post(channel, OutgoingMessage(split(escape(sentence)), reply_to=message.id))


_NONE = discord.Permissions.none()


def _is_by_a_person(message: discord.Message) -> bool:
    return not message.author.bot and message.webhook_id is None and message.type in _BY_PEOPLE


def _addresses(message: discord.Message, me: discord.ClientUser) -> bool:
    """Whether the message is meant for the bot: it mentions it, or answers one of its messages."""
    if me in message.mentions:
        return True
    answered = message.reference.resolved if message.reference else None
    return isinstance(answered, discord.Message) and answered.author.id == me.id


async def _decline(message: discord.Message) -> None:
    try:
        await message.channel.send(strings.ONLY_IN_SERVERS)
    except (discord.HTTPException, *TRANSIENT_ERRORS) as error:
        log.info("a direct message could not be answered", error=str(error))
