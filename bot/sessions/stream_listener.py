"""What the provider says of a session's stream, handed to the session's task; how the stream is kept from its own idle
end; and that no stream stays open whose avatar is missing. Knows no vendor; decides nothing about speech.
"""

import asyncio
from functools import partial

import structlog

from bot.core.errors import AvatarAway, ProviderError, StreamGone
from bot.core.events import WordsSpoken
from bot.core.mailbox import Mailbox
from bot.core.models import Stream
from bot.core.ports import AnswerHeard, AvatarSeen, SpeechEnded, SpeechStarted, StreamEnded, WordsHeard
from bot.core.tasks import TaskSet, cancel_and_wait
from bot.services import Services
from bot.speaking.speaker import Speaker
from bot.streams.page_bridge import AVATAR_LIMIT
from bot.streams.streams import SessionStream
from bot.supervision import Supervised

log = structlog.get_logger(__name__)


class StreamListener:
    """Listens to the one open stream of a session.

    avatar_is_away: somebody is in the avatar's room, and it is not there.
    """

    def __init__(
        self,
        session_id: str,
        services: Services,
        stream: SessionStream,
        speaker: Speaker,
        tasks: TaskSet,
        mailbox: Mailbox,
    ) -> None:
        self._session_id = session_id
        self._services = services
        self._stream = stream
        self._speaker = speaker
        self._tasks = tasks
        self._mailbox = mailbox
        self._listening: asyncio.Task[None] | None = None
        self._keeping_alive: asyncio.Task[None] | None = None
        self.avatar_is_away = False

    def listen(self) -> None:
        """Begin to listen to the stream that is open now."""
        self._stop_missing()
        if (stream := self._stream.current) is not None:
            # A mistake in a client must not leave the session deaf: it would never hear that its stream has ended.
            listening = Supervised("listening", partial(self._consume, stream), self._services.clock)
            self._listening = self._tasks.create_task(listening.run(), name=f"listen {stream.id}")

    async def stop(self) -> None:
        """Listen no longer."""
        self._stop_missing()
        listening, self._listening = self._listening, None
        await cancel_and_wait(listening)
        await cancel_and_wait(self._keeping_alive)

    async def stream_ended(self, stream_id: str, reason: str) -> None:
        """Note that the provider no longer has a stream open; work for the session's task."""
        if self._is_current(stream_id):
            log.info("the provider ended a stream", session=self._session_id, stream=stream_id, reason=reason)
            self._stop_missing()
            await self._stream.mark_ended(reason)
            await self._speaker.stream_ended(StreamGone(f"the provider ended the stream: {reason}"))

    def keep_alive(self) -> None:
        """Reset the provider's idle timer. No message waits for the answer; a keep-alive without one by the time of the
        next is given up for that.

        None is sent for a stream that is only being opened: LiveAvatar does not know it yet and would call it gone,
        although it is about to speak.
        """
        if self._keeping_alive is not None:
            self._keeping_alive.cancel()
            self._keeping_alive = None
        if (stream := self._stream.current) is not None and self._stream.ready_at is not None:
            name = f"keep {stream.id} alive"
            self._keeping_alive = self._tasks.create_task(self._reset_idle_timer(stream), name=name)

    async def _reset_idle_timer(self, stream: Stream) -> None:
        try:
            await self._services.provider.keep_alive(stream.upstream_id or "")
        except StreamGone as gone:
            self._mailbox.post(self.stream_ended, stream.id, str(gone))
        except ProviderError as error:
            log.warning("keep-alive failed", session=self._session_id, error=str(error))

    async def _consume(self, stream: Stream) -> None:
        try:
            async for event in self._services.provider.events(stream.upstream_id or ""):
                match event:
                    case WordsHeard(words):
                        self._services.event_bus.publish(WordsSpoken(self._session_id, words))
                        if self._speaker.tracker.has_more_to_send:
                            characters = sum(len(word.text) + 1 for word in words)
                            self._mailbox.post(self._speaker.tracker.words_heard, characters)
                    case StreamEnded(reason):
                        self._mailbox.post(self.stream_ended, stream.id, reason)
                    case AvatarSeen(is_here):
                        self._mailbox.post(self._seen, stream.id, is_here)
                    case _:
                        self._mailbox.post(self._handle, stream, event)
        except ProviderError as error:
            log.warning("listening to a stream failed", stream=stream.id, error=str(error))

    async def _handle(self, stream: Stream, event: SpeechStarted | SpeechEnded | AnswerHeard) -> None:
        if self._is_current(stream.id):
            await self._speaker.tracker.heard(event)

    async def _seen(self, stream_id: str, is_here: bool | None) -> None:
        """Take note of whether the avatar is in its room. Where nobody looks, nobody can say that it is missing."""
        if not self._is_current(stream_id):
            return
        if is_here is not False:
            self._stop_missing()
        elif not self.avatar_is_away:
            self.avatar_is_away = True
            self._mailbox.call_later("avatar", AVATAR_LIMIT, self._miss, stream_id)

    async def _miss(self, stream_id: str) -> None:
        """The avatar has not come for too long: the session fails by this, so that its stream is closed, and told."""
        if self._is_current(stream_id) and self.avatar_is_away:
            raise AvatarAway(f"the avatar was not in its room for {AVATAR_LIMIT:g} s")

    def _stop_missing(self) -> None:
        self.avatar_is_away = False
        self._mailbox.cancel("avatar")

    def _is_current(self, stream_id: str) -> bool:
        return self._stream.current is not None and self._stream.current.id == stream_id
