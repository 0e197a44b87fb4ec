"""What can go wrong with one call to the local Slack. A fault says how; the Web API does it."""

import asyncio
from collections import deque
from dataclasses import dataclass, field


@dataclass
class RateLimited:
    """429 with `Retry-After` (whole seconds) and `{"ok": false, "error": "ratelimited"}`; the call has no effect."""

    seconds: int = 1


@dataclass
class ServerError:
    """500 with a page that is not JSON, before or after the call has taken effect."""

    after_effect: bool = False


@dataclass
class Dropped:
    """The connection ends without an answer, before or after the call has taken effect."""

    after_effect: bool = False


@dataclass
class Refused:
    """`{"ok": false, "error": error}`; no effect."""

    error: str


@dataclass
class Slow:
    """The answer, and its effect, come `seconds` late."""

    seconds: float


@dataclass
class Held:
    """The call waits for `release()`, then is answered as ever. `arrived` is set while it waits."""

    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    def release(self) -> None:
        self._released.set()

    async def wait(self) -> None:
        self.arrived.set()
        await self._released.wait()


@dataclass
class Garbage:
    """200 and `application/json`, but no JSON; the call has taken effect."""

    text: str = "<html>upstream connect error</html>"


Fault = RateLimited | ServerError | Dropped | Refused | Slow | Held | Garbage


class Faults:
    """Faults lined up for coming calls, by method."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Fault]] = {}

    def add(self, method: str, how: Fault, times: int) -> None:
        self._waiting.setdefault(method, deque()).extend([how] * times)

    def take(self, method: str) -> Fault | None:
        waiting = self._waiting.get(method)
        return waiting.popleft() if waiting else None
