"""What people write while the bot has no connection to Discord: it is read when the bot is back, and said once.

At the pace of real time, as the ids of messages tell when they were written.
"""

import asyncio

import pytest
from structlog.testing import capture_logs

from tests.fakes.discord import FakeDiscord, Fault
from tests.platforms.discord import DiscordDriver
from tests.platforms.platform_driver import ADA, ANA, BEN
from tests.scenario.discord.conftest import Open, bring_avatar

HISTORY = "/channels/{channel_id}/messages"


@pytest.fixture
async def live(open_chat: Open) -> DiscordDriver:
    """The bot with an avatar in the channel that has said something."""
    return await live_with(open_chat)


async def live_with(open_chat: Open, **environment: str) -> DiscordDriver:
    chat = await open_chat(speed=1.0, environment=environment)
    await bring_avatar(chat)
    await chat.write("one")
    await chat.bot.until(lambda: chat.bot.spoken == ["one"])
    return chat


def reads(twin: FakeDiscord) -> int:
    return twin.count("GET", HISTORY)


async def test_what_was_written_during_a_restart_is_said_once_and_in_order(live: DiscordDriver) -> None:
    robot = live.twin.add_user("robot", guild=live.guild, bot=True)
    await live.bot.kill()
    await live.write("two")
    await live.twin.write(live.channel, live.people[ANA], "among people")
    await live.twin.write(live.channel, robot, "by a robot", mentions=[live.twin.bot])
    taken_back = await live.twin.write(live.channel, live.people[BEN], "taken back", mentions=[live.twin.bot])
    await live.twin.write(live.channel, live.people[BEN], "three", reply_to=live.panels()[0])
    await live.twin.delete_message(taken_back)
    await live.connect()
    await live.write("four")
    await live.bot.until(lambda: live.bot.spoken == ["one", "two", "three", "four"])
    await live.restart()
    await live.write("five")
    await live.bot.until(lambda: live.bot.spoken == ["one", "two", "three", "four", "five"])
    assert reads(live.twin) == 2


async def test_what_waits_is_said_as_it_reads_after_a_restart_and_not_at_all_where_it_is_gone(
    live: DiscordDriver,
) -> None:
    # It is being said until all of it has happened.
    await live.write("A long one. " + "It goes on and on, so that what follows has to wait for it. " * 2)
    texts = "an insult", f"<@{live.twin.bot.id}> a slip", "kept"
    insult, slip, _ = [
        await live.twin.write(live.channel, live.people[BEN], text, mentions=[live.twin.bot]) for text in texts
    ]
    await live.bot.until(lambda: [view.queue_length for view in live.bot.views] == [3])
    await live.bot.kill()
    await live.twin.delete_message(insult)
    await live.twin.edit_message(slip, f"<@{live.twin.bot.id}> no slip")
    await live.connect()
    await live.write("two")
    await live.bot.until(lambda: "two" in live.bot.spoken)
    assert live.bot.spoken[-3:] == ["no slip", "kept", "two"]


async def test_what_comes_while_the_channel_is_read_is_said_behind_it(live: DiscordDriver) -> None:
    await live.bot.kill()
    await live.write("two")
    gate = asyncio.Event()
    live.twin.fail_next("GET", HISTORY, Fault.hold(gate))
    await live.connect()
    await live.twin.until(lambda: reads(live.twin) == 1)
    await live.write("three")
    withdrawn = await live.twin.write(live.channel, live.people[BEN], "withdrawn", mentions=[live.twin.bot])
    await live.twin.delete_message(withdrawn)
    gate.set()
    await live.bot.until(lambda: len(live.bot.spoken) == 3)
    assert live.bot.spoken == ["one", "two", "three"]


