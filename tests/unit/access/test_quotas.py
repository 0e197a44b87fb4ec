"""What has been used of the limits, from the rows of the streams."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import pytest

from adapters.avatars.liveavatar.provider import CAPABILITIES as LIVEAVATAR
from bot.access.quotas import Limits, Quotas
from bot.core.billing import StreamSeconds
from bot.core.errors import Refused
from bot.core.models import Channel, SessionState, StreamState
from bot.store.store import Store
from tests.builders import a_session, a_stream
from tests.harness.blank_database import make_database
from tests.harness.clock import ManualClock
from tests.unit.speaking.providers import capabilities

K = TypeVar("K")

HERE = Channel("discord", "guild", "general")
NEXT_DOOR = Channel("discord", "guild", "random")
ELSEWHERE = Channel("discord", "other guild", "general")
OTHER_PLATFORM = Channel("slack", "guild", "general")
MORNING = datetime(2026, 11, 20, 0, 0, tzinfo=UTC)
NOON = MORNING + timedelta(hours=12)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
async def store(tmp_path: Path, clock: ManualClock) -> AsyncIterator[Store]:
    url = f"sqlite:///{tmp_path / 'quotas.sqlite3'}"
    await make_database(url)
    async with await Store.open(url, clock) as store:
        yield store


def budget(store: Store, clock: ManualClock, price: Decimal | None = None, **limits: object) -> Quotas:
    """`price`: of a minute, which is billed by the second."""
    able = capabilities(price_per_minute=price)
    return Quotas(store, clock, Limits(**limits), able)  # type: ignore[arg-type]  # named by the tests


def opened(spent: Mapping[K, StreamSeconds]) -> dict[K, float]:
    """The seconds streams were open."""
    return {key: seconds.open for key, seconds in spent.items()}


async def use(
    store: Store, channel: Channel, begun: datetime, over: datetime | None, *, spoken: float | None = None
) -> str:
    """Write down that a stream was open; its id."""
    session = await store.sessions.open(a_session(channel=channel))
    stream = a_stream(
        session,
        state=StreamState.OPEN if over is None else StreamState.CLOSED,
        created_at=begun,
        closed_at=over,
        upstream_id=f"up-{session.id}",
        spoken_seconds=spoken,
    )
    await store.streams.record(stream)
    if over is not None:
        await store.sessions.advance(session.id, SessionState.CLOSED)
    return stream.id


async def test_nothing_used_is_nothing_spent(store: Store, clock: ManualClock) -> None:
    spent = await budget(store, clock).spent()
    assert not spent.by_channel
    assert not spent.by_workspace


async def test_what_was_open_is_added_up_by_channel_and_by_workspace(store: Store, clock: ManualClock) -> None:
    minute = timedelta(minutes=1)
    await use(store, HERE, NOON - 10 * minute, NOON - 8 * minute)
    await use(store, HERE, NOON - 5 * minute, NOON - 4 * minute)
    await use(store, NEXT_DOOR, NOON - minute, NOON)
    await use(store, ELSEWHERE, NOON - 2 * minute, NOON)
    await use(store, OTHER_PLATFORM, NOON - 3 * minute, NOON)
    spent = await budget(store, clock).spent()
    assert opened(spent.by_channel) == {HERE: 180, NEXT_DOOR: 60, ELSEWHERE: 120, OTHER_PLATFORM: 180}
    assert opened(spent.by_workspace) == {
        ("discord", "guild"): 240,
        ("discord", "other guild"): 120,
        ("slack", "guild"): 180,
    }


async def test_a_stream_that_is_open_counts_up_to_now(store: Store, clock: ManualClock) -> None:
    await use(store, HERE, NOON, None)
    await clock.advance(90)
    assert (await budget(store, clock).spent()).by_channel[HERE].open == 90


@pytest.mark.parametrize(
    ("begun", "over", "counted"),
    [
        (MORNING - timedelta(hours=1), MORNING - timedelta(seconds=1), 0),
        (MORNING - timedelta(hours=1), MORNING, 0),
        (MORNING - timedelta(hours=1), MORNING + timedelta(seconds=30), 30),
        (MORNING, MORNING + timedelta(seconds=30), 30),
        (MORNING - timedelta(hours=1), None, 12 * 3600),
    ],
    ids=["yesterday", "to midnight", "over midnight", "from midnight", "still open"],
)
async def test_only_the_part_of_today_counts(
    store: Store, clock: ManualClock, begun: datetime, over: datetime | None, counted: int
) -> None:
    await use(store, HERE, begun, over)
    assert (await budget(store, clock).spent()).by_channel[HERE].open == counted


async def test_a_clock_that_went_back_takes_nothing_off(store: Store, clock: ManualClock) -> None:
    await use(store, HERE, NOON + timedelta(minutes=5), None)
    assert (await budget(store, clock).spent()).by_channel[HERE].open == 0


async def test_a_stream_nobody_could_name_is_not_counted(store: Store, clock: ManualClock) -> None:
    session = await store.sessions.open(a_session(channel=HERE))
    await store.streams.record(a_stream(session, created_at=NOON - timedelta(minutes=5)))
    assert (await budget(store, clock).spent()).by_channel[HERE].open == 0


async def test_each_limit_that_is_set_has_its_share(store: Store, clock: ManualClock) -> None:
    await use(store, HERE, NOON - timedelta(minutes=3), NOON)
    await use(store, NEXT_DOOR, NOON - timedelta(minutes=3), NOON)
    asked = budget(
        store,
        clock,
        Decimal("0.50"),
        channel_minutes=6.0,
        workspace_minutes=8.0,
        channel_dollars=Decimal(2),
        workspace_dollars=Decimal(1),
    )
    shares = {share.what: share.used for share in asked.shares(HERE, await asked.spent())}
    assert shares == {
        "6 minutes a day in this channel": 0.5,
        "8 minutes a day in this workspace": 0.75,
        "$2.00 a day in this channel": 0.75,
        "$1.00 a day in this workspace": 3.0,
    }


async def test_limits_in_dollars_count_what_is_billed_and_limits_in_minutes_what_was_open(
    store: Store, clock: ManualClock
) -> None:
    for number in range(3):
        begun = NOON - timedelta(minutes=10 - number)
        await use(store, HERE, begun, begun + timedelta(seconds=10))
    limits = Limits(
        channel_minutes=1.0, workspace_minutes=2.0, channel_dollars=Decimal(1), workspace_dollars=Decimal("0.72")
    )
    asked = Quotas(store, clock, limits, LIVEAVATAR)
    assert [share.used for share in asked.shares(HERE, await asked.spent())] == [0.5, 0.25, 0.72, 1.0]
    with pytest.raises(Refused, match=r"Today's limit is used up: \$0\.72 a day in this workspace"):
        await asked.check_day(NEXT_DOOR)


async def test_a_day_has_the_speech_of_the_streams_that_closed_and_of_those_the_caller_knows(
    store: Store, clock: ManualClock
) -> None:
    await use(store, HERE, NOON - timedelta(minutes=9), NOON - timedelta(minutes=8), spoken=12.5)
    await use(store, HERE, NOON - timedelta(minutes=7), NOON - timedelta(minutes=6))
    open_one = await use(store, HERE, NOON - timedelta(minutes=1), None, spoken=2.0)
    asked = budget(store, clock)
    shell, bot = await asked.spent(), await asked.spent({open_one: 30.0})
    assert (shell.by_channel[HERE].spoken, shell.has_unheard) == (14.5, True)
    assert (bot.by_channel[HERE].spoken, bot.has_unheard) == (42.5, False)


async def test_limits_in_dollars_have_no_share_where_no_price_is_known(store: Store, clock: ManualClock) -> None:
    await use(store, HERE, NOON - timedelta(hours=3), NOON)
    asked = budget(store, clock, None, channel_dollars=Decimal(1), workspace_dollars=Decimal(1))
    assert list(asked.shares(HERE, await asked.spent())) == []
    await asked.check_day(HERE)


@pytest.mark.parametrize("seconds", [59, 60])
async def test_a_limit_is_used_up_at_the_last_second_and_not_before(
    store: Store, clock: ManualClock, seconds: int
) -> None:
    await use(store, HERE, NOON - timedelta(seconds=seconds), NOON)
    asked = budget(store, clock, channel_minutes=1.0)
    if seconds < 60:
        await asked.check_day(HERE)
    else:
        with pytest.raises(Refused, match="Today's limit is used up: 1 minute a day in this channel") as refused:
            await asked.check_day(HERE)
        assert refused.value.stage == "limit"


async def test_no_limits_let_everybody_in(store: Store, clock: ManualClock) -> None:
    await use(store, HERE, NOON - timedelta(hours=12), NOON)
    await budget(store, clock, Decimal(3)).check_day(HERE)


@pytest.mark.parametrize(
    ("limits", "watches"),
    [
        (Limits(), False),
        (Limits(workspace_sessions=1), False),
        (Limits(channel_minutes=1), True),
        (Limits(workspace_minutes=1), True),
        (Limits(channel_dollars=Decimal(1)), True),
        (Limits(workspace_dollars=Decimal(1)), True),
    ],
)
def test_only_limits_of_a_day_have_to_be_added_up(limits: Limits, watches: bool) -> None:
    assert limits.watches_a_day is watches


@pytest.mark.parametrize(
    ("price", "cost"),
    [(None, None), (Decimal(0), Decimal(0)), (Decimal(3), Decimal("4.5")), (Decimal("0.24"), Decimal("0.36"))],
)
async def test_ninety_seconds_cost_one_and_a_half_minutes(
    store: Store, clock: ManualClock, price: Decimal | None, cost: Decimal | None
) -> None:
    assert budget(store, clock, price).cost(90) == cost
