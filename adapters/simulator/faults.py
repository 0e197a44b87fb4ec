"""Trouble on demand: which request goes wrong next, and how.

Decides and remembers; doing it to the connection is the business of `server`.
"""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from adapters.simulator.wire import Json


class Effect(StrEnum):
    """How a request goes wrong."""

    LATENCY = "latency"
    """It is answered `seconds` later; further faults may hit it as well."""
    STATUS = "status"
    """It is answered with `status` and `body`."""
    LOST_REPLY = "lost_reply"
    """It takes effect, and the connection is cut without an answer."""
    REFUSED_BEFORE = "refused_before"
    """The connection is cut before it takes effect."""
    CUT_AFTER = "cut_after"
    """The connection is cut `seconds` into the answer; for event streams."""
    GARBAGE = "garbage"
    """200 with something that is not JSON."""
    EMPTY = "empty"
    """200 with nothing."""
    WRONG_TYPE = "wrong_type"
    """200 with JSON whose fields have the wrong types."""
    HANG = "hang"
    """It is never answered."""


_AFTER_WORK = frozenset({Effect.LOST_REPLY, Effect.CUT_AFTER, Effect.GARBAGE, Effect.EMPTY, Effect.WRONG_TYPE})


@dataclass(slots=True, eq=False)
class Fault:
    """One kind of trouble for the next `times` matching requests (None: all of them until it is cleared).

    method, path: what it matches; `*` stands for anything.
    seconds: of the simulator's clock, for `latency` and `cut_after`.
    status, body, retry_after: the answer of `status`; without a body the envelope says `internal_error`.
    after_work: whether the request takes effect all the same.
    """

    effect: Effect
    method: str = "*"
    path: str = "*"
    times: int | None = 1
    seconds: float = 0.0
    status: int = 500
    body: Json = None
    retry_after: int | None = None
    after_work: bool = False


class Faults:
    """The faults that are waiting to happen, in the order they were asked for."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(
        self,
        effect: Effect | str,
        *,
        method: str = "*",
        path: str = "*",
        times: int | None = 1,
        seconds: float = 0.0,
        status: int = 500,
        body: Json = None,
        retry_after: int | None = None,
        after_work: bool | None = None,
    ) -> Fault:
        """Let matching requests go wrong; see `Fault`.

        Without `after_work` each effect does what its name says: a lost reply, garbage, an empty and a wrongly typed
        answer come after the work, a status, a hang and a refusal instead of it. Raises ValueError for what makes no
        sense.
        """
        if times is not None and times < 1:
            raise ValueError("times is at least 1, or null for always")
        if not 0 <= seconds < 86_400:
            raise ValueError("seconds is between 0 and a day")
        if not 100 < status < 600:
            raise ValueError("status is an HTTP status")
        kind = Effect(effect)
        does_work = kind in _AFTER_WORK if after_work is None else after_work
        fault = Fault(kind, method.upper(), path, times, seconds, status, body, retry_after, does_work)
        self._waiting.append(fault)
        return fault

    def clear(self) -> None:
        """Nothing goes wrong from now on."""
        self._waiting.clear()

    @property
    def waiting(self) -> tuple[Fault, ...]:
        """The faults that have not happened often enough yet."""
        return tuple(self._waiting)

    def take(self, method: str, path: str) -> tuple[float, Fault | None]:
        """What happens to this request: seconds of latency, and the first other fault that matches. Uses them up."""
        if not self._waiting:
            return 0.0, None
        latency = 0.0
        for fault in tuple(self._waiting):
            if fault.method not in ("*", method) or not fnmatchcase(path, fault.path):
                continue
            self._use(fault)
            if fault.effect is not Effect.LATENCY:
                return latency, fault
            latency += fault.seconds
        return latency, None

    def _use(self, fault: Fault) -> None:
        if fault.times is None:
            return
        fault.times -= 1
        if fault.times == 0:
            self._waiting.remove(fault)
