"""What `doctor` and the shell say of the processes on a PostgreSQL database."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from bot.cli.doctor.machine import _database
from bot.cli.sessions import _is_bot_running, list_sessions
from bot.cluster.membership import Membership
from bot.core.clock import SystemClock
from bot.settings import load
from bot.store import migrate
from bot.store.processes import ProcessRows
from bot.store.store import Store
from bot.store.url import parse_url
from tests.builders import a_session

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


async def test_doctor_and_the_shell_know_who_lives(
    new_postgres_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await asyncio.to_thread(new_postgres_url)
    await migrate.upgrade(url)
    monkeypatch.setenv("DATABASE_URL", url)
    settings, clock = load(None), SystemClock()
    assert (await _database(settings, clock)).found.endswith(": up to date")
    assert not await _is_bot_running(settings, clock)
    rows = ProcessRows(parse_url(url))
    async with Membership(url, clock) as bot, Membership(url, clock, takes_sessions=False) as shell:
        dead = replace(shell.process, id="dead", pid=1, host="elsewhere", version="0.0")
        await rows.join(dead)
        found = (await _database(settings, clock)).found
        assert f"{bot.process} ({bot.process.id[:8]}, works, " in found
        assert f"{shell.process} ({shell.process.id[:8]}, a command of the shell, " in found
        assert "process 1 on elsewhere (dead, does not answer, 0.0)" in found
        assert await _is_bot_running(settings, clock)
        assert bot.told()[0] == {"id": bot.process.id[:8], "is_this": True}
    # A row alone is no bot.
    assert not await _is_bot_running(settings, clock)
    await rows.close()


async def test_the_list_of_sessions_says_where_each_is(
    new_postgres_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await asyncio.to_thread(new_postgres_url)
    await migrate.upgrade(url)
    monkeypatch.setenv("DATABASE_URL", url)
    settings, clock = load(None), SystemClock()
    said: list[str] = []
    async with Membership(url, clock) as bot, await Store.open(url, clock, member=bot.member) as store:
        mine = await store.sessions.open(a_session())
        async with await Store.open(url, clock) as shell:
            nobodys = await shell.sessions.open(a_session())
        await list_sessions(settings, clock, said.append)
        lines = {line.split()[0]: line for line in said if line.startswith("  ")}
        assert lines[mine.id].endswith(f", at {bot.process}")
        assert lines[nobodys.id].endswith(", at no process now")
        said.clear()
        await list_sessions(settings, clock, said.append, as_json=True)
    found = {row["id"]: row["process"] for row in json.loads(said[0])}
    assert found == {mine.id: bot.process.id[:8], nobodys.id: None}
