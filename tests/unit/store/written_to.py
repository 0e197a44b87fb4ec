"""A group-commit writer on a database with one session, whose transactions can be held up, and fail."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.core.models import Session, Utterance, UtteranceState
from bot.store.batch_statements import AcceptedMessage, Advance
from bot.store.connections import Connections
from bot.store.rows import session_row
from bot.store.tables import sessions, utterances
from bot.store.url import parse_url
from bot.store.writer import GroupCommitWriter
from tests.builders import NOON, a_session, an_utterance
from tests.harness.blank_database import make_database
from tests.harness.clock import ManualClock
from tests.harness.write_faults import WriteFaults


class Gate(WriteFaults):
    """Transactions that can be held up, before they begin or before they are committed."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = asyncio.Event()
        self.opened.set()
        self.commit_allowed = asyncio.Event()
        self.commit_allowed.set()
        self.begun = asyncio.Event()
        self.written = asyncio.Event()

    async def before(self) -> None:
        self.begun.set()
        await self.opened.wait()

    async def after_work(self, connection: AsyncConnection) -> None:
        self.written.set()
        await self.commit_allowed.wait()


class Ground:
    """A writer on a database with one session."""

    def __init__(self, connections: Connections, session: Session, patience: float) -> None:
        self.connections = connections
        self.session = session
        self.gate = Gate()
        self.clock = ManualClock()
        self.writer = GroupCommitWriter(self.gate.wrap(connections.begin), self.clock, patience=patience)

    def message(self, text: str, **fields: object) -> AcceptedMessage:
        """`bad` breaks a rule of the database."""
        session = a_session() if text == "bad" else self.session
        return AcceptedMessage((text,), an_utterance(session, text=text), NOON)

    async def accept(self, text: str) -> bool:
        return await self.writer.write(self.message(text))

    async def advance(
        self, utterance: Utterance, state: UtteranceState, detail: str | None = None, *, is_patient: bool = False
    ) -> None:
        await self.writer.write(Advance(utterance.id, state, detail, NOON), is_patient=is_patient)

    async def texts(self) -> list[str]:
        """What was accepted, in the order in which it was written."""
        query = sa.select(utterances.c.text).order_by(sa.literal_column("rowid"))
        return list(await self.connections.read(lambda connection: connection.execute(query).scalars().all()))

    async def states(self) -> dict[str, tuple[UtteranceState, str | None]]:
        query = sa.select(utterances.c.text, utterances.c.state, utterances.c.detail)
        rows = await self.connections.read(lambda connection: connection.execute(query).all())
        return {text: (state, detail) for text, state, detail in rows}


@asynccontextmanager
async def ground_at(folder: Path, *, patience: float = 0.0) -> AsyncIterator[Ground]:
    """`patience` as in `GroupCommitWriter`."""
    url = f"sqlite:///{folder / 'relay.db'}"
    await make_database(url)
    connections = await Connections.open(parse_url(url))
    session = a_session()
    async with connections.begin() as connection:
        await connection.execute(sessions.insert(), session_row(session))
    ground = Ground(connections, session, patience)
    ground.writer.start()
    yield ground
    ground.gate.opened.set()
    ground.gate.commit_allowed.set()
    await ground.writer.close()
    await connections.close()


async def sending(ground: Ground) -> Utterance:
    """An utterance that is being sent; it took two transactions."""
    utterance = an_utterance(ground.session, text="x")
    await ground.writer.write(AcceptedMessage((), utterance, NOON))
    await ground.advance(utterance, UtteranceState.SENDING)
    return utterance


def soon(ground: Ground, utterance: Utterance, *states: UtteranceState) -> list[BaseException]:
    """Hand over what nobody waits for. Returns where its errors come."""
    errors: list[BaseException] = []
    for state in states:
        ground.writer.advance_soon(Advance(utterance.id, state, None, NOON), errors.append)
    return errors
