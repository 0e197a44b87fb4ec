"""The chat model: what it asks, what it makes of any answer, and that it tells no secret."""

import json
import traceback
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from pydantic import SecretStr

from adapters.answers import openai_compatible
from adapters.answers.openai_compatible import LONGEST_ANSWER, MANNER, MOST_TURNS, OpenAICompatible
from adapters.avatars.simulator import Effect, Simulator, SimulatorOptions
from bot.clock import SystemClock
from bot.errors import AnswerError
from bot.ports import ChatModel, Turn
from bot.settings import ChatModelSettings, Settings
from tests.clock import ManualClock

KEY = "sk-proj-0123456789abcdef"
QUESTION = [Turn("What is a whale?", from_avatar=False)]
EVENTS = {"Content-Type": "text/event-stream; charset=utf-8"}


def delta(content: object, **more: object) -> str:
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': content, **more}}]})}\n\n"


def model(answer: Callable[[httpx.Request], httpx.Response], key: str | None = KEY) -> OpenAICompatible:
    secret = None if key is None else SecretStr(key)
    return OpenAICompatible(
        secret, "https://chat.example.com/v1/", "small", ManualClock(), transport=httpx.MockTransport(answer)
    )


def streaming(*lines: str) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(200, headers=EVENTS, content="".join(lines).encode())


async def answered(chat: ChatModel, turns: list[Turn] = QUESTION, knowledge: str = "") -> list[str]:
    return [fragment async for fragment in chat.answer(knowledge, turns)]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorOptions(api_key=SecretStr(KEY)), SystemClock(50)) as running:
        yield running


async def test_an_answer_comes_in_fragments_over_real_http(simulator: Simulator) -> None:
    async with OpenAICompatible(SecretStr(KEY), f"{simulator.address}/v1", "small", SystemClock()) as chat:
        fragments = await answered(chat)

    assert len(fragments) > 1
    assert "whale" in "".join(fragments).lower()


@pytest.mark.parametrize("effect", [Effect.LOST_REPLY, Effect.STATUS])
async def test_trouble_before_the_first_word_is_tried_again(simulator: Simulator, effect: Effect) -> None:
    simulator.faults.add(effect, path="/v1/chat/completions", status=503, times=2)
    async with OpenAICompatible(SecretStr(KEY), f"{simulator.address}/v1", "small", SystemClock()) as chat:
        assert await answered(chat)


async def test_a_connection_that_breaks_in_the_middle_is_an_error(simulator: Simulator) -> None:
    simulator.faults.add(Effect.CUT_AFTER, path="/v1/chat/completions", seconds=0.1, times=None)
    async with OpenAICompatible(SecretStr(KEY), f"{simulator.address}/v1", "small", SystemClock()) as chat:
        with pytest.raises(AnswerError):
            await answered(chat)


async def test_nobody_there_is_an_error(simulator: Simulator) -> None:
    await simulator.stop()
    async with OpenAICompatible(SecretStr(KEY), f"{simulator.address}/v1", "small", SystemClock()) as chat:
        with pytest.raises(AnswerError, match="ConnectionRefusedError"):
            await answered(chat)


async def test_what_is_asked() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return streaming(delta("A mammal."), "data: [DONE]\n\n")(request)

    turns = [Turn("Hi", from_avatar=False), Turn("Hello!", from_avatar=True), *QUESTION]
    await answered(model(answer), turns, "You know the sea.")

    (request,) = asked
    assert str(request.url) == "https://chat.example.com/v1/chat/completions"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert json.loads(request.content) == {
        "model": "small",
        "stream": True,
        "messages": [
            {"role": "system", "content": f"You know the sea.\n\n{MANNER}"},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello!"},
            {"role": "user", "content": "What is a whale?"},
        ],
    }


async def test_a_long_conversation_is_asked_from_its_end() -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return streaming(delta("Yes."))(request)

    await answered(model(answer, key=None), [Turn(f"{index}", from_avatar=False) for index in range(100)])

    messages = json.loads(asked[0].content)["messages"]
    assert len(messages) == MOST_TURNS + 1
    assert messages[-1]["content"] == "99"
    assert "Authorization" not in asked[0].headers


