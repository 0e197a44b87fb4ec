"""The Caddy site of docs/watching.md as it stands there, in front of the program: the page and its WebSocket reach a
browser over HTTPS, the stream beside it plays, and the metrics stay inside.

Caddy's own certificates take the place of those it would get for a real name; ports are ones that are free here.
Without `caddy` on the PATH the test is left out with a line that says so, unless `--require=caddy` asks for a failure
instead.
"""

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.async_api import async_playwright

from tests import options
from tests.browser.conftest import ARGUMENTS
from tests.browser.visit import Visit
from tests.harness.ports import free_port
from tests.packaging.conftest import ROOT
from tests.packaging.started import Started

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
    port = free_port()
    sites = re.findall(r"^```caddy\n(.*?)^```", GUIDE, re.MULTILINE | re.DOTALL)
    (site,) = (site for site in sites if set(re.findall(r"127\.0\.0\.1:\d+", site)) == set(places))
    assert HOST in site
    for documented, here in places.items():
        site = site.replace(documented, here)
    file = folder / "Caddyfile"
    file.write_text(OF_THIS_MACHINE.format(port=port, folder=folder / "caddy") + site, encoding="utf-8")
    command = [binary, "run", "--config", str(file), "--adapter", "caddyfile"]
    with Started(command, folder, {"PATH": os.environ["PATH"], "HOME": str(folder)}) as started:
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
