"""The time of day jumps, summer ends, the machine sleeps: sessions last as long as they should, nothing is lost, and
nothing stays open that nobody pays attention to.

Idle and longest stay go by monotonic time; the time of day is for people, for rows, and for what a restart cannot know
otherwise.
"""

import itertools
import os
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from adapters.simulator import Simulator
from adapters.web import SignedWatchLinks
from bot.access.quotas import Limits, Quotas
from bot.core import ids
from bot.core.clock import SystemClock
from bot.core.errors import LinkInvalid
from bot.core.events import UtteranceChanged
from bot.core.models import EndReason, UtteranceState
from bot.store import tables
from tests.harness.bot import CHANNEL, PROVIDERS, BotHarness, simulated, with_policy
from tests.harness.clock import ClockElsewhere, ManualClock

pytestmark = pytest.mark.slow

HOUR, DAY = 3600.0, 86_400.0
BACK_AND_FORTH = pytest.mark.parametrize("jump", [-HOUR, 400 * DAY], ids=["back", "forth"])
LONG = "this one is being said for quite a while, and it is followed by others that wait for their turn"


class TwoMachines(BotHarness):
    """A bot and a service on machines of their own: the clock of one is not the clock of the other."""

    def __init__(self, folder: Path, provider: str, **settings: object) -> None:
        super().__init__(folder, provider, **settings)  # type: ignore[arg-type]  # the caller names the world's own
        self.elsewhere = ClockElsewhere(self.clock)
        self.simulator = Simulator(simulated(), self.elsewhere)

    async def suspend(self, seconds: float) -> None:
        """The bot's machine sleeps while the rest of the world goes on."""
        await self.rest()
        await self.elsewhere.suspend_host(seconds)
        await self.rest()


@pytest.fixture(params=PROVIDERS)
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TwoMachines]:
    policy = with_policy(idle_timeout=300.0, max_duration=1800.0)
    async with TwoMachines(tmp_path, request.param, policy=policy, jobs=True) as world:
        yield world


async def reason_of(world: BotHarness) -> EndReason | None:
    """Why the last session of the channel ended."""
    rows = await world.rows(tables.sessions)
    return max(rows, key=lambda row: row.created_at).end_reason


# --- the time of day is set ------------------------------------------------------------------------------------------


@BACK_AND_FORTH
async def test_jump_ends_no_session_and_lets_none_stay_longer(world: TwoMachines, jump: float) -> None:
    await world.start()
    world.clock.jump(jump)
    await world.pass_time(200)
    assert world.running is not None
    await world.pass_time(110)
    assert world.running is None
    assert await reason_of(world) is EndReason.IDLE
    assert world.open_streams == []


@BACK_AND_FORTH
async def test_longest_stay_is_that_of_a_steady_clock(world: TwoMachines, jump: float) -> None:
    running = await world.start()
    world.clock.jump(jump)
    for number in range(8):
        await world.pass_time(200)
        assert world.running is running
        await world.write(f"still here {number}", key=f"key {number}")
    await world.pass_time(220)
    assert world.running is None
    assert await reason_of(world) is EndReason.MAX_DURATION


@BACK_AND_FORTH
async def test_what_is_said_and_what_waits_is_said_once_and_in_order(world: TwoMachines, jump: float) -> None:
    await world.start()
    await world.write(LONG)
    await world.write("before the jump")
    world.clock.jump(jump)
    await world.write("after the jump")
    await world.until(lambda: world.ended_as("after the jump", UtteranceState.SPOKEN))
    assert world.heard == [LONG, "before the jump", "after the jump"]


