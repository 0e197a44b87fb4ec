"""What was said in each session so far, as its viewers may read it: from when an utterance begins, with what hid behind
spoilers still hidden.

Kept in memory for as long as the session goes on, and bounded. Nothing is read from the store: what was said before a
restart is not in it. What waits in the queue is not in it either, since it may still be taken back.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from weakref import WeakValueDictionary

from adapters.web.protocol import TranscriptEntry, TranscriptMessage
from bot.core.events import EventBus, SessionChanged, UtteranceChanged
from bot.core.models import Mode, Utterance, UtteranceState
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


@dataclass(frozen=True, slots=True)
class _Said:
    """What one entry is made of: it is written only where a page reads it. answer: as it is said."""

    n: int
    at: datetime
    utterance: Utterance
    answer: str | None = None

    @property
    def length(self) -> int:
        """Characters."""
        return (
            min(MAX_NAME, len(self.utterance.author_name))
            + min(MAX_TEXT, len(self.utterance.text))
            + len(self.answer or "")
        )

    def as_entry(self) -> TranscriptEntry:
        utterance = self.utterance
        return TranscriptEntry(
            n=self.n,
            at=self.at.timestamp(),
            who=utterance.author_name[:MAX_NAME],
            mode=utterance.mode,
            text=utterance.text[:MAX_TEXT],
            answer=self.answer,
            is_over=utterance.state.is_final,
            is_cut=utterance.state in _CUT,
        )


class Transcript:
    """What was said in one session."""

    def __init__(self) -> None:
        self._said: OrderedDict[str, _Said] = OrderedDict()
        self._revisions: dict[str, int] = {}
        self._length = 0
        self._revision = 0
        self._count = 0
        self._followers: set[asyncio.Event] = set()

    def note(self, change: UtteranceChanged, clock: Clock) -> bool:
        """Take note of an utterance that begins or ends; whether that is anything new."""
        utterance = change.utterance
        before = self._said.get(utterance.id)
        if before is None:
            if utterance.state is not UtteranceState.SPEAKING:
                return False
            self._count += 1
            said = _Said(self._count, clock.now(), utterance)
        elif utterance.state.is_final:
            answer = _readable(change.answer) if utterance.mode is Mode.CHAT else None
            if utterance.state is before.utterance.state and answer == before.answer:
                return False
            said = _Said(before.n, before.at, utterance, answer)
        else:
            # While it is being said, the captions show how far it is.
            return False
        self._put(utterance.id, said)
        for changed in self._followers:
            changed.set()
        return True

    def since(self, revision: int) -> tuple[int, list[TranscriptEntry]]:
        """The entries that are new or different since `revision` (0: all), and the revision that they are of."""
        new = [said for name, said in self._said.items() if self._revisions[name] > revision]
        return self._revision, [said.as_entry() for said in new]

    @contextmanager
    def follow(self) -> Iterator[asyncio.Event]:
        """An event that is set whenever there is something new, until the block is left."""
        changed = asyncio.Event()
        self._followers.add(changed)
        try:
            yield changed
        finally:
            self._followers.discard(changed)

    def _put(self, name: str, said: _Said) -> None:
        self._revision += 1
        if (before := self._said.get(name)) is not None:
            self._length -= before.length
        self._said[name] = said
        self._revisions[name] = self._revision
        self._length += said.length
        while len(self._said) > MAX_ENTRIES or (self._length > MAX_LENGTH and len(self._said) > 1):
            forgotten, oldest = self._said.popitem(last=False)
            del self._revisions[forgotten]
            self._length -= oldest.length


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
        if transcript.note(change, self._clock):
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
