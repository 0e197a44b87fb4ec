"""`avatar-relay doctor`: what it says of this machine and of the avatar service, over real servers."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
from aiohttp import web
from pydantic import SecretStr

from adapters.simulator import Simulator, SimulatorOptions
from bot.core.clock import SystemClock
from bot.store import migrate
from tests.harness.ports import free_port
from tests.platforms.running_bot import KEY
from tests.scenario.setup.examined import PORT, found, of_simulator
from tests.scenario.setup.shell import run

pytestmark = pytest.mark.slow


def databases(folder: Path) -> list[Path]:
    return list(folder.rglob("*.sqlite3"))


async def test_everything_right_ends_with_0(tmp_path: Path, simulator: Simulator) -> None:
    ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator))
    checks = found(ran)
    assert ran.code == 0, ran.out
    assert checks["avatar service"]["outcome"] == "pass"
    assert "heygen-realtime accepts the key" in checks["avatar service"]["found"]
    assert checks["database"]["outcome"] == "pass"
    assert checks["clock"]["outcome"] == "pass"
    assert checks["answers"]["outcome"] == "warning"
    assert checks["Discord"]["outcome"] == checks["Slack"]["outcome"] == "skip"
    assert not databases(tmp_path), "the doctor changes nothing"


async def test_table_names_the_fix_below_what_is_wrong(tmp_path: Path, simulator: Simulator) -> None:
    ran = await run(tmp_path, "doctor", **of_simulator(simulator, AVATAR_ID="nobody"))
    assert ran.code == 1
    assert "FAILED   avatar" in ran.out
    assert "nobody is not among yours" in ran.out
    assert "-> Choose one of `avatar-relay avatars`, and set AVATAR_ID." in ran.out


async def test_wrong_key_is_named_and_not_shown(tmp_path: Path, simulator: Simulator) -> None:
    ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator, HEYGEN_API_KEY="wrong-key-of-somebody"))
    assert ran.code == 1
    assert found(ran)["avatar service"]["outcome"] == "failure"
    assert "wrong-key-of-somebody" not in ran.out + ran.err


@pytest.mark.parametrize("arguments", [(), ("--json",)])
async def test_bad_settings_are_a_row_each(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    bad = {"SESSION_IDLE_TIMEOUT": "soon", "WEB_PORT": "many"}
    ran = await run(tmp_path, "doctor", *arguments, **bad)
    assert ran.code == 1
    assert ran.err == ""
    rows = (
        [f"{check['subject']} {check['found']}" for check in json.loads(ran.out)]
        if arguments
        else [line for line in ran.out.splitlines() if line.startswith("FAILED   settings")]
    )
    assert len(rows) == len(bad)
    assert all(any(name in row for row in rows) for name in bad)


async def test_env_file_that_others_may_read_is_a_warning(tmp_path: Path, simulator: Simulator) -> None:
    (tmp_path / ".env").write_text(f"HEYGEN_API_KEY={KEY}\n")
    (tmp_path / ".env").chmod(0o644)
    settings = PORT | {"HEYGEN_API_URL": simulator.address}
    ran = await run(tmp_path, "doctor", "--json", **settings)
    assert (found(ran)["settings"]["outcome"], found(ran)["settings"]["fix"]) == ("warning", "chmod 600 .env")
    (tmp_path / ".env").chmod(0o600)
    assert found(await run(tmp_path, "doctor", "--json", **settings))["settings"]["outcome"] == "pass"


async def test_variable_that_is_misspelt_is_a_warning_without_its_value(tmp_path: Path, simulator: Simulator) -> None:
    (tmp_path / ".env").write_text("AVATAR_WATHC=hush-hush\n")
    (tmp_path / ".env").chmod(0o600)
    ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator))
    assert ran.code == 0, ran.out
    assert found(ran)["misspelt"] == {
        "subject": "misspelt",
        "outcome": "warning",
        "found": "AVATAR_WATHC is no setting and has no effect: AVATAR_WATCH was probably meant",
        "fix": "Rename it to AVATAR_WATCH, or remove it.",
    }
    assert "hush-hush" not in ran.out + ran.err
    assert "misspelt" not in found(await run(tmp_path / "..", "doctor", "--json", **of_simulator(simulator)))


async def test_bot_says_at_its_start_what_is_misspelt_and_starts(tmp_path: Path) -> None:
    settings = {"AVATAR_PROVIDER": "simulator", "WEB_PORT": "0", "AVATAR_GREETNIG": "hush-hush", "SESSION_MANAGER": "x"}
    ran = await run(tmp_path, "run", "--console", **settings)
    assert ran.code == 0, ran.err
    assert "Settings: AVATAR_GREETNIG is no setting and has no effect: AVATAR_GREETING was probably meant." in ran.out
    assert "SESSION_MANAGER" not in ran.out
    assert "Everything is closed." in ran.out
    assert "hush-hush" not in ran.out + ran.err


async def test_api_that_was_switched_off_is_named_with_what_to_take_instead(tmp_path: Path) -> None:
    async with Simulator(SimulatorOptions(api_key=SecretStr(KEY), v1_sunset=True), SystemClock()) as simulator:
        ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator, AVATAR_PROVIDER="heygen-streaming"))
    assert ran.code == 1
    assert "was switched off" in found(ran)["avatar service"]["found"]
    assert "heygen-realtime" in found(ran)["avatar service"]["fix"]


async def test_balance_and_open_streams_are_told(tmp_path: Path, simulator: Simulator) -> None:
    settings = {"LIVEAVATAR_API_URL": simulator.address, "LIVEAVATAR_API_KEY": KEY, "AVATAR_PROVIDER": "liveavatar"}
    ran = await run(tmp_path, "doctor", "--json", **PORT, **settings)
    assert ran.code == 0, ran.out
    assert "credits left" in found(ran)["avatar service"]["found"]
    assert found(ran)["open streams"]["found"].startswith("none; ")


OPTIONS = {
    "LIVEAVATAR_LANGUAGE": "german",
    "LIVEAVATAR_VOICE_SPEED": "0.9",
    "LIVEAVATAR_DYNAMIC_VARIABLES": '{"event": "fair"}',
}


async def test_what_is_set_of_the_services_own_options_is_shown(tmp_path: Path, simulator: Simulator) -> None:
    settings = {"LIVEAVATAR_API_URL": simulator.address, "LIVEAVATAR_API_KEY": KEY, "AVATAR_PROVIDER": "liveavatar"}
    ran = await run(tmp_path, "doctor", "--json", **PORT, **settings, **OPTIONS)
    assert found(ran)["options"]["outcome"] == "pass"
    assert found(ran)["options"]["found"] == (
        "LIVEAVATAR_LANGUAGE=de, LIVEAVATAR_VOICE_SPEED=0.9, LIVEAVATAR_DYNAMIC_VARIABLES=event"
    )


async def test_options_of_another_service_are_a_warning(tmp_path: Path, simulator: Simulator) -> None:
    ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator, LIVEAVATAR_VOICE_SPEED="0.9"))
    assert ran.code == 0
    assert found(ran)["options"]["outcome"] == "warning"
    assert found(ran)["options"]["found"] == "LIVEAVATAR_VOICE_SPEED has no effect with heygen-realtime"


async def test_an_option_out_of_range_is_a_row(tmp_path: Path) -> None:
    ran = await run(tmp_path, "doctor", "--json", LIVEAVATAR_VOICE_SPEED="1.3")
    assert ran.code == 1
    assert found(ran)["settings"]["found"] == 'LIVEAVATAR_VOICE_SPEED is "1.3": it must be a number from 0.8 to 1.2.'


async def test_a_quality_the_service_does_not_have_is_named(tmp_path: Path, simulator: Simulator) -> None:
    settings = of_simulator(simulator, AVATAR_PROVIDER="heygen-streaming", AVATAR_QUALITY="very_high")
    ran = await run(tmp_path, "doctor", "--json", **settings)
    assert ran.code == 1
    assert "with heygen-streaming it must be one of low, medium, high" in found(ran)["avatar service"]["found"]


async def test_voice_that_is_not_there_is_named(tmp_path: Path, simulator: Simulator) -> None:
    ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator, AVATAR_VOICE_ID="nobody"))
    assert ran.code == 1
    assert found(ran)["voice"]["fix"] == "Choose one of `avatar-relay voices`, and set AVATAR_VOICE_ID."


async def test_clock_that_is_off_is_a_warning(tmp_path: Path) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=404, headers={"Date": format_datetime(datetime(2020, 1, 1, tzinfo=UTC), True)})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        ran = await run(tmp_path, "doctor", "--json", HEYGEN_API_URL=url, HEYGEN_API_KEY=KEY, **PORT)
    finally:
        await runner.cleanup()
    assert found(ran)["clock"]["outcome"] == "warning"
    assert "s off that of 127.0.0.1" in found(ran)["clock"]["found"]
    assert "NTP" in found(ran)["clock"]["fix"]


@pytest.mark.parametrize(
    ("leads", "outcome", "says"),
    [
        ("here", "warning", "leads here, without encryption"),
        ("elsewhere", "failure", "leads to something else"),
        ("nowhere", "failure", "cannot be reached"),
        ("to nothing", "failure", "answers 404"),
    ],
)
async def test_public_address_is_followed_while_no_bot_runs(
    tmp_path: Path, simulator: Simulator, leads: str, outcome: str, says: str
) -> None:
    port = free_port()

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    other = web.Application()
    other.router.add_get("/healthz", healthy)
    runner = web.AppRunner(other)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        urls = {
            "here": f"http://127.0.0.1:{port}",
            "elsewhere": f"http://127.0.0.1:{runner.addresses[0][1]}",
            "nowhere": f"http://127.0.0.1:{free_port()}",
            "to nothing": f"http://127.0.0.1:{runner.addresses[0][1]}/under",
        }
        settings = of_simulator(simulator, WEB_PUBLIC_URL=urls[leads]) | {"WEB_PORT": str(port)}
        ran = await run(tmp_path, "doctor", "--json", **settings)
    finally:
        await runner.cleanup()
    check = found(ran)["public address"]
    assert (check["outcome"], says in check["found"]) == (outcome, True), check
    assert ran.code == (1 if outcome == "failure" else 0)


async def test_older_database_is_a_warning_and_a_newer_one_a_failure(tmp_path: Path, simulator: Simulator) -> None:
    url = f"sqlite:///{tmp_path / 'bot.db'}"
    await migrate.upgrade(url)
    settings = of_simulator(simulator, DATABASE_URL=url)
    assert "up to date" in found(await run(tmp_path, "doctor", "--json", **settings))["database"]["found"]
    await migrate.downgrade(url, "-1")
    ran = await run(tmp_path, "doctor", "--json", **settings)
    assert (ran.code, found(ran)["database"]["outcome"]) == (0, "warning")
    with closing(sqlite3.connect(tmp_path / "bot.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = 'of-tomorrow'")
    ran = await run(tmp_path, "doctor", "--json", **settings)
    assert (ran.code, found(ran)["database"]["outcome"]) == (1, "failure")


async def test_missing_key_is_named(tmp_path: Path) -> None:
    ran = await run(tmp_path, "doctor", "--json", **PORT)
    assert ran.code == 1
    assert "HEYGEN_API_KEY is not set" in found(ran)["avatar service"]["found"]


async def test_service_that_is_away_is_said_so(tmp_path: Path) -> None:
    ran = await run(tmp_path, "doctor", "--json", HEYGEN_API_URL="http://127.0.0.1:1", HEYGEN_API_KEY=KEY, **PORT)
    assert ran.code == 1
    assert "no connection" in found(ran)["avatar service"]["found"]
    assert found(ran)["clock"]["outcome"] == "skip"


async def test_port_that_is_taken_by_another_program_fails(tmp_path: Path, simulator: Simulator) -> None:
    port = simulator.address.rpartition(":")[2]
    ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator) | {"WEB_PORT": port})
    assert ran.code == 1
    assert "another program already listens there" in found(ran)["web port"]["found"]


async def test_database_that_cannot_be_read_fails(tmp_path: Path, simulator: Simulator) -> None:
    (tmp_path / "broken.db").write_text("this is no database, whatever its name says" * 100)
    url = f"sqlite:///{tmp_path / 'broken.db'}"
    ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator, DATABASE_URL=url))
    assert ran.code == 1
    assert found(ran)["database"]["outcome"] == "failure"


@pytest.mark.parametrize(
    ("settings", "outcome", "words"),
    [
        ({}, "pass", "everybody watches HLS from the bot, which encodes liveavatar's room"),
        ({"AVATAR_WATCH": "seat"}, "pass", "one page at a time"),
        ({"AVATAR_WATCH": "direct"}, "failure", "liveavatar shows no HLS"),
        ({"AVATAR_WATCH": "hls", "AVATAR_CARRIER": "page"}, "failure", "AVATAR_CARRIER must be bot or auto"),
    ],
)
async def test_how_people_watch_is_told_with_the_reason(
    tmp_path: Path, simulator: Simulator, settings: dict[str, str], outcome: str, words: str
) -> None:
    account = {"LIVEAVATAR_API_URL": simulator.address, "LIVEAVATAR_API_KEY": KEY, "AVATAR_PROVIDER": "liveavatar"}
    ran = await run(tmp_path, "doctor", "--json", **PORT, **account, **settings)
    picture = found(ran)["picture"]
    assert picture["outcome"] == outcome
    assert words in picture["found"]
    assert bool(picture["fix"]) == (outcome == "failure")


async def test_a_viewer_who_could_never_be_seen_is_a_failure_before_the_bot_runs(
    tmp_path: Path, simulator: Simulator
) -> None:
    ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator, SESSION_NEEDS_VIEWER="always"))
    check = found(ran)["public address"]
    assert check["outcome"] == "failure"
    assert check["found"].startswith("SESSION_NEEDS_VIEWER is always, but WEB_PUBLIC_URL is not set")
    assert ran.code == 1
