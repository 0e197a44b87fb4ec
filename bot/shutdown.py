"""What becomes of the sessions when the program ends: handed over to other processes, left open for the next start, or
closed, as `SHUTDOWN` says; left to whoever has taken the database over.

Ends no platform and no part of the program; `bot.app` does.
"""

import asyncio

import structlog

from bot.cluster.membership import Membership
from bot.core.errors import StoreError
from bot.core.ports import Clock, Echo
from bot.core.tasks import cancel_and_wait
from bot.sentences import count
from bot.sessions.registry import SessionRegistry
from bot.sessions.session import AvatarSession
from bot.settings import Shutdown

log = structlog.get_logger(__name__)

SHUTDOWN_TIME = 7.0
"""Seconds to close every stream at a shutdown. Containers are killed 10 s after the signal; saying goodbye on the
platforms may take 2 s, and the rest needs some."""


async def end_sessions(
    sessions: SessionRegistry, membership: Membership, how: Shutdown, clock: Clock, echo: Echo
) -> None:
    """Have no session run any more. Returns within `SHUTDOWN_TIME`, or within
    `bot.sessions.registry.SETTLE_TIME` where they are handed over."""
    if membership.is_lost:
        left = len(sessions)
        await sessions.abandon_all()
        echo(f"{count(left, 'session').capitalize()} left to the process that owns the database now.")
    elif how is Shutdown.KEEP and membership.sharers > 1:
        await _hand_over(sessions, echo)
    elif how is Shutdown.KEEP:
        # The next process adopts them; what a provider ends meanwhile, it ends by the limits it was given.
        kept = len(sessions)
        await sessions.save_spoken()
        await sessions.abandon_all()
        echo(f"{count(kept, 'session').capitalize()} left open for the next start (SHUTDOWN=keep).")
    else:
        await _close(sessions, clock, echo)


async def _hand_over(sessions: SessionRegistry, echo: Echo) -> None:
    """Let the other processes go on with the sessions: each is theirs once nothing is being said in it."""
    given = len(sessions)
    await asyncio.gather(*(_hand_over_one(sessions, running) for running in sessions))
    await sessions.abandon_all()
    echo(f"{count(given, 'session').capitalize()} handed over to the other processes (SHUTDOWN=keep).")


async def _hand_over_one(sessions: SessionRegistry, running: AvatarSession) -> None:
    try:
        await sessions.settle([running])
        await sessions.release([running])
    except StoreError as error:
        log.error("a session could not be handed over; it is taken when this process has ended", error=str(error))


async def _close(sessions: SessionRegistry, clock: Clock, echo: Echo) -> None:
    closing = asyncio.create_task(sessions.shut_down(), name="close all")
    patience = asyncio.create_task(clock.sleep(SHUTDOWN_TIME), name="patience")
    await asyncio.wait({closing, patience}, return_when=asyncio.FIRST_COMPLETED)
    for task in (closing, patience):
        await cancel_and_wait(task)
    if left := len(sessions):
        echo(f"{count(left, 'session').capitalize()} could not be closed in time; the next start goes on.")
        log.error("sessions could not be closed in time", sessions=left)
