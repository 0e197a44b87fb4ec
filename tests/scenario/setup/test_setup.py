"""`discord-invite`, `slack-manifest`, `avatars`, `voices`, `diagnostics`, completion: success and each failure."""

import asyncio
import base64
import json
import sys
from pathlib import Path

import pytest

from adapters.simulator import Simulator
from tests.platforms.running_bot import KEY
from tests.scenario.setup.shell import environment, run

pytestmark = pytest.mark.slow

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


TOKEN = base64.urlsafe_b64encode(b"1234567890123456789").decode().rstrip("=") + ".abcdef.ghijkl"


async def test_discord_activity_names_what_to_switch_on_and_map(tmp_path: Path) -> None:
    given = {"DISCORD_TOKEN": TOKEN, "WEB_PUBLIC_URL": "https://avatar.example.com/some/place"}
    ran = await run(tmp_path, "discord-activity", **given)
    assert ran.code == 0, ran.err
    assert "https://discord.com/developers/applications/1234567890123456789" in ran.out
    assert "Enable Activities" in ran.out
    assert "prefix /, target avatar.example.com/some/place" in ran.out
    assert "fewer than 25 members" in ran.out
    assert TOKEN not in ran.out


@pytest.mark.parametrize("missing", ["DISCORD_TOKEN", "WEB_PUBLIC_URL"])
async def test_discord_activity_without_what_it_needs_says_so(tmp_path: Path, missing: str) -> None:
    given = {"DISCORD_TOKEN": TOKEN, "WEB_PUBLIC_URL": "https://avatar.example.com"} | {missing: ""}
    ran = await run(tmp_path, "discord-activity", **given)
    assert ran.code == 2
    assert missing in ran.err


async def test_slack_manifest_follows_the_settings(tmp_path: Path) -> None:
    ran = await run(tmp_path, "slack-manifest", SLACK_COMMAND="/june")
    assert ran.code == 0, ran.err
    commands = [command["command"] for command in json.loads(ran.out)["features"]["slash_commands"]]
    assert commands == ["/june", "/june-admin"]


async def test_slack_manifest_has_the_steps_that_it_cannot_say_beside_it(tmp_path: Path) -> None:
    ran = await run(tmp_path, "slack-manifest", SLACK_EMBED="auto", WEB_PUBLIC_URL="https://avatar.example.com")
    assert ran.code == 0, ran.err
    events = json.loads(ran.out)["settings"]["event_subscriptions"]["bot_events"]
    assert "entity_details_requested" in events
    assert "Work Object Previews" in ran.err
    assert "add avatar.example.com." in ran.err


async def test_slack_manifest_for_a_bad_setting_says_so(tmp_path: Path) -> None:
    ran = await run(tmp_path, "slack-manifest", SLACK_COMMAND="two words")
    assert ran.code == 2
    assert 'SLACK_COMMAND is "two words"' in ran.err
    assert ran.out == ""


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


@pytest.mark.parametrize("what", ["avatars", "voices"])
async def test_list_with_a_wrong_key_says_so(tmp_path: Path, simulator: Simulator, what: str) -> None:
    ran = await run(tmp_path, what, HEYGEN_API_URL=simulator.address, HEYGEN_API_KEY="wrong-key-of-somebody")
    assert ran.code == 1
    assert "check HEYGEN_API_KEY" in ran.err
    assert "wrong-key-of-somebody" not in ran.out + ran.err


@pytest.mark.parametrize("what", ["avatars", "voices"])
async def test_list_of_a_service_that_is_away_says_so(tmp_path: Path, what: str) -> None:
    ran = await run(tmp_path, what, HEYGEN_API_URL="http://127.0.0.1:1", HEYGEN_API_KEY=KEY)
    assert ran.code == 1
    assert "no connection" in ran.err


@pytest.mark.parametrize("what", ["avatars", "voices"])
async def test_list_without_a_key_says_which_setting_is_missing(tmp_path: Path, what: str) -> None:
    ran = await run(tmp_path, what)
    assert ran.code == 2
    assert "HEYGEN_API_KEY is not set" in ran.err


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
    for hidden in (secret, KEY, "discord-token-hush", "112233", str(tmp_path)):
        assert hidden not in text + ran.out + ran.err


async def test_diagnostics_that_cannot_be_written_say_so(tmp_path: Path) -> None:
    ran = await run(tmp_path, "diagnostics", "no/such/folder.json", AVATAR_PROVIDER="simulator", WEB_PORT="0")
    assert ran.code == 1
    assert "cannot be written" in ran.err


# --- completion ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion_of_a_shell_can_be_shown(tmp_path: Path, shell: str) -> None:
    ran = await run(tmp_path, "--show-completion", shell)
    assert ran.code == 0, ran.err
    assert "complete_" in ran.out


async def test_words_are_completed(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("avatar-relay")
    typed = {"COMP_WORDS": "avatar-relay do", "COMP_CWORD": "1", "_AVATAR_RELAY_COMPLETE": "complete_bash"}
    done = await asyncio.create_subprocess_exec(
        program, cwd=tmp_path, env=environment(tmp_path, typed), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await done.communicate()
    assert out.decode().split() == ["doctor"]
