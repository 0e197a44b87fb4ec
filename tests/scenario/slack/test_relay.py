"""Messages in a Slack channel: which reach the avatar, how often, and what becomes of edits and deletions."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.chat.slack.manifest import SAY_THIS
from tests.fakes.slack import Held, Message
from tests.platforms.platform_driver import ANA, BEN
from tests.platforms.slack import SlackDriver, text_of


async def started(slack: SlackDriver) -> None:
    await slack.command("/avatar start")
    await slack.until_read("live")


def waiting(slack: SlackDriver) -> list[str]:
    return [utterance.text for running in slack.bot.bot.sessions for utterance in running.speaker.queued()]


async def say(slack: SlackDriver, text: str, by: str = ANA) -> Message:
    return await slack.twin.write(slack.channel, slack.people[by], f"@Avatar {text}")


async def test_one_post_that_comes_as_two_events_is_spoken_once(slack: SlackDriver) -> None:
    await started(slack)
    message = await say(slack, "good morning")
    assert {delivery.event["type"] for delivery in message.deliveries} == {"app_mention", "message"}
    await slack.bot.until(lambda: slack.bot.spoken)
    for delivery in message.deliveries:
        await (await slack.twin.redeliver(delivery)).acknowledged()
    await say(slack, "and good night")
    await slack.bot.until(lambda: len(slack.bot.spoken) > 1)
    assert slack.bot.spoken == ["good morning", "and good night"]


async def test_a_command_in_a_mention_that_is_delivered_again_runs_once(slack: SlackDriver) -> None:
    message = await say(slack, "start")
    await slack.until_read("Starting the avatar")
    for delivery in message.deliveries:
        await (await slack.twin.redeliver(delivery)).acknowledged()
    await slack.write("say one more")
    await slack.bot.until(lambda: slack.bot.spoken)
    answers = [text_of(seen) for seen in slack.seen()]
    assert sum("Starting the avatar" in answer for answer in answers) == 1
    assert not any("already" in answer for answer in answers)


async def test_every_message_is_relayed_where_the_operator_says_so(tmp_path: Path) -> None:
    async with SlackDriver(tmp_path, environment={"SESSION_RELAY": "all"}) as slack:
        await slack.twin.write(slack.channel, slack.people[BEN], "before the avatar came")
        await started(slack)
        await slack.twin.write(slack.channel, slack.people[BEN], "good morning")
        await say(slack, "good night")
        await slack.bot.until(lambda: len(slack.bot.spoken) == 2)
        assert slack.bot.spoken == ["good morning", "good night"]


async def test_by_default_only_mentions_are_relayed(slack: SlackDriver) -> None:
    await started(slack)
    await slack.twin.write(slack.channel, slack.people[BEN], "among ourselves")
    await say(slack, "good night")
    await slack.bot.until(lambda: slack.bot.spoken)
    assert slack.bot.spoken == ["good night"]


async def test_with_relay_off_a_mention_is_told_what_to_type(tmp_path: Path) -> None:
    async with SlackDriver(tmp_path, environment={"SESSION_RELAY": "off"}) as slack:
        await started(slack)
        await say(slack, "good morning")
        await slack.until_read("SESSION_RELAY is off")


async def test_other_bots_and_joins_are_ignored(tmp_path: Path) -> None:
    async with SlackDriver(tmp_path, environment={"SESSION_RELAY": "all"}) as slack:
        await started(slack)
        robot = slack.twin.add_user("robot", is_bot=True)
        slack.channel.members.append(robot.id)
        await slack.twin.write(slack.channel, robot, "beep")
        await slack.twin.write(slack.channel, robot, "@Avatar beep")
        await slack.twin.write(slack.channel, slack.people[BEN], "hello")
        await slack.bot.until(lambda: slack.bot.spoken)
        assert slack.bot.spoken == ["hello"]


LONG = "a first sentence that takes the avatar quite some time to say, long enough to change what comes behind it"


async def test_an_edited_message_is_spoken_as_it_reads_now(slack: SlackDriver) -> None:
    await started(slack)
    await say(slack, LONG)
    await say(slack, "and another one")
    talk, command = await say(slack, "the frist"), await say(slack, "say the secnod")
    await slack.bot.until(lambda: "the secnod" in waiting(slack))
    await slack.twin.edit_message(talk, "@Avatar the first")
    await slack.twin.edit_message(command, "@Avatar say the second")
    await slack.bot.until(lambda: len(slack.bot.spoken) == 4)
    assert slack.bot.spoken[2:] == ["the first", "the second"]


async def test_a_deleted_message_leaves_the_queue(slack: SlackDriver) -> None:
    await started(slack)
    await say(slack, LONG)
    others = [await say(slack, f"number {number}") for number in range(4)]
    await slack.bot.until(lambda: "number 3" in waiting(slack))
    await slack.twin.delete_message(others[3])
    await slack.bot.until(lambda: "number 3" not in waiting(slack))
    await slack.bot.until(lambda: len(slack.bot.spoken) == 4)
    assert "number 3" not in slack.bot.spoken


@pytest.mark.parametrize("thread", [False, True])
async def test_reactions_tell_what_became_of_a_message(slack: SlackDriver, thread: bool) -> None:
    await started(slack)
    above = await slack.twin.write(slack.channel, slack.people[BEN], "above")
    place: dict[str, Any] = {"thread_ts": above.ts} if thread else {}
    message = await slack.twin.write(slack.channel, slack.people[BEN], "@Avatar good morning", **place)
    await slack.twin.until(lambda: "white_check_mark" in message.reactions)


async def test_message_that_waits_is_marked_with_two_calls_and_one_that_is_deleted_with_one(slack: SlackDriver) -> None:
    await started(slack)
    await say(slack, LONG)
    waits, gone = await say(slack, "waits"), await say(slack, "gone")
    await slack.twin.until(lambda: waits.reactions and gone.reactions)
    await slack.twin.delete_message(gone)
    await slack.bot.until(lambda: waiting(slack) == ["waits"])
    await slack.command("/avatar clear")
    await slack.twin.until(lambda: list(waits.reactions) == ["hourglass_flowing_sand", "x"])
    calls = [call.args["timestamp"] for call in slack.twin.requests if call.method.startswith("reactions.")]
    assert (calls.count(waits.ts), calls.count(gone.ts)) == (2, 1)


async def test_reactions_that_slack_does_not_answer_hold_no_message_up(slack: SlackDriver) -> None:
    await started(slack)
    held = Held()
    slack.twin.fail_next("reactions.add", held)
    await say(slack, "one")
    await asyncio.wait_for(held.arrived.wait(), 10)
    await say(slack, "two")
    await slack.bot.until(lambda: slack.bot.spoken == ["one", "two"])
    await slack.command("/avatar mode chat")
    await slack.bot.until(lambda: any("Mode" in text_of(seen) and "chat" in text_of(seen) for seen in slack.seen()))
    held.release()


async def test_order_is_the_order_of_posting_although_a_name_is_slow_to_find(slack: SlackDriver) -> None:
    await started(slack)
    await say(slack, "zero", by=ANA)
    await slack.bot.until(lambda: slack.bot.spoken)
    held = Held()
    slack.twin.fail_next("users.info", held)
    await say(slack, "one", by=BEN)
    await asyncio.wait_for(held.arrived.wait(), 10)
    await say(slack, "two", by=ANA)
    held.release()
    await slack.bot.until(lambda: len(slack.bot.spoken) == 3)
    assert slack.bot.spoken == ["zero", "one", "two"]


async def test_answer_is_shown_in_slacks_own_markup_and_calls_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def formatted(knowledge: str, turns: object) -> AsyncIterator[str]:
        yield "**Berlin** is the [capital](https://exam"
        yield "ple.com/c), <!here> <@U1>. ||hidden|| [x](javascript:y)"

    environment = {"SESSION_ANSWERS": "message", "SESSION_MODE": "chat", "AVATAR_PROVIDER": "heygen-realtime"}
    async with SlackDriver(tmp_path, environment=environment) as slack:
        await started(slack)
        monkeypatch.setattr(slack.bot.bot.sessions.services.chat_model, "answer", formatted)
        await say(slack, "what is Berlin?")
        answer = (
            await slack.twin.until(lambda: [m for m in slack.twin.messages(slack.channel) if "capital" in m.text])
        )[-1]
        shown = "*Berlin* is the <https://example.com/c|capital>, &lt;!here&gt; &lt;@U1&gt;. spoiler x"
        assert [block["text"]["text"] for block in answer.blocks] == [shown]
        assert answer.text == shown
        assert slack.bot.spoken == ["Berlin is the capital, everyone someone. spoiler x"]


async def test_answers_go_below_the_message_where_the_operator_says_so(tmp_path: Path) -> None:
    environment = {"SESSION_ANSWERS": "thread", "SESSION_MODE": "chat", "AVATAR_PROVIDER": "heygen-realtime"}
    async with SlackDriver(tmp_path, environment=environment) as slack:
        await started(slack)
        question = await say(slack, "who are you?")
        below = await slack.twin.until(
            lambda: [seen for seen in slack.twin.messages(slack.channel) if seen.thread_ts == question.ts]
        )
        assert text_of(below[0])


# --- forwarded messages ----------------------------------------------------------------------------------------------


async def elsewhere(slack: SlackDriver, text: str) -> Message:
    """A message of Ben's in another channel."""
    other = slack.twin.add_channel("other", [slack.people[BEN]], with_bot=False)
    return await slack.twin.write(other, slack.people[BEN], text)


