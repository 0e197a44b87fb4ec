"""The real program between a local Slack and the avatar service, with anything that people, the provider, the network,
the clock and `kill` can do to it, in any order: the rules of the house are checked after every step.

The program goes on while they are checked, so that each check reads first what must not be outrun by the other. Each
life is a random walk, whose seed hypothesis picks; rules of a machine would begin with many lives in which nothing much
happens. `--hypothesis-profile=thorough` looks for longer.
"""

import asyncio
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from adapters.simulator import SimulatorOptions
from bot.app import LINK_OUTLIVES_SESSION
from bot.core.models import SessionState, StreamState, UtteranceState
from tests import options
from tests.fakes.slack import Channel, Message
from tests.harness.bot import PROVIDERS
from tests.harness.deployment import SlackDeployment
from tests.harness.forkserver import ForkServer
from tests.harness.simulator_faults import FAULTS
from tests.harness.watchers import SETTINGS, Watchers
from tests.platforms.platform_driver import ADA
from tests.stateful.test_life_cycle import CALLS, COMMANDS

pytestmark = [pytest.mark.slow, pytest.mark.long]

THOROUGH = options.is_thorough()
STEPS = 60 if THOROUGH else 30
BOUNDS = settings(
    max_examples=40 if THOROUGH else 2,
    # What was found once may not be found again, and to look for less of it takes hours.
    phases=[Phase.generate],
    database=None,
    derandomize=not THOROUGH,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
ADMIN_COMMANDS = ("sessions", "cleanup", "stop-all", "usage", "limits")

MAX_DURATION = 600.0
"""Seconds of the longest session."""

NOTICED = 15.0
"""Seconds of the program in which it may not have noticed that somebody left, or still opens a stream for them: less
than one of the machine."""

A_MOMENT = 1.0
"""Seconds that the program gets between two steps."""

HOW_OFTEN = {
    "talk": 5, "wait": 3, "fault": 4, "kill": 2, "command": 2, "interrupt": 1, "administer": 1, "change": 2,
    "drop_stream": 1, "restart": 1, "freeze": 1, "set_clock": 1, "come": 3, "leave": 2,
}  # fmt: skip
"""The steps: methods of `Life`, and how often each is taken compared with the others."""


class Life:
    """The life of one program, and of the next after each of its ends: two channels on one provider."""

    def __init__(
        self, deployment: SlackDeployment, provider: str, chance: Random, watchers: Watchers | None = None
    ) -> None:
        """`watchers`: who has pages open, where nothing is said without them."""
        self.deployment = deployment
        self._watchers = watchers
        self._provider = provider
        self._chance = chance
        self.messages: list[Message] = []
        self.edited = 0
        self.final: dict[str, UtteranceState] = {}

    async def step(self) -> None:
        """Let something happen."""
        (name,) = self._chance.choices(list(HOW_OFTEN), list(HOW_OFTEN.values()))
        await getattr(self, name)()

    # --- what people do ----------------------------------------------------------------------------------------------

    async def talk(self) -> None:
        """People see to it that the avatar is there, and write to it; Slack delivers the last message several times."""
        channel, chance = self._somewhere(), self._chance
        await self.deployment.command(channel, "/avatar start")
        await self.deployment.pass_time(A_MOMENT)
        for _ in range(chance.randint(1, 4)):
            text = f"message {len(self.messages):04}" + " word" * chance.randint(1, 30)
            self.messages.append(await self.deployment.write(channel, text))
        for _ in range(chance.randint(0, 2)):
            for delivery in list(self.messages[-1].deliveries):
                await self.deployment.slack.redeliver(delivery)
        await self.deployment.pass_time(A_MOMENT)

    async def command(self) -> None:
        """Several commands come in quick succession."""
        channel = self._somewhere()
        for command in self._chance.choices(COMMANDS, k=self._chance.randint(1, 4)):
            await self.deployment.command(channel, f"/avatar {command}")
        await self.deployment.pass_time(A_MOMENT)

    async def interrupt(self) -> None:
        await self.deployment.command(self._somewhere(), "/avatar interrupt")

    async def administer(self) -> None:
        await self.deployment.command(self._somewhere(), f"/avatar-admin {self._chance.choice(ADMIN_COMMANDS)}", by=ADA)
        await self.deployment.pass_time(A_MOMENT)

    async def change(self) -> None:
        """One of the last messages is edited or deleted, wherever it stands by now."""
        back, slack = self._chance.randint(1, 4), self.deployment.slack
        if back > len(self.messages) or self.messages[-back].deleted:
            return
        self.edited += 1
        if self._chance.random() < 0.5:
            await slack.delete_message(self.messages[-back])
        else:
            text = f"@{slack.bot.name} message {len(self.messages) - back:04} edit {self.edited}"
            await slack.edit_message(self.messages[-back], text)

    async def wait(self) -> None:
        await self.deployment.pass_time(self._chance.choice([0.2, 1.0, 3.0, 10.0, 35.0]))

    async def come(self) -> None:
        """Somebody opens the page of a channel, and leaves it open over whatever happens to the program."""
        if self._watchers is not None:
            self._watchers.come(self._somewhere().id)
            await self.deployment.pass_time(A_MOMENT)

    async def leave(self) -> None:
        if self._watchers is not None:
            await self._watchers.leave(self._somewhere().id)

    def _somewhere(self) -> Channel:
        return self._chance.choice(self.deployment.channels)

    # --- what goes wrong ---------------------------------------------------------------------------------------------

    async def fault(self) -> None:
        method, path = self._chance.choice(CALLS[self._provider])
        fault = self._chance.choice(list(FAULTS.values()))
        self.deployment.simulator.faults.add(**fault, method=method, path=path, times=self._chance.randint(1, 2))

    async def drop_stream(self) -> None:
        if streams := sorted(self.deployment.open_streams):
            self.deployment.simulator.drop_stream(self._chance.choice(streams))

    async def kill(self) -> None:
        """In the middle of a command, or of what follows from it."""
        await self.deployment.command(self._somewhere(), f"/avatar {self._chance.choice(('start', *COMMANDS))}")
        await self.deployment.pass_time(self._chance.uniform(0, 2))
        await self.deployment.kill()
        await self.deployment.start()

    async def restart(self) -> None:
        await self.deployment.stop()
        await self.deployment.start()

    async def freeze(self) -> None:
        """The program stands still, as in a container that is paused, while everybody else goes on."""
        self.deployment.bot.send(signal.SIGSTOP)
        await self.deployment.pass_time(self._chance.choice([5.0, 60.0]))
        self.deployment.bot.send(signal.SIGCONT)
        await self.deployment.pass_time(A_MOMENT)

    async def set_clock(self) -> None:
        self.deployment.clock_offset.jump(self._chance.choice([-3600.0, 5.0, 3600.0]))

    # --- what never happens ------------------------------------------------------------------------------------------

    def check(self) -> None:
        """See that no rule is broken."""
        self.one_open_session_per_channel()
        self.every_open_stream_is_in_the_books()
        self.a_session_pays_for_one_stream_and_only_while_it_is_open()
        self.nothing_is_heard_twice_or_out_of_order()
        self.final_states_never_change()
        self.no_stream_is_opened_for_nobody()

    def one_open_session_per_channel(self) -> None:
        channels = [row["channel"] for row in self.open_sessions]
        assert len(channels) == len(set(channels)), channels

    def every_open_stream_is_in_the_books(self) -> None:
        open_now = self.deployment.open_streams
        rows = self.deployment.rows("SELECT upstream_id, state FROM streams")
        without_id = [row for row in rows if row["upstream_id"] is None]
        strays = open_now - {row["upstream_id"] for row in rows}
        assert len(strays) <= len(without_id), (strays, [tuple(row) for row in rows])

    def a_session_pays_for_one_stream_and_only_while_it_is_open(self) -> None:
        rows = self.deployment.rows(
            "SELECT upstream_id, session_id, streams.state, sessions.state AS session"
            " FROM streams JOIN sessions ON session_id = sessions.id"
        )
        open_now = self.deployment.open_streams
        paid = [row for row in rows if row["upstream_id"] in open_now]
        assert all(row["session"] != SessionState.CLOSED for row in paid)
        assert all(row["state"] != StreamState.CLOSED for row in paid)
        owners = [row["session_id"] for row in paid if row["state"] != StreamState.CLOSING]
        assert len(owners) == len(set(owners)), owners

    def nothing_is_heard_twice_or_out_of_order(self) -> None:
        heard = [text for text in self.deployment.heard if text.startswith("message")]
        messages = [text[: len("message 0000")] for text in heard]
        assert len(messages) == len(set(messages)), heard
        sessions = {
            row["text"]: row["session_id"] for row in self.deployment.rows("SELECT text, session_id FROM utterances")
        }
        for session in set(sessions.values()):
            said = [text for text in heard if sessions.get(text) == session]
            assert said == sorted(said), said

    def final_states_never_change(self) -> None:
        for row in self.deployment.rows("SELECT id, state FROM utterances"):
            state = UtteranceState(row["state"])
            assert self.final.get(row["id"], state) is state, (row["id"], self.final[row["id"]], state)
            if state.is_final:
                self.final[row["id"]] = state

    def no_stream_is_opened_for_nobody(self) -> None:
        if self._watchers is None:
            return
        rows = self.deployment.rows(
            "SELECT upstream_id, channel FROM streams JOIN sessions ON session_id = sessions.id"
        )
        channels = {row["upstream_id"]: row["channel"] for row in rows}
        for view in self.deployment.simulator.streams():
            if (channel := channels.get(view.id)) is not None:
                opened = view.opened_at.timestamp()
                assert self._watchers.were_there(channel, opened - NOTICED, opened), (view, self._watchers.visits)

    @property
    def open_sessions(self) -> list[Any]:
        return self.deployment.rows("SELECT channel FROM sessions WHERE state != 'closed'")

    # --- the end -----------------------------------------------------------------------------------------------------

    async def end(self) -> None:
        """Once nothing goes wrong any more, everything comes to its end, and every message has come to its own."""
        deployment = self.deployment
        deployment.simulator.faults.clear()
        for channel in deployment.channels:
            await deployment.command(channel, "/avatar skip")
        # Everybody leaves by being idle, and what nobody knows of ends by the provider's own limit.
        await deployment.until(lambda: not deployment.open_streams and not self.open_sessions)
        await deployment.stop()
        self.nothing_is_heard_twice_or_out_of_order()
        rows = deployment.rows("SELECT text, state FROM utterances")
        assert [row["text"] for row in rows if not UtteranceState(row["state"]).is_final] == []
        sent = {text.asked.strip() for view in deployment.simulator.streams() for text in view.spoken}
        assert {row["text"] for row in rows if row["state"] == "spoken" and row["text"].startswith("message")} <= sent


async def live(fork_server: ForkServer, folder: Path, provider: str, chance: Random, *, needs_viewer: bool) -> None:
    options = SimulatorOptions(
        v1_concurrency=50, v3_concurrency=50, liveavatar_concurrency=50, liveavatar_rate=10_000, auto_viewer=True
    )
    limits = {"SESSION_IDLE_TIMEOUT": "40", "SESSION_IDLE_WARNING": "10", "SESSION_MAX_DURATION": f"{MAX_DURATION:g}"}
    pages = {**SETTINGS, "QUEUE_MAX_AGE": "60", "STREAM_LINGER": "10"} if needs_viewer else {}
    async with SlackDeployment(
        fork_server, folder, provider, options, channels=2, USER_RATE="0", **limits, **pages
    ) as deployment:
        await deployment.start()
        watchers = deployment.watchers(MAX_DURATION + LINK_OUTLIVES_SESSION) if needs_viewer else None
        life = Life(deployment, provider, chance, watchers)
        try:
            for _ in range(STEPS):
                await life.step()
                life.check()
            await life.end()
        finally:
            if watchers is not None:
                await watchers.leave_all()


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    with ForkServer() as fork_server:
        yield fork_server


@pytest.mark.timeout(7200 if THOROUGH else 300)
@pytest.mark.parametrize("needs_viewer", [False, True], ids=["for-all", "for-viewers"])
@pytest.mark.parametrize("provider", PROVIDERS)
def test_whatever_happens_to_a_program_no_rule_is_broken(
    fork_server: ForkServer, provider: str, needs_viewer: bool
) -> None:
    @BOUNDS
    @given(chance=st.randoms(use_true_random=True))
    def live_through(chance: Random) -> None:
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(live(fork_server, Path(folder), provider, chance, needs_viewer=needs_viewer))

    live_through()
