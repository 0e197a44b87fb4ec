"""The one list of scenarios that every platform passes, over its real client library: what people type, press and read.

Knows no platform. What only one of them has is tested in `tests/scenario/<platform>`.
"""

import asyncio

import pytest

from adapters.simulator.wire import Json
from tests.platforms.platform_driver import ADA, ANA, BEN, LONG, Driver


async def begin(chat: Driver) -> None:
    """Bring the avatar and wait until it is live and has said its greeting."""
    await chat.command("/avatar start")
    await chat.until_read("live")
    await chat.bot.until(lambda: all(running.is_live and running.idle.is_set() for running in chat.bot.bot.sessions))


async def test_start_says_what_it_costs_when_it_leaves_and_where_to_watch(chat: Driver) -> None:
    answer = await chat.command("/avatar start")
    assert "Starting the avatar" in answer
    assert "$3.00" in answer
    assert "after 5 min without a message" in answer
    assert "https://watch.example.com/w/" in answer
    await chat.until_read("live")
    assert chat.bot.open_streams == 1


async def test_second_start_points_at_the_running_session(chat: Driver) -> None:
    await begin(chat)
    answer = await chat.command("/avatar start", by=BEN)
    assert "already in this channel" in answer
    assert "https://watch.example.com/w/" in answer
    # Ever: on a busy machine the one there was may have ended for its silence by now.
    assert len(chat.bot.simulator.streams()) == 1


async def test_messages_are_spoken_in_the_order_they_were_written(chat: Driver) -> None:
    await begin(chat)
    texts = [f"sentence number {number}" for number in range(8)]
    for number, text in enumerate(texts):
        await chat.write(text, by=(ANA, BEN)[number % 2])
    await chat.bot.until(lambda: chat.bot.spoken == texts)


async def test_said_words_are_spoken_as_they_are(chat: Driver) -> None:
    await begin(chat)
    answer = await chat.command("/avatar say good morning, everybody")
    assert "The avatar is saying it now." in answer
    await chat.bot.until(lambda: chat.bot.spoken == ["good morning, everybody"])


async def test_answer_to_a_question_is_spoken_and_can_be_read(chat: Driver) -> None:
    await begin(chat)
    await chat.command("/avatar ask who are you?")
    await chat.until_read("stand-in for a language model")
    assert any("stand-in" in text for text in chat.bot.spoken)


async def test_answer_that_breaks_off_can_be_read_as_far_as_it_came_and_why(chat: Driver) -> None:
    await begin(chat)
    body: Json = {"choices": [{"message": {"content": "The weather is fine, but"}, "finish_reason": "length"}]}
    chat.bot.simulator.faults.add("status", path="/v1/chat/completions", status=200, body=body)
    await chat.command("/avatar ask how is the weather?")
    await chat.until_read("The avatar's answer broke off: it reached the longest that an answer may be.")
    await chat.until_read("The weather is fine, but")


async def test_mode_chat_lets_it_answer_messages(chat: Driver) -> None:
    await begin(chat)
    assert "mode chat" in await chat.command("/avatar mode chat")
    await chat.write("who are you?")
    await chat.until_read("stand-in for a language model")
    assert "mode repeat" in await chat.command("/avatar mode repeat")


async def test_interrupt_keeps_the_queue_and_skip_goes_on(chat: Driver) -> None:
    await begin(chat)
    await chat.write(LONG)
    await chat.write("kept")
    answer = await chat.command("/avatar interrupt")
    assert "1 message" in answer
    assert "kept" in await chat.command("/avatar queue")
    await chat.command("/avatar skip")
    await chat.bot.until(lambda: chat.bot.spoken == ["kept"])


async def test_skip_cuts_what_is_said_and_goes_on(chat: Driver) -> None:
    await begin(chat)
    await chat.write(LONG)
    await chat.write("the next one")
    await chat.command("/avatar skip")
    await chat.bot.until(lambda: chat.bot.spoken == ["the next one"])


async def test_clear_drops_what_waits(chat: Driver) -> None:
    await begin(chat)
    await chat.write(LONG)
    await chat.write("never said")
    assert "Dropped 1 waiting message." in await chat.command("/avatar clear")
    assert "Now:" in await chat.command("/avatar queue")
    await chat.command("/avatar skip")
    await chat.write("said")
    await chat.bot.until(lambda: chat.bot.spoken == ["said"])


async def test_status_shows_how_it_is_doing(chat: Driver) -> None:
    await begin(chat)
    answer = await chat.command("/avatar status", by=BEN)
    for fragment in ("live", "repeat", "no messages", "https://watch.example.com/w/"):
        assert fragment in answer


async def test_watch_hands_out_the_link(chat: Driver) -> None:
    await begin(chat)
    assert "https://watch.example.com/w/" in await chat.command("/avatar watch", by=BEN)


async def test_stop_closes_the_stream_and_says_so(chat: Driver) -> None:
    await begin(chat)
    assert "Stopping the avatar" in await chat.command("/avatar stop")
    await chat.until_read("The avatar has left")
    await chat.bot.until(lambda: chat.bot.open_streams == 0)
    assert "No avatar is in this channel" in await chat.command("/avatar status")


