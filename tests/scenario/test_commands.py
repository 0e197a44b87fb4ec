"""The command table as people use it: who may, what is answered, what is written down."""

import asyncio
import re
from pathlib import Path

import pytest

from adapters.simulator import Effect
from bot.commands.parser import CommandContext, parse
from bot.core.errors import StoreError
from bot.core.models import Actor, Channel, Mode, Role, UtteranceState
from bot.core.views import Reply, Visibility
from tests.builders import an_actor
from tests.harness.bot import ADA, ANA, CHANNEL, BotHarness, with_policy

GUEST = an_actor("Guest", role=Role.VIEWER)
BLOCKED = an_actor("Blocked", role=Role.BLOCKED)


async def test_a_command_without_a_session_says_how_to_start_one(realtime: BotHarness) -> None:
    for line in ("say hi", "ask hi", "interrupt", "skip", "clear", "queue", "mode", "status", "watch", "stop"):
        reply = await realtime.type(f"/avatar {line}")
        assert reply.text == "No avatar is in this channel. Start one with `/avatar start`.", line
        assert reply.visibility is Visibility.PRIVATE, line


async def test_a_viewer_may_look_but_not_speak_start_or_stop(realtime: BotHarness) -> None:
    await realtime.start()
    assert (await realtime.type("/avatar status", GUEST)).fields
    assert (await realtime.type("/avatar watch", GUEST)).link
    for line in ("say hi", "skip", "stop", "start", "mode chat"):
        assert (await realtime.type(f"/avatar {line}", GUEST)).text.startswith("You may not"), line


async def test_the_blocked_get_one_sentence_for_everything(realtime: BotHarness) -> None:
    await realtime.start()
    for line in ("status", "say hi", "stop", "help"):
        reply = await realtime.type(f"/avatar {line}", BLOCKED)
        assert reply.text == "You are blocked from using the avatar here.", line


async def test_admin_commands_are_for_admins_and_a_refusal_is_audited(realtime: BotHarness) -> None:
    running = await realtime.start()
    reply = await realtime.type(f"/avatar-admin stop {running.session.id}", ANA)
    assert reply.text.startswith("Only admins of this bot can do that.")
    entries = [entry.action for entry in await realtime.store.audit.newest(10)]
    assert sorted(entries) == ["refused", "start"]


async def test_an_admin_sees_every_session_and_can_stop_one_by_its_id(realtime: BotHarness) -> None:
    running = await realtime.start()
    await realtime.start(channel=Channel("test", "workspace", "random"))
    listed = await realtime.type("/avatar-admin sessions", ADA)
    assert listed.text == "2 open sessions."
    assert {name for name, _ in listed.fields} == {one.session.id for one in realtime.sessions}
    await realtime.type(f"/avatar-admin stop {running.session.id}", ADA)
    await realtime.until(running.closed.is_set)
    assert realtime.notices[-1].startswith("An admin has sent the avatar away")
    assert len(realtime.open_streams) == 1


async def test_stopping_an_unknown_session_says_where_to_look(realtime: BotHarness) -> None:
    reply = await realtime.type("/avatar-admin stop zzzzzz", ADA)
    assert reply.text == "There is no open session zzzzzz. `/avatar-admin sessions` lists them."


async def test_cleanup_closes_what_has_been_silent_for_a_minute_and_nothing_else(streaming: BotHarness) -> None:
    silent = await streaming.start()
    busy = await streaming.start(channel=Channel("test", "workspace", "random"))
    await streaming.pass_time(55)
    await streaming.write("still here", channel=busy.session.channel)
    await streaming.pass_time(10)
    pending = streaming.type("/avatar-admin cleanup", ADA)
    reply = await pending
    assert reply.text == "Closed 1 session."
    assert silent.closed.is_set()
    assert not busy.closed.is_set()


async def open_as_a_stranger(world: BotHarness) -> str:
    """A stream that no row of the bot knows."""
    services = world.sessions.services
    request = services.policy.stream_request(
        services.provider.capabilities, avatar="", voice="", quality="low", remaining=600, initial_text=None
    )
    return await services.provider.create(request)


async def test_cleanup_reports_streams_nobody_here_owns_and_leaves_them_alone(streaming: BotHarness) -> None:
    stranger = await open_as_a_stranger(streaming)
    assert (await streaming.type("/avatar-admin cleanup", ADA)).text == (
        "Closed no sessions. The provider has 1 more open stream that no session here owns; "
        "it may belong to somebody else who uses the same key, so I left it alone."
    )
    assert [view.id for view in streaming.open_streams] == [stranger]


