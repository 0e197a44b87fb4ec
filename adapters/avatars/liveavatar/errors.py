"""What LiveAvatar's refusals mean: its answers into the tree of `bot.core.errors`.

Sources: avatar-apis 4.1 and 4.5. The specification says that success is code 100, the official SDK that it is 1000;
validation errors come in two shapes; most codes are not documented, so the words of a message count too.
"""

import re

from adapters.avatars.heygen.errors import HeyGenErrors
from adapters.avatars.http import Answer
from adapters.wire import fields
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


class LiveAvatarRefusals(HeyGenErrors):
    """Judges answers of one LiveAvatar account."""

    def __init__(self, secret: str) -> None:
        """`secret` is the key, held only to cut it out of quotes."""
        super().__init__("LiveAvatar", secret, settings="LIVEAVATAR")

    def of_account(self, answer: Answer) -> ProviderError | None:
        """What is wrong with an answer about the account: lists, the balance, a new session."""
        return self._judged(answer, of_session=False)

    def of_session(self, answer: Answer) -> ProviderError | None:
        """What is wrong with an answer about one session, where not found means that it is over."""
        return self._judged(answer, of_session=True)

    def _judged(self, answer: Answer, *, of_session: bool) -> ProviderError | None:
        body = answer.json
        code = fields.code(fields.field(body, "code"))
        if answer.is_success and code in _SUCCESS:
            has_shape = isinstance(body, dict) and ("code" in body or "data" in body) and body.get("error") is None
            return None if has_shape else self._unreadable(answer)
        said, message = self._said(answer)
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

    def _message(self, answer: Answer) -> str:
        """The documented shape of a validation error is FastAPI's, the official demo expects another."""
        body = answer.json
        found = [fields.text(fields.field(row, "msg"), fields.MAX_URL_LENGTH) for row in _details(body)]
        found += [
            fields.text(fields.field(row, "message"), fields.MAX_URL_LENGTH)
            for row in fields.rows(fields.field(body, "data"))
        ]
        said = [message for message in found if message is not None]
        return "; ".join(said) or super()._message(answer)


def _details(body: object) -> list[object]:
    return fields.rows(fields.field(body, "detail"))


def _names(body: object, field: str) -> bool:
    """Whether a validation error is about `field`."""
    return any(field in fields.rows(fields.field(row, "loc")) for row in _details(body))


def _is_no_id(body: object, message: str) -> bool:
    """Whether what we called the session's id is none; one of the two shapes does not name the field."""
    return _names(body, "session_id") or (not _details(body) and "valid uuid" in message.lower())


def _culprit(body: object, message: str) -> str | None:
    """The value LiveAvatar complains about, in our words, where it says so."""
    for field, name in _CULPRITS.items():
        if _names(body, field):
            return name
    return next((name for words, name in _IN_WORDS if words.search(message)), None)
