"""What a chat API says when it does not answer, as an `AnswerError` that names the kind of trouble. Pure reading."""

from http import HTTPStatus

from adapters.wire import fields
from bot.core.errors import AnswerError, AnswerTrouble
from bot.telemetry.redaction import mask

_MESSAGES = (("error", "message"), ("error",), ("message",), ("detail",))
"""Where servers say why: OpenAI, Ollama's own API, older vLLM, FastAPI."""


def refusal(status: int, content: bytes, secret: str) -> AnswerError:
    """The error for a reply with `status` whose body is `content`; `secret` is never part of it."""
    body = fields.parsed(content)
    found = (fields.text(fields.field(body, *path), fields.MAX_URL_LENGTH) for path in _MESSAGES)
    message = next((text for text in found if text is not None), "")
    quoted = mask(message, (secret,))
    said = f"the chat model answered {status}" + (f": {quoted}" if quoted else "")
    return AnswerError(said, why=_trouble(status, body, message))


def _trouble(status: int, body: object, message: str) -> AnswerTrouble:
    about = {fields.code(fields.field(body, "error", name)) for name in ("code", "param", "type")}
    if about & {"content_filter", "content_policy_violation"}:
        return AnswerTrouble.FILTER
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return AnswerTrouble.KEY
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY) and (
        about & {"model", "model_not_found"} or "model" in message.lower()
    ):
        return AnswerTrouble.MODEL
    if status in (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.GONE) or 300 <= status < 400:
        return AnswerTrouble.ADDRESS
    if status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.PAYMENT_REQUIRED):
        return AnswerTrouble.BUSY
    return AnswerTrouble.OTHER
