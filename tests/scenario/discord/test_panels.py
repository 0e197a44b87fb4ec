"""The panel of a session on Discord: one message, kept right, whatever happens to it."""

from tests.platforms.discord import DiscordDriver, read
from tests.platforms.driver import BEN
from tests.scenario.discord.conftest import Open, bring_avatar
from tests.twins.discord import Fault


async def test_panel_shows_the_session_and_its_buttons(live: DiscordDriver) -> None:
    panel = await live.panel()
    for fragment in ("live", "Mode: repeat", "Started by: ana", "no messages", "Watch", "Interrupt", "Skip", "Stop"):
        assert fragment.lower() in panel.lower()
    assert (await live.newest_panel()).button("Watch")["url"].startswith("https://watch.example.com/w/")


async def test_panel_is_edited_in_place_and_not_for_every_change(live: DiscordDriver) -> None:
    for number in range(12):
        await live.write(f"number {number}")
    await live.bot.until(lambda: len(live.bot.spoken) == 12)
    panel = await live.newest_panel()
    await live.panel()
    assert len(live.panels()) == 1
    # Twelve messages are at least 24 changes; an edit every 2 s of the bot's clock is fewer.
    assert panel.edits < 24


async def test_panel_that_was_deleted_comes_back_with_the_next_change(live: DiscordDriver) -> None:
    await live.twin.delete_message(await live.newest_panel())
    await live.command("/avatar mode chat")
    await live.until_read("Mode: chat")
    assert len(live.panels()) == 1
    assert "Stopping the avatar" in await live.press("Stop")


async def test_buttons_are_disabled_with_the_reason_when_it_ends(live: DiscordDriver) -> None:
    await live.command("/avatar stop")
    await live.until_read("The avatar has left")
    assert "The avatar has left" in await live.panel()
    panel = await live.newest_panel()
    assert panel.buttons
    assert all(button["disabled"] for button in panel.buttons)


async def test_press_on_a_panel_that_is_over_says_so(live: DiscordDriver) -> None:
    panel = await live.newest_panel()
    stop = panel.button("Stop")["custom_id"]
    await live.command("/avatar stop")
    await live.bot.until(lambda: len(live.bot.desk.sessions) == 0)
    pressed = await live.twin.click(live.people[BEN], panel, custom_id=stop, anyway=True)
    assert "has left" in read(await pressed.answered())


async def test_end_is_told_in_the_channel_too(live: DiscordDriver) -> None:
    await live.command("/avatar stop")
    await live.twin.until(
        lambda: any("The avatar has left" in message.content for message in live.twin.messages(live.channel))
    )


async def test_shutdown_leaves_a_panel_that_is_over(live: DiscordDriver) -> None:
    panel = await live.newest_panel()
    await live.bot.stop()
    assert "shutting down" in panel.text
    assert all(button["disabled"] for button in panel.buttons)


async def test_lost_reply_to_the_first_drawing_gives_one_panel(chat: DiscordDriver) -> None:
    chat.twin.fail_next("POST", "/channels/*/messages", Fault.drop(effect=True))
    await chat.command("/avatar start")
    await chat.until_read("live")
    assert len(chat.panels()) == 1


async def test_warning_before_it_leaves_has_a_button_to_keep_it(open_chat: Open) -> None:
    chat = await open_chat(environment={"SESSION_IDLE_TIMEOUT": "120", "SESSION_IDLE_WARNING": "100"})
    await bring_avatar(chat)
    await chat.until_read("unless somebody writes")
    warning = next(one for one in chat.twin.messages(chat.channel) if "unless somebody writes" in one.content)
    pressed = await chat.twin.click(chat.people[BEN], warning, label="Keep it here")
    assert "stays" in read(await pressed.answered())
    assert len(chat.bot.desk.sessions) == 1


async def test_missing_permission_to_react_disturbs_nothing(live: DiscordDriver) -> None:
    live.twin.deny(live.channel, "add_reactions")
    for text in ("one", "two"):
        await live.write(text)
    await live.bot.until(lambda: live.bot.spoken == ["one", "two"])
    assert "Mode" in await live.command("/avatar status")
