"""What every avatar provider must do with streams: `bot.core.ports.AvatarProvider`, to the letter."""

import asyncio
from decimal import Decimal

import pytest
from pydantic import SecretStr

from adapters.simulator import Effect, SimulatorOptions
from bot.core.errors import AuthenticationFailed, ConcurrencyReached, Invalid, ProviderError, QuotaExhausted, StreamGone
from bot.core.models import Mode
from bot.core.ports import (
    AvatarProvider,
    InterruptMethod,
    SpeechEnded,
    SpeechStarted,
    StreamEnded,
    StreamEvent,
    WordsHeard,
)
from tests.contract.avatars.harness import KEY, MakeHarness, ProviderHarness, eventually


async def events_until_spoken(provider: AvatarProvider, upstream_id: str, last: str) -> list[StreamEvent]:
    """The events until the end of the utterance `last`, and what comes when the stream is closed then."""
    events = []
    async for event in provider.events(upstream_id):
        events.append(event)
        if event == SpeechEnded(last):
            await provider.close(upstream_id)
    return events


async def events_until_the_end(provider: AvatarProvider, upstream_id: str) -> list[StreamEvent]:
    return [event async for event in provider.events(upstream_id)]


async def test_a_created_stream_is_open_and_can_be_watched(world: ProviderHarness) -> None:
    upstream_id = await world.provider.create(world.request())

    playback = await world.provider.start(upstream_id)

    assert playback.hls_url is not None
    status = await world.provider.status(upstream_id)
    assert status.is_open
    assert status.playback == playback


async def test_a_second_start_says_the_same(world: ProviderHarness) -> None:
    upstream_id = await world.provider.create(world.request())

    assert await world.provider.start(upstream_id) == await world.provider.start(upstream_id)


async def test_a_closed_stream_is_not_open_any_more(world: ProviderHarness) -> None:
    upstream_id = await world.open()

    await world.provider.close(upstream_id)

    assert not (await world.provider.status(upstream_id)).is_open
    assert world.open_streams() == 0


async def test_closing_twice_is_closing_once(world: ProviderHarness) -> None:
    upstream_id = await world.open()

    await world.provider.close(upstream_id)
    await world.provider.close(upstream_id)

    assert world.open_streams() == 0


@pytest.mark.parametrize("upstream_id", ["never-was", "00000000-0000-0000-0000-000000000000", "a/../b?c#d", "Ø"])
async def test_a_stream_nobody_knows_counts_as_closed(world: ProviderHarness, upstream_id: str) -> None:
    await world.provider.close(upstream_id)

    assert not (await world.provider.status(upstream_id)).is_open


async def test_speaking_on_a_closed_stream_says_that_it_is_gone(world: ProviderHarness) -> None:
    upstream_id = await world.open()
    await world.provider.close(upstream_id)

    with pytest.raises(StreamGone):
        await world.provider.speak(upstream_id, "u", "Is anybody there?")


async def test_starting_a_closed_stream_says_that_it_is_gone(world: ProviderHarness) -> None:
    upstream_id = await world.provider.create(world.request())
    await world.provider.close(upstream_id)

    with pytest.raises(StreamGone):
        await world.provider.start(upstream_id)


async def test_texts_are_spoken_in_the_order_they_were_sent(world: ProviderHarness) -> None:
    upstream_id = await world.open("Number zero.")

    for index in range(1, 6):
        await world.provider.speak(upstream_id, f"u{index}", f"Number {index}.")

    await world.has_asked(
        upstream_id, "Number zero.", "Number 1.", "Number 2.", "Number 3.", "Number 4.", "Number 5."
    )  # fmt: skip


@pytest.mark.parametrize("text", ["Привет, мир!", "你好，世界。", "مرحبا بالعالم", "👩‍👩‍👧‍👦 🎉", "a\u0301bc"])
async def test_any_script_arrives_as_it_was_sent(world: ProviderHarness, text: str) -> None:
    upstream_id = await world.open()

    await world.provider.speak(upstream_id, "u", text)

    await world.has_asked(upstream_id, "Hello.", text)


async def test_the_longest_text_is_taken_and_one_more_character_is_not_sent(world: ProviderHarness) -> None:
    upstream_id = await world.open()
    most = world.provider.capabilities.max_text

    await world.provider.speak(upstream_id, "u1", "a" * most)
    with pytest.raises(Invalid) as refusal:
        await world.provider.speak(upstream_id, "u2", "a" * (most + 1))

    assert refusal.value.parameter == "text"
    await world.has_asked(upstream_id, "Hello.", "a" * most)


