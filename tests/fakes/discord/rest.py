"""The REST side: reads a request, checks it, lets faults happen, answers. What requests do is elsewhere.

[L] `Content-Type` has to be exactly "application/json": discord.py takes anything else for text.
[D] https://docs.discord.com/developers/topics/rate-limits, .../reference#authentication
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from aiohttp import BodyPartReader, web

from tests.fakes.discord.errors import Refused
from tests.fakes.discord.faults import Fault
from tests.fakes.discord.validation import place

if TYPE_CHECKING:
    from tests.fakes.discord.server import FakeDiscord


@dataclass(eq=False)
class Request:
    """One request as it came, and the status it got (None while it is under way or was cut)."""

    method: str
    path: str
    template: str | None
    query: Mapping[str, str]
    body: Any
    at: float
    parameters: Mapping[str, str] = field(default_factory=dict)
    files: list[tuple[str, int]] = field(default_factory=list)
    reason: str | None = None
    status: int | None = None

    def id(self, name: str) -> int:
        """A path parameter that is an id. Raises Refused when it is none."""
        value = self.parameters[name]
        if not value.isdecimal():
            raise Refused(50035, field=name, reason=f'Value "{value}" is not snowflake.')
        return int(value)


Answer = tuple[int, Any]
Act = Callable[["FakeDiscord", Request], Answer]
Acts = Mapping[tuple[str, str], Act]
"""By method and path of the OpenAPI file."""


class Rest:
    """Serves /api/v10."""

    def __init__(self, twin: FakeDiscord, acts: Acts) -> None:
        self.twin = twin
        self._acts = acts
        self.requests: list[Request] = []

    async def serve(self, incoming: web.Request) -> web.StreamResponse:
        """Answers one request."""
        request = await self._read(incoming)
        self.requests.append(request)
        self.twin.changes.tell()
        fault = self.twin.faults.take(request.method, request.path, request.template)
        if fault is not None and fault.gate is not None:
            await fault.gate.wait()
        if fault is not None and not fault.effect and fault.kind != "hold":
            return self._trouble(incoming, request, fault)
        status, body = self._answer(incoming, request)
        if fault is not None and fault.effect:
            return self._trouble(incoming, request, fault)
        return self._respond(request, status, body)

    async def _read(self, incoming: web.Request) -> Request:
        path = unquote(incoming.match_info["path"])
        where = place(incoming.match_info["path"]) or place(path)
        body, files = await _body(incoming)
        query = dict(incoming.query)
        kind = incoming.content_type if incoming.can_read_body else ""
        if self.twin.validate:
            self.twin.validation.check(incoming.method, path, where, query, body, kind)
        return Request(
            incoming.method,
            path,
            where.template if where else None,
            query,
            body,
            time.monotonic(),
            {name: unquote(value) for name, value in where.parameters.items()} if where else {},
            files,
            unquote(incoming.headers.get("X-Audit-Log-Reason", "")) or None,
        )

    def _answer(self, incoming: web.Request, request: Request) -> Answer:
        try:
            if not self._authorized(incoming, request):
                raise Refused(0)
            act = self._acts.get((request.method, request.template or ""))
            if act is None:
                self.twin.validation.violations.append(
                    f"{request.method} {request.path}: not built in the local Discord"
                )
                return 404, {"message": "404: Not Found", "code": 0}
            answer = act(self.twin, request)
        except Refused as refused:
            return refused.status, refused.body
        finally:
            self.twin.changes.tell()
        if self.twin.check_answers:
            self.twin.validation.check_answer(request.method, request.template or "", *answer)
        return answer

    def _authorized(self, incoming: web.Request, request: Request) -> bool:
        by_token = (request.template or "").startswith(("/interactions/", "/webhooks/{webhook_id}/{webhook_token}"))
        return by_token or incoming.headers.get("Authorization") == f"Bot {self.twin.token}"

    def _trouble(self, incoming: web.Request, request: Request, fault: Fault) -> web.Response:
        if fault.kind == "drop":
            if incoming.transport is not None:
                incoming.transport.abort()
            return web.Response(status=500)
        if fault.kind == "nonsense":
            request.status = fault.status
            return web.Response(body=fault.text.encode(), headers={"Content-Type": fault.content_type})
        if fault.kind == "refuse":
            refused = Refused(fault.code, status=fault.status or None)
            return self._respond(request, refused.status, refused.body)
        if fault.kind == "rate_limit":
            body = {
                "message": "You are being rate limited.",
                "retry_after": fault.retry_after,
                "global": fault.everywhere,
            }
            headers = {"Retry-After": str(max(1, round(fault.retry_after))), "Via": "1.1 google"}
            headers["X-RateLimit-Scope"] = "global" if fault.everywhere else "user"
            return self._respond(request, 429, body, headers)
        return self._respond(request, fault.status, {"message": f"{fault.status}: Internal Server Error", "code": 0})

    def _respond(
        self, request: Request, status: int, body: Any, headers: Mapping[str, str] | None = None
    ) -> web.Response:
        request.status = status
        self.twin.changes.tell()
        if body is None:
            return web.Response(status=status, headers=headers)
        response = web.Response(status=status, body=json.dumps(body, ensure_ascii=False).encode(), headers=headers)
        response.headers["Content-Type"] = "application/json"
        return response


async def _body(incoming: web.Request) -> tuple[Any, list[tuple[str, int]]]:
    if not incoming.can_read_body:
        return None, []
    if not incoming.content_type.startswith("multipart/"):
        text = await incoming.text()
        return (json.loads(text) if text else None), []
    body, files = None, []
    async for part in await incoming.multipart():
        assert isinstance(part, BodyPartReader)
        content = await part.read()
        if part.name == "payload_json":
            body = json.loads(content)
        else:
            files.append((part.filename or part.name or "file", len(content)))
    return body, files
