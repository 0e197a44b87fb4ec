"""The chat model: what it asks, what it makes of any answer, and that it tells no secret."""

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from adapters.llm import openai_compatible
from adapters.llm.openai_compatible import ANSWER_LIMIT, MANNER, MAX_ANSWER_LENGTH, MAX_TURNS, OpenAICompatible
from adapters.simulator import Effect, Simulator, SimulatorOptions
from bot.core.clock import SystemClock
from bot.core.errors import AnswerError, AnswerTrouble
from bot.core.ports import ChatModel, ChatTurn, Clock
from bot.settings import ChatModelSettings, Settings
from tests.harness.clock import ManualClock

KEY = "sk-proj-0123456789abcdef"
QUESTION = [ChatTurn("What is a whale?", from_avatar=False)]
DONE = "data: [DONE]\n\n"
EVENTS = {"Content-Type": "text/event-stream; charset=utf-8"}


def delta(content: object, **more: object) -> str:
    return f"data: {json.dumps({'choices': [{'index': 0, 'delta': {'content': content, **more}}]})}\n\n"


def ended(reason: str, content: str | None = None) -> str:
    return f"data: {json.dumps({'choices': [{'delta': {'content': content}, 'finish_reason': reason}]})}\n\n"


def model(
    answer: Callable[[httpx.Request], httpx.Response], key: str | None = KEY, clock: Clock | None = None
) -> OpenAICompatible:
    secret = None if key is None else SecretStr(key)
    transport = httpx.MockTransport(answer)
    return OpenAICompatible(
        secret, "https://chat.example.com/v1/", "small", clock or ManualClock(), transport=transport
    )


def streaming(*lines: str) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(200, headers=EVENTS, content="".join(lines).encode())


async def answered(chat: ChatModel, turns: list[ChatTurn] = QUESTION, knowledge: str = "") -> list[str]:
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

    turns = [ChatTurn("Hi", from_avatar=False), ChatTurn("Hello!", from_avatar=True), *QUESTION]
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
        return streaming(delta("Yes."), DONE)(request)

    await answered(model(answer, key=None), [ChatTurn(f"{index}", from_avatar=index % 2 == 1) for index in range(101)])

    messages = json.loads(asked[0].content)["messages"]
    assert len(messages) == MAX_TURNS + 1
    assert [message["role"] for message in messages[:3]] == ["system", "user", "assistant"]
    assert messages[-1] == {"role": "user", "content": "100"}
    assert "Authorization" not in asked[0].headers


@pytest.mark.parametrize(
    ("lines", "fragments"),
    [
        ([delta("Hel"), delta("lo."), "data: [DONE]\n\n", delta("never")], ["Hel", "lo."]),
        ([": keep-alive\n\n", 'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n', delta("Hi."), DONE], ["Hi."]),
        ([delta("Hi."), ended("stop"), 'data: {"choices":[],"usage":{"total_tokens":7}}\n\n', DONE], ["Hi."]),
        ([delta("Hi."), 'data: {"choices":[],"usage":{"total_tokens":7}}\n\n', ended("stop")], ["Hi."]),
        (["data: nonsense\n\n", "data: []\n\n", "data: null\n\n", delta("Hi."), DONE], ["Hi."]),
        ([delta("Hi."), DONE.rstrip("\n")], ["Hi."]),
        ([delta("Hi.").replace("\n", "\r\n"), DONE.replace("\n", "\r\n")], ["Hi."]),
        ([delta("Hi."), ended("stop"), *[": keep-alive\n\n"] * 3], ["Hi."]),
        ([delta("Hi."), ended("end_turn")], ["Hi."]),
        ([delta("Hi."), ended("STOP"), delta("never")], ["Hi."]),
        ([ended("stop", "Hi.")], ["Hi."]),
        ([ended("null", "Hi "), ended("", "there."), ended("stop")], ["Hi ", "there."]),
    ],
)
async def test_event_streams_of_many_servers(lines: list[str], fragments: list[str]) -> None:
    assert await answered(model(streaming(*lines))) == fragments


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (
            [delta([{"type": "text", "text": "Good morning, "}]), delta([{"type": "text", "text": "Ana."}])],
            "Good morning, Ana.",
        ),
        (
            [
                delta(
                    [
                        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                        {"type": "text", "text": "Hi."},
                    ]
                )
            ],
            "Hi.",
        ),
        ([delta([{"type": "image_url", "image_url": {"url": "x"}}, {"type": "output_text", "text": "Hi."}, 7])], "Hi."),
        (
            [delta([{"type": "text", "text": {"value": "Hi."}}, {"type": ["text"], "text": "no"}, "There."])],
            "Hi.There.",
        ),
        ([delta({"type": "text", "text": "Hi."})], "Hi."),
        ([delta([{"type": "text"}]), delta(7), delta({}), delta(None), delta(""), delta("Hi.")], "Hi."),
        ([delta(None, refusal="I'd rather "), delta(None, refusal="not.")], "I'd rather not."),
        ([delta([{"type": "refusal", "refusal": "No, thanks."}])], "No, thanks."),
        ([delta(None, reasoning_content="hm"), delta("", reasoning="hm"), delta("Hi.", reasoning_content=None)], "Hi."),
        ([delta("<think>"), delta("hm"), delta("</think>\n\n"), delta("Hi.")], "Hi."),
    ],
)
async def test_words_are_the_answer_and_thoughts_are_not(lines: list[str], answer: str) -> None:
    assert "".join(await answered(model(streaming(*lines, ended("stop"))))) == answer


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([delta("Half a sen")], AnswerTrouble.BROKEN_OFF),
        ([delta("Half a sen"), ": keep-alive\n\n"], AnswerTrouble.BROKEN_OFF),
        ([delta("Half a sen"), ended("length"), DONE], AnswerTrouble.LENGTH),
        ([ended("MAX_TOKENS", "Half a sen")], AnswerTrouble.LENGTH),
        ([delta("Half a sen"), ended("content_filter"), DONE], AnswerTrouble.FILTER),
        ([delta("Half a sen"), ended("tool_calls"), DONE], AnswerTrouble.BROKEN_OFF),
        ([delta("Half a sen"), 'data: {"error":{"message":"overloaded"}}\n\n'], AnswerTrouble.OTHER),
    ],
)
async def test_an_answer_that_is_not_whole_is_given_as_far_as_it_came_and_is_an_error(
    lines: list[str], why: AnswerTrouble
) -> None:
    fragments = model(streaming(*lines)).answer("", QUESTION)

    assert await anext(fragments) == "Half a sen"
    with pytest.raises(AnswerError) as failure:
        await anext(fragments)
    assert failure.value.why is why


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_answer_in_one_piece_may_be_broken_off_too(reason: str) -> None:
    body = {"choices": [{"message": {"content": "<think>hm</think>Half a sen"}, "finish_reason": reason}]}
    fragments = model(lambda _: httpx.Response(200, json=body)).answer("", QUESTION)

    assert await anext(fragments) == "Half a sen"
    with pytest.raises(AnswerError, match=reason):
        await anext(fragments)


