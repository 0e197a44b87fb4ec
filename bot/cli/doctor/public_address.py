"""Whether WEB_PUBLIC_URL leads to the watch page. If no bot runs, a small server listens instead for a moment."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from aiohttp import web

from bot.cli.doctor.check import Check, CheckContext, failed, passed, skipped, warned
from bot.cli.doctor.http import client_for
from bot.core.errors import SettingsError
from bot.settings import SIMULATOR, Settings
from bot.wiring import needs_viewer

SUBJECT = "public address"
WITHOUT = "WEB_PUBLIC_URL is not set, so others cannot open the watch page"
HOW_TO_SET = "Set it to the address of a reverse proxy or a tunnel in front of WEB_PORT (docs/watching.md)."
OF_A_BOT = "ok\n"
"""What `/healthz` of a bot answers."""


async def examine_public_address(examination: CheckContext) -> AsyncIterator[Check]:
    """Look whether others reach the watch page."""
    settings = examination.settings
    if settings.web.public_url is None:
        try:
            needs_viewer(settings.session.needs_viewer, has_watch_page=settings.avatar.provider == SIMULATOR)
        except SettingsError as error:
            yield failed(SUBJECT, str(error), HOW_TO_SET)
        else:
            yield warned(SUBJECT, WITHOUT, HOW_TO_SET)
    elif await is_bot_running(settings):
        yield await _leads_to(settings.web.public_url, OF_A_BOT)
    elif settings.web.port == 0:
        yield skipped(SUBJECT, f"{settings.web.public_url}: WEB_PORT is 0, so the port is known when the bot runs")
    else:
        try:
            async with _stand_in(settings) as word:
                yield await _leads_to(settings.web.public_url, word)
        except OSError:
            yield skipped(SUBJECT, f"{settings.web.public_url}: nothing can listen on WEB_PORT now")


async def is_bot_running(settings: Settings) -> bool:
    """Whether a bot answers on this machine, at WEB_HOST and WEB_PORT."""
    web_settings = settings.web
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(web_settings.host, web_settings.host)
    try:
        async with client_for(url := f"http://{host}:{web_settings.port}/healthz") as client:
            answer = await client.get(url)
    except httpx.HTTPError:
        return False
    return answer.text == OF_A_BOT


@asynccontextmanager
async def _stand_in(settings: Settings) -> AsyncIterator[str]:
    """A server in the bot's place; the word it answers, which nobody else knows. Raises `OSError`."""
    word = secrets.token_hex(16)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=word)

    application = web.Application()
    application.router.add_get("/healthz", answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, settings.web.host, settings.web.port).start()
        yield word
    finally:
        await runner.cleanup()


async def _leads_to(url: str, word: str) -> Check:
    try:
        async with client_for(url, follow_redirects=True) as client:
            answer = await client.get(f"{url}/healthz")
    except httpx.HTTPError as error:
        return failed(
            SUBJECT, f"{url} cannot be reached ({type(error).__name__})", "Check the proxy, DNS and firewall."
        )
    point = "Point the proxy at WEB_HOST and WEB_PORT (docs/watching.md)."
    if answer.status_code != httpx.codes.OK:
        return failed(SUBJECT, f"{url} answers {answer.status_code}", point)
    if answer.text != word:
        return failed(SUBJECT, f"{url} leads to something else", point)
    if url.startswith("http:"):
        return warned(SUBJECT, f"{url} leads here, without encryption", "Put HTTPS in front of it.")
    return passed(SUBJECT, f"{url} leads here")
