"""A chat model behind an OpenAI-compatible API: `POST {CHAT_API_URL}/chat/completions`, streamed.

It asks and passes fragments on; it keeps no conversation and knows no avatar. No error it raises holds the key or what
people wrote.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from types import TracebackType
from typing import Self

import aiohttp
import httpx
import stamina
import structlog
from pydantic import SecretStr

from adapters.llm.frames import Frame
from adapters.llm.messages import messages_of
from adapters.llm.refusals import refusal
from adapters.llm.thoughts import Thoughts
from adapters.network import http_client, told, trouble_of
from adapters.wire import sse
from adapters.wire.lenient import parse_json
from bot.core.errors import AnswerError, AnswerTrouble
from bot.core.ports import ChatTurn, Clock
from bot.core.time_limit import time_limit
from bot.settings import Settings

log = structlog.get_logger(__name__)

TIMEOUT = httpx.Timeout(30.0, connect=10.0, pool=10.0)
"""Seconds: 10 to connect, 30 without a sign of life. Comments and thoughts are signs of life: the time in which words
must come is bounded by `ANSWER_LIMIT`, and by `bot.speaking.answer_timeouts`."""

ANSWER_LIMIT = 120.0
"""Seconds for a whole answer, however steadily it trickles."""

MAX_ANSWER_LENGTH = 2000
"""Characters. Two minutes of speech; what comes after the last whole word within them is not spoken, and told."""

MAX_TURNS = 21
"""Turns of the conversation that are sent along, the newest; odd, as people have the first and the last word."""

MAX_REFUSAL_SIZE = 64 << 10
"""Bytes."""

MAX_ANSWER_SIZE = 1 << 20
"""Bytes of an answer that comes at once; its thoughts may be long."""

LIMITS = httpx.Limits(max_connections=1024, keepalive_expiry=15.0)

MANNER = (
    "What you write is spoken aloud by an avatar in a group chat. Answer in the language of the question, in one to "
    "three short, plain sentences. No markdown, no lists, no emoji, no links."
)

DEFAULT_KNOWLEDGE = "You are a friendly host who answers the people in the chat."


class _Passing(Exception):
    """A refusal that may pass and had no effect worth caring about: nothing of the answer has been spoken yet."""

    def __init__(self, error: AnswerError) -> None:
        super().__init__()
        self.error = error


class OpenAICompatible:
    """`bot.core.ports.ChatModel`. Leave it (`async with`, or `aclose`) to close its connections."""

    def __init__(
        self,
        api_key: SecretStr | None,
        api_url: str,
        model: str,
        clock: Clock,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`api_url` ends in `/v1`; without `api_key` none is sent, as local servers like it."""
        self._api_key = api_key
        self._url = api_url.rstrip("/") + "/chat/completions"
        self._model = model
        self._clock = clock
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> Self | None:
        """The chat model of this program, None if `CHAT_API_URL` or `CHAT_MODEL` is not set."""
        chosen = settings.chat_model
        if chosen.api_url is None or not chosen.is_set:
            return None
        return cls(chosen.api_key, chosen.api_url, chosen.model, clock)

    async def __aenter__(self) -> Self:
        # Now, because opening reads the certificates of the world, which takes tens of milliseconds.
        self._pool()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections; the next answer opens new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def answer(self, knowledge: str, turns: Sequence[ChatTurn]) -> AsyncGenerator[str, None]:
        """Stream the answer to the last turn, without the model's thoughts. Raises `AnswerError`, also after fragments
        where the answer is not whole, and where nothing came."""
        deadline = self._clock.monotonic() + ANSWER_LIMIT
        failure: AnswerError
        try:
            async with self._in_time(deadline):
                response = await self._opened(knowledge, turns)
            try:
                async with aclosing(self._fragments(response)) as fragments, aclosing(_shortened(fragments)) as answer:
                    while (fragment := await self._next(answer, deadline)) is not None:
                        yield fragment
            finally:
                await response.aclose()
        except TimeoutError:
            failure = AnswerError(f"the chat model was not done after {ANSWER_LIMIT:.0f} s", why=AnswerTrouble.TIME)
        except _Passing as trouble:
            failure = trouble.error
        except (httpx.ConnectError, httpx.ConnectTimeout) as trouble:
            failure = AnswerError(_kind_of(trouble), why=AnswerTrouble.UNREACHABLE, network=trouble_of(trouble))
        except httpx.ReadTimeout as trouble:
            failure = AnswerError(_kind_of(trouble), why=AnswerTrouble.TIME)
        except (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError) as trouble:
            failure = AnswerError(_kind_of(trouble), why=AnswerTrouble.BROKEN_OFF)
        except sse.SseError as trouble:
            failure = AnswerError(f"the chat model: {trouble}", why=AnswerTrouble.BROKEN_OFF)
        else:
            return
        # Raised out here so that no request, with its key, hangs on the error as its context.
        raise failure

    async def _next(self, answer: AsyncGenerator[str, None], deadline: float) -> str | None:
        async with self._in_time(deadline):
            return await anext(answer, None)

    def _in_time(self, deadline: float) -> AbstractAsyncContextManager[None]:
        # Whatever arrives: comments, thoughts and empty fragments keep a connection alive forever.
        return time_limit(self._clock, deadline - self._clock.monotonic())

    async def _opened(self, knowledge: str, turns: Sequence[ChatTurn]) -> httpx.Response:
        """The beginning of an answer. Nothing has been said yet, so what may pass is tried again, twice.

        `ConnectTimeout` is also what httpx-aiohttp makes of a connection that broke before the answer."""
        async for attempt in stamina.retry_context(
            on=(_Passing, httpx.ConnectError, httpx.ConnectTimeout),
            attempts=3,
            timeout=20.0,
            wait_initial=0.3,
            wait_max=3.0,
        ):
            with attempt:
                return await self._asked(knowledge, turns)
        raise AssertionError("stamina ends with a result or an error")

    def _pool(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = http_client(TIMEOUT, LIMITS, self._transport)
        return self._client

    async def _asked(self, knowledge: str, turns: Sequence[ChatTurn]) -> httpx.Response:
        client = self._pool()
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key.get_secret_value()}"
        system = f"{knowledge.strip() or DEFAULT_KNOWLEDGE}\n\n{MANNER}"
        body = {"model": self._model, "stream": True, "messages": messages_of(system, turns, MAX_TURNS)}
        request = client.build_request("POST", self._url, json=body, headers=headers)
        response = await client.send(request, stream=True)
        if response.status_code == 200:
            return response
        try:
            refused = self._refusal(response.status_code, await _bounded(response, MAX_REFUSAL_SIZE))
        finally:
            await response.aclose()
        if response.status_code == 429 or response.status_code >= 500:
            raise _Passing(refused)
        raise refused

    def _refusal(self, status: int, content: bytes) -> AnswerError:
        return refusal(status, content, "" if self._api_key is None else self._api_key.get_secret_value())

    async def _fragments(self, response: httpx.Response) -> AsyncGenerator[str, None]:
        thoughts = Thoughts()
        is_streamed = response.headers.get("Content-Type", "").lower().startswith("text/event-stream")
        frames = self._streamed(response) if is_streamed else self._whole(response)
        ended = None
        async with aclosing(frames):
            async for frame in frames:
                if spoken := thoughts.leave_out(frame.words(is_streamed=is_streamed)):
                    yield spoken
                if (ended := frame.end()) is not None:
                    break
        if rest := thoughts.rest():
            yield rest
        if thoughts.begun_unseen:
            log.warning(
                "the chat model's thoughts begin without a tag and may have been spoken: have its server separate them"
            )
        if ended is not None and ended.trouble is not None:
            raise AnswerError(f"the chat model ended its answer with {ended.reason!r}", why=ended.trouble)

    async def _streamed(self, response: httpx.Response) -> AsyncGenerator[Frame, None]:
        """The frames of a stream up to its mark of the end. Raises `AnswerError` if the stream ends without one."""
        async for message in sse.messages(response.aiter_bytes()):
            if message.data.strip() == "[DONE]":
                return
            frame = Frame.model_validate(parse_json(message.data))
            if frame.error is not None:
                raise self._refusal(200, message.data.encode())
            yield frame
        raise AnswerError("the chat model's stream ended without a finish_reason", why=AnswerTrouble.BROKEN_OFF)

    async def _whole(self, response: httpx.Response) -> AsyncGenerator[Frame, None]:
        """The one frame of a server that does not stream although it is asked to."""
        content = await _bounded(response, MAX_ANSWER_SIZE)
        frame = Frame.model_validate(parse_json(content))
        if frame.error is not None:
            raise self._refusal(200, content)
        if frame.choices is None:
            raise AnswerError("what answers there is not a chat API", why=AnswerTrouble.ADDRESS)
        yield frame


def _kind_of(trouble: Exception) -> str:
    return f"the chat model: {told(trouble)}"


async def _shortened(fragments: AsyncIterator[str]) -> AsyncGenerator[str, None]:
    """The fragments up to `MAX_ANSWER_LENGTH` characters, ending in a whole word where there is one. Raises
    `AnswerError` if there are more, or if nothing speakable came."""
    left = MAX_ANSWER_LENGTH
    spoke = False
    async for fragment in fragments:
        spoke = spoke or bool(fragment.strip())
        if len(fragment) > left:
            kept = fragment[:left]
            whole_words = kept.rsplit(None, 1)
            yield whole_words[0] if len(whole_words) == 2 else kept
            raise AnswerError(f"the answer is longer than {MAX_ANSWER_LENGTH} characters", why=AnswerTrouble.LENGTH)
        left -= len(fragment)
        if fragment:
            yield fragment
    if not spoke:
        raise AnswerError("the chat model answered nothing")


async def _bounded(response: httpx.Response, most: int) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > most:
            raise httpx.ReadError("the answer is too large")
    return bytes(content)
