"""What one piece of a chat API's reply says: words of the answer, its end, a failure. Believes nothing about its shape.

Pure reading: no connection, no state. Thoughts that have a field of their own (`reasoning_content`, `reasoning`) or a
part of their own (`thinking`) are not words of the answer and are left where they are.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator

from adapters.wire.lenient import Fragment, LenientModel, Text
from bot.core.errors import AnswerTrouble

_HAS_TEXT = (None, "text", "output_text")
"""The types of the parts whose `text` are words of the answer."""

_NOT_WHOLE = {
    "length": AnswerTrouble.LENGTH,
    "max_tokens": AnswerTrouble.LENGTH,
    "max_output_tokens": AnswerTrouble.LENGTH,
    "model_length": AnswerTrouble.LENGTH,
    "content_filter": AnswerTrouble.FILTER,
    "content_filtered": AnswerTrouble.FILTER,
    "safety": AnswerTrouble.FILTER,
    "sensitive": AnswerTrouble.FILTER,
    "prohibited_content": AnswerTrouble.FILTER,
    "blocklist": AnswerTrouble.FILTER,
    "recitation": AnswerTrouble.FILTER,
    "tool_calls": AnswerTrouble.BROKEN_OFF,
    "function_call": AnswerTrouble.BROKEN_OFF,
    "error": AnswerTrouble.BROKEN_OFF,
    "network_error": AnswerTrouble.BROKEN_OFF,
    "insufficient_system_resource": AnswerTrouble.BROKEN_OFF,
    "abort": AnswerTrouble.BROKEN_OFF,
    "cancelled": AnswerTrouble.BROKEN_OFF,
}
"""The values of `finish_reason` that end an answer before its end. OpenAI has `length`, `content_filter` and calls of
tools, which are not offered; the others are what compatible servers pass on (Gemini, Mistral, Zhipu, DeepSeek, vLLM).
Every other value ends a whole answer."""


@dataclass(frozen=True, slots=True)
class End:
    """The answer ends, early where there is trouble. `reason` is as the server calls it."""

    reason: str
    trouble: AnswerTrouble | None


def _value(text: object) -> object:
    return text.get("value") if isinstance(text, dict) else text


def _parts(content: object) -> object:
    parts = content if isinstance(content, list) else [content]
    return [{"text": part} if isinstance(part, str) else part for part in parts]


class _Part(LenientModel):
    type: object = None
    text: Annotated[Fragment, BeforeValidator(_value)] = ""
    refusal: Annotated[Fragment, BeforeValidator(_value)] = ""

    def words(self) -> str:
        # A refusal is what the model answers.
        return self.refusal if self.type == "refusal" else self.text if self.type in _HAS_TEXT else ""


class _Message(LenientModel):
    content: Annotated[tuple[_Part, ...], BeforeValidator(_parts)] = ()
    refusal: Annotated[tuple[_Part, ...], BeforeValidator(_parts)] = ()

    def words(self) -> str:
        return "".join(map(_Part.words, self.content)) or "".join(map(_Part.words, self.refusal))


class _Choice(LenientModel):
    delta: _Message = _Message()
    message: _Message = _Message()
    finish_reason: Text | None = None


class Frame(LenientModel):
    """The whole reply (`message`), or a piece of one that is streamed (`delta`). Without `choices` it is no reply of a
    chat API."""

    choices: tuple[_Choice, ...] | None = None
    error: object = None

    def words(self, *, is_streamed: bool) -> str:
        """The words of the answer."""
        choice = self._first
        return (choice.delta if is_streamed else choice.message).words()

    def end(self) -> End | None:
        """How the answer ends with this frame, None if it goes on."""
        reason = self._first.finish_reason
        # Some servers write the word where JSON's null is meant.
        if reason is None or reason.lower() in ("null", "none"):
            return None
        return End(reason, _NOT_WHOLE.get(reason.lower()))

    @property
    def _first(self) -> _Choice:
        return self.choices[0] if self.choices else _Choice()
