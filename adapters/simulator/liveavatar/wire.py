"""The envelope, the codes and the validation errors of LiveAvatar. No state, no endpoints.

Codes that nobody recorded are 4000, which the SDK's tests use for a failure of any kind.
"""

from collections.abc import Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ValidationError

from adapters.simulator.liveavatar.bodies import Paging
from adapters.simulator.service import Service
from adapters.simulator.wire import Json, JsonObject, Refused, read_json, reply

SUCCESS = 1000
"""What the official SDK wants to see; the specification says 100."""
FAILED = 4000
CONCURRENCY_LIMIT = 4032

Body = TypeVar("Body", bound=BaseModel)


def success(data: Json, status: int = 200) -> web.Response:
    """What a good answer looks like."""
    return reply({"code": SUCCESS, "data": data, "message": "Success"}, status)


def refusal(message: str, status: int = 400, code: int = FAILED, headers: Mapping[str, str] | None = None) -> Refused:
    """An error in the envelope."""
    return Refused(status, {"code": code, "data": None, "message": message}, headers)


def unauthorized() -> Refused:
    """A wrong key or token, or none."""
    return refusal("Unauthorized", 401)


def not_found(what: str) -> Refused:
    """Nothing has this id."""
    return refusal(f"{what} not found", 404)


class Validation:
    """Reads bodies, queries and ids; what is wrong with them is a 422 in the shape that the options choose."""

    def __init__(self, service: Service) -> None:
        self._shape = service.options.liveavatar_validation

    async def body(self, request: web.BaseRequest, model: type[Body]) -> Body:
        """The body of a request; none at all counts as an empty one."""
        try:
            raw = await read_json(request)
        except ValueError:
            raise self.invalid(("body",), "JSON decode error", "json_invalid") from None
        return self._checked(model, raw, "body")

    def query(self, request: web.BaseRequest, model: type[Body]) -> Body:
        """The query of a request."""
        return self._checked(model, dict(request.rel_url.query), "query")

    def id(self, text: str, name: str) -> str:
        """An id in a path."""
        try:
            return str(UUID(text))
        except ValueError:
            raise self.invalid(("path", name), "Input should be a valid UUID", "uuid_parsing") from None

    def invalid(self, loc: Sequence[str | int], message: str, kind: str) -> Refused:
        """One thing is wrong."""
        return self._refusal([{"loc": [*loc], "msg": message, "type": kind}])

    def _checked(self, model: type[Body], raw: object, place: str) -> Body:
        try:
            return model.model_validate(raw)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            raise self._refusal(
                [{"loc": [place, *each["loc"]], "msg": each["msg"], "type": each["type"]} for each in found]
            ) from None

    def _refusal(self, problems: Sequence[JsonObject]) -> Refused:
        if self._shape == "data":
            said: Json = [{"message": problem["msg"]} for problem in problems]
            return Refused(422, {"code": FAILED, "data": said, "message": "Validation error"})
        return Refused(422, {"detail": [*problems]})


def page(service: Service, request: web.BaseRequest, rows: Sequence[JsonObject], paging: Paging) -> web.Response:
    """One page of a list, with the addresses of the pages around it."""
    first = (paging.page - 1) * paging.page_size
    shown = rows[first : first + paging.page_size]
    following = paging.page + 1 if first + paging.page_size < len(rows) else None
    before = paging.page - 1 if paging.page > 1 else None

    def address(number: int | None) -> str | None:
        if number is None:
            return None
        return f"{service.address_for(request)}{request.rel_url.update_query(page=number)}"

    return success({"count": len(rows), "next": address(following), "previous": address(before), "results": [*shown]})
