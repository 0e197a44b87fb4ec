"""How speech ends before its last word: cut by people, with its stream, or with the session; and what becomes of what
was not said then.

What surely was not said waits, or is dropped. What may have been said is never said again (rule 5): it ends as unknown,
and whoever wrote it is told. Decides nothing about what is said next.
"""

from bot import sentences
from bot.announcer import Announcer
from bot.core.errors import ProviderError, StoreError, StreamGone, Transient, Trouble
from bot.core.models import UtteranceState
from bot.speaking.chunks import Chunker
from bot.speaking.item import SpeechItem, StateRecorder
from bot.speaking.playout import Playout
from bot.speaking.queue import SpeechQueue
from bot.speaking.sender import SpeechSender
from bot.speaking.status import SpeechStatus
from bot.speaking.tracker import PlaybackTracker
from bot.streams.streams import SessionStream

NOT_TOLD = "nothing told how far the voice had come"


class SpeechFailures:
    """Ends items that were not said, or of which that is not known, and tells the channel."""

    def __init__(self, playout: Playout, chunker: Chunker, states: StateRecorder, announcer: Announcer) -> None:
        self._playout = playout
        self._chunker = chunker
        self._states = states
        self._announcer = announcer

    async def fail(self, item: SpeechItem, state: UtteranceState, error: ProviderError) -> None:
        """End an item in `state`, wherever it is, because of `error`. Raises `StoreError`."""
        await self._chunker.stop(item)
        self._playout.remove(item)
        await self._states.finish(item, state, detail=str(error))
        if item.stored:
            self._announcer.report_error(sentences.not_said(state, error), error)

    async def fail_in_doubt(self, item: SpeechItem) -> None:
        """End an item of which nothing told whether it was said. Raises `StoreError`."""
        untold = Transient(NOT_TOLD, may_have_taken_effect=True, trouble=Trouble.UNCONFIRMED)
        await self.fail(item, UtteranceState.UNKNOWN, untold)


class SpeechInterrupter:
    """Ends what one session says. What is awaited here raises `StoreError`."""

    def __init__(
        self,
        stream: SessionStream,
        sender: SpeechSender,
        queue: SpeechQueue,
        playout: Playout,
        chunker: Chunker,
        states: StateRecorder,
        status: SpeechStatus,
        tracker: PlaybackTracker,
        failures: SpeechFailures,
        announcer: Announcer,
    ) -> None:
        self._stream = stream
        self._sender = sender
        self._queue = queue
        self._playout = playout
        self._chunker = chunker
        self._states = states
        self._status = status
        self._tracker = tracker
        self._failures = failures
        self._announcer = announcer

    async def cut(self) -> None:
        """Silence now. What was sent ahead waits again; what waited does so still."""
        silent_at = self._playout.silent_at
        is_talking = self._status.is_talking_on
        if is_talking or (self._playout.current is not None and self._playout.current.sent):
            # Before anything is waited for: who hears the avatar hears it stop at once.
            self._stream.sound.cut()
        try:
            if self._playout.current is not None:
                await self._chunker.stop(self._playout.current)
                item = self._fall_silent()
                await self._states.finish(item, UtteranceState.INTERRUPTED)
                is_talking = is_talking or item.sent
            if is_talking:
                try:
                    await self._sender.interrupt()
                except ProviderError as error:
                    await self._handle_interrupt_error(error, silent_at)
                else:
                    self._playout.reset()
        finally:
            self._stream.sound.settle()
        await self._settle_ahead()

    async def clear(self) -> None:
        """Empty the queue; what is being said is said to the end."""
        self._status.is_paused = False
        await self._queue.clear()

    async def abandon(self) -> None:
        """The session closes: nothing more is said, and every utterance gets its last state. Where some of them could
        not be written, all are told all the same."""
        while self._status.arrived:
            self._queue.add(self._status.arrived.popleft())
        self._take_back_ahead()
        trouble: StoreError | None = None
        while self._playout.current is not None or self._playout.in_doubt is not None or self._queue:
            try:
                await self._settle_doubt()
                await self._abandon_current()
                await self.clear()
            except StoreError as error:
                trouble = error
        if trouble is not None:
            raise trouble

    async def stream_ended(self, why: StreamGone) -> None:
        """The stream is gone. What was half said is settled as unknown, and told; what had been sent ahead is sent
        again, and what was only cut short is gone on with."""
        if self._status.is_cut_short and self._playout.unsaid <= 0:
            self.stream_let_go()
            return
        current = self._playout.current
        if current is not None and current.sent:
            await self._chunker.stop(current)
            await self._failures.fail(self._fall_silent(), UtteranceState.UNKNOWN, why)
        self._playout.reset()
        await self._settle_ahead()

    def stream_let_go(self) -> None:
        """The stream was closed in silence. The rest of what was being said goes into the next one."""
        self._tracker.cancel_end()
        self._playout.reset()

    async def return_to_queue(self) -> None:
        """Write down that the first that waits does so, where its row says that its turn had come."""
        if (item := self._queue.first) is not None and item.utterance.state is not UtteranceState.QUEUED:
            await self._states.advance(item, UtteranceState.QUEUED)

    async def _handle_interrupt_error(self, error: ProviderError, silent_at: float) -> None:
        """The provider was not interrupted: it says to the end what it was given, the item sent ahead included, and
        what is sent now is said after that."""
        self._playout.talk_until(silent_at)
        if (item := self._queue.first) is not None and item.utterance.state is not UtteranceState.QUEUED:
            await self._failures.fail(self._queue.take(), UtteranceState.UNKNOWN, error)
        self._announcer.report_error(sentences.interrupt_failed(error), error)

    def _fall_silent(self) -> SpeechItem:
        """Take the current item out of the loop; the one sent ahead goes back to the queue, or into doubt."""
        item = self._playout.cut()
        self._tracker.cancel_end()
        self._take_back_ahead()
        return item

    def _take_back_ahead(self) -> None:
        if (item := self._playout.take_back()) is not None:
            self._queue.requeue(item)

    async def _settle_ahead(self) -> None:
        """Write down what became of the item that had been sent ahead."""
        await self._settle_doubt()
        await self.return_to_queue()

    async def _settle_doubt(self) -> None:
        if (item := self._playout.take_doubtful()) is not None:
            await self._failures.fail_in_doubt(item)

    async def _abandon_current(self) -> None:
        item = self._playout.current
        if item is None:
            return
        await self._chunker.stop(item)
        self._playout.remove(item)
        if item.sent:
            fate = UtteranceState.INTERRUPTED
        else:
            fate = UtteranceState.UNKNOWN if item.in_flight else UtteranceState.DROPPED
        await self._states.finish(item, fate)
