"""Windows and pages inside Slack: the start window, the message shortcut, the App Home."""

import json
from pathlib import Path

import pytest

from adapters.chat.slack.manifest import SAY_THIS, START_HERE
from bot.services import Services
from tests.fakes.slack import Refused, View
from tests.platforms.platform_driver import ANA, BEN
from tests.platforms.slack import SlackDriver, text_of


async def opened(slack: SlackDriver) -> View:
    return await slack.twin.until(lambda: next((view for view in slack.twin.views if view.open), None))


async def test_the_start_window_offers_what_the_account_has_and_starts_it(slack: SlackDriver) -> None:
    await slack.bot.until(lambda: slack.bot.bot.sessions.services.catalogue.known_voices)
    await slack.twin.slash(slack.channel, slack.people[ANA], "/avatar", "start choose")
    view = await opened(slack)
    fields = {block["block_id"]: block for block in view.blocks if block["type"] == "input"}
    assert set(fields) == {"avatar", "voice", "mode", "quality"}
    voice = fields["voice"]["element"]["options"][-1]["value"]
    await (await slack.twin.submit_view(view, {"voice": voice, "quality": "low"})).acknowledged()
    await slack.until_read("Starting the avatar")
    session = next(iter(slack.bot.bot.sessions)).session
    assert (session.voice, session.quality) == (voice, "low")


async def test_the_start_window_offers_speed_and_language_where_the_service_has_them(tmp_path: Path) -> None:
    async with SlackDriver(tmp_path, environment={"AVATAR_PROVIDER": "liveavatar"}) as slack:
        await slack.twin.slash(slack.channel, slack.people[ANA], "/avatar", "start choose")
        view = await opened(slack)
        fields = {block["block_id"]: block for block in view.blocks if block["type"] == "input"}
        values = {
            name: [option["value"] for option in fields[name]["element"]["options"]]
            for name in ("speed", "language", "quality")
        }
        assert values["speed"] == ["0.8", "0.9", "1.0", "1.1", "1.2"]
        assert values["quality"] == ["low", "medium", "high", "very_high"]
        assert {"de", "en", "fr"} < set(values["language"])
        await (await slack.twin.submit_view(view, {"speed": "0.9", "language": "de"})).acknowledged()
        await slack.until_read("Starting the avatar")
        session = next(iter(slack.bot.bot.sessions)).session
        assert (session.speed, session.language) == (0.9, "de")


async def test_speed_and_language_are_typed_as_well(tmp_path: Path) -> None:
    async with SlackDriver(tmp_path, environment={"AVATAR_PROVIDER": "liveavatar"}) as slack:
        assert "0.8 (slow) to 1.2 (fast)" in await slack.command("/avatar start speed=2")
        assert "Starting" in await slack.command("/avatar start speed=1.2 language=pt-br")
        session = next(iter(slack.bot.bot.sessions)).session
        assert (session.speed, session.language) == (1.2, "pt-BR")


async def test_a_plain_start_starts_at_once(slack: SlackDriver) -> None:
    assert "Starting" in await slack.command("/avatar start")
    assert slack.twin.views == []


async def test_the_global_shortcut_asks_for_the_channel_too(slack: SlackDriver) -> None:
    await slack.twin.global_shortcut(START_HERE, slack.people[BEN])
    view = await opened(slack)
    await (await slack.twin.submit_view(view, {"channel": slack.channel.id})).acknowledged()
    await slack.until_read("Starting the avatar")
    await slack.until_read("Started by")


async def test_the_start_window_says_at_the_field_that_chat_is_not_configured(
    slack: SlackDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Services, "can_answer", False)
    await slack.twin.slash(slack.channel, slack.people[ANA], "/avatar", "start choose")
    view = await opened(slack)
    answer = await (await slack.twin.submit_view(view, {"mode": "chat"})).acknowledged()
    assert answer is not None
    assert answer["response_action"] == "errors"
    assert "ask the operator to set CHAT_API_URL" in answer["errors"]["mode"]
    assert view.open
    assert slack.bot.open_streams == 0
    await (await slack.twin.submit_view(view, {"mode": "repeat"})).acknowledged()
    await slack.until_read("Starting the avatar")


async def test_a_window_that_slack_does_not_open_is_explained(slack: SlackDriver) -> None:
    slack.twin.fail_next("views.open", Refused("expired_trigger_id"))
    await slack.twin.slash(slack.channel, slack.people[ANA], "/avatar", "start choose")
    await slack.until_read("did not open the window in time")


async def test_the_message_shortcut_lets_the_avatar_say_a_message(slack: SlackDriver) -> None:
    await slack.command("/avatar start")
    await slack.until_read("live")
    message = await slack.twin.write(slack.channel, slack.people[BEN], "hello @ana, 1 < 2")
    answer = await slack.answer(await slack.twin.shortcut(message, SAY_THIS, slack.people[ANA]))
    assert "The avatar is saying it" in answer or "Queued" in answer or "Got it" in answer
    await slack.bot.until(lambda: slack.bot.spoken)
    assert slack.bot.spoken[0].startswith("hello ana")


async def test_the_app_home_lists_avatars_settings_and_help(slack: SlackDriver) -> None:
    await slack.twin.open_home(slack.people[BEN])
    empty = await slack.twin.until(lambda: slack.twin.home(slack.people[BEN]))
    assert "No avatar is running" in json.dumps(empty.blocks)
    await slack.command("/avatar start")
    await slack.until_read("live")
    await slack.twin.open_home(slack.people[BEN])
    view = await slack.twin.until(lambda: home if (home := slack.twin.home(slack.people[BEN])) is not empty else None)
    shown = json.dumps(view.blocks)
    assert f"<#{slack.channel.id}>" in shown
    assert "/avatar say" in shown
    assert "/w/" not in shown


async def test_the_notice_before_an_idle_avatar_leaves_can_be_answered_with_a_button(tmp_path: Path) -> None:
    environment = {"SESSION_IDLE_TIMEOUT": "120", "SESSION_IDLE_WARNING": "100"}
    async with SlackDriver(tmp_path, environment=environment) as slack:
        await slack.command("/avatar start")
        await slack.until_read("Nobody has written for a while")
        warning = next(seen for seen in slack.twin.messages(slack.channel) if "Nobody has written" in text_of(seen))
        answer = await slack.answer(await slack.twin.click(warning, "avatar:keep", slack.people[BEN]))
        assert "stays" in answer
