"""The pages that are open here and shown a session of another process: their messages go both ways, and what they say
is not looked into.

Whether a page may come, and still may, is decided here, where its request arrived. The session's owner shows it what
there is (`adapters.web.piped`). Where the owner changes, dies or does not answer, the connection is closed, and the
page connects again by itself.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from contextlib import suppress

import structlog

from adapters.web.access import Access, Opened
from adapters.web.connection import CARRIER_LIMITS, Wire, first_of
from adapters.web.pipe_messages import (
    CLOSED,
    LEFT,
    MAX_WAITING,
    OPEN,
    PULSE,
    PULSE_INTERVAL,
    ROOMS,
    SAID,
    TAKEN,
    TOLD,
    PipedPage,
    dump,
    dump_page,
    load,
)
from adapters.web.protocol import Close
from bot.core.bus import Bus, Directory
from bot.core.errors import ProcessUnreachable, StoreError
from bot.core.ports import Clock

CHECK_INTERVAL = 3.0
"""Seconds between checks of what a page was opened with, and of who owns what it is shown."""

MAX_MISSED = 2
"""Pulses in a row that an owner may leave without an answer."""

_log = structlog.get_logger(__name__)


class Pipe:
    """One page. close_code: set once the connection is to be closed. is_taken: the owner shows it something."""

    def __init__(self, page: PipedPage, owner: str) -> None:
        self.page = page
        self.owner = owner
        self.close_code: asyncio.Future[Close] = asyncio.get_running_loop().create_future()
        self.is_taken = False
        self._told = 0
        self._texts: asyncio.Queue[str | Close | None] = asyncio.Queue()

    def close(self, code: Close) -> None:
        """Have the connection closed at once."""
        if not self.close_code.done():
            self.close_code.set_result(code)

    def take(self, number: int, what: str | Close | None) -> None:
        """The owner has sent a text, or the code to close with after what it has sent before."""
        self._told += 1
        if number != self._told or self._texts.qsize() >= MAX_WAITING:
            self.close(Close.AWAY)
        else:
            self._texts.put_nowait(what)

    async def write_to(self, wire: Wire) -> Close | None:
        """Write what the owner sends, until it wants the connection closed."""
        while isinstance(what := await self._texts.get(), str):
            await wire.write_text(what)
        return what


class Pipes:
    """Everybody here who is shown a session of another process."""

    def __init__(self, bus: Bus, directory: Directory, clock: Clock) -> None:
        self._bus = bus
        self._directory = directory
        self._clock = clock
        self._ids = itertools.count(1)
        self._open: dict[str, Pipe] = {}
        self._missed: dict[str, int] = {}
        bus.handle(TOLD, self._on_told)
        bus.handle(CLOSED, self._on_closed)

    def __len__(self) -> int:
        return len(self._open)

    async def rooms(self, owner: str, nonce: str) -> tuple[str, ...] | None:
        """Where the page of a link may join a room, as sources of a Content-Security-Policy; None where the link opens
        nothing. Raises `ProcessUnreachable`."""
        (rooms,) = load(await self._bus.ask(owner, ROOMS, dump(nonce)))
        return None if rooms is None else tuple(rooms)

    async def show(self, wire: Wire, access: Access, opened: Opened, owner: str) -> Close | None:
        """Have a page shown the session that it has opened, to its end; None when the page has left before. Raises as
        `Access.look_up` does."""
        page = PipedPage(
            str(next(self._ids)),
            opened.nonce or "",
            access.media_prefix,
            access.is_framed,
            access.shows_picture,
            access.opens_links,
            opened.viewer,
        )
        pipe = self._open[page.id] = Pipe(page, owner)
        try:
            if await self._bus.ask(owner, OPEN, dump_page(page)) != TAKEN:
                await self._look_again(pipe)
                return Close.AWAY
            pipe.is_taken = True
            return await first_of(
                pipe.close_code,
                pipe.write_to(wire),
                wire.read_text(self._sender(pipe), lambda: CARRIER_LIMITS),
                self._check(access, pipe),
            )
        except ProcessUnreachable as error:
            _log.info("the owner of a session does not answer; its page connects again", error=str(error))
            await self._look_again(pipe)
            return Close.LATER
        finally:
            del self._open[page.id]
            await self._leave(pipe)

    async def pulse(self) -> None:
        """Tell owners which pages are still here, and close those that they do not show any more, until cancelled."""
        while True:
            await self._clock.sleep(PULSE_INTERVAL)
            pipes = tuple(pipe for pipe in self._open.values() if pipe.is_taken)
            owners = {pipe.owner for pipe in pipes}
            self._missed = {owner: missed for owner, missed in self._missed.items() if owner in owners}
            await asyncio.gather(*(self._pulse(owner, pipes) for owner in owners))

    async def _pulse(self, owner: str, pipes: tuple[Pipe, ...]) -> None:
        mine = [pipe for pipe in pipes if pipe.owner == owner]
        try:
            unknown = set(load(await self._bus.ask(owner, PULSE, dump(*(pipe.page.id for pipe in mine)))))
        except ProcessUnreachable:
            self._missed[owner] = self._missed.get(owner, 0) + 1
            unknown = {pipe.page.id for pipe in mine} if self._missed[owner] >= MAX_MISSED else set()
        else:
            self._missed.pop(owner, None)
        for pipe in mine:
            if pipe.page.id in unknown:
                pipe.close(Close.AWAY)

    async def _check(self, access: Access, pipe: Pipe) -> Close:
        """Wait until the page may not go on, or not over this way. Raises as `Access.look_up` does."""
        while True:
            await self._clock.sleep(CHECK_INTERVAL)
            if self._directory.owner_of_link(pipe.page.nonce) not in (pipe.owner, None):
                return Close.AWAY
            try:
                opened = await access.look_up()
            except StoreError as error:
                _log.warning("links_not_checked", error=str(error))
                continue
            if opened.nonce != pipe.page.nonce:
                return Close.ENDED if opened.follows else Close.REVOKED

    def _sender(self, pipe: Pipe) -> Callable[[str], Coroutine[object, object, Close | None]]:
        numbers = itertools.count(1)

        async def send(text: str) -> Close | None:
            at = self._clock.monotonic()
            await self._bus.tell(pipe.owner, SAID, dump(pipe.page.id, next(numbers), at, text))
            return None

        return send

    async def _look_again(self, pipe: Pipe) -> None:
        """Whoever owns it now is to be known when the page comes back."""
        with suppress(StoreError):
            await self._directory.find_link(pipe.page.nonce, afresh=True)

    async def _leave(self, pipe: Pipe) -> None:
        with suppress(ProcessUnreachable):  # without a pulse it is forgotten there
            await self._bus.tell(pipe.owner, LEFT, dump(pipe.page.id))

    async def _on_told(self, process: str, body: str) -> str:
        page_id, number, text = load(body)
        if (pipe := self._open.get(page_id)) is not None and pipe.owner == process:
            pipe.take(number, text)
        return ""

    async def _on_closed(self, process: str, body: str) -> str:
        page_id, number, code = load(body)
        if (pipe := self._open.get(page_id)) is not None and pipe.owner == process:
            pipe.take(number, None if code is None else Close(code))
        return ""
