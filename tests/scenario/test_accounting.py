"""What a session has used: open, paid for by the provider's own steps, and really spoken; told, and written down."""

from decimal import Decimal
from pathlib import Path

import pytest

from adapters.simulator import SpokenText, StreamView
from bot import sentences
from bot.core.billing import StreamSeconds, billed_seconds, cost_of
from bot.core.models import UtteranceState
from bot.sessions.session import AvatarSession
from bot.store import tables
from bot.telemetry import metrics
from tests.harness.bot import ADA, PROVIDERS, BotHarness, simulated, with_policy
from tests.scenario.test_trouble import TROUBLES, fault, long

REACTION = {"heygen-realtime": 0.9, "heygen-streaming": 0.3, "liveavatar": 0.3}
"""Seconds by which our count of a text may differ from the simulator's. v3 tells words late, and since when they are
heard only to a second, the interval of polling; the simulator counts the moment before the first word, too."""


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def really_spoken(stream: StreamView, now: float) -> float:
    """Seconds of speech in a stream, as the simulator has it."""

    def lasted(text: SpokenText) -> float:
        if text.starts_at is None or text.state in ("queued", "dropped"):
            return 0.0
        return max(0.0, min(text.ends_at or now, now) - text.starts_at)

    return sum(lasted(text) for text in stream.spoken)


def used(running: AvatarSession) -> StreamSeconds:
    return running.stream.account.used


def counted(provider: str) -> tuple[float, float]:
    """The two counters of a provider."""
    values = [
        metrics.registry.get_sample_value(f"avatar_relay_{what}_seconds_total", {"provider": provider})
        for what in ("billed", "spoken")
    ]
    assert None not in values
    return values[0] or 0.0, values[1] or 0.0


async def say(world: BotHarness, text: str) -> None:
    await world.write(text)
    await world.until(lambda: world.ended_as(text, UtteranceState.SPOKEN))


async def stop(world: BotHarness, running: AvatarSession) -> None:
    await world.type("/avatar stop")
    await world.until(running.closed.is_set)


async def test_the_bill_is_the_simulators_over_several_streams(tmp_path: Path, provider: str) -> None:
    async with BotHarness(tmp_path, provider, policy=with_policy(stream_linger=2.0)) as world:
        running = await world.start()
        able = world.sessions.services.provider.capabilities
        for text in ("one", "two", "three"):
            await say(world, text)
            await world.until(lambda: not world.open_streams)
        streams = world.simulator.streams()
        assert len(streams) == 3
        assert used(running).open == pytest.approx(sum(stream.seconds for stream in streams), abs=0.5)
        assert used(running).billed == sum(billed_seconds(able, stream.seconds) for stream in streams)
        dollars_a_minute = {"heygen-realtime": "3", "heygen-streaming": "0.2", "liveavatar": "0.2"}
        billed = sum(stream.dollars for stream in streams) / Decimal(dollars_a_minute[provider]) * 60
        assert Decimal(used(running).billed) == pytest.approx(billed)
        await stop(world, running)
        told = sentences.used(used(running), running.cost).capitalize()
        assert f". {told}. " in world.notices[-1]


async def test_a_minute_that_has_begun_is_told_at_once(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "liveavatar") as world:
        running = await world.start()
        assert running.cost == Decimal("0.24")
        await world.pass_time(60 - used(running).open - 0.1)
        assert running.cost == Decimal("0.24")
        await world.pass_time(0.2)
        assert running.cost == Decimal("0.48")
        assert dict((await world.type("/avatar status")).fields)["So far"] == "open 60 s, spoken 0 s, about $0.48"


async def test_what_was_said_counts_to_its_last_word(tmp_path: Path, provider: str) -> None:
    async with BotHarness(tmp_path, provider) as world:
        running = await world.start()
        texts = [long("one"), "two", long("three")]
        for text in texts:
            await world.write(text)
        await world.until(lambda: world.ended_as(texts[-1], UtteranceState.SPOKEN))
        (stream,) = world.simulator.streams()
        said = really_spoken(stream, world.clock.now().timestamp())
        assert said > 8
        assert used(running).spoken == pytest.approx(said, abs=REACTION[provider] * len(texts))
        silent = used(running).spoken
        await world.pass_time(20)
        assert used(running).spoken == silent


