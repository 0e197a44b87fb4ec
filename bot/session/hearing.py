"""What the provider says of a session's stream, handed to the session's task; and how the stream is kept from its own
idle end. Knows no vendor; decides nothing about speech.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from bot.errors import ProviderError, StreamGone
from bot.house import House
from bot.model import Stream
from bot.ports import AnswerHeard, SpeechEnded, SpeechStarted, StreamEnded, WordsHeard
from bot.presentation import WordsSpoken
from bot.speaking.loop import SpeakingLoop
from bot.streams import StreamKeeper
from bot.supervision import Supervised
from bot.tasks import TaskOwner, end

log = structlog.get_logger(__name__)


class StreamEar:
    """Listens to the one open stream of a session."""

    def __init__(
        self,
        session_id: str,
        house: House,
        keeper: StreamKeeper,
        speech: SpeakingLoop,
        tasks: TaskOwner,
        post: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        """`post` hands work to the session's task."""
        self._session_id = session_id
        self._house = house
        self._keeper = keeper
        self._speech = speech
        self._tasks = tasks
        self._post = post
        self._listening: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Begin to listen to the stream that is open now."""
        if (stream := self._keeper.current) is not None:
            # A mistake in a client must not leave the session deaf: it would never hear that its stream has ended.
            listening = Supervised("listening", partial(self._hear, stream), self._house.clock)
            self._listening = self._tasks.start(listening.run(), name=f"listen {stream.id}")

    async def stop(self) -> None:
        """Listen no longer."""
        listening, self._listening = self._listening, None
        await end(listening)

    async def stream_ended(self, stream_id: str, reason: str) -> None:
        """Note that the provider no longer has a stream open; work for the session's task."""
        if self._is_current(stream_id):
            log.info("the provider ended a stream", session=self._session_id, stream=stream_id, reason=reason)
            await self._keeper.lose(reason)
            await self._speech.stream_ended(StreamGone(f"the provider ended the stream: {reason}"))

    async def keep_alive(self) -> None:
        """Reset the provider's idle timer; work for the session's task."""
        if (upstream_id := self._keeper.upstream_id) is not None:
            try:
                await self._house.provider.keep_alive(upstream_id)
            except ProviderError as error:
                log.warning("keep-alive failed", session=self._session_id, error=str(error))

    async def _hear(self, stream: Stream) -> None:
        try:
            async for event in self._house.provider.events(stream.upstream_id or ""):
                match event:
                    case WordsHeard(words):
                        self._house.bulletin.publish(WordsSpoken(self._session_id, words))
                        if self._speech.progress.is_feeding:
                            characters = sum(len(word.text) + 1 for word in words)
                            self._post(partial(self._speech.progress.words_heard, characters))
                    case StreamEnded(reason):
                        self._post(partial(self.stream_ended, stream.id, reason))
                    case _:
                        self._post(partial(self._heard, stream, event))
        except ProviderError as error:
            log.warning("listening to a stream failed", stream=stream.id, error=str(error))

    async def _heard(self, stream: Stream, event: SpeechStarted | SpeechEnded | AnswerHeard) -> None:
        if self._is_current(stream.id):
            await self._speech.progress.heard(event)

    def _is_current(self, stream_id: str) -> bool:
        return self._keeper.current is not None and self._keeper.current.id == stream_id