def comments_for_ever() -> str:
    return ": keep-alive\n\n"


def thoughts_for_ever() -> str:
    return delta("hm ")


@pytest.mark.parametrize("drip", [comments_for_ever, thoughts_for_ever, lambda: delta(None, reasoning_content="hm")])
async def test_whatever_drips_in_ends_in_time(drip: Callable[[], str]) -> None:
    clock = ManualClock()

    class Body(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield delta("<think>").encode()
            while True:
                await clock.sleep(5)
                yield drip().encode()

    chat = model(lambda _: httpx.Response(200, headers=EVENTS, stream=Body()), clock=clock)
    asking = asyncio.create_task(answered(chat))
    await clock.advance(ANSWER_LIMIT - 1)
    assert not asking.done()
    await clock.advance(1)
    with pytest.raises(AnswerError) as failure:
        await asking
    assert failure.value.why is AnswerTrouble.TIME


async def test_a_server_that_says_nothing_for_long_took_too_long() -> None:
    def silent(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("no byte for 30 s", request=request)

    with pytest.raises(AnswerError) as failure:
        await answered(model(silent))
    assert failure.value.why is AnswerTrouble.TIME


async def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    clock = ManualClock()

    async def hang(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    chat = OpenAICompatible(None, "https://chat.example.com/v1", "small", clock, transport=httpx.MockTransport(hang))
    asking = asyncio.create_task(answered(chat))
    await clock.advance(ANSWER_LIMIT)
    with pytest.raises(AnswerError):
        await asking


async def test_thoughts_whose_tag_only_closes_are_told_to_the_operator() -> None:
    lines = [delta("I should greet. "), delta("</think>"), delta("Hi."), DONE]
    with capture_logs() as log:
        assert await answered(model(streaming(*lines))) == ["I should greet. ", "Hi."]
    assert "have its server separate them" in log[0]["event"]


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (401, {"error": {"message": "Incorrect API key provided."}}, AnswerTrouble.KEY),
        (403, {}, AnswerTrouble.KEY),
        (404, {"error": {"message": "The model `x` does not exist", "code": "model_not_found"}}, AnswerTrouble.MODEL),
        (404, {"error": {"message": 'model "x" not found, try pulling it first'}}, AnswerTrouble.MODEL),
        (404, {"object": "error", "message": "The model `x` does not exist."}, AnswerTrouble.MODEL),
        (400, {"error": {"message": "x is not a valid model ID", "code": 400}}, AnswerTrouble.MODEL),
        (404, {"detail": "Not Found"}, AnswerTrouble.ADDRESS),
        (404, {"error": {"message": "Invalid URL (POST /chat/completions)"}}, AnswerTrouble.ADDRESS),
        (405, {}, AnswerTrouble.ADDRESS),
        (302, {}, AnswerTrouble.ADDRESS),
        (200, {"error": {"message": "overloaded"}}, AnswerTrouble.OTHER),
        (200, {"hello": "this is something else"}, AnswerTrouble.ADDRESS),
        (429, {"error": {"message": "quota", "code": "insufficient_quota"}}, AnswerTrouble.BUSY),
        (400, {"error": {"message": "filtered", "code": "content_filter"}}, AnswerTrouble.FILTER),
        (400, {"error": {"message": "no", "code": {"a": 1}}}, AnswerTrouble.OTHER),
        (500, {}, AnswerTrouble.OTHER),
    ],
)
async def test_each_kind_of_refusal_is_known(status: int, body: dict[str, object], why: AnswerTrouble) -> None:
    with pytest.raises(AnswerError) as failure:
        await answered(model(lambda _: httpx.Response(status, json=body)))
    assert failure.value.why is why


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
    answer = ""
    with pytest.raises(AnswerError) as failure:  # noqa: PT012 - what came before the error counts
        async for fragment in model(streaming(*[delta("word after ")] * 1000)).answer("", QUESTION):
            answer += fragment

    assert failure.value.why is AnswerTrouble.LENGTH
    assert MAX_ANSWER_LENGTH - 12 <= len(answer) <= MAX_ANSWER_LENGTH
    assert answer.endswith(("word", "after"))


async def test_an_answer_of_the_greatest_length_is_whole() -> None:
    assert await answered(model(streaming(delta("a" * MAX_ANSWER_LENGTH), DONE))) == ["a" * MAX_ANSWER_LENGTH]


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
