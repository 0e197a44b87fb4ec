"""How long the avatar stays, on every platform: what a channel chooses, and the warning where nobody watches."""

from tests.platforms.platform_driver import Driver
from tests.platforms.running_bot import settings_with

UNWATCHED = settings_with({"SESSION_UNWATCHED_TIMEOUT": "120", "SESSION_IDLE_WARNING": "60"}).session


async def test_default_goes_back_to_the_idle_time_of_the_operator(chat: Driver) -> None:
    assert "after 60 s without a message, chosen here" in await chat.command("/avatar idle 60")
    assert "after 5 min without a message, as the operator has set it" in await chat.command("/avatar idle default")
    assert "as the operator has set it" in await chat.command("/avatar idle")


async def test_who_does_not_watch_is_warned_and_can_keep_the_avatar(chat: Driver) -> None:
    chat.bot._settings = chat.bot._settings.model_copy(update={"session": UNWATCHED})
    await chat.restart()
    await chat.command("/avatar start")
    await chat.until_read("Nobody is watching or writing: the avatar leaves in 60 s")
    assert "Good, the avatar stays." in await chat.command("/avatar keep")
