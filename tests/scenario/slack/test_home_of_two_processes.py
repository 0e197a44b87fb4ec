"""The App Home of two bots on one database lists the avatars of both, whichever of them draws it."""

import asyncio
import json
from collections.abc import Callable

import pytest

from tests.fakes.slack import Channel
from tests.harness.slack_cluster import SlackCluster
from tests.platforms.platform_driver import BEN

pytestmark = pytest.mark.postgres


async def test_home_lists_the_avatars_of_both_processes(new_postgres_url: Callable[[], str]) -> None:
    url = await asyncio.to_thread(new_postgres_url)
    async with SlackCluster(url) as cluster:
        twin, ben = cluster.twin, cluster.people[BEN]
        # Each at whichever bot Slack sends it to.
        channels: list[Channel] = []
        while len({cluster.owner_of(channel).process for channel in channels}) < 2:
            channels.append(cluster.add_channel(f"channel-{len(channels)}"))
            await cluster.command("/avatar start", channel=channels[-1])
            assert len(channels) < 30
        for bot in cluster.bots:
            before = twin.home(ben)
            workspace = await bot.adapter._workspaces.find(ben.team.id)
            await bot.adapter._listeners._home.publish(workspace, ben.id)
            view = twin.home(ben)
            assert view is not None
            assert view is not before
            shown = json.dumps(view.blocks)
            assert [channel.id for channel in channels if f"<#{channel.id}>" not in shown] == []
