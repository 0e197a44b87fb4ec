"""What HeyGen's refusals mean: answers of v1 and v3 into the tree of `bot.core.errors`. LiveAvatar's are read in
`liveavatar_refusals`, with what is common to all.

Sources: the v1 code table collected from its documentation, its SDKs and recorded bodies; the v3 `StandardAPIError`.
Bodies are believed in no part: a code may be a number or a string, fields may be missing, and it may be no JSON at all.
What is quoted from a body is short and has keys and tokens masked.
"""

import re

from adapters.avatars.http import Answer
from adapters.wire import fields as shapes
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

SUNSET = "HeyGen has switched the Streaming API v1 off permanently; set AVATAR_PROVIDER to heygen-realtime"


class HeyGenErrors:
    """Judges answers of one account; it holds the key only to cut it out of quotes."""

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
        body = answer.json
        code = shapes.code(shapes.field(body, "code")) or shapes.code(shapes.field(body, "error", "code"))
        if answer.status == 410 or (b"endpoint_sunset" in answer.content and (code or "") != "100"):
            return Sunset(SUNSET, code="endpoint_sunset")
        refused = shapes.field(body, "error") is not None or code not in (None, "100")
        if answer.is_success and not refused:
            has_shape = isinstance(body, dict) and ("code" in body or "data" in body)
            return None if has_shape else self._unreadable(answer)
        said, message = self._said(answer)
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
        fault = self._realtime(answer, of_stream=True)
        if isinstance(fault, StreamGone):
            return Invalid(str(fault), parameter=Invalid.ADDRESS, code=fault.code)
        return fault

    def _realtime(self, answer: Answer, *, of_stream: bool) -> ProviderError | None:
        body = answer.json
        error = shapes.field(body, "error")
        if answer.is_success and error is None:
            return None if isinstance(body, dict) and "data" in body else self._unreadable(answer)
        code = shapes.code(shapes.field(error, "code"))
        parameter = shapes.text(shapes.field(error, "param"))
        said, message = self._said(answer)
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

    def _said(self, answer: Answer) -> tuple[str, str]:
        """(what to put into an error, the message in the body)."""
        message = self._message(answer)
        quoted = self.quote(message)
        return f"{self._vendor} answered {answer.status}" + (f": {quoted}" if quoted else ""), message

    def _message(self, answer: Answer) -> str:
        """What the body says, in any of the places where bodies say it."""
        body = answer.json
        return (
            shapes.text(shapes.field(body, "message"), shapes.MAX_URL_LENGTH)
            or shapes.text(shapes.field(body, "error", "message"), shapes.MAX_URL_LENGTH)
            or shapes.text(shapes.field(body, "error"), shapes.MAX_URL_LENGTH)
            or answer.content[: shapes.MAX_URL_LENGTH].decode(errors="replace")
        )


def _parameter_in(message: str) -> str | None:
    """The field v1 complains about, which it tells only in prose, if at all."""
    return next((name for word, name in _IN_PROSE.items() if word in message.lower()), None)
