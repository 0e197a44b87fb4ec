"""`FakeSlack`: the local Slack as one server, and all that a test does with it. The package docstring lists it."""

import asyncio
from types import TracebackType
from typing import Literal, Self

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.fakes.slack.catalogue import APP_SCOPES
from tests.fakes.slack.delivery import Timing
from tests.fakes.slack.http_delivery import Answer, HttpDelivery, Malformed
from tests.fakes.slack.interactions import Interactions
from tests.fakes.slack.oauth import OAuth
from tests.fakes.slack.people import People
from tests.fakes.slack.records import Enterprise, Payload, Team
from tests.fakes.slack.responses import Responses
from tests.fakes.slack.socket_mode import Connection, SocketMode
from tests.fakes.slack.state import UserLike
from tests.fakes.slack.web_api import WebApi

Mode = Literal["socket", "http"]


class FakeSlack(People, Interactions):
    """A Slack for one app, on a port of its own, from `async with` to its end."""

    def __init__(
        self,
        *,
        timing: Timing | None = None,
        mode: Mode = "socket",
        request_url: str | None = None,
        bot_name: str = "Avatar",
        manifest: Payload | None = None,
        validate: bool = True,
        host: str = "127.0.0.1",
    ) -> None:
        """`manifest`: the app manifest to go by; without one the app may do everything this Slack knows. `validate`:
        check calls against Slack's schemas; off where a benchmark measures, a check takes milliseconds. `host`: the
        address of this machine to listen at."""
        super().__init__(timing=timing or Timing(), bot_name=bot_name)
        self.mode: str = mode
        self.validate = validate
        self._host = host
        self.url = ""
        self.responses = Responses(self)
        self.socket: SocketMode = SocketMode(self, self.responses)
        self.http: HttpDelivery = HttpDelivery(self, self.responses)
        self.http.request_url = request_url
        self._oauth = OAuth(self)
        self._runner: web.AppRunner | None = None
        if manifest is not None:
            self.configure(manifest)

    @property
    def api_url(self) -> str:
        """The base URL of the Web API, with its last slash."""
        return f"{self.url}api/"

    @property
    def request_url(self) -> str | None:
        """Where HTTP mode sends what happens."""
        return self.http.request_url

    @request_url.setter
    def request_url(self, url: str) -> None:
        self.http.request_url = url

    @property
    def installing(self) -> Team | None:
        """The workspace for which `/oauth/v2/authorize` installs where the request does not say."""
        return self._oauth.installing

    @installing.setter
    def installing(self, team: Team) -> None:
        self._oauth.installing = team

    @property
    def oauth_redirect_url(self) -> str:
        """Where `/oauth/v2/authorize` leads if the request names no `redirect_uri`; set by `configure`, too."""
        return self._oauth.redirect_uri

    @oauth_redirect_url.setter
    def oauth_redirect_url(self, url: str) -> None:
        self._oauth.redirect_uri = url

    @property
    def connections(self) -> list[Connection]:
        """The sockets that are open now, oldest first."""
        return [connection for connection in self.socket.sockets if not connection.closed]

    def configure(self, manifest: Payload) -> None:
        """Go by this app manifest: scopes of the bot, event subscriptions, commands, mode, request and redirect URL."""
        self.scopes = set(manifest["oauth_config"]["scopes"]["bot"])
        settings, features = manifest.get("settings", {}), manifest.get("features", {})
        subscribed = settings.get("event_subscriptions", {})
        self.subscriptions = set(subscribed.get("bot_events", []))
        self.commands = {
            command["command"]: bool(command.get("should_escape")) for command in features.get("slash_commands", [])
        }
        self.mode = "socket" if settings.get("socket_mode_enabled") else "http"
        self.http.request_url = subscribed.get("request_url", self.http.request_url)
        self._oauth.redirect_uri = next(iter(manifest["oauth_config"].get("redirect_urls", [])), "")
        for team in self.teams.values():
            team.scopes = set(self.scopes) if team.installed else team.scopes
        assert not self.scopes & APP_SCOPES, "an app-level scope is not a bot scope"

    async def __aenter__(self) -> Self:
        application = web.Application(middlewares=[self._confess])
        api = WebApi(self, self.socket, self._oauth)
        application.router.add_route("*", "/api/{method}", api.handle)
        application.router.add_get("/link/", self.socket.handle)
        application.router.add_post("/response/{name}", self.responses.handle)
        application.router.add_get("/oauth/v2/authorize", self._oauth.page)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = self.responses.base = self.socket.base = f"http://{host}:{port}/"
        await self.http.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.owner.close()
        await self.socket.close()
        await self.http.close()
        assert self._runner is not None
        await self._runner.cleanup()
        for _ in range(3):
            await asyncio.sleep(0)  # a transport that was aborted or closed ends in a later round of the loop

    @web.middleware
    async def _confess(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """A mistake of the twin itself fails the test, too."""
        try:
            return await handler(request)
        except web.HTTPException:
            raise
        except Exception as error:
            self.violation(f"the twin broke at {request.path}: {error!r}")
            raise

    def authorize(self, team: Team | Enterprise, user: UserLike, redirect_uri: str | None = None) -> str:
        """A person agrees to install the app; the code that their browser brings to the redirect page."""
        return self._oauth.authorize(team, user, redirect_uri)

    async def verify_url(self) -> Answer:
        """Slack checks the request URL with a challenge."""
        return await self.http.verify_url()

    async def send_forged(self, event: Payload | None = None) -> Answer:
        """A request signed with another secret."""
        return await self.http.send_forged(event)

    async def send_old(self, event: Payload | None = None) -> Answer:
        """A true request from ten minutes ago."""
        return await self.http.send_old(event)

    async def send_unsigned(self, event: Payload | None = None) -> Answer:
        """A request without signature and timestamp."""
        return await self.http.send_unsigned(event)

    async def send_malformed(self, what: Malformed = "timestamp", event: Payload | None = None) -> Answer:
        """A request that is wrong in one place: its timestamp, its signature or its body."""
        return await self.http.send_malformed(what, event)
