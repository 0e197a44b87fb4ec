"""The avatar's answers where the provider has no mind of its own: a chat model writes, the speaking loop reads aloud.

Keeps the last turns of a session's conversation. Knows nothing of streams, of the queue or of time.
"""

import asyncio
from collections.abc import Callable, Sequence

from bot.core.errors import AnswerError
from bot.core.ports import ChatModel, ChatTurn
from bot.core.tasks import TaskSet, cancel_and_wait
from bot.core.unexpected import report_unexpected
from bot.text import SpeakableStream, close_open_markup

MAX_TURNS = 13
"""Turns of a conversation that go to the model, the question and what came before it in pairs: enough for a thread of
talk, bounded in cost."""


class AnswerStream:
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

    def finish(self, *, is_whole: bool) -> None:
        """No more fragments come. What an answer that is not whole was about to hide stays hidden."""
        if not is_whole:
            self.whole = close_open_markup(self.whole)
        self._gather(self._speakable.finish(is_whole=is_whole))

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
        self._exchanges: list[tuple[str, AnswerStream]] = []

    def start(self, question: str, tasks: TaskSet, on_chunk: Callable[[], None]) -> AnswerStream:
        """Start to answer `question`; `on_chunk` is called whenever there is something to take, or the answer is
        done."""
        answering = AnswerStream()
        turns = (*self._remembered(), ChatTurn(question, from_avatar=False))
        self._exchanges.append((question, answering))
        answering.task = tasks.create_task(self._write(answering, turns, on_chunk), name="answer")
        return answering

    async def stop(self, answering: AnswerStream) -> None:
        """Stop writing an answer that nobody will hear; what was taken of it stays in the conversation."""
        await cancel_and_wait(answering.task)
        if not answering.done:
            answering.finish(is_whole=False)

    async def break_off(self, answering: AnswerStream, error: AnswerError) -> None:
        """Stop writing an answer, which ends with what there is of it by now; `error` is why."""
        await self.stop(answering)
        answering.error = answering.error or error
        answering.done = True

    def forget(self, answering: AnswerStream) -> None:
        """Have nobody remember an answer that was not heard, nor its question."""
        self._exchanges = [exchange for exchange in self._exchanges if exchange[1] is not answering]

    def _remembered(self) -> list[ChatTurn]:
        """Questions and their answers, as they were heard. One that has no answer, because it was refused, cut or
        failed, is left out: models want the speakers to take turns, and a question that a filter refused would have all
        later ones refused."""
        answered = [exchange for exchange in self._exchanges if exchange[1].whole.strip()]
        self._exchanges = answered[-(MAX_TURNS // 2) :]
        return [
            turn
            for question, answering in self._exchanges
            for turn in (ChatTurn(question, from_avatar=False), ChatTurn(answering.whole, from_avatar=True))
        ]

    async def _write(self, answering: AnswerStream, turns: Sequence[ChatTurn], on_chunk: Callable[[], None]) -> None:
        try:
            if self._model is None:
                raise AnswerError("no chat model is configured")
            async for fragment in self._model.answer(self._knowledge, turns):
                answering.add(fragment)
                on_chunk()
            answering.finish(is_whole=True)
            if answering.is_empty:
                raise AnswerError("the chat model answered nothing that can be spoken")
        except AnswerError as error:
            answering.error = error
        except Exception as error:  # noqa: BLE001
            # The boundary to a client we may not know: an answer that is never done would hold the queue forever.
            report_unexpected("answering failed: unexpected error", error)
            answering.error = AnswerError(f"the chat model: {type(error).__name__}")
        answering.finish(is_whole=answering.error is None)
        answering.done = True
        on_chunk()