async def test_cleanup_says_that_streams_nobody_owns_are_closed_where_the_key_is_ours(tmp_path: Path) -> None:
    async with BotHarness(tmp_path, "heygen-streaming", policy=with_policy(exclusive_key=True), jobs=True) as world:
        await open_as_a_stranger(world)
        assert (await world.type("/avatar-admin cleanup", ADA)).text == (
            "Closed no sessions. The provider has 1 more open stream that no session here owns; "
            "nobody else uses this key (AVATAR_KEY_EXCLUSIVE), so I close it within half a minute."
        )
        await world.pass_time(30)
        assert world.open_streams == []


async def test_queue_lists_what_waits_with_its_authors(realtime: BotHarness) -> None:
    await realtime.start()
    long = "the first one takes long enough that the others have to wait for it to be over"
    await realtime.write(long)
    await realtime.write("second", an_actor("Bo"))
    await realtime.until(lambda: realtime.states(long)[-1:] == [UtteranceState.SPEAKING])
    reply = await realtime.type("/avatar queue")
    assert reply.text.splitlines()[0].startswith("Now: the first one takes long enough")
    assert reply.text.splitlines()[1] == "1. second (Bo)"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("/avatar interrupt", "Quiet."),
        ("/avatar skip", "Skipped."),
        ("/avatar clear", "1 waiting message"),
        ("/avatar queue", "hello"),
    ],
)
async def test_a_command_on_the_heels_of_a_message_comes_after_it(realtime: BotHarness, line: str, answer: str) -> None:
    await realtime.start()
    writing = asyncio.create_task(realtime.write("hello", key="test:1"))
    await asyncio.sleep(0)
    reply = await realtime.commands.run(delivered(realtime, line))
    assert reply is not None
    assert answer in reply.text
    await writing


@pytest.mark.parametrize("line", ["/avatar interrupt", "/avatar skip"])
async def test_what_is_cut_on_its_heels_is_not_said_to_its_end(realtime: BotHarness, line: str) -> None:
    await realtime.start()
    # Its greeting is over, or that would be what is cut.
    await realtime.pass_time(10)
    writing = asyncio.create_task(realtime.write("a message that takes a while to be said", key="test:1"))
    await asyncio.sleep(0)
    await realtime.commands.run(delivered(realtime, line))
    await writing
    await realtime.pass_time(20)
    assert realtime.states("a message that takes a while to be said")[-1] is UtteranceState.INTERRUPTED


async def test_what_was_asked_before_a_message_is_done_before_it_gets_in_line(realtime: BotHarness) -> None:
    await realtime.start()
    texts = [f"the {place} message, which takes a while to be said" for place in ("first", "second", "third")]
    for text in texts[:2]:
        await realtime.write(text)
    await realtime.until(lambda: realtime.states(texts[0])[-1:] == [UtteranceState.SPEAKING])
    # The skip lets go on what the interrupt has paused, and cuts nothing; the message must not take its pause away.
    await asyncio.gather(
        *(realtime.type(line) for line in ("/avatar interrupt", "/avatar skip")), realtime.write(texts[2])
    )
    await realtime.until(lambda: realtime.ended_as(texts[2], UtteranceState.SPOKEN))
    assert [realtime.states(text)[-1] for text in texts[:2]] == [UtteranceState.INTERRUPTED, UtteranceState.SPOKEN]


async def test_two_skips_in_one_moment_skip_two_messages(realtime: BotHarness) -> None:
    await realtime.start()
    texts = [f"the {place} message, which takes a while to be said" for place in ("first", "second", "third")]
    for text in texts:
        await realtime.write(text)
    await realtime.until(lambda: realtime.states(texts[0])[-1:] == [UtteranceState.SPEAKING])
    for _ in range(2):
        await realtime.type("/avatar skip")
    await realtime.until(lambda: realtime.ended_as(texts[2], UtteranceState.SPOKEN))
    assert [realtime.states(text)[-1] for text in texts[:2]] == [UtteranceState.INTERRUPTED] * 2
    assert texts[1] not in realtime.heard


async def test_queue_lists_messages_that_came_while_the_avatar_starts(realtime: BotHarness) -> None:
    await realtime.type("/avatar start")
    await realtime.write("early")
    assert (await realtime.type("/avatar queue")).text == "1. early (Ana)"


async def test_status_says_state_mode_starter_queue_time_and_cost(realtime: BotHarness) -> None:
    await realtime.start()
    fields = dict((await realtime.type("/avatar status")).fields)
    assert fields["State"] == "live"
    assert fields["Mode"] == "repeat (it says what you write)"
    assert fields["Started by"] == "Ana"
    assert fields["Waiting"] == "no messages"
    assert fields["Leaves in"] == "1 h"
    assert re.fullmatch(r"open \d+ s, spoken [12] s, about \$0\.\d\d", fields["So far"])


async def test_start_takes_avatar_voice_mode_and_quality(streaming: BotHarness) -> None:
    running = await streaming.start('/avatar start mode=chat quality=low avatar="sim-juno"')
    assert running.session.quality == "low"
    assert running.session.mode == "chat"
    assert streaming.open_streams[0].avatar == "sim-juno"
    assert running.view().avatar == "Juno"


