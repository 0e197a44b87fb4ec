"""What `avatar-relay doctor` sees of the Activity from outside: a running bot behind a stand-in of Discord's proxy,
under the real names, which only a local HTTP proxy knows."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.chat.discord.activity_setup import MAPPING, SUBJECT, examine_activity
from bot.cli.doctor.check import Check, Outcome
from tests.browser.discord_world import MAPPED, DiscordWorld, discord_world
from tests.fakes.discord import FakeDiscord
from tests.fakes.proxy import FakeProxy
from tests.harness.ports import free_port
from tests.platforms.discord import TOKEN, DiscordDriver
from tests.scenario.discord.frames import address_of

pytestmark = pytest.mark.slow


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[DiscordWorld]:
    async with discord_world(tmp_path) as world:
        yield world


@pytest.fixture
async def chat(tmp_path: Path, world: DiscordWorld, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[DiscordDriver]:
    twin = FakeDiscord(token=TOKEN)
    twin.enable_activities()
    environment = {"WEB_PORT": str(free_port()), "WEB_PUBLIC_URL": f"https://{MAPPED}"}
    async with DiscordDriver(tmp_path, twin=twin, environment=environment) as chat, FakeProxy() as proxy:
        world.target, world.application_id = address_of(chat), twin.application_id
        proxy.names |= dict.fromkeys((MAPPED, f"{twin.application_id}.discordsays.com"), world.port)
        monkeypatch.setenv("SSL_CERT_FILE", str(world.certificate))
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        yield chat


async def looked_at(chat: DiscordDriver, **changes: object) -> dict[str, Check]:
    application = chat.client.application
    assert application is not None
    settings = chat.settings()
    changed = settings.model_copy(update={"discord": settings.discord.model_copy(update=changes)})
    return {check.subject: check for check in await examine_activity(application, changed)}


async def test_activity_that_is_right(chat: DiscordDriver) -> None:
    checks = await looked_at(chat)
    assert {subject: check.outcome for subject, check in checks.items()} == {
        SUBJECT: Outcome.PASS,
        MAPPING: Outcome.PASS,
    }, checks
    assert "only Discord knows" in checks[SUBJECT].found
    assert checks[MAPPING].found.startswith(f"https://{chat.twin.application_id}.discordsays.com leads here")


async def test_mapping_that_leads_elsewhere_is_named_with_its_fix(chat: DiscordDriver, world: DiscordWorld) -> None:
    world.application_id = 4711  # Discord knows no such application: nothing is mapped
    checks = await looked_at(chat)
    assert checks[MAPPING].outcome is Outcome.FAILURE
    assert "leads to something else (404)" in checks[MAPPING].found
    assert checks[MAPPING].fix == f"In the portal, Activities, URL Mappings: prefix /, target {MAPPED}."


async def test_headers_that_get_lost_on_the_way_are_named(chat: DiscordDriver, world: DiscordWorld) -> None:
    world.loses = ("Content-Security-Policy",)
    checks = await looked_at(chat)
    assert checks[MAPPING].outcome is Outcome.FAILURE
    assert "changes the headers" in checks[MAPPING].found
    assert checks[MAPPING].found.startswith(f"https://{MAPPED} leads here")


async def test_host_that_does_not_answer_is_named(chat: DiscordDriver, world: DiscordWorld) -> None:
    world.is_cut = True
    checks = await looked_at(chat)
    assert checks[MAPPING].outcome is Outcome.FAILURE
    assert "cannot be reached" in checks[MAPPING].found


async def test_bot_that_does_not_run_is_not_looked_for_behind_the_mapping(chat: DiscordDriver) -> None:
    application, settings = chat.client.application, chat.settings()
    assert application is not None
    await chat.bot.stop()
    checks = await examine_activity(application, settings)
    assert [(check.subject, check.outcome) for check in checks] == [(SUBJECT, Outcome.PASS), (MAPPING, Outcome.SKIP)]


async def test_what_is_off_is_left_out(chat: DiscordDriver) -> None:
    checks = await looked_at(chat, activity=False)
    assert {subject: check.outcome for subject, check in checks.items()} == {SUBJECT: Outcome.SKIP}
