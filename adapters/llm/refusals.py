"""What a chat API says when it does not answer, as an `AnswerError` that names the kind of trouble. Pure reading."""

from http import HTTPStatus

from adapters.wire.lenient import ErrorField, LenientModel, LongText, parse_json
from bot.core.errors import AnswerError, AnswerTrouble
from bot.telemetry.redaction import mask


class _Body(LenientModel):
    """Where servers say why: OpenAI and Ollama's own API, older vLLM, FastAPI."""

    error: ErrorField = ErrorField()
    message: LongText | None = None
    detail: LongText | None = None


def refusal(status: int, content: bytes, secret: str) -> AnswerError:
    """The error for a reply with `status` whose body is `content`; `secret` is never part of it."""
    body = _Body.model_validate(parse_json(content))
    message = body.error.message or body.message or body.detail or ""
    quoted = mask(message, (secret,))
    said = f"the chat model answered {status}" + (f": {quoted}" if quoted else "")
    return AnswerError(said, why=_trouble(status, body.error, message))


def _trouble(status: int, error: ErrorField, message: str) -> AnswerTrouble:
    about = {error.code, error.param, error.type}
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