@pytest.mark.parametrize(
    "line",
    ["/avatar say hello", "/avatar ask hello", "/avatar interrupt", "/avatar skip", "/avatar clear", "/avatar queue",
     "/avatar status", "/avatar watch", "/avatar keep", "/avatar stop"],
)  # fmt: skip
async def test_without_an_avatar_the_answer_says_how_to_bring_one(chat: Driver, line: str) -> None:
    assert "No avatar is in this channel. Start one with `/avatar start`." in await chat.command(line)


async def test_nothing_to_cut_is_said_so(chat: Driver) -> None:
    await begin(chat)
    await chat.bot.until(lambda: all(running.idle.is_set() for running in chat.bot.bot.sessions))
    assert "is not saying anything" in await chat.command("/avatar interrupt")
    assert "is not saying anything" in await chat.command("/avatar skip")


async def test_message_without_an_avatar_is_answered(chat: Driver) -> None:
    await chat.write("is anybody there?")
    await chat.until_read("No avatar is in this channel")


async def test_help_lists_the_commands(chat: Driver) -> None:
    answer = await chat.command("/avatar help")
    for fragment in ("/avatar start", "/avatar say", "/avatar interrupt"):
        assert fragment in answer


async def test_twenty_starts_at_once_give_one_avatar(chat: Driver) -> None:
    answers = await asyncio.gather(*(chat.command("/avatar start", by=(ANA, BEN)[n % 2]) for n in range(20)))
    assert sum("Starting the avatar" in answer for answer in answers) == 1
    assert sum("already in this channel" in answer for answer in answers) == 19
    await chat.until_read("live")
    assert len(chat.bot.simulator.streams()) == 1


async def test_admin_lists_and_stops_sessions(chat: Driver) -> None:
    await begin(chat)
    (running,) = chat.bot.bot.sessions
    answer = await chat.command("/avatar-admin sessions", by=ADA)
    assert "1 open session." in answer
    assert running.session.id in answer
    await chat.command(f"/avatar-admin stop {running.session.id}", by=ADA)
    await chat.until_read("An admin has sent the avatar away")


async def test_admin_is_told_of_a_session_that_is_not_there(chat: Driver) -> None:
    assert "There is no open session nonsense" in await chat.command("/avatar-admin stop nonsense", by=ADA)


async def test_cleanup_leaves_a_busy_session_alone(chat: Driver) -> None:
    await begin(chat)
    assert "Closed no sessions." in await chat.command("/avatar-admin cleanup", by=ADA)
    assert chat.bot.open_streams == 1


async def test_members_may_not_use_the_commands_of_admins(chat: Driver) -> None:
    if not chat.has_roles:
        pytest.skip("whoever sits at the console is an admin")
    for line in ("/avatar-admin sessions", "/avatar-admin cleanup", "/avatar-admin stop abc"):
        assert "Only admins of this bot can do that" in await chat.command(line, by=ANA)


async def test_too_much_for_the_queue_is_refused_with_a_sentence(chat: Driver) -> None:
    await begin(chat)
    await chat.write(LONG)
    for number in range(20):
        await chat.command(f"/avatar say number {number}")
    assert "20 messages" in await chat.command("/avatar say one too many", by=BEN)


async def test_session_goes_on_after_a_restart_and_says_nothing_twice(chat: Driver) -> None:
    await begin(chat)
    await chat.write("before the restart")
    await chat.bot.until(lambda: chat.bot.spoken == ["before the restart"])
    await chat.restart()
    await chat.write("after the restart")
    await chat.bot.until(lambda: chat.bot.spoken == ["before the restart", "after the restart"])
    assert chat.bot.open_streams == 1


async def test_buttons_do_what_the_commands_do(chat: Driver) -> None:
    if not chat.has_buttons:
        pytest.skip("a console has no buttons")
    await begin(chat)
    await chat.write(LONG)
    await chat.write("kept")
    assert "1 message" in await chat.press("Interrupt")
    await chat.press("Skip", by=BEN)
    await chat.bot.until(lambda: chat.bot.spoken == ["kept"])
    assert "Stopping the avatar" in await chat.press("Stop")
    await chat.until_read("The avatar has left")
    assert "Stop" not in (await chat.panel()).splitlines()


async def test_panel_works_after_a_restart_of_the_bot(chat: Driver) -> None:
    if not chat.has_buttons:
        pytest.skip("a console has no panel")
    await begin(chat)
    await chat.restart()
    assert "Stopping the avatar" in await chat.press("Stop")
    await chat.until_read("The avatar has left")
    await chat.bot.until(lambda: chat.bot.open_streams == 0)


async def test_panel_is_right_although_its_session_ended_while_the_bot_was_away(chat: Driver) -> None:
    if not chat.has_buttons:
        pytest.skip("a console has no panel")
    await chat.command("/avatar start")
    await chat.bot.kill()
    await chat.restart()
    await chat.until_read("The bot was restarted while the avatar was starting")


async def test_where_there_is_no_voice_channel_the_answer_says_so(chat: Driver) -> None:
    await begin(chat)
    answer = await chat.command("/avatar voice join")
    assert "voice channel" in answer
    assert "no voice channel" in await chat.command("/avatar voice leave")
    assert len(chat.bot.bot.sessions) == 1
