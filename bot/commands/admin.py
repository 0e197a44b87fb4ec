"""The commands of admins: see and stop what is open, see what it costs, block people.

An admin sees and stops what is in their own workspace, an operator (`Actor.is_operator`) everything. Part of the one
table of `bot.commands.router`.
"""

import asyncio
import json
import re
from collections.abc import Sequence
from datetime import UTC

import structlog

from bot import sentences
from bot.access.permissions import EVERYWHERE, Permissions, block_of
from bot.access.quotas import Quotas
from bot.commands.cleanup import CLOSE_TIMEOUT, count_unowned, end_unused
from bot.commands.parser import ADMIN, CommandContext, CommandSpec, Usage
from bot.core.billing import StreamSeconds
from bot.core.errors import ProcessUnreachable, Refused
from bot.core.models import Channel, EndReason, Role, Session
from bot.core.views import Reply, Visibility
from bot.sessions.elsewhere import Workspace, workspace_of
from bot.sessions.jobs import BLOCKS
from bot.sessions.overview import SessionOverview, overview_of
from bot.sessions.registry import SessionRegistry
from bot.sessions.session import AvatarSession
from bot.store.audit import ADMIN_STOP
from bot.streams.streams import StreamCloser

CLEAN_UP = "sessions.clean_up"

ANSWER_TIME = 1.0
"""Seconds that another process may take to answer besides what a clean-up takes."""

log = structlog.get_logger(__name__)

_PERSON = re.compile(r"<@!?(?P<mentioned>\w{1,64})(?:\|[^>]*)?>|@?(?P<plain>[\w.-]{1,64})")
"""A mention as Discord (`<@123>`) and Slack (`<@U123|name>`) write it, or a bare id."""

_WITH_PLATFORM = re.compile(r"[a-z]+:[\w.-]{1,64}")