async def test_forwarded_message_is_said_by_who_forwards_it(tmp_path: Path) -> None:
    async with SlackDriver(tmp_path, environment={"SESSION_RELAY": "all"}) as slack:
        await started(slack)
        first = await elsewhere(slack, "good morning")
        await slack.twin.write(slack.channel, slack.people[ANA], "", forwards=first)
        await slack.bot.until(lambda: slack.bot.spoken == ["good morning"])
        await slack.twin.write(slack.channel, slack.people[ANA], "Ben says", forwards=first)
        await slack.bot.until(lambda: len(slack.bot.spoken) == 2)
        assert slack.bot.spoken[1].split() == ["Ben", "says", "good", "morning"]


@pytest.mark.parametrize("own", ["", " look at this", " say"])
async def test_mention_with_a_forwarded_message_says_it(slack: SlackDriver, own: str) -> None:
    await started(slack)
    forwarded = await elsewhere(slack, "good morning")
    await slack.twin.write(slack.channel, slack.people[ANA], f"@Avatar{own}", forwards=forwarded)
    await slack.bot.until(lambda: slack.bot.spoken)
    assert slack.bot.spoken[0].split() == [*own.replace("say", "").split(), "good", "morning"]


async def test_forwarded_words_are_no_command_and_keep_none_from_being_one(slack: SlackDriver) -> None:
    await started(slack)
    forwarded = await elsewhere(slack, "stop")
    await slack.twin.write(slack.channel, slack.people[ANA], "@Avatar", forwards=forwarded)
    await slack.bot.until(lambda: slack.bot.spoken == ["stop"])
    assert len(slack.bot.bot.sessions) == 1
    await slack.twin.write(slack.channel, slack.people[ANA], "@Avatar stop", forwards=forwarded)
    await slack.bot.until(lambda: len(slack.bot.bot.sessions) == 0)


