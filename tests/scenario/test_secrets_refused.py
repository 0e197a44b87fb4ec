"""No key, token or password is in what the program says where nothing works: every service refuses it with the
credentials in the error, a token is wrong, the database cannot be reached or repeats the password."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.harness.ports import free_port
from tests.scenario.chat_services import ChatServices
from tests.scenario.secret_scan import assert_none_of
from tests.scenario.setup.shell import run

pytestmark = pytest.mark.slow

REPORT = "report.json"
RUN, DOCTOR, DIAGNOSTICS = ("run",), ("doctor", "--json"), ("diagnostics", REPORT)
TABLE = ("doctor", "--channel", "C0TWIN00000")
PASSWORD = "p@ss/w0rd: 7h1s%0n31s n0b0dys"
SSL_REQUEST = 80877103
"""The code of the message that asks for TLS (postgresql.org, Message Formats)."""


async def said_by(folder: Path, settings: dict[str, str], *commands: tuple[str, ...]) -> dict[str, str]:
    """What each command writes, and the file of `diagnostics`."""
    said: dict[str, str] = {}
    for command in commands:
        ran = await run(folder, *command, **settings)
        assert "Traceback" not in ran.out + ran.err, ran.err
        said[" ".join(command)] = ran.out + ran.err
    if (folder / REPORT).exists():
        said[REPORT] = (folder / REPORT).read_text()
    return said


@pytest.mark.parametrize(("status", "is_html"), [(401, False), (503, True), (200, False)])
async def test_services_that_repeat_the_credentials_are_not_quoted(tmp_path: Path, status: int, is_html: bool) -> None:
    async with ChatServices(livekit=None, is_http=False) as services:
        settings = services.settings(tmp_path)
        for _ in range(100):
            services.gateway.echo_next("*", "*", status=status, is_html=is_html)
        said = await said_by(tmp_path, settings, DOCTOR, DIAGNOSTICS, ("avatars",))
        assert services.gateway.refused > 4
        assert_none_of(services.credentials.values(), said)


async def test_doctor_does_not_quote_a_service_that_fails_half_way(tmp_path: Path) -> None:
    async with ChatServices(livekit=None, is_http=False) as services:
        settings = services.settings(tmp_path)
        for is_html in (False, True):
            echoes = [
                services.gateway.echo_next(
                    "GET", "/discord/api/v10/applications/*/commands", status=403, is_html=is_html
                ),
                services.gateway.echo_next("POST", "/slack/api/apps.connections.open", status=200, is_html=is_html),
                services.gateway.echo_next("*", "/slack/api/conversations.info", status=500, is_html=is_html),
            ]
            said = await said_by(tmp_path, settings, TABLE)
            assert [echo.path for echo in echoes if not services.gateway.has_answered(echo)] == []
            assert_none_of({*services.credentials.values(), *services.issued}, said)


@pytest.mark.parametrize(
    ("name", "wrong", "log_format"),
    [
        ("DISCORD_TOKEN", "MTIz.wr0ng.0n3-7h1s-0n31s", "json"),
        ("SLACK_BOT_TOKEN", "xoxb-wr0ng-0n3-7h1s", "text"),
        ("SLACK_APP_TOKEN", "xapp-wr0ng-0n3-7h1s", "json"),
    ],
)
async def test_wrong_token_is_named_and_not_shown(tmp_path: Path, name: str, wrong: str, log_format: str) -> None:
    async with ChatServices(livekit=None, is_http=False) as services:
        settings = services.settings(tmp_path, LOG_FORMAT=log_format) | {name: wrong}
        # With another platform the bot would go on without this one.
        other = "SLACK_" if name.startswith("DISCORD_") else "DISCORD_"
        alone = {each: value for each, value in settings.items() if not each.startswith(other)}
        said = await said_by(tmp_path, alone, RUN) | await said_by(tmp_path, settings, DOCTOR)
        assert name in said["run"]
        assert_none_of({wrong, *services.credentials.values(), *services.issued}, said)


@asynccontextmanager
async def postgres_that_repeats_the_password(code: str) -> AsyncIterator[int]:
    """A server that asks for the password in clear and refuses it with a copy of it and this SQLSTATE; its port."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            length, kind = struct.unpack("!ii", await reader.readexactly(8))
            await reader.readexactly(length - 8)
            if kind != SSL_REQUEST:
                break
            writer.write(b"N")
        writer.write(b"R" + struct.pack("!ii", 8, 3))
        _, length = struct.unpack("!ci", await reader.readexactly(5))
        password = (await reader.readexactly(length - 4)).rstrip(b"\0")
        fields = b"SFATAL\0VFATAL\0C" + code.encode() + b"\0Mpassword " + password + b" of relay is wrong\0\0"
        writer.write(b"E" + struct.pack("!i", len(fields) + 4) + fields)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize("code", ["28P01", "0A000", ""], ids=["wrong password", "another error", "away"])
async def test_password_of_the_database_is_not_shown(tmp_path: Path, code: str) -> None:
    async with ChatServices(livekit=None, is_http=False) as services, postgres_that_repeats_the_password(code) as port:
        port = port if code else free_port()
        url = f"postgresql://relay:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/relay"
        settings = services.settings(tmp_path, DATABASE_URL=url)
        said = await said_by(tmp_path, settings, RUN, DOCTOR, DIAGNOSTICS)
        assert "127.0.0.1" in said["run"]
        assert_none_of({PASSWORD, quote(PASSWORD, safe=""), *services.credentials.values()}, said)