class AdminCommands:
    """The admins' part of the table."""

    def __init__(
        self, sessions: SessionRegistry, permissions: Permissions, closer: StreamCloser, quotas: Quotas
    ) -> None:
        self._sessions = sessions
        self._permissions = permissions
        self._closer = closer
        self._quotas = quotas
        sessions.services.cluster.bus.handle(CLEAN_UP, self._on_clean_up)

    @property
    def entries(self) -> list[CommandSpec]:
        """The lines of the table."""
        table = [
            (Usage(ADMIN, "sessions", "list the open sessions"), self._list),
            (Usage(ADMIN, "cleanup", "close what has been silent for a minute"), self._clean_up),
            (Usage(ADMIN, "stop", "close one session", "ID", required=True), self._stop),
            (Usage(ADMIN, "stop-all", "close every session"), self._stop_all),
            (Usage(ADMIN, "usage", "show how long avatars were open and spoke today"), self._usage),
            (Usage(ADMIN, "limits", "show the limits and what is left of them"), self._limits),
            (Usage(ADMIN, "block", "block a person", "PERSON", required=True), self._block),
            (Usage(ADMIN, "unblock", "unblock a person", "PERSON", required=True), self._unblock),
        ]
        return [CommandSpec(usage, Role.ADMIN, run, idempotent=True) for usage, run in table]

    async def _list(self, ctx: CommandContext) -> Reply:
        shown = [overview_of(running) for running in self._in_reach(ctx)]
        shown += await self._sessions.elsewhere.overviews(_reach(ctx))
        fields = tuple((overview.view.session_id, _line(overview)) for overview in shown)
        # Whose stream is not closed yet is the operator's business alone: it may be another workspace's.
        unconfirmed = self._closer.unconfirmed if ctx.actor.is_operator else 0
        return Reply(sentences.session_list(len(fields), unconfirmed), Visibility.PRIVATE, fields)

    async def _stop(self, ctx: CommandContext) -> Reply:
        running = self._sessions.with_id(ctx.command.text)
        if running is not None and running in self._in_reach(ctx):
            await self._sessions.stop(running, EndReason.ADMIN, ctx.actor)
            return Reply(sentences.STOPPING, Visibility.PRIVATE)
        rows = await self._sessions.elsewhere.rows(_reach(ctx))
        rows = [(session, owner) for session, owner in rows if session.id == ctx.command.text]
        if not rows:
            raise Refused(sentences.no_such_session(ctx.command.text), stage="admin")
        await self._stop_elsewhere(ctx, rows)
        return Reply(sentences.STOPPING, Visibility.PRIVATE)

    async def _stop_all(self, ctx: CommandContext) -> Reply:
        open_ones = [running for running in self._in_reach(ctx) if not running.stop.is_set]
        for running in open_ones:
            await self._sessions.stop(running, EndReason.ADMIN, ctx.actor)
        elsewhere = await self._stop_elsewhere(ctx, await self._sessions.elsewhere.rows(_reach(ctx)))
        return Reply(sentences.stopping_all(len(open_ones) + elsewhere), Visibility.PRIVATE)

    async def _stop_elsewhere(self, ctx: CommandContext, rows: Sequence[tuple[Session, str | None]]) -> int:
        stopped = await self._sessions.elsewhere.stop(rows, ctx.actor)
        for session in stopped:
            await self._sessions.audit(ctx.actor, ADMIN_STOP, session)
        return len(stopped)

    async def _clean_up(self, ctx: CommandContext) -> Reply:
        services = self._sessions.services
        ended = await self._end_unused_everywhere(ctx)
        unowned = await count_unowned(services)
        found = f"closed {sentences.count(ended, 'session')}, found {sentences.count(unowned, 'stream')}"
        await self._sessions.audit(ctx.actor, "cleanup", None, f"{found} that no session owns")
        shown = unowned if ctx.actor.is_operator else 0
        exclusive_key = services.policy.exclusive_key
        return Reply(sentences.cleaned_up(ended, shown, exclusive_key=exclusive_key), Visibility.PRIVATE)

    async def _end_unused_everywhere(self, ctx: CommandContext) -> int:
        services, reach = self._sessions.services, _reach(ctx)
        owners = {owner for _, owner in await self._sessions.elsewhere.rows(reach) if owner is not None}
        here = end_unused(services, self._in_reach(ctx))
        return sum(await asyncio.gather(here, *(self._end_unused_at(owner, reach) for owner in owners)))

    async def _end_unused_at(self, owner: str, reach: Workspace | None) -> int:
        """As `end_unused`, by another process; what does not answer has ended none."""
        bus = self._sessions.services.cluster.bus
        try:
            return int(await bus.ask(owner, CLEAN_UP, json.dumps(reach), timeout=CLOSE_TIMEOUT + ANSWER_TIME))
        except ProcessUnreachable as error:
            log.warning("another process does not clean up", error=str(error))
            return 0

    async def _on_clean_up(self, _process: str, body: str) -> str:
        asked = json.loads(body)
        reach = None if asked is None else (asked[0], asked[1])
        mine = [each for each in self._sessions if reach in (None, workspace_of(each.session.channel))]
        return str(await end_unused(self._sessions.services, mine))

    async def _usage(self, ctx: CommandContext) -> Reply:
        spent = await self._quotas.spent(self._sessions.spoken | await self._sessions.elsewhere.spoken())
        by_channel = {c: seconds for c, seconds in spent.by_channel.items() if _is_in_reach(c, ctx)}
        fields = [
            (str(channel), sentences.used(seconds, self._quotas.cost(seconds.billed)))
            for channel, seconds in sorted(by_channel.items(), key=lambda item: -item[1].open)
        ]
        total = sum(by_channel.values(), StreamSeconds())
        if len(fields) > 1:
            fields.append(("All", sentences.used(total, self._quotas.cost(total.billed))))
        return Reply(sentences.usage_list(bool(fields)), Visibility.PRIVATE, tuple(fields))

    async def _limits(self, ctx: CommandContext) -> Reply:
        limits = self._quotas.limits
        shares = self._quotas.shares(ctx.channel, await self._quotas.spent())
        fields = [(share.what, f"{round(share.used * 100)} %") for share in shares]
        if limits.workspace_sessions is not None:
            here = sum(_is_same_workspace(running.session.channel, ctx.channel) for running in self._sessions)
            here += len(await self._sessions.elsewhere.rows(workspace_of(ctx.channel)))
            fields.append((sentences.sessions_at_once(limits.workspace_sessions), sentences.count(here, "session")))
        if self._quotas.price_unknown:
            fields.append(("Limits in dollars", sentences.NO_PRICE))
        return Reply(sentences.limits_list(bool(fields)), Visibility.PRIVATE, tuple(fields))

    async def _block(self, ctx: CommandContext) -> Reply:
        person, workspace = block_of(_person(ctx), ctx.channel, ctx.actor)
        store = self._sessions.services.store
        is_new = await store.blocks.add(person, workspace, ctx.actor.key)
        await self._changed_blocks()
        await self._sessions.audit(ctx.actor, "block", None, f"{person} in {workspace or 'every workspace'}")
        return Reply(sentences.blocked(ctx.command.text, is_new=is_new), Visibility.PRIVATE)

    async def _unblock(self, ctx: CommandContext) -> Reply:
        person, workspace = block_of(_person(ctx), ctx.channel, ctx.actor)
        store = self._sessions.services.store
        of_person = [block for block in await store.blocks.everybody() if block.person == person]
        # An operator's block holds everywhere, so its lifting does too: also what admins have blocked in theirs.
        liftable = [block for block in of_person if workspace in (EVERYWHERE, block.workspace)]
        for block in liftable:
            await store.blocks.remove(person, block.workspace)
        await self._changed_blocks()
        await self._sessions.audit(ctx.actor, "unblock", None, f"{person} in {workspace or 'every workspace'}")
        if any(block.workspace == EVERYWHERE for block in of_person) and workspace != EVERYWHERE:
            return Reply(sentences.blocked_by_operator(ctx.command.text), Visibility.PRIVATE)
        return Reply(sentences.unblocked(ctx.command.text, was_blocked=bool(liftable)), Visibility.PRIVATE)

    async def _changed_blocks(self) -> None:
        services = self._sessions.services
        self._permissions.set_blocks(await services.store.blocks.everybody())
        await services.cluster.bus.shout(BLOCKS, "")

    def _in_reach(self, ctx: CommandContext) -> list[AvatarSession]:
        return [running for running in self._sessions if _is_in_reach(running.session.channel, ctx)]


def _is_in_reach(channel: Channel, ctx: CommandContext) -> bool:
    return ctx.actor.is_operator or _is_same_workspace(channel, ctx.channel)


def _is_same_workspace(one: Channel, other: Channel) -> bool:
    return workspace_of(one) == workspace_of(other)


def _reach(ctx: CommandContext) -> Workspace | None:
    """The workspace whose sessions an admin sees; None for all."""
    return None if ctx.actor.is_operator else workspace_of(ctx.channel)


def _line(overview: SessionOverview) -> str:
    view = overview.view
    since = overview.created_at.astimezone(UTC).strftime("%H:%M UTC")
    waiting = sentences.count(view.queue_length, "message")
    used = sentences.used(overview.used, overview.cost)
    return f"{view.channel}, {sentences.state(view)}, by {view.started_by_name} since {since}, {waiting}, {used}"


def _person(ctx: CommandContext) -> str:
    text = ctx.command.text.strip()
    if ctx.actor.is_operator and _WITH_PLATFORM.fullmatch(text):
        return text
    if (found := _PERSON.fullmatch(text)) is None:
        raise Refused(sentences.not_a_person(text), stage="grammar")
    return f"{ctx.channel.platform}:{found['mentioned'] or found['plain']}"
