"""What HeyGen's refusals mean: answers of v1 and v3 into the tree of `bot.core.errors`. LiveAvatar's are read in
`liveavatar.errors`, with what is common to all.

Sources: the v1 code table collected from its documentation, its SDKs and recorded bodies; the v3 `StandardAPIError`.
Bodies are believed in no part: a code may be a number or a string, fields may be missing, and it may be no JSON at all.
What is quoted from a body is short and has keys and tokens masked.
"""

import re

from adapters.avatars.http import Answer
from adapters.wire.lenient import Code, ErrorField, LenientModel, LongText
from bot.core.errors import (
    AuthenticationFailed,
    ConcurrencyReached,
    Invalid,
    NotReady,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    StreamGone,
    Sunset,
    Transient,
    Trouble,
)
from bot.telemetry.redaction import mask

_PARAMETERS = {"avatar_id": "avatar", "avatar_name": "avatar", "voice_id": "voice", "delta": "text"}

_IN_PROSE = {
    "voice.rate": "speed", "language": "language", "quality": "quality", "avatar": "avatar", "voice": "voice",
    "text": "text",
}  # fmt: skip
"""What v1 may name in a message, the more precise first."""

_CONCURRENCY = re.compile(r"concurren|too many (open|active|running) (streams|sessions)", re.IGNORECASE)
_CREDIT = re.compile(r"quota|credit|insufficient balance", re.IGNORECASE)
_NO_SESSION = re.compile(r"session (is )?(not found|closed|does not exist)|session state wrong: clos", re.IGNORECASE)
_NOT_YET = re.compile(r"not in correct state|session state wrong: (new|connecting)", re.IGNORECASE)

MAX_MESSAGE_SIZE = 4096
"""Bytes that are looked at of a body that is not JSON."""

SUNSET = "HeyGen has switched the Streaming API v1 off permanently; set AVATAR_PROVIDER to heygen-realtime"


class ErrorBody(LenientModel):
    """An answer, as far as it says whether it is a refusal."""

    code: Code | None = None
    message: LongText | None = None
    error: ErrorField | None = None
    data: object = None

    @property
    def said(self) -> str | None:
        """What it says, in any of the places where bodies say it."""
        return self.message or (None if self.error is None else self.error.message)

    @property
    def has_shape(self) -> bool:
        """Whether v1 or LiveAvatar can have sent it."""
        return bool(self.model_fields_set & {"code", "data"})


