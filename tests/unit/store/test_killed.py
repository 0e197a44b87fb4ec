"""What the store has said is written is there after the process was killed."""

import asyncio
import subprocess
import sys
from pathlib import Path

from bot.store import schema
from bot.store.store import Store
from tests.clock import ManualClock

ACCEPT = """
import asyncio, sys
from bot.store.store import Store
from tests.clock import ManualClock
from tests.contract.store.values import a_session, an_utterance

async def chat(store, session):
    while True:
        utterance = an_utterance(session)
        assert await store.accept([utterance.id], utterance)
        print(session.id, utterance.id, flush=True)

async def main():
    store = await Store.open(sys.argv[1], ManualClock())
    sessions = [await store.open_session(a_session()) for _ in range(8)]
    await asyncio.gather(*(chat(store, session) for session in sessions))

asyncio.run(main())
"""


def test_what_was_accepted_is_there_after_a_kill(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/relay.db"
    asyncio.run(schema.upgrade(url))
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
            sessions = await store.open_sessions()
            queues = await store.queued_utterances([session.id for session in sessions])
            return {(session_id, utterance.id) for session_id, queue in queues.items() for utterance in queue}

    assert len(accepted) >= 200
    assert {(session_id, utterance_id) for session_id, utterance_id in accepted} <= asyncio.run(read())
