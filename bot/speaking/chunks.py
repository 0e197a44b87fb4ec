"""Where the text of an item comes from, and the pieces it goes out in: no more than a provider takes at once.

The text is the message as it stands, or the answer that the chat model writes to it while it is already being read
aloud. Sends nothing and knows no order.
"""

from collections.abc import Callable

from bot.core.errors import AnswerError
from bot.core.models import Mode
from bot.core.ports import Capabilities
from bot.core.tasks import TaskSet
from bot.speaking.answers import Conversation
from bot.speaking.item import SpeechItem
from bot.text import split

PIECE_IN_A_FLOW = 200
"""Characters per piece where text can be appended: about 12 s of speech, well under v3's 30 s of text-idle time."""


class Chunker:
    """Fills the items of one session with the pieces to send."""

    def __init__(
        self, capabilities: Capabilities, conversation: Conversation, tasks: TaskSet, on_chunk: Callable[[], None]
    ) -> None:
        """`tasks` keeps the writing of answers; `on_chunk` is called whenever there is more of one, or it is done."""
        self._capabilities = capabilities
        self._conversation = conversation
        self._tasks = tasks
        self._on_chunk = on_chunk

    def needs_answer(self, mode: Mode) -> bool:
        """Whether the chat model has to answer, because the provider does not do so by itself."""
        return mode is Mode.CHAT and not self._capabilities.chat

    def load(self, item: SpeechItem) -> None:
        """Put the pieces into an item that there are by now: all of a message, what is written so far of an answer."""
        if self.needs_answer(item.utterance.mode):
            if item.answering is None:
                item.answering = self._conversation.start(item.utterance.text, self._tasks, self._on_chunk)
            item.chunks.extend(self._cut_up(item.answering.take()))
        elif not item.sent and not item.chunks:
            item.chunks.extend(self._cut_up(item.utterance.text))

    async def stop(self, item: SpeechItem) -> None:
        """Have no more written of the answer to an item, where one is being written. Where nothing of it was heard,
        nobody remembers it."""
        if item.answering is not None:
            await self._conversation.stop(item.answering)
            if not item.sent:
                self._conversation.forget(item.answering)

    async def break_off(self, item: SpeechItem, error: AnswerError) -> None:
        """Have no more written of the answer to an item; what there is by now is all of it, and `error` is why."""
        if item.answering is not None:
            await self._conversation.break_off(item.answering, error)

    def _cut_up(self, text: str) -> list[str]:
        if self._capabilities.appends:
            return append_chunks(text, min(self._capabilities.max_text, PIECE_IN_A_FLOW))
        return split(text, self._capabilities.max_text)


def append_chunks(text: str, limit: int) -> list[str]:
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
