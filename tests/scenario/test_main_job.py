"""The main job on every provider: start, speak, answer, the four ways to stop, and the end."""

import asyncio

from bot.core.models import Mode, SessionState, UtteranceState
from tests.harness.bot import ANA, CHANNEL, BotHarness


async def test_start_answers_at_once_with_the_link_and_tells_when_the_avatar_is_live(world: BotHarness) -> None:
    reply = await world.type("/avatar start")
    assert reply.text.startswith("Starting the avatar…")
    assert reply.link is not None
    assert reply.link.startswith("https://watch.test/w/")
    await world.until(lambda: any("is live" in notice for notice in world.notices))
    assert len(world.open_streams) == 1


async def test_messages_are_spoken_in_the_order_they_were_written(world: BotHarness) -> None:
    await world.start()
    texts = ["first", "second one", "and the third, which is longer", "fourth"]
    for text in texts:
        await world.write(text)
    await world.until(lambda: world.ended_as("fourth", UtteranceState.SPOKEN))
    assert world.spoken == texts
    assert world.states("first")[-2:] == [UtteranceState.SPEAKING, UtteranceState.SPOKEN]


async def test_messages_written_while_the_avatar_starts_are_spoken_when_it_is_there(world: BotHarness) -> None:
    await world.type("/avatar start")
    receipt = await world.write("early bird")
    assert not receipt.live_yet
    await world.until(lambda: world.ended_as("early bird", UtteranceState.SPOKEN))
    assert world.spoken == ["early bird"]


async def test_twenty_simultaneous_starts_give_one_session_and_one_stream(world: BotHarness) -> None:
    replies = await asyncio.gather(*(world.type("/avatar start") for _ in range(20)))
    first = [reply for reply in replies if reply.text.startswith("Starting")]
    others = [reply for reply in replies if reply.text.startswith("An avatar is already in this channel")]
    assert (len(first), len(others)) == (1, 19)
    assert {reply.link for reply in replies} == {first[0].link}
    running = world.sessions.in_channel(CHANNEL)
    assert running is not None
    await world.until(lambda: running.is_live)
    assert len(world.simulator.streams()) == 1


async def test_second_start_points_at_the_running_session(world: BotHarness) -> None:
    running = await world.start()
    reply = await world.type("/avatar start")
    assert reply.text == "An avatar is already in this channel, started by Ana. Everybody can watch and write to it."
    assert reply.link == running.view().watch_url


async def test_interrupt_cuts_now_and_keeps_the_queue_until_somebody_goes_on(world: BotHarness) -> None:
    await world.start()
    await world.write("a rather long sentence that takes its time to be spoken to the end")
    await world.write("kept")
    await world.until(
        lambda: (
            world.states("a rather long sentence that takes its time to be spoken to the end")[-1:]
            == [UtteranceState.SPEAKING]
        )
    )
    await world.pass_time(1)
    reply = await world.type("/avatar interrupt")
    assert reply.text.startswith("Quiet. 1 message waits")
    await world.pass_time(20)
    assert world.ended_as(
        "a rather long sentence that takes its time to be spoken to the end", UtteranceState.INTERRUPTED
    )
    assert world.spoken == []
    assert (await world.type("/avatar skip")).text == "Going on with 1 waiting message."
    await world.until(lambda: world.ended_as("kept", UtteranceState.SPOKEN))
    assert world.spoken == ["kept"]


async def test_a_new_message_ends_the_silence_after_an_interrupt_in_order(world: BotHarness) -> None:
    await world.start()
    for text in ("a long first sentence that will be cut in the middle", "second", "third"):
        await world.write(text)
    await world.until(
        lambda: UtteranceState.SPEAKING in world.states("a long first sentence that will be cut in the middle")
    )
    await world.type("/avatar interrupt")
    await world.pass_time(5)
    await world.write("fourth")
    await world.until(lambda: world.ended_as("fourth", UtteranceState.SPOKEN))
    assert world.spoken == ["second", "third", "fourth"]


async def test_skip_cuts_the_current_message_and_goes_on_with_the_next(world: BotHarness) -> None:
    await world.start()
    long = "a rather long sentence that nobody wants to hear to its very end, really nobody"
    for text in (long, "next"):
        await world.write(text)
    await world.until(lambda: world.states(long)[-1:] == [UtteranceState.SPEAKING])
    await world.pass_time(1)
    assert (await world.type("/avatar skip")).text == "Skipped. 1 message left."
    await world.until(lambda: world.ended_as("next", UtteranceState.SPOKEN))
    assert world.ended_as(long, UtteranceState.INTERRUPTED)
    assert world.spoken == ["next"]


