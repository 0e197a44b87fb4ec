"""Registering the commands: what belongs to an Activity is left alone, and no failure keeps the bot from connecting."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import discord
import pytest
from discord import app_commands
from structlog.testing import capture_logs

from adapters.chat.discord import strings
from adapters.chat.discord.command_sync import CommandSync
from tests.fakes.discord import CommandHidden, FakeDiscord, Fault, Interaction
from tests.harness.clock import ManualClock
from tests.platforms.discord import TOKEN, DiscordDriver, answer_of, read
from tests.platforms.platform_driver import ANA
from tests.scenario.discord.conftest import Open, bring_avatar

COMMANDS = "/applications/{application_id}/commands"
GUILD_COMMANDS = "/applications/{application_id}/guilds/{guild_id}/commands"
NAMES = ["Let the avatar say this", "avatar", "avatar-admin"]


# --- the entry point of an Activity ----------------------------------------------------------------------------------


def entry_points(twin: FakeDiscord) -> list[dict[str, Any]]:
    """The entry points that the application has."""
    return [command for command in twin.interactions.commands.all(None) if command["type"] == 4]


def kept(command: dict[str, Any]) -> dict[str, Any]:
    """A command without what Discord itself counts up."""
    return {name: value for name, value in command.items() if name != "version"}


async def test_entry_point_of_an_activity_survives_every_registration(open_chat: Open) -> None:
    twin = FakeDiscord(token=TOKEN)
    made = twin.interactions.commands.enable_activities()
    chat = await open_chat(twin=twin)
    assert twin.visible_commands(chat.guild) == [*NAMES, "launch"]
    assert [kept(one) for one in entry_points(twin)] == [kept(made)]
    for environment in ({"DISCORD_GUILD_IDS": str(chat.guild.id)}, {}):
        await chat.bot.kill()
        chat.reconfigure(environment)
        await chat.connect()
        assert twin.visible_commands(chat.guild) == [*NAMES, "launch"]
        assert [kept(one) for one in entry_points(twin)] == [kept(made)]


async def test_entry_point_alone_is_no_reason_to_register_again(open_chat: Open) -> None:
    twin = FakeDiscord(token=TOKEN)
    twin.interactions.commands.enable_activities()
    chat = await open_chat(twin=twin)
    await chat.restart()
    assert twin.count("PUT", COMMANDS) == 1
    await chat.bot.kill()
    chat.reconfigure({"DISCORD_GUILD_IDS": str(chat.guild.id)})
    await chat.connect()
    await chat.restart()
    assert (twin.count("PUT", COMMANDS), twin.count("PUT", GUILD_COMMANDS)) == (2, 1)


async def use_entry_point(chat: DiscordDriver) -> Interaction:
    chat.twin.interactions.commands.enable_activities()
    return await chat.twin.launch(chat.channel, chat.people[ANA])


async def use_unknown_menu(chat: DiscordDriver) -> Interaction:
    chat.twin.interactions.commands.put(None, {"name": "Forgotten", "type": 3})
    said = await chat.twin.write(chat.channel, chat.people[ANA], "hello")
    return await chat.twin.context_menu(chat.channel, chat.people[ANA], "Forgotten", said)


async def press_unknown_button(chat: DiscordDriver) -> Interaction:
    return await chat.twin.click(chat.people[ANA], await chat.newest_panel(), custom_id="old:button", anyway=True)


async def press_unknown_verb(chat: DiscordDriver) -> Interaction:
    panel = await chat.newest_panel()
    panel.button("Stop")["custom_id"] = "avatar:dance:1"
    return await chat.twin.click(chat.people[ANA], panel, label="Stop")


async def submit_unknown_form(chat: DiscordDriver) -> Interaction:
    shown = await chat.slash("/avatar help")
    shown.modal = {"custom_id": "old form", "components": []}
    return await chat.twin.submit_modal(chat.people[ANA], shown, {})


@pytest.mark.parametrize(
    ("use", "sentence"),
    [
        (use_entry_point, strings.NO_ACTIVITY),
        (use_unknown_menu, strings.COMMAND_CHANGED),
        (press_unknown_button, strings.NOT_MINE),
        (press_unknown_verb, strings.NOT_MINE),
        (submit_unknown_form, strings.NOT_MINE),
    ],
)
async def test_whatever_is_used_is_answered_with_a_sentence(
    live: DiscordDriver, use: Callable[[DiscordDriver], Any], sentence: str
) -> None:
    answer = await answer_of(await use(live))
    assert read(answer) == sentence
    assert answer.ephemeral


async def test_command_that_is_left_in_the_other_scope_is_understood(chat: DiscordDriver) -> None:
    await chat.bot.kill()
    chat.reconfigure({"DISCORD_GUILD_IDS": str(chat.guild.id)})
    for method, pattern in (("PUT", COMMANDS), ("PUT", GUILD_COMMANDS)):
        chat.twin.fail_next(method, pattern, Fault.server_error(503), times=1000)
    await connect_anyway(chat)
    assert "No avatar is in this channel" in await chat.command("/avatar status")


# --- failures of the registration ------------------------------------------------------------------------------------


async def connect_anyway(chat: DiscordDriver) -> None:
    """Start the bot and wait until it hears the channel, whatever became of its commands."""
    await chat.bot.start()
    await chat.bot.until(lambda: chat.chat._connection.client is not None and chat.client.hears_everything)


FAULTS = {
    "5xx": (Fault.server_error(503), "HTTP 503"),
    "429 with an hour": (Fault.rate_limit(3600), "Discord wants us to wait"),
    "403": (Fault.refuse(20012, status=403), "HTTP 403"),
    "404 without a code": (Fault.refuse(0, status=404), "HTTP 404"),
    "400": (Fault.refuse(50035), "HTTP 400, Discord's code 50035"),
    "no list": (Fault.nonsense('{"commands": []}'), "the answer is not a list of commands"),
    "list of something": (Fault.nonsense('["avatar"]'), "the answer is not a list of commands"),
    "a page": (Fault.nonsense("<html>busy</html>", "text/html"), "the answer is not a list of commands"),
    "broken JSON": (Fault.nonsense('[{"name":'), "the answer is not Discord's"),
}


@pytest.mark.parametrize("name", ["5xx", "429 with an hour", "404 without a code"])
async def test_failing_look_at_the_commands_keeps_nobody_from_connecting(chat: DiscordDriver, name: str) -> None:
    fault, how = FAULTS[name]
    await chat.bot.kill()
    chat.twin.fail_next("GET", COMMANDS, fault, times=1000)
    await connect_anyway(chat)
    await chat.bot.until(lambda: f"GET /applications/…/commands: {how}" in (chat.bot.adapter.unhealthy_reason or ""))
    await bring_avatar(chat)
    await chat.write("hello")
    await chat.bot.until(lambda: chat.bot.spoken == ["hello"])


@pytest.mark.parametrize(
    ("method", "pattern", "path"),
    [
        ("GET", "/users/@me/guilds", "GET /users/@me/guilds"),
        ("PUT", COMMANDS, "PUT /applications/…/commands"),
    ],
)
async def test_request_that_failed_is_named_and_made_again(
    open_chat: Open, method: str, pattern: str, path: str
) -> None:
    twin = FakeDiscord(token=TOKEN)
    twin.fail_next(method, pattern, Fault.refuse(20012, status=403), times=1)
    with capture_logs() as logged:
        chat = await open_chat(twin=twin)
    named = [entry for entry in logged if path in entry["event"]]
    assert [(entry["log_level"], entry["again_in"]) for entry in named] == [("warning", 5)]
    assert twin.visible_commands(chat.guild) == NAMES


async def test_slow_registration_keeps_nobody_from_connecting(chat: DiscordDriver) -> None:
    await chat.bot.kill()
    gate = asyncio.Event()
    chat.twin.fail_next("GET", COMMANDS, Fault.hold(gate))
    await connect_anyway(chat)
    await chat.bot.until(lambda: chat.bot.adapter.unhealthy_reason == strings.REGISTERING)
    assert "No avatar is in this channel" in await chat.command("/avatar status")
    gate.set()
    await chat.bot.until(lambda: chat.bot.adapter.unhealthy_reason is None)


async def test_one_server_that_fails_keeps_no_other_from_its_commands(chat: DiscordDriver) -> None:
    other = chat.twin.add_guild("Other")
    await chat.bot.kill()
    chat.reconfigure({"DISCORD_GUILD_IDS": f"{other.id},{chat.guild.id}"})
    chat.twin.fail_next("PUT", f"/applications/*/guilds/{other.id}/commands", Fault.server_error(503), times=1000)
    await connect_anyway(chat)
    await chat.bot.until(
        lambda: f"PUT /applications/…/guilds/{other.id}/commands" in (chat.bot.adapter.unhealthy_reason or "")
    )
    assert chat.twin.visible_commands(chat.guild) == NAMES
    with pytest.raises(CommandHidden):
        await chat.twin.slash(chat.twin.add_channel(other), chat.people[ANA], "avatar status")


async def test_shutdown_does_not_wait_for_the_registration(chat: DiscordDriver) -> None:
    await chat.bot.kill()
    chat.twin.fail_next("GET", COMMANDS, Fault.hold(asyncio.Event()))
    await connect_anyway(chat)
    async with asyncio.timeout(10):
        await chat.bot.stop()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "discord commands"]


# --- pauses ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def syncing(twin: FakeDiscord, clock: ManualClock) -> AsyncIterator[CommandSync]:
    """The registration of one command, with a clock of the test's."""
    with twin.pointed():
        async with discord.Client(intents=discord.Intents.none(), max_ratelimit_timeout=60.0) as client:
            tree = app_commands.CommandTree(client)

            @tree.command(description="Hello")
            async def hello(interaction: discord.Interaction) -> None:
                raise NotImplementedError

            await client.login(twin.token)
            commands = CommandSync(clock, ())
            task = asyncio.create_task(commands.run(client, tree))
            try:
                yield commands
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("method", ["GET", "PUT"])
@pytest.mark.parametrize(("fault", "how"), FAULTS.values(), ids=FAULTS)
async def test_whatever_comes_back_the_request_is_named_and_made_again(fault: Fault, how: str, method: str) -> None:
    clock = ManualClock()
    async with FakeDiscord() as twin:
        twin.fail_next(method, COMMANDS, fault)
        async with syncing(twin, clock) as commands:
            await noted(commands)
            assert f"{method} /applications/…/commands: {how}" in (commands.unhealthy_reason or "")
            await clock.advance(3600)
            await until(lambda: commands.unhealthy_reason is None)


