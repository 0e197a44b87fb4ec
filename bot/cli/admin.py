"""What `avatar-relay usage`, `limits` and `people …` do, with the bot running or not; it notices within seconds. And
what closing sessions (`bot.cli.sessions`) prints for programs.

Prints plain lines or JSON through `echo`; decides no exit codes.
"""

import json
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import UTC
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

import typer

from bot import sentences
from bot.access.permissions import EVERYWHERE
from bot.access.quotas import Quotas, limits_of
from bot.cli import admin as shell_admin
from bot.cli import sessions as shell
from bot.cli.copy import copy_database
from bot.cli.runtime import AsJson, echo, load_settings, run_async
from bot.cli.sessions import OPERATOR, capabilities_of, open_store, used_as_json
from bot.core.clock import SystemClock
from bot.core.errors import Refused
from bot.core.models import AuditEntry, Channel
from bot.core.ports import Clock, Echo
from bot.settings import Settings
from bot.terminal import printable

admin_app = typer.Typer()
sessions_app = typer.Typer(
    help="See the open sessions and close them, with the bot running or not.", no_args_is_help=True
)
people_app = typer.Typer(help="See who is blocked, block people and unblock them.", no_args_is_help=True)
db_app = typer.Typer(
    help="Look after the database. The bot upgrades it by itself when it starts.", no_args_is_help=True
)
admin_app.add_typer(sessions_app, name="sessions", short_help="See open sessions and close them.")
admin_app.add_typer(people_app, name="people", short_help="See who is blocked, block and unblock.")
admin_app.add_typer(db_app, name="db", short_help="Look after the database.")


Person = Annotated[str, typer.Argument(metavar="PERSON", help="As platform:id, such as discord:1234.")]


@sessions_app.command("list", short_help="Print every open session.")
def sessions_list(*, as_json: AsJson = False) -> None:
    """Print every open session, one line each: its id, state, channel, provider, who started it and when (UTC), what it
    has used."""
    run_async(shell.list_sessions(load_settings(), SystemClock(), echo, as_json=as_json))


