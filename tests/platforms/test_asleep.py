"""An avatar whose silent stream was let go: what people read of it, and what wakes it, on every platform."""

from adapters.simulator import Effect
from tests.platforms.platform_driver import Driver
from tests.platforms.running_bot import settings_with

LETS_GO = settings_with({"STREAM_LINGER": "5"}).stream
ASLEEP = "asleep; the next message wakes it (about "
WAKING = "waking up (about "


async def test_who_sleeps_says_so_and_the_next_message_wakes_it(chat: Driver) -> None:
    chat.bot._settings = chat.bot._settings.model_copy(update={"stream": LETS_GO})
    await chat.restart()
    await chat.command("/avatar start")
    await chat.bot.until(lambda: chat.bot.simulator.streams() and not chat.bot.open_streams)
    assert ASLEEP in await chat.command("/avatar status")
    if chat.has_buttons:
        await chat.until_read(ASLEEP)

    chat.bot.simulator.faults.add(method="POST", path="/v3/avatar-realtime", effect=Effect.LATENCY, seconds=60)
    await chat.write("good morning")
    await chat.bot.until(lambda: any(running.view().is_waking for running in chat.bot.bot.sessions))
    assert WAKING in await chat.command("/avatar status")
    if chat.has_buttons:
        await chat.until_read(WAKING)
    await chat.bot.until(lambda: chat.bot.spoken == ["good morning"])
    assert len(chat.bot.simulator.streams()) == 2
