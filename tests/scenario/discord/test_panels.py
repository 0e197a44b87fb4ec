"""The panel of a session on Discord: one message, kept right, whatever happens to it."""

import pytest

from bot.core.errors import StoreUnavailable
from bot.core.models import PanelMessage
from bot.store.panels import PanelRepository
from tests.fakes.discord import Fault, Message
from tests.platforms.discord import DiscordDriver, read
from tests.platforms.platform_driver import BEN
from tests.scenario.discord.conftest import Open, bring_avatar

EDIT = "/channels/{channel_id}/messages/{message_id}"
PASSING = [Fault.rate_limit(0.01), Fault.server_error(503), Fault.drop(), Fault.refuse(0, status=401)]
FINAL = [Fault.refuse(10008), Fault.refuse(10003), Fault.refuse(50001), Fault.refuse(50013), Fault.refuse(50083)]
FOR_EVER = 10**6
"""Faults that are called off in the end."""


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
    await live.bot.until(lambda: len(live.bot.bot.sessions) == 0)
    pressed = await live.twin.click(live.people[BEN], panel, custom_id=stop, anyway=True)
    assert "That avatar has already left" in read(await pressed.answered())


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
    assert len(chat.bot.bot.sessions) == 1


async def test_missing_permission_to_react_disturbs_nothing(live: DiscordDriver) -> None:
    live.twin.deny(live.channel, "add_reactions")
    for text in ("one", "two"):
        await live.write(text)
    await live.bot.until(lambda: live.bot.spoken == ["one", "two"])
    assert "Mode" in await live.command("/avatar status")


# --- what Discord does not take ---------------------------------------------------------------------------------------


def is_over(panel: Message) -> bool:
    return "The avatar has left" in panel.text and all(button["disabled"] for button in panel.buttons)


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.kind} {fault.status}")
async def test_last_edit_is_tried_until_discord_takes_it(live: DiscordDriver, fault: Fault) -> None:
    panel = await live.newest_panel()
    await live.panel()
    # More than one request is worth to us, and to discord.py.
    live.twin.fail_next("PATCH", EDIT, fault, times=31 if fault.status == 429 else 7)
    await live.command("/avatar stop")
    await live.bot.until(lambda: is_over(panel))
    await live.bot.until(lambda: not live.chat._panels._panels)
    assert await live.bot.bot.sessions.services.store.panels.placed_on("discord") == []
    assert live.panels() == [panel]


@pytest.mark.parametrize("how", ["shut down", "killed"])
async def test_last_edit_is_made_by_the_next_run_where_this_one_could_not(live: DiscordDriver, how: str) -> None:
    panel = await live.newest_panel()
    await live.panel()
    live.twin.fail_next("PATCH", EDIT, Fault.rate_limit(0.01), times=FOR_EVER)
    before = len(live.twin.requests)
    await live.command("/avatar stop")
    await live.bot.until(lambda: len(live.bot.bot.sessions) == 0)
    await live.bot.until(lambda: any(one.method == "PATCH" for one in live.twin.requests[before:]))
    await (live.bot.stop() if how == "shut down" else live.bot.kill())
    assert not is_over(panel)
    live.twin.faults.clear()
    await live.connect()
    await live.bot.until(lambda: is_over(panel))
    assert live.panels() == [panel]


@pytest.mark.parametrize("fault", FINAL, ids=lambda fault: str(fault.code))
async def test_last_edit_that_is_refused_for_good_is_not_tried_again(live: DiscordDriver, fault: Fault) -> None:
    await live.panel()
    edits = live.twin.count("PATCH", EDIT)
    live.twin.fail_next("PATCH", EDIT, fault, times=FOR_EVER)
    await live.bot.bot.sessions.end_in_channels(lambda _: True, "the test wants it")
    await live.bot.until(lambda: not live.chat._panels._panels)
    await live.bot.clock.sleep(5 * 60.0 / 20)
    assert live.twin.count("PATCH", EDIT) == edits + 1
    assert await live.bot.bot.sessions.services.store.panels.placed_on("discord") == []


async def test_panel_that_could_not_be_remembered_is_not_posted_again(
    chat: DiscordDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, times = chat.bot.bot.sessions.services.store, iter([True, True])
    place = store.panels.place

    async def place_once_it_works(platform: str, panel: PanelMessage) -> None:
        if next(times, False):
            raise StoreUnavailable("its disk is full")
        await place(platform, panel)

    monkeypatch.setattr(store.panels, "place", place_once_it_works)
    await bring_avatar(chat)
    await chat.command("/avatar mode chat")
    await chat.until_read("Mode: chat")
    await chat.panel()
    assert len(chat.panels()) == 1
    assert len(await store.panels.placed_on("discord")) == 1


@pytest.mark.parametrize("error", [StoreUnavailable("its disk is full"), KeyError("a mistake of ours")], ids=repr)
async def test_no_panel_is_posted_before_those_of_the_run_before_are_known(
    live: DiscordDriver, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    panel = await live.newest_panel()
    await live.bot.kill()
    kept, times = PanelRepository.placed_on, iter([True, True])

    async def fail(panels: PanelRepository, platform: str) -> list[PanelMessage]:
        if next(times, False):
            raise error
        return await kept(panels, platform)

    monkeypatch.setattr(PanelRepository, "placed_on", fail)
    await live.connect()
    await live.command("/avatar mode chat")
    await live.until_read("Mode: chat")
    assert live.panels() == [panel]


async def test_panel_that_cannot_be_found_again_is_replaced_and_keeps_no_other_back(live: DiscordDriver) -> None:
    lost = await live.newest_panel()
    [kept] = await live.bot.bot.sessions.services.store.panels.placed_on("discord")
    store = live.bot.bot.sessions.services.store
    await store.panels.place("discord", PanelMessage(kept.session_id, "not a message"))
    await live.bot.kill()
    await live.connect()
    await live.command("/avatar mode chat")
    await live.until_read("Mode: chat")
    assert [panel for panel in live.panels() if panel != lost] == [await live.newest_panel()]
    [kept] = await live.bot.bot.sessions.services.store.panels.placed_on("discord")
    assert kept.reference == str((await live.newest_panel()).id)