async def test_the_greeting_is_spoken_where_a_stream_needs_one(tmp_path: Path, provider: str) -> None:
    async with BotHarness(tmp_path, provider) as world:
        running = await world.start()
        (stream,) = world.simulator.streams()
        said = really_spoken(stream, world.clock.now().timestamp())
        assert (said > 0) is (provider == "heygen-realtime")
        assert used(running).spoken == pytest.approx(said, abs=REACTION[provider])


async def test_an_interrupt_counts_only_what_was_said(tmp_path: Path, provider: str) -> None:
    async with BotHarness(tmp_path, provider) as world:
        running = await world.start()
        before = used(running).spoken
        greeted = really_spoken(world.simulator.streams()[0], world.clock.now().timestamp())
        await world.write(long("one"))
        await world.write(long("two"))
        await world.until(lambda: any("one is a" in text.asked for s in world.simulator.streams() for text in s.spoken))
        stream = world.simulator.streams()[-1]
        (text,) = [text for text in stream.spoken if text.asked.strip() == long("one")]
        assert text.starts_at is not None
        await world.pass_time(max(0.0, text.starts_at - world.clock.now().timestamp()) + 3.0)
        await world.type("/avatar interrupt")
        await world.pass_time(1)
        now = world.clock.now().timestamp()
        said = sum(really_spoken(stream, now) for stream in world.simulator.streams()) - greeted
        assert 2.5 < said < 3.5
        assert used(running).spoken - before == pytest.approx(said, abs=REACTION[provider])
        await world.pass_time(30)
        assert used(running).spoken - before == pytest.approx(said, abs=REACTION[provider])


async def test_an_interrupt_before_the_first_word_counts_nothing(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "liveavatar") as world:
        running = await world.start()
        await world.write(long("one"))
        await world.pass_time(0.05)
        await world.type("/avatar interrupt")
        await world.pass_time(30)
        assert used(running).spoken < 0.1


