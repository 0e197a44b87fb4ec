"""Lets one call meet its fault: what the caller gets, and whether the call takes effect first."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from tests.fakes.slack.clock import Clock
from tests.fakes.slack.faults import Dropped, Fault, Garbage, Held, RateLimited, Refused, ServerError, Slow
from tests.fakes.slack.records import Request


async def meet(
    http: web.Request,
    fault: Fault | None,
    request: Request,
    take_effect: Callable[[], Awaitable[web.Response]],
    clock: Clock,
) -> web.Response:
    """Answer a call under this fault; `take_effect` does what was asked and gives the true answer."""
    match fault:
        case RateLimited(seconds):
            request.error = "ratelimited"
            refused = {"ok": False, "error": "ratelimited"}
            return web.json_response(refused, status=429, headers={"Retry-After": str(seconds)})
        case Refused(error):
            request.error = error
            return web.json_response({"ok": False, "error": error})
        case ServerError(after_effect):
            if after_effect:
                await take_effect()
            request.error = "500"
            return web.Response(status=500, text="<html>Server Error</html>", content_type="text/html")
        case Dropped(after_effect):
            if after_effect:
                await take_effect()
            request.error = "dropped"
            assert http.transport is not None
            http.transport.abort()
            return web.Response()
        case Garbage(text):
            await take_effect()
            return web.Response(text=text, content_type="application/json")
        case Slow(seconds):
            await clock.sleep(seconds)
        case Held():
            clock.ring()
            await fault.wait()
    return await take_effect()
