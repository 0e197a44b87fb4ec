"""The stand-in for a language model, over the OpenAI-compatible path and in a v1 chat task."""

import asyncio
import json
from typing import Any

import pytest

from adapters.simulator.llm.answers import answer_to, tokens_of
from tests.harness.clock import ManualClock
from tests.unit.simulator.client import Client

BEARER = {"Authorization": "Bearer simulator"}


def question(text: str, **more: object) -> dict[str, object]:
    return {"model": "any", "messages": [{"role": "user", "content": text}], **more}


def test_the_answer_is_always_the_same_and_refers_to_the_question() -> None:
    asked = "How far is the moon?"
    assert answer_to(asked) == answer_to(asked)
    assert "How far is the moon" in answer_to(asked)
    assert len(answer_to("why " * 500)) < 300
    assert answer_to("   ")


@pytest.mark.parametrize("asked", ["Who are you?", "what are you", "Are you a real human?", "What is your name?"])
def test_it_says_what_it_is(asked: str) -> None:
    assert "the simulator's stand-in for a language model" in answer_to(asked)


async def test_a_whole_answer(client: Client) -> None:
    answer = await client.post("/v1/chat/completions", question("Hello!"), headers=BEARER)
    assert answer.status == 200
    (choice,) = answer.body["choices"]
    assert choice["message"] == {"role": "assistant", "content": answer_to("Hello!"), "refusal": None}
    assert answer.body["object"] == "chat.completion"


async def test_the_last_question_counts(client: Client) -> None:
    messages = [
        {"role": "system", "content": "You know everything about cheese."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": [{"type": "text", "text": "And what about brie?"}]},
    ]
    answer = await client.post("/v1/chat/completions", {"model": "any", "messages": messages}, headers=BEARER)
    assert "And what about brie" in answer.body["choices"][0]["message"]["content"]


async def test_a_streamed_answer_comes_token_by_token_on_the_clock(client: Client, clock: ManualClock) -> None:
    asking = asyncio.ensure_future(client.post("/v1/chat/completions", question("Hello!", stream=True), headers=BEARER))
    async with asyncio.timeout(5):
        while not asking.done():
            await clock.advance(client.simulator.options.answer_delay)
    frames = [frame.removeprefix("data: ") for frame in (await asking).text.split("\n\n") if frame]
    assert frames[-1] == "[DONE]"
    chunks: list[dict[str, Any]] = [json.loads(frame)["choices"][0] for frame in frames[:-1]]
    assert chunks[0]["delta"]["role"] == "assistant"
    assert chunks[-1]["finish_reason"] == "stop"
    said = [chunk["delta"]["content"] for chunk in chunks[1:-1]]
    assert said == tokens_of(answer_to("Hello!"))
    assert "".join(said) == answer_to("Hello!")


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"model": "any"},
        {"model": "any", "messages": []},
        {"messages": [{"role": "user", "content": "hi"}]},
        {"model": "any", "messages": ["hi"]},
        {"model": "any", "messages": [{"role": "wizard", "content": "hi"}]},
        {"model": "any", "messages": [{"role": "user", "content": 7}]},
        {"model": "any", "messages": [{"role": "user", "content": "hi"}], "stream": "yes"},
    ],
)
async def test_bad_requests_have_the_envelope(client: Client, body: object) -> None:
    answer = await client.post("/v1/chat/completions", body, headers=BEARER)
    assert answer.status == 400
    assert answer.body["error"].keys() == {"message", "type", "param", "code"}


async def test_wrong_key(client: Client) -> None:
    answer = await client.post("/v1/chat/completions", question("hi"), headers={"Authorization": "Bearer wrong"})
    assert (answer.status, answer.body["error"]["code"]) == (401, "invalid_api_key")
