"""Looks for secrets in what somebody can read, in every form in which they may stand there.

Knows no program: it takes texts and secrets, and says where one is in the other.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus

JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")

SHORTEST_FORM = 8
"""Characters of a part or an encoding that is still looked for; anything shorter stands in texts by chance."""

AROUND = 300
"""Characters that a finding shows on each side."""


def forms_of(secret: str) -> set[str]:
    """A secret as it is, as addresses, JSON and Python write it, as base64 has it anywhere inside a longer text, and
    each of its halves and parts."""
    written = {quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1], repr(secret)[1:-1]}
    half = len(secret) // 2
    # What is before the first dot of a token tells its kind or whose it is: nothing that opens anything.
    parts = {secret[:half], secret[half:], *secret.split(".")[1:]}
    others = {form for form in written | parts | _in_base64(secret) if len(form) >= SHORTEST_FORM}
    return {secret, *others}


def _in_base64(secret: str) -> set[str]:
    """How base64 shows it behind 0, 1 or 2 other bytes, such as the name before a password in Basic authentication."""
    forms: set[str] = set()
    for offset in range(3):
        data = bytes(offset) + secret.encode()
        # A character holds 6 bits: those that other bytes have a share in are left out.
        inside = slice(-(-offset * 8 // 6), len(data) * 8 // 6)
        forms |= {base64.b64encode(data).decode()[inside], base64.urlsafe_b64encode(data).decode()[inside]}
    return forms


def assert_none_of(secrets: Iterable[str], places: Mapping[str, str]) -> None:
    """No form of any of the secrets, and no JWT at all, is in any of the places (name -> text)."""
    wanted = {form: secret for secret in secrets for form in forms_of(secret)}
    assert wanted, "no secret to look for"
    for name, text in places.items():
        for form, secret in wanted.items():
            assert form not in text, (name, secret, form, _around(text, text.index(form)))
        found = JWT.search(text)
        assert found is None, (name, _around(text, found.start()))


def _around(text: str, position: int) -> str:
    return text[max(0, position - AROUND) : position + AROUND]
