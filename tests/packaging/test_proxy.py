"""The Caddy site of docs/watching.md as it stands there, in front of the program: the page and its WebSocket reach a
browser over HTTPS, the stream beside it plays, and the metrics stay inside. And that of compose.yaml, before two.

Caddy's own certificates take the place of those it would get for a real name; ports are ones that are free here.
Without `caddy` on the PATH the test is left out with a line that says so, unless `--require=caddy` asks for a failure
instead.
"""

import asyncio
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import async_playwright

from adapters.chat.slack.manifest import manifest_of
from tests import options
from tests.browser.conftest import ARGUMENTS
from tests.browser.visit import Visit
from tests.fakes.slack import FakeSlack
from tests.harness.ports import free_port
from tests.packaging.conftest import ROOT
from tests.packaging.started import PATIENCE, Started
from tests.platforms.running_bot import settings_with

pytestmark = [pytest.mark.slow, pytest.mark.browser]

GUIDE = (ROOT / "docs/watching.md").read_text(encoding="utf-8")
HOST = "avatar.example.com"
BOT = "127.0.0.1:8080"

OF_THIS_MACHINE = """{{
    admin off
    local_certs
    skip_install_trust
    auto_https disable_redirects
    https_port {port}
    storage file_system {folder}
}}
"""
"""What stands above the site here: nothing of it changes what the site does with a request."""


@contextmanager
def caddy(binary: str, folder: Path, places: Mapping[str, str]) -> Iterator[int]:
    """Caddy with the site of the documentation that leads to these addresses, each with the one that takes its place
    here; where it listens with HTTPS."""
    sites = re.findall(r"^```caddy\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    (site,) = (site for site in sites if set(re.findall(r"127\.0\.0\.1:\d+", site)) == set(places))
    assert HOST in site
    with serving(binary, folder, site, places) as port:
        yield port


@contextmanager
def serving(binary: str, folder: Path, site: str, places: Mapping[str, str], **environment: str) -> Iterator[int]:
    """Caddy with a site, its addresses replaced by those that take their place here."""
    port = free_port()
    for documented, here in places.items():
        assert documented in site
        site = site.replace(documented, here)
    file = folder / "Caddyfile"
    file.write_text(OF_THIS_MACHINE.format(port=port, folder=folder / "caddy") + site, encoding="utf-8")
    command = [binary, "run", "--config", str(file), "--adapter", "caddyfile"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)} | environment
    with Started(command, folder, environment) as started:
        started.until(lambda output: "serving initial configuration" in output)
        yield port
        assert started.terminate() == 0


@contextmanager
def bot(folder: Path, port: int) -> Iterator[str]:
    """The program with its simulator, behind the address of the documentation; and the watch link of a session."""
    settings = {
        "AVATAR_PROVIDER": "simulator",
        "AVATAR_GREETING": "Good morning, everybody. " * 20,
        "WEB_PORT": str(port),
        "WEB_PUBLIC_URL": f"https://{HOST}",
        # It speaks before anybody can be seen to watch.
        "SESSION_NEEDS_VIEWER": "never",
    }
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(ROOT)} | settings
    with Started([sys.executable, "-m", "bot", "run", "--console"], folder, environment) as started:
        started.type("/avatar start")
        started.until(lambda output: "is live" in output)
        found = re.search(rf"https://{re.escape(HOST)}/w/\S+", started.output)
        assert found is not None, started.output
        yield found[0].rstrip(".,)")
        assert started.terminate() == 0


async def test_page_behind_caddy_plays_with_captions_and_the_metrics_stay_inside(
    pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    chromium, binary = options.program(pytestconfig, "browser"), options.program(pytestconfig, "caddy")
    bot_port = free_port()
    with caddy(binary, tmp_path, {BOT: f"127.0.0.1:{bot_port}"}) as port, bot(tmp_path, bot_port) as link:
        async with async_playwright() as playwright:
            mapped = f"--host-resolver-rules=MAP {HOST}:443 127.0.0.1:{port}"
            browser = await playwright.chromium.launch(executable_path=chromium, args=[*ARGUMENTS, mapped])
            visit = await Visit.open(browser, link, ignore_https_errors=True)
            await visit.until_playing()
            await visit.until("document.getElementById('captions').textContent.includes('morning')")
            assert await visit.ask("[document.body.dataset.state, location.protocol]") == ["live", "https:"]
            assert visit.sockets == 1
            assert await visit.ask("fetch('/healthz').then((answer) => answer.status)") == 200
            visit.expect("404")
            visit.expect("Mixed Content")  # the simulator's avatar has its picture on this machine, without HTTPS
            assert await visit.ask("fetch('/metrics').then((answer) => answer.status)") == 404
            await visit.close()
            await browser.close()
        assert visit.unexpected() == []


@pytest.mark.postgres
async def test_pages_of_several_bots_are_there_while_one_of_them_is(
    pytestconfig: pytest.Config, tmp_path: Path, new_postgres_url: Callable[[], str]
) -> None:
    binary = options.program(pytestconfig, "caddy")
    ports, url = [free_port(), free_port()], await asyncio.to_thread(new_postgres_url)
    site = (ROOT / "deploy/caddy/Caddyfile").read_text(encoding="utf-8")
    places = {f"bot-{number}:8080": f"127.0.0.1:{port}" for number, port in enumerate(ports, 1)}
    async with FakeSlack() as slack:
        slack.configure(manifest_of(settings_with({"SLACK_BOT_TOKEN": slack.bot_token})))
        with ExitStack() as stack:
            bots = []
            for port in ports:
                settings = {
                    "HEYGEN_API_KEY": "a-key",
                    "HEYGEN_API_URL": "http://127.0.0.1:9",
                    "SLACK_API_URL": slack.api_url,
                    "SLACK_BOT_TOKEN": slack.bot_token,
                    "SLACK_APP_TOKEN": slack.app_token,
                    "DATABASE_URL": url,
                    "WEB_SECRET": "0123456789abcdef" * 2,
                    "WEB_PUBLIC_URL": f"https://{HOST}",
                    "WEB_PORT": str(port),
                    "LOG_LEVEL": "error",
                }
                environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)} | settings
                started = stack.enter_context(Started([sys.executable, "-m", "bot", "run"], tmp_path, environment))
                await asyncio.to_thread(started.until, lambda output: "Web: " in output)
                bots.append(started)
            port = stack.enter_context(serving(binary, tmp_path, site, places, WEB_PUBLIC_URL=f"https://{HOST}"))

            async def asked(path: str) -> int:
                return (await client.get(f"https://127.0.0.1:{port}{path}", **of_host)).status_code

            async def answers() -> bool:
                with suppress(httpx.ConnectError):
                    return await asked("/healthz") == 200
                return False

            of_host: dict[str, Any] = {"headers": {"Host": HOST}, "extensions": {"sni_hostname": HOST}}
            async with httpx.AsyncClient(verify=False) as client:  # noqa: S501 - Caddy's own certificate
                # Its certificate takes a moment.
                async with asyncio.timeout(PATIENCE):
                    while not await answers():  # noqa: ASYNC110 - Caddy tells nobody
                        await asyncio.sleep(0.1)
                assert [await asked("/healthz") for _ in range(4)] == [200] * 4
                assert await asked("/metrics") == 404
                bots[0].kill()
                assert [await asked("/healthz") for _ in range(8)] == [200] * 8