async def test_the_end_of_speech_is_known(world: ProviderHarness) -> None:
    """By events, in order and after the words, or else by the duration."""
    upstream_id = await world.open("Hello there.")
    speech = await world.provider.speak(upstream_id, "second", "How are you today?")
    if not world.provider.capabilities.reports_speech:
        assert speech.duration == pytest.approx(world.simulator.options.speech.duration("How are you today?"))
        return

    events = await events_until_spoken(world.provider, upstream_id, "second")

    assert [event for event in events if isinstance(event, SpeechStarted | SpeechEnded)] == [
        SpeechStarted("first"), SpeechEnded("first"), SpeechStarted("second"), SpeechEnded("second")
    ]  # fmt: skip
    heard = [word.text for event in events if isinstance(event, WordsHeard) for word in event.words]
    assert "".join(heard) == "Hellothere.Howareyoutoday?"
    assert len(heard) > 4
    assert isinstance(events[-1], StreamEnded)


async def test_fragments_are_one_utterance(world: ProviderHarness) -> None:
    if not world.provider.capabilities.appends:
        pytest.skip("takes whole utterances only")
    upstream_id = await world.open("Hello.")

    for fragment in ("It is ", "twen", "ty past", " nine"):
        await world.provider.speak(upstream_id, "u", fragment, more=True)
    await world.provider.speak(upstream_id, "u", "")
    await world.provider.speak(upstream_id, "v", "Indeed.")

    events = await events_until_spoken(world.provider, upstream_id, "v")
    assert [event for event in events if isinstance(event, SpeechStarted | SpeechEnded)] == [
        SpeechStarted("first"), SpeechEnded("first"), SpeechStarted("u"), SpeechEnded("u"), SpeechStarted("v"),
        SpeechEnded("v"),
    ]  # fmt: skip
    heard = "".join(word.text for event in events if isinstance(event, WordsHeard) for word in event.words)
    assert heard == "Hello.Itistwentypast" + "nineIndeed."
    assert "nine Indeed." in "".join(spoken.text for spoken in world.view(upstream_id).spoken)


async def test_a_cut_ends_the_speech(world: ProviderHarness) -> None:
    upstream_id = await world.open("This is a long story about nothing at all. " * 10)

    if world.provider.capabilities.cut is InterruptMethod.NATIVE:
        await world.provider.interrupt(upstream_id)
        await world.provider.interrupt(upstream_id)
        assert (await world.provider.status(upstream_id)).is_open
    else:
        with pytest.raises(Invalid):
            await world.provider.interrupt(upstream_id)
        await world.provider.close(upstream_id)

    assert world.view(upstream_id).spoken[0].state in ("interrupted", "dropped")


async def test_an_interrupt_before_anybody_watches_is_no_error(world: ProviderHarness) -> None:
    if world.provider.capabilities.cut is not InterruptMethod.NATIVE:
        pytest.skip("cuts by closing")
    upstream_id = await world.provider.create(world.request())
    await world.provider.start(upstream_id)

    await world.provider.interrupt(upstream_id)

    assert (await world.provider.status(upstream_id)).is_open


async def test_open_streams_are_listed_where_that_is_promised(world: ProviderHarness) -> None:
    if not world.provider.capabilities.lists_open:
        with pytest.raises(Invalid):
            await world.provider.list_open()
        return
    assert list(await world.provider.list_open()) == []
    first, second = await world.open(), await world.open()
    await world.provider.close(first)

    (listed,) = await world.provider.list_open()

    assert listed.upstream_id == second
    assert listed.created_at is not None
    assert listed.created_at.tzinfo is not None


async def test_keeping_alive_works_where_that_is_promised(world: ProviderHarness) -> None:
    upstream_id = await world.open(idle=100)
    if not world.provider.capabilities.keeps_alive:
        with pytest.raises(Invalid):
            await world.provider.keep_alive(upstream_id)
        return

    for _ in range(3):
        await world.clock.sleep(40)
        await world.provider.keep_alive(upstream_id)

    assert (await world.provider.status(upstream_id)).is_open


async def test_the_provider_closes_what_nobody_speaks_to(make_world: MakeHarness) -> None:
    world = await make_world(SimulatorOptions())
    upstream_id = await world.open(idle=30)

    await world.clock.sleep(world.provider.capabilities.idle_limit[0] + 5)

    assert not (await world.provider.status(upstream_id)).is_open


async def test_an_idle_end_is_told(make_world: MakeHarness) -> None:
    world = await make_world(SimulatorOptions())
    if not world.provider.capabilities.reports_speech:
        pytest.skip("tells nothing")
    upstream_id = await world.open()

    events = await events_until_the_end(world.provider, upstream_id)

    assert isinstance(events[-1], StreamEnded)
    assert events[-1].reason.lower() == "idle_timeout"


