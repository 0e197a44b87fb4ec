"""What discord.py does not foresee: an event it cannot parse costs that event, and whatever else ends its connection
costs a pause. Avatars and panels stay."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.commands.parser import CommandContext
from bot.commands.router import CommandRouter
from bot.core.models import EndReason
from bot.core.views import Reply
from bot.platforms import Platforms
from bot.relay import Relay
from bot.sessions.registry import SYSTEM
from tests.fakes.discord import Fault, Message
from tests.platforms.discord import DiscordDriver
from tests.platforms.platform_driver import ANA, LONG

REACTION: dict[str, Any] = {
    "user_id": "1",
    "channel_id": "2",
    "message_id": "3",
    "guild_id": "4",
    "emoji": {"id": None, "name": "👍"},
    "burst": False,
}
"""A MESSAGE_REACTION_ADD without its `type`, as it was seen."""

NOT_READ: list[tuple[str, dict[str, Any]]] = [
    ("MESSAGE_REACTION_ADD", REACTION),
    ("MESSAGE_REACTION_ADD", {}),
    ("MESSAGE_CREATE", {}),
    ("MESSAGE_CREATE", {"id": "1", "channel_id": "2", "author": {}}),
    ("MESSAGE_UPDATE", {}),
    ("MESSAGE_DELETE", {}),
    ("MESSAGE_DELETE_BULK", {}),
    ("INTERACTION_CREATE", {}),
    ("GUILD_CREATE", {}),
    ("GUILD_UPDATE", {}),
    ("GUILD_DELETE", {}),
    ("GUILD_MEMBER_UPDATE", {}),
    ("CHANNEL_CREATE", {}),
    ("CHANNEL_UPDATE", {}),
    ("CHANNEL_DELETE", {}),
    ("THREAD_CREATE", {}),
    ("THREAD_UPDATE", {}),
    ("THREAD_DELETE", {}),
    ("THREAD_LIST_SYNC", {}),
    ("VOICE_STATE_UPDATE", {"member": 7}),
    ("PRESENCE_UPDATE", {}),
    ("USER_UPDATE", {}),
    ("SOMETHING_NEW", {}),
]


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with capture_logs() as logs:
        yield logs


def platforms_of(chat: DiscordDriver) -> Platforms:
    assert chat.bot._application is not None
    return chat.bot._application._platforms


async def test_events_that_cannot_be_parsed_cost_nothing_but_themselves(live: DiscordDriver, logs: list[Any]) -> None:
    await live.write("before")
    for event, data in NOT_READ:
        live.twin.send_event(event, data, guild=live.guild)
    await live.write("after")
    await live.bot.until(lambda: live.bot.spoken == ["before", "after"])
    assert len(live.twin.identifies) == 1
    assert live.twin.resumes == 0
    assert live.bot.adapter.unhealthy_reason is None
    left_out = {entry["event_"] for entry in logs if "event_" in entry}
    assert {"MESSAGE_REACTION_ADD", "MESSAGE_CREATE"} <= left_out


async def test_poll_without_an_end_costs_that_message(live: DiscordDriver, logs: list[Any]) -> None:
    # Discord's reference allows it; discord.py 2.7.1 computes with the end.
    media = {"text": "Tea?"}
    endless: dict[str, Any] = {
        "question": media,
        "answers": [],
        "expiry": None,
        "allow_multiselect": False,
        "layout_type": 1,
    }
    await live.twin.write(live.channel, live.people[ANA], "", mentions=[live.twin.bot], more={"poll": endless})
    await live.write("after")
    await live.bot.until(lambda: live.bot.spoken == ["after"])
    assert [entry["event_"] for entry in logs if "event_" in entry] == ["MESSAGE_CREATE"]
    assert len(live.twin.identifies) == 1


async def test_the_same_event_again_and_again_is_logged_whole_once(live: DiscordDriver, logs: list[Any]) -> None:
    for _ in range(20):
        live.twin.send_event("MESSAGE_REACTION_ADD", REACTION, guild=live.guild)
    await live.write("after")
    await live.bot.until(lambda: live.bot.spoken == ["after"])
    told = [entry for entry in logs if entry.get("event_") == "MESSAGE_REACTION_ADD"]
    assert len(told) == 20
    assert sum("exc_info" in entry for entry in told) == 1
    assert len({entry["reference"] for entry in told}) == 1


@pytest.mark.parametrize(
    "frame",
    ["this is no JSON", "[]", json.dumps({"op": 10, "d": {}, "t": None, "s": None}), "[" * 100_000],
    ids=["no JSON", "no object", "no heartbeat", "too deep"],
)
async def test_whatever_else_ends_the_connection_costs_a_pause(live: DiscordDriver, frame: str) -> None:
    await live.write("before")
    await live.bot.until(lambda: live.bot.spoken == ["before"])
    panel = await live.newest_panel()
    live.twin.send_frame(frame)
    await live.bot.until(lambda: "starts again" in str(platforms_of(live).unhealthy_reasons["discord"]))
    assert not live.bot.serving.done()
    assert len(live.bot.bot.sessions) == 1
    await live.bot.until(lambda: platforms_of(live).unhealthy_reasons["discord"] is None)
    assert len(live.twin.identifies) == 2
    await live.write("after")
    await live.bot.until(lambda: live.bot.spoken == ["before", "after"])
    # The same panel goes on, and so does its button.
    assert live.panels() == [panel]
    assert "Stopping the avatar" in await live.press("Stop")
    await live.until_read("The avatar has left")


async def test_something_else_in_discords_place_after_a_failure_ends_nothing(live: DiscordDriver) -> None:
    live.twin.fail_next("GET", "/users/@me", Fault.refuse(0, status=404))
    live.twin.send_frame("this is no JSON")
    await live.bot.until(lambda: "starts again" in str(platforms_of(live).unhealthy_reasons["discord"]))
    await live.bot.until(lambda: platforms_of(live).unhealthy_reasons["discord"] is None)
    assert live.twin.count("GET", "/users/@me") == 3
    assert not live.bot.serving.done()
    assert len(live.bot.bot.sessions) == 1


async def test_request_that_is_cut_off_in_the_global_limit_holds_up_no_other(live: DiscordDriver) -> None:
    live.twin.fail_next("GET", "/channels/{channel_id}", Fault.rate_limit(30, everywhere=True))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await live.client.fetch_channel(live.channel.id)
    async with asyncio.timeout(10):
        await live.client.fetch_channel(live.channel.id)


async def test_what_was_to_be_shown_meanwhile_is_shown_after_the_restart(live: DiscordDriver) -> None:
    live.twin.send_frame("this is no JSON")
    await live.bot.until(lambda: "starts again" in str(platforms_of(live).unhealthy_reasons["discord"]))
    (running,) = live.bot.bot.sessions
    await live.bot.bot.sessions.stop(running, EndReason.STOPPED, SYSTEM)
    await live.bot.until(lambda: live.bot.open_streams == 0)
    await live.until_read("The avatar has left")
    panel = await live.newest_panel()
    await live.bot.until(lambda: all(button["disabled"] for button in panel.buttons))
    await live.bot.until(lambda: goodbyes_in(live))
    assert len(goodbyes_in(live)) == 1


async def test_who_cannot_be_told_alone_after_the_restart_is_not_forgotten(live: DiscordDriver) -> None:
    await live.write(LONG)
    await live.bot.until(lambda: any(running.speaker.current for running in live.bot.bot.sessions))
    assert "ahead of it" in await live.command("/avatar say unsaid")
    live.twin.send_frame("this is no JSON")
    await live.bot.until(lambda: "starts again" in str(platforms_of(live).unhealthy_reasons["discord"]))
    (running,) = live.bot.bot.sessions
    await live.bot.bot.sessions.stop(running, EndReason.STOPPED, SYSTEM)
    await live.until_read("Not everything was said: some words that Ana gave the avatar are missing.")


async def test_an_answer_under_way_finds_another_way(live: DiscordDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    run = CommandRouter.run

    async def slow(commands: CommandRouter, ctx: CommandContext) -> Reply | None:
        begun.set()
        await go_on.wait()
        return await run(commands, ctx)

    monkeypatch.setattr(CommandRouter, "run", slow)
    await live.slash("/avatar status")
    await begun.wait()
    before = len(live.twin.messages(live.channel))
    live.twin.send_frame("this is no JSON")
    await live.bot.until(lambda: "starts again" in str(platforms_of(live).unhealthy_reasons["discord"]))
    go_on.set()
    # It was for one person: the channel only reads that it came too late.
    await live.bot.until(lambda: len(live.twin.messages(live.channel)) == before + 1)
    assert "did not let me answer" in live.twin.messages(live.channel)[-1].content


async def test_a_message_that_fails_in_an_unforeseen_way_is_answered_with_a_sentence(
    live: DiscordDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Relay, "receive", lambda *_: {}["a mistake of ours"])  # type: ignore[index]
        await live.write("before")
        await live.until_read("Something went wrong. Try again")
    await live.write("after")
    await live.bot.until(lambda: live.bot.spoken == ["after"])


def goodbyes_in(chat: DiscordDriver) -> list[Message]:
    return [message for message in chat.twin.messages(chat.channel) if "The avatar has left" in message.content]
