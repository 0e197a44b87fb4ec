"""Makes what another service said fit for a log line: one line, short, and without keys or tokens (rule 9)."""

import re
from collections.abc import Iterable

LONGEST_QUOTE = 200

_TOKEN = re.compile(r"eyJ[\w-]+(\.[\w-]*)*|(?i:bearer)\s+\S+|[A-Za-z0-9_+/=-]{41,}")
"""A JWT, anything after `Bearer`, and unbroken runs longer than a UUID (36) or a vendor's id (32 to 40)."""


def masked(message: str, secrets: Iterable[str] = ()) -> str:
    """`message` on one line, at most `LONGEST_QUOTE` characters, without `secrets` and anything like a token."""
    for secret in secrets:
        if secret:
            message = message.replace(secret, "***")
    message = _TOKEN.sub("***", " ".join(message.split()))
    return message if len(message) <= LONGEST_QUOTE else message[: LONGEST_QUOTE - 1] + "…"