async def test_clear_empties_the_queue_and_lets_the_current_message_end(world: BotHarness) -> None:
    await world.start()
    for text in (
        "this one is being said to its end, as it is the current one, and it takes quite a while",
        "b",
        "c",
        "d",
    ):
        await world.write(text)
    current = "this one is being said to its end, as it is the current one, and it takes quite a while"
    await world.until(lambda: world.states(current)[-1:] == [UtteranceState.SPEAKING])
    assert (await world.type("/avatar clear")).text.startswith("Dropped 3 waiting messages.")
    await world.until(lambda: world.ended_as(current, UtteranceState.SPOKEN))
    await world.pass_time(5)
    assert world.spoken == [current]
    assert world.ended_as("d", UtteranceState.DROPPED)


async def test_stop_closes_the_stream_and_says_what_it_cost(world: BotHarness) -> None:
    running = await world.start()
    await world.pass_time(10)
    assert (await world.type("/avatar stop")).text == "Stopping the avatar…"
    await world.until(running.closed.is_set)
    assert world.open_streams == []
    assert world.notices[-1].startswith("The avatar has left after")
    session = await world.store.sessions.get(running.session.id)
    assert session is not None
    assert session.state is SessionState.CLOSED
    assert (await world.type("/avatar status")).text.startswith("No avatar is in this channel.")


async def test_stop_drops_what_waits_and_tells_its_fate(world: BotHarness) -> None:
    running = await world.start()
    long = "a long message that is being said when somebody stops the avatar in this channel"
    for text in (long, "waiting"):
        await world.write(text)
    await world.until(lambda: world.states(long)[-1:] == [UtteranceState.SPEAKING])
    await world.type("/avatar stop")
    await world.until(running.closed.is_set)
    assert world.ended_as(long, UtteranceState.INTERRUPTED)
    assert world.ended_as("waiting", UtteranceState.DROPPED)


async def test_stop_while_the_avatar_starts_leaves_nothing_open(world: BotHarness) -> None:
    await world.type("/avatar start")
    running = world.sessions.in_channel(CHANNEL)
    assert running is not None
    await world.type("/avatar stop")
    await world.until(running.closed.is_set)
    await world.pass_time(5)
    assert world.open_streams == []


async def test_a_channel_can_start_again_after_a_stop(world: BotHarness) -> None:
    for _ in range(3):
        running = await world.start()
        await world.write("again")
        await world.until(running.idle.is_set)
        await world.type("/avatar stop")
        await world.until(running.closed.is_set)
    assert world.spoken == ["again"] * 3
    assert world.open_streams == []


async def test_ask_is_answered_and_say_is_repeated_whatever_the_mode(world: BotHarness) -> None:
    await world.start()
    await world.type("/avatar ask what is the weather like?")
    await world.type("/avatar say just this")
    await world.until(lambda: world.ended_as("just this", UtteranceState.SPOKEN))
    assert "just this" in world.spoken
    assert "what is the weather like?" not in world.spoken or world.sessions.services.provider.capabilities.chat
    assert world.ended_as("what is the weather like?", UtteranceState.SPOKEN)


async def test_mode_changes_what_becomes_of_messages_and_is_remembered_by_the_channel(world: BotHarness) -> None:
    running = await world.start()
    assert (await world.type("/avatar mode chat")).text.startswith("The avatar is now in mode chat")
    await world.write("are you there?")
    await world.until(lambda: world.ended_as("are you there?", UtteranceState.SPOKEN))
    await world.type("/avatar stop")
    await world.until(running.closed.is_set)
    assert (await world.start()).session.mode is Mode.CHAT


async def test_nobody_else_can_speak_in_another_channel(world: BotHarness) -> None:
    await world.start()
    other = type(CHANNEL)("test", "workspace", "random")
    reply = await world.type("/avatar say hello", ANA, other)
    assert reply.text == "No avatar is in this channel. Start one with `/avatar start`."


async def test_clear_says_that_the_next_message_is_with_the_avatar_already(realtime: BotHarness) -> None:
    await realtime.start()
    for text in ("short one", "sent ahead", "waits"):
        await realtime.write(text)
    await realtime.until(lambda: UtteranceState.SENDING in realtime.states("sent ahead"))
    reply = await realtime.type("/avatar clear")
    assert reply.text.startswith("Dropped 1 waiting message. One more message has already been sent to the avatar")
    await realtime.until(lambda: realtime.ended_as("sent ahead", UtteranceState.SPOKEN))
    await realtime.pass_time(5)
    assert realtime.spoken == ["short one", "sent ahead"]


async def test_an_interrupt_takes_back_what_was_sent_ahead_and_it_is_spoken_once(realtime: BotHarness) -> None:
    await realtime.start()
    for text in ("short one", "sent ahead", "waits"):
        await realtime.write(text)
    await realtime.until(lambda: UtteranceState.SENDING in realtime.states("sent ahead"))
    await realtime.type("/avatar interrupt")
    await realtime.until(lambda: realtime.ended_as("short one", UtteranceState.INTERRUPTED))
    await realtime.type("/avatar skip")
    await realtime.until(lambda: realtime.ended_as("waits", UtteranceState.SPOKEN))
    assert realtime.spoken == ["sent ahead", "waits"]
