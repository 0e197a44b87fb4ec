"""What operators' machines read."""

import aiohttp

from tests.unit.web.fixtures import CHANNEL, Watching


async def test_healthz_says_ok(watching: Watching, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{watching.base}/healthz") as response:
        assert response.status == 200
        assert await response.text() == "ok\n"


async def test_readyz_is_green_when_every_part_is(watching: Watching, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{watching.base}/readyz") as response:
        assert response.status == 200
        assert await response.json() == {"ready": True, "parts": {"store": None}}


async def test_readyz_says_which_part_is_red(watching: Watching, client: aiohttp.ClientSession) -> None:
    watching.readiness["provider"] = "no answer"
    async with client.get(f"{watching.base}/readyz") as response:
        assert response.status == 503
        assert await response.json() == {"ready": False, "parts": {"store": None, "provider": "no answer"}}


async def test_a_readiness_check_that_breaks_is_not_ready(watching: Watching, client: aiohttp.ClientSession) -> None:
    watching.readiness = None  # type: ignore[assignment]  # the check cannot be read
    async with client.get(f"{watching.base}/readyz") as response:
        assert response.status == 503
        assert "see the log" in await response.text()


async def test_metrics_count_requests_by_route_and_name_nobody(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    for url in (watching.page, f"{watching.base}/w/forged", f"{watching.base}/no/such/place"):
        async with client.get(url):
            pass
    async with client.get(f"{watching.base}/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        text = await response.text()
    assert 'avatar_relay_web_requests_total{route="/w/{signed}",status="200"} 1.0' in text
    assert 'avatar_relay_web_requests_total{route="none",status="404"} 1.0' in text
    assert "avatar_relay_web_viewers 0.0" in text
    for secret in (CHANNEL.id, watching.signed, watching.view.session_id, "such/place"):
        assert secret not in text


async def test_the_next_server_of_the_process_counts_under_the_same_names(
    watching: Watching, client: aiohttp.ClientSession
) -> None:
    await watching.stop()
    watching.server = watching.make_server()
    await watching.start()
    async with client.get(f"{watching.base}/metrics") as response:
        assert "avatar_relay_web_viewers 0.0" in await response.text()
