"""What the relay may fetch: from whom, how much, for how long. Everything over real connections on this machine."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web

from adapters.media.relay.syntax import ByteRange
from adapters.media.relay.upstream import MAX_REDIRECTS, Bounds, Upstream
from bot.core.errors import PictureUnavailable
from tests.fakes.proxy import FakeProxy
from tests.unit.media.provider import Provider, announce_two_gigabytes, go_on_forever, lead_to, stall

BOUNDS = Bounds(1 << 20, 5.0)
REAL = "https://api.provider.example"


@pytest_asyncio.fixture
async def abroad() -> AsyncIterator[Upstream]:
    """The way to a provider on the internet."""
    async with Upstream(REAL) as upstream:
        yield upstream


async def why_not(upstream: Upstream, url: str, bounds: Bounds = BOUNDS, byte_range: ByteRange | None = None) -> str:
    with pytest.raises(PictureUnavailable) as failure:
        await upstream.get(url, bounds, byte_range)
    assert "secret" not in str(failure.value)
    return str(failure.value)


async def test_a_file_comes_without_a_key_or_a_cookie_of_ours(upstream: Upstream, provider: Provider) -> None:
    provider.files["/a"] = b"body"
    download = await upstream.get(f"{provider.url}/a?token=secret", BOUNDS)
    assert download is not None
    assert (download.body, download.url) == (b"body", f"{provider.url}/a?token=secret")
    assert {name.lower() for name in provider.headers[0]} == {"host", "accept", "accept-encoding", "user-agent"}


@pytest.mark.parametrize("status", [404, 410])
async def test_what_the_provider_does_not_have_is_none(upstream: Upstream, provider: Provider, status: int) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    provider.answers["/a"] = answer
    assert await upstream.get(f"{provider.url}/a", BOUNDS) is None


@pytest.mark.parametrize("status", [204, 206, 304, 401, 403, 429, 500, 503])
async def test_other_answers_are_no_file(upstream: Upstream, provider: Provider, status: int) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status)

    provider.answers["/a"] = answer
    assert await why_not(upstream, f"{provider.url}/a?secret") == f"127.0.0.1 answers {status}"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://files.example/a",
        "data:text/plain,secret",
        "javascript:alert(1)",
        "//cdn.example/a",
        "/etc/passwd",
        "",
        "https://",
        "https://user:secret@cdn.example/a",
        "http://[::1",
        "http://cdn.example/" + "a" * 5000,
    ],
)
async def test_other_kinds_of_address_are_refused(upstream: Upstream, url: str) -> None:
    assert "address" in await why_not(upstream, url)


async def test_a_provider_on_the_internet_is_asked_over_https_alone(abroad: Upstream, provider: Provider) -> None:
    assert "does not begin" not in await why_not(abroad, f"{provider.url}/a")
    assert await why_not(abroad, "http://cdn.example/a") == "cdn.example is not at an address that begins with https://"
    assert not provider.requests


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "[::1]",
        "10.0.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::a9fe:a9fe]",
        "[fe80::1]",
        "localhost",  # a name that answers with this machine, as one of an attacker may
        "0x7f000001",  # which a resolver takes for it
    ],
)
async def test_from_the_internet_nothing_leads_into_our_networks(abroad: Upstream, host: str) -> None:
    assert "is at an address that is not allowed" in await why_not(abroad, f"https://{host}:9/a")


@pytest.mark.parametrize("host", ["2130706433", "127.1", "127.0.0.1.", "0177.0.0.1"])
async def test_figures_that_only_some_take_for_an_address_lead_nowhere(
    upstream: Upstream, provider: Provider, host: str
) -> None:
    provider.files["/a"] = b"body"
    port = provider.url.rpartition(":")[2]
    await why_not(upstream, f"http://{host}:{port}/a")
    assert not provider.requests


@pytest.mark.parametrize("host", ["10.0.0.1", "169.254.169.254", "[fd00::1]", "[::ffff:192.168.0.1]"])
async def test_a_proxy_is_not_asked_for_addresses_in_figures(
    abroad: Upstream, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    async with FakeProxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        assert "is at an address that is not allowed" in await why_not(abroad, f"https://{host}/a")
        assert proxy.hosts == []
        # A proxy of this machine is one that may be connected to; what it leads to is its own business.
        await why_not(abroad, "https://cdn.invalid/a")
        assert set(proxy.hosts) == {"cdn.invalid"}


async def test_a_provider_of_this_machine_leads_to_this_machine_and_the_internet_alone(upstream: Upstream) -> None:
    for host in ("10.0.0.1", "169.254.169.254", "192.168.0.1", "0.0.0.0"):
        assert "is at an address that is not allowed" in await why_not(upstream, f"http://{host}:9/a")


async def test_redirects_are_looked_at_like_addresses(upstream: Upstream, provider: Provider) -> None:
    provider.files["/there/a"] = b"body"
    provider.answers["/a"] = lead_to("/there/a?token=secret")
    download = await upstream.get(f"{provider.url}/a", BOUNDS)
    assert download is not None
    assert download.url == f"{provider.url}/there/a?token=secret"
    for target in ("file:///etc/passwd?secret", "http://169.254.169.254/secret", "ftp://a", "http://[", ""):
        provider.answers["/a"] = lead_to(target)
        await why_not(upstream, f"{provider.url}/a")


async def test_redirects_end(upstream: Upstream, provider: Provider) -> None:
    provider.answers["/a"] = lead_to("/a")
    assert await why_not(upstream, f"{provider.url}/a") == "127.0.0.1 leads from one address to the next"
    assert provider.requests["/a"] == MAX_REDIRECTS + 1


async def test_what_is_too_large_is_cut_off(upstream: Upstream, provider: Provider) -> None:
    for answer in (announce_two_gigabytes, go_on_forever):
        provider.answers["/a"] = answer
        assert await why_not(upstream, f"{provider.url}/a") == "127.0.0.1 is larger than it may be"
    provider.files["/b"] = bytes(BOUNDS.size)
    assert (await upstream.get(f"{provider.url}/b", BOUNDS)) is not None
    assert await why_not(upstream, f"{provider.url}/b", Bounds(BOUNDS.size - 1, 5.0)) != ""


async def test_what_is_too_slow_is_cut_off(upstream: Upstream, provider: Provider) -> None:
    provider.answers["/a"] = stall
    assert await why_not(upstream, f"{provider.url}/a", Bounds(100, 0.05)) == "127.0.0.1 does not answer in time"


async def test_what_is_packed_is_refused(upstream: Upstream, provider: Provider) -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})

    provider.answers["/a"] = answer
    assert "is packed" in await why_not(upstream, f"{provider.url}/a")


async def test_a_range_is_asked_for_and_nothing_else_taken(upstream: Upstream, provider: Provider) -> None:
    whole = b"0123456789"

    async def answer(request: web.Request) -> web.StreamResponse:
        asked = request.http_range
        return web.Response(status=206, body=whole[asked])

    provider.answers["/a"] = answer
    download = await upstream.get(f"{provider.url}/a", BOUNDS, ByteRange(4, 2))
    assert download is not None
    assert download.body == b"2345"
    assert "cut short" in await why_not(upstream, f"{provider.url}/a", BOUNDS, ByteRange(20, 2))
    provider.files["/b"] = whole
    assert await why_not(upstream, f"{provider.url}/b", BOUNDS, ByteRange(4, 2)) == "127.0.0.1 answers 200"
    assert "larger" in await why_not(upstream, f"{provider.url}/a", BOUNDS, ByteRange(BOUNDS.size + 1, 0))


async def test_nobody_there_is_told_as_what_it_is(upstream: Upstream) -> None:
    assert "127.0.0.1 cannot be reached" in await why_not(upstream, "http://127.0.0.1:9/secret")
