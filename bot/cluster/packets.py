"""Messages between processes as the payloads of notifications, and back: a header, a line break, a piece of the body.

Pure text; nothing is sent here. Payloads are limited to 8,000 bytes, so a longer body goes in pieces. Those of one
message are sent together, so nothing of the same sender comes in between; if one is missing, the message is dropped.
"""

import json
from dataclasses import dataclass
from enum import StrEnum

FORM = "1"
"""Of the header. A process of another version drops what it does not know; who asked hears nothing."""

PIECE = 7000
"""Bytes of a body in one payload; the header has the rest."""


class Verb(StrEnum):
    """What a message is."""

    ASK = "ask"
    TELL = "tell"
    """News, to one process or to all."""
    ANSWER = "answer"
    REFUSE = "refuse"
    """The question could not be answered; the body says why."""


@dataclass(frozen=True, slots=True)
class Message:
    """number: the sender's own. kind: who handles it; of an answer the number of the question."""

    verb: Verb
    sender: str
    number: int
    kind: str
    body: str


def payloads_of(message: Message) -> list[str]:
    """The payloads of a message, in order."""
    body, form = message.body, "text"
    # PostgreSQL's text has no zero byte.
    if "\0" in body or not _is_utf8(body):
        body, form = json.dumps(body), "json"
    pieces = _cut(body)
    head = f"{FORM} {message.verb} {message.sender} {message.number} {message.kind} {form} {len(pieces)}"
    return [f"{head} {index}\n{piece}" for index, piece in enumerate(pieces)]


def _is_utf8(body: str) -> bool:
    """Whether it can be told in UTF-8, which has no halves of surrogate pairs."""
    try:
        return body.isascii() or bool(body.encode())
    except UnicodeEncodeError:
        return False


def _cut(body: str) -> list[str]:
    # Most are short, and a character has four bytes at the most.
    if len(body) * 4 <= PIECE or len(data := body.encode()) <= PIECE:
        return [body]
    pieces, start = [], 0
    while start < len(data):
        end = min(start + PIECE, len(data))
        # Not within a character: its further bytes begin with the bits 10.
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(data[start:end].decode())
        start = end
    return pieces


class Assembler:
    """Puts the payloads of all senders together again."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[int, list[str]]] = {}

    def forget(self) -> None:
        """The next payload may be from anywhere: what was begun is dropped."""
        self._begun.clear()

    def take(self, payload: str) -> Message | None:
        """The message that is whole with this payload, if one is. Raises `ValueError` for what is none of ours."""
        head, _, piece = payload.partition("\n")
        form, verb, sender, number, kind, quoting, count, index = head.split(" ")
        if form != FORM:
            raise ValueError(f"the form {form[:8]} of a message is not known")
        said, place = int(number), int(index)
        before, pieces = self._begun.pop(sender, (said, []))
        if place == 0:
            pieces = []
        elif before != said or place != len(pieces):
            return None
        pieces.append(piece)
        if len(pieces) < int(count):
            self._begun[sender] = (said, pieces)
            return None
        body = "".join(pieces)
        if quoting == "json":
            body = str(json.loads(body))
        return Message(Verb(verb), sender, said, kind, body)
