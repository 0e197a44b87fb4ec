"""What one piece of a chat API's reply says: words of the answer, its end, a failure. Believes nothing about its shape.

Pure reading: no connection, no state. Thoughts that have a field of their own (`reasoning_content`, `reasoning`) or a
part of their own (`thinking`) are not words of the answer and are left where they are.
"""

from dataclasses import dataclass

from adapters.wire import fields
from bot.core.errors import AnswerTrouble

_WORDS = {None: "text", "text": "text", "output_text": "text", "refusal": "refusal"}
"""Which field of a part holds words, by the part's type. A refusal is what the model answers."""

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


def has_choice(body: object) -> bool:
    """Whether it looks like the reply of a chat API."""
    return isinstance(fields.field(body, "choices"), list)


def words(frame: object, holder: str) -> str:
    """The words of the answer in a frame; `holder` is `delta` where it is streamed, else `message`."""
    said = fields.field(_choice(frame), holder)
    content = _text(fields.field(said, "content"))
    return content or _text(fields.field(said, "refusal"))


def end(frame: object) -> End | None:
    """How the answer ends with this frame, None if it goes on."""
    reason = fields.text(fields.field(_choice(frame), "finish_reason"))
    # Some servers write the word where JSON's null is meant.
    if reason is None or reason.lower() in ("null", "none"):
        return None
    return End(reason, _NOT_WHOLE.get(reason.lower()))


def _choice(frame: object) -> object:
    choices = fields.rows(fields.field(frame, "choices"))
    return choices[0] if choices else None


def _text(content: object) -> str:
    parts = content if isinstance(content, list) else [content]
    return "".join(map(_part, parts))


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    kind = fields.field(part, "type")
    held_in = _WORDS.get(kind) if kind is None or isinstance(kind, str) else None
    if held_in is None:
        return ""
    text = fields.field(part, held_in)
    text = fields.field(text, "value") if isinstance(text, dict) else text
    return text if isinstance(text, str) else ""
