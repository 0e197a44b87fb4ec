"""Keeps a part of the program at work: what fails unexpectedly is logged, and starts again after a pause.

A chat platform, the periodic jobs, the list of avatars and so on each run under a `Supervised`, so that none of
them takes another one with it. What may end the program is named for each part (docs/architecture.md has the table);
everything else may not.
"""

import asyncio
from collections.abc import Awaitable, Callable

from bot.core.backoff import Backoff
from bot.core.ports import Clock
from bot.core.unexpected import report_unexpected
from bot.telemetry import metrics

RESTART_DELAYS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)
"""Seconds before a part starts again."""

RAN_WELL = 300.0
"""Seconds after which a failure counts as the first one again."""


class Supervised:
    """One part of the program.

    unhealthy_reason: why it does nothing right now, for `/readyz`, which anybody may read; None while it runs.
    """

    def __init__(
        self,
        part: str,
        work: Callable[[], Awaitable[None]],
        clock: Clock,
        *,
        may_end_program: type[Exception] | tuple[type[Exception], ...] = (),
    ) -> None:
        """`part` is for the log and the metric. `work` is called once for each start, and so must start from scratch.

        may_end_program: errors that starting again does not help; `run` raises them.
        """
        self.part = part
        self._work = work
        self._clock = clock
        self._may_end_program = may_end_program
        self._backoff = Backoff(RESTART_DELAYS)
        self.unhealthy_reason: str | None = None

    async def run(self) -> None:
        """Keep it at work until it has nothing more to do, or this is cancelled."""
        while True:
            begun = self._clock.monotonic()
            self.unhealthy_reason = None
            try:
                await self._work()
            except self._may_end_program:
                raise
            except BaseExceptionGroup as group:
                if isinstance(fatal := _first(group, self._may_end_program), Exception):
                    raise fatal from None
                if not isinstance(group, Exception):
                    raise
                await self._rest(group, begun)
            except asyncio.CancelledError as error:
                if _is_being_cancelled():
                    raise
                # A library gave up something of its own: nobody has asked this part to stop.
                await self._rest(error, begun)
            except Exception as error:  # noqa: BLE001 - the boundary between the parts of the program
                await self._rest(error, begun)
            else:
                return

    async def _rest(self, error: BaseException, begun: float) -> None:
        if self._clock.monotonic() - begun >= RAN_WELL:
            self._backoff.reset()
        pause = self._backoff.next()
        reference = report_unexpected(
            "a part of the program failed: unexpected error", error, part=self.part, again_in=pause
        )
        metrics.restarts.labels(part=self.part).inc()
        self.unhealthy_reason = f"it failed, and starts again by itself (ref {reference} in the log)"
        await self._clock.sleep(pause)


def _first(
    group: BaseExceptionGroup[BaseException], kinds: type[Exception] | tuple[type[Exception], ...]
) -> BaseException | None:
    found: BaseException | None = group.subgroup(kinds) if kinds else None
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
