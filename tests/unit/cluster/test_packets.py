"""Messages as payloads, and back."""

import pytest

from bot.cluster.packets import Assembler, Message, Verb, payloads_of
from bot.store.notify import MAX_PAYLOAD

PROCESS = "f" * 32


def a_message(body: str, number: int = 7, kind: str = "slack.envelope") -> Message:
    return Message(Verb.ASK, PROCESS, number, kind, body)


def put_together(assembler: Assembler, payloads: list[str]) -> list[Message]:
    return [message for payload in payloads if (message := assembler.take(payload)) is not None]


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "two\nlines\n",
        "a zero \0 byte",
        "half a \ud83d pair",
        "x" * 7000,
        "x" * 7001,
        "ä€😀" * 5000,
        "😀" * 1750 + "x",
        "x" + "😀" * 20_000,
    ],
    ids=["empty", "short", "lines", "zero", "surrogate", "full", "one more", "mixed", "full of wide", "long and wide"],
)
def test_every_body_arrives_as_it_was_sent_in_payloads_that_postgresql_takes(body: str) -> None:
    payloads = payloads_of(a_message(body))
    assert all(len(payload.encode()) <= MAX_PAYLOAD and "\0" not in payload for payload in payloads)
    assert put_together(Assembler(), payloads) == [a_message(body)]


def test_a_message_without_one_of_its_pieces_is_dropped_and_the_next_one_arrives() -> None:
    pieces = payloads_of(a_message("x" * 20_000, number=1))
    assert len(pieces) == 3
    for missing in range(3):
        assembler = Assembler()
        left = pieces[:missing] + pieces[missing + 1 :]
        follows = payloads_of(a_message("y" * 20_000, number=2))
        assert put_together(assembler, left + follows) == [a_message("y" * 20_000, number=2)]


def test_no_message_is_made_of_pieces_of_two() -> None:
    first, second = payloads_of(a_message("x" * 20_000, number=1)), payloads_of(a_message("y" * 20_000, number=2))
    assert put_together(Assembler(), [first[0], *second[1:]]) == []


def test_pieces_of_several_senders_may_come_in_between() -> None:
    mine = payloads_of(a_message("x" * 10_000))
    other = payloads_of(Message(Verb.TELL, "e" * 32, 7, "kind", "y" * 10_000))
    assembler = Assembler()
    woven = [mine[0], other[0], other[1], mine[1]]
    assert [message.body[0] for message in put_together(assembler, woven)] == ["y", "x"]


def test_what_was_begun_is_forgotten_with_the_connection() -> None:
    assembler = Assembler()
    first, second = payloads_of(a_message("x" * 10_000))
    assert assembler.take(first) is None
    assembler.forget()
    assert assembler.take(second) is None


@pytest.mark.parametrize("payload", ["", "hello", "2 ask a 1 kind text 1 0\nbody", "1 shrug a 1 kind text 1 0\nbody"])
def test_what_is_no_message_is_refused(payload: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Assembler().take(payload)
