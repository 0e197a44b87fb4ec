"""Three processes at one database, and anything that people, crashes and networks can do to them, in any order: at most
one of them acts for a session, and every message that was accepted has exactly one end.

Each has its real membership, claims, directory, bus, parcels and fences, core, store and client of the provider
(`tests.harness.member`), and all of them one clock that only the test moves. They stand on a real PostgreSQL server and
not on a fake: what its snapshots at READ COMMITTED show to whom, and who waits for whose lock, is the very thing that
the fence, the claims and the de-duplication rest on, and a fake would prove no more than our idea of it. The clock
stands still while a statement is under way.

What is not tried here: several event loops, a real LISTEN (`tests/contract/store/test_notify.py`), ids made by clocks
that differ (they are made in one process here), the provider's own failures (`test_life_cycle.py`). Real programs are
in `tests/scenario/test_failures_of_processes.py`.

`--hypothesis-profile=thorough` looks for longer.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests import options
from tests.harness.bot import with_policy
from tests.harness.judge import Judge
from tests.harness.member import PROVIDERS
from tests.harness.shared_database import CHANNELS, NAMES, SharedDatabase

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

THOROUGH = options.is_thorough()
BOUNDS = settings(
    max_examples=200 if THOROUGH else 8,
    stateful_step_count=40 if THOROUGH else 20,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
COMMANDS = ("start", "skip", "interrupt", "clear", "status", "stop")

T = TypeVar("T")
members = st.integers(0, len(NAMES) - 1)
channels = st.sampled_from(CHANNELS)
lengths = st.sampled_from([1, 4, 12, 60])
soon = st.sampled_from([0.1, 0.0, 1.0, 3.0])
later = st.sampled_from([9.0, 2.0, 0.3, 0.0])
"""Seconds that pass afterwards: whoever does not beat is ended within 9."""


class SeveralProcesses(RuleBasedStateMachine):
    """The processes, and what befalls them."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url
        self.loop = asyncio.new_event_loop()
        self.world: SharedDatabase
        self.judge: Judge

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def have(self, happen: Callable[..., object], *arguments: Any, **named: Any) -> None:
        """Do something in the loop that waits for nothing."""

        async def once() -> None:
            happen(*arguments, **named)

        self.do(once())

    def wait(self, seconds: float) -> None:
        self.do(self.world.pass_time(seconds))

    @initialize(provider=st.sampled_from(sorted(PROVIDERS)), linger=st.sampled_from([None, 0.0, 10.0]))
    def begin(self, provider: str, linger: float | None) -> None:
        policy = with_policy(stream_linger=linger, queue_max_age=100.0)
        self.world = SharedDatabase(self.url, provider=provider, policy=policy)
        self.judge = Judge(self.world)
        self.do(self.world.__aenter__())
        for channel in CHANNELS:
            self.have(self.world.command, "start", channel, self.world.members[0])
        self.wait(10.0)

    # --- what people do ----------------------------------------------------------------------------------------------

    @rule(channel=channels, firsts=st.lists(members, min_size=1, max_size=3), words=lengths, then=soon)
    def write(self, channel: str, firsts: list[int], words: int, then: float) -> None:
        """Messages come in at once, at any of the processes."""
        for first in firsts:
            self.have(self.world.write, channel, first, words)
        self.wait(then)

    @rule(channel=channels, member=members, command=st.sampled_from(COMMANDS), then=soon)
    def command(self, channel: str, member: int, command: str, then: float) -> None:
        self.have(self.world.command, command, channel, self.world.members[member])
        self.wait(then)

    @rule(channel=channels, then=soon)
    def start_everywhere(self, channel: str, then: float) -> None:
        for member in self.world.members:
            self.have(self.world.command, "start", channel, member)
        self.wait(then)

    # --- what goes wrong ---------------------------------------------------------------------------------------------

    @rule(member=members, then=later)
    def kill(self, member: int, then: float) -> None:
        self.do(self.world.kill(self.world.members[member]))
        self.wait(then)

    @rule(then=soon)
    def boot(self, then: float) -> None:
        """Those start again that have ended."""
        for member in self.world.members:
            self.do(self.world.boot(member))
        self.wait(then)

    @rule(member=members, then=later)
    def leave(self, member: int, then: float) -> None:
        self.have(self.world.leave, self.world.members[member])
        self.wait(then)

    @rule(member=members, then=later)
    def stop(self, member: int, then: float) -> None:
        self.have(self.world.members[member].gate.stop)
        self.wait(then)

    @rule(member=members, silently=st.booleans(), then=later)
    def cut(self, member: int, silently: bool, then: float) -> None:
        self.have(self.world.members[member].gate.cut, silently=silently)
        self.wait(then)

    @rule(member=members, then=soon)
    def go_on(self, member: int, then: float) -> None:
        """It is neither stopped nor cut off any more."""
        self.have(self.world.members[member].gate.heal)
        self.have(self.world.members[member].gate.go_on)
        self.wait(then)

    @rule(member=members, instants=st.integers(1, 30), kind=st.sampled_from(["stop", "cut", "kill"]), then=later)
    def strike(self, member: int, instants: int, kind: str, then: float) -> None:
        """It is struck so many instants from now, in the middle of whatever it does then."""
        self.have(self.world.strike, self.world.members[member], instants, kind)
        self.wait(then)

    # --- what never happens ------------------------------------------------------------------------------------------

    @invariant()
    def nothing_happens_that_may_not(self) -> None:
        self.do(self.world.rest())
        self.world.see_off()
        self.do(self.judge.look())
        assert not self.world.violations

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            self.loop.close()
            return
        try:
            self.do(self.judge.come_to_rest())
            assert not self.world.violations
        except BaseException as error:
            self.do(self.world.__aexit__(type(error), error, None))
            raise
        else:
            self.do(self.world.__aexit__(None, None, None))
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()


@pytest.mark.timeout(600)
def test_at_most_one_process_acts_and_every_message_has_one_end(migrated_postgres_url: str) -> None:
    # What it finds may leave a process of it waiting for ever, out of reach of the time limit of a test.
    if not THOROUGH:
        pytest.skip("only with --hypothesis-profile=thorough")
    run_state_machine_as_test(partial(SeveralProcesses, migrated_postgres_url), settings=BOUNDS)  # type: ignore[arg-type]
