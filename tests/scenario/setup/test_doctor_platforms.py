"""`avatar-relay doctor` on Discord, Slack and a LiveKit server: what is right and what is wrong, over real servers."""

from pathlib import Path

import pytest
from aiohttp import web

from adapters.chat.slack.frames import CLIENTS
from adapters.chat.slack.manifest import manifest_of
from adapters.simulator import Simulator
from tests.fakes.discord import FakeDiscord, Fault
from tests.fakes.slack import FakeSlack
from tests.harness.livekit import LiveKitServer
from tests.harness.tls import TlsFront, server_context
from tests.platforms.running_bot import settings_with
from tests.scenario.setup.examined import found, of_simulator
from tests.scenario.setup.shell import run

pytestmark = pytest.mark.slow


async def test_discord_that_is_right(tmp_path: Path, simulator: Simulator, discord: FakeDiscord) -> None:
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


async def test_intent_that_the_settings_need_and_the_application_lacks_is_named(
    tmp_path: Path, simulator: Simulator, discord: FakeDiscord
) -> None:
    settings = of_simulator(simulator, DISCORD_TOKEN=discord.token, DISCORD_API_URL=discord.api_url)
    ran = await run(tmp_path, "doctor", "--json", **settings, SESSION_RELAY="all")
    assert ran.code == 1
    assert found(ran)["Discord intents"]["outcome"] == "failure"
    assert "Message Content" in found(ran)["Discord intents"]["fix"]


async def test_server_whose_commands_cannot_be_seen_is_answered_with_the_invite_link(
    tmp_path: Path, simulator: Simulator, discord: FakeDiscord
) -> None:
    settings = of_simulator(simulator, DISCORD_TOKEN=discord.token, DISCORD_API_URL=discord.api_url)
    ran = await run(tmp_path, "doctor", "--json", **settings, DISCORD_GUILD_IDS="1234")
    assert ran.code == 1
    assert "https://discord.com/oauth2/authorize" in found(ran)["Discord commands"]["fix"]


async def test_entry_point_of_an_activity_is_no_command_of_ours(
    tmp_path: Path, simulator: Simulator, discord: FakeDiscord
) -> None:
    discord.interactions.commands.enable_activities()
    settings = of_simulator(simulator, DISCORD_TOKEN=discord.token, DISCORD_API_URL=discord.api_url)
    ran = await run(tmp_path, "doctor", "--json", **settings)
    assert found(ran)["Discord commands"]["found"] == "not there yet"


async def test_request_for_the_commands_that_failed_is_named(
    tmp_path: Path, simulator: Simulator, discord: FakeDiscord
) -> None:
    discord.fail_next("GET", "/applications/{application_id}/commands", Fault.refuse(0, status=404))
    settings = of_simulator(simulator, DISCORD_TOKEN=discord.token, DISCORD_API_URL=discord.api_url)
    ran = await run(tmp_path, "doctor", "--json", **settings)
    assert ran.code == 1
    assert found(ran)["Discord commands"]["found"] == "cannot be seen (GET /applications/…/commands: HTTP 404)"


async def test_missing_permission_in_a_discord_channel_is_named(
    tmp_path: Path, simulator: Simulator, discord: FakeDiscord
) -> None:
    channel = discord.add_channel(discord.add_guild("Home"), "general")
    discord.allow(channel, "read_message_history")
    discord.deny(channel, "embed_links")
    settings = of_simulator(simulator, DISCORD_TOKEN=discord.token, DISCORD_API_URL=discord.api_url)
    ran = await run(tmp_path, "doctor", "--json", "--channel", str(channel.id), **settings)
    assert ran.code == 1
    assert "the bot lacks Embed Links" in found(ran)[f"Discord channel {channel.id}"]["found"]


async def test_wrong_discord_token_is_named_and_not_shown(
    tmp_path: Path, simulator: Simulator, discord: FakeDiscord
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


async def test_encoder_is_tried_and_what_is_missing_for_the_other_ways_is_said(
    tmp_path: Path, simulator: Simulator
) -> None:
    ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator))
    assert found(ran)["encoder"]["outcome"] == "pass"
    assert found(ran)["LiveKit"]["found"] == "LIVEKIT_URL is not set, which AVATAR_WATCH=livekit needs"


async def test_slack_that_is_right(tmp_path: Path, simulator: Simulator, slack: FakeSlack) -> None:
    channel = slack.add_channel("general", [slack.add_user("ana")])
    tokens = {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token, "SLACK_API_URL": slack.api_url}
    slack.configure(manifest_of(settings_with(tokens)))
    ran = await run(tmp_path, "doctor", "--json", "--channel", channel.id, **of_simulator(simulator, **tokens))
    checks = found(ran)
    assert ran.code == 0, ran.out + ran.err
    assert checks["Slack bot token"]["outcome"] == "pass"
    assert checks["Slack scopes"]["outcome"] == "pass"
    assert "of the manifest" in checks["Slack scopes"]["found"]
    assert checks["Slack connection"]["found"] == "Socket Mode is open to the bot"
    assert checks[f"Slack channel {channel.id}"]["found"] == "#general: the bot is in it"


