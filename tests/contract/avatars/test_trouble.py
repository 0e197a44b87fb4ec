"""What every avatar provider must do when the network or the upstream misbehaves: rule 5 and rule 9."""

import logging
import traceback

import pytest

from adapters.simulator import Effect, SimulatorOptions
from adapters.simulator.wire import Json
from bot.core.errors import ProviderError, RateLimited, StreamGone, Sunset, Transient
from tests.contract.avatars.harness import KEY, MakeHarness, ProviderHarness

LIES = [Effect.GARBAGE, Effect.EMPTY, Effect.WRONG_TYPE]


def opened_by_one_create(world: ProviderHarness) -> int:
    """How many streams cost money after one create."""
    return 0 if world.kind.is_paid_by_start else 1


def texts_of(world: ProviderHarness) -> tuple[str, str]:
    """Where texts go by HTTP; what goes wrong in rooms is tested with the carriers."""
    if world.kind.speak is None:
        pytest.skip("its texts travel through a room")
    return world.kind.speak


def go_wrong(
    world: ProviderHarness,
    call: tuple[str, str],
    effect: Effect,
    times: int | None = 1,
    status: int = 500,
    retry_after: int | None = None,
    after_work: bool | None = None,
) -> None:
    world.simulator.faults.add(
        effect, method=call[0], path=call[1], times=times, status=status, retry_after=retry_after, after_work=after_work
    )


async def test_a_lost_reply_to_a_create_is_not_a_second_create(world: ProviderHarness) -> None:
    go_wrong(world, world.kind.create, Effect.LOST_REPLY)

    with pytest.raises(Transient) as failure:
        await world.provider.create(world.request())

    assert failure.value.may_have_taken_effect
    assert len(world.simulator.streams()) == opened_by_one_create(world)


async def test_a_lost_reply_to_a_text_is_not_said_twice(world: ProviderHarness) -> None:
    upstream_id = await world.open()
    go_wrong(world, texts_of(world), Effect.LOST_REPLY)

    with pytest.raises(Transient) as failure:
        await world.provider.speak(upstream_id, "u", "Only once.")

    assert failure.value.may_have_taken_effect
    assert world.asked(upstream_id).count("Only once.") == 1


@pytest.mark.parametrize("effect", LIES)
async def test_a_create_answered_with_nonsense_may_have_taken_effect(world: ProviderHarness, effect: Effect) -> None:
    go_wrong(world, world.kind.create, effect)

    with pytest.raises(Transient) as failure:
        await world.provider.create(world.request())

    assert failure.value.may_have_taken_effect
    assert len(world.simulator.streams()) == opened_by_one_create(world)


@pytest.mark.parametrize("effect", LIES)
async def test_a_text_answered_with_nonsense_is_not_said_twice(world: ProviderHarness, effect: Effect) -> None:
    upstream_id = await world.open()
    go_wrong(world, texts_of(world), effect)

    with pytest.raises(Transient) as failure:
        await world.provider.speak(upstream_id, "u", "Only once.")

    assert failure.value.may_have_taken_effect
    assert world.asked(upstream_id).count("Only once.") == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_server_error_on_a_create_is_not_repeated(world: ProviderHarness, status: int) -> None:
    go_wrong(world, world.kind.create, Effect.STATUS, status=status)

    with pytest.raises(Transient) as failure:
        await world.provider.create(world.request())

    assert failure.value.may_have_taken_effect
    assert world.simulator.faults.waiting == ()
    assert world.simulator.streams() == []


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_server_error_on_a_text_is_not_repeated(world: ProviderHarness, status: int) -> None:
    upstream_id = await world.open()
    go_wrong(world, texts_of(world), Effect.STATUS, status=status, after_work=True)

    with pytest.raises(Transient) as failure:
        await world.provider.speak(upstream_id, "u", "Only once.")

    assert failure.value.may_have_taken_effect
    assert world.asked(upstream_id).count("Only once.") == 1


@pytest.mark.parametrize("effect", [Effect.LOST_REPLY, Effect.STATUS, *LIES])
async def test_reading_and_closing_repeat_themselves(world: ProviderHarness, effect: Effect) -> None:
    upstream_id = await world.open()
    go_wrong(world, world.kind.status, effect, times=2)
    go_wrong(world, world.kind.close, effect, times=2)
    go_wrong(world, world.kind.balance, effect, times=2)

    assert (await world.provider.status(upstream_id)).is_open
    await world.provider.balance()
    await world.provider.close(upstream_id)

    assert world.open_streams() == 0
    assert world.simulator.faults.waiting == ()


async def test_a_close_that_is_never_confirmed_is_an_error(world: ProviderHarness) -> None:
    upstream_id = await world.open()
    go_wrong(world, world.kind.close, Effect.STATUS, times=None)

    with pytest.raises(Transient):
        await world.provider.close(upstream_id)

    world.simulator.faults.clear()
    await world.provider.close(upstream_id)
    assert world.open_streams() == 0


