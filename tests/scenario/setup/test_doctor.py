"""`avatar-relay doctor`: what it says of what is right and of what is wrong, over real servers; it changes nothing."""

import json
from pathlib import Path
from typing import Any

from adapters.avatars.simulator import Simulator
from adapters.chat.slack.manifest import manifest_of
from tests.livekit import LiveKitServer
from tests.platforms.relay import KEY, settings_with
from tests.scenario.setup.shell import Ran, run
from tests.twins.discord import DiscordTwin
from tests.twins.slack import SlackTwin

PORT = {"WEB_PORT": "0"}


def of_simulator(simulator: Simulator, **others: str) -> dict[str, str]:
    return PORT | {"HEYGEN_API_URL": simulator.address, "HEYGEN_API_KEY": KEY} | others


def found(ran: Ran) -> dict[str, dict[str, Any]]:
    return {check["subject"]: check for check in json.loads(ran.out)}


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


async def test_discord_that_is_right(tmp_path: Path, simulator: Simulator, discord: DiscordTwin) -> None:
    channel = discord.add_channel(discord.add_guild("Home"), "general")
    discord.allow(channel, "read_message_history")
    settings = of_simulator(simulator, DISCORD_TOKEN=discord.token, DISCORD_API_URL=discord.api_url)
    ran = await run(tmp_path, "doctor", "--json", "--channel", str(channel.id), **settings)
    checks = found(ran)
    assert ran.code == 0, ran.out + ran.err
    assert checks["Discord token"]["outcome"] == "pass"
    assert checks["Discord intents"]["outcome"] == "pass"
    assert checks["Discord commands"]["outcome"] == "warning", "nobody has started the bot yet"
    assert checks[f"Discord channel {channel.id}"]["found"] == "#general: nothing is missing"


async def test_missing_permission_in_a_discord_channel_is_named(
    tmp_path: Path, simulator: Simulator, discord: DiscordTwin
) -> None:
    channel = discord.add_channel(discord.add_guild("Home"), "general")
    discord.allow(channel, "read_message_history")
    discord.deny(channel, "embed_links")
    settings = of_simulator(simulator, DISCORD_TOKEN=discord.token, DISCORD_API_URL=discord.api_url)
    ran = await run(tmp_path, "doctor", "--json", "--channel", str(channel.id), **settings)
    assert ran.code == 1
    assert "the bot lacks Embed Links" in found(ran)[f"Discord channel {channel.id}"]["found"]


async def test_wrong_discord_token_is_named_and_not_shown(
    tmp_path: Path, simulator: Simulator, discord: DiscordTwin
) -> None:
    settings = of_simulator(simulator, DISCORD_TOKEN="wrong-token-of-a-bot", DISCORD_API_URL=discord.api_url)
    ran = await run(tmp_path, "doctor", "--json", **settings)
    assert ran.code == 1
    assert found(ran)["Discord token"]["outcome"] == "failure"
    assert "wrong-token-of-a-bot" not in ran.out + ran.err


async def test_livekit_that_is_right_and_a_key_it_does_not_know(
    tmp_path: Path, simulator: Simulator, livekit_server: LiveKitServer
) -> None:
    own = {
        "LIVEKIT_URL": livekit_server.url,
        "LIVEKIT_API_KEY": livekit_server.api_key,
        "LIVEKIT_API_SECRET": livekit_server.api_secret,
    }
    ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator, **own))
    assert ran.code == 0, ran.out + ran.err
    assert "accepts the key" in found(ran)["LiveKit"]["found"]
    wrong = own | {"LIVEKIT_API_SECRET": "a-secret-nobody-knows-0123456789abcdef"}
    ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator, **wrong))
    assert ran.code == 1
    assert "does not accept the key" in found(ran)["LiveKit"]["found"]
    assert "a-secret-nobody-knows" not in ran.out + ran.err


async def test_slack_that_is_right(tmp_path: Path, simulator: Simulator, slack: SlackTwin) -> None:
    channel = slack.add_channel("general", [slack.add_user("ana")])
    tokens = {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token, "SLACK_API_URL": slack.api_url}
    slack.configure(manifest_of(settings_with(tokens)))
    ran = await run(tmp_path, "doctor", "--json", "--channel", channel.id, **of_simulator(simulator, **tokens))
    checks = found(ran)
    assert ran.code == 0, ran.out + ran.err
    assert checks["Slack bot token"]["outcome"] == "pass"
    assert checks["Slack scopes"]["outcome"] in ("pass", "skip")
    assert checks["Slack connection"]["found"] == "Socket Mode is open to the bot"
    assert checks[f"Slack channel {channel.id}"]["found"] == "#general: the bot is in it"


async def test_slack_channel_without_the_bot_says_how_to_invite_it(
    tmp_path: Path, simulator: Simulator, slack: SlackTwin
) -> None:
    channel = slack.add_channel("general", [slack.add_user("ana")], with_bot=False)
    tokens = {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token, "SLACK_API_URL": slack.api_url}
    ran = await run(tmp_path, "doctor", "--json", "--channel", channel.id, **of_simulator(simulator, **tokens))
    assert ran.code == 1
    assert "/invite @" in found(ran)[f"Slack channel {channel.id}"]["fix"]


async def test_wrong_slack_tokens_are_named_and_not_shown(
    tmp_path: Path, simulator: Simulator, slack: SlackTwin
) -> None:
    wrong = {"SLACK_BOT_TOKEN": "xoxb-wrong-token", "SLACK_APP_TOKEN": "xapp-wrong", "SLACK_API_URL": slack.api_url}
    ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator, **wrong))
    assert ran.code == 1
    assert found(ran)["Slack bot token"]["outcome"] == "failure"
    good_bot = wrong | {"SLACK_BOT_TOKEN": slack.bot_token}
    ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator, **good_bot))
    assert found(ran)["Slack connection"]["outcome"] == "failure"
    assert "xoxb-wrong-token" not in ran.out + ran.err