class HeyGenErrors:
    """Maps answers of one account to errors; it holds the key only to cut it out of quotes."""

    def __init__(self, vendor: str, secret: str, settings: str = "HEYGEN") -> None:
        """`settings` is how the names of this account's settings begin."""
        self._vendor = vendor
        self._secret = secret
        self._settings = settings

    def quote(self, message: str) -> str:
        """`message`, fit for a log."""
        return mask(message, (self._secret,))

    def streaming(self, answer: Answer) -> ProviderError | None:
        """What is wrong with an answer of v1 (and of the v2 lists, which use another envelope)."""
        body = ErrorBody.model_validate(answer.json)
        code = body.code or (None if body.error is None else body.error.code)
        if answer.status == 410 or (b"endpoint_sunset" in answer.content and (code or "") != "100"):
            return Sunset(SUNSET, code="endpoint_sunset")
        if answer.is_success and body.error is None and code in (None, "100"):
            return None if body.has_shape else self._unreadable(answer)
        said, message = self._said(answer, body)
        return self._streaming_by_code(answer, code, said, message) or self._streaming_by_words(
            answer, code, said, message
        )

    def _streaming_by_code(self, answer: Answer, code: str | None, said: str, message: str) -> ProviderError | None:
        match code:
            case "400112" | "40102" | "40009" | "400101" | "401057" | "401056":
                return AuthenticationFailed(f"{said}; check HEYGEN_API_KEY", code=code)
            case "400562" | "400573" | "400599":
                return AuthenticationFailed(f"{said}; the key or its plan may not do this", is_known=True, code=code)
            case "400123":
                return RateLimited(said, retry_after=answer.retry_after, code=code)
            case "400006" | "10001" | "10002":
                return NotReady(said, code=code)
            case "10003" if "version" not in message.lower():
                return Invalid(said, code=code)
            case "10004" | "10005" | "10006":
                return StreamGone(said, code=code)
            case "10007" | "10014":
                return ConcurrencyReached(said, code=code)
            case "10015":
                return QuotaExhausted(said, code=code)
            case "10003" | "10012" | "10013" | "400014":
                return Invalid(said, parameter="avatar", code=code)
            case "40056":
                # Speech failed on their side; how much of it was heard is not known.
                return Transient(said, may_have_taken_effect=True, trouble=Trouble.SERVER_ERROR, code=code)
            case _:
                return None

    def _streaming_by_words(self, answer: Answer, code: str | None, said: str, message: str) -> ProviderError:
        if answer.status < 500 and _CONCURRENCY.search(message):
            return ConcurrencyReached(said, code=code)
        if answer.status < 500 and _NO_SESSION.search(message):
            return StreamGone(said, code=code)
        if answer.status < 500 and _NOT_YET.search(message):
            return NotReady(said, code=code)
        if answer.status == 404:
            return Invalid(f"{said}; check HEYGEN_API_URL", parameter=Invalid.ADDRESS, code=code)
        return self._by_status(answer, code, said, message)

    def creating(self, answer: Answer) -> ProviderError | None:
        """What is wrong with an answer of v3 that opens a stream."""
        return self._realtime(answer, of_stream=False)

    def of_stream(self, answer: Answer) -> ProviderError | None:
        """What is wrong with an answer of v3 about one stream, where not found means that the stream is gone."""
        return self._realtime(answer, of_stream=True)

    def reading(self, answer: Answer) -> ProviderError | None:
        """What is wrong with an answer of v3 that has nothing to do with a stream: lists and the account."""
        error = self._realtime(answer, of_stream=True)
        if isinstance(error, StreamGone):
            return Invalid(str(error), parameter=Invalid.ADDRESS, code=error.code)
        return error

    def _realtime(self, answer: Answer, *, of_stream: bool) -> ProviderError | None:
        body = ErrorBody.model_validate(answer.json)
        if answer.is_success and body.error is None:
            return None if "data" in body.model_fields_set else self._unreadable(answer)
        code, parameter = (body.error.code, body.error.param) if body.error is not None else (None, None)
        said, message = self._said(answer, body)
        match code, answer.status:
            case "avatar_not_found", _:
                return Invalid(said, parameter="avatar", code=code)
            case (("voice_not_found" | "voice_not_usable"), _):
                return Invalid(said, parameter="voice", code=code)
            case "insufficient_credit", _:
                return QuotaExhausted(said, code=code)
            case (_, 404 | 410) if of_stream:
                return StreamGone(said, code=code)
            case _, 404:
                return AuthenticationFailed(
                    f"{said}; this account has no Avatar Realtime (it is a preview), or HEYGEN_API_URL is wrong",
                    is_known=True,
                    code=code,
                )
            case _, 409:
                return NotReady(said, code=code)
            case _, (400 | 413 | 422) if parameter is not None:
                return Invalid(said, parameter=_PARAMETERS.get(parameter, parameter), code=code)
            case _, (400 | 403 | 429) if _CONCURRENCY.search(message):
                return ConcurrencyReached(said, code=code)
            case _:
                return self._by_status(answer, code, said, message)

    def _by_status(self, answer: Answer, code: str | None, said: str, message: str) -> ProviderError:
        match answer.status:
            case 402:
                return QuotaExhausted(said, code=code)
            case 429:
                return RateLimited(said, retry_after=answer.retry_after, code=code)
            case 401:
                return AuthenticationFailed(f"{said}; check {self._settings}_API_KEY", code=code)
            case 400 | 403 if _CREDIT.search(message):
                return QuotaExhausted(said, code=code)
            case 403:
                return AuthenticationFailed(f"{said}; the key or its plan may not do this", is_known=True, code=code)
            case 410:
                return Sunset(said, code=code)
            case 301 | 302 | 303 | 307 | 308 | 404 | 405:
                return Invalid(f"{said}; check {self._settings}_API_URL", parameter=Invalid.ADDRESS, code=code)
            case 408:
                return Transient(said, may_have_taken_effect=True, trouble=Trouble.TIMEOUT, code=code)
            case status if status >= 500 or answer.is_success:
                # A success with a code that nobody knows is not an answer the API documents.
                trouble = Trouble.MALFORMED if answer.is_success else Trouble.SERVER_ERROR
                return Transient(said, may_have_taken_effect=True, trouble=trouble, code=code)
            case _:
                return Invalid(said, parameter=_parameter_in(message), code=code)

    def _unreadable(self, answer: Answer) -> Transient:
        return Transient(
            f"{self._vendor} answered {answer.status} with something that is not its API",
            may_have_taken_effect=True,
            trouble=Trouble.MALFORMED,
        )

    def _said(self, answer: Answer, body: ErrorBody) -> tuple[str, str]:
        """(what to put into an error, the message in the body)."""
        message = body.said or answer.content[:MAX_MESSAGE_SIZE].decode(errors="replace")
        quoted = self.quote(message)
        return f"{self._vendor} answered {answer.status}" + (f": {quoted}" if quoted else ""), message


def _parameter_in(message: str) -> str | None:
    """The field v1 complains about, which it tells only in prose, if at all."""
    return next((name for word, name in _IN_PROSE.items() if word in message.lower()), None)
