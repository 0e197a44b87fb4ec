"""Liveness, readiness and metrics, for monitoring. No channel or session is ever named."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from bot.core.unexpected import report_unexpected

CHECK_TIMEOUT = 5.0
"""Seconds that the readiness check may take; a probe that hangs says nothing."""

Members = Callable[[], Sequence[Mapping[str, object]]]
"""The processes that share the work, each in words that anybody may read: no machine, no address."""

Readiness = Callable[[], Awaitable[Mapping[str, str | None]]]


class Health:
    """The handlers of `/healthz`, `/readyz` and `/metrics`."""

    def __init__(self, readiness: Readiness, registry: CollectorRegistry, members: Members | None = None) -> None:
        self._readiness = readiness
        self._members = members
        self._registry = registry

    async def healthz(self, _request: web.Request) -> web.Response:
        """The process is up and its event loop runs."""
        return web.Response(text="ok\n")

    async def readyz(self, _request: web.Request) -> web.Response:
        """Each part that must work, `null` if it does, otherwise why not; 503 if any does not. Beside them `members`,
        who shares the work."""
        parts = await self._parts()
        ready = all(reason is None for reason in parts.values())
        told: dict[str, object] = {"ready": ready, "parts": parts}
        if self._members is not None:
            told["members"] = [dict(member) for member in self._members()]
        return web.json_response(told, status=200 if ready else 503)

    async def metrics(self, _request: web.Request) -> web.Response:
        """The registry in the text format of Prometheus."""
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _parts(self) -> dict[str, str | None]:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT):
                return dict(await self._readiness())
        except TimeoutError:
            return {"readiness": f"no answer within {CHECK_TIMEOUT:g} s"}
        except Exception as error:  # noqa: BLE001  the probe is a boundary: whatever is wrong, the answer is "not ready"
            report_unexpected("readiness_check_failed", error)
            return {"readiness": "the check itself failed; see the log"}
