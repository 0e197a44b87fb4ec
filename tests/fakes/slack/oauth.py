"""Installation by OAuth (docs.slack.dev, "Installing with OAuth"): the page that asks, and `oauth.v2.access`.

A code is good for one exchange within ten minutes; the client proves itself by Basic authentication or by arguments."""

from dataclasses import dataclass
from urllib.parse import urlencode

from aiohttp import web

from tests.fakes.slack.calling import Refusal
from tests.fakes.slack.people import People
from tests.fakes.slack.records import Enterprise, Payload, Team, User, new_id
from tests.fakes.slack.state import UserLike

LIFE = 600.0


@dataclass
class Grant:
    """A code that was handed out, for a workspace or an organisation."""

    place: Team | Enterprise
    user: User
    scopes: set[str]
    redirect_uri: str | None
    made: float
    used: bool = False


class OAuth:
    """Codes, and the tokens given for them."""

    def __init__(self, twin: People) -> None:
        self._twin = twin
        self._grants: dict[str, Grant] = {}
        self.installing: Team | None = None
        self.redirect_uri = ""
        """What the app's configuration names; used where the request names none."""

    def authorize(
        self, place: Team | Enterprise, user: UserLike, redirect_uri: str | None = None, scopes: str = ""
    ) -> str:
        """The person agrees; the code that Slack sends along to the redirect page."""
        asked = set(scopes.split(",")) - {""} or set(self._twin.scopes)
        code = new_id("code-")
        team = place if isinstance(place, Team) else place.granted[0]
        self._grants[code] = Grant(place, self._twin.user(user, team), asked, redirect_uri, self._twin.now())
        return code

    async def page(self, http: web.Request) -> web.Response:
        """`/oauth/v2/authorize`, where the person agrees at once. `team=` and `user=` choose who that is."""
        query = http.query
        target = query.get("redirect_uri") or self.redirect_uri
        if query.get("client_id") != self._twin.client_id or not target:
            return web.Response(status=400, text="invalid_client_id or no redirect_uri")
        places: dict[str, Team | Enterprise] = {**self._twin.teams, **self._twin.enterprises}
        place = places[query["team"]] if "team" in query else self.installing or self._twin.team
        team = place if isinstance(place, Team) else place.granted[0]
        people = [user for user in self._twin.users.values() if user.team is team and not user.is_bot]
        person = query.get("user") or (people[0] if people else self._twin.add_user("installer", team=team))
        code = self.authorize(place, person, query.get("redirect_uri"), query.get("scope", ""))
        back = urlencode({"code": code, "state": query.get("state", "")})
        raise web.HTTPFound(f"{target}?{back}")

    def exchange(self, args: Payload) -> Payload:
        """`oauth.v2.access`."""
        if args.get("client_id") != self._twin.client_id:
            raise Refusal("invalid_client_id")
        if args.get("client_secret") != self._twin.client_secret:
            raise Refusal("bad_client_secret")
        grant = self._grants.get(str(args.get("code")))
        if grant is None or self._twin.now() - grant.made > LIFE:
            raise Refusal("invalid_code")
        if grant.used:
            raise Refusal("code_already_used")
        if grant.redirect_uri is not None and args.get("redirect_uri") != grant.redirect_uri:
            raise Refusal("bad_redirect_uri")
        grant.used = True
        token, place = self._twin.install(grant.place), grant.place
        installation = place.own if isinstance(place, Team) else place.installation
        installation.scopes = set(grant.scopes)
        enterprise = place.enterprise if isinstance(place, Team) else place
        return {
            "app_id": self._twin.app_id,
            "authed_user": {"id": grant.user.id},
            "scope": ",".join(sorted(grant.scopes)),
            "token_type": "bot",
            "access_token": token,
            "bot_user_id": installation.bot.id,
            "team": {"id": place.id, "name": place.name} if isinstance(place, Team) else None,
            "enterprise": enterprise.shown() if enterprise is not None else None,
            "is_enterprise_install": not isinstance(place, Team),
        }
