"""Slash commands, the context menu and completions, over the real discord.py client."""

import asyncio
from dataclasses import replace

import pytest

from tests.fakes.discord import CommandHidden, Fault
from tests.platforms.discord import DiscordDriver, answer_of, read
from tests.platforms.platform_driver import ADA, ANA, BEN, PATIENT
from tests.scenario.discord.conftest import Open, bring_avatar

PUT_GLOBAL = ("PUT", "/applications/{application_id}/commands")
PUT_GUILD = ("PUT", "/applications/{application_id}/guilds/{guild_id}/commands")
NAMES = ["Let the avatar say this", "avatar", "avatar-admin"]
CALLBACK = "/interactions/*/callback"


# --- registration ----------------------------------------------------------------------------------------------------


async def test_commands_are_registered_once_and_not_again_by_the_next_run(chat: DiscordDriver) -> None:
    assert chat.twin.visible_commands(chat.guild) == NAMES
    assert chat.twin.count(*PUT_GLOBAL) == 1
    await chat.restart()
    assert chat.twin.count(*PUT_GLOBAL) == 1
    assert chat.twin.count(*PUT_GUILD) == 0


async def test_changed_shape_is_registered_again(chat: DiscordDriver) -> None:
    await chat.bot.kill()
    for command in chat.twin.interactions.commands.all(None):
        command["options"] = [option for option in command.get("options") or () if option["name"] != "stop"]
    await chat.connect()
    assert chat.twin.count(*PUT_GLOBAL) == 2
    await chat.slash("/avatar stop")


async def test_scope_is_never_both(chat: DiscordDriver) -> None:
    await chat.bot.kill()
    chat.reconfigure({"DISCORD_GUILD_IDS": str(chat.guild.id)})
    await chat.connect()
    assert chat.twin.visible_commands(chat.guild) == NAMES
    assert chat.twin.interactions.commands.all(None) == []
    await chat.bot.kill()
    chat.reconfigure({})
    await chat.connect()
    assert chat.twin.visible_commands(chat.guild) == NAMES
    assert chat.twin.interactions.commands.all(chat.guild.id) == []