async def test_a_wrong_choice_names_the_right_ones(realtime: BotHarness) -> None:
    assert (
        await realtime.type("/avatar start mode=sing")
    ).text == "`sing` is not a valid mode. Choose one of: repeat, chat."
    assert (
        await realtime.type("/avatar mode sing", channel=CHANNEL)
    ).text == "`sing` is not a valid mode. Choose one of: repeat, chat."
    assert realtime.sessions.in_channel(CHANNEL) is None


async def test_help_shows_admin_commands_to_admins_only(realtime: BotHarness) -> None:
    assert not any("/avatar-admin" in line for line, _ in (await realtime.type("/avatar help", ANA)).fields)
    assert any("/avatar-admin" in line for line, _ in (await realtime.type("/avatar help", ADA)).fields)


async def test_stop_twice_says_that_it_is_being_closed(realtime: BotHarness) -> None:
    running = await realtime.start()
    realtime.simulator.faults.add(
        method="POST", path="/v3/avatar-realtime/*/cancel", effect=Effect.LATENCY, seconds=2.0
    )
    await realtime.type("/avatar stop")
    assert (await realtime.type("/avatar stop")).text.startswith("The avatar is just leaving this channel.")
    assert (await realtime.type("/avatar start")).text.startswith("The avatar is just leaving this channel.")
    await realtime.until(running.closed.is_set)


# --- delivered again -------------------------------------------------------------------------------------------------


def delivered(world: BotHarness, line: str, *, key: str = "delivery-1", actor: Actor = ADA) -> CommandContext:
    """A command as a platform delivers it that may deliver it again."""
    group, _, rest = line.removeprefix("/").partition(" ")
    return CommandContext(parse(rest, world.commands.usages, group), CHANNEL, actor, keys=(key,))


@pytest.mark.parametrize("instant", range(1, 7))
async def test_a_stop_that_a_crash_cut_off_is_done_when_it_is_delivered_again(tmp_path: Path, instant: int) -> None:
    async with BotHarness(tmp_path) as world:
        await world.start()
        world.crash_injector.crash_in(instant)
        answering = asyncio.create_task(world.commands.run(delivered(world, "/avatar stop")))
        await world.crash_injector.gone.wait()
        await world.crash()
        await asyncio.gather(answering, return_exceptions=True)
        await world.boot()
        await world.commands.run(delivered(world, "/avatar stop"))
        assert world.running is None or world.running.stop.is_set
        await world.until(lambda: world.running is None)
        assert world.open_streams == []


@pytest.mark.parametrize("line", ["/avatar stop", "/avatar start", "/avatar mode chat", "/avatar-admin stop-all"])
async def test_a_command_delivered_twice_is_answered_once(realtime: BotHarness, line: str) -> None:
    await realtime.start()
    first = await realtime.commands.run(delivered(realtime, line))
    assert first is not None
    assert await realtime.commands.run(delivered(realtime, line)) is None


@pytest.mark.parametrize("line", ["/avatar stop", "/avatar skip", "/avatar-admin usage"])
async def test_a_command_delivered_twice_at_once_is_answered_once(realtime: BotHarness, line: str) -> None:
    await realtime.start()
    again = (realtime.commands.run(delivered(realtime, line)) for _ in range(5))
    assert sum(isinstance(reply, Reply) for reply in await asyncio.gather(*again)) == 1


async def test_a_refusal_that_is_delivered_again_is_answered_once(realtime: BotHarness) -> None:
    ctx = delivered(realtime, "/avatar stop", actor=GUEST)
    assert await realtime.commands.run(ctx) is not None
    assert await realtime.commands.run(ctx) is None


async def test_a_stop_is_done_and_answered_where_the_database_takes_nothing(realtime: BotHarness) -> None:
    running = await realtime.start()
    realtime.unwritable = set(range(100))
    reply = await realtime.commands.run(delivered(realtime, "/avatar stop"))
    assert reply is not None
    assert reply.text == "Stopping the avatar…"
    realtime.unwritable = set()
    await realtime.until(running.closed.is_set)


async def test_a_start_is_not_begun_where_the_database_takes_nothing(realtime: BotHarness) -> None:
    realtime.unwritable = {0}
    with pytest.raises(StoreError):
        await realtime.commands.run(delivered(realtime, "/avatar start"))
    assert realtime.running is None


async def test_a_command_that_failed_is_done_when_it_is_delivered_again(realtime: BotHarness) -> None:
    realtime.unwritable = {0}
    with pytest.raises(StoreError):
        await realtime.commands.run(delivered(realtime, "/avatar mode chat"))
    assert await realtime.commands.run(delivered(realtime, "/avatar mode chat")) is not None
    assert (await realtime.store.channels.settings(CHANNEL)).mode is Mode.CHAT
