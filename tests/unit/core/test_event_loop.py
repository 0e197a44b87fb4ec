"""The loop that the program runs on."""

import asyncio
import sys

import pytest

from bot.core import event_loop


async def _module_of_the_loop() -> str:
    return type(asyncio.get_running_loop()).__module__


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop does not exist on Windows")
def test_program_runs_on_uvloop() -> None:
    assert event_loop.run(_module_of_the_loop()).startswith("uvloop")


def test_what_the_work_fails_with_is_raised() -> None:
    async def fail() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        event_loop.run(fail())


def test_what_is_left_running_is_cancelled_and_awaited() -> None:
    ended: list[str] = []

    async def linger() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("linger")

    async def work() -> asyncio.Task[None]:
        task = asyncio.create_task(linger())
        await asyncio.sleep(0)
        return task

    assert event_loop.run(work()).cancelled()
    assert ended == ["linger"]
