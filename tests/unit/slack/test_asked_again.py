"""What another process asks of the owner of a channel is carried out once, however often it is asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from slack_bolt.response import BoltResponse

from adapters.chat.slack.routing import TO_OWNER, Routing
from bot.cluster.alone import AllHere, LoopBack, NoClaims
from bot.core.bus import Cluster
from bot.core.errors import ProcessUnreachable, StoreUnavailable
from bot.settings import RelayMode
from tests.harness.clock import ManualClock, settle

SKIP = json.dumps({"body": "command=%2Favatar&text=skip&trigger_id=1", "headers": {}, "mode": "http"})


class App:
    """Answers once it may."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.may_answer = asyncio.Event()
        self.trouble: Exception | None = None

    async def answer(self, body: str, headers: Mapping[str, str], *, mode: str) -> BoltResponse:
        self.taken.append(body)
        await self.may_answer.wait()
        if self.trouble is not None:
            raise self.trouble
        return BoltResponse(status=200, body=f"answer {len(self.taken)}")


class NoParcels:
    """Nothing is kept."""

    def handle(self, kind: str, opener: object) -> None: ...

    def unhandle(self, kind: str) -> None: ...


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
async def bus(app: App) -> AsyncIterator[LoopBack]:
    async with LoopBack("owner") as bus:
        cluster: Any = Cluster(bus, AllHere(), NoClaims(), NoParcels())  # type: ignore[arg-type]
        routing = Routing(app, cluster, None, ManualClock(), RelayMode.ALL)  # type: ignore[arg-type]
        routing.begin()
        yield bus
        routing.end()


async def test_a_command_that_is_asked_again_is_carried_out_once(bus: LoopBack, app: App) -> None:
    first = asyncio.create_task(bus.ask("owner", TO_OWNER, SKIP))
    await settle()
    again = asyncio.create_task(bus.ask("owner", TO_OWNER, SKIP))
    await settle()
    app.may_answer.set()
    assert await first == await again
    assert await bus.ask("owner", TO_OWNER, SKIP) == await first
    assert len(app.taken) == 1


async def test_two_commands_are_two(bus: LoopBack, app: App) -> None:
    app.may_answer.set()
    await bus.ask("owner", TO_OWNER, SKIP)
    await bus.ask("owner", TO_OWNER, SKIP.replace("trigger_id=1", "trigger_id=2"))
    assert len(app.taken) == 2


async def test_what_could_not_be_answered_is_tried_again(bus: LoopBack, app: App) -> None:
    app.may_answer.set()
    app.trouble = StoreUnavailable("the database is away")
    with pytest.raises(ProcessUnreachable):
        await bus.ask("owner", TO_OWNER, SKIP)
    app.trouble = None
    await bus.ask("owner", TO_OWNER, SKIP)
    assert len(app.taken) == 2
