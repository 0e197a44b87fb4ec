"""The one place that acknowledges interactions: first a sign that it was heard, then the work, then the answer. But
for a launch of the Activity, which is a sign of its own: whether there is one is decided first, from what is known.

Discord wants the sign within 3 seconds. Where it came too late (10062) or was given before (40060) the work is done all
the same, and the answer finds another way. Decides nothing about sessions.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import discord
import structlog
from cachetools import LRUCache

from adapters.chat.discord import strings
from adapters.chat.discord.activity import Activity
from adapters.chat.discord.buttons import view_of
from adapters.chat.discord.converters import actor_of, channel_of, names_in
from adapters.chat.discord.message_words import words_of
from adapters.chat.discord.outbox import Outbox, OutgoingMessage
from adapters.chat.discord.presence import not_a_member, obstacle
from adapters.chat.discord.render import pieces_of
from adapters.chat.discord.rest import TRANSIENT_ERRORS
from bot import sentences
from bot.commands.parser import AVATAR, Command, CommandContext
from bot.core.errors import AvatarRelayError, Refused
from bot.core.events import LeftUnsaid
from bot.core.models import Channel
from bot.core.tasks import TaskSet, cancel_and_wait
from bot.core.unexpected import report_unexpected
from bot.core.views import Reply, UnsaidWords, Visibility
from bot.facade import Bot
from bot.settings import AnswerPlacement

log = structlog.get_logger(__name__)

Interaction = discord.Interaction[Any]

WATCH = (AVATAR, "watch")

PUBLIC = frozenset({(AVATAR, verb) for verb in ("stop", "interrupt", "skip", "clear")})
"""Commands whose answer concerns everybody in the channel. It has to be known before the command has run, since the
acknowledgement decides who sees the answer."""

LAUNCH = "launch"
"""The verb of the button that opens the avatar inside Discord."""

_DECISION_TIME = 1.5
"""Seconds to decide whether there is something to launch, before the interaction is acknowledged in the usual way."""
_ACKNOWLEDGE_TIME = 5.0
"""Seconds; after 3 Discord takes no acknowledgement any more."""
_ANSWER_TIME = 60.0
"""Seconds, waiting for rate limits included."""
_TOKEN_LIFE = 14 * 60.0
"""Seconds in which more can be told to whoever gave a command. Discord takes 15 minutes, by its own clock."""
MAX_REMEMBERED_PEOPLE = 1000
"""People whose newest interaction is remembered for that."""


class Interactions:
    """Answers commands, buttons and the entry of the context menu."""

    def __init__(self, bot: Bot, outbox: Outbox, activity: Activity) -> None:
        self._bot = bot
        self._activity = activity
        self._outbox = outbox
        self._tasks = TaskSet()
        self._newest: LRUCache[tuple[Channel, int], tuple[float, Interaction, asyncio.Task[None]]]
        self._newest = LRUCache(MAX_REMEMBERED_PEOPLE)
        self.is_leaving = False

    def command(self, interaction: Interaction, command: Command) -> None:
        """Answer a slash command."""
        if (command.group, command.verb) == WATCH and self._activity.is_offered:
            self._begin(interaction, lambda: self._run(interaction, command), launches=True)
            return
        public = (command.group, command.verb) in PUBLIC
        self._begin(interaction, lambda: self._run(interaction, command), public=public)

    def press(self, interaction: Interaction, verb: str, session_id: str) -> None:
        """Answer the press of a button."""
        if verb == LAUNCH:
            command = Command(*WATCH)
            work = partial(self._run, interaction, command, session_id=session_id)
            self._begin(interaction, work, launches=True)
            return
        command = Command(AVATAR, verb)
        if (AVATAR, verb) not in self._bot.commands.usages:
            self.say(interaction, strings.NOT_MINE)
            return
        self._begin(interaction, lambda: self._run(interaction, command, session_id=session_id), public=False)

    def enter(self, interaction: Interaction) -> None:
        """Answer the application's entry point, "Launch": the Activity is opened also where no avatar is yet."""
        if not self._activity.is_offered:
            self.say(interaction, strings.NO_ACTIVITY)
            return
        self._begin(interaction, lambda: self._enter(interaction), launches=True)

    def say_this(self, interaction: Interaction, message: discord.Message) -> None:
        """Have the avatar say a message somebody pointed at."""
        command = Command(AVATAR, "say", words_of(message))
        self._begin(interaction, lambda: self._run(interaction, command, message=message), public=False)

    def say(self, interaction: Interaction, sentence: str) -> None:
        """Answer with a sentence, to the asker alone."""

        async def answer() -> Reply:
            return Reply(sentence, Visibility.PRIVATE)

        self._begin(interaction, answer, public=False)

    def tell_people(self, event: LeftUnsaid) -> None:
        """Tell people what was not said of their words: each alone where Discord still takes that, the others together
        in the channel."""
        tell = partial(self._tell_people, event)
        telling = tell() if event.delivery is None else event.delivery.after(tell)()
        self._tasks.create_task(telling, name=f"what was not said in {event.channel}")

    async def close(self) -> None:
        """Give up what has not been answered."""
        await self._tasks.close()

    async def drained(self) -> None:
        """Wait until everything has been answered."""
        await self._tasks.drained()

    # --- acknowledge, work, answer -----------------------------------------------------------------------------------

    def _begin(
        self,
        interaction: Interaction,
        work: Callable[[], Awaitable[Reply | None]],
        *,
        public: bool = False,
        launches: bool = False,
    ) -> None:
        serving = self._launch(interaction, work) if launches else self._serve(interaction, work, public=public)
        task = self._tasks.create_task(serving, name=f"interaction {interaction.id}")
        if interaction.guild_id is None or interaction.channel_id is None:
            return
        person = channel_of(interaction.guild_id, interaction.channel_id), interaction.user.id
        self._newest[person] = self._bot.clock.monotonic(), interaction, task

    async def _serve(
        self, interaction: Interaction, work: Callable[[], Awaitable[Reply | None]], *, public: bool
    ) -> None:
        is_heard = await self._acknowledge(interaction, public=public)
        reply = await self._reply_of(work)
        if reply is not None:
            await self._answer(interaction, reply, public=public, is_heard=is_heard)

    async def _launch(self, interaction: Interaction, work: Callable[[], Awaitable[Reply | None]]) -> None:
        """Launch the Activity where the answer would be a link; where Discord takes no launch, give the link."""
        deciding = asyncio.create_task(self._reply_of(work), name=f"decide on {interaction.id}")
        try:
            await asyncio.wait({deciding}, timeout=_DECISION_TIME)
            if deciding.done():
                reply = deciding.result()
                if reply is None or (reply.link and not self.is_leaving and await self._activity.launch(interaction)):
                    return
            is_heard = await self._acknowledge(interaction, public=False)
            if (reply := await deciding) is not None:
                await self._answer(interaction, reply, public=False, is_heard=is_heard)
        finally:
            await cancel_and_wait(deciding)

    async def _reply_of(self, work: Callable[[], Awaitable[Reply | None]]) -> Reply | None:
        """What is to be answered, also where something went wrong."""
        try:
            return Reply(strings.LEAVING, Visibility.PRIVATE) if self.is_leaving else await work()
        except AvatarRelayError as error:
            sentence, reference = sentences.failure(error)
            log.error("a command failed", reference=reference, error=str(error))
            return Reply(sentence, Visibility.PRIVATE)
        except Exception as error:  # noqa: BLE001
            # The person must read something, whatever went wrong (rule 10).
            report_unexpected("a command failed: unexpected error", error)
            return Reply(strings.BROKEN, Visibility.PRIVATE)

    async def _acknowledge(self, interaction: Interaction, *, public: bool) -> bool:
        """Defer the answer. False if Discord did not take it, so that there is nothing to be edited later."""
        try:
            async with asyncio.timeout(_ACKNOWLEDGE_TIME):
                await interaction.response.defer(ephemeral=not public, thinking=True)
        except (discord.HTTPException, RuntimeError, *TRANSIENT_ERRORS) as error:
            code = error.code if isinstance(error, discord.HTTPException) else None
            log.warning("an interaction was not acknowledged", code=code, error=str(error) or repr(error))
            return False
        return True

    async def _answer(self, interaction: Interaction, reply: Reply, *, public: bool, is_heard: bool) -> None:
        try:
            async with asyncio.timeout(_ANSWER_TIME):
                if is_heard and public and reply.visibility is Visibility.PRIVATE:
                    # What was announced for everybody turned out to be for one: take the announcement back first.
                    await interaction.delete_original_response()
                    await self._follow_up(interaction, reply, pieces_of(reply))
                else:
                    # Also after a lost reply to the acknowledgement, which may have arrived.
                    await self._edit(interaction, reply)
        except (discord.HTTPException, RuntimeError, *TRANSIENT_ERRORS) as error:
            # RuntimeError: aiohttp's, where the client has reconnected and the interaction's session was closed.
            log.warning("an answer could not be delivered", error=str(error) or repr(error))
            self._answer_in_channel(interaction, reply)

    async def _edit(self, interaction: Interaction, reply: Reply) -> None:
        first, *rest = pieces_of(reply)
        view = self._view(interaction, reply) if not rest else None
        await interaction.edit_original_response(content=first, view=view)
        if rest:
            await self._follow_up(interaction, reply, rest)

    async def _follow_up(self, interaction: Interaction, reply: Reply, pieces: list[str]) -> None:
        for number, piece in enumerate(pieces, 1):
            view = self._view(interaction, reply) if number == len(pieces) else None
            await interaction.followup.send(
                piece, ephemeral=reply.visibility is Visibility.PRIVATE, view=view or discord.utils.MISSING
            )

    def _answer_in_channel(self, interaction: Interaction, reply: Reply) -> None:
        if interaction.guild_id is None or interaction.channel_id is None:
            return
        if reply.visibility is Visibility.PRIVATE:
            # It was meant for one person, and may say what others should not read.
            reply = Reply(strings.answered_late(interaction.user.display_name))
        channel = channel_of(interaction.guild_id, interaction.channel_id)
        # The link may be for the asker alone; what everybody may have is on the panel.
        self._outbox.post(channel, OutgoingMessage(pieces_of(replace(reply, link=None))))

    # --- told later --------------------------------------------------------------------------------------------------

    async def _tell_people(self, event: LeftUnsaid) -> None:
        are_told = await asyncio.gather(*(self._tell_later(event.channel, words) for words in event.people))
        missed = [words.name for words, is_told in zip(event.people, are_told, strict=True) if not is_told]
        if missed and event.may_tell_channel:
            sentence = sentences.left_unsaid_of(missed)
            self._outbox.post(event.channel, OutgoingMessage(pieces_of(Reply(sentence))), event.delivery)

    async def _tell_later(self, channel: Channel, words: UnsaidWords) -> bool:
        """Tell one person, after the answer to what they asked last. False if nobody but them could tell how."""
        person = words.person.partition(":")[2]
        newest = self._newest.get((channel, int(person))) if person.isdecimal() else None
        if newest is None or self._bot.clock.monotonic() - newest[0] > _TOKEN_LIFE:
            return False
        _, interaction, answering = newest
        try:
            async with asyncio.timeout(_ANSWER_TIME):
                await asyncio.wait([answering])
                await self._follow_up(interaction, words.reply, pieces_of(words.reply))
        except (discord.HTTPException, RuntimeError, *TRANSIENT_ERRORS) as error:
            # RuntimeError: as in `_answer`.
            log.info("somebody could not be told alone", error=str(error) or repr(error))
            return False
        return True

    # --- the work ----------------------------------------------------------------------------------------------------

    async def _run(
        self,
        interaction: Interaction,
        command: Command,
        *,
        session_id: str | None = None,
        message: discord.Message | None = None,
    ) -> Reply | None:
        if interaction.guild_id is None or interaction.channel_id is None:
            return not_a_member(interaction)
        channel = channel_of(interaction.guild_id, interaction.channel_id)
        if command.group == AVATAR and self._bot.cluster.directory.owner_of(channel) is not None:
            return Reply(sentences.TAKING_OVER, Visibility.PRIVATE)
        if (command.group, command.verb) == (AVATAR, "start"):
            opens_threads = self._bot.settings.session.answers is AnswerPlacement.THREAD
            if (refusal := await obstacle(interaction, opens_threads=opens_threads)) is not None:
                return refusal
        return await self._bot.commands.run(
            CommandContext(
                command,
                channel,
                actor_of(interaction.user, interaction.permissions),
                keys=(f"discord:interaction:{interaction.id}",),
                message_id=str(message.id) if message else None,
                names=names_in(command.text, interaction.guild, message.mentions if message else ()),
                session_id=session_id,
            )
        )

    async def _enter(self, interaction: Interaction) -> Reply | None:
        """As `/avatar watch`; but where no avatar is there is a page to show, which says how to bring one."""
        if interaction.guild_id is None or interaction.channel_id is None:
            return not_a_member(interaction)
        channel = channel_of(interaction.guild_id, interaction.channel_id)
        try:
            self._bot.commands.require(actor_of(interaction.user, interaction.permissions), channel, WATCH)
        except Refused as refusal:
            return Reply(str(refusal), Visibility.PRIVATE)
        if self._bot.sessions.in_channel(channel) is None and await self._activity.launch(interaction):
            return None
        return await self._run(interaction, Command(*WATCH))

    def _view(self, interaction: Interaction, reply: Reply) -> discord.ui.View | None:
        running = self._bot.sessions.in_channel(channel_of(interaction.guild_id or 0, interaction.channel_id or 0))
        buttons = reply.buttons if running else ()
        return view_of(buttons, running.session.id if running else "", reply.link)
