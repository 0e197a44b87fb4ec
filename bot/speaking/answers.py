"""The avatar's answers where the provider has no mind of its own: a chat model writes, the speaking loop reads aloud.

Keeps the last turns of a session's conversation. Knows nothing of streams or of the queue.
"""

import asyncio
from collections import deque
from collections.abc import Callable

import structlog

from bot.errors import AnswerError
from bot.ports import ChatModel, Turn
from bot.speech import SpeakableStream
from bot.tasks import TaskOwner, end

log = structlog.get_logger(__name__)

REMEMBERED_TURNS = 12
"""Turns of a conversation that go to the model: enough for a thread of talk, bounded in cost."""


class Answering:
    """One answer while it is being written. What can be said of it gathers until it is taken, so that a slow provider
    gets fewer and longer fragments and a quick one gets them as they come.

    whole: the answer as the model wrote it. The last word waits for the next one until the answer is done, so that the
    text that ends an answer is always known to be its end.
    """

    def __init__(self) -> None:
        self._speakable = SpeakableStream()
        self._text = ""
        self.is_empty = True
        self.whole = ""
        self.done = False
        self.error: AnswerError | None = None
        self.task: asyncio.Task[None] | None = None

    def add(self, fragment: str) -> None:
        """Put a fragment behind what waits."""
        self.whole += fragment
        self._gather(self._speakable.add(fragment))

    def finish(self) -> None:
        """No more fragments come."""
        self._gather(self._speakable.finish())

    def take(self) -> str:
        """What has gathered since the last time."""
        taken, self._text = self._text, ""
        return taken

    def _gather(self, spoken: str) -> None:
        self._text += spoken
        self.is_empty = self.is_empty and not spoken


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
            answering.finish()
            if answering.is_empty:
                raise AnswerError("the chat model answered nothing that can be spoken")
        except AnswerError as error:
            answering.error = error
        except Exception as error:
            # The boundary to a client we may not know: an answer that is never done would hold the queue for ever.
            log.exception("answering failed in an unforeseen way")
            answering.error = AnswerError(f"the chat model: {type(error).__name__}")
        answering.finish()
        answering.done = True
        if answering.error is None:
            self._remember(answering)
        grew()

    def _remember(self, answering: Answering) -> None:
        if answering.whole and not (self._turns and self._turns[-1].from_avatar):
            self._turns.append(Turn(answering.whole, from_avatar=True))
