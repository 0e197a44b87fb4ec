"""Several programs on one PostgreSQL database, between a local Slack and the avatar service, while people write: who
said what and when, and whether that was right.

Each program reaches the service through a `Witness` of its own, and the database through a wire that can be cut. The
database notes when a session gets an owner. Knows no failure; those are the business of the tests.
"""

import asyncio
import re
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import asyncpg  # type: ignore[import-untyped]  # it ships no types
from pydantic import SecretStr

from adapters.chat.slack.manifest import manifest_of
from adapters.simulator import Simulator, SimulatorOptions
from bot.core.clock import SystemClock
from bot.core.models import UtteranceState
from bot.store import migrate
from tests.fakes.slack import Channel, FakeSlack, Message, Timing
from tests.harness.programs import KEY, Service
from tests.harness.tcp_proxy import TcpProxy
from tests.platforms.platform_driver import PATIENT
from tests.platforms.running_bot import settings_with
from tests.scenario.member import Member
from tests.scenario.setup.shell import PATIENCE
from tests.scenario.witness import Piece, Witness

LABEL = re.compile(r"message (\d+) part (\d+)", re.IGNORECASE)

NOT_SPOKEN = "x"
"""The mark of a message that was not said, or perhaps not."""

ACK = 3.0
RETRIES = (0.1, 0.5, 1.0, *(2.0,) * 30)
"""Slack's own pauses are minutes; nothing of what is tested depends on them."""

NOTES = """
CREATE TABLE noted (at double precision NOT NULL, session text NOT NULL, process text NOT NULL);
CREATE TABLE noted_processes (id text PRIMARY KEY, pid integer NOT NULL);
CREATE FUNCTION note_owner() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO noted VALUES (extract(epoch FROM clock_timestamp()), NEW.id, NEW.owner);
  RETURN NULL;
END $$;
CREATE FUNCTION note_process() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO noted_processes VALUES (NEW.id, NEW.pid);
  RETURN NULL;
END $$;
CREATE TRIGGER note_first AFTER INSERT ON sessions FOR EACH ROW
  WHEN (NEW.owner IS NOT NULL) EXECUTE FUNCTION note_owner();
CREATE TRIGGER note_next AFTER UPDATE OF owner ON sessions FOR EACH ROW
  WHEN (NEW.owner IS NOT NULL AND NEW.owner IS DISTINCT FROM OLD.owner) EXECUTE FUNCTION note_owner();
CREATE TRIGGER note_process AFTER INSERT ON processes FOR EACH ROW EXECUTE FUNCTION note_process();
"""
"""Who got which session when, and which program a process was."""


