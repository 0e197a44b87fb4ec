"""A chat model behind an OpenAI-compatible API: `POST {CHAT_API_URL}/chat/completions`, streamed.

It asks and passes fragments on; it keeps no conversation and knows no avatar. No error it raises holds the key or what
people wrote.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Self

import aiohttp
import httpx
import stamina
from pydantic import SecretStr

from adapters import server_sent_events, shapes
from adapters.network import http_client, told
from adapters.quoting import masked
from bot.errors import AnswerError
from bot.ports import Clock, Turn
from bot.settings import Settings

TIMEOUT = httpx.Timeout(30.0, connect=10.0, pool=10.0)
"""Seconds: 10 to connect, 30 until the first and between any two fragments."""

ANSWER_LIMIT = 120.0
"""Seconds for a whole answer, however steadily it trickles."""

LONGEST_ANSWER = 2000
"""Characters. Two minutes of speech; what comes after the last whole word within them is not spoken."""

MOST_TURNS = 20
"""Turns of the conversation that are sent along, the newest."""

LARGEST_REFUSAL = 64 << 10

LIMITS = httpx.Limits(max_connections=1024, keepalive_expiry=15.0)

MANNER = (
    "What you write is spoken aloud by an avatar in a group chat. Answer in the language of the question, in one to "
    "three short, plain sentences. No markdown, no lists, no emoji, no links."
)

DEFAULT_KNOWLEDGE = "You are a friendly host who answers the people in the chat."


class _Passing(Exception):
    """A refusal that may pass and had no effect worth caring about: nothing of the answer has been spoken yet."""


class OpenAICompatible:
    """`bot.ports.ChatModel`. Leave it (`async with`, or `aclose`) to close its connections."""

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
        """The chat model of this program, None where `CHAT_API_URL` or `CHAT_MODEL` is not set."""
        chosen = settings.chat_model
        if chosen.api_url is None or not chosen.model:
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

    async def answer(self, knowledge: str, turns: Sequence[Turn]) -> AsyncGenerator[str, None]:
        """Stream the answer to the last turn. Raises `AnswerError`, also after fragments, and where nothing came."""
        failure: AnswerError
        try:
            response = await self._opened(knowledge, turns)
            try:
                async with aclosing(self._fragments(response)) as fragments, aclosing(_shortened(fragments)) as answer:
                    async for fragment in answer:
                        yield fragment
            finally:
                await response.aclose()
        except (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError, _Passing) as trouble:
            failure = AnswerError(str(trouble) if isinstance(trouble, _Passing) else f"the chat model: {told(trouble)}")
        except server_sent_events.Unreadable as trouble:
            failure = AnswerError(f"the chat model: {trouble}")
        else:
            return
        # Raised out here so that no request, with its key, hangs on the error as its context.
        raise failure

    async def _opened(self, knowledge: str, turns: Sequence[Turn]) -> httpx.Response:
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

    async def _asked(self, knowledge: str, turns: Sequence[Turn]) -> httpx.Response:
        client = self._pool()
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
        if self._api_key is not None:
            headers["Authorization"] = f"Bearer {self._api_key.get_secret_value()}"
        body = {"model": self._model, "stream": True, "messages": _messages(knowledge, turns)}
        request = client.build_request("POST", self._url, json=body, headers=headers)
        async with asyncio.timeout(ANSWER_LIMIT):
            response = await client.send(request, stream=True)
        if response.status_code == 200:
            return response
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                said = self._refusal(response.status_code, await _bounded(response))
        finally:
            await response.aclose()
        if response.status_code == 429 or response.status_code >= 500:
            raise _Passing(said)
        raise AnswerError(said)

    def _refusal(self, status: int, content: bytes) -> str:
        body = shapes.parsed(content)
        message = shapes.text(shapes.field(body, "error", "message"), shapes.LONGEST_URL) or shapes.text(
            shapes.field(body, "error"), shapes.LONGEST_URL
        )
        secret = "" if self._api_key is None else self._api_key.get_secret_value()
        quoted = masked(message or "", (secret,))
        return f"the chat model answered {status}" + (f": {quoted}" if quoted else "")

    async def _fragments(self, response: httpx.Response) -> AsyncGenerator[str, None]:
        if not response.headers.get("Content-Type", "").startswith("text/event-stream"):
            # Some servers do not stream although they are asked to.
            yield _whole(shapes.parsed(await _bounded(response)))
            return
        deadline = self._clock.monotonic() + ANSWER_LIMIT
        async for message in server_sent_events.messages(response.aiter_bytes()):
            if message.data.strip() == "[DONE]":
                return
            if self._clock.monotonic() > deadline:
                raise AnswerError(f"the chat model was not done after {ANSWER_LIMIT:.0f} s")
            frame = shapes.parsed(message.data.encode())
            if shapes.field(frame, "error") is not None:
                raise AnswerError(self._refusal(200, message.data.encode()))
            fragment = shapes.field(_choice(frame), "delta", "content")
            if isinstance(fragment, str) and fragment:
                yield fragment


def _messages(knowledge: str, turns: Sequence[Turn]) -> list[dict[str, str]]:
    system = {"role": "system", "content": f"{knowledge.strip() or DEFAULT_KNOWLEDGE}\n\n{MANNER}"}
    return [
        system,
        *({"role": "assistant" if turn.from_avatar else "user", "content": turn.text} for turn in turns[-MOST_TURNS:]),
    ]


def _choice(frame: object) -> object:
    choices = shapes.rows(shapes.field(frame, "choices"))
    return choices[0] if choices else None


def _whole(body: object) -> str:
    content = shapes.field(_choice(body), "message", "content")
    return content if isinstance(content, str) else ""


async def _shortened(fragments: AsyncIterator[str]) -> AsyncGenerator[str, None]:
    """The fragments up to `LONGEST_ANSWER` characters, ending in a whole word where there is one. Raises `AnswerError`
    where nothing speakable came."""
    left = LONGEST_ANSWER
    spoke = False
    async for fragment in fragments:
        spoke = spoke or bool(fragment.strip())
        if len(fragment) >= left:
            kept = fragment[:left]
            words = kept.rsplit(None, 1)
            yield words[0] if len(words) == 2 else kept
            return
        left -= len(fragment)
        if fragment:
            yield fragment
    if not spoke:
        raise AnswerError("the chat model answered nothing")


async def _bounded(response: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > LARGEST_REFUSAL:
            raise httpx.ReadError("the answer is too large")
    return bytes(content)
