"""`init`, `discord-invite`, `slack-manifest`, `avatars`, `voices`, `diagnostics`: success and each failure."""

import base64
import json
from pathlib import Path

import pytest

from adapters.avatars.simulator import Simulator
from tests.platforms.relay import KEY
from tests.scenario.setup.shell import Terminal, run
from tests.twins.discord import DiscordTwin
from tests.twins.slack import SlackTwin


def written(folder: Path) -> dict[str, str]:
    lines = (folder / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


# --- init ------------------------------------------------------------------------------------------------------------


async def test_init_asks_checks_and_writes(tmp_path: Path, simulator: Simulator, discord: DiscordTwin) -> None:
    addresses = {"DISCORD_API_URL": discord.api_url, "HEYGEN_API_URL": simulator.address}
    async with Terminal(tmp_path, "init", **addresses) as terminal:
        await terminal.answer("[discord]:", "discord")
        await terminal.answer("[heygen-realtime]:", "heygen-realtime")
        await terminal.answer("Bot token:", "not-a-token")
        await terminal.until("Let us try that again.")
        await terminal.answer("Bot token:", discord.token)
        await terminal.until("ok       Discord token")
        await terminal.answer("HeyGen API key:", KEY)
        await terminal.until("heygen-realtime accepts the key")
        await terminal.answer("(empty: later):", "")
        await terminal.until("Start the bot with: avatar-relay run")
        assert await terminal.end() == 0
        assert discord.token not in terminal.screen
        assert KEY not in terminal.screen
    values = written(tmp_path)
    assert values["DISCORD_TOKEN"] == discord.token
    assert values["HEYGEN_API_KEY"] == KEY
    assert values["AVATAR_PROVIDER"] == "heygen-realtime"
    assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600


async def test_init_without_a_person_takes_the_environment(
    tmp_path: Path, simulator: Simulator, slack: SlackTwin
) -> None:
    environment = {
        "SLACK_BOT_TOKEN": slack.bot_token,
        "SLACK_APP_TOKEN": slack.app_token,
        "SLACK_API_URL": slack.api_url,
        "LIVEAVATAR_API_URL": simulator.address,
        "LIVEAVATAR_API_KEY": KEY,
    }
    ran = await run(tmp_path, "init", "--no-input", "--platform", "slack", "--provider", "liveavatar", **environment)
    assert ran.code == 0, ran.out + ran.err
    assert "slack-manifest" in ran.out
    assert written(tmp_path)["SLACK_BOT_TOKEN"] == slack.bot_token
    assert slack.bot_token not in ran.out + ran.err


async def test_init_keeps_what_is_in_the_file(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# mine\nAVATAR_PROVIDER=heygen-realtime\nQUEUE_LIMIT=7\n")
    ran = await run(tmp_path, "init", "--no-input", "--platform", "console", "--provider", "simulator")
    assert ran.code == 0, ran.err
    assert (tmp_path / ".env").read_text() == "# mine\nAVATAR_PROVIDER=simulator\nQUEUE_LIMIT=7\n"
    assert "avatar-relay run --console" in ran.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--platform", "discord", "--provider", "simulator"), "DISCORD_TOKEN is not set"),
        (("--platform", "console", "--provider", "nonsense"), '--provider is "nonsense"'),
        (("--platform", "console"), "--no-input needs --platform and --provider"),
        (("--platform", "console", "--provider", "heygen-realtime"), "HEYGEN_API_KEY is not set"),
    ],
)
async def test_init_without_a_person_says_what_is_missing_and_writes_nothing(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    ran = await run(tmp_path, "init", "--no-input", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert not (tmp_path / ".env").exists()


async def test_init_with_a_wrong_token_and_nobody_to_ask_writes_nothing(tmp_path: Path, discord: DiscordTwin) -> None:
    ran = await run(
        tmp_path, "init", "--no-input", "--platform", "discord", "--provider", "simulator",
        DISCORD_TOKEN="not-a-token", DISCORD_API_URL=discord.api_url,
    )  # fmt: skip
    assert ran.code == 2
    assert "Discord token" in ran.err
    assert "not-a-token" not in ran.out + ran.err
    assert not (tmp_path / ".env").exists()


# --- what is pasted somewhere ----------------------------------------------------------------------------------------


async def test_discord_invite_needs_no_network(tmp_path: Path) -> None:
    token = base64.urlsafe_b64encode(b"1234567890123456789").decode().rstrip("=") + ".abcdef.ghijkl"
    ran = await run(tmp_path, "discord-invite", DISCORD_TOKEN=token)
    assert ran.code == 0, ran.err
    assert "client_id=1234567890123456789" in ran.out
    assert "permissions=" in ran.out
    assert "applications.commands" in ran.out
    assert token not in ran.out


@pytest.mark.parametrize(("token", "said"), [("", "DISCORD_TOKEN"), ("nonsense", "DISCORD_TOKEN")])
async def test_discord_invite_without_a_token_says_so(tmp_path: Path, token: str, said: str) -> None:
    ran = await run(tmp_path, "discord-invite", DISCORD_TOKEN=token)
    assert ran.code == 2
    assert said in ran.err


async def test_slack_manifest_follows_the_settings(tmp_path: Path) -> None:
    ran = await run(tmp_path, "slack-manifest", SLACK_COMMAND="/june")
    assert ran.code == 0, ran.err
    commands = [command["command"] for command in json.loads(ran.out)["features"]["slash_commands"]]
    assert commands == ["/june", "/june-admin"]


# --- what can be chosen ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["avatars", "voices"])
async def test_avatars_and_voices_are_listed_and_filtered(tmp_path: Path, simulator: Simulator, what: str) -> None:
    settings = {"HEYGEN_API_URL": simulator.address, "HEYGEN_API_KEY": KEY}
    entries = json.loads((await run(tmp_path, what, "--json", **settings)).out)
    assert len(entries) > 1
    name = entries[0]["name"]
    ran = await run(tmp_path, what, name, **settings)
    assert ran.code == 0
    assert entries[0]["id"] in ran.out
    assert "No " in (await run(tmp_path, what, "nothing is called so", **settings)).out


async def test_avatars_of_the_simulator_inside_the_bot_cannot_be_listed(tmp_path: Path) -> None:
    ran = await run(tmp_path, "avatars", AVATAR_PROVIDER="simulator")
    assert ran.code == 1
    assert "Set a real provider" in ran.err


async def test_avatars_with_a_wrong_key_say_so(tmp_path: Path, simulator: Simulator) -> None:
    ran = await run(tmp_path, "avatars", HEYGEN_API_URL=simulator.address, HEYGEN_API_KEY="wrong-key-of-somebody")
    assert ran.code == 1
    assert "wrong-key-of-somebody" not in ran.out + ran.err


# --- diagnostics -----------------------------------------------------------------------------------------------------


async def test_diagnostics_hold_what_helps_and_no_secret(tmp_path: Path, simulator: Simulator) -> None:
    secret = "postgres-password-hush"
    ran = await run(
        tmp_path, "diagnostics", "report.json",
        HEYGEN_API_URL=simulator.address, HEYGEN_API_KEY=KEY, WEB_PORT="0", ADMIN_USERS="discord:112233",
        DATABASE_URL=f"postgresql://relay:{secret}@127.0.0.1:1/relay", DISCORD_TOKEN="discord-token-hush",
        DISCORD_API_URL="http://127.0.0.1:1",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    text = (tmp_path / "report.json").read_text()
    report = json.loads(text)
    assert report["settings"]["heygen.api_key"] == "[hidden]"
    assert report["settings"]["admin_users"] == "1 named"
    assert any(check["subject"] == "avatar service" for check in report["checks"])
    for hidden in (secret, KEY, "discord-token-hush", "112233"):
        assert hidden not in text + ran.out + ran.err


async def test_diagnostics_that_cannot_be_written_say_so(tmp_path: Path) -> None:
    ran = await run(tmp_path, "diagnostics", "no/such/folder.json", AVATAR_PROVIDER="simulator", WEB_PORT="0")
    assert ran.code == 1
    assert "cannot be written" in ran.err
