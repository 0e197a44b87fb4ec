"""The LiveAvatar API as one thing for the server: its paths, and the rate limit in front of every one of them."""

import re
from collections.abc import Mapping

from aiohttp import web

from adapters.simulator.accounts import bearer_of
from adapters.simulator.liveavatar.api import LiveAvatarApi
from adapters.simulator.liveavatar.catalogue import Contexts, LiveAvatarCatalogue
from adapters.simulator.liveavatar.rate_limit import RateLimit
from adapters.simulator.liveavatar.wire import refusal
from adapters.simulator.service import Service
from adapters.simulator.wire import Handler, Refused

PATHS = ("/v1/sessions", "/v1/avatars", "/v1/voices", "/v1/languages", "/v1/users/", "/v1/contexts")
"""What the paths of this API begin with."""

_SESSION = re.compile(r"/v1/sessions/([^/]+)(?:/([a-z]+))?")
_CONTEXT = re.compile(r"/v1/contexts/([^/]+)(/)?")


class LiveAvatar:
    """`routes` are the paths without an id; `patterns` those with one, by method and what comes after the id."""

    def __init__(self, service: Service) -> None:
        contexts = Contexts()
        api, catalogue = LiveAvatarApi(service, contexts), LiveAvatarCatalogue(service, contexts)
        self._rate = RateLimit(service.clock, service.options.liveavatar_rate)
        self.routes: dict[tuple[str, str], Handler] = {
            (method, path): self._limited(handler, f"{method} {path}")
            for (method, path), handler in {**api.routes, **catalogue.routes}.items()
        }
        self.patterns: tuple[tuple[re.Pattern[str], Mapping[tuple[str, str], Handler]], ...] = (
            (_SESSION, self._with_id("/v1/sessions/", api.session_routes)),
            (_CONTEXT, self._with_id("/v1/contexts/", catalogue.context_routes)),
        )

    def _with_id(self, path: str, routes: Mapping[tuple[str, str], Handler]) -> dict[tuple[str, str], Handler]:
        """Ids in a path share one counter."""
        return {
            (method, rest): self._limited(handler, f"{method} {path}{{id}}/{rest}")
            for (method, rest), handler in routes.items()
        }

    def _limited(self, handler: Handler, endpoint: str) -> Handler:
        async def answer(request: web.BaseRequest, id_in_path: str) -> web.StreamResponse:
            caller = request.headers.get("X-API-KEY") or bearer_of(request) or request.remote or ""
            window = self._rate.count(caller, endpoint)
            if window.is_over:
                raise refusal("Too many requests", 429, headers=window.headers())
            try:
                response = await handler(request, id_in_path)
            except Refused as refused:
                raise Refused(refused.status, refused.body, {**(refused.headers or {}), **window.headers()}) from None
            response.headers.update(window.headers())
            return response

        return answer
