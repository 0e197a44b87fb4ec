"""Two programs on one database are replaced one after the other, twice, while people write: nothing is lost, nothing is
told to be in doubt, and Slack has to bring nothing again."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.scenario.member import Member
from tests.scenario.processes_under_load import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.timeout(240)]

GENERATIONS = 3
CHANNELS = 12
"""At each look a process claims its share of what is free: of four, one that looks a second later would get none."""

KEEP = {"SHUTDOWN": "keep"}


async def test_rolling_deploy_loses_nothing_and_leaves_nothing_in_doubt(
    tmp_path: Path, new_postgres_url: Callable[[], str]
) -> None:
    url = await asyncio.to_thread(new_postgres_url)
    async with Cluster(tmp_path, url, channels=CHANNELS, seed=0) as cluster:
        programs = [await cluster.start("0 left", **KEEP), await cluster.start("0 right", **KEEP)]
        everybody: list[Member] = [*programs]
        await cluster.slack.until(lambda: len(cluster.slack.connections) == 2)
        await cluster.start_avatars()
        cluster.talk()
        for generation in range(1, GENERATIONS):
            for place, side in enumerate(("left", "right")):
                # Somebody is in the middle of saying it, whoever that is.
                await cluster.write(cluster.channels[0], parts=3)
                new = await cluster.start(f"{generation} {side}", **KEEP)
                await cluster.slack.until(lambda: len(cluster.slack.connections) == 3)
                programs[place].send(signal.SIGTERM)
                assert await programs[place].end() == 0
                programs[place] = new
                everybody.append(new)
        await cluster.fall_silent()
        await cluster.until_settled()
        assert await cluster.violations(everybody) == []
        assert await cluster.query("SELECT text FROM utterances WHERE state = 'unknown'") == []
        owners = {process for _, process in await cluster.query("SELECT at, process FROM noted")}
        assert len(owners) == len(everybody), "one of them never had an avatar"
        again = [
            attempt.failure
            for message in cluster.messages
            for delivery in message.deliveries
            for attempt in delivery.attempts
            if attempt.failure
        ]
        assert again == []