async def test_pauses_grow_to_ten_minutes() -> None:
    clock = ManualClock()
    async with FakeDiscord() as twin:
        twin.fail_next("GET", COMMANDS, Fault.server_error(503), times=9)
        async with syncing(twin, clock) as commands:
            for number, pause in enumerate([5, 10, 20, 40, 80, 160, 320, 600, 600], 1):
                await twin.until(partial(has_asked, twin, number))
                await noted(commands)
                await clock.advance(pause - 0.1)
                assert twin.count("GET", COMMANDS) == number
                await clock.advance(0.1)
            await twin.until(lambda: twin.interactions.commands.all(None))
            await until(lambda: commands.unhealthy_reason is None)


async def test_wait_that_discord_asks_for_is_waited_out() -> None:
    clock = ManualClock()
    async with FakeDiscord() as twin:
        twin.fail_next("GET", COMMANDS, Fault.rate_limit(3600))
        async with syncing(twin, clock) as commands:
            await noted(commands)
            await clock.advance(3599)
            assert twin.count("GET", COMMANDS) == 1
            await clock.advance(1)
            await until(lambda: commands.unhealthy_reason is None)


def has_asked(twin: FakeDiscord, number: int) -> bool:
    """Whether the commands have been asked for so many times."""
    return twin.count("GET", COMMANDS) == number


async def noted(commands: CommandSync) -> None:
    """Wait until the failure is written down and the timer of the next attempt runs."""
    await until(lambda: commands.unhealthy_reason != strings.REGISTERING)
    for _ in range(5):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object]) -> None:
    """Wait for what happens after an answer of the local Discord."""
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the bot goes on after the answer, and tells nobody
            await asyncio.sleep(0.01)
