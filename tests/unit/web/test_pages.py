"""Pages over real HTTP: the right page, the right status, the same headers everywhere."""

import errno
import re
from html.parser import HTMLParser

import aiohttp
import pytest
from yarl import URL

from adapters.web.headers import SecurityHeaders, room_sources
from bot.core.errors import ProviderError, StoreUnavailable
from bot.core.models import RoomAccess
from tests.harness.clock import ManualClock
from tests.unit.web.fixtures import CHANNEL, NONCE, Watching


class Scripts(HTMLParser):
    """Collects what a strict policy forbids, and every address a page loads."""

    def __init__(self) -> None:
        super().__init__()
        self.forbidden: list[str] = []
        self.loads: list[str] = []
        self._inside_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self._inside_script = tag == "script"
        self.forbidden += [name for name in names if name.startswith("on") or name == "style"]
        if tag == "style" or (tag == "script" and not names.get("src")):
            self.forbidden.append(f"<{tag}>")
        self.loads += [names[key] or "" for key in ("src", "href") if key in names and tag in ("script", "link", "img")]

    def handle_endtag(self, tag: str) -> None:
        self._inside_script = False

    def handle_data(self, data: str) -> None:
        if self._inside_script and data.strip():
            self.forbidden.append(data)


async def page(client: aiohttp.ClientSession, url: str) -> tuple[int, str]:
    async with client.get(url) as response:
        assert response.content_type == "text/html"
        return response.status, await response.text()


async def test_a_good_link_opens_the_watch_page(watching: Watching, client: aiohttp.ClientSession) -> None:
    status, html = await page(client, watching.page)
    assert status == 200
    assert '<video id="video"' in html
    assert 'name="robots" content="noindex' in html


async def test_the_page_of_an_ended_session_is_still_a_page(watching: Watching, client: aiohttp.ClientSession) -> None:
    watching.change(ended="Stopped with the command.")
    assert (await page(client, watching.page))[0] == 200


@pytest.mark.parametrize("signed", ["x", "a.b.c", "%00", "x" * 3000, "..%2f..%2fetc"])
async def test_a_forged_link_leads_nowhere_and_says_so(
    watching: Watching, client: aiohttp.ClientSession, signed: str
) -> None:
    status, html = await page(client, f"{watching.base}/w/{signed}")
    assert status == 404
    assert "This link does not work" in html
    assert watching.lookup.asked == 0


async def test_an_expired_link_says_so(watching: Watching, client: aiohttp.ClientSession, clock: ManualClock) -> None:
    url = watching.page
    await clock.advance(2 * 3600)
    status, html = await page(client, url)
    assert status == 410
    assert "This link has expired" in html


async def test_a_revoked_link_says_so(watching: Watching, client: aiohttp.ClientSession) -> None:
    watching.revoke()
    status, html = await page(client, watching.page)
    assert status == 410
    assert "This link is no longer valid" in html


@pytest.mark.parametrize("path", ["/", "/nothing/here", "/w/", "/w/a/b/c", "/static/x", "/static/x/../../../secrets"])
async def test_everything_else_is_a_friendly_page(watching: Watching, client: aiohttp.ClientSession, path: str) -> None:
    status, html = await page(client, watching.base + path)
    assert status == 404
    assert "There is nothing here" in html


async def test_a_page_cannot_be_posted_to(watching: Watching, client: aiohttp.ClientSession) -> None:
    async with client.post(watching.page, data=b"x") as response:
        assert response.status == 405
        assert response.content_type == "text/html"


async def test_a_store_that_is_down_is_told_as_such(watching: Watching, client: aiohttp.ClientSession) -> None:
    watching.lookup.failure = StoreUnavailable("locked at /secret/place")
    status, html = await page(client, watching.page)
    assert status == 503
    assert "Wait a moment" in html
    assert "/secret/place" not in html


