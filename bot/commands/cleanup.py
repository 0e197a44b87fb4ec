"""An admin's clean-up: ends sessions nobody uses, and counts the provider's open streams that no session here owns.

Which sessions are in the admin's reach is decided by the caller. Knows the provider as a port.
"""

import asyncio
from collections.abc import Iterable, Sequence

from bot.core.models import EndReason
from bot.core.tasks import cancel_and_wait
from bot.services import Services
from bot.sessions.orphans import list_open
from bot.sessions.session import AvatarSession

UNUSED_AFTER = 60.0
"""Seconds of silence after which an admin's clean-up treats a session as unused."""

CLOSE_TIMEOUT = 10.0
"""Seconds a clean-up waits for the provider before it answers the admin."""


async def end_unused(services: Services, sessions: Iterable[AvatarSession]) -> int:
    """End those of the sessions that have been silent for a minute with nothing waiting, and return how many.

    What the provider does not confirm within `CLOSE_TIMEOUT` is not counted; its channel is told when it is.
    """
    now = services.clock.monotonic()
    unused = [running for running in sessions if _is_unused(running, now)]
    for running in unused:
        running.stop.request(EndReason.ADMIN)
    await _wait_for_closes(services, unused)
    return sum(running.closed.is_set() for running in unused)


async def count_unowned(services: Services) -> int:
    """How many streams the provider has open that no session here owns. Raises `StoreError`."""
    owned_before = await _owned(services)
    listed = frozenset(stream.upstream_id for stream in await list_open(services.provider) or ())
    return len(listed - owned_before - await _owned(services))


def _is_unused(running: AvatarSession, now: float) -> bool:
    return (
        not running.stop.is_set
        and not running.waiting
        and running.speaker.is_idle
        and now - running.speaker.status.last_activity >= UNUSED_AFTER
    )


async def _wait_for_closes(services: Services, sessions: Sequence[AvatarSession]) -> None:
    async def all_closed() -> None:
        for running in sessions:
            await running.closed.wait()

    waits = [asyncio.create_task(all_closed()), asyncio.create_task(services.clock.sleep(CLOSE_TIMEOUT))]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            await cancel_and_wait(wait)


async def _owned(services: Services) -> frozenset[str | None]:
    return frozenset(stream.upstream_id for stream in await services.store.streams.unsettled())