@sessions_app.command("stop", short_help="Close one session.")
def sessions_stop(
    session_id: Annotated[str, typer.Argument(metavar="ID", help="As `sessions list` shows it.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Close one session, and wait until its stream is closed at the provider."""
    _close(partial(shell.stop_session, session_id=session_id), as_json=as_json)


@sessions_app.command("stop-all", short_help="Close every session.")
def sessions_stop_all(*, as_json: AsJson = False) -> None:
    """Close every session, and wait until the streams are closed at the provider."""
    _close(shell.stop_all, as_json=as_json)


@sessions_app.command("cleanup")
def sessions_cleanup(*, as_json: AsJson = False) -> None:
    """Close what nobody uses.

    While the bot runs, and always on PostgreSQL: sessions that have been silent for a minute. While it does not run:
    every open session.
    """
    _close(shell.clean_up, as_json=as_json)


def _close(close: Callable[[Settings, Clock, Echo], Coroutine[Any, Any, None]], *, as_json: bool) -> None:
    settings, clock = load_settings(), SystemClock()
    if as_json:
        run_async(shell_admin.close_as_json(settings, clock, echo, partial(close, settings, clock)))
    else:
        run_async(close(settings, clock, echo))


@admin_app.command(short_help="Show how long avatars were open and spoke today.")
def usage(*, as_json: AsJson = False) -> None:
    """Show for how long avatars were open and spoke today (UTC), by channel, and what that costs if a price is
    known."""
    run_async(shell_admin.show_usage(load_settings(), SystemClock(), echo, as_json=as_json))


@admin_app.command(short_help="Show the limits and what is used of them.")
def limits(*, as_json: AsJson = False) -> None:
    """Show the limits of LIMIT_..., and how much of them each channel with an avatar has used today (UTC)."""
    run_async(shell_admin.show_limits(load_settings(), SystemClock(), echo, as_json=as_json))


@people_app.command("block", short_help="Block a person.")
def people_block(person: Person, *, as_json: AsJson = False) -> None:
    """Block a person, in every workspace. A running bot notices within seconds."""
    run_async(shell_admin.block(load_settings(), SystemClock(), echo, person, as_json=as_json))


@people_app.command("unblock", short_help="Unblock a person.")
def people_unblock(person: Person, *, as_json: AsJson = False) -> None:
    """Unblock a person, wherever they were blocked."""
    run_async(shell_admin.unblock(load_settings(), SystemClock(), echo, person, as_json=as_json))


@people_app.command("blocked", short_help="Print who is blocked.")
def people_blocked(*, as_json: AsJson = False) -> None:
    """Print who is blocked, where, by whom and since when (UTC)."""
    run_async(shell_admin.show_blocked(load_settings(), SystemClock(), echo, as_json=as_json))


@db_app.command("upgrade", short_help="Bring the database to the newest revision.")
def db_upgrade() -> None:
    """Bring the database to the newest revision; creates it if there is none."""
    run_async(shell.upgrade_database(load_settings(), echo))


@db_app.command("current", short_help="Print the revision of the database.")
def db_current() -> None:
    """Print which revision the database has, and which is the newest."""
    run_async(shell.show_revision(load_settings(), echo))


@db_app.command("copy", short_help="Copy everything into another, empty database.")
def db_copy(
    source: Annotated[str, typer.Argument(metavar="FROM", help="Its address, written as DATABASE_URL is.")],
    target: Annotated[str, typer.Argument(metavar="TO", help="The same of the empty one, which need not exist yet.")],
) -> None:
    """Copy all that a database holds into another, empty one, such as from SQLite to PostgreSQL.

    Stop the bot first. What is interrupted copies nothing. On PostgreSQL the database itself has to be there. A
    password can be left out of the address and be in PGPASSWORD or ~/.pgpass.
    """
    run_async(copy_database(load_settings(), SystemClock(), echo, source, target))


async def show_usage(settings: Settings, clock: Clock, echo: Echo, *, as_json: bool) -> None:
    """Print for how long avatars were open and spoke today, by channel, and what that costs if a price is known."""
    async with await open_store(settings, clock) as store:
        quotas = Quotas(store, clock, limits_of(settings), capabilities_of(settings, clock))
        spent = await quotas.spent()
    most_first = sorted(spent.by_channel.items(), key=lambda item: -item[1].open)
    rows = [(channel, seconds, quotas.cost(seconds.billed)) for channel, seconds in most_first]
    if as_json:
        _print([_channel(c) | used_as_json(seconds, cost) for c, seconds, cost in rows], echo)
        return
    echo(sentences.usage_list(bool(rows)))
    for channel, seconds, cost in rows:
        echo(f"  {printable(str(channel))}  {sentences.used(seconds, cost)}")
    if spent.has_unheard:
        echo(sentences.SPEECH_NOT_COUNTED)


async def show_limits(settings: Settings, clock: Clock, echo: Echo, *, as_json: bool) -> None:
    """Print the limits, and how much of them each channel with an avatar today has used."""
    async with await open_store(settings, clock) as store:
        quotas = Quotas(store, clock, limits_of(settings), capabilities_of(settings, clock))
        spent = await quotas.spent()
    shares = [(channel, list(quotas.shares(channel, spent))) for channel in spent.by_channel]
    if as_json:
        limits = {name: _number(getattr(quotas.limits, name)) for name in type(quotas.limits).__slots__}
        used = [
            _channel(c) | {"limit": share.what, "used": round(share.used, 4)} for c, of_c in shares for share in of_c
        ]
        _print({"limits": limits, "used": used}, echo)
        return
    settings_of = {name: getattr(quotas.limits, name) for name in type(quotas.limits).__slots__ if name != "warn_at"}
    chosen = {name: value for name, value in settings_of.items() if value is not None}
    echo("Limits, and how much of them each channel has used today (UTC):" if chosen else sentences.limits_list(False))
    for name, value in chosen.items():
        echo(f"  LIMIT_{name.upper()}={float(value):g}")
    if quotas.price_unknown:
        echo(f"  Limits in dollars are {sentences.NO_PRICE}.")
    for channel, of_channel in shares:
        for share in of_channel:
            echo(f"  {printable(str(channel))}  {share.what}: {round(share.used * 100)} %")


async def close_as_json(settings: Settings, clock: Clock, echo: Echo, close: Callable[[Echo], Awaitable[None]]) -> None:
    """Have `close` close sessions, and print the ids of those that were open and are closed now, instead of its lines.

    Raises what `close` raises, after the JSON where that is a `Refused`.
    """
    async with await open_store(settings, clock) as store:
        before = [session.id for session in await store.sessions.all_open()]
    refusal: Refused | None = None
    try:
        await close(_say_nothing)
    except Refused as refused:
        refusal = refused
    async with await open_store(settings, clock) as store:
        still_open = {session.id for session in await store.sessions.all_open()}
    _print({"closed": [session_id for session_id in before if session_id not in still_open]}, echo)
    if refusal is not None:
        raise refusal


async def block(settings: Settings, clock: Clock, echo: Echo, person: str, *, as_json: bool) -> None:
    """Block a person (`platform:user`) everywhere. Raises `Refused` if that is not a person."""
    _check(person)
    async with await open_store(settings, clock) as store:
        is_new = await store.blocks.add(person, EVERYWHERE, OPERATOR)
        await store.audit.add(AuditEntry(clock.now(), OPERATOR, "block", detail=f"{person} in every workspace"))
    if as_json:
        _print({"person": person, "blocked": True, "changed": is_new}, echo)
    else:
        echo(sentences.blocked(person, is_new=is_new))


async def unblock(settings: Settings, clock: Clock, echo: Echo, person: str, *, as_json: bool) -> None:
    """Lift every block of a person (`platform:user`). Raises `Refused` if that is not a person."""
    _check(person)
    async with await open_store(settings, clock) as store:
        of_person = [block for block in await store.blocks.everybody() if block.person == person]
        for one in of_person:
            await store.blocks.remove(person, one.workspace)
        await store.audit.add(AuditEntry(clock.now(), OPERATOR, "unblock", detail=f"{person} in every workspace"))
    if as_json:
        _print({"person": person, "blocked": False, "changed": bool(of_person)}, echo)
    else:
        echo(sentences.unblocked(person, was_blocked=bool(of_person)))


async def show_blocked(settings: Settings, clock: Clock, echo: Echo, *, as_json: bool) -> None:
    """Print who is blocked, where, by whom and since when."""
    async with await open_store(settings, clock) as store:
        blocks = await store.blocks.everybody()
    if as_json:
        _print([{name: str(getattr(one, name)) for name in type(one).__slots__} for one in blocks], echo)
        return
    echo(f"{sentences.count(len(blocks), 'block').capitalize()}.")
    for one in blocks:
        since = one.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
        where = printable(one.workspace) or "everywhere"
        echo(f"  {printable(one.person)}  {where}, by {printable(one.blocked_by)}, since {since}")


def _say_nothing(_line: str) -> None:
    """For who prints JSON instead."""


def _check(person: str) -> None:
    platform, _, user = person.partition(":")
    if not platform or not user:
        raise Refused(f"I do not know who `{person[:40]}` is: give platform:id, such as discord:1234.", stage="shell")


def _channel(channel: Channel) -> dict[str, Any]:
    return {"platform": channel.platform, "workspace": channel.workspace, "channel": channel.id}


def _number(value: float | Decimal | None) -> float | None:
    return None if value is None else round(float(value), 4)


def _print(rows: Sequence[dict[str, Any]] | dict[str, Any], echo: Echo) -> None:
    echo(json.dumps(rows, indent=2))