async def test_scope_of_the_manifest_that_slack_did_not_grant_is_named(
    tmp_path: Path, simulator: Simulator, slack: FakeSlack
) -> None:
    tokens = {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token, "SLACK_API_URL": slack.api_url}
    manifest = manifest_of(settings_with(tokens))
    manifest["oauth_config"]["scopes"]["bot"].remove("reactions:write")
    slack.configure(manifest)
    ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator, **tokens))
    assert ran.code == 1
    assert found(ran)["Slack scopes"]["found"] == "reactions:write missing"
    assert "slack-manifest" in found(ran)["Slack scopes"]["fix"]


FRAMED = {"Content-Security-Policy": f"frame-ancestors {' '.join(CLIENTS)}"}


@pytest.mark.parametrize(
    ("headers", "outcome", "said"),
    [
        (FRAMED, "pass", "only a click in Slack shows"),
        (FRAMED | {"X-Frame-Options": "DENY"}, "warning", "a proxy adds X-Frame-Options"),
        ({"Content-Security-Policy": "frame-ancestors 'none'"}, "skip", "no bot runs now"),
    ],
    ids=str,
)
async def test_page_of_the_side_pane_is_asked_for_from_outside(
    tmp_path: Path, simulator: Simulator, slack: FakeSlack, headers: dict[str, str], outcome: str, said: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=410, headers=headers)

    application = web.Application()
    application.router.add_get("/slack/pane", answer)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    tokens = {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token, "SLACK_API_URL": slack.api_url}
    async with TlsFront(server_context(tmp_path, ["localhost"]), runner.addresses[0][1]) as front:
        address = {"WEB_PUBLIC_URL": f"https://localhost:{front.port}", "SLACK_EMBED": "auto"}
        trusted = {"SSL_CERT_FILE": str(tmp_path / "localhost.pem")}
        ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator, **tokens, **address), **trusted)
    await runner.cleanup()
    check = found(ran)["Slack side pane"]
    assert (check["outcome"], said in check["found"]) == (outcome, True), check


async def test_side_pane_without_an_address_that_slack_takes_is_told(
    tmp_path: Path, simulator: Simulator, slack: FakeSlack
) -> None:
    tokens = {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token, "SLACK_API_URL": slack.api_url}
    ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator, **tokens), SLACK_EMBED="auto")
    assert ran.code == 1
    assert "https://" in found(ran)["Slack side pane"]["found"]


async def test_slack_channel_without_the_bot_says_how_to_invite_it(
    tmp_path: Path, simulator: Simulator, slack: FakeSlack
) -> None:
    channel = slack.add_channel("general", [slack.add_user("ana")], with_bot=False)
    tokens = {"SLACK_BOT_TOKEN": slack.bot_token, "SLACK_APP_TOKEN": slack.app_token, "SLACK_API_URL": slack.api_url}
    ran = await run(tmp_path, "doctor", "--json", "--channel", channel.id, **of_simulator(simulator, **tokens))
    assert ran.code == 1
    assert "/invite @" in found(ran)[f"Slack channel {channel.id}"]["fix"]


async def test_organisation_is_told_which_of_its_workspaces_have_the_app(
    tmp_path: Path, simulator: Simulator, slack: FakeSlack
) -> None:
    acme = slack.add_enterprise("Acme")
    north = slack.add_team("Acme North", enterprise=acme)
    channel = slack.add_channel("general", [slack.add_user("nora", team=north)], team=north)
    token = slack.install(acme)
    tokens = {"SLACK_BOT_TOKEN": token, "SLACK_APP_TOKEN": slack.app_token, "SLACK_API_URL": slack.api_url}
    settings = of_simulator(simulator, **tokens)
    ran = await run(tmp_path, "doctor", "--json", "--channel", channel.id, **settings)
    assert ran.code == 0, ran.out + ran.err
    assert found(ran)["Slack organisation Acme"]["found"] == "the app is in Acme North"
    assert found(ran)[f"Slack channel {channel.id}"]["outcome"] == "pass"
    acme.granted.clear()
    slack.add_team("Acme South", enterprise=acme, granted=False)
    ran = await run(tmp_path, "doctor", "--json", **settings)
    assert ran.code == 1
    assert "Add it to one" in found(ran)["Slack organisation Acme"]["fix"]


async def test_wrong_slack_tokens_are_named_and_not_shown(
    tmp_path: Path, simulator: Simulator, slack: FakeSlack
) -> None:
    wrong = {"SLACK_BOT_TOKEN": "xoxb-wrong-token", "SLACK_APP_TOKEN": "xapp-wrong", "SLACK_API_URL": slack.api_url}
    ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator, **wrong))
    assert ran.code == 1
    assert found(ran)["Slack bot token"]["outcome"] == "failure"
    good_bot = wrong | {"SLACK_BOT_TOKEN": slack.bot_token}
    ran = await run(tmp_path, "doctor", "--json", **of_simulator(simulator, **good_bot))
    assert found(ran)["Slack connection"]["outcome"] == "failure"
    assert "xoxb-wrong-token" not in ran.out + ran.err
