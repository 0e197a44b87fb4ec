"""The checks of what is on this machine: database, disk, web port, public address, clock. Changes nothing."""

import errno
import shutil
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from bot.doctor.check import Check, Examination, failed, passed, skipped, warned
from bot.errors import StoreError, StoreTooNew
from bot.listening import listening_trouble
from bot.settings import Settings, database_url_or_default
from bot.store import schema
from bot.store.address import read_address
from bot.store.ownership import holder

TIMEOUT = 5.0
"""Seconds for one request of a check."""

LITTLE_SPACE = 200 * 1024 * 1024
"""Bytes free below which a database that grows will soon not be able to; a busy month of messages is some 10 MB."""

MOST_SKEW = 30.0
"""Seconds that this machine's clock may differ: Slack refuses requests that are 5 minutes off, tokens 1 minute."""


async def examine_machine(examination: Examination) -> AsyncIterator[Check]:
    """Look at the database, the disk, the web server's address and the clock."""
    settings = examination.settings
    yield await _database(settings)
    yield _disk(settings)
    is_running = await _is_bot_running(settings)
    yield _port(settings, is_running=is_running)
    yield await _public_url(settings, is_running=is_running)
    yield await _clock(settings)


async def _database(settings: Settings) -> Check:
    url = database_url_or_default(settings)
    address = read_address(url)
    try:
        revision = await schema.current(url)
    except StoreError as error:
        return failed("database", str(error), "Check DATABASE_URL, and whether the database is up.")
    if revision is None:
        return passed("database", f"{address}: not there yet, the first start makes it")
    try:
        await schema.verify(url)
    except StoreTooNew as error:
        return failed("database", str(error), "Start the newer version of avatar-relay.")
    except StoreError:
        return warned("database", f"{address} is of an older version", "The next start upgrades it; back it up before.")
    owner = holder(url) if address.is_sqlite else None
    return passed("database", f"{address}: up to date{f', in use by process {owner}' if owner else ''}")


def _disk(settings: Settings) -> Check:
    address = read_address(database_url_or_default(settings))
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
            said = listening_trouble(error, host=("WEB_HOST", web.host), port=("WEB_PORT", web.port))
            fix = "Stop the other program, or set WEB_PORT." if error.errno == errno.EADDRINUSE else "Set WEB_HOST."
            return failed("web port", said, fix)
    return passed("web port", f"{web.host}, port {web.port} is free")


async def _public_url(settings: Settings, *, is_running: bool) -> Check:
    url = settings.web.public_url
    if url is None:
        return warned(
            "public address",
            "WEB_PUBLIC_URL is not set, so others cannot open the watch page",
            "Set it to the address of a reverse proxy or a tunnel in front of WEB_PORT (docs/watching.md).",
        )
    if not is_running:
        return skipped("public address", f"{url}: start the bot to see whether it is reached there")
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT, follow_redirects=True) as client:
            answer = await client.get(f"{url}/healthz")
    except httpx.HTTPError as error:
        return failed(
            "public address", f"{url} cannot be reached ({type(error).__name__})", "Check the proxy, DNS and firewall."
        )
    if answer.status_code != httpx.codes.OK:
        return failed(
            "public address", f"{url} answers {answer.status_code}", "Point the proxy at WEB_HOST and WEB_PORT."
        )
    if url.startswith("http:"):
        return warned("public address", f"{url} is reached, without encryption", "Put HTTPS in front of it.")
    return passed("public address", f"{url} leads to the bot")


async def _clock(settings: Settings) -> Check:
    """This machine's clock against the avatar service's, as its HTTP answers tell."""
    provider = settings.avatar.provider
    url = settings.liveavatar.api_url if provider == "liveavatar" else settings.heygen.api_url
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT) as client:
            told = parsedate_to_datetime((await client.head(url)).headers["Date"])
    except (httpx.HTTPError, KeyError, ValueError):
        return skipped("clock", "nobody told the time")
    skew = abs((datetime.now(UTC) - told).total_seconds())
    if skew <= MOST_SKEW:
        return passed("clock", "agrees with the avatar service's")
    return warned("clock", f"differs by {skew:.0f} s from the avatar service's", "Let the machine keep time with NTP.")


async def _is_bot_running(settings: Settings) -> bool:
    web = settings.web
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(web.host, web.host)
    try:
        async with httpx.AsyncClient(timeout=TIMEOUT) as client:
            answer = await client.get(f"http://{host}:{web.port}/healthz")
    except httpx.HTTPError:
        return False
    return answer.text == "ok\n"