async def test_server_that_does_not_take_the_commands_is_named_with_the_link(
    open_chat: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    chat = await open_chat(environment={"DISCORD_GUILD_IDS": "1234"})
    printed = capsys.readouterr().out
    assert "server 1234 of DISCORD_GUILD_IDS" in printed
    assert chat.bot.adapter.unhealthy_reason is None


async def test_program_tells_how_to_invite_the_bot(chat: DiscordDriver, capsys: pytest.CaptureFixture[str]) -> None:
    told = ""
    while "Invite it" not in told:
        await asyncio.sleep(0.01)
        told += capsys.readouterr().out
    assert "connected as Avatar" in told
    assert f"client_id={chat.twin.application_id}" in told
    assert "scope=bot+applications.commands" in told
    chat_bits = (1 << 10) | (1 << 11) | (1 << 38) | (1 << 35) | (1 << 14) | (1 << 16) | (1 << 6)
    voice_bits = (1 << 20) | (1 << 21) | (1 << 32)
    assert f"permissions={chat_bits | voice_bits}" in told


# --- who may ---------------------------------------------------------------------------------------------------------


async def test_members_do_not_see_the_admin_commands_and_admins_do(chat: DiscordDriver) -> None:
    with pytest.raises(CommandHidden):
        await chat.twin.slash(chat.channel, chat.people[ANA], "avatar-admin sessions")
    asked = await chat.twin.slash(chat.channel, chat.people[ADA], "avatar-admin sessions")
    assert "no open sessions" in read(await asked.answered()).lower()


async def test_answers_for_the_asker_alone_are_ephemeral(live: DiscordDriver) -> None:
    for line in ("/avatar status", "/avatar queue", "/avatar help", "/avatar watch", "/avatar start"):
        assert (await answer_of(await live.slash(line, by=BEN))).ephemeral, line
    assert not (await answer_of(await live.slash("/avatar stop"))).ephemeral


async def test_refusal_of_a_public_command_is_read_by_the_asker_alone(chat: DiscordDriver) -> None:
    answer = await answer_of(await chat.slash("/avatar stop"))
    assert "No avatar is in this channel" in read(answer)
    assert answer.ephemeral
    assert chat.twin.messages(chat.channel) == []


@pytest.mark.parametrize(
    ("permission", "title"),
    [("embed_links", "Embed Links"), ("send_messages", "Send Messages"), ("view_channel", "View Channel")],
)
async def test_start_names_the_permission_the_bot_lacks(chat: DiscordDriver, permission: str, title: str) -> None:
    chat.twin.deny(chat.channel, permission)
    answer = await answer_of(await chat.slash("/avatar start"))
    assert title in read(answer)
    assert answer.ephemeral
    assert len(chat.bot.bot.sessions) == 0
    chat.twin.allow(chat.channel, permission)
    assert "Starting the avatar" in await chat.command("/avatar start")


async def test_thread_asks_for_its_own_permission(chat: DiscordDriver) -> None:
    thread = chat.twin.add_thread(chat.channel)
    chat.twin.deny(chat.channel, "send_messages_in_threads")
    answer = await answer_of(await chat.slash("/avatar start", channel=thread))
    assert "Send Messages in Threads" in read(answer)


# --- completions and the context menu --------------------------------------------------------------------------------


async def test_avatars_and_voices_are_completed_by_name(chat: DiscordDriver) -> None:
    catalogue = chat.bot.bot.sessions.services.catalogue
    await chat.bot.until(lambda: catalogue.cached_avatars and catalogue.known_voices)
    before = len(catalogue.cached_avatars)
    typing = await chat.twin.autocomplete(chat.channel, chat.people[ANA], "avatar start", "avatar", "", {})
    await typing.acknowledged()
    assert len(typing.choices) == min(before, 25)
    wanted = catalogue.known_voices[-1]
    typing = await chat.twin.autocomplete(chat.channel, chat.people[ANA], "avatar start", "voice", wanted.name[:4], {})
    await typing.acknowledged()
    assert wanted.id in [choice["value"] for choice in typing.choices]


LIVEAVATAR = {"AVATAR_PROVIDER": "liveavatar"}


def start_options(chat: DiscordDriver) -> dict[str, list[str]]:
    """The options of `/avatar start` as Discord has them, each with its choices."""
    (avatar,) = [command for command in chat.twin.interactions.commands.all(None) if command["name"] == "avatar"]
    (start,) = [option for option in avatar["options"] if option["name"] == "start"]
    return {option["name"]: [choice["value"] for choice in option.get("choices") or ()] for option in start["options"]}


async def test_speed_and_language_are_offered_where_the_service_has_them(open_chat: Open) -> None:
    chat = await open_chat(environment=LIVEAVATAR)
    options = start_options(chat)
    assert options["speed"] == ["0.8", "0.9", "1.0", "1.1", "1.2"]
    assert options["quality"] == ["low", "medium", "high", "very_high"]
    typing = await chat.twin.autocomplete(chat.channel, chat.people[ANA], "avatar start", "language", "ger", {})
    await typing.acknowledged()
    assert [(choice["name"], choice["value"]) for choice in typing.choices] == [("German", "de")]
    await chat.command("/avatar start speed=1.1 language=de")
    (running,) = chat.bot.bot.sessions
    assert (running.session.speed, running.session.language) == (1.1, "de")


async def test_speed_and_language_are_not_offered_where_the_service_has_neither(chat: DiscordDriver) -> None:
    assert set(start_options(chat)) == {"avatar", "voice", "mode", "quality", "channel"}
    assert start_options(chat)["quality"] == ["low", "medium", "high"]


async def test_a_start_that_discord_still_offers_from_another_service_is_refused_in_words(open_chat: Open) -> None:
    chat = await open_chat(environment=LIVEAVATAR)
    capabilities = chat.bot.bot.sessions.services.provider.capabilities
    chat.bot.bot.sessions.services.provider.capabilities = replace(capabilities, speeds=None)
    answer = await chat.command("/avatar start speed=1.1")
    assert "one speed of speech" in answer
    assert chat.bot.open_streams == 0


async def test_message_is_said_from_the_context_menu(live: DiscordDriver) -> None:
    said = await live.twin.write(live.channel, live.people[BEN], "said by pointing at it")
    used = await live.twin.context_menu(live.channel, live.people[ANA], "Let the avatar say this", said)
    assert (await used.answered()).ephemeral
    await live.bot.until(lambda: live.bot.spoken == ["said by pointing at it"])


async def test_session_in_a_chosen_mode_has_it(chat: DiscordDriver) -> None:
    await chat.command("/avatar start mode=chat quality=low")
    (running,) = chat.bot.bot.sessions
    assert (running.session.mode, running.session.quality) == ("chat", "low")


# --- acknowledging ---------------------------------------------------------------------------------------------------


async def test_work_goes_on_although_the_interaction_came_too_late(chat: DiscordDriver) -> None:
    chat.twin.response_deadline = -1.0
    await chat.slash("/avatar start")
    await chat.until_read("live")
    await chat.until_read("Starting the avatar")
    await chat.slash("/avatar status")
    await chat.until_read("did not let me answer you in time")
    chat.twin.response_deadline = PATIENT
    assert "live" in await chat.command("/avatar status")
    assert len(chat.twin.unknown_interactions) == 2


async def test_interaction_that_was_acknowledged_before_is_answered_all_the_same(chat: DiscordDriver) -> None:
    chat.twin.fail_next("POST", CALLBACK, Fault.server_error(500, effect=True))
    asked = await chat.slash("/avatar start")
    assert "Starting the avatar" in read(await asked.answered())
    assert [attempt.code for attempt in asked.attempts] == [None, 40060]


async def test_lost_reply_to_the_acknowledgement_loses_no_answer(chat: DiscordDriver) -> None:
    chat.twin.fail_next("POST", CALLBACK, Fault.drop(effect=True))
    assert "Starting the avatar" in await chat.command("/avatar start")


async def test_rate_limits_are_waited_out(chat: DiscordDriver) -> None:
    chat.twin.fail_next("POST", "/channels/*/messages", Fault.rate_limit(0.05))
    await bring_avatar(chat)
    assert len(chat.panels()) == 1


async def test_everything_is_acknowledged_while_the_provider_takes_its_time(chat: DiscordDriver) -> None:
    asked = await asyncio.gather(*(chat.slash("/avatar start", by=(ANA, BEN)[n % 2]) for n in range(20)))
    for one in asked:
        assert (await one.acknowledged()).kind == "deferred"
    assert chat.twin.unknown_interactions == []


async def test_help_is_one_readable_list(chat: DiscordDriver) -> None:
    answer = await answer_of(await chat.slash("/avatar help"))
    assert "**/avatar say TEXT**: have it say your words" in read(answer)
    assert len(answer.content) <= 2000


async def test_person_is_chosen_from_the_members_to_be_shut_out(live: DiscordDriver) -> None:
    await live.command("/avatar-admin block @ben", by=ADA)
    assert "blocked" in await live.command("/avatar say hello", by=BEN)
    await live.command("/avatar-admin unblock @ben", by=ADA)
    await live.command("/avatar say hello again", by=BEN)
    await live.bot.until(lambda: live.bot.spoken == ["hello again"])


async def test_commands_come_with_the_invitation_to_a_server_that_was_named_before(open_chat: Open) -> None:
    chat = await open_chat()
    later = chat.twin.world.new_guild("Later")
    later.has_bot = False
    await chat.bot.kill()
    chat.reconfigure({"DISCORD_GUILD_IDS": str(later.id)})
    await chat.connect()
    await chat.bot.until(lambda: chat.client.has_been_ready)
    chat.twin.invite_bot(later)
    await chat.twin.until(lambda: chat.twin.visible_commands(later) == NAMES)


async def test_command_that_only_discord_knows_is_answered_with_what_to_do(chat: DiscordDriver) -> None:
    command = next(one for one in chat.twin.interactions.commands.all(None) if one["name"] == "avatar")
    command["options"].append({"type": 1, "name": "dance", "description": "Dance"})
    asked = await chat.twin.slash(chat.channel, chat.people[ANA], "avatar dance")
    assert "Reload Discord" in read(await asked.answered())
