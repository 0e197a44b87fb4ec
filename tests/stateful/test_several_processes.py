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
from pathlib import Path
from types import CoroutineType
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

PATIENCE = 120.0
"""Seconds of real time that one step may take, or the end; most take less than one. For what hangs the time limit of
the test is none: it strikes once, and then the world is ended, which may wait for the same."""

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
        self.hangs = False

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Have the loop do `work`. Raises `AssertionError` where that hangs, and waits no longer for it then."""
        doing = self.loop.create_task(work, name="what is done")
        limit = self.loop.call_later(PATIENCE, self.loop.stop)
        try:
            return self.loop.run_until_complete(doing)
        except RuntimeError:
            if doing.done():
                raise
            raise AssertionError("this hangs:\n" + "\n".join(self._places())) from None
        finally:
            limit.cancel()
            # Also where the time limit of the test has struck. Two that wait for the loop to be idle keep each other.
            self.hangs |= doing.cancel()

    def _places(self) -> list[str]:
        return sorted(map(place_of, asyncio.all_tasks(self.loop)))

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
            self._close()
            return
        try:
            assert not self.hangs, "a step hung"
            self.do(self.judge.come_to_rest())
            assert not self.world.violations
        except BaseException as error:
            self.do(self.world.__aexit__(type(error), error, None))
            raise
        else:
            self.do(self.world.__aexit__(None, None, None))
        finally:
            self._close()

    def _close(self) -> None:
        self.do(self._give_up())
        self.loop.close()

    async def _give_up(self) -> None:
        """End what is left in the loop: nothing, where nothing hangs."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left, timeout=1.0)
        await self.loop.shutdown_asyncgens()
        if not self.hangs:
            await self.loop.shutdown_default_executor()


def place_of(task: asyncio.Task[Any]) -> str:
    """Which task waits where, the innermost place last."""
    places: list[str] = []
    waits: object = task.get_coro()
    while isinstance(waits, CoroutineType) and waits.cr_frame is not None:
        places.append(f"{Path(waits.cr_code.co_filename).name}:{waits.cr_frame.f_lineno}")
        waits = waits.cr_await
    return f"{task.get_name()}: {' '.join(places)}"


@pytest.mark.timeout(600)
def test_at_most_one_process_acts_and_every_message_has_one_end(migrated_postgres_url: str) -> None:
    if not THOROUGH:
        pytest.skip("only with --hypothesis-profile=thorough")
    run_state_machine_as_test(partial(SeveralProcesses, migrated_postgres_url), settings=BOUNDS)  # type: ignore[arg-type]


def test_what_hangs_is_told_with_its_place_and_keeps_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.PATIENCE", 0.1)
    machine = SeveralProcesses("")

    async def wait_in_vain() -> None:
        await asyncio.Event().wait()

    with pytest.raises(AssertionError, match=r"this hangs:\nwhat is done: test_several_processes\.py:\d+"):
        machine.do(wait_in_vain())
    machine.teardown()
