"""Messages on Discord: what is relayed, in which order, and what their authors can still change."""

from collections.abc import AsyncIterator

import pytest

from tests.platforms.discord import DiscordDriver
from tests.platforms.platform_driver import ANA, BEN, LONG
from tests.scenario.discord.conftest import Open, bring_avatar


async def test_hundred_messages_are_spoken_in_order(open_chat: Open) -> None:
    chat = await open_chat(environment={"QUEUE_LIMIT": "200", "USER_RATE": "0"})
    await bring_avatar(chat)
    texts = [f"number {number}" for number in range(100)]
    for number, text in enumerate(texts):
        await chat.write(text, by=(ANA, BEN)[number % 2])
    await chat.bot.until(lambda: "".join(chat.bot.spoken).count("number") == 100)
    assert " ".join(chat.bot.spoken).split("number ")[1:] == [*(f"{n} " for n in range(99)), "99"]


async def test_queued_message_that_is_deleted_is_not_said(live: DiscordDriver) -> None:
    await live.write(LONG)
    first = await live.twin.write(live.channel, live.people[BEN], "taken back", mentions=[live.twin.bot])
    await live.write("kept")
    await live.twin.until(lambda: first.reacted("👂"))
    await live.twin.delete_message(first)
    await live.bot.until(
        lambda: "taken back" not in " ".join(u.text for r in live.bot.bot.sessions for u in r.speaker.queued())
    )
    await live.command("/avatar skip")
    await live.bot.until(lambda: live.bot.spoken == ["kept"])


async def test_many_messages_deleted_at_once_leave_the_queue(live: DiscordDriver) -> None:
    await live.write(LONG)
    gone = [
        await live.twin.write(live.channel, live.people[BEN], f"gone {n}", mentions=[live.twin.bot]) for n in range(3)
    ]
    await live.write("kept")
    await live.twin.bulk_delete(gone)
    await live.bot.until(lambda: [u.text for r in live.bot.bot.sessions for u in r.speaker.queued()] == ["kept"])


async def test_edit_before_it_is_spoken_is_what_is_spoken(live: DiscordDriver) -> None:
    await live.write(LONG)
    message = await live.twin.write(live.channel, live.people[ANA], "as it was", mentions=[live.twin.bot])
    await live.twin.edit_message(message, f"{live.twin.bot.mention} as it is")
    await live.bot.until(lambda: [u.text for r in live.bot.bot.sessions for u in r.speaker.queued()] == ["as it is"])


async def test_edit_that_cannot_be_read_any_more_is_not_said(live: DiscordDriver) -> None:
    await live.write(LONG)
    message = await live.twin.write(live.channel, live.people[ANA], "as it was", mentions=[live.twin.bot])
    message.mentions.clear()
    await live.twin.edit_message(message, "without the mention")
    await live.bot.until(lambda: not [u for r in live.bot.bot.sessions for u in r.speaker.queued()])


async def test_bots_webhooks_and_system_messages_are_ignored(live: DiscordDriver) -> None:
    robot = live.twin.add_user("robot", guild=live.guild, bot=True)
    bot = live.twin.bot
    await live.twin.write(live.channel, robot, "I am a bot", mentions=[bot])
    await live.twin.write(live.channel, live.people[ANA], "from a webhook", mentions=[bot], webhook=True)
    await live.twin.write(live.channel, live.people[ANA], "joined", mentions=[bot], message_type=7)
    await live.write("from a person")
    await live.bot.until(lambda: live.bot.spoken == ["from a person"])


async def test_messages_without_a_mention_are_left_alone(live: DiscordDriver) -> None:
    await live.twin.write(live.channel, live.people[ANA], "among people")
    await live.write("to the avatar")
    await live.bot.until(lambda: live.bot.spoken == ["to the avatar"])
    assert live.twin.identifies[-1].intents & (1 << 15) == 0


async def test_reply_to_the_bot_is_meant_for_it(live: DiscordDriver) -> None:
    await live.twin.write(live.channel, live.people[ANA], "an answer", reply_to=await live.newest_panel())
    await live.bot.until(lambda: live.bot.spoken == ["an answer"])


async def test_everything_is_relayed_where_the_operator_wants_it(open_chat: Open) -> None:
    chat = await open_chat(environment={"SESSION_RELAY": "all"})
    await bring_avatar(chat)
    await chat.twin.write(chat.channel, chat.people[ANA], "among people")
    await chat.bot.until(lambda: chat.bot.spoken == ["among people"])
    assert chat.twin.identifies[-1].intents & (1 << 15)


async def test_names_are_said_and_nobody_is_pinged(live: DiscordDriver) -> None:
    ben = live.people[BEN]
    said = await live.twin.write(
        live.channel, live.people[ANA], f"hello {ben.mention} in {live.channel.mention}", mentions=[live.twin.bot, ben]
    )
    await live.bot.until(lambda: live.bot.spoken)
    assert live.bot.spoken == ["hello Ben in general"]
    await live.twin.until(lambda: said.reacted("✅", live.twin.bot))
    for request in live.twin.requests:
        body = request.body if isinstance(request.body, dict) else {}
        if "content" in body:
            assert body["allowed_mentions"]["parse"] == []