async def test_events_end_when_the_stream_is_closed_here(world: ProviderHarness) -> None:
    upstream_id = await world.open("A story. " * 50)
    follower = asyncio.create_task(events_until_the_end(world.provider, upstream_id))
    await world.clock.sleep(2)

    await world.provider.close(upstream_id)

    events = await follower
    assert [event for event in events if isinstance(event, SpeechEnded)] == []
    if world.provider.capabilities.reports_speech:
        assert isinstance(events[-1], StreamEnded)


async def test_a_stream_dropped_by_the_provider_is_told_with_its_reason(world: ProviderHarness) -> None:
    upstream_id = await world.open("A story. " * 50)
    follower = asyncio.create_task(events_until_the_end(world.provider, upstream_id))
    await world.clock.sleep(1)

    world.simulator.drop_stream(upstream_id, "The renderer crashed.")

    if not world.provider.capabilities.reports_speech:
        assert list(await world.provider.list_open()) == []
    events = await follower
    if world.provider.capabilities.reports_speech:
        assert events[-1] == StreamEnded(world.kind.crash)
    assert not (await world.provider.status(upstream_id)).is_open


async def test_another_process_can_take_a_stream_over(world: ProviderHarness) -> None:
    if not world.kind.can_be_taken_over:
        pytest.skip("the way into a stream is known to its opener alone")
    upstream_id = await world.open("Hello from the first one.")
    async with world.kind.make(SecretStr(KEY), world.simulator.address, world.clock) as second:
        assert (await second.status(upstream_id)).is_open
        follower = asyncio.create_task(events_until_spoken(second, upstream_id, "u"))
        await world.clock.sleep(4)

        await second.speak(upstream_id, "u", "And from the second one.")

        events = await follower
        if second.capabilities.reports_speech:
            spoken = [event for event in events if isinstance(event, SpeechStarted | SpeechEnded)]
            assert spoken == [SpeechStarted("u"), SpeechEnded("u")]
            heard = [word.text for event in events if isinstance(event, WordsHeard) for word in event.words]
            assert heard == ["And", "from", "the", "second", "one", "."]
        await second.close(upstream_id)
    assert world.open_streams() == 0


async def test_another_process_closes_a_stream_that_it_cannot_take_over(world: ProviderHarness) -> None:
    if world.kind.can_be_taken_over:
        pytest.skip("can be taken over")
    spoken_to, followed = await world.open(), await world.open()
    async with world.kind.make(SecretStr(KEY), world.simulator.address, world.clock) as second:
        assert (await second.status(followed)).is_open
        assert {stream.upstream_id for stream in await second.list_open()} == {spoken_to, followed}

        with pytest.raises(StreamGone):
            await second.speak(spoken_to, "u", "Who are you?")
        (event,) = await events_until_the_end(second, followed)

        assert isinstance(event, StreamEnded)
    assert world.open_streams() == 0


async def test_a_broken_word_stream_is_read_on_without_repeating_anything(world: ProviderHarness) -> None:
    if not (world.provider.capabilities.reports_speech and world.kind.speak):
        pytest.skip("tells no words over HTTP")
    upstream_id = await world.open("One two three four five six seven eight nine ten.")
    for seconds in (0.7, 0.9, 1.1):
        world.simulator.faults.add(Effect.CUT_AFTER, method="GET", path="*/words", seconds=seconds)

    events = await events_until_spoken(world.provider, upstream_id, "first")

    heard = [word.text for event in events if isinstance(event, WordsHeard) for word in event.words]
    assert heard == ["One", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "."]
    assert [e for e in events if isinstance(e, SpeechEnded)] == [SpeechEnded("first")]
    assert len(world.simulator.faults.waiting) < 3


async def test_a_wrong_key_is_told_without_the_key(make_world: MakeHarness) -> None:
    world = await make_world(key="wrong-key-987654321")

    with pytest.raises(AuthenticationFailed) as refusal:
        await world.provider.create(world.request())

    assert world.kind.key_setting in str(refusal.value)
    assert "wrong-key" not in str(refusal.value)


async def test_an_unknown_avatar_is_named_as_the_culprit(world: ProviderHarness) -> None:
    with pytest.raises(Invalid) as refusal:
        await world.provider.create(world.request(avatar="nobody"))

    assert refusal.value.parameter == "avatar"
    assert world.open_streams() == 0


async def test_an_unknown_voice_is_named_as_the_culprit(world: ProviderHarness) -> None:
    with pytest.raises(Invalid) as refusal:
        await world.provider.create(world.request(voice="nobody"))

    assert refusal.value.parameter == "voice"


async def test_without_an_avatar_and_a_voice_the_provider_has_its_own(world: ProviderHarness) -> None:
    upstream_id = await world.provider.create(world.request(avatar="", voice=""))

    assert (await world.provider.status(upstream_id)).is_open