async def test_preview_that_is_added_later_is_no_edit(slack: SlackDriver) -> None:
    await started(slack)
    await say(slack, LONG)
    waits = await say(slack, "hello there")
    await slack.bot.until(lambda: waiting(slack) == ["hello there"])
    before = waits.shown()
    waits.attachments = [{"from_url": "https://example.com", "title": "A page", "text": "what it is about"}]
    slack.twin.changed(waits, before)
    await slack.bot.until(lambda: all(delivery.done for delivery in waits.deliveries))
    assert waiting(slack) == ["hello there"]


async def test_edit_keeps_what_was_forwarded_with_it(slack: SlackDriver) -> None:
    await started(slack)
    await say(slack, LONG)
    forwarded = await elsewhere(slack, "good morning")
    waits = await slack.twin.write(slack.channel, slack.people[ANA], "@Avatar as it was:", forwards=forwarded)
    await slack.bot.until(lambda: waiting(slack))
    await slack.twin.edit_message(waits, "@Avatar as it is:")
    await slack.bot.until(lambda: [text.split() for text in waiting(slack)] == [["as", "it", "is:", "good", "morning"]])


async def test_shortcut_says_a_forwarded_message_and_one_of_an_app(slack: SlackDriver) -> None:
    await started(slack)
    forwarding = await slack.twin.write(
        slack.channel, slack.people[BEN], "", forwards=await elsewhere(slack, "good morning")
    )
    await slack.answer(await slack.twin.shortcut(forwarding, SAY_THIS, slack.people[ANA]))
    of_an_app = await slack.twin.write(slack.channel, slack.people[BEN], "")
    of_an_app.blocks = [{"type": "section", "text": {"type": "mrkdwn", "text": "the build is green"}}]
    await slack.answer(await slack.twin.shortcut(of_an_app, SAY_THIS, slack.people[ANA]))
    await slack.bot.until(lambda: slack.bot.spoken == ["good morning", "the build is green"])