async def test_reactions_say_what_became_of_a_message(live: DiscordDriver) -> None:
    bot = live.twin.bot
    said = await live.twin.write(live.channel, live.people[ANA], LONG, mentions=[bot])
    waiting = await live.twin.write(live.channel, live.people[ANA], "waits", mentions=[bot])
    await live.twin.until(lambda: waiting.reacted("👂", bot))
    await live.command("/avatar clear")
    await live.twin.until(lambda: waiting.reacted("🔇", bot))
    await live.command("/avatar skip")
    await live.twin.until(lambda: said.reacted("🔇", bot))
    marks = [(one.method, one.path) for one in live.twin.requests if "/reactions/" in one.path]
    assert {method for method, _ in marks} == {"PUT"}
    assert len([path for _, path in marks if str(waiting.id) in path]) == 2


async def test_reactions_can_be_switched_off(open_chat: Open) -> None:
    chat = await open_chat(environment={"SESSION_REACTIONS": "false"})
    await bring_avatar(chat)
    await chat.write("hello")
    await chat.bot.until(lambda: chat.bot.spoken == ["hello"])
    await chat.bot.stop()
    assert not [request for request in chat.twin.requests if "/reactions/" in request.path]


async def test_refused_message_is_answered_where_it_stands(chat: DiscordDriver) -> None:
    message = await chat.twin.write(chat.channel, chat.people[ANA], "anybody?", mentions=[chat.twin.bot])
    await chat.until_read("No avatar is in this channel")
    answer = chat.twin.messages(chat.channel)[-1]
    assert answer.reply_to is message


@pytest.mark.parametrize("kind", ["thread", "forum post", "voice"])
async def test_threads_posts_and_voice_chats_are_channels_of_their_own(live: DiscordDriver, kind: str) -> None:
    twin, ana = live.twin, live.people[ANA]
    match kind:
        case "thread":
            place = twin.add_thread(live.channel)
        case "voice":
            place = twin.add_channel(live.guild, "lounge", kind="voice")
        case _:
            place = twin.add_forum_post(twin.add_channel(live.guild, "ideas", kind="forum"), ana, "An idea", "what if")
    await live.slash("/avatar start", channel=place)
    await twin.until(lambda: any("live" in message.text for message in twin.messages(place)))
    await twin.write(place, ana, "in there", mentions=[twin.bot])
    await live.bot.until(lambda: live.bot.spoken == ["in there"])
    assert len(live.bot.bot.sessions) == 2


async def test_answer_stands_under_the_question(live: DiscordDriver) -> None:
    await live.command("/avatar mode chat")
    asked = await live.twin.write(live.channel, live.people[ANA], "who are you?", mentions=[live.twin.bot])
    await live.until_read("stand-in for a language model")
    answer = next(message for message in live.twin.messages(live.channel) if "stand-in" in message.content)
    assert answer.reply_to is asked


async def test_answer_keeps_its_markup_and_calls_nobody(live: DiscordDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    async def formatted(knowledge: str, turns: object) -> AsyncIterator[str]:
        yield "**Berlin** is the [capital](https://example.com/c), "
        yield "@everyone and <@123456789012345678>: ||hidden||"

    await live.command("/avatar mode chat")
    monkeypatch.setattr(live.bot.bot.sessions.services.chat_model, "answer", formatted)
    await live.twin.write(live.channel, live.people[ANA], "what is Berlin?", mentions=[live.twin.bot])
    await live.until_read("**Berlin**")
    answer = live.twin.messages(live.channel)[-1].content
    assert answer.startswith("**Berlin** is the [capital](https://example.com/c), ")
    assert answer.endswith("||hidden||")
    assert "@everyone" not in answer
    assert "<@123456789012345678>" not in answer
    assert "hidden" not in " ".join(live.bot.spoken)


async def test_answer_goes_into_a_thread_where_the_operator_wants_it(open_chat: Open) -> None:
    chat = await open_chat(environment={"SESSION_ANSWERS": "thread"})
    await bring_avatar(chat)
    await chat.command("/avatar mode chat")
    asked = await chat.twin.write(chat.channel, chat.people[ANA], "who are you?", mentions=[chat.twin.bot])
    await chat.twin.until(lambda: asked.id in chat.twin.world.channels)
    thread = chat.twin.world.channels[asked.id]
    await chat.twin.until(lambda: any("stand-in" in message.content for message in chat.twin.messages(thread)))


async def test_direct_message_is_told_where_it_works(chat: DiscordDriver) -> None:
    direct = chat.twin.open_dm(chat.people[ANA])
    await chat.twin.write(direct, chat.people[ANA], "hello")
    await chat.twin.until(lambda: any("/avatar start" in message.content for message in chat.twin.messages(direct)))
