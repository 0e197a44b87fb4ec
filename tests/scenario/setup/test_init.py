"""`avatar-relay init` in a terminal and without one: what it asks, what it checks, what it writes."""

from pathlib import Path

import pytest

from adapters.simulator import Simulator
from tests.fakes.discord import FakeDiscord
from tests.fakes.slack import FakeSlack
from tests.harness.ports import free_port
from tests.platforms.running_bot import KEY
from tests.scenario.setup.shell import Terminal, run

pytestmark = pytest.mark.slow

END_OF_INPUT = "\x04"
"""What Ctrl-D types in a terminal."""


def written(folder: Path) -> dict[str, str]:
    lines = (folder / ".env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


async def test_init_asks_checks_and_writes(tmp_path: Path, simulator: Simulator, discord: FakeDiscord) -> None:
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


async def test_init_shows_the_manifest_before_it_asks_for_what_slack_gives(
    tmp_path: Path, simulator: Simulator, slack: FakeSlack
) -> None:
    addresses = {"SLACK_API_URL": slack.api_url, "LIVEAVATAR_API_URL": simulator.address}
    arguments = ("--platform", "slack", "--provider", "liveavatar")
    async with Terminal(tmp_path, "init", *arguments, **addresses) as terminal:
        await terminal.until('"slash_commands"')
        await terminal.answer("Bot token (xoxb-…):", slack.bot_token)
        await terminal.answer("App-level token (xapp-…):", slack.app_token)
        await terminal.until("ok       Slack connection")
        await terminal.answer("LiveAvatar API key:", KEY)
        await terminal.until("credits left")
        await terminal.answer("(empty: later):", "")
        await terminal.until("Needs and costs nothing")
        await terminal.answer("(empty: hls):", "")
        assert await terminal.end() == 0
        assert slack.app_token not in terminal.screen
    assert written(tmp_path)["SLACK_APP_TOKEN"] == slack.app_token
    assert written(tmp_path)["AVATAR_WATCH"] == "hls"


async def test_init_makes_the_key_of_a_livekit_server_and_its_address(tmp_path: Path, simulator: Simulator) -> None:
    port = free_port()
    arguments = ("--platform", "console", "--provider", "liveavatar")
    settings = {"LIVEAVATAR_API_URL": simulator.address, "WEB_PORT": str(port)}
    async with Terminal(tmp_path, "init", *arguments, **settings) as terminal:
        await terminal.answer("LiveAvatar API key:", KEY)
        await terminal.answer("(empty: later):", f"http://127.0.0.1:{port}")
        await terminal.answer("(empty: hls):", "livekit")
        await terminal.answer(f"(empty: ws://127.0.0.1:{port}):", "")
        await terminal.answer("(empty: make one):", "")
        await terminal.until("docker compose --profile livekit up -d")
        assert await terminal.end() == 0
        secret = written(tmp_path)["LIVEKIT_API_SECRET"]
        assert secret not in terminal.screen
    values = written(tmp_path)
    assert (values["AVATAR_WATCH"], values["LIVEKIT_URL"]) == ("livekit", f"ws://127.0.0.1:{port}")
    assert (values["LIVEKIT_API_KEY"], len(secret)) == ("relay", 64)
    again = await run(tmp_path, "init", "--no-input", *arguments, AVATAR_WATCH="livekit", **settings)
    assert again.code == 0, again.err
    assert written(tmp_path)["LIVEKIT_API_SECRET"] == secret, "a key is made once"


async def test_init_without_a_person_and_without_an_address_does_not_choose_livekit(
    tmp_path: Path, simulator: Simulator
) -> None:
    settings = {"LIVEAVATAR_API_URL": simulator.address, "LIVEAVATAR_API_KEY": KEY, "AVATAR_WATCH": "livekit"}
    ran = await run(tmp_path, "init", "--no-input", "--platform", "console", "--provider", "liveavatar", **settings)
    assert ran.code == 2
    assert "AVATAR_WATCH is livekit, and LIVEKIT_URL is not set" in ran.err
    assert not (tmp_path / ".env").exists()


async def test_init_asks_three_times_for_what_it_needs(tmp_path: Path) -> None:
    async with Terminal(tmp_path, "init", "--platform", "console", "--provider", "heygen-realtime") as terminal:
        for _ in range(3):
            await terminal.answer("HeyGen API key:", "")
            await terminal.until("HEYGEN_API_KEY is not set")
        await terminal.until("Kept as it is")
        await terminal.answer("(empty: later):", "")
        assert await terminal.end() == 0


async def test_init_keeps_the_key_of_the_file_on_an_empty_answer_and_checks_it(
    tmp_path: Path, simulator: Simulator
) -> None:
    before = f"HEYGEN_API_URL={simulator.address}\nHEYGEN_API_KEY={KEY}\n"
    (tmp_path / ".env").write_text(before)
    async with Terminal(tmp_path, "init", "--platform", "console", "--provider", "heygen-realtime") as terminal:
        await terminal.answer("HeyGen API key:", "")
        await terminal.until("heygen-realtime accepts the key")
        await terminal.answer("(empty: later):", "")
        assert await terminal.end() == 0
    assert (tmp_path / ".env").read_text() == before + "AVATAR_PROVIDER=heygen-realtime\n"


async def test_init_looks_whether_the_public_address_leads_here(tmp_path: Path) -> None:
    port = free_port()
    arguments = ("--platform", "console", "--provider", "simulator")
    async with Terminal(tmp_path, "init", *arguments, WEB_PORT=str(port)) as terminal:
        await terminal.answer("(empty: later):", "no address at all")
        await terminal.until("WEB_PUBLIC_URL is")
        await terminal.answer("(empty: later):", f"http://127.0.0.1:{free_port()}")
        await terminal.until("cannot be reached")
        await terminal.answer("(empty: later):", f"http://127.0.0.1:{port}")
        await terminal.until("leads here, without encryption")
        assert await terminal.end() == 0
    assert written(tmp_path)["WEB_PUBLIC_URL"] == f"http://127.0.0.1:{port}"


async def test_init_forgets_a_wrong_address_on_an_empty_answer(tmp_path: Path) -> None:
    arguments = ("--platform", "console", "--provider", "simulator")
    async with Terminal(tmp_path, "init", *arguments, WEB_PORT=str(free_port())) as terminal:
        await terminal.answer("(empty: later):", f"http://127.0.0.1:{free_port()}")
        await terminal.until("cannot be reached")
        await terminal.answer("(empty: later):", "")
        await terminal.until("WEB_PUBLIC_URL is not set")
        assert await terminal.end() == 0
    assert "WEB_PUBLIC_URL" not in written(tmp_path)


async def test_init_without_a_person_keeps_an_address_that_does_not_lead_here_yet(tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    ran = await run(
        tmp_path, "init", "--no-input", "--platform", "console", "--provider", "simulator",
        WEB_PUBLIC_URL=url, WEB_PORT=str(free_port()),
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "cannot be reached" in ran.out
    assert written(tmp_path)["WEB_PUBLIC_URL"] == url


async def test_init_that_is_left_writes_nothing(tmp_path: Path) -> None:
    async with Terminal(tmp_path, "init", "--platform", "console", "--provider", "heygen-realtime") as terminal:
        await terminal.answer("HeyGen API key:", END_OF_INPUT)
        assert await terminal.end() == 1
        assert "Traceback" not in terminal.screen
    assert not (tmp_path / ".env").exists()


async def test_init_without_a_person_takes_the_environment(
    tmp_path: Path, simulator: Simulator, slack: FakeSlack
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
    assert '"slash_commands"' in ran.out
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


async def test_init_with_a_wrong_token_and_nobody_to_ask_writes_nothing(tmp_path: Path, discord: FakeDiscord) -> None:
    ran = await run(
        tmp_path, "init", "--no-input", "--platform", "discord", "--provider", "simulator",
        DISCORD_TOKEN="not-a-token", DISCORD_API_URL=discord.api_url,
    )  # fmt: skip
    assert ran.code == 2
    assert "Discord token" in ran.err
    assert "not-a-token" not in ran.out + ran.err
    assert not (tmp_path / ".env").exists()