async def test_a_voice_that_could_not_be_interrupted_is_counted_to_its_end(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming") as world:
        running = await world.start()
        await world.write(long("one"))
        await world.until(lambda: world.states(long("one"))[-1:] == [UtteranceState.SPEAKING])
        fault(world, "interrupt", **TROUBLES["server errors for long"])
        await world.pass_time(2)
        await world.type("/avatar interrupt")
        await world.pass_time(30)
        (stream,) = world.simulator.streams()
        said = really_spoken(stream, world.clock.now().timestamp())
        assert said > 4
        assert used(running).spoken == pytest.approx(said, abs=REACTION["heygen-streaming"])


async def test_spoken_seconds_are_written_with_the_end_of_the_stream_and_no_message_costs_a_write(
    tmp_path: Path, provider: str
) -> None:
    async with BotHarness(tmp_path, provider) as world:
        running = await world.start()
        await say(world, long("one"))
        assert (await world.rows(tables.streams))[0].spoken_seconds is None
        spoken = used(running).spoken
        await stop(world, running)
        assert (await world.rows(tables.streams))[0].spoken_seconds == pytest.approx(spoken)


async def test_a_stream_that_the_provider_ended_has_its_speech_in_its_row(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-realtime") as world:
        running = await world.start()
        await say(world, long("one"))
        await world.until(lambda: running.stream.current is None)
        (row,) = await world.rows(tables.streams)
        assert row.spoken_seconds == pytest.approx(used(running).spoken)
        assert row.spoken_seconds > 4
        assert used(running).open == pytest.approx((row.closed_at - row.created_at).total_seconds(), abs=0.1)


async def test_a_close_that_is_not_confirmed_goes_on_costing(tmp_path: Path, provider: str) -> None:
    async with BotHarness(tmp_path, provider, policy=with_policy(stream_linger=2.0)) as world:
        running = await world.start()
        fault(world, "close", **TROUBLES["refused for long"])
        await world.until(lambda: running.stream.current is None)
        before = used(running)
        await world.pass_time(12)
        assert used(running).open == pytest.approx(before.open + 12, abs=0.5)
        assert used(running).billed > before.billed
        assert used(running).spoken == before.spoken
        world.simulator.faults.clear()
        await world.until(lambda: not world.open_streams)
        (stream,) = world.simulator.streams()
        await world.pass_time(100)
        assert used(running).open == pytest.approx(stream.seconds, abs=0.5)


# --- after a restart -------------------------------------------------------------------------------------------------


async def test_a_session_goes_on_with_the_sum_of_its_streams_after_a_restart(tmp_path: Path, provider: str) -> None:
    async with BotHarness(tmp_path, provider, policy=with_policy(stream_linger=2.0)) as world:
        running = await world.start()
        for text in (long("one"), long("two")):
            await say(world, text)
            await world.until(lambda: not world.open_streams)
        before = used(running)
        assert before.spoken > 8
        await world.crash()
        await world.boot()
        again = world.running
        assert again is not None
        assert used(again).open == pytest.approx(before.open, abs=0.5)
        assert used(again).billed == before.billed
        assert used(again).spoken == pytest.approx(before.spoken)


@pytest.mark.parametrize("is_planned", [True, False], ids=["planned", "killed"])
async def test_a_stream_that_is_taken_over_costs_from_its_beginning_and_a_crash_loses_its_speech(
    tmp_path: Path, is_planned: bool
) -> None:
    async with BotHarness(tmp_path, "heygen-streaming") as world:
        running = await world.start()
        await say(world, long("one"))
        before = used(running)
        if is_planned:
            await world.sessions.save_spoken()
        await world.crash()
        await world.boot()
        again = world.running
        assert again is not None
        assert used(again).open == pytest.approx(before.open, abs=0.5)
        kept = before.spoken if is_planned else 0.0
        assert used(again).spoken == pytest.approx(kept)
        await say(world, long("two"))
        assert used(again).spoken == pytest.approx(kept + before.spoken, abs=1.0)
        total = used(again).spoken
        await stop(world, again)
        (row,) = await world.rows(tables.streams)
        assert row.spoken_seconds == pytest.approx(total)


async def test_the_watch_page_of_a_session_that_is_over_reads_the_goodbye(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-realtime") as world:
        running = await world.start()
        await say(world, long("one"))
        await stop(world, running)
        view = await world.sessions.view(running.session.id)
        assert view is not None
        assert view.ended == world.notices[-1]


# --- told ------------------------------------------------------------------------------------------------------------


async def test_status_usage_and_the_list_of_sessions_say_the_same(tmp_path: Path, provider: str) -> None:
    async with BotHarness(tmp_path, provider) as world:
        running = await world.start()
        await say(world, long("one"))
        await world.pass_time(5)
        told = sentences.used(used(running), running.cost)
        assert used(running).spoken > 4
        assert ("$" in told) is (provider != "heygen-streaming")
        assert dict((await world.type("/avatar status")).fields)["So far"] == told
        assert [text for _, text in (await world.type("/avatar-admin usage", ADA)).fields] == [told]
        ((_, line),) = (await world.type("/avatar-admin sessions", ADA)).fields
        assert line.endswith(f", {told}")


async def test_usage_has_the_speech_of_the_day_also_of_sessions_that_are_over(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "liveavatar", options=simulated()) as world:
        total = StreamSeconds()
        for _ in range(2):
            running = await world.start()
            await say(world, long("one"))
            await stop(world, running)
            total += used(running)
        assert total.billed == 120.0
        ((_, told),) = (await world.type("/avatar-admin usage", ADA)).fields
        assert told == sentences.used(total, Decimal("0.48"))


# --- counted ---------------------------------------------------------------------------------------------------------


async def test_counters_begin_at_nothing_and_move_once_for_each_stream_with_its_end(
    tmp_path: Path, provider: str
) -> None:
    async with BotHarness(tmp_path, provider, policy=with_policy(stream_linger=2.0)) as world:
        before = counted(provider)
        running = await world.start()
        able = world.sessions.services.provider.capabilities
        await say(world, long("one"))
        assert counted(provider) == before
        await world.until(lambda: not world.open_streams)
        await say(world, long("two"))
        await stop(world, running)
        await world.pass_time(60)
        billed, spoken = (after - value for after, value in zip(counted(provider), before, strict=True))
        assert billed == used(running).billed
        assert spoken == pytest.approx(used(running).spoken)
        assert cost_of(able, billed) == running.cost


async def test_a_stream_that_died_with_the_bot_is_counted_by_the_next_one(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-realtime") as world:
        before = counted("heygen-realtime")
        await world.start()
        await world.crash()
        await world.pass_time(40)
        await world.boot()
        billed, spoken = counted("heygen-realtime")
        assert billed - before[0] == pytest.approx(31, abs=3)
        assert spoken == before[1]


async def test_a_create_that_was_refused_is_not_counted(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-realtime") as world:
        before = counted("heygen-realtime")
        fault(world, "create", **TROUBLES["no credit"])
        await world.type("/avatar start")
        await world.until(lambda: world.running is None)
        await world.pass_time(30)
        assert counted("heygen-realtime") == before
        assert "spoken" not in world.notices[-1]
