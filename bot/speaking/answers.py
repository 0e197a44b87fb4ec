"""The avatar's answers where the provider has no mind of its own: a chat model writes, the speaking loop reads aloud.

Keeps the last turns of a session's conversation. Knows nothing of streams or of the queue.
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable

from bot.errors import AnswerError
from bot.ports import ChatModel, Turn
from bot.tasks import TaskOwner, end
from bot.unforeseen import report

REMEMBERED_TURNS = 12
"""Turns of a conversation that go to the model: enough for a thread of talk, bounded in cost."""


UNSPACED_OR_SPACE = re.compile(r"[\s\u2e80-\ud7a3\uff00-\uffef]")
"""After these a text can be cut between words: white space, and scripts without spaces (CJK radicals to Hangul,
full-width forms)."""

SILENT = str.maketrans("", "", "*`#")
"""Marks of a formatted text that a voice should not say, should the model use them after all."""


class Answering:
    """One answer while it is being written. Text gathers until it is taken, so that a slow provider gets fewer and
    longer fragments and a quick one gets them as they come."""

    def __init__(self) -> None:
        self._text = ""
        self.is_empty = True
        self.whole = ""
        self.done = False
        self.error: AnswerError | None = None
        self.task: asyncio.Task[None] | None = None

    def add(self, fragment: str) -> None:
        """Put a fragment behind what waits."""
        spoken = fragment.translate(SILENT)
        self._text += spoken
        self.is_empty = self.is_empty and not spoken.strip()
        self.whole += fragment

    def take(self) -> str:
        """What has gathered since the last time, without the last word unless the answer is done."""
        cut = len(self._text) if self.done else _last_border(self._text)
        taken, self._text = self._text[:cut], self._text[cut:]
        return taken


class Conversation:
    """What was said in one session, and the answer being written now."""

    def __init__(self, model: ChatModel | None, knowledge: str) -> None:
        self._model = model
        self._knowledge = knowledge
        self._turns: deque[Turn] = deque(maxlen=REMEMBERED_TURNS)

    def begin(self, question: str, tasks: TaskOwner, grew: Callable[[], None]) -> Answering:
        """Start to answer `question`; `grew` is called whenever there is something to take, or the answer is done."""
        answering = Answering()
        self._turns.append(Turn(question, from_avatar=False))
        answering.task = tasks.start(self._write(answering, grew), name="answer")
        return answering

    async def stop(self, answering: Answering) -> None:
        """Stop writing an answer that nobody will hear; what was taken of it stays in the conversation."""
        await end(answering.task)
        self._remember(answering)

    async def _write(self, answering: Answering, grew: Callable[[], None]) -> None:
        try:
            if self._model is None:
                raise AnswerError("no chat model is configured")
            async for fragment in self._model.answer(self._knowledge, tuple(self._turns)):
                answering.add(fragment)
                grew()
            if answering.is_empty:
                raise AnswerError("the chat model answered nothing that can be spoken")
        except AnswerError as error:
            answering.error = error
        except Exception as error:  # noqa: BLE001
            # The boundary to a client we may not know: an answer that is never done would hold the queue for ever.
            report("answering failed in an unforeseen way", error)
            answering.error = AnswerError(f"the chat model: {type(error).__name__}")
        answering.done = True
        if answering.error is None:
            self._remember(answering)
        grew()

    def _remember(self, answering: Answering) -> None:
        if answering.whole and not (self._turns and self._turns[-1].from_avatar):
            self._turns.append(Turn(answering.whole, from_avatar=True))


def _last_border(text: str) -> int:
    """Where the last whole word ends that has another behind it: the very last word is kept back until the answer is
    done, so that the text that ends an answer is always known to be its end."""
    for border in range(len(text) - 1, 0, -1):
        if UNSPACED_OR_SPACE.match(text[border - 1]) and text[border:].strip():
            return border
    return 0
