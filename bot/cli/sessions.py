"""What `avatar-relay sessions …` and `avatar-relay db …` do, with the bot running or not.

While a bot runs, the shell asks it through the database; while none runs, the shell closes streams itself. Prints plain
lines through `echo`; decides no exit codes.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC
from decimal import Decimal
from typing import Any

from bot import sentences
from bot.cluster.living import living
from bot.cluster.membership import LOOKS_TO_END, SHORT_ID, Membership
from bot.commands.cleanup import UNUSED_AFTER
from bot.core.billing import StreamSeconds, cost_of, sum_of
from bot.core.errors import Refused, SettingsError, StoreUnavailable
from bot.core.models import AuditEntry, Session, SessionState
from bot.core.ports import Capabilities, Clock, Echo
from bot.plugins import make_provider
from bot.sessions.orphans import close_sessions
from bot.settings import SIMULATOR, Settings, database_url_or_default
from bot.store import migrate
from bot.store.audit import ADMIN_STOP
from bot.store.lock.instance import InstanceLock, owner_of
from bot.store.processes import Process, members_of
from bot.store.store import Store
from bot.store.url import parse_url
from bot.streams.streams import StreamCloser
from bot.terminal import printable

WAIT_FOR_BOT = 20.0
"""Seconds to wait for a running bot to close a session: its round takes 1 s, a close up to 10 s."""

BOT_OBEYS_WITHIN = 5.0
"""Seconds for a running bot to begin with a close. Where none has by then, none runs."""

WAIT_FOR_DEAD = LOOKS_TO_END + 4.0
"""Seconds in which the row of a bot that was killed is surely ended."""

POLL_INTERVAL = 0.25
OPERATOR = "shell:operator"


async def list_sessions(settings: Settings, clock: Clock, echo: Echo, *, as_json: bool = False) -> None:
    """Print every open session, one line each."""
    async with await open_store(settings, clock) as store:
        sessions = await store.sessions.all_open()
        owners = {session.id: session.owner for session in await store.sessions.owners()}
        uses = await store.streams.usage_of([session.id for session in sessions])
    address = parse_url(database_url_or_default(settings))
    processes = {} if address.is_sqlite else {process.id: process for process in await members_of(address)}
    at = {session.id: processes.get(owners.get(session.id) or "") for session in sessions}
    able = {name: capabilities_of(settings, clock, name) for name in {session.provider for session in sessions}}
    used = {s.id: sum_of(uses[s.id], able[s.provider], clock.now()) for s in sessions}
    costs = {s.id: _cost(able[s.provider], used[s.id]) for s in sessions}
    if as_json:
        rows = [
            _as_json(session) | used_as_json(used[session.id], costs[session.id]) | {"process": _named(at[session.id])}
            for session in sessions
        ]
        echo(json.dumps(rows, indent=2))
        return
    echo(f"{sentences.count(len(sessions), 'open session').capitalize()}.")
    for session in sessions:
        since = session.created_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
        by, channel = printable(session.started_by_name), printable(str(session.channel))
        spent = sentences.used(used[session.id], costs[session.id])
        state, provider = session.state.value, session.provider
        where = f", at {at[session.id] or 'no process now'}" if processes else ""
        echo(f"  {session.id}  {state:<8} {channel}  {provider}, by {by}, since {since}, {spent}{where}")
    if any(use.closed_at is None for of_session in uses.values() for use in of_session):
        echo(sentences.SPEECH_NOT_COUNTED)


def _named(process: Process | None) -> str | None:
    return None if process is None else process.id[:SHORT_ID]


def capabilities_of(settings: Settings, clock: Clock, name: str | None = None) -> Capabilities | None:
    """What a provider can do and what it charges, by default the chosen one; None of the simulator, which costs
    nothing, and of one that has no key any more."""
    if (name or settings.avatar.provider) == SIMULATOR:
        return None
    try:
        return make_provider(settings, clock, name).capabilities
    except SettingsError:
        return None


def used_as_json(used: StreamSeconds, cost: Decimal | None) -> dict[str, Any]:
    """What streams have used, for programs: whole seconds, US dollars."""
    dollars = None if cost is None else round(float(cost), 4)
    return {
        "seconds": round(used.open),
        "billed_seconds": round(used.billed),
        "spoken_seconds": round(used.spoken),
        "dollars": dollars,
    }


def _cost(capabilities: Capabilities | None, used: StreamSeconds) -> Decimal | None:
    return None if capabilities is None else cost_of(capabilities, used.billed)


async def stop_session(settings: Settings, clock: Clock, echo: Echo, session_id: str) -> None:
    """Close one session. Raises `Refused` if there is none, or where the running bot did not close it in time."""
    async with await open_store(settings, clock) as store:
        session = await store.sessions.get(session_id)
        if session is None or not session.state.is_open:
            raise Refused(
                f"There is no open session {session_id[:16]}. `avatar-relay sessions list` shows them.", stage="shell"
            )
        await _close(settings, clock, store, [session], echo)


async def stop_all(settings: Settings, clock: Clock, echo: Echo) -> None:
    """Close every session. Raises `Refused` if the running bot did not close them in time."""
    async with await open_store(settings, clock) as store:
        sessions = await store.sessions.all_open()
        if not sessions:
            echo(sentences.stopping_all(0))
            return
        await _close(settings, clock, store, sessions, echo)


async def clean_up(settings: Settings, clock: Clock, echo: Echo) -> None:
    """Close what nobody uses: with a bot running, sessions silent for a minute; without one, every open session."""
    async with await open_store(settings, clock) as store:
        sessions = await store.sessions.all_open()
        if await _is_bot_running(settings, clock):
            sessions = await _unused(store, clock, sessions)
        if not sessions:
            echo("There is nothing to clean up.")
            return
        await _close(settings, clock, store, sessions, echo)


async def upgrade_database(settings: Settings, echo: Echo) -> None:
    """Bring the database to the newest revision."""
    revision = await migrate.upgrade(database_url_or_default(settings))
    echo(f"The database is at revision {revision}, the newest this program knows.")


async def show_revision(settings: Settings, echo: Echo) -> None:
    """Print which revision the database has. Raises `StoreTooNew` if this program does not know it."""
    url = database_url_or_default(settings)
    revision, newest = await migrate.current(url), migrate.head()
    if revision is None:
        echo(f"There is no database yet. `avatar-relay db upgrade` makes one at revision {newest}.")
    elif revision == newest:
        echo(f"The database is at revision {revision}, the newest this program knows.")
    else:
        with suppress(StoreUnavailable):
            await migrate.verify(url)
        echo(
            f"The database is at revision {revision}; this program's newest is {newest}. Run `avatar-relay db upgrade`."
        )


async def open_store(settings: Settings, clock: Clock) -> Store:
    """The store of a database that a bot has made. Raises `StoreError`."""
    url = database_url_or_default(settings)
    if await migrate.current(url) is None:
        raise StoreUnavailable(
            f"{parse_url(url)} holds nothing of avatar-relay yet: start the bot once, or check DATABASE_URL"
        )
    await migrate.verify(url)
    return await Store.open(url, clock)


def _as_json(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "state": session.state.value,
        "platform": session.channel.platform,
        "workspace": session.channel.workspace,
        "channel": session.channel.id,
        "provider": session.provider,
        "mode": session.mode.value,
        "started_by": session.started_by,
        "started_by_name": session.started_by_name,
        "created_at": session.created_at.isoformat(),
        "live_at": session.live_at.isoformat() if session.live_at else None,
    }


async def _is_bot_running(settings: Settings, clock: Clock) -> bool:
    url = database_url_or_default(settings)
    if parse_url(url).is_sqlite:
        return owner_of(url) is not None
    return any(not process.is_leaving for process in await living(url, clock))


async def _unused(store: Store, clock: Clock, sessions: Sequence[Session]) -> list[Session]:
    ids = [session.id for session in sessions]
    last, busy = await store.utterances.last_activity(ids), await store.utterances.busy_sessions(ids)
    return [
        session
        for session in sessions
        if session.id not in busy
        and (clock.now() - last.get(session.id, session.created_at)).total_seconds() >= UNUSED_AFTER
    ]


async def _close(settings: Settings, clock: Clock, store: Store, sessions: Sequence[Session], echo: Echo) -> None:
    url = database_url_or_default(settings)
    for session in sessions:
        entry = AuditEntry(clock.now(), OPERATOR, ADMIN_STOP, str(session.channel), session.id)
        await store.audit.add(entry)
    if await _is_bot_running(settings, clock):
        _refuse_what_is_left(await _ask_the_bot(clock, store, sessions, echo))
        return
    async with _instead_of_the_bot(url, clock, sessions) as mine:
        for name in sorted({session.provider for session in mine}):
            await _close_at(settings, clock, store, [s for s in mine if s.provider == name], echo)


@asynccontextmanager
async def _instead_of_the_bot(url: str, clock: Clock, sessions: Sequence[Session]) -> AsyncIterator[Sequence[Session]]:
    """Keep bots from `sessions` until the block ends; gets those that are still open. Raises `StoreUnavailable` if
    there is a bot by now."""
    if parse_url(url).is_sqlite:
        async with InstanceLock(url, clock, patience=0):
            yield sessions
        return
    async with Membership(url, clock, takes_sessions=False) as membership:
        # One that was killed still has its row, and is ended first.
        if not await membership.until_alone(WAIT_FOR_DEAD):
            raise StoreUnavailable(f"an avatar-relay has started on {parse_url(url)} meanwhile: run the command again")
        ids, names = [session.id for session in sessions], {session.provider for session in sessions}
        async with await Store.open(url, clock, member=membership.member) as store:
            # So a bot that starts meanwhile finds that they belong to somebody.
            yield [session for name in sorted(names) for session in await store.sessions.claim(name, ids)]


async def _ask_the_bot(clock: Clock, store: Store, sessions: Sequence[Session], echo: Echo) -> list[Session]:
    """Have the running bot close `sessions`, and return those it has not closed in time."""
    for session in sessions:
        await store.sessions.request_stop(session.id, OPERATOR)
    waiting = {session.id: session for session in sessions}
    asked_at = clock.monotonic()
    while waiting and (waited := clock.monotonic() - asked_at) < WAIT_FOR_BOT:
        await clock.sleep(POLL_INTERVAL)
        still_open = {session.id: session for session in await store.sessions.all_open()}
        for session_id in sorted(waiting.keys() - still_open.keys()):
            echo(f"Closed {session_id}.")
        waiting = {session_id: still_open[session_id] for session_id in waiting.keys() & still_open.keys()}
        if waited > BOT_OBEYS_WITHIN and not any(s.state is SessionState.CLOSING for s in waiting.values()):
            break
    return [waiting[session_id] for session_id in sorted(waiting)]


def _refuse_what_is_left(sessions: Sequence[Session]) -> None:
    if sessions:
        raise Refused(
            f"The running bot has not closed {', '.join(session.id for session in sessions)} yet; it keeps trying. "
            "Look at its log.",
            stage="shell",
        )


async def _close_at(settings: Settings, clock: Clock, store: Store, sessions: Sequence[Session], echo: Echo) -> None:
    async with AsyncExitStack() as stack:
        closer = None
        # The simulator lives inside the bot: its streams ended with it.
        if (name := sessions[0].provider) != SIMULATOR:
            provider = await stack.enter_async_context(make_provider(settings, clock, name))
            closer = StreamCloser(provider, store, clock)
            stack.push_async_callback(closer.stop)
        unconfirmed = await close_sessions(store, closer, sessions, clock.now(), "closed from the shell")
    for session in sessions:
        echo(f"Closed {session.id}.")
    if unconfirmed:
        raise Refused(
            f"The provider did not confirm the close of {sentences.count(unconfirmed, 'stream')}: "
            "start the bot, which goes on trying, or look at the provider's own list.",
            stage="shell",
        )
