"""The envelope, the codes and the strictness of HeyGen Streaming API v1. No state, no endpoints.

Which code the service gives for a field it does not know, a text that is too long or a voice that does not exist is not
recorded; here all of them are 400175 `invalid parameter`, and a field that is missing is 40001.
"""

from collections.abc import Mapping

from aiohttp import web

from adapters.simulator.heygen_v1.session import SessionState
from adapters.simulator.wire import Json, JsonObject, Refused, read_json, reply

UNAUTHORIZED = 400112
MISSING_PARAMETER = 40001
INVALID_PARAMETER = 400175
INVALID_QUERY = 40012
NOT_IN_CORRECT_STATE = 400006
STATE_WRONG = 10000
SESSION_NOT_FOUND = 10006
CONCURRENT_LIMIT = 10007
AVATAR_NOT_FOUND = 10012
INTERNAL_ERROR = 500
"""Not recorded; what happens where no room can be made is ours."""
QUOTA_NOT_ENOUGH = 10015
"""`Trial API limit reached` (TSSDK). Which code means `quota not enough` nobody recorded; the message says it too."""


def success(data: Json) -> web.Response:
    """What a good v1 answer looks like."""
    return reply({"code": 100, "data": data, "message": "success"})


def success_v2(data: Json) -> web.Response:
    """The same in the envelope of the v2 paths."""
    return reply({"error": None, "data": data})


def refusal(code: int, message: str, status: int = 400) -> Refused:
    """An error in the v1 envelope."""
    return Refused(status, {"code": code, "message": message})


def refusal_v2(code: int, message: str, status: int = 400) -> Refused:
    """An error in the envelope of the v2 paths."""
    return Refused(status, {"error": {"code": f"{code}", "message": message}, "data": None})


def unauthorized() -> Refused:
    """A wrong key, or a token that is used up."""
    return refusal(UNAUTHORIZED, "Unauthorized", 401)


def state_wrong(state: SessionState) -> Refused:
    """The call is not allowed in this state."""
    return refusal(STATE_WRONG + state, f"session state wrong: {state.word}")


def sunset() -> Refused:
    """Switched off. Observed: 410 and the code; the rest of the body is a guess."""
    message = "This endpoint has been sunset. Please migrate to LiveAvatar."
    error: JsonObject = {"code": "endpoint_sunset", "message": message, "doc_url": "https://docs.liveavatar.com"}
    return Refused(410, {"error": error, "data": None})


async def read_fields(request: web.BaseRequest, fields: Mapping[str, type], required: tuple[str, ...]) -> JsonObject:
    """The body of a request: an object with these fields of these types and no others; null counts as left out."""
    try:
        body = await read_json(request)
    except ValueError:
        raise refusal(INVALID_PARAMETER, "invalid parameter: the body is not JSON") from None
    if not isinstance(body, dict):
        raise refusal(INVALID_PARAMETER, "invalid parameter: the body is not an object")
    for name, value in body.items():
        expected = fields.get(name)
        if expected is None:
            raise refusal(INVALID_PARAMETER, f"invalid parameter: unknown field {name[:80]!r}")
        if value is not None and not is_a(value, expected):
            raise refusal(INVALID_PARAMETER, f"invalid parameter: {name}")
    for name in required:
        if body.get(name) in (None, ""):
            raise refusal(MISSING_PARAMETER, f"missing required parameter: {name}")
    return body


def is_a(value: object, expected: type) -> bool:
    """Whether a JSON value is of a type; true is not a number, and a whole number is a float."""
    if isinstance(value, bool):
        return expected is bool
    return isinstance(value, expected) or (expected is float and isinstance(value, int))
