"""What the composition root must not forget."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import aiohttp
import pytest

from adapters.web import WebServer
from bot.app import Application
from bot.core.errors import OwnershipLost, SettingsError
from bot.sessions.jobs import LEARN_BLOCKS_EVERY
from bot.streams.page_bridge import seats_of
from bot.supervision import RESTART_DELAYS
from tests.harness.clock import ManualClock
from tests.platforms.running_bot import PATIENCE, settings_with
from tests.unit.test_platforms import Chat


async def test_the_page_gets_the_seats_of_the_provider(tmp_path: Path) -> None:
    # Without them nothing fails: a page plays, and every message waits for a viewer for ever.
    environment = {
        "AVATAR_PROVIDER": "liveavatar",
        "LIVEAVATAR_API_KEY": "never-used",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'app.sqlite3'}",
    }
    application = Application(settings_with(environment), ManualClock(), lambda _: None)
    with patch("bot.app.WebServer", wraps=WebServer) as made:
        try:
            await application.start([])
            assert made.call_args.kwargs["seats"] is seats_of(application.bot.sessions.services.provider)
        finally:
            await application.stop()


class Served:
    """A bot on two platforms that do as they are told."""

    def __init__(self, folder: Path) -> None:
        environment = {"AVATAR_PROVIDER": "simulator", "DATABASE_URL": f"sqlite:///{folder / 'app.sqlite3'}"}
        self.clock = ManualClock()
        self.told: list[str] = []
        self.application = Application(settings_with(environment), self.clock, self.told.append)
        self.here, self.there = Chat("here"), Chat("there")
        self.serving: asyncio.Task[None]

    async def start(self) -> None:
        await self.application.start([lambda _: self.here, lambda _: self.there])
        self.serving = asyncio.create_task(self.application.serve())
        await self.clock.advance(0)

    async def stop(self) -> None:
        self.application.ask_to_stop()
        await asyncio.wait([self.serving])
        await self.application.stop()

    async def ready(self) -> dict[str, Any]:
        """What `/readyz` tells of each part."""
        (address,) = re.findall(r"^Web: .*(http://127\.0\.0\.1:\d+)", "\n".join(self.told), re.MULTILINE)
        async with aiohttp.ClientSession() as client, client.get(f"{address}/readyz") as answer:
            told = await answer.json()
        assert answer.status == (200 if told["ready"] else 503)
        (member,) = told["members"]
        assert member["is_this"] is True
        assert "host" not in member
        return dict(told["parts"])


ALL_IS_WELL = {"database": None, "here": None, "there": None}


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    served = Served(tmp_path)
    await served.start()
    yield served
    await served.stop()


async def test_readiness_names_the_platform_that_starts_again(served: Served) -> None:
    assert await served.ready() == ALL_IS_WELL
    served.here.fail(KeyError("type"))
    await served.clock.advance(0)
    parts = await served.ready()
    assert "starts again" in parts.pop("here")
    assert parts == {"database": None, "there": None}
    await served.clock.advance(RESTART_DELAYS[0])
    assert await served.ready() == ALL_IS_WELL


async def test_readiness_names_a_round_that_starts_again(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(served.application._core.permissions, "set_blocks", lambda _: {}["a mistake of ours"])  # type: ignore[index]
        await served.clock.advance(LEARN_BLOCKS_EVERY)
        async with asyncio.timeout(PATIENCE):
            while served.application._core.jobs.unhealthy_reason is None:  # noqa: ASYNC110 - the database answers in a thread
                await asyncio.sleep(0.01)
        parts = await served.ready()
    assert parts.pop("sweeper").startswith("blocks: ")
    assert parts == ALL_IS_WELL
    await served.clock.advance(RESTART_DELAYS[0])
    assert await served.ready() == ALL_IS_WELL


async def test_a_membership_that_fails_unforeseen_starts_again_and_its_loss_ends_the_program(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    membership = served.application._membership
    failures: list[Exception] = [KeyError("a mistake of ours")]

    async def until_lost() -> None:
        if failures:
            raise failures.pop()
        await membership._lost.wait()

    monkeypatch.setattr(membership, "_until_lost", until_lost)
    part = next(part for part in served.application._parts if part.part == "membership")
    part_again = asyncio.create_task(part.run())
    await served.clock.advance(0)
    assert not part_again.done()
    await served.clock.advance(RESTART_DELAYS[0])
    assert not part_again.done()
    membership.member.on_fenced()
    with pytest.raises(OwnershipLost):
        await part_again
    with pytest.raises(OwnershipLost):
        await served.serving
    assert "No sessions left to the process that owns the database now." in served.told


async def test_the_program_goes_on_until_no_platform_is_left(served: Served) -> None:
    served.here.fail(SettingsError("the token is wrong"))
    await served.clock.advance(0)
    assert not served.serving.done()
    assert "left out" in (await served.ready())["here"]
    assert "Here: left out until the next start; the token is wrong" in served.told
    served.there.fail(SettingsError("the other token is wrong"))
    await served.clock.advance(0)
    await asyncio.wait([served.serving])
    with pytest.raises(SettingsError, match=r"^the other token is wrong$"):
        await served.serving
