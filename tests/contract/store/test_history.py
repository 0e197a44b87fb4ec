"""No accepted message is lost or doubled, whatever comes in whatever order, with duplicates, failures and restarts."""

import asyncio
import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.core.errors import StoreError
from bot.core.models import UtteranceState
from bot.store import migrate
from bot.store.store import Store
from tests.builders import a_session, an_utterance
from tests.harness.clock import ManualClock

SESSIONS = [a_session() for _ in range(3)]
STRANGER = a_session()
"""Has no row: an utterance for it breaks a foreign key."""


@dataclass(frozen=True)
class Delivery:
    """A platform delivers a message: to which session, under which keys; the caller may be gone before the answer."""

    session: int
    keys: tuple[str, ...]
    impatient: bool
    yields: int


deliveries = st.builds(
    Delivery,
    session=st.integers(0, len(SESSIONS)),
    keys=st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3).map(tuple),
    impatient=st.sampled_from([False, False, False, True]),
    yields=st.integers(0, 3),
)
histories = st.lists(st.lists(deliveries, max_size=12), min_size=1, max_size=3)
"""What arrives between one restart and the next."""


async def deliver(store: Store, delivery: Delivery, accepted: list[tuple[int, str]], number: int) -> None:
    session = (*SESSIONS, STRANGER)[delivery.session]
    utterance = an_utterance(session)._replace(id=f"{number:04}")
    for _ in range(delivery.yields):
        await asyncio.sleep(0)
    accepting = asyncio.create_task(store.utterances.accept(delivery.keys, utterance))
    if delivery.impatient:
        await asyncio.sleep(0)
        accepting.cancel()
    with contextlib.suppress(StoreError, asyncio.CancelledError):
        if await accepting:
            accepted.append((delivery.session, utterance.id))
            await store.utterances.advance(utterance.id, UtteranceState.SENDING)
            await store.utterances.advance(utterance.id, UtteranceState.QUEUED)


async def live_through(history: list[list[Delivery]], file: Path) -> None:
    url = f"sqlite:///{file}"
    accepted: list[tuple[int, str]] = []
    numbered = enumerate(delivery for run in history for delivery in run)
    by_id: dict[str, Delivery] = {}
    for run in history:
        async with await Store.open(url, ManualClock()) as store:
            for session in SESSIONS:
                await store.sessions.open(session)
            numbered_run = [next(numbered) for _ in run]
            by_id |= {f"{number:04}": delivery for number, delivery in numbered_run}
            await asyncio.gather(*(deliver(store, delivery, accepted, number) for number, delivery in numbered_run))
    async with await Store.open(url, ManualClock()) as store:
        queues = await store.utterances.queued([session.id for session in SESSIONS])

    stored = {utterance.id for queue in queues.values() for utterance in queue}
    # Nothing a caller was told is accepted is missing; what an impatient caller handed over may be there besides.
    assert {utterance_id for _, utterance_id in accepted} <= stored
    assert all(by_id[extra].impatient for extra in stored - {utterance_id for _, utterance_id in accepted})
    # Each key stands behind one utterance at most, and every queue is in order.
    keys = [key for utterance_id in stored for key in set(by_id[utterance_id].keys)]
    assert len(keys) == len(set(keys))
    assert all([u.id for u in queue] == sorted(u.id for u in queue) for queue in queues.values())
    # Who was turned away shares a key with somebody else.
    for utterance_id, delivery in by_id.items():
        if utterance_id not in stored and delivery.session < len(SESSIONS):
            others = {key for other, its in by_id.items() if other != utterance_id for key in its.keys}
            assert others.intersection(delivery.keys)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = tmp_path_factory.mktemp("history") / "relay.db"
    asyncio.run(migrate.upgrade(f"sqlite:///{file}"))
    return file.read_bytes()


@given(history=histories)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_accepted_message_is_lost_or_doubled(template: bytes, history: list[list[Delivery]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "relay.db"
        file.write_bytes(template)
        asyncio.run(live_through(history, file))