async def test_an_avatar_without_a_voice_speaks_with_its_own(world: ProviderHarness) -> None:
    upstream_id = await world.order(world.request(avatar=world.kind.other_avatar, voice=""))

    assert world.view(upstream_id).avatar == world.kind.other_avatar


async def test_one_stream_too_many_is_told_and_a_close_makes_room(make_world: MakeHarness) -> None:
    world = await make_world(
        SimulatorOptions(v1_concurrency=1, v3_concurrency=1, liveavatar_concurrency=1, v3_idle=500)
    )
    first = await world.open()

    with pytest.raises(ConcurrencyReached):
        await world.order(world.request())

    await world.provider.close(first)
    assert (await world.provider.status(await world.open())).is_open


async def test_an_empty_account_is_told(make_world: MakeHarness) -> None:
    world = await make_world(SimulatorOptions(balance=Decimal(0)))

    with pytest.raises(QuotaExhausted):
        await world.order(world.request())


async def test_the_catalogue_names_avatars_and_voices_that_work(world: ProviderHarness) -> None:
    avatars, voices = await world.provider.avatars(), await world.provider.voices()

    assert world.kind.avatar in {avatar.id for avatar in avatars}
    assert all(avatar.name and avatar.picture for avatar in avatars)
    assert world.kind.voice in {voice.id for voice in voices}


async def test_the_balance_is_said_in_words(make_world: MakeHarness) -> None:
    world = await make_world(SimulatorOptions(balance=Decimal("12.5")))

    balance = await world.provider.balance()

    assert balance is not None
    assert balance.startswith("$ ") or balance.endswith(" credits")


async def test_only_a_provider_that_chats_takes_a_question(world: ProviderHarness) -> None:
    upstream_id = await world.open()
    if not world.provider.capabilities.chat:
        with pytest.raises(Invalid):
            await world.provider.speak(upstream_id, "u", "Who are you?", Mode.CHAT)
        return

    speech = await world.provider.speak(upstream_id, "u", "Who are you?", Mode.CHAT)

    assert speech.duration is None
    assert world.view(upstream_id).spoken[-1].text != "Who are you?"


async def test_a_cancelled_caller_leaves_a_working_provider(world: ProviderHarness) -> None:
    world.simulator.faults.add(Effect.HANG, method=world.kind.create[0], path=world.kind.create[1], times=20)
    callers = [asyncio.create_task(world.provider.create(world.request())) for _ in range(20)]
    await eventually(lambda: not world.simulator.faults.waiting)
    for caller in callers:
        caller.cancel()
    outcomes = await asyncio.gather(*callers, return_exceptions=True)

    assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
    assert world.open_streams() == 0
    upstream_id = await world.open()
    assert (await world.provider.status(upstream_id)).is_open


async def test_a_cancelled_follower_can_be_followed_by_another(world: ProviderHarness) -> None:
    if not world.provider.capabilities.reports_speech:
        pytest.skip("tells nothing")
    upstream_id = await world.open("One two three.")
    follower = asyncio.create_task(events_until_the_end(world.provider, upstream_id))
    await asyncio.sleep(0)
    follower.cancel()
    with pytest.raises(asyncio.CancelledError):
        await follower

    events = await events_until_spoken(world.provider, upstream_id, "first")

    assert [event for event in events if isinstance(event, SpeechEnded)] == [SpeechEnded("first")]


async def test_nothing_is_remembered_of_closed_streams(make_world: MakeHarness) -> None:
    world = await make_world(
        SimulatorOptions(v1_concurrency=50, v3_concurrency=50, v3_idle=500, liveavatar_concurrency=50)
    )
    for upstream_id in await asyncio.gather(*(world.open() for _ in range(20))):
        await world.provider.close(upstream_id)
        with pytest.raises(StreamGone):
            await world.provider.speak(upstream_id, "u", "Too late.")
        assert not (await world.provider.status(upstream_id)).is_open

    remembered = [len(value) for value in vars(world.provider).values() if isinstance(value, dict)]

    assert remembered
    assert set(remembered) == {0}


async def test_only_provider_errors_leave_it(world: ProviderHarness) -> None:
    """Even where the other side is no API at all."""
    world.simulator.faults.add(Effect.STATUS, times=None, status=302, body="<a href='elsewhere'>moved</a>")

    for call in (
        lambda: world.provider.create(world.request()),
        lambda: world.provider.start("x"),
        lambda: world.provider.status("x"),
        lambda: world.provider.close("x"),
        lambda: world.provider.speak("x", "u", "Hello."),
        lambda: world.provider.avatars(),
        lambda: world.provider.balance(),
    ):
        with pytest.raises(ProviderError):
            await call()
