"""The pages that are open at other processes and shown sessions of this one: for each of them the code that shows a
page here, over an object that stands for its socket.

The other process has checked what the page was opened with, and goes on doing so; here it is only a link that is still
good. Pages whose process says nothing of them for a while are gone.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import structlog
from aiohttp import ClientConnectionResetError, WSMsgType

from adapters.web.access import Opened
from adapters.web.pipe_messages import (
    CLOSED,
    LEFT,
    MAX_WAITING,
    NOT_MINE,
    OPEN,
    PULSE,
    PULSE_INTERVAL,
    PULSE_TIMEOUT,
    SAID,
    TAKEN,
    TOLD,
    PipedPage,
    dump,
    load,
    load_page,
)
from adapters.web.protocol import Close
from bot.core.bus import Bus, Directory
from bot.core.errors import ProcessUnreachable
from bot.core.pictures import PLAYLIST
from bot.core.ports import Clock
from bot.core.tasks import TaskSet

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class TextFrame:
    """A message of a page that came over the bus."""

    data: str
    type: Literal[WSMsgType.TEXT] = WSMsgType.TEXT


class PipedAccess:
    """`adapters.web.access.Access` of a page at another process, which looks after its link or ticket."""

    def __init__(self, page: PipedPage) -> None:
        self._page = page
        self.key = f"piped {page.nonce}"
        self.is_framed = page.is_framed
        self.shows_picture = page.shows_picture
        self.opens_links = page.opens_links
        self.media_prefix = page.media_prefix

    def media(self, picture: str) -> str:
        """See `Access`."""
        return f"{self.media_prefix}media/{picture}/{PLAYLIST}"

    async def look_up(self) -> Opened:
        """See `Access`."""
        return Opened(self._page.nonce, viewer=self._page.viewer)


class PipedSocket:
    """The socket of a page at another process. heard_at: when that received the latest message, on its clock."""

    def __init__(self, bus: Bus, process: str, page_id: str) -> None:
        self.process = process
        self.page_id = page_id
        self.heard_at = 0.0
        self.pulse_at = 0.0
        self._bus = bus
        self._sent = 0
        self._heard = 0
        self._frames: asyncio.Queue[tuple[float, str] | None] = asyncio.Queue()
        self._is_over = False

    async def send_str(self, data: str) -> None:
        """Send a message. Raises `ClientConnectionResetError` where the page has gone."""
        if self._is_over:
            raise ClientConnectionResetError("the page has gone")
        await self._tell(TOLD, data)

    async def close(self, code: Close | None) -> None:
        """Have the page's connection closed, with `code` where there is one."""
        if not self._is_over:
            self.end()
            await self._tell(CLOSED, code)

    def hear(self, number: int, at: float, text: str) -> None:
        """The page has sent a message: its `number`, and when it came."""
        self._heard += 1
        if number != self._heard or self._frames.qsize() >= MAX_WAITING:
            _log.info("messages of a page at another process are missing; it connects again", page=self.page_id)
            self.end()
        elif not self._is_over:
            self._frames.put_nowait((at, text))

    def end(self) -> None:
        """The page has gone."""
        if not self._is_over:
            self._is_over = True
            self._frames.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[TextFrame]:
        """What the page sends, until it leaves."""
        while (frame := await self._frames.get()) is not None:
            self.heard_at, text = frame
            yield TextFrame(text)

    async def _tell(self, kind: str, value: object) -> None:
        self._sent += 1
        try:
            await self._bus.tell(self.process, kind, dump(self.page_id, self._sent, value))
        except ProcessUnreachable as error:
            self.end()
            raise ClientConnectionResetError(str(error)) from error


Serve = Callable[[PipedSocket, PipedAccess], Awaitable[Close | None]]


class PipedPages:
    """Everybody at other processes who is shown a session of this one."""

    def __init__(self, bus: Bus, directory: Directory, clock: Clock, serve: Serve) -> None:
        """`serve` shows a page its session, to the end."""
        self._bus = bus
        self._directory = directory
        self._clock = clock
        self._serve = serve
        self._tasks = TaskSet()
        self._open: dict[tuple[str, str], PipedSocket] = {}
        bus.handle(OPEN, self._on_open)
        bus.handle(SAID, self._on_said)
        bus.handle(LEFT, self._on_left)
        bus.handle(PULSE, self._on_pulse)

    def __len__(self) -> int:
        return len(self._open)

    async def forget_silent(self) -> None:
        """End pages whose process says nothing of them any more, until cancelled."""
        while True:
            await self._clock.sleep(PULSE_INTERVAL)
            for socket in tuple(self._open.values()):
                if self._clock.monotonic() - socket.pulse_at >= PULSE_TIMEOUT:
                    socket.end()

    async def close_all(self) -> None:
        """Close every connection."""
        for socket in tuple(self._open.values()):
            await _close(socket, Close.AWAY)
        await self._tasks.close()

    async def _on_open(self, process: str, body: str) -> str:
        page = load_page(body)
        if self._directory.owner_of_link(page.nonce) is not None:
            return NOT_MINE
        socket = PipedSocket(self._bus, process, page.id)
        socket.pulse_at = self._clock.monotonic()
        self._open[process, page.id] = socket
        self._tasks.create_task(self._show(socket, PipedAccess(page)), name="watch page at another process")
        return TAKEN

    async def _show(self, socket: PipedSocket, access: PipedAccess) -> None:
        code: Close | None = Close.AWAY
        try:
            code = await self._serve(socket, access)
        finally:
            del self._open[socket.process, socket.page_id]
        await _close(socket, code)

    async def _on_said(self, process: str, body: str) -> str:
        page_id, number, at, text = load(body)
        if (socket := self._open.get((process, page_id))) is not None:
            socket.hear(number, at, text)
        return ""

    async def _on_left(self, process: str, body: str) -> str:
        (page_id,) = load(body)
        if (socket := self._open.get((process, page_id))) is not None:
            socket.end()
        return ""

    async def _on_pulse(self, process: str, body: str) -> str:
        unknown = []
        for page_id in load(body):
            if (socket := self._open.get((process, page_id))) is None:
                unknown.append(page_id)
            else:
                socket.pulse_at = self._clock.monotonic()
        return dump(*unknown)


async def _close(socket: PipedSocket, code: Close | None) -> None:
    try:
        await socket.close(code)
    except ClientConnectionResetError:
        _log.debug("watch_page_did_not_close")
