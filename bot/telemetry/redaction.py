"""Takes secrets out of what is about to be logged (rule 9): values, messages and tracebacks alike.

Two nets, because either has holes: the secrets that are known are masked wherever they turn up, and so is what looks
like one. Linear time: each pattern begins at a word of its own and runs over one class of characters.
"""

import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus

from pydantic import SecretStr

MAX_QUOTE_LENGTH = 200

_TOKEN = re.compile(r"eyJ[\w-]+(\.[\w-]*)*|(?i:bearer)\s+\S+|[A-Za-z0-9_+/=-]{41,}")
"""A JWT, anything after `Bearer`, and unbroken runs longer than a UUID (36) or a vendor's id (32 to 40)."""


def mask(message: str, secrets: Iterable[str] = ()) -> str:
    """`message` on one line, at most `MAX_QUOTE_LENGTH` characters, without `secrets` and anything like a token."""
    for secret in secrets:
        if secret:
            message = message.replace(secret, "***")
    message = _TOKEN.sub("***", " ".join(message.split()))
    return message if len(message) <= MAX_QUOTE_LENGTH else message[: MAX_QUOTE_LENGTH - 1] + "…"


MASK = "[hidden]"

_MIN_KNOWN_LENGTH = 4
"""Characters. Masking anything shorter would blacken ordinary words and give the secret away by that."""

_NAMES = (
    r"(?:access|refresh|id|session|auth|bot|app|livekit|csrf)?[_-]?tokens?|(?:x[_-])?api[_-]?keys?|apikey|authorization|"
    r"(?:client[_-]|signing[_-]|web[_-])?secrets?|passw(?:or)?d|(?:set[_-])?cookie|jwt|credentials?"
)
_SECRET_KEY = re.compile(rf"(?:.*[_-])?(?:{_NAMES})", re.IGNORECASE)
_JWT = re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]++\.[A-Za-z0-9_-]++(?:\.[A-Za-z0-9_-]*+)?")
_WATCH_LINK = re.compile(r"(/w/)[A-Za-z0-9._~%=-]++")
_SCHEME = re.compile(r"\b(Bearer|Basic)\s+[^\s\"',;]++", re.IGNORECASE)
_ASSIGNED = re.compile(
    rf"(?<![A-Za-z0-9])((?:{_NAMES})(?:=|[\"']\s?[:=]\s?|:\s?[\"'])[\"']?)(?!\[hidden)[^\s\"'&,;)}}\]]++", re.IGNORECASE
)
_HEADER = re.compile(
    r"(?<![A-Za-z0-9])((?:authorization|(?:set-)?cookie|x-api-key)\s?:\s?)(?!\[hidden)[^\r\n\"']++", re.IGNORECASE
)
_URL_PASSWORD = re.compile(r"(://[^/@\s:]*+:)[^/@\s]++(?=@)")


class Redactor:
    """Masks the secrets it was given, and whatever looks like one."""

    def __init__(self, known: Iterable[SecretStr] = ()) -> None:
        forms = {form for secret in known for form in _forms(secret.get_secret_value().strip())}
        # The longest first: a secret may begin like another.
        longest_first = sorted((form for form in forms if len(form) >= _MIN_KNOWN_LENGTH), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def text(self, text: str) -> str:
        """Return `text` with every secret masked."""
        text = _ASSIGNED.sub(rf"\1{MASK}", _HEADER.sub(rf"\1{MASK}", self.line(text)))
        return _URL_PASSWORD.sub(rf"\1{MASK}", _SCHEME.sub(rf"\1 {MASK}", text))

    def line(self, line: str) -> str:
        """Return a rendered line with known secrets, JWTs and watch links masked; JSON stays JSON."""
        if self._known is not None:
            line = self._known.sub(MASK, line)
        return _WATCH_LINK.sub(rf"\1{MASK}", _JWT.sub(MASK, line))

    def value(self, value: object, key: str = "") -> object:
        """Return `value`, which is logged under `key`, with every secret masked; containers are searched."""
        if isinstance(value, SecretStr):
            return MASK
        if key and not isinstance(value, (bool, int, float, type(None))) and _SECRET_KEY.fullmatch(key):
            return MASK
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, bytes):
            return self.text(value.decode(errors="replace"))
        if isinstance(value, Mapping):
            return {name: self.value(entry, str(name)) for name, entry in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.value(entry) for entry in value]
        if isinstance(value, (bool, int, float, type(None))):
            return value
        return self.text(str(value) if isinstance(value, BaseException) else repr(value))


def _forms(secret: str) -> set[str]:
    """The secret as it is, in an address, and as `repr` and JSON write it."""
    escaped = secret.encode("unicode_escape").decode()
    return {secret, quote(secret, safe=""), quote_plus(secret), escaped, escaped.replace('"', '\\"')}
