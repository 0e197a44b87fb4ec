"""A process over whose listening connection nothing comes, as behind a pooler in transaction mode: it says so, and goes
on as well as it can."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import aiohttp
import pytest

from bot.cluster.bus import DEAF, DEAF_AFTER
from bot.store.notify import Listener
from bot.telemetry import metrics
from tests.scenario.two_processes import PATIENCE, TwoPrograms, WatchPage, until

pytestmark = [pytest.mark.postgres, pytest.mark.slow]


def _hear_nothing(*_: object) -> None:
    pass


async def test_process_that_hears_no_others_says_so_until_it_does(
    new_postgres_url: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await asyncio.to_thread(new_postgres_url)
    async with TwoPrograms(url) as two, aiohttp.ClientSession() as client:
        with monkeypatch.context() as patch:
            patch.setattr(Listener, "_heard", _hear_nothing)
            deaf = await two.one_more()

            async def readiness(address: str) -> tuple[int, dict[str, Any]]:
                async with client.get(f"{address}/readyz") as answer:
                    return answer.status, await answer.json()

            told: list[tuple[int, dict[str, Any]]] = []
            while not told or told[-1][0] == HTTPStatus.OK:
                told.append(await readiness(deaf.address))
                assert len(told) < PATIENCE * 10
                await two.clock.sleep(0.1)
            assert told[-1][1]["parts"]["bus"] == DEAF
            assert next(iter(metrics.bus_seconds.collect())).samples[0].value >= DEAF_AFTER
            assert (await readiness(two.first.address))[0] == HTTPStatus.OK
            # Nobody tells it of the session; it looks, although its page cannot be fed.
            await two.first.type("/avatar start")
            channel = two.first.session_in().session.channel
            assert await deaf.application.bot.cluster.directory.find(channel) == two.first.process
        await until(lambda: deaf.application.bot.cluster.bus.is_listening)
        assert (await readiness(deaf.address))[1]["parts"].get("bus") is None
        page = await WatchPage.open(client, deaf.page_of(two.first.session_in()))
        assert (await page.next("session"))["started_by"] == "Ana"
        await page.socket.close()
