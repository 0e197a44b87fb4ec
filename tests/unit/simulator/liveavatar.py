"""What the tests of the simulated LiveAvatar need: a configuration, calls by session, a seat in the fake room."""

import asyncio
import json
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp

from tests.unit.simulator.client import Answer, Client

WAYNE = "dd73ea75-1218-4ef3-92ce-606d5f7fbc0a"
DEMO_CONTEXT = "5b9dba8a-aa31-11f0-a6ee-066a7fa2e369"
FULL: dict[str, Any] = {"mode": "FULL", "avatar_id": WAYNE, "avatar_persona": {"language": "en"}}
WITH_CONTEXT = {**FULL, "avatar_persona": {"language": "en", "context_id": DEMO_CONTEXT}}


async def minted(client: Client, **fields: object) -> dict[str, str]:
    """A session that has not been started: its id and its token."""
    answer = await client.post("/v1/sessions/token", {**FULL, **fields})
    assert answer.status == 200, answer.text
    return dict(answer.data)


async def start(client: Client, token: str) -> Answer:
    return await client.post("/v1/sessions/start", {}, headers={"Authorization": f"Bearer {token}"})


async def started(client: Client, **fields: object) -> dict[str, Any]:
    """An active session: what its start answered."""
    answer = await start(client, (await minted(client, **fields))["session_token"])
    assert answer.status == 201, answer.text
    return dict(answer.data)


async def rows(client: Client, kind: str) -> list[dict[str, Any]]:
    return list((await client.get(f"/v1/sessions?type={kind}")).data["results"])


async def end_reason(client: Client, session_id: str) -> str | None:
    """Why a session is over; None while it is not."""
    row = (await client.get(f"/v1/sessions/{session_id}")).data
    return row.get("end_reason")


class Seat:
    """One participant of a fake room."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def command(self, event_type: str, event_id: str = "", **fields: object) -> None:
        data = {"event_type": event_type, **({"event_id": event_id} if event_id else {}), **fields}
        await self.socket.send_json({"topic": "agent-control", "data": data})

    async def event(self) -> dict[str, Any]:
        """The next event of the avatar."""
        async with asyncio.timeout(5):
            frame = await self.socket.receive()
        assert frame.type is aiohttp.WSMsgType.TEXT, frame
        message = json.loads(frame.data)
        assert message["topic"] == "agent-response"
        return dict(message["data"])

    async def types(self, count: int) -> list[str]:
        return [(await self.event())["event_type"] for _ in range(count)]

    async def closed(self) -> int | None:
        """The code the connection was closed with; what came before is passed over."""
        async with asyncio.timeout(5):
            while (await self.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        return self.socket.close_code


def sitting(client: Client, session: dict[str, Any]) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
    """Join the fake room of a session."""
    return client.http.ws_connect(f"{session['livekit_url']}?token={session['livekit_client_token']}")
