"""A local Slack with one person and one channel, and small Bolt apps connected to it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.app.async_app import AsyncApp
from slack_bolt.app.async_server import AsyncSlackAppServer
from slack_sdk.web.async_client import AsyncWebClient

from tests.contract.fakes.slack.apps import Connect, Serve
from tests.fakes.slack import FakeSlack


@pytest.fixture
async def twin() -> AsyncIterator[FakeSlack]:
    async with FakeSlack() as twin:
        twin.add_user("ana")
        twin.add_channel("general", ["ana"])
        yield twin
        twin.check()


@pytest.fixture
def client(twin: FakeSlack) -> AsyncWebClient:
    return AsyncWebClient(token=twin.bot_token, base_url=twin.api_url)


@pytest.fixture
def app(twin: FakeSlack, client: AsyncWebClient) -> AsyncApp:
    return AsyncApp(client=client, signing_secret=twin.signing_secret)


@pytest.fixture
async def connect(twin: FakeSlack) -> AsyncIterator[Connect]:
    """Connects an app by Socket Mode."""
    async with AsyncExitStack() as stack:

        async def connect(app: AsyncApp) -> AsyncSocketModeHandler:
            handler = AsyncSocketModeHandler(app, twin.app_token, ping_interval=1)
            before = len(twin.connections)
            await handler.connect_async()  # type: ignore[no-untyped-call]
            stack.push_async_callback(handler.close_async)
            await twin.until(lambda: len(twin.connections) > before)
            return handler

        yield connect


@pytest.fixture
async def serve(twin: FakeSlack) -> AsyncIterator[Serve]:
    """Serves an app by Bolt's own web server and tells the twin where."""
    async with AsyncExitStack() as stack:

        async def serve(app: AsyncApp) -> str:
            runner = web.AppRunner(AsyncSlackAppServer(0, "/slack/events", app).web_app)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            twin.mode, twin.request_url = "http", f"{url}/slack/events"
            return url

        yield serve
