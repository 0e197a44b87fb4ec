"""The connection to Discord: nothing is lost when it breaks, and the operator reads why it cannot be made."""

from pathlib import Path

import pytest

from bot.core.errors import SettingsError
from tests.fakes.discord import FakeDiscord, Fault
from tests.platforms.discord import DiscordDriver
from tests.platforms.platform_driver import ANA
from tests.scenario.discord.conftest import Open, bring_avatar


@pytest.mark.parametrize("how", ["cut", "closed", "asked to reconnect"])
async def test_nothing_is_lost_or_doubled_over_a_resumed_connection(live: DiscordDriver, how: str) -> None:
    await live.write("before")
    match how:
        case "cut":
            await live.twin.drop_gateway()
        case "closed":
            await live.twin.drop_gateway(code=4000)
        case _:
            await live.twin.request_reconnect()
    await live.write("meanwhile")
    await live.twin.until(lambda: live.twin.resumes == 1)
    await live.write("after")
    await live.bot.until(lambda: live.bot.spoken == ["before", "meanwhile", "after"])
    assert len(live.panels()) == 1


async def test_invalid_session_is_begun_anew_and_the_panel_is_right(live: DiscordDriver) -> None:
    panel = await live.newest_panel()
    edits = panel.edits
    await live.twin.invalidate_session()
    await live.twin.until(lambda: len(live.twin.identifies) == 2, timeout=20)
    await live.bot.until(lambda: live.bot.adapter.unhealthy_reason is None)
    await live.write("after")
    await live.bot.until(lambda: live.bot.spoken == ["after"])
    await live.twin.until(lambda: panel.edits > edits)
    assert "Stop" in (await live.panel()).splitlines()
    assert len(live.panels()) == 1


@pytest.mark.slow
async def test_readiness_knows_that_the_connection_is_down(live: DiscordDriver) -> None:
    live.twin.refuse_identify(4000, times=1)
    await live.twin.invalidate_session()
    await live.bot.until(lambda: live.bot.adapter.unhealthy_reason is not None)
    await live.bot.until(lambda: live.bot.adapter.unhealthy_reason is None)


async def test_shards_are_as_many_as_discord_asks_for(open_chat: Open) -> None:
    chat = await open_chat(twin=FakeDiscord(shards=2))
    other = chat.twin.add_guild("Other", shard=1 - (chat.guild.id >> 22) % 2)
    there = chat.twin.add_channel(other, "general")
    chat.twin.join(other, chat.people[ANA])
    await bring_avatar(chat)
    await chat.slash("/avatar start", channel=there)
    await chat.twin.until(lambda: any("live" in message.text for message in chat.twin.messages(there)))
    assert [identify.shard for identify in chat.twin.identifies] == [(0, 2), (1, 2)]


async def test_wrong_token_is_one_sentence_for_the_operator(open_chat: Open) -> None:
    chat = await open_chat()
    await chat.bot.kill()
    chat.reconfigure({"DISCORD_TOKEN": "not-the-token"})
    await chat.bot.start()
    with pytest.raises(SettingsError, match=r"^Discord does not accept DISCORD_TOKEN: [^\n]+$"):
        await chat.bot.serving
    await chat.bot.take_down()


async def test_missing_intent_is_one_sentence_that_says_what_to_switch_on(open_chat: Open) -> None:
    chat = await open_chat(twin=FakeDiscord(allowed_intents=0))
    await chat.bot.kill()
    chat.reconfigure({"SESSION_RELAY": "all"})
    await chat.bot.start()
    with pytest.raises(SettingsError, match=r"switch on Message Content Intent[^\n]+SESSION_RELAY=mentions\.$"):
        await chat.bot.serving
    await chat.bot.take_down()


async def test_api_that_is_not_discord_is_one_sentence(open_chat: Open) -> None:
    chat = await open_chat()
    await chat.bot.kill()
    chat.twin.fail_next("GET", "/users/@me", Fault.refuse(0, status=404))
    await chat.bot.start()
    with pytest.raises(SettingsError, match=r"^DISCORD_API_URL is [^\n]+$"):
        await chat.bot.serving
    await chat.bot.take_down()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault.server_error(503), "Discord has an error of its own"),
        (Fault.rate_limit(90), "Discord wants the bot to wait"),
    ],
)
async def test_api_that_is_away_is_waited_for_without_a_hot_loop(open_chat: Open, fault: Fault, told: str) -> None:
    chat = await open_chat()
    await chat.bot.kill()
    before = chat.twin.count("GET", "/users/@me")
    chat.twin.fail_next("GET", "/users/@me", fault, times=3)
    begun = chat.bot.clock.monotonic()
    await chat.bot.start()
    await chat.bot.until(lambda: chat.bot.adapter.unhealthy_reason == told)
    await chat.bot.until(lambda: chat.bot.adapter.unhealthy_reason is None)
    assert chat.twin.count("GET", "/users/@me") == before + 4
    if fault.status == 429:
        # As long as Discord asked for, each time.
        assert chat.bot.clock.monotonic() - begun >= 3 * 90


async def test_token_is_in_no_log_line(open_chat: Open, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from bot.telemetry.logs import configure

    chat = await open_chat()
    await chat.bot.kill()
    configure("debug", "text", [])
    try:
        await chat.connect()
        await chat.command("/avatar start")
        await chat.twin.drop_gateway()
        await chat.twin.until(lambda: chat.twin.resumes == 1)
        await chat.bot.stop()
    finally:
        configure("error", "text", [])
    logged = capsys.readouterr().err
    assert "discord" in logged
    assert chat.twin.token not in logged


async def test_gateway_of_the_operator_is_used_for_new_and_for_resumed_sessions(open_chat: Open) -> None:
    chat = await open_chat()
    await chat.bot.kill()
    # What Discord itself would name is not reachable from here.
    chat.twin.gateway.url = "ws://127.0.0.1:9/"
    await chat.connect()
    await chat.twin.drop_gateway()
    await chat.twin.until(lambda: chat.twin.resumes == 1)
    await chat.bot.until(lambda: chat.bot.adapter.unhealthy_reason is None)
    assert "No avatar" in await chat.command("/avatar status")
