"""What was said in each session so far, as its viewers may read it: from when an utterance begins, with what hid behind
spoilers still hidden.

Kept in memory for as long as the session goes on, and bounded. Nothing is read from the store: what was said before a
restart is not in it. What waits in the queue is not in it either, since it may still be taken back.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from weakref import WeakValueDictionary

from adapters.web.protocol import TranscriptEntry, TranscriptMessage
from bot.core.events import EventBus, SessionChanged, UtteranceChanged
from bot.core.models import Mode, UtteranceState
from bot.core.ports import Clock
from bot.core.views import Phase
from bot.text import close_open_markup, make_speakable

MAX_ENTRIES = 200
"""Utterances that are kept of a session."""

MAX_LENGTH = 100_000
"""Characters that are kept of a session, in all its entries. Our choice: an hour of talk is some 50,000."""

MAX_TEXT = 4_000
"""Characters of a text or an answer; a message may have as many (`bot.relay.MAX_MESSAGE_LENGTH`)."""

MAX_NAME = 80
"""Characters of a name. Discord's have 32, Slack's 80."""

MAX_SESSIONS = 5_000
"""Sessions that are kept; the one that has been silent longest is forgotten first."""

BATCH = 50
"""Entries in one message to a page."""

BACKLOG = 4_096
"""Events of all sessions that may wait to be read."""

_CUT = (UtteranceState.INTERRUPTED, UtteranceState.FAILED, UtteranceState.UNKNOWN)


class Transcript:
    """What was said in one session."""

    def __init__(self) -> None:
        self._entries: OrderedDict[str, TranscriptEntry] = OrderedDict()
        self._revisions: dict[str, int] = {}
        self._length = 0
        self._revision = 0
        self._count = 0
        self._followers: set[asyncio.Event] = set()

    def note(self, change: UtteranceChanged, now: datetime) -> bool:
        """Take note of an utterance that begins, goes on or ends; whether that is anything new."""
        utterance = change.utterance
        before = self._entries.get(utterance.id)
        if before is None and utterance.state is not UtteranceState.SPEAKING:
            return False
        if before is None:
            self._count += 1
        entry = TranscriptEntry(
            n=self._count if before is None else before.n,
            at=now.timestamp() if before is None else before.at,
            who=utterance.author_name[:MAX_NAME],
            mode=utterance.mode,
            text=utterance.text[:MAX_TEXT],
            # While it is being said, the captions show how far it is.
            answer=_readable(change.answer) if utterance.mode is Mode.CHAT and utterance.state.is_final else None,
            is_over=utterance.state.is_final,
            is_cut=utterance.state in _CUT,
        )
        if entry == before:
            return False
        self._put(utterance.id, entry)
        for changed in self._followers:
            changed.set()
        return True

    def since(self, revision: int) -> tuple[int, list[TranscriptEntry]]:
        """The entries that are new or different since `revision` (0: all), and the revision that they are of."""
        return self._revision, [entry for name, entry in self._entries.items() if self._revisions[name] > revision]

    @contextmanager
    def follow(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever there is something new, until the block is left."""
        changed = asyncio.Event()
        self._followers.add(changed)
        try:
            yield changed
        finally:
            self._followers.discard(changed)

    def _put(self, name: str, entry: TranscriptEntry) -> None:
        self._revision += 1
        if name in self._entries:
            self._length -= _length_of(self._entries[name])
        self._entries[name] = entry
        self._revisions[name] = self._revision
        self._length += _length_of(entry)
        while len(self._entries) > MAX_ENTRIES or (self._length > MAX_LENGTH and len(self._entries) > 1):
            forgotten, oldest = self._entries.popitem(last=False)
            del self._revisions[forgotten]
            self._length -= _length_of(oldest)


class Transcripts:
    """The transcript of each session of this process that has one."""

    def __init__(self, event_bus: EventBus, clock: Clock) -> None:
        self._event_bus = event_bus
        self._clock = clock
        self._by_session: WeakValueDictionary[str, Transcript] = WeakValueDictionary()
        self._kept: OrderedDict[str, Transcript] = OrderedDict()

    def of(self, session_id: str) -> Transcript:
        """The transcript of a session, which may be empty."""
        transcript = self._by_session.get(session_id)
        if transcript is None:
            transcript = self._by_session[session_id] = Transcript()
        return transcript

    async def write(self) -> None:
        """Write down what is said in all sessions, until cancelled."""
        with self._event_bus.subscribe(backlog=BACKLOG) as subscription:
            async for event in subscription:
                match event:
                    case UtteranceChanged():
                        self._note(event)
                    case SessionChanged(view) if view.phase is Phase.ENDED:
                        self._kept.pop(view.session_id, None)

    def _note(self, change: UtteranceChanged) -> None:
        session_id = change.utterance.session_id
        transcript = self.of(session_id)
        if transcript.note(change, self._clock.now()):
            self._kept[session_id] = transcript
            self._kept.move_to_end(session_id)
            if len(self._kept) > MAX_SESSIONS:
                self._kept.popitem(last=False)


async def send_transcript(
    transcript: Transcript, write: Callable[[Sequence[TranscriptMessage]], Awaitable[None]]
) -> None:
    """Write to a page what was said so far, and what is said from now on, until cancelled."""
    revision = 0
    with transcript.follow() as changed:
        while True:
            changed.clear()
            revision, entries = transcript.since(revision)
            for start in range(0, len(entries), BATCH):
                await write([TranscriptMessage(entries=tuple(entries[start : start + BATCH]))])
            await changed.wait()


def _readable(answer: str | None) -> str | None:
    """An answer as it is said: what a model hid in it is hidden here as well."""
    return make_speakable(close_open_markup(answer))[:MAX_TEXT] or None if answer else None


def _length_of(entry: TranscriptEntry) -> int:
    return len(entry.who) + len(entry.text) + len(entry.answer or "")
