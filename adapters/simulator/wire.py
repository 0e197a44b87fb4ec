"""JSON over HTTP for every part of the server: reading bodies with suspicion, writing replies cheaply.

It knows no API; each API brings its own envelope.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from aiohttp import web

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
JsonObject: TypeAlias = dict[str, Json]

Handler: TypeAlias = Callable[[web.BaseRequest, str], Awaitable[web.StreamResponse]]
"""Takes the request and the id in its path (empty where the path has none)."""

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_JSON_HEADERS = {"Content-Type": "application/json; charset=utf-8"}


class Refused(Exception):
    """The request is answered with an error; `body` is already in the envelope of its API."""

    def __init__(self, status: int, body: Json, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status}")
        self.status = status
        self.body = body
        self.headers = headers


def reply(body: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.Response(
        body=encode(body).encode(), status=status, headers={**_JSON_HEADERS, **headers} if headers else _JSON_HEADERS
    )


def encode(body: Json) -> str:
    """Compact JSON."""
    return _encode(body)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


async def read_json(request: web.BaseRequest) -> Json:
    """The body of the request; an empty one is an empty object.

    Raises ValueError for what is not JSON (RFC 8259: no NaN either) or no text, and aiohttp's own error for a body over
    1 MB.
    """
    raw = await request.read()
    if not raw.strip():
        return {}
    try:
        parsed: Json = json.loads(raw, parse_constant=_no_constant)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if b"\\u" in raw:
        # Half a surrogate pair is legal JSON and no text (RFC 8259, section 8.2).
        encode(parsed).encode()
    return parsed
