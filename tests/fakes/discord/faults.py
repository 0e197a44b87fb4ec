"""Trouble to order: which request gets which fault. It does not carry them out (rest.py).

[D] a 429 has a Retry-After header and a JSON `retry_after` in seconds; [L] discord.py takes one without a `Via` header
for a ban by Cloudflare. discord.py repeats 429 and 500, 502, 504; aiohttp's client itself repeats a GET, PUT or DELETE
whose kept-alive connection was cut, never a POST or PATCH.
"""

import asyncio
import fnmatch
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Fault:
    """What happens to a request; made by the class methods."""

    kind: str
    status: int = 500
    code: int = 0
    effect: bool = False
    retry_after: float = 0.0
    everywhere: bool = False
    gate: asyncio.Event | None = None
    text: str = ""
    content_type: str = "application/json"

    @classmethod
    def rate_limit(cls, retry_after: float = 0.05, *, everywhere: bool = False) -> Self:
        """A 429 to be repeated after `retry_after` seconds; `everywhere` makes it the global limit."""
        return cls("rate_limit", 429, retry_after=retry_after, everywhere=everywhere)

    @classmethod
    def server_error(cls, status: int = 500, *, effect: bool = False) -> Self:
        """A 5xx, with what was asked for done all the same if `effect`. discord.py repeats it after 1 s."""
        return cls("server_error", status, effect=effect)

    @classmethod
    def drop(cls, *, effect: bool = False) -> Self:
        """The connection is cut instead of an answer: before anything is done, or after it (a lost reply)."""
        return cls("drop", effect=effect)

    @classmethod
    def refuse(cls, code: int, *, status: int | None = None) -> Self:
        """A refusal with a JSON error code (50013, 50001, 10008, ...), its usual status unless another is given."""
        return cls("refuse", status or 0, code)

    @classmethod
    def nonsense(cls, text: str, content_type: str = "application/json") -> Self:
        """An answer with status 200 that is not Discord's; nothing is done."""
        return cls("nonsense", 200, text=text, content_type=content_type)

    @classmethod
    def hold(cls, gate: asyncio.Event) -> Self:
        """The request is carried out when the test sets the event: a slow answer without a clock."""
        return cls("hold", gate=gate)


@dataclass
class _Order:
    method: str
    pattern: str
    fault: Fault
    left: int


class Faults:
    """The faults that are still to come, the oldest order first."""

    def __init__(self) -> None:
        self._orders: list[_Order] = []

    def add(self, method: str, pattern: str, fault: Fault, times: int) -> None:
        """Orders a fault for the next requests that match."""
        self._orders.append(_Order(method, pattern, fault, times))

    def take(self, method: str, path: str, template: str | None) -> Fault | None:
        """The fault for this request, if one was ordered."""
        for order in self._orders:
            fits = order.pattern == template or fnmatch.fnmatchcase(path, order.pattern)
            if order.method in (method, "*") and fits:
                order.left -= 1
                if not order.left:
                    self._orders.remove(order)
                return order.fault
        return None

    def clear(self) -> None:
        """Calls off what has not come yet."""
        self._orders.clear()