@pytest.mark.parametrize("effect", [Effect.LOST_REPLY, Effect.STATUS, *LIES])
async def test_trouble_before_the_create_itself_surely_opened_nothing(world: ProviderHarness, effect: Effect) -> None:
    go_wrong(world, world.kind.before_create, effect, times=None)

    with pytest.raises(Transient) as failure:
        await world.provider.create(world.request(avatar="", voice=""))

    assert not failure.value.may_have_taken_effect
    assert world.simulator.streams() == []


async def test_a_create_waits_out_a_rate_limit(world: ProviderHarness) -> None:
    go_wrong(world, world.kind.create, Effect.STATUS, status=429, retry_after=3, times=2)

    upstream_id = await world.provider.create(world.request())

    assert (await world.provider.status(upstream_id)).is_open
    assert len(world.simulator.streams()) == opened_by_one_create(world)


async def test_a_long_rate_limit_on_a_text_is_told_at_once_with_its_delay(world: ProviderHarness) -> None:
    upstream_id = await world.open()
    go_wrong(world, texts_of(world), Effect.STATUS, status=429, retry_after=7, times=2)

    with pytest.raises(RateLimited) as refusal:
        await world.provider.speak(upstream_id, "u", "Later.")

    assert refusal.value.retry_after == 7
    assert len(world.simulator.faults.waiting) == 1
    assert "Later." not in world.asked(upstream_id)


async def test_a_short_rate_limit_on_a_text_is_waited_out(world: ProviderHarness) -> None:
    upstream_id = await world.open()
    go_wrong(world, texts_of(world), Effect.STATUS, status=429, retry_after=1)

    await world.provider.speak(upstream_id, "u", "A moment later.")

    assert world.asked(upstream_id).count("A moment later.") == 1


async def test_a_rate_limit_that_does_not_end_is_told(world: ProviderHarness) -> None:
    go_wrong(world, world.kind.create, Effect.STATUS, status=429, retry_after=1, times=None)

    with pytest.raises(RateLimited):
        await world.provider.create(world.request())


async def test_a_start_that_pays_and_whose_reply_was_lost_is_closed(world: ProviderHarness) -> None:
    if not world.kind.is_paid_by_start:
        pytest.skip("a start can be repeated")
    upstream_id = await world.provider.create(world.request())
    go_wrong(world, world.kind.start, Effect.LOST_REPLY)

    with pytest.raises(StreamGone):
        await world.provider.start(upstream_id)

    assert len(world.simulator.streams()) == 1
    assert world.open_streams() == 0


async def test_a_start_whose_reply_was_lost_can_be_repeated(world: ProviderHarness) -> None:
    if world.kind.is_paid_by_start:
        pytest.skip("a second start is another stream")
    upstream_id = await world.provider.create(world.request())
    go_wrong(world, world.kind.start, Effect.LOST_REPLY, times=None)
    with pytest.raises(Transient):
        await world.provider.start(upstream_id)
    world.simulator.faults.clear()

    playback = await world.provider.start(upstream_id)

    assert playback.hls_url is not None


async def test_nobody_there_surely_had_no_effect(make_world: MakeHarness) -> None:
    world = await make_world()
    await world.simulator.stop()

    for call in (world.provider.create(world.request()), world.provider.speak("x", "u", "Hello.")):
        with pytest.raises(Transient) as failure:
            await call
        assert not failure.value.may_have_taken_effect


async def test_an_api_that_was_switched_off_is_told_with_the_alternatives(make_world: MakeHarness) -> None:
    world = await make_world(SimulatorOptions(v1_sunset=True))
    if world.provider.name != "heygen-streaming":
        assert await world.open()
        return

    for call in (world.provider.create(world.request()), world.provider.avatars(), world.provider.balance()):
        with pytest.raises(Sunset) as refusal:
            await call
        assert "heygen-realtime" in str(refusal.value)
    await world.provider.close("whatever was open is closed with it")


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 413, 429, 500])
async def test_no_secret_is_in_any_message_or_log(
    world: ProviderHarness, status: int, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    upstream_id = await world.open()
    token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjbGllbnQifQ.c2lnbmF0dXJlLW9mLXRoZS10b2tlbg"
    body: Json = {"code": 1, "message": f"no: {KEY} and {token} " + "x" * 500, "error": {"message": f"{KEY} {token}"}}
    world.simulator.faults.add(Effect.STATUS, times=None, status=status, body=body, retry_after=9)
    told = [repr(world.provider), repr(vars(world.provider))]

    for call in (
        world.provider.create(world.request()),
        world.provider.speak(upstream_id, "u", "Hello."),
        world.provider.close(upstream_id),
        world.provider.avatars(),
    ):
        try:
            await call
        except ProviderError as error:
            told += [str(error), repr(error), repr(vars(error)), "".join(traceback.format_exception(error))]
    told += [caplog.text, *capsys.readouterr()]

    assert any("answered" in line for line in told)
    assert not any(KEY in line or token in line for line in told)
