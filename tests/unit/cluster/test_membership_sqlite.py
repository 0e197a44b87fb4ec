"""A cluster of one: on a SQLite file, beside programs that only look."""

import asyncio
import subprocess
import sys
from pathlib import Path

from bot.cluster.membership import Membership
from bot.store import migrate
from bot.store.store import Store
from tests.builders import a_session
from tests.harness.clock import ManualClock

LOOK = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT id FROM sessions").fetchall())
connection.close()
"""


async def test_a_program_that_looks_into_the_file_and_leaves_does_not_take_its_wal_away(tmp_path: Path) -> None:
    file, clock = tmp_path / "relay.db", ManualClock()
    url = f"sqlite:///{file}"
    await migrate.upgrade(url)
    async with Membership(url, clock) as membership:
        assert membership.may_act()
        assert (membership.sharers, membership.is_first) == (1, True)
        async with await Store.open(url, clock, member=membership.member) as store:
            session = await store.sessions.open(a_session())
            look = [sys.executable, "-c", LOOK, str(file)]
            for _ in range(2):
                seen = await asyncio.to_thread(subprocess.check_output, look, text=True)
                assert session.id in seen
                assert (tmp_path / "relay.db-wal").exists()
