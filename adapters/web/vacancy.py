"""A page in a frame while its channel has no avatar: says so, and waits for one. Shows nothing of a session."""

from adapters.web.access import Opened, TicketAccess
from adapters.web.connection import Wire, first_of
from adapters.web.protocol import ClientMessage, Close, Hello, NobodyMessage, StartAvatar
from bot import sentences
from bot.core.errors import AvatarRelayError, LinkInvalid
from bot.core.ports import Clock
from bot.core.unexpected import report_unexpected

LOOK_INTERVAL = 1.0
"""Seconds between looks whether there is an avatar now; a look is one at what is in memory."""


class Vacancy:
    """A page that waits for an avatar."""

    def __init__(self, wire: Wire, access: TicketAccess, clock: Clock, over: str | None) -> None:
        """`over`: the link of the session that it has shown to its end, if it has; that one is not waited for."""
        self._wire = wire
        self._access = access
        self._clock = clock
        self._over = over
        self._told: str | None = None
        self._is_starting = False

    async def run(self) -> Close | None:
        """Wait; ENDED once there is an avatar, None when the page has left. Raises as `Access.look_up` does."""
        await self._tell()
        return await first_of(None, self._wait(), self._wire.read(self._handle), self._wire.heartbeat())

    def is_free(self, opened: Opened) -> bool:
        """Whether what the page may see has no avatar that it has not shown yet."""
        return opened.nonce is None or opened.nonce == self._over

    async def _wait(self) -> Close:
        # A start that is under way is not cut off by the avatar that it brings.
        while self._is_starting or self.is_free(await self._access.look_up()):
            await self._clock.sleep(LOOK_INTERVAL)
        return Close.ENDED

    async def _handle(self, message: ClientMessage) -> Close | None:
        match message:
            case Hello():
                await self._tell()
            case StartAvatar():
                await self._start()
        return None

    async def _start(self) -> None:
        self._is_starting = True
        try:
            self._told = await self._access.start()
            is_coming = self._told is None
        except LinkInvalid:
            # They may not, or not any more.
            self._told, is_coming = None, False
        except AvatarRelayError as error:
            self._told, is_coming = sentences.failure(error)[0], False
        except Exception as error:  # noqa: BLE001 - whoever pressed it must read something
            self._told, is_coming = sentences.failure(AvatarRelayError("unexpected"))[0], False
            report_unexpected("an avatar was not started from a frame: unexpected error", error, told=self._told)
        finally:
            self._is_starting = False
        if not is_coming:
            await self._tell()

    async def _tell(self) -> None:
        told = self._told.replace("`", "") if self._told else None
        await self._wire.write([NobodyMessage(may_start=await self._access.may_start(), told=told)])
