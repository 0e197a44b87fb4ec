"""The envelope and the error codes of HeyGen v3 (StandardAPIError). No state, no endpoints."""

from collections.abc import Iterable, Mapping

from aiohttp import web

from adapters.simulator.catalogue import BadToken, page_of
from adapters.simulator.wire import Json, JsonObject, Refused, read_json, reply

RETRY_AFTER = 5
"""Seconds in `Retry-After` when too many streams are open."""


def refusal(
    status: int, code: str, message: str, param: str | None = None, headers: Mapping[str, str] | None = None
) -> Refused:
    """An error in the v3 envelope."""
    return Refused(status, {"error": {"code": code, "message": message, "param": param, "doc_url": None}}, headers)


def invalid(param: str | None, message: str) -> Refused:
    """A value that is not accepted."""
    return refusal(400, "invalid_parameter", message, param)


def unauthorized() -> Refused:
    """A wrong key."""
    return refusal(401, "unauthorized", "Invalid or expired API key. Verify your x-api-key header.")


def too_many(message: str) -> Refused:
    """Too many requests, or too many streams: the same answer for both (developers.heygen.com/docs/usage-limits)."""
    return refusal(429, "rate_limit_exceeded", message, headers={"Retry-After": f"{RETRY_AFTER}"})


def data(body: Json, status: int = 200) -> web.Response:
    """What a good v3 answer looks like."""
    return reply({"data": body}, status)


async def read_object(request: web.BaseRequest) -> JsonObject:
    """The body of a request, an object."""
    try:
        body = await read_json(request)
    except ValueError:
        raise invalid(None, "Request body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise invalid(None, "Request body must be a JSON object.")
    return body


def check_names(body: JsonObject, allowed: Iterable[str], required: Iterable[str], prefix: str = "") -> None:
    """Every field of `body` is allowed and no required one is missing."""
    for name in body:
        if name not in allowed:
            raise invalid(f"{prefix}{name[:80]}", f"Unknown field '{prefix}{name[:80]}'.")
    for name in required:
        if name not in body:
            raise invalid(f"{prefix}{name}", f"'{prefix}{name}' is required.")


def text_of(body: JsonObject, name: str, prefix: str = "", *, may_be_empty: bool = False) -> str:
    """A field that is a string."""
    value = body[name]
    if not isinstance(value, str):
        raise invalid(f"{prefix}{name}", f"'{prefix}{name}' must be a string.")
    if not value and not may_be_empty:
        raise invalid(f"{prefix}{name}", f"'{prefix}{name}' must not be empty.")
    return value


def query_of(request: web.BaseRequest, allowed: Iterable[str]) -> dict[str, str]:
    """The query of a request; unknown and repeated names are refused."""
    query: dict[str, str] = {}
    for name, value in request.rel_url.query.items():
        if name not in allowed or name in query:
            raise invalid(name[:80], f"Unknown or repeated query parameter '{name[:80]}'.")
        query[name] = value
    return query


def choice(query: Mapping[str, str], name: str, choices: tuple[str, ...]) -> str | None:
    """A query parameter that is one of a few words, None if it was left out."""
    value = query.get(name)
    if value is not None and value not in choices:
        raise invalid(name, f"Invalid '{name}'. Must be one of: {', '.join(choices)}.")
    return value


def page(items: list[JsonObject], query: Mapping[str, str], most: int) -> web.Response:
    """A page of a list, `limit` (1 to `most`, 20 when left out) items behind `token`."""
    limit = query.get("limit", "20")
    if not limit.isdecimal() or len(limit) > 4 or not 1 <= int(limit) <= most:
        raise invalid("limit", f"'limit' must be between 1 and {most}.")
    try:
        shown, following = page_of(items, int(limit), query.get("token"))
    except BadToken:
        raise invalid("token", "Invalid 'token'.") from None
    return reply({"data": list(shown), "has_more": following is not None, "next_token": following})
