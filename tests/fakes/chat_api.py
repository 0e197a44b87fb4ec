"""A chat API that answers as a test scripts it, over real HTTP, and is as strict as the strictest of them: after an
optional system turn it takes user, assistant, user, … and nothing else.

What it is told to wait for passes on the test's clock.
"""

import json
from collections import deque
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from bot.core.ports import Clock

DONE = "data: [DONE]\n\n"
COMMENT = ": keep-alive\n\n"

Step = str | float
"""What the API sends, or how many seconds it waits."""

Script = Sequence[Step] | Callable[[], Sequence[Step]]
"""The steps of one answer; a function is asked again and again, for ever."""


def delta(content: object, finish: str | None = None, **more: object) -> str:
    """One frame of an answer."""
    choice = {"index": 0, "delta": {"content": content, **more}, "finish_reason": finish}
    return f"data: {json.dumps({'object': 'chat.completion.chunk', 'choices': [choice]})}\n\n"


def whole(answer: str) -> list[Step]:
    """An answer as it should be."""
    return [delta(answer), delta(None, "stop"), DONE]


class ChatApi:
    """The server, as an async context manager.

    answers: what comes next, in order; an `int` is a status. After them it says `Yes.`
    asked: the conversations that were sent, without the system's turn.
    """

    def __init__(self, clock: Clock) -> None:
        self.answers: deque[Script | int] = deque()
        self.asked: list[list[dict[str, Any]]] = []
        self.is_heard = 0
        self._clock = clock
        self._runner: web.AppRunner

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", self._complete)
        self._runner = web.AppRunner(application, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        messages = (await request.json())["messages"]
        if messages[0]["role"] == "system":
            messages = messages[1:]
        roles = [message["role"] for message in messages]
        if roles != ["user", *["assistant", "user"] * (len(roles) // 2)] or not all(m["content"] for m in messages):
            refused = {"error": {"message": "Conversation roles must alternate user/assistant/user/assistant/..."}}
            return web.json_response(refused, status=400)
        self.asked.append(messages)
        answer = self.answers.popleft() if self.answers else whole("Yes.")
        if isinstance(answer, int):
            return web.json_response({"error": {"message": "no"}}, status=answer)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        self.is_heard += 1
        try:
            await self._stream(response, answer)
        except ConnectionResetError:
            return response
        finally:
            self.is_heard -= 1
        return response

    async def _stream(self, response: web.StreamResponse, answer: Script) -> None:
        while callable(answer):
            await self._send(response, answer())
        await self._send(response, answer)
        await response.write_eof()

    async def _send(self, response: web.StreamResponse, steps: Sequence[Step]) -> None:
        for step in steps:
            if isinstance(step, str):
                await response.write(step.encode())
            else:
                await self._clock.sleep(step)
