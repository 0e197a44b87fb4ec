"""An utterance on its way to the avatar, the pieces it goes in, and what a speaking loop works with."""

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bot.answers import Answering, Conversation
from bot.errors import AvatarRelayError
from bot.model import Utterance
from bot.ports import AvatarProvider, Clock, FirstWords
from bot.speech import split
from bot.store.store import Store
from bot.streams import StreamKeeper
from bot.tasks import TaskOwner


@dataclass(slots=True)
class Line:
    """An utterance on its way to the avatar.

    pieces: text the provider has not got yet. answering: the answer being written for it, if one is.
    in_flight: the provider was sent a piece and has not answered. handed_over: the provider has some of it.
    characters, seconds: how much of it was handed over, and how long that takes to say by estimate.
    said_until: when it is said to its end by estimate, on the clock. heard: the provider told that it began.
    stored: whether it has a row (the greeting has none).
    attempts: how often the provider did not take it. heard_answer: what the avatar answered by itself.
    """

    utterance: Utterance
    pieces: deque[str] = field(default_factory=deque)
    answering: Answering | None = None
    in_flight: bool = False
    handed_over: bool = False
    characters: int = 0
    seconds: float = 0.0
    said_until: float = 0.0
    heard: bool = False
    stored: bool = True
    attempts: int = 0
    heard_answer: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the provider has all of it."""
        return not self.pieces and (self.answering is None or self.answering.done)

    @property
    def is_last_piece(self) -> bool:
        """Whether nothing follows the next piece."""
        return len(self.pieces) == 1 and (self.answering is None or self.answering.done)

    @property
    def answer(self) -> str | None:
        """What the avatar answers, as far as it is written, or was heard to answer by itself."""
        return self.answering.whole if self.answering else self.heard_answer


def pieces_in_a_flow(text: str, limit: int) -> list[str]:
    """`text` in pieces of at most `limit` characters and the blank behind them, for a provider that joins what it gets:
    joined they are the text again, spaces folded."""
    pieces = split(text, limit)
    if len(pieces) == 1 and not text[-1].isspace():
        return pieces
    folded = " ".join(text.split())
    at = 0
    for number, piece in enumerate(pieces):
        at += len(piece)
        if folded.startswith(" ", at) or (at == len(folded) and text[-1].isspace()):
            pieces[number] += " "
            at += 1
    return pieces


@dataclass(slots=True)
class Surroundings:
    """What a speaking loop works with.

    post: hands work to the session's task. open_stream: opens the next stream of the session.
    tell: publishes what became of a line. complain: tells the channel (a sentence with its reference) and the log.
    """

    provider: AvatarProvider
    store: Store
    clock: Clock
    tasks: TaskOwner
    conversation: Conversation
    keeper: StreamKeeper
    post: Callable[[Callable[[], Awaitable[None]]], None]
    open_stream: Callable[[FirstWords | None], Awaitable[None]]
    tell: Callable[[Line], None]
    complain: Callable[[tuple[str, str], AvatarRelayError], None]
