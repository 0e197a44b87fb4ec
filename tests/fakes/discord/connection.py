"""One gateway WebSocket: an order of frames to write, and ways to end it. It knows no sessions."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web


class Connection:
    """Writes frames in order from a task of its own, so that whoever changes the world need not wait."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.silent = False
        self.cut = False
        self._closing = False
        self._socket = socket
        self._transport = transport
        self._frames: asyncio.Queue[str | int] = asyncio.Queue()
        self._writing = asyncio.create_task(self._write())

    @property
    def living(self) -> bool:
        """Whether frames can still be written."""
        return not (self.cut or self._socket.closed or self._writing.done())

    def send(self, frame: Mapping[str, Any]) -> None:
        """Writes a frame after those before it; a silent connection loses it."""
        self.send_text(json.dumps(frame))

    def send_text(self, text: str) -> None:
        """Writes a frame that is JSON already."""
        if not self.silent:
            self._frames.put_nowait(text)

    def close(self, code: int) -> None:
        """Closes with a code after the frames before it."""
        self.cut = self._closing = True
        self._frames.put_nowait(code)

    def abort(self) -> None:
        """Cuts the TCP connection: no close frame."""
        self.cut = True
        self._writing.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def flush(self) -> None:
        """Returns when the frames so far are written or cannot be any more."""
        written = asyncio.create_task(self._frames.join())
        await asyncio.wait({written, self._writing}, return_when=asyncio.FIRST_COMPLETED)
        written.cancel()
        await asyncio.gather(written, return_exceptions=True)

    async def end(self) -> None:
        """Ends the writing; a close frame under way is written first."""
        if not self._closing:
            self._writing.cancel()
        await asyncio.gather(self._writing, return_exceptions=True)

    async def _write(self) -> None:
        while True:
            frame = await self._frames.get()
            try:
                if isinstance(frame, int):
                    await self._socket.close(code=frame)
                    return
                await self._socket.send_str(frame)
            except ConnectionError:
                return
            finally:
                self._frames.task_done()
