"""What the store has said is written is there after the process was killed or the power went off, and nothing of a
transaction that was not finished."""

import asyncio
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bot.store import migrate
from bot.store.store import Store
from tests.builders import a_session, an_utterance
from tests.harness.clock import ManualClock

ACCEPT = """
import asyncio, sys
from bot.store.store import Store
from tests.harness.clock import ManualClock
from tests.builders import a_session, an_utterance

async def chat(store, session):
    while True:
        utterance = an_utterance(session)
        assert await store.utterances.accept([utterance.id], utterance)
        print(session.id, utterance.id, flush=True)

async def main():
    store = await Store.open(sys.argv[1], ManualClock())
    sessions = [await store.sessions.open(a_session()) for _ in range(8)]
    await asyncio.gather(*(chat(store, session) for session in sessions))

asyncio.run(main())
"""


def test_what_was_accepted_is_there_after_a_kill(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/relay.db"
    asyncio.run(migrate.upgrade(url))
    with subprocess.Popen(  # noqa: S603 - our own interpreter and our own words
        [sys.executable, "-c", ACCEPT, url], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    ) as process:
        assert process.stdout is not None
        accepted = [process.stdout.readline().split() for _ in range(200)]
        process.kill()
        # The rest of what it said before it died; its last line may be cut.
        accepted += [line.split() for line in process.stdout if line.endswith("\n")]

    async def read() -> set[tuple[str, str]]:
        async with await Store.open(url, ManualClock()) as store:
            sessions = await store.sessions.all_open()
            queues = await store.utterances.queued([session.id for session in sessions])
            return {(session_id, utterance.id) for session_id, queue in queues.items() for utterance in queue}

    assert len(accepted) >= 200
    assert {(session_id, utterance_id) for session_id, utterance_id in accepted} <= asyncio.run(read())


FLOOD = """
import asyncio, sys
from bot.core.clock import SystemClock
from bot.core.models import UtteranceState
from bot.store.store import Store
from bot.store.writer import MAX_DELAY
from tests.builders import a_session, an_utterance

SPOKEN = UtteranceState.SPOKEN

def fail(error):
    raise error

async def chat(store, session):
    said = []
    while True:
        utterance = an_utterance(session, state=UtteranceState.SENDING)
        assert await store.utterances.accept([utterance.id], utterance)
        for earlier in said:
            print(earlier, flush=True)
        store.utterances.advance_soon(utterance.id, UtteranceState.SPEAKING, fail)
        store.utterances.advance_soon(utterance.id, SPOKEN, fail)
        said = [utterance.id]

async def main():
    store = await Store.open(sys.argv[1], SystemClock())
    sessions = [await store.sessions.open(a_session()) for _ in range(32)]
    quiet = an_utterance(sessions[0], state=UtteranceState.SENDING)
    assert await store.utterances.accept([], quiet)
    store.utterances.advance_soon(quiet.id, SPOKEN, fail)
    await asyncio.sleep(MAX_DELAY + 0.5)
    print(quiet.id, flush=True)
    await asyncio.gather(*(chat(store, session) for session in sessions))

asyncio.run(main())
"""


def test_a_kill_in_a_flood_does_not_make_unsaid_what_was_said_before_the_last_commit(tmp_path: Path) -> None:
    """Nobody waits for `spoken`: it is there with the next message of its session that was accepted, and alone after a
    moment of quiet."""
    url = f"sqlite:///{tmp_path}/relay.db"
    asyncio.run(migrate.upgrade(url))
    with subprocess.Popen(  # noqa: S603 - as above
        [sys.executable, "-c", FLOOD, url], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(500)]
        process.kill()
        said += [line.strip() for line in process.stdout if line.endswith("\n")]
    with closing(sqlite3.connect(tmp_path / "relay.db")) as connection:
        spoken = {row[0] for row in connection.execute("SELECT id FROM utterances WHERE state = 'spoken'")}
    assert len(said) >= 500
    assert set(said) <= spoken


KILL_IN_THE_MIDDLE = """
import asyncio, os, signal, sys
from bot.store.store import Store
from tests.harness.clock import ManualClock
from tests.harness.write_faults import WriteFaults
from tests.builders import a_session, an_utterance

class Death(WriteFaults):
    is_due = False
    async def after_work(self, _):
        if self.is_due:
            os.kill(os.getpid(), signal.SIGKILL)

async def main():
    death = Death()
    store = await Store.open(sys.argv[1], ManualClock(), wrap_begin=death.wrap)
    session = await store.sessions.open(a_session())
    await store.utterances.accept(["before"], an_utterance(session, text="before"))
    death.is_due = True
    await store.utterances.accept(["after"], an_utterance(session, text="after"))

asyncio.run(main())
"""

KILL_BEFORE_THE_COMMIT = """
import asyncio, os, signal, sys
from bot.store.driver import SqliteDriver
from bot.store.store import Store
from tests.harness.clock import ManualClock
from tests.builders import a_session, an_utterance

async def main():
    store = await Store.open(sys.argv[1], ManualClock())
    session = await store.sessions.open(a_session())
    await store.utterances.accept(["before"], an_utterance(session, text="before"))
    SqliteDriver.commit = lambda _: os.kill(os.getpid(), signal.SIGKILL)
    await store.utterances.accept(["after"], an_utterance(session, text="after"))

asyncio.run(main())
"""


@pytest.mark.parametrize("program", [KILL_IN_THE_MIDDLE, KILL_BEFORE_THE_COMMIT], ids=["two hops", "one hop"])
def test_nothing_of_a_transaction_that_was_under_way_is_there_after_a_kill(tmp_path: Path, program: str) -> None:
    url = f"sqlite:///{tmp_path}/relay.db"
    asyncio.run(migrate.upgrade(url))
    root = Path(__file__).parents[3]
    died = subprocess.run([sys.executable, "-c", program, url], cwd=root, check=False)  # noqa: S603 - as above
    assert died.returncode == -9

    async def go_on() -> list[str]:
        async with await Store.open(url, ManualClock()) as store:
            (session,) = await store.sessions.all_open()
            # Its key was not taken either: the platform delivers the message again.
            assert await store.utterances.accept(["after"], an_utterance(session, id="again", text="again"))
            return [utterance.text for utterance in (await store.utterances.queued([session.id]))[session.id]]

    assert sorted(asyncio.run(go_on())) == ["again", "before"]


@pytest.mark.parametrize("torn", ["cut off", "garbage"])
async def test_a_power_cut_in_the_middle_of_a_write_to_the_disk_loses_only_what_was_not_confirmed(
    tmp_path: Path, torn: str
) -> None:
    """The log of SQLite ends at any byte, or in bytes that never got to the disk."""
    file = tmp_path / "relay.db"
    await migrate.upgrade(f"sqlite:///{file}")
    sizes = []
    async with await Store.open(f"sqlite:///{file}", ManualClock()) as store:
        session = await store.sessions.open(a_session())
        log = file.with_name("relay.db-wal")
        for number in range(5):
            assert await store.utterances.accept([f"{number}"], an_utterance(session, text=f"{number}"))
            sizes.append(log.stat().st_size)
        for cut in range(sizes[0], sizes[-1] + 1, 1499):
            copy = tmp_path / f"after-{torn}-{cut}.db"
            shutil.copy(file, copy)
            written = log.read_bytes()
            rest = b"" if torn == "cut off" else b"\xa5" * (len(written) - cut)
            copy.with_name(f"{copy.name}-wal").write_bytes(written[:cut] + rest)
            confirmed = sum(size <= cut for size in sizes)
            async with await Store.open(f"sqlite:///{copy}", ManualClock()) as heir:
                queue = (await heir.utterances.queued([session.id]))[session.id]
                assert [utterance.text for utterance in queue] == [f"{number}" for number in range(confirmed)]
                assert await heir.utterances.accept([f"{confirmed}"], an_utterance(session, text="goes on"))
            with closing(sqlite3.connect(copy)) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
