"""What `avatar-relay db copy` does: all that one database holds goes into another one, such as from SQLite to
PostgreSQL. Changes nothing in the first one.

Prints plain lines through `echo`; decides no exit codes.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bot.cli.runtime import set_up_log
from bot.cluster.living import living
from bot.core.errors import Refused, SettingsError, StoreUnavailable
from bot.core.ports import Clock, Echo
from bot.sentences import count
from bot.settings import WEB_SECRET_FILE, Settings
from bot.store import migrate
from bot.store.copy import copy, filled_tables
from bot.store.lock.instance import InstanceLock, owner_of
from bot.store.processes import Process, members_of
from bot.store.url import DatabaseUrl, parse_url


async def copy_database(settings: Settings, clock: Clock, echo: Echo, source_url: str, target_url: str) -> None:
    """Copy all rows of `source_url` to `target_url`, which is made or upgraded first, and print how many there are.

    Raises `Refused` where the two are one, and `StoreError` if a bot runs on either, if the first one is not of this
    version, if the second one has rows, or if something fails; nothing is copied then.
    """
    source, target = _address(source_url, "FROM"), _address(target_url, "TO")
    set_up_log(settings, *source.secrets, *target.secrets)
    if (str(source), source.arguments.get("user")) == (str(target), target.arguments.get("user")):
        raise Refused("FROM and TO are the same database: TO has to be an empty one.", stage="shell")
    if await migrate.current(source_url) is None:
        raise StoreUnavailable(f"{source} holds nothing of avatar-relay: check FROM")
    await migrate.verify(source_url)
    async with _locked(source_url, clock), _locked(target_url, clock):
        dead = await _dead(source_url, clock)
        await _refuse_filled(target_url)
        await migrate.upgrade(target_url)
        counts = await copy(source, target, [*dead, *await _dead(target_url, clock)])
    width = max(map(len, counts))
    echo(f"Copied from {source} to {target}:")
    for table, rows in counts.items():
        echo(f"  {table:<{width}}  {count(rows, 'row')}")
    echo("Set DATABASE_URL to the new one, and start no bot on the old one again: both would use the same avatars.")
    if settings.web.secret is None and source.file is not None:
        kept = source.file.parent / WEB_SECRET_FILE
        if kept.exists():
            echo(f"Set WEB_SECRET to what {kept} holds: it signs watch links and seals the tokens of Slack workspaces.")


def _address(url: str, name: str) -> DatabaseUrl:
    try:
        return parse_url(url)
    except (StoreUnavailable, SettingsError) as error:
        raise type(error)(str(error).replace("DATABASE_URL", name)) from None


async def _refuse_filled(url: str) -> None:
    if await migrate.current(url) is not None and (filled := await migrate.over_connection(url, filled_tables)):
        raise StoreUnavailable(f"{parse_url(url)} has rows already ({', '.join(filled)}): give an empty database")


@asynccontextmanager
async def _locked(url: str, clock: Clock) -> AsyncIterator[None]:
    """On SQLite no bot can start until the block ends. Raises `StoreUnavailable` if one runs."""
    if not parse_url(url).is_sqlite:
        yield
        return
    if (owner := owner_of(url)) is not None:
        raise StoreUnavailable(_runs(owner, url))
    async with InstanceLock(url, clock, patience=0):
        yield


async def _dead(url: str, clock: Clock) -> list[Process]:
    """The processes on PostgreSQL that have a row and do not beat. Raises `StoreUnavailable` if one does."""
    address = parse_url(url)
    if address.is_sqlite:
        return []
    before = await members_of(address)
    if alive := await living(url, clock):
        raise StoreUnavailable(_runs(str(alive[0]), url))
    return list(before)


def _runs(process: str, url: str) -> str:
    return f"an avatar-relay ({process}) runs on {parse_url(url)}: stop it first"