async def test_what_was_refused_before_is_not_said_after_a_restart(open_chat: Open) -> None:
    live = await live_with(open_chat, USER_RATE="1")
    refused = await live.twin.write(live.channel, live.people[ANA], "too fast", mentions=[live.twin.bot])
    await live.twin.until(lambda: refused.reacted("🔇", live.twin.bot))
    await live.restart()
    await live.write("two", by=BEN)
    await live.bot.until(lambda: live.bot.spoken == ["one", "two"])


async def test_roles_of_those_who_wrote_meanwhile_count(open_chat: Open) -> None:
    live = await open_chat(speed=1.0)
    twin = live.twin
    speakers = twin.add_role(live.guild, "speakers")
    for name in (ANA, BEN):
        twin.give_role(live.guild, live.people[name], speakers)
    await bring_avatar(live)
    await live.bot.kill()
    hosts = f"discord:{live.people[ADA].id}"
    live.reconfigure({"ACCESS_HOSTS": hosts, "ACCESS_SPEAKERS": f"discord:{speakers.id}"})
    twin.take_role(live.guild, live.people[ANA], speakers)
    refused = await twin.write(live.channel, live.people[ANA], "not allowed", mentions=[twin.bot])
    await live.write("allowed", by=BEN)
    await twin.write(live.channel, twin.add_user("gone"), "left the server", mentions=[twin.bot])
    await live.connect()
    await live.bot.until(lambda: live.bot.spoken == ["allowed"])
    await twin.until(lambda: refused.reacted("🔇", twin.bot))


async def test_without_the_permission_there_is_a_line_in_the_log_and_nothing_else(live: DiscordDriver) -> None:
    await live.bot.kill()
    live.twin.deny(live.channel, "read_message_history")
    await live.write("two")
    with capture_logs() as logs:
        await live.connect()
        await live.write("three")
        await live.bot.until(lambda: live.bot.spoken == ["one", "three"])
    told = [line for line in logs if "Read Message History" in line["event"]]
    assert len(told) == 1
    assert reads(live.twin) == 0


async def test_much_that_people_wrote_among_themselves_hides_nothing(live: DiscordDriver) -> None:
    for number in range(101):
        await live.twin.write(live.channel, live.people[ANA], f"among people {number}")
    await live.bot.kill()
    await live.write("two")
    await live.connect()
    await live.bot.until(lambda: live.bot.spoken == ["one", "two"])
    assert reads(live.twin) == 2


async def test_what_comes_too_late_is_marked(open_chat: Open) -> None:
    live = await live_with(open_chat)
    live.bot._settings = live.bot._settings.model_copy(update={"queue_max_age": 1.0})
    await live.bot.kill()
    stale = await live.twin.write(live.channel, live.people[ANA], "too late", mentions=[live.twin.bot])
    await asyncio.sleep(1.1)
    await live.connect()
    await live.twin.until(lambda: stale.reacted("🔇", live.twin.bot))
    await live.write("two")
    await live.bot.until(lambda: live.bot.spoken == ["one", "two"])


async def test_history_that_cannot_be_read_costs_nothing_else(live: DiscordDriver) -> None:
    await live.bot.kill()
    await live.write("two")
    live.twin.fail_next("GET", HISTORY, Fault.refuse(50001))
    await live.connect()
    await live.write("three")
    await live.bot.until(lambda: live.bot.spoken == ["one", "three"])


async def test_connection_that_is_begun_anew_is_caught_up_with(live: DiscordDriver) -> None:
    await live.twin.invalidate_session()
    await live.write("two")
    await live.twin.until(lambda: len(live.twin.identifies) == 2, timeout=20)
    await live.bot.until(lambda: live.bot.spoken == ["one", "two"])
    await live.write("three")
    await live.bot.until(lambda: live.bot.spoken == ["one", "two", "three"])


async def test_outage_of_a_server_is_caught_up_with(live: DiscordDriver) -> None:
    await live.twin.guild_outage(live.guild)
    await live.write("two")
    await live.twin.guild_outage(live.guild, over=True)
    await live.bot.until(lambda: live.bot.spoken == ["one", "two"])