class Cluster:
    """Everything but the programs, which `start` starts. channels: with everybody in them. host: the address of this
    machine at which programs find everything, where that is not themselves."""

    def __init__(self, folder: Path, url: str, *, channels: int, seed: int, host: str = "127.0.0.1") -> None:
        self.url = url
        self._host = host
        self.pieces: list[Piece] = []
        self.messages: list[Message] = []
        self.chance = Random(seed)
        self.simulator = Simulator(SimulatorOptions(api_key=SecretStr(KEY), v3_concurrency=50), SystemClock())
        self.slack = FakeSlack(timing=Timing(ack=ACK, trigger=PATIENT, retries=RETRIES), validate=False, host=host)
        self.ana = self.slack.add_user("ana")
        self.channels = [self.slack.add_channel(f"channel-{number}", [self.ana]) for number in range(channels)]
        self._folder = folder
        self._stack = AsyncExitStack()
        self._programs = 0
        self._talking: asyncio.Task[None] | None = None
        self._writing = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await migrate.upgrade(self.url)
        await self.execute(NOTES)
        await self._stack.enter_async_context(self.simulator)
        await self._stack.enter_async_context(self.slack)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._talking is not None:
            self._talking.cancel()
        await self._stack.__aexit__(kind, error, trace)

    async def start(
        self, name: str, *, changed: str | None = None, database_at: str | None = None, **others: str
    ) -> Member:
        """Start a program, and wait until it has joined. database_at: the address at which it finds the database, where
        that is not the one of all the rest."""
        address = urlsplit(self.url)
        wire = self._stack.enter_context(TcpProxy(path=socket_of(self.url), host=database_at or self._host))
        witness = await self._stack.enter_async_context(Witness(name, self.simulator.address, self.pieces, self._host))
        settings = (
            Service(witness.url).settings(
                self._folder,
                DATABASE_URL=f"postgresql://postgres@{database_at or self._host}:{wire.port}{address.path}"
                f"?application_name={name}",
                WEB_SECRET="0123456789abcdef" * 2,
                AVATAR_PROVIDER="heygen-realtime",
                AVATAR_GREETING="",
                SESSION_NEEDS_VIEWER="never",
                SESSION_IDLE_TIMEOUT="900",
                STREAM_LINGER="900",
                USER_RATE="0",
                QUEUE_LIMIT="200",
                SLACK_API_URL=self.slack.api_url,
                SLACK_BOT_TOKEN=self.slack.bot_token,
                SLACK_APP_TOKEN=self.slack.app_token,
            )
            | others
        )
        self.slack.configure(manifest_of(settings_with(settings)))
        member = Member(name, self._folder / name, settings, wire, changed)
        await self._stack.enter_async_context(member)
        await member.until(lambda: "Web: " in member.output or "Standing by: " in member.output)
        self._programs += 1
        return member

    # --- what people do ----------------------------------------------------------------------------------------------

    async def start_avatars(self) -> None:
        """Have one in every channel."""
        await self.slack.until(lambda: len(self.slack.connections) == self._programs)
        for channel in self.channels:
            await self.slack.slash(channel, self.ana, "/avatar", "start")
        await self.until_rows("SELECT count(*) FROM sessions WHERE state = 'live'", number=len(self.channels))

    async def write(self, channel: Channel, *, parts: int = 1) -> int:
        """Somebody writes a message of so many sentences; returns its number."""
        more = " is one of several sentences that take the avatar their time to be said aloud." if parts > 1 else "."
        async with self._writing:
            number = len(self.messages)
            text = " ".join(f"Message {number} part {part}{more}" for part in range(parts))
            self.messages.append(await self.slack.write(channel, self.ana, f"@{self.slack.bot.name} {text}"))
        return number

    def talk(self, *, every: float = 0.6, but: int = 1) -> None:
        """People write short messages somewhere from now on, until `fall_silent`; not in the first `but` channels."""

        async def talking() -> None:
            while True:
                await self.write(self.chance.choice(self.channels[but:]))
                await asyncio.sleep(self.chance.uniform(0.5, 1.5) * every)

        self._talking = asyncio.create_task(talking(), name="people talk")

    async def fall_silent(self) -> None:
        """Nobody writes any more."""
        assert self._talking is not None
        # Not in the middle of a message, which would be written and not noted.
        async with self._writing:
            self._talking.cancel()
        with suppress(asyncio.CancelledError):
            await self._talking
        self._talking = None

    # --- what there is -----------------------------------------------------------------------------------------------

    async def query(self, query: str, *values: object, url: str | None = None) -> list[tuple[Any, ...]]:
        """What the database says, or another one at `url`."""
        connection = await asyncpg.connect(url or self.url)
        try:
            return [tuple(row) for row in await connection.fetch(query, *values)]
        finally:
            await connection.close()

    async def execute(self, statements: str) -> None:
        """Change the database."""
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statements)
        finally:
            await connection.close()

    async def until_rows(self, query: str, *values: object, number: int, patience: float = PATIENCE) -> None:
        """Wait until a query gives this one number."""
        async with asyncio.timeout(patience):
            while await self.query(query, *values) != [(number,)]:  # noqa: ASYNC110 - a database that others change
                await asyncio.sleep(0.1)

    async def until_owned_by(self, member: Member) -> None:
        """Wait until a program has every session."""
        owned = "SELECT count(*) FROM sessions JOIN processes p ON p.id = owner WHERE state <> 'closed' AND p.pid = $1"
        await self.until_rows(owned, member.pid, number=len(self.channels))

    async def until_settled(self, *, patience: float = PATIENCE) -> None:
        """Wait until every message has come in, and to its end."""
        settled = "SELECT count(DISTINCT text) FROM utterances WHERE state = ANY($1)"
        final = [state.value for state in UtteranceState if state.is_final]
        await self.until_rows(settled, final, number=len(self.messages), patience=patience)

    async def owners(self) -> dict[str, int]:
        """The process of the machine that has each open session."""
        query = "SELECT sessions.id, p.pid FROM sessions JOIN processes p ON p.id = owner WHERE state <> 'closed'"
        return dict(await self.query(query))

    async def owned_by(self, members: Sequence[Member]) -> dict[str, int]:
        """How many open sessions each of the programs has that has any."""
        names = {member.pid: member.name for member in members}
        return dict(Counter(names[pid] for pid in (await self.owners()).values()))

    async def times_taken(self) -> list[int]:
        """How often each session got an owner, its first one included."""
        return [number for (number,) in await self.query("SELECT count(*) FROM noted GROUP BY session")]

    # --- what never happens ------------------------------------------------------------------------------------------

    async def settle(self, members: Sequence[Member]) -> list[str]:
        """Let people fall silent and everything come to its end: what was not right."""
        await self.fall_silent()
        with suppress(TimeoutError):
            await self.until_settled()
        return await self.violations(members)

    async def end_well(self, *members: Member) -> None:
        """Stop programs as a service manager does, and see that they leave nothing open."""
        for member in members:
            member.send(signal.SIGTERM)
        assert [await member.end() for member in members] == [0] * len(members)
        assert [stream for stream in self.simulator.streams() if stream.ended is None] == []

    async def violations(self, members: Sequence[Member]) -> list[str]:
        """What must not be so, once nobody writes any more: in words."""
        found = [*await self._of_messages(), *self._said_twice(), *await self._said_by_a_former_owner(members)]
        channels = await self.query("SELECT channel, count(*) FROM sessions WHERE state <> 'closed' GROUP BY channel")
        found += [f"{number} sessions in {channel}" for channel, number in channels if number > 1]
        rows = {row[0] for row in await self.query("SELECT upstream_id FROM streams WHERE state = 'open'")}
        open_now = {stream.id for stream in self.simulator.streams() if stream.ended is None}
        if rows != open_now:
            found.append(f"open in the database: {sorted(rows)}, open at the service: {sorted(open_now)}")
        return found

    async def _of_messages(self) -> list[str]:
        """Each message was taken once, and was said whole or is told to be in doubt."""
        rows = await self.query("SELECT text, state FROM utterances")
        taken = Counter(_number(text) for text, _ in rows)
        states = {_number(text): state for text, state in rows}
        said = Counter(label for piece in self.pieces if piece.is_taken for label in LABEL.findall(piece.text))
        found = []
        for number, message in enumerate(self.messages):
            labels = LABEL.findall(message.text)
            state = states.get(number)
            if taken[number] != 1:
                found.append(f"message {number} was taken {taken[number]} times")
            elif state == UtteranceState.SPOKEN:
                missing = [part for _, part in labels if not said[str(number), part]]
                found += [f"message {number}: part {part} was not said" for part in missing]
            elif state == UtteranceState.UNKNOWN:
                if NOT_SPOKEN not in message.reactions:
                    found.append(f"message {number} may not have been said, and nobody is told")
            else:
                found.append(f"message {number} ended as {state}")
        return found

    def said(self) -> list[int]:
        """The numbers of the messages that were said, at least in part, in that order."""
        said = (int(number) for piece in self.pieces if piece.is_taken for number, _ in LABEL.findall(piece.text))
        return list(dict.fromkeys(said))

    def said_in(self, channel: Channel) -> list[int]:
        """Those of a channel."""
        return [number for number in self.said() if self.messages[number].channel is channel]

    async def told_to_the_server(self, log: str) -> list[str]:
        """What PostgreSQL has shown to whoever reads its log or its activity: texts, and what opens a watch page."""
        queries = [str(query) for (query,) in await self.query("SELECT query FROM pg_stat_activity")]
        shown = "\n".join([log, *queries])
        nonces = [nonce for (nonce,) in await self.query("SELECT link_nonce FROM sessions") if nonce in shown]
        return ["".join(label) for label in LABEL.findall(shown)] + nonces

    def _said_twice(self) -> list[str]:
        said = Counter(label for piece in self.pieces if piece.is_taken for label in LABEL.findall(piece.text))
        return [f"message {number} part {part} was said {n} times" for (number, part), n in said.items() if n > 1]

    async def _said_by_a_former_owner(self, members: Sequence[Member]) -> list[str]:
        names = {member.pid: member.name for member in members}
        processes = await self.query("SELECT id, pid FROM noted_processes")
        programs = {process: names[pid] for process, pid in processes if pid in names}
        sessions = dict(await self.query("SELECT upstream_id, session_id FROM streams WHERE upstream_id IS NOT NULL"))
        claims: dict[str, list[tuple[float, str]]] = {}
        for at, session, process in await self.query("SELECT at, session, process FROM noted ORDER BY at"):
            claims.setdefault(session, []).append((at, programs.get(process, process)))
        found = []
        for piece in self.pieces:
            owners = [owner for at, owner in claims.get(sessions.get(piece.stream, ""), ()) if at <= piece.at]
            if owners and owners[-1] != piece.program:
                late = piece.at - max(at for at, owner in claims[sessions[piece.stream]] if at <= piece.at)
                found.append(f"{piece.program} said {piece.text[:30]!r} {late:.2f} s after {owners[-1]} had taken over")
        return found


def socket_of(url: str) -> str:
    """The socket of a PostgreSQL server of this machine."""
    return f"{parse_qs(urlsplit(url).query)['host'][0]}/.s.PGSQL.5432"


def _number(text: str) -> int:
    found = LABEL.search(text)
    return int(found[1]) if found is not None else -1