async def test_a_mistake_of_ours_shows_a_reference_and_nothing_of_the_inside(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    watching.lookup.failure = RuntimeError("inner workings")
    status, html = await page(client, watching.page)
    assert status == 500
    assert re.search(r"tell the operator: [2-9a-z]{8}", html)
    assert "inner workings" not in html


async def test_nothing_of_the_session_is_in_the_page_source(watching: Watching, client: aiohttp.ClientSession) -> None:
    _, html = await page(client, watching.page)
    for secret in (NONCE, watching.signed, CHANNEL.id, watching.view.session_id):
        assert secret not in html


async def test_no_page_has_inline_script_or_style_and_all_it_loads_is_there(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    for url in (watching.page, f"{watching.base}/", f"{watching.base}/deep/down/here"):
        async with client.get(url) as response:
            scripts = Scripts()
            scripts.feed(await response.text())
            assert scripts.forbidden == []
            assert scripts.loads
            for address in scripts.loads:
                async with client.get(response.url.join(URL(address))) as asset:
                    assert asset.status == 200, address
                    assert asset.headers["Cache-Control"] == "public, max-age=31536000, immutable"


async def test_before_the_player_less_than_a_quarter_megabyte_of_script_is_loaded(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    async with client.get(watching.page) as response:
        scripts = Scripts()
        scripts.feed(await response.text())
        total = 0
        for address in scripts.loads:
            async with client.get(response.url.join(URL(address))) as asset:
                total += len(await asset.read())
    assert total < 250_000
    assert not any("vendor" in address for address in scripts.loads)


async def test_an_asset_of_another_version_is_served_but_not_kept(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    async with client.get(f"{watching.base}/static/0123456789ab/watch.js") as response:
        assert response.status == 200
        assert response.content_type == "text/javascript"
        assert response.headers["Cache-Control"] == "no-cache"


async def test_assets_are_the_same_packed_and_unpacked(watching: Watching, client: aiohttp.ClientSession) -> None:
    url = f"{watching.base}/static/x/watch.css"
    async with client.get(url, headers={"Accept-Encoding": "gzip"}) as packed:
        assert packed.headers["Content-Encoding"] == "gzip"
        first = await packed.read()
    async with client.get(url, headers={"Accept-Encoding": "identity"}) as plain:
        assert "Content-Encoding" not in plain.headers
        assert await plain.read() == first


ROUTES = ["/w/{signed}", "/w/forged", "/w/{signed}/live", "/static/x/watch.js", "/static/x/none", "/healthz", "/readyz"]
ROUTES += ["/metrics", "/nothing", "/w/{signed}/media/a-picture/index.m3u8"]


@pytest.mark.parametrize("path", ROUTES)
async def test_every_answer_carries_the_security_headers(
    watching: Watching, client: aiohttp.ClientSession, path: str
) -> None:
    async with client.get(watching.base + path.format(signed=watching.signed)) as response:
        policy = dict(part.partition(" ")[::2] for part in response.headers["Content-Security-Policy"].split("; "))
        host = watching.base.removeprefix("http://")
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert policy["connect-src"].split() == ["'self'", f"ws://{host}", f"wss://{host}", "https:"]
        assert policy["media-src"].split() == ["'self'", "blob:", "https:"]
        assert policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
        assert "unsafe" not in str(policy)
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert response.headers["X-Robots-Tag"].startswith("noindex")
        assert "camera=(), microphone=()" in response.headers["Permissions-Policy"]
        assert "aiohttp" not in response.headers["Server"].lower()
        if not path.startswith("/static/x/watch"):
            assert response.headers["Cache-Control"] == "no-store"


def test_a_host_header_cannot_write_the_policy() -> None:
    headers = SecurityHeaders(["https:"], [])
    assert "evil" not in headers.policy("x; script-src evil")
    assert "ws://[::1]:8080" in headers.policy("[::1]:8080")


@pytest.mark.parametrize("source", ["https: 'unsafe-inline'", "https:; script-src *", "", "'unsafe-eval'"])
def test_a_source_is_a_single_harmless_expression(source: str) -> None:
    with pytest.raises(ValueError, match="single source"):
        SecurityHeaders([source], [])
    with pytest.raises(ValueError, match="single source"):
        SecurityHeaders([], [source])


def test_a_page_that_plays_from_here_reaches_no_other_host() -> None:
    policy = SecurityHeaders([], ["http://127.0.0.1:43211"]).policy("watch.example")
    rules = dict(part.partition(" ")[::2] for part in policy.split("; "))
    assert rules["connect-src"].split() == ["'self'", "ws://watch.example", "wss://watch.example"]
    assert rules["media-src"].split() == ["'self'", "blob:"]
    assert rules["img-src"].split() == ["'self'", "https:", "http://127.0.0.1:43211"]


async def test_a_port_in_use_is_an_os_error_that_says_which(watching: Watching) -> None:
    other = Watching(watching.clock, port=int(watching.base.rsplit(":", 1)[1]))
    with pytest.raises(OSError) as caught:
        await other.start()
    assert caught.value.errno == errno.EADDRINUSE
    await other.stop()


async def test_a_server_stops_twice_without_complaint(watching: Watching) -> None:
    await watching.stop()
    await watching.stop()


async def test_further_routes_can_be_added_before_the_start(clock: ManualClock, client: aiohttp.ClientSession) -> None:
    from aiohttp import web

    async def take(request: web.Request) -> web.Response:
        return web.json_response({"took": await request.text()})

    watching = Watching(clock)
    watching.server.app.add_routes([web.post("/slack/events", take)])
    await watching.start()
    async with client.post(f"{watching.base}/slack/events", data="hello") as response:
        assert await response.json() == {"took": "hello"}
    await watching.stop()


async def test_the_page_of_a_room_may_join_at_exactly_that_host_and_does_not_show_the_token(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    watching.open_room(RoomAccess("upstream-42", "wss://rooms.example:7443", "a-secret-token"))
    async with client.get(watching.page) as response:
        policy = dict(part.partition(" ")[::2] for part in response.headers["Content-Security-Policy"].split("; "))
        named = {source for source in policy["connect-src"].split() if "rooms" in source}
        html = await response.text()
        assert named == {"wss://rooms.example:7443", "https://rooms.example:7443"}
        assert 'data-rooms="wss://rooms.example:7443 https://rooms.example:7443"' in html
        assert "a-secret-token" not in html + str(response.headers)
        assert "upstream-42" not in html
    async with client.get(f"{watching.base}/nothing") as other:
        assert "rooms.example" not in other.headers["Content-Security-Policy"]


async def test_a_page_without_a_room_names_none(watching: Watching, client: aiohttp.ClientSession) -> None:
    watching.open_room(RoomAccess("upstream-42", "wss://rooms.example", "token"))
    watching.change(hls_url="https://media.example/a.m3u8")
    async with client.get(watching.page) as response:
        assert 'data-rooms=""' in await response.text()


async def test_a_room_that_cannot_be_looked_up_does_not_keep_the_page_away(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    watching.open_room(RoomAccess("upstream-42", "wss://rooms.example", "token"))
    watching.lookup.closed_door = ProviderError("the stage is dark")
    async with client.get(watching.page) as response:
        assert response.status == 200
        assert 'data-rooms=""' in await response.text()


@pytest.mark.parametrize("url", ["", "file:///etc", "wss://a b", "wss://a; script-src *", "wss://user@host", "wss://"])
def test_an_address_that_is_no_host_gets_into_no_policy(url: str) -> None:
    assert room_sources(url) == ()
