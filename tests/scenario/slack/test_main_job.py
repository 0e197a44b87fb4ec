"""What a person does with the avatar in Slack, from start to stop."""

import json
import re
from pathlib import Path

from tests.fakes.slack import Message
from tests.platforms.platform_driver import ADA, BEN
from tests.platforms.slack import SlackDriver, buttons_of, is_panel, text_of

WRITES = {"chat.postMessage", "chat.update", "response_url"}


def panels(slack: SlackDriver) -> list[Message]:
    return [message for message in slack.twin.messages(slack.channel) if is_panel(message)]


async def test_an_avatar_is_started_speaks_and_is_stopped(slack: SlackDriver) -> None:
    answer = await slack.command("/avatar start")
    assert "Starting the avatar" in answer
    assert "https://watch.example.com/" in answer
    await slack.until_read("live")
    await slack.command("/avatar say good morning")
    await slack.bot.until(lambda: slack.bot.spoken == ["good morning"])
    assert "Interrupt" in await slack.panel()
    assert "Stopping" in await slack.command("/avatar stop")
    await slack.until_read("The avatar has left")
    await slack.bot.until(lambda: not any(button for button in buttons_of(panels(slack)[0])))
    assert len(panels(slack)) == 1
    assert "ended" in text_of(panels(slack)[0])


async def test_only_who_starts_reads_the_cost_and_everybody_sees_the_panel(slack: SlackDriver) -> None:
    await slack.command("/avatar start")
    await slack.panel()
    assert [text_of(seen) for seen in slack.twin.ephemerals(slack.channel, slack.people[BEN])] == []
    assert not any("Starting the avatar" in text_of(seen) for seen in slack.twin.messages(slack.channel))


async def test_a_mention_gives_the_same_commands(slack: SlackDriver) -> None:
    await slack.write("start")
    await slack.until_read("Starting the avatar")
    await slack.until_read("live")
    await slack.write("say good morning")
    await slack.write("and this is only talk")
    await slack.bot.until(lambda: len(slack.bot.spoken) == 2)
    assert slack.bot.spoken == ["good morning", "and this is only talk"]
    await slack.write("stop")
    await slack.until_read("The avatar has left")


async def test_a_command_in_a_thread_is_answered_in_the_thread(slack: SlackDriver) -> None:
    twin, ben = slack.twin, slack.people[BEN]
    await slack.command("/avatar start")
    await slack.until_read("live")
    question = await twin.write(slack.channel, ben, "who is there?")
    await twin.write(slack.channel, ben, "@Avatar status", thread_ts=question.ts)
    told = await twin.until(lambda: twin.ephemerals(slack.channel, ben))
    assert told[0].thread_ts == question.ts
    await twin.write(slack.channel, ben, "@Avatar stop", thread_ts=question.ts)
    await twin.until(lambda: any("Stopping" in text_of(seen) for seen in twin.messages(slack.channel)))
    stopping = next(seen for seen in twin.messages(slack.channel) if "Stopping" in text_of(seen))
    assert stopping.thread_ts == question.ts


async def test_the_buttons_of_the_panel_work(slack: SlackDriver) -> None:
    await slack.command("/avatar start")
    await slack.until_read("live")
    assert (await slack.press("Watch")).startswith("https://watch.example.com/")
    await slack.bot.until(lambda: not any(running.speaker.is_saying_something for running in slack.bot.bot.sessions))
    assert "not saying anything" in await slack.press("Skip", by=BEN)
    assert "Stopping" in await slack.press("Stop", by=BEN)
    await slack.until_read("The avatar has left")


async def test_the_button_of_an_avatar_that_left_does_not_stop_the_next_one(slack: SlackDriver) -> None:
    await slack.command("/avatar start")
    await slack.until_read("live")
    old = slack.newest_panel()
    stop = next(button for button in buttons_of(old) if button["text"]["text"] == "Stop")
    await slack.command("/avatar stop")
    await slack.until_read("The avatar has left")
    old.blocks = [{"type": "actions", "block_id": "kept", "elements": [stop]}]
    await slack.command("/avatar start")
    answer = await slack.answer(await slack.twin.click(old, stop["action_id"], slack.people[BEN]))
    assert "That avatar has already left" in answer


async def test_admins_see_every_session_and_others_do_not(slack: SlackDriver) -> None:
    await slack.command("/avatar start")
    assert "1 open session" in await slack.command("/avatar-admin sessions", by=ADA)
    assert "Only admins" in await slack.command("/avatar-admin sessions", by=BEN)


async def test_names_are_said_instead_of_ids(slack: SlackDriver) -> None:
    twin = slack.twin
    twin.add_usergroup("crew", [slack.people[BEN]])
    await slack.command("/avatar start")
    await slack.until_read("live")
    await slack.write("good morning @ben and @crew in #general")
    await slack.command("/avatar say good night @ben, 1 < 2 & 3 > 2")
    await slack.bot.until(lambda: len(slack.bot.spoken) == 2)
    assert slack.bot.spoken[0] == "good morning ben and crew in general"
    assert "good night ben" in slack.bot.spoken[1]


PINGS = ("<!channel>", "<!here>", "<!subteam^S0CREW>")


async def test_quoting_somebody_pings_nobody(tmp_path: Path) -> None:
    environment = {"SESSION_ANSWERS": "message", "SESSION_MODE": "chat"}
    async with SlackDriver(tmp_path, environment=environment) as slack:
        twin = slack.twin
        loud = twin.add_user("<!everyone> & <@U0BOSS>")
        slack.channel.members.append(loud.id)
        await slack.answer(await twin.slash(slack.channel, loud, "/avatar", "start"))
        await slack.until_read("live")
        await slack.until_read("<!everyone> & <@U0BOSS>")
        for ping in PINGS:
            text = f"<@{twin.bot.id}> {ping} <@{slack.people[BEN].id}> &lt;!channel&gt; look {'very ' * 20}closely"
            await twin.write(slack.channel, loud, text, raw=True)
        await slack.bot.until(lambda: [seen for running in slack.bot.bot.sessions for seen in running.speaker.queued()])
        assert "<!everyone>" in await slack.command("/avatar queue")
        assert "<!channel>" in await slack.command("/avatar mode <!channel> @here")
        # Answers are said in as many pieces as they were written in, so it is their text that is waited for.
        await slack.bot.until(
            lambda: sum("You said" in text_of(one) for one in twin.messages(slack.channel)) == len(PINGS)
        )
        sent = [json.dumps(call.args) for call in twin.requests if call.method in WRITES]
        assert {call.method for call in twin.requests} >= WRITES
        assert any("&lt;!channel&gt;" in args for args in sent)
        assert [args for args in sent if re.search(r"<@|<!(?!date\^)", args)] == []
        assert not any('"link_names"' in args or '"parse"' in args for args in sent)


async def test_sentences_name_the_command_that_is_configured(tmp_path: Path) -> None:
    async with SlackDriver(tmp_path, environment={"SLACK_COMMAND": "robot"}) as slack:
        assert "`/robot start`" in await slack.command("/robot status")
