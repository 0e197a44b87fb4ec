"""Messages on their way into channels: each channel's go out one after another, in the order they were handed over.

A channel that does not keep up loses its oldest message, which is logged. Knows nothing of sessions.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import discord
import structlog

from adapters.chat.discord import strings
from adapters.chat.discord.buttons import view_of
from adapters.chat.discord.closed_threads import may_be_written_in
from adapters.chat.discord.render import answer_of, escape, pieces_of, pieces_of_answer
from adapters.chat.discord.rest import TRANSIENT_ERRORS, DiscordRest
from adapters.chat.keyed_queue import KeyedTaskQueue
from bot.core.events import Delivery, Notice, NoticeKind, UtteranceChanged
from bot.core.models import Channel
from bot.core.views import Button
from bot.facade import Bot
from bot.settings import AnswerPlacement

log = structlog.get_logger(__name__)

_BACKLOG = 50
"""Messages that wait for one channel: Discord lets through about one a second."""
_THREAD_EXISTS = 160004
_MAX_THREAD_NAME_LENGTH = 100


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message to be posted.

    pieces: the contents of the messages it takes.
    reply_to: the message it answers; should that be gone, it stands alone.
    thread: the name of the thread under `reply_to` into which it goes instead, where a thread is possible.
    buttons, session_id, link: as in `view_of`, under the last piece.
    """

    pieces: Sequence[str]
    reply_to: int | None = None
    thread: str | None = None
    buttons: Sequence[Button] = ()
    session_id: str = ""
    link: str | None = None


class Outbox:
    """A queue of messages for each channel."""

    def __init__(self, connection: DiscordRest) -> None:
        self._connection = connection
        self._queue = KeyedTaskQueue("discord out", max_queued=_BACKLOG, drops_oldest=True)

    def post(self, channel: Channel, message: OutgoingMessage, delivery: Delivery | None = None) -> None:
        """Put a message at the end of a channel's queue. `delivery`: of the message."""
        send = partial(self._send, channel, message)
        self._queue.submit(channel, send if delivery is None else delivery.after(send))

    async def drained(self) -> None:
        """Wait until everything has been sent."""
        await self._queue.idle()

    async def close(self) -> None:
        """Give up what has not been sent."""
        await self._queue.close()

    async def _send(self, channel: Channel, message: OutgoingMessage) -> None:
        try:
            if not await self._connection.request("channel", partial(may_be_written_in, channel=channel)):
                log.info("a message was left out, as its thread is closed", channel=str(channel))
                return
            place, reply_to = int(channel.id), message.reply_to
            if message.thread is not None and reply_to is not None and await self._open_thread(channel, message):
                # A thread that was opened under a message has the message's id.
                place, reply_to = reply_to, None
            for number, piece in enumerate(message.pieces, 1):
                is_last = number == len(message.pieces)
                await self._send_piece(int(channel.workspace), place, reply_to, piece, message if is_last else None)
                reply_to = None
        except (discord.HTTPException, *TRANSIENT_ERRORS) as error:
            log.warning("a message could not be posted", channel=str(channel), error=str(error) or repr(error))

    async def _send_piece(
        self, guild_id: int, place: int, reply_to: int | None, content: str, message: OutgoingMessage | None
    ) -> None:
        nonce = secrets.randbits(62)

        async def send(client: discord.Client) -> None:
            target = client.get_partial_messageable(place, guild_id=guild_id)
            options: dict[str, object] = {}
            if reply_to is not None:
                options["reference"] = discord.MessageReference(
                    message_id=reply_to, channel_id=place, guild_id=guild_id, fail_if_not_exists=False
                )
            if message and (view := view_of(message.buttons, message.session_id, message.link)):
                options["view"] = view
            await target.send(content, nonce=nonce, suppress_embeds=True, **options)  # type: ignore[call-overload]

        await self._connection.request("message", send)

    async def _open_thread(self, channel: Channel, message: OutgoingMessage) -> bool:
        """Open the thread of a message. False if there cannot be one: in a thread, or where what it answers is gone."""
        name = " ".join((message.thread or "").split())[:_MAX_THREAD_NAME_LENGTH] or "answer"

        async def create(client: discord.Client) -> bool:
            place = client.get_channel(int(channel.id))
            if not isinstance(place, discord.TextChannel) or message.reply_to is None:
                return False
            await place.get_partial_message(message.reply_to).create_thread(name=name)
            return True

        try:
            return await self._connection.request("thread", create, knows=int(channel.workspace))
        except discord.HTTPException as error:
            if error.code == _THREAD_EXISTS:
                return True
            log.info("an answer got no thread", channel=str(channel), error=str(error))
            return False


_ON_THE_PANEL = (NoticeKind.LIVE, NoticeKind.WAITING)
_MAX_QUESTION_LENGTH = 200


class Notices:
    """Turns events into messages for the outbox."""

    def __init__(self, bot: Bot, outbox: Outbox) -> None:
        self._answers = bot.settings.session.answers
        self._outbox = outbox

    def show(self, notice: Notice) -> None:
        """Tell a channel what it should read although nobody asked; the panel says some of it already."""
        if notice.occasion in _ON_THE_PANEL:
            return
        reply = notice.reply
        message = OutgoingMessage(
            pieces_of(reply), buttons=reply.buttons, session_id=notice.session_id, link=reply.link
        )
        self._outbox.post(notice.channel, message)

    def show_answer(self, event: UtteranceChanged) -> None:
        """Write down what the avatar has answered, under the question where that is a message."""
        if self._answers is AnswerPlacement.OFF or not event.answer or not event.utterance.state.is_final:
            return
        utterance, answer = event.utterance, answer_of(event.answer.strip())
        if not answer:
            return
        if utterance.message_id is None:
            question = escape(strings.asked(utterance.author_name, utterance.text[:_MAX_QUESTION_LENGTH]))
            self._outbox.post(event.channel, OutgoingMessage(pieces_of_answer(f"{question}\n{answer}")))
            return
        thread = utterance.text if self._answers is AnswerPlacement.THREAD else None
        self._outbox.post(
            event.channel, OutgoingMessage(pieces_of_answer(answer), reply_to=int(utterance.message_id), thread=thread)
        )