@pytest.mark.parametrize("jump", [-HOUR, 600.0], ids=["back", "forth"])
async def test_order_of_what_waits_holds_over_a_jump_and_a_restart(world: TwoMachines, jump: float) -> None:
    await world.start()
    await world.write(LONG)
    waiting = [f"{place} message that waits for its turn" for place in ("the second", "the third", "the fourth")]
    await world.write(waiting[0])
    world.clock.jump(jump)
    for text in waiting[1:]:
        await world.write(text)
    await world.crash()
    await world.boot()
    await world.until(lambda: world.ended_as(waiting[-1], UtteranceState.SPOKEN))
    changes = [event.utterance for event in world.events if isinstance(event, UtteranceChanged)]
    spoken = [change.text for change in changes if change.state is UtteranceState.SPOKEN and change.text in waiting[1:]]
    assert spoken == waiting[1:]


async def test_what_is_written_after_a_restart_waits_behind_what_waited_before_it(
    world: TwoMachines, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.start()
    await world.write(LONG)
    waiting = [f"{place} message that waits for its turn" for place in ("the second", "the third", "the fourth")]
    for text in waiting[:2]:
        await world.write(text)
    await world.crash()
    # The next process knows nothing of the ids that this one has made, and its clock is behind.
    monkeypatch.setattr(ids, "_latest", 0)
    monkeypatch.setattr(ids, "_count", itertools.count())
    world.clock.jump(-HOUR)
    await world.boot()
    await world.write(waiting[2])
    await world.until(lambda: all(world.ended_as(text, UtteranceState.SPOKEN) for text in waiting))
    changes = [event.utterance for event in world.events if isinstance(event, UtteranceChanged)]
    # What was said first may have waited, too: for the first viewer, where the provider wants one.
    spoken = [change.text for change in changes if change.state is UtteranceState.SPOKEN and change.text in waiting]
    assert spoken == waiting


@BACK_AND_FORTH
async def test_a_message_is_remembered_as_delivered_over_a_jump(world: TwoMachines, jump: float) -> None:
    await world.start()
    await world.write("only once", key="key")
    world.clock.jump(jump)
    assert (await world.write("only once", key="key")).ignored is not None
    await world.until(lambda: world.ended_as("only once", UtteranceState.SPOKEN))
    assert world.heard == ["only once"]


async def test_clock_set_back_makes_no_session_stay_longer_than_allowed_after_a_restart(world: TwoMachines) -> None:
    await world.start()
    await world.crash()
    world.clock.jump(-30 * DAY)
    await world.boot()
    running = world.running
    assert running is not None
    assert running.seconds_left <= 1800.0
    for number in range(9):
        await world.write(f"still here {number}", key=f"key {number}")
        await world.pass_time(205)
    assert world.running is None
    assert world.open_streams == []


async def test_clock_set_forward_ends_an_old_session_at_the_restart_and_a_new_one_starts(world: TwoMachines) -> None:
    await world.start()
    await world.crash()
    world.clock.jump(30 * DAY)
    await world.boot()
    await world.pass_time(30)
    assert world.running is None
    assert world.open_streams == []
    assert await reason_of(world) is EndReason.MAX_DURATION
    await world.start()
    assert len(world.open_streams) == 1


@BACK_AND_FORTH
async def test_status_and_farewell_tell_no_negative_and_no_absurd_numbers(world: TwoMachines, jump: float) -> None:
    running = await world.start()
    world.clock.jump(jump)
    status = dict((await world.type("/avatar status")).fields)
    assert 0 <= running.seconds_left <= 1800.0
    assert "-" not in status["Leaves in"]
    assert "-" not in status["So far"]
    await world.type("/avatar stop")
    await world.until(lambda: world.running is None)
    assert "-" not in world.notices[-1]


async def test_a_clock_set_back_gives_no_money_back(world: TwoMachines) -> None:
    running = await world.start()
    world.clock.jump(-DAY)
    assert running.cost is None or running.cost >= 0
    await world.type("/avatar stop")
    await world.until(lambda: world.running is None)
    await world.start()
    spent = await Quotas(world.store, world.clock, Limits(), world.sessions.services.provider.capabilities).spent()
    assert all(min(used.open, used.billed, used.spoken) >= 0 for used in spent.by_channel.values())


# --- links -----------------------------------------------------------------------------------------------------------


def test_links_expire_by_the_time_of_day_and_never_break_the_server() -> None:
    clock = ManualClock()
    links = SignedWatchLinks(SecretStr("a secret of some length"), "https://watch.example", HOUR, clock)
    url = links.url("nonce")
    assert url is not None
    signed = url.rsplit("/", 1)[1]
    clock.jump(-2 * HOUR)
    assert links.nonce_of(signed) == "nonce"
    clock.jump(4 * HOUR)
    with pytest.raises(LinkInvalid):
        links.nonce_of(signed)


# --- summer time -----------------------------------------------------------------------------------------------------


@pytest.fixture
def _in_new_york() -> Iterator[None]:
    before = os.environ.get("TZ")
    os.environ["TZ"] = "America/New_York"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("_in_new_york")
@pytest.mark.parametrize(
    "before_the_change",
    [datetime(2026, 11, 1, 5, 58, tzinfo=UTC), datetime(2026, 3, 8, 6, 58, tzinfo=UTC)],
    ids=["autumn", "spring"],
)
@pytest.mark.parametrize("provider", PROVIDERS)
async def test_daylight_saving_of_the_machine_changes_nothing(
    tmp_path: Path, provider: str, before_the_change: datetime
) -> None:
    world = BotHarness(tmp_path, provider, policy=with_policy(idle_timeout=300.0))
    world.clock = ManualClock(before_the_change)
    world.simulator = Simulator(simulated(), world.clock)
    async with world:
        await world.start()
        await world.pass_time(200)
        assert world.running is not None
        await world.write("it is the same hour again, or one has been left out")
        await world.pass_time(280)
        assert world.running is not None
        await world.pass_time(60)
        assert world.running is None
        (session,) = await world.rows(tables.sessions)
        assert session.end_reason is EndReason.IDLE
        assert 480 < (session.closed_at - session.created_at).total_seconds() < 540


@pytest.mark.usefixtures("_in_new_york")
def test_the_programs_own_clock_tells_utc() -> None:
    assert SystemClock().now().utcoffset() == UTC.utcoffset(None)


# --- the machine sleeps ----------------------------------------------------------------------------------------------


async def test_sleep_that_outlasts_the_providers_limits_leaves_nothing_open(world: TwoMachines) -> None:
    await world.start()
    await world.suspend(2 * HOUR)
    assert world.open_streams == []
    await world.pass_time(320)
    assert world.running is None
    assert await world.store.sessions.all_open() == []
    unsettled = [row for row in await world.rows(tables.streams) if row.state not in ("closed", "lost")]
    assert unsettled == []


async def test_what_is_written_after_the_sleep_is_said_behind_the_same_link(world: TwoMachines) -> None:
    running = await world.start()
    link = running.view().watch_url
    await world.suspend(2 * HOUR)
    await world.pass_time(15)
    await world.write("good morning")
    await world.until(lambda: world.ended_as("good morning", UtteranceState.SPOKEN))
    assert running.view().watch_url == link
    assert world.heard == ["good morning"]
    assert len(world.open_streams) == 1


async def test_sleep_in_the_middle_of_a_text_says_nothing_twice(world: TwoMachines) -> None:
    await world.start()
    await world.write(LONG)
    await world.write("and this one waited")
    await world.pass_time(1)
    await world.suspend(2 * HOUR)
    await world.until(lambda: any(state.is_final for state in world.states("and this one waited")))
    assert len(world.heard) == len(set(world.heard))
    assert world.states(LONG)[-1].is_final
    assert world.sessions.in_channel(CHANNEL) is not None


async def test_a_nap_changes_nothing(world: TwoMachines) -> None:
    await world.start()
    await world.suspend(5)
    await world.write("good morning")
    await world.until(lambda: world.ended_as("good morning", UtteranceState.SPOKEN))
    assert len(world.simulator.streams()) == 1
