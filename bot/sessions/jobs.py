"""What has to be looked after again and again while the bot runs: requests from the shell, rows the database did not
take, streams the provider ended, blocks, the limits of the day, old de-duplication keys, messages kept for nobody, old
entries of the audit.

Idle and longest stay are timers of each session (`bot.sessions.timeouts`), closes insist by themselves
(`bot.streams.streams`).
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from functools import partial

import structlog

from bot import sentences
from bot.access.permissions import Permissions
from bot.access.quotas import Quotas
from bot.core.errors import StoreError
from bot.core.events import NoticeKind
from bot.core.models import EndReason
from bot.core.views import Reply
from bot.sessions.registry import SYSTEM, SessionRegistry
from bot.supervision import Supervised
from bot.telemetry import metrics

log = structlog.get_logger(__name__)

STOP_REQUESTS_EVERY = 1.0
"""Seconds: how long `avatar-relay sessions stop` may take to be noticed."""

OWED_EVERY = 5.0
"""Seconds between attempts to write down the end of a session that the database did not take."""

RECONCILE_EVERY = 10.0
"""Seconds between looks at the provider's list: a stream it ended is noticed within that time."""

FORGET_EVERY = 3600.0
REMEMBER_EVENTS = timedelta(days=1)
"""How long a delivery is remembered; Slack repeats one for about 5 minutes, a backlog after an outage for hours."""

REMEMBER_TICKETS = timedelta(days=2)
"""How long it is remembered which page has a ticket: longer than any page of one can go on."""

KEEP_DOUBTS = timedelta(days=1)
"""How long it is tried to tell people that a message of theirs may not have been said."""

KEEP_PARCELS = timedelta(days=1)
"""How long what came in for a session is kept where nobody takes it: no process has the platform any more, perhaps."""

BLOCKS = "blocks"
"""What processes tell each other when somebody was blocked, or is no longer."""

LEARN_BLOCKS_EVERY = 5.0
"""Seconds: how long `avatar-relay people block` may take to be noticed."""

AUDIT_DAYS = 365
"""Days that the audit is kept."""

COUNT_EVERY = 5.0
"""Seconds between looks at the limits of the day: how far a session can go over one."""


class PeriodicJobs:
    """Runs the rounds, each at its own pace."""

    def __init__(
        self, sessions: SessionRegistry, permissions: Permissions, quotas: Quotas, *, audit_days: int = AUDIT_DAYS
    ) -> None:
        """`audit_days`: how long the audit is kept, 0 for ever."""
        self._sessions = sessions
        self._permissions = permissions
        self._quotas = quotas
        self._audit_days = audit_days
        self._warned: set[tuple[date, str, str]] = set()
        self._rounds: list[Supervised] = []
        sessions.services.cluster.bus.handle(BLOCKS, self._on_blocks)

    @property
    def unhealthy_reason(self) -> str | None:
        """Which round failed unexpectedly and waits to start again; None if none does."""
        failing = [round_ for round_ in self._rounds if round_.unhealthy_reason is not None]
        return f"{failing[0].part.removeprefix('sweeper: ')}: {failing[0].unhealthy_reason}" if failing else None

    async def run(self) -> None:
        """Go on until cancelled. A round that fails takes no other with it."""
        sessions = self._sessions
        self._rounds = [
            self._round("stop requests", STOP_REQUESTS_EVERY, sessions.apply_stop_requests),
            self._round("owed rows", OWED_EVERY, sessions.flush_unsaved),
            self._round("old entries", FORGET_EVERY, self._forget),
            self._round("blocks", LEARN_BLOCKS_EVERY, self._learn_blocks),
        ]
        if self._quotas.limits.watches_a_day:
            self._rounds.append(self._round("limits", COUNT_EVERY, self._count))
        if sessions.services.provider.capabilities.lists_open:
            self._rounds.append(self._round("open streams", RECONCILE_EVERY, sessions.reconcile))
        async with asyncio.TaskGroup() as group:
            for round_ in self._rounds:
                group.create_task(round_.run(), name=round_.part)

    def _round(self, name: str, seconds: float, work: Callable[[], Awaitable[None]]) -> Supervised:
        return Supervised(f"sweeper: {name}", partial(self._every, seconds, work), self._sessions.services.clock)

    async def _every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._sessions.services.clock.sleep(seconds)
            metrics.unconfirmed_closes.set(self._sessions.services.closer.unconfirmed)
            try:
                await work()
            except StoreError as error:
                log.error("a round could not be finished; the next one tries again", error=str(error))

    async def _on_blocks(self, _process: str, _body: str) -> str:
        await self._learn_blocks()
        return ""

    async def _learn_blocks(self) -> None:
        self._permissions.set_blocks(await self._sessions.services.store.blocks.everybody())

    async def _count(self) -> None:
        """Warn the sessions whose day's limit is nearly used, and end those whose limit is."""
        if not len(self._sessions):
            return
        spent = await self._quotas.spent()
        today = self._sessions.services.clock.now().date()
        for running in self._sessions:
            for share in self._quotas.shares(running.session.channel, spent):
                warning = (today, running.session.id, share.what)
                if running.stop.is_set:
                    break
                if share.used >= 1.0:
                    running.stop.request(EndReason.MAX_DURATION, sentences.limit_reached(share.what))
                    await self._sessions.audit(SYSTEM, "limit reached", running.session, share.what)
                elif share.used >= self._quotas.limits.warn_at and warning not in self._warned:
                    self._warned.add(warning)
                    running.announcer.announce(
                        Reply(sentences.limit_is_near(share.what, share.used)), NoticeKind.WARNING
                    )
        self._warned = {warning for warning in self._warned if self._sessions.with_id(warning[1]) is not None}

    async def _forget(self) -> None:
        services = self._sessions.services
        if not services.cluster.directory.is_first:
            return
        await services.store.utterances.forget_keys(services.clock.now() - REMEMBER_EVENTS)
        await services.store.rates.forget(int(services.clock.now().timestamp() // 60))
        await services.store.tickets.forget(services.clock.now() - REMEMBER_TICKETS)
        if untold := await services.store.doubts.forget(services.clock.now() - KEEP_DOUBTS):
            log.warning("nobody could be told that messages are in doubt; that is given up", messages=untold)
        if left := await services.store.parcels.prune(KEEP_PARCELS):
            log.warning("what was kept for sessions was handled by nobody and is forgotten", messages=left)
        if self._audit_days:
            await services.store.audit.forget(services.clock.now() - timedelta(days=self._audit_days))
