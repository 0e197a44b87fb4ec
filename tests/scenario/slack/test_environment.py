"""Bolt and slack_sdk read variables of the environment by themselves; what counts is what the bot's settings say."""

from pathlib import Path

import pytest

from tests.platforms.slack import SlackDriver

OTHERS = {
    "SLACK_API_URL": "http://slack.example.com/api/",
    "SLACK_APP_TOKEN": "xapp-of-another-app",
    "SLACK_BOT_TOKEN": "xoxb-of-another-app",
    "SLACK_CLIENT_ID": "9999.8888",
    "SLACK_CLIENT_SECRET": "secret-of-another-app",
    "SLACK_INSTALL_PATH": "/elsewhere",
    "SLACK_REDIRECT_URI": "https://example.com/elsewhere",
    "SLACK_SCOPES": "admin",
    "SLACK_SIGNING_SECRET": "signing-secret-of-another-app",
    "SLACK_USER_SCOPES": "admin",
    "SLACK_VERIFICATION_TOKEN": "token-of-another-app",
}
OAUTH = {"SLACK_CLIENT_ID": "1111.2222", "SLACK_CLIENT_SECRET": "client-secret-of-the-twin"}


@pytest.fixture(autouse=True)
def variables_of_another_app(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in OTHERS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("environment", [{}, OAUTH], ids=["one workspace", "OAuth"])
@pytest.mark.parametrize("http", [False, True], ids=["socket", "http"])
async def test_only_the_settings_of_the_bot_count(tmp_path: Path, environment: dict[str, str], http: bool) -> None:
    async with SlackDriver(tmp_path, environment=environment, http=http) as slack:
        assert "Starting" in await slack.command("/avatar start")
        await slack.until_read("live")
        await slack.write("good morning")
        await slack.bot.until(lambda: slack.bot.spoken == ["good morning"])
        assert "Stopping" in await slack.press("Stop")
        await slack.until_read("The avatar has left")
        assert not slack.twin.calls("oauth.v2.access")
