"""The checks of what is on this machine: `.env`, database, disk, web port, clock. Changes nothing."""

import errno
import shutil
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import httpx

from bot.cli.doctor.check import Check, CheckContext, failed, passed, skipped, warned
from bot.cli.doctor.http import client_for
from bot.cli.doctor.public_address import is_bot_running
from bot.cluster.living import living
from bot.cluster.membership import SHORT_ID
from bot.core.bind_errors import explain_bind_error
from bot.core.errors import StoreError, StoreTooNew
from bot.core.ports import Clock
from bot.settings import ENV_FILE, SIMULATOR, Settings, database_url_or_default
from bot.settings.misspelt import misspelt
from bot.settings.proxies import VARIABLES, environment_proxies
from bot.store import migrate
from bot.store.lock.instance import owner_of
from bot.store.processes import Process, members_of
from bot.store.url import parse_url

LITTLE_SPACE = 200 * 1024 * 1024
"""Bytes free below which a database that grows will soon not be able to; a busy month of messages is some 10 MB."""

MAX_SKEW = 30.0
"""Seconds that this machine's clock may differ: Slack refuses requests that are 5 minutes off, tokens 1 minute."""


async def examine_machine(examination: CheckContext) -> AsyncIterator[Check]:
    """Look at `.env`, the database, the disk, the web server's port and the clock."""
    settings = examination.settings
    yield _settings()
    for slip in misspelt(ENV_FILE):
        yield warned("misspelt", str(slip), f"Rename it to {slip.meant}, or remove it.")
    yield await _database(settings, examination.clock)
    yield _disk(settings)
    yield _port(settings, is_running=await is_bot_running(settings))
    yield _proxies()
    yield await _clock(settings)


def _proxies() -> Check:
    proxies = environment_proxies()
    if not proxies:
        return passed("proxy", f"none: {', '.join(VARIABLES[:3])} are not set in the environment")
    used = sorted({f"{proxy} for {scheme}://" for scheme, proxy in proxies.by_scheme.items()})
    return passed("proxy", f"{' and '.join(used)}, but not for this machine nor for what NO_PROXY names")


def _settings() -> Check:
    if not ENV_FILE.exists():
        return passed("settings", "read from the environment; there is no .env in this folder")
    if ENV_FILE.stat().st_mode & 0o077:
        return warned("settings", "others on this machine may read .env", f"chmod 600 {ENV_FILE}")
    return passed("settings", "read from .env and the environment")


async def _database(settings: Settings, clock: Clock) -> Check:
    url = database_url_or_default(settings)
    address = parse_url(url)
    try:
        revision = await migrate.current(url)
    except StoreError as error:
        return failed("database", str(error), "Check DATABASE_URL, and whether the database is up.")
    if revision is None:
        return passed("database", f"{address}: does not exist yet, the first start creates it")
    try:
        await migrate.verify(url)
    except StoreTooNew as error:
        return failed("database", str(error), "Start the newer version of avatar-relay.")
    except StoreError:
        return warned("database", f"{address} is of an older version", "The next start upgrades it; back it up before.")
    try:
        users = await _users(url, clock)
    except StoreError as error:
        return failed("database", str(error), "Check DATABASE_URL, and whether the database is up.")
    return passed("database", f"{address}: up to date{', in use by ' if users else ''}{', '.join(users)}")


async def _users(url: str, clock: Clock) -> list[str]:
    """Who runs on the database, in words."""
    if parse_url(url).is_sqlite:
        owner = owner_of(url)
        return [] if owner is None else [owner]
    beating = {process.id for process in await living(url, clock)}
    return [_told(process, is_alive=process.id in beating) for process in await members_of(parse_url(url))]


def _told(process: Process, *, is_alive: bool) -> str:
    role = "a command of the shell" if process.is_leaving else "works"
    return f"{process} ({process.id[:SHORT_ID]}, {role if is_alive else 'does not answer'}, {process.version})"


def _disk(settings: Settings) -> Check:
    address = parse_url(database_url_or_default(settings))
    if address.file is None:
        return skipped("disk space", "the database is not in a file of this machine")
    folder = next(parent for parent in (address.file.parent, *address.file.parent.parents) if parent.exists())
    free = shutil.disk_usage(folder).free
    found = f"{free // (1024 * 1024)} MB free beside the database"
    return (
        passed("disk space", found) if free >= LITTLE_SPACE else warned("disk space", found, f"Free some in {folder}.")
    )


def _port(settings: Settings, *, is_running: bool) -> Check:
    web = settings.web
    if is_running:
        return passed("web port", f"a bot is running at {web.host}, port {web.port}")
    family = socket.AF_INET6 if ":" in web.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((web.host, web.port))
        except OSError as error:
            said = explain_bind_error(error, host=("WEB_HOST", web.host), port=("WEB_PORT", web.port))
            fix = "Stop the other program, or set WEB_PORT." if error.errno == errno.EADDRINUSE else "Set WEB_HOST."
            return failed("web port", said, fix)
    return passed("web port", f"{web.host}, port {web.port} is free")


async def _clock(settings: Settings) -> Check:
    """This machine's clock against that of a service the bot uses, as its HTTP answers tell."""
    url = _who_tells_the_time(settings)
    if url is None:
        return skipped("clock", "no service is set that reports the time")
    try:
        async with client_for(url) as client:
            told = parsedate_to_datetime((await client.head(url)).headers["Date"])
    except (httpx.HTTPError, KeyError, ValueError):
        return skipped("clock", "no service reported the time")
    skew = abs((datetime.now(UTC) - told).total_seconds())
    if skew <= MAX_SKEW:
        return passed("clock", f"agrees with that of {urlsplit(url).hostname}")
    return warned(
        "clock", f"{skew:.0f} s off that of {urlsplit(url).hostname}", "Keep the machine's clock right with NTP."
    )


def _who_tells_the_time(settings: Settings) -> str | None:
    provider = settings.avatar.provider
    if provider != SIMULATOR:
        return settings.liveavatar.api_url if provider == "liveavatar" else settings.heygen.api_url
    if settings.slack.bot_token is not None:
        return settings.slack.api_url
    return settings.discord.api_url if settings.discord.token is not None else None