@pytest.mark.parametrize(
    ("lines", "fragments"),
    [
        ([delta("Hel"), delta("lo."), "data: [DONE]\n\n", delta("never")], ["Hel", "lo."]),
        ([": keep-alive\n\n", 'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n', delta("Hi.")], ["Hi."]),
        ([delta("Hi."), 'data: {"choices":[],"usage":{"total_tokens":7}}\n\n'], ["Hi."]),
        ([delta(None), delta(""), delta("Hi."), delta(None, reasoning_content="hm")], ["Hi."]),
        ([delta([{"type": "text"}]), delta(7), delta({}), delta("Hi.")], ["Hi."]),
        (["data: nonsense\n\n", "data: []\n\n", "data: null\n\n", delta("Hi.")], ["Hi."]),
        ([delta("Hi.").rstrip("\n")], ["Hi."]),
        ([delta("Hi.").replace("\n", "\r\n")], ["Hi."]),
    ],
)
async def test_event_streams_of_many_servers(lines: list[str], fragments: list[str]) -> None:
    assert await answered(model(streaming(*lines))) == fragments


async def test_a_server_that_does_not_stream_is_understood() -> None:
    body = {"choices": [{"message": {"role": "assistant", "content": "A mammal."}}]}

    assert await answered(model(lambda _: httpx.Response(200, json=body))) == ["A mammal."]


@pytest.mark.parametrize(
    "answer",
    [
        streaming(),
        streaming("data: [DONE]\n\n"),
        streaming(delta("  "), delta("\n")),
        streaming(delta("Half"), 'data: {"error":{"message":"overloaded"}}\n\n'),
        lambda _: httpx.Response(200, content=b""),
        lambda _: httpx.Response(200, json={"choices": []}),
        lambda _: httpx.Response(200, json={"choices": [{"message": {"content": None}}]}),
        lambda _: httpx.Response(200, content=b"<html>" * 50_000),
        lambda _: httpx.Response(302, headers={"Location": "https://elsewhere.example.com"}),
        lambda _: httpx.Response(400, json={"error": {"message": "unknown model"}}),
        lambda _: httpx.Response(401, json={"error": {"message": f"Incorrect API key provided: {KEY}."}}),
        lambda _: httpx.Response(429, json={"error": "slow down"}),
        lambda _: httpx.Response(500, content=b"\xff\xfe"),
    ],
)
async def test_no_answer_is_an_error_that_tells_no_secret(answer: Callable[[httpx.Request], httpx.Response]) -> None:
    chat = model(answer)

    with pytest.raises(AnswerError) as failure:
        await answered(chat)

    told = [str(failure.value), repr(vars(chat)), "".join(traceback.format_exception(failure.value))]
    assert not any(KEY in line or "whale" in line for line in told)


async def test_a_refusal_is_asked_once_and_a_busy_server_three_times() -> None:
    asked = {400: 0, 503: 0}

    def refuse(status: int) -> Callable[[httpx.Request], httpx.Response]:
        def answer(_: httpx.Request) -> httpx.Response:
            asked[status] += 1
            return httpx.Response(status)

        return answer

    for status in asked:
        with pytest.raises(AnswerError, match=f"{status}"):
            await answered(model(refuse(status)))

    assert asked == {400: 1, 503: 3}


async def test_an_endless_answer_is_cut_after_a_whole_word() -> None:
    fragments = await answered(model(streaming(*[delta("word after ")] * 1000)))

    answer = "".join(fragments)
    assert LONGEST_ANSWER - 12 <= len(answer) <= LONGEST_ANSWER
    assert answer.endswith(("word", "after"))


async def test_an_answer_that_takes_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_compatible, "ANSWER_LIMIT", -1.0)

    with pytest.raises(AnswerError):
        await answered(model(streaming(delta("Hi."))))


async def test_leaving_an_answer_in_the_middle_closes_it() -> None:
    closed: list[bool] = []

    class Body(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            while True:
                yield delta("more ").encode()

        async def aclose(self) -> None:
            closed.append(True)

    chat = model(lambda _: httpx.Response(200, headers=EVENTS, stream=Body()))
    fragments = chat.answer("", QUESTION)
    assert await anext(fragments) == "more "

    await fragments.aclose()

    assert closed == [True]


@pytest.mark.parametrize(("url", "name"), [(None, "small"), ("https://chat.example.com/v1", ""), (None, "")])
def test_without_an_address_or_a_model_there_is_none(url: str | None, name: str) -> None:
    chosen = ChatModelSettings.model_construct(api_key=None, api_url=url, model=name)

    assert OpenAICompatible.from_settings(Settings.model_construct(chat_model=chosen), ManualClock()) is None


def test_with_both_there_is_one() -> None:
    chosen = ChatModelSettings.model_construct(api_key=None, api_url="http://127.0.0.1:11434/v1", model="small")

    assert OpenAICompatible.from_settings(Settings.model_construct(chat_model=chosen), ManualClock()) is not None
