"""Light feedback: a reaction on each message says whether it waits, was said, or was not said.

The reactions of a channel are put one after another; of a message that has gone further meanwhile only the newest
state is shown, and a mark that stands is not put again. Where the bot may not react there are none, and nobody is
bothered with it.
"""

from collections import OrderedDict

import discord
import structlog
from cachetools import LRUCache

from adapters.chat.discord.rest import TRANSIENT_ERRORS, DiscordRest
from bot.core.models import Channel, Utterance, UtteranceState
from bot.core.ports import Clock
from bot.core.tasks import TaskSet
from bot.core.unexpected import report_unexpected

log = structlog.get_logger(__name__)

QUEUED = "👂"
SPOKEN = "✅"
NOT_SPOKEN = "🔇"

_MARKS = {
    UtteranceState.QUEUED: QUEUED,
    UtteranceState.SPOKEN: SPOKEN,
    UtteranceState.INTERRUPTED: NOT_SPOKEN,
    UtteranceState.DROPPED: NOT_SPOKEN,
    UtteranceState.FAILED: NOT_SPOKEN,
    UtteranceState.UNKNOWN: NOT_SPOKEN,
}

_LINGER = 0.5
"""Seconds before the first mark: what is said at once is never shown as waiting, and the request for its speech does
not stand behind one for a reaction (measured: a millisecond or two)."""

MAX_REMEMBERED_MARKS = 1000
"""Messages whose mark is remembered; to put one again that was forgotten changes nothing."""


class Reactions:
    """One line of messages to mark for each channel."""

    def __init__(self, connection: DiscordRest, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._wanted: dict[Channel, OrderedDict[int, str]] = {}
        self._shown: LRUCache[int, str] = LRUCache(MAX_REMEMBERED_MARKS)
        self._tasks = TaskSet()

    def show(self, channel: Channel, utterance: Utterance) -> None:
        """Mark the message of an utterance as its state asks; states without a mark leave it as it is."""
        if utterance.message_id is not None and (mark := _MARKS.get(utterance.state)) is not None:
            self.mark(channel, int(utterance.message_id), mark)

    def mark(self, channel: Channel, message_id: int, mark: str) -> None:
        """Put `mark` on a message in the place of the one before."""
        wanted = self._wanted.get(channel)
        if self._shown.get(message_id) == mark and message_id not in (wanted or ()):
            return
        if wanted is None:
            self._wanted[channel] = OrderedDict([(message_id, mark)])
            self._tasks.create_task(self._put_all(channel), name=f"reactions in {channel}")
        else:
            wanted[message_id] = mark

    async def drained(self) -> None:
        """Wait until everything has been shown."""
        await self._tasks.drained()

    async def close(self) -> None:
        """Give up what has not been shown."""
        await self._tasks.close()

    async def _put_all(self, channel: Channel) -> None:
        wanted = self._wanted[channel]
        try:
            await self._clock.sleep(_LINGER)
            while wanted:
                await self._put(int(channel.id), *wanted.popitem(last=False))
        finally:
            del self._wanted[channel]

    async def _put(self, channel_id: int, message_id: int, mark: str) -> None:
        if self._shown.get(message_id) == mark:
            return

        async def put(client: discord.Client) -> None:
            message = client.get_partial_messageable(channel_id).get_partial_message(message_id)
            await message.add_reaction(mark)

        async def take_back(client: discord.Client) -> None:
            message = client.get_partial_messageable(channel_id).get_partial_message(message_id)
            assert client.user is not None  # noqa: S101 - it is logged in
            await message.remove_reaction(QUEUED, client.user)

        try:
            await self._connection.request("reaction", put)
            self._shown[message_id] = mark
            if mark != QUEUED:
                # An earlier run of the bot may have put it, so this does not depend on what is remembered.
                await self._connection.request("reaction", take_back)
        except discord.NotFound:
            # The message, or the mark that was to be taken back, is gone: there is nothing to show.
            return
        except (discord.HTTPException, *TRANSIENT_ERRORS) as error:
            log.info("a reaction was not possible", channel=channel_id, error=str(error) or repr(error))
        except Exception as error:  # noqa: BLE001 - those behind it must not go with it
            report_unexpected("a reaction was not put: unexpected error", error, channel=channel_id)
