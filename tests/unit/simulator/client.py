"""A small HTTP client for one simulator; the tests read better with it."""

import asyncio
import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import aiohttp

from adapters.simulator import Simulator
from tests.harness.clock import ManualClock

KEY = "simulator"
STREAM = {"type": "text_stream", "avatar_id": "sim-robin", "voice_id": "sim-voice-clara", "text": "Hello there."}


@dataclass(frozen=True)
class Answer:
    status: int
    text: str
    headers: dict[str, str]

    @property
    def body(self) -> Any:
        return json.loads(self.text)

    @property
    def data(self) -> Any:
        return self.body["data"]


class Client:
    """Speaks HTTP to one simulator, with the API key unless told otherwise."""

    def __init__(self, http: aiohttp.ClientSession, simulator: Simulator, clock: ManualClock) -> None:
        self.http = http
        self.simulator = simulator
        self.clock = clock

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
    ) -> Answer:
        headers = {"X-Api-Key": KEY} if headers is None else headers
        url = path if path.startswith("http") else self.simulator.address + path
        content = raw if raw is not None else (None if body is None else json.dumps(body).encode())
        async with self.http.request(
            method, url, data=None if content is None else io.BytesIO(content), headers=headers
        ) as response:
            return Answer(response.status, await response.text(), dict(response.headers))

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.call("GET", path, **more)

    async def post(self, path: str, body: object = None, **more: Any) -> Answer:
        return await self.call("POST", path, body, **more)

    async def connected(self, **fields: object) -> str:
        """A v1 session with a viewer."""
        new = await self.post("/v1/streaming.new", fields)
        assert new.status == 200, new.text
        session = str(new.data["session_id"])
        assert (await self.post("/v1/streaming.start", {"session_id": session})).status == 200
        assert (await self.get(new.data["hls_url"])).status == 200
        return session

    async def task(self, session: str, text: str, task_type: str = "repeat", task_mode: str = "async") -> Answer:
        body = {"session_id": session, "text": text, "task_type": task_type, "task_mode": task_mode}
        return await self.post("/v1/streaming.task", body)

    async def v1_states(self) -> dict[str, str]:
        return {row["session_id"]: row["status"] for row in (await self.get("/v1/streaming.list")).data["sessions"]}

    async def stream(self, **fields: object) -> str:
        """A v3 stream, still pending."""
        created = await self.post("/v3/avatar-realtime", {**STREAM, **fields})
        assert created.status == 201, created.text
        return str(created.data["stream_id"])

    async def streaming(self, **fields: object) -> str:
        """A v3 stream that has begun; the clock has moved to its first moment."""
        stream = await self.stream(**fields)
        await self.clock.advance(self.simulator.options.v3_pending)
        return stream

    async def append(self, stream: str, delta: str, **fields: object) -> Answer:
        return await self.post(f"/v3/avatar-realtime/{stream}/text", {"delta": delta, **fields})

    async def status(self, stream: str) -> dict[str, Any]:
        answer = await self.get(f"/v3/avatar-realtime/{stream}")
        assert answer.status == 200, answer.text
        return dict(answer.data)

    def spoken(self, stream: str) -> list[tuple[str, str]]:
        """(text, state) of everything the stream was to say."""
        (view,) = [view for view in self.simulator.streams() if view.id == stream]
        return [(spoken.text, spoken.state) for spoken in view.spoken]


async def eventually(condition: Callable[[], bool]) -> None:
    """Wait until I/O has made `condition` true; fails after five seconds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in a socket
            await asyncio.sleep(0.002)
