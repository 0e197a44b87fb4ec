"""What LiveAvatar's refusals mean: its answers into the tree of `bot.core.errors`.

Sources: docs.liveavatar.com/openapi.json and github.com/heygen-com/liveavatar-web-sdk. The first says that success is
code 100, the second that it is 1000; validation errors come in two shapes; most codes are not documented, so the words
of a message count too.
"""

import re

from adapters.avatars.heygen.errors import ErrorBody, HeyGenErrors
from adapters.avatars.http import Answer
from adapters.wire.lenient import LenientModel, LongText
from bot.core.errors import ConcurrencyReached, Invalid, ProviderError, QuotaExhausted, StreamGone, Transient, Trouble

_SUCCESS = (None, "0", "100", "200", "1000")
_CONCURRENCY = re.compile(r"concurren", re.IGNORECASE)
_CREDIT = re.compile(r"credit|quota|insufficient balance", re.IGNORECASE)
_NO_SESSION = re.compile(
    r"session (is |was |has )?(already )?(not found|not active|closed|ended|stopped|expired|does not exist)|"
    r"no active session",
    re.IGNORECASE,
)
_CULPRITS = {
    "avatar_id": "avatar",
    "voice_id": "voice",
    "context_id": "context",
    "max_session_duration": "max_duration",
    "speed": "speed",
    "language": "language",
    "voice_settings": "voice settings",
    "llm_configuration_id": "LLM configuration",
    "dynamic_variables": "dynamic variables",
    "quality": "quality",
}
_IN_WORDS = (
    (re.compile(r"\bvoice(_id)?\b", re.IGNORECASE), "voice"),
    (re.compile(r"\bavatar(_id)?\b", re.IGNORECASE), "avatar"),
    (re.compile(r"context|llm.configuration", re.IGNORECASE), "context"),
    (re.compile(r"max_session_duration|session duration", re.IGNORECASE), "max_duration"),
)


class _Detail(LenientModel):
    """A validation error as FastAPI writes it (`msg`, `loc`), or as the official demo expects it (`message`)."""

    msg: LongText | None = None
    loc: tuple[object, ...] = ()
    message: LongText | None = None


class _Body(ErrorBody):
    detail: tuple[_Detail, ...] = ()
    data: tuple[_Detail, ...] = ()

    @property
    def said(self) -> str | None:
        found = [row.msg for row in self.detail] + [row.message for row in self.data]
        return "; ".join(filter(None, found)) or super().said

    def names(self, field: str) -> bool:
        """Whether a validation error is about `field`."""
        return any(field in row.loc for row in self.detail)


class LiveAvatarErrors(HeyGenErrors):
    """Maps answers of one LiveAvatar account to errors."""

    def __init__(self, secret: str) -> None:
        """`secret` is the key, held only to cut it out of quotes."""
        super().__init__("LiveAvatar", secret, settings="LIVEAVATAR")

    def of_account(self, answer: Answer) -> ProviderError | None:
        """What is wrong with an answer about the account: lists, the balance, a new session."""
        return self._map(answer, of_session=False)

    def of_session(self, answer: Answer) -> ProviderError | None:
        """What is wrong with an answer about one session, where not found means that it is over."""
        return self._map(answer, of_session=True)

    def _map(self, answer: Answer, *, of_session: bool) -> ProviderError | None:
        body = _Body.model_validate(answer.json)
        code = body.code
        if answer.is_success and code in _SUCCESS:
            return None if body.has_shape and body.error is None else self._unreadable(answer)
        said, message = self._said(answer, body)
        if answer.status >= 500:
            return Transient(said, may_have_taken_effect=True, trouble=Trouble.SERVER_ERROR, code=code)
        if code in ("4032", "4003") or (answer.status in (400, 403, 429) and _CONCURRENCY.search(message)):
            return ConcurrencyReached(said, code=code)
        if answer.status in (400, 402, 403) and _CREDIT.search(message):
            return QuotaExhausted(said, code=code)
        culprit = _culprit(body, message)
        if of_session and (_NO_SESSION.search(message) or _is_no_id(body, message)):
            return StreamGone(said, code=code)
        if answer.status in (404, 410) and culprit is None:
            return (
                StreamGone(said, code=code)
                if of_session
                else Invalid(f"{said}; check LIVEAVATAR_API_URL", parameter=Invalid.ADDRESS, code=code)
            )
        if answer.status in (400, 404, 409, 422) or answer.is_success:
            return Invalid(said, parameter=culprit, code=code)
        return self._by_status(answer, code, said, message)


def _is_no_id(body: _Body, message: str) -> bool:
    """Whether what we called the session's id is none; one of the two shapes does not name the field."""
    return body.names("session_id") or (not body.detail and "valid uuid" in message.lower())


def _culprit(body: _Body, message: str) -> str | None:
    """The value LiveAvatar complains about, in our words, where it says so."""
    for field, name in _CULPRITS.items():
        if body.names(field):
            return name
    return next((name for words, name in _IN_WORDS if words.search(message)), None)
