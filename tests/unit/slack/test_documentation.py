"""docs/slack.md says what the code does."""

import re
from pathlib import Path

from adapters.chat.slack.manifest import SCOPES
from adapters.chat.slack.strings import bot_token_trouble

GUIDE = (Path(__file__).parents[3] / "docs" / "slack.md").read_text(encoding="utf-8")


def test_the_table_of_scopes_is_the_one_of_the_manifest() -> None:
    rows = re.findall(r"^\| `([a-z_]+:?[a-z_]*)` \| (.+) \|$", GUIDE, re.MULTILINE)
    assert dict(rows) == SCOPES


def test_the_sentences_of_the_guide_are_those_of_the_program() -> None:
    assert "SLACK_BOT_TOKEN is not accepted by Slack" in str(bot_token_trouble("invalid_auth"))
    assert "SLACK_BOT_TOKEN is not accepted by Slack" in GUIDE
