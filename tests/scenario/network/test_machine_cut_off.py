"""A machine loses its whole network while a text is on its way to the avatar service, and another one takes over: the
text is not delivered later, when the network is back.

Without the limit on what the kernel may still deliver it is: so the first test proves something.
"""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.harness.fault_proxy import FaultProxy
from tests.harness.machine import Machine
from tests.harness.programs import Program, Service, wait_until
from tests.harness.tcp_proxy import TcpProxy

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.timeout(120)]

LONG = " ".join(f"This is sentence {number} of a message that takes its time to be said." for number in range(30))

COMPANY = """
import bot.app
async def nobody_minds(*_):
    pass
bot.app.refuse_company = nobody_minds
"""
"""Both have a console here."""

WAITS_BEFORE_THE_BODY = """
import pathlib, time
import bot.core.fence as fence
look = fence.check
def look_and_wait():
    look()
    if pathlib.Path("wish").exists():
        pathlib.Path("wish").rename("ready")
        while not pathlib.Path("go").exists():
            time.sleep(0.001)
        pathlib.Path("go").unlink()
fence.check = look_and_wait
"""
"""Stands still after the last look, so that the network goes before the text does."""

WITHOUT_LIMIT = """
import socket
import adapters.network
adapters.network.prompt_socket = lambda address: socket.socket(*address[:3])
"""

LATE = 12.0
"""Seconds within which a kernel tries again: it waits twice as long each time, and by then some six."""


@pytest.mark.parametrize("is_limited", [True, False])
def test_a_text_that_was_on_its_way_is_not_delivered_after_the_takeover(
    tmp_path: Path, service: Service, new_postgres_url: Callable[[], str], is_limited: bool
) -> None:
    url = new_postgres_url()
    address = urlsplit(url)
    path = f"{parse_qs(address.query)['host'][0]}/.s.PGSQL.5432"

    def said() -> list[str]:
        return [text["text"] for stream in service.streams for text in stream["spoken"] if "sentence" in text["text"]]

    with (
        Machine() as machine,
        FaultProxy(service.url, host=machine.here) as provider,
        TcpProxy(path=path, host=machine.here) as wire,
    ):
        settings = service.settings(tmp_path, WEB_SECRET="0123456789abcdef" * 2, SESSION_NEEDS_VIEWER="never")
        far = settings | {
            "DATABASE_URL": f"postgresql://postgres@{machine.here}:{wire.port}{address.path}",
            "HEYGEN_API_URL": provider.url,
        }
        changed = machine.enter + COMPANY + WAITS_BEFORE_THE_BODY + ("" if is_limited else WITHOUT_LIMIT)
        near = settings | {"DATABASE_URL": url}
        with (
            Program(tmp_path, "run", "--console", changed=changed, **far) as first,
            Program(tmp_path, "run", "--console", changed=COMPANY, **near) as second,
        ):
            first.until("Web: ")
            second.until("Web: ")
            first.type("/avatar start")
            first.until("The avatar is live.")
            first.type(LONG, "and then this")
            wait_until(lambda: len(said()) > 0)
            (tmp_path / "wish").touch()
            wait_until((tmp_path / "ready").exists)
            machine.cut()
            (tmp_path / "go").touch()
            second.until("1 message may not have been said before the restart")
            before = said()
            time.sleep(1.0)
            machine.heal()
            time.sleep(LATE)
            late = said()[len(before) :]
            assert len(late) == (0 if is_limited else 1), late
            second.until("  said: and then this")
            first.send(signal.SIGKILL)
            second.close_input()
            assert second.end() == 0
    assert service.open_streams == 0
