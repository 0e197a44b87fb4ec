"""The manifest: valid against Slack's schema, and exactly what the code uses."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft7Validator

from adapters.chat.slack import manifest, pane_steps
from adapters.chat.slack.manifest import SCOPES, manifest_of
from tests.platforms.running_bot import settings_with

SCHEMAS = Path(__file__).parents[2] / "fakes" / "slack" / "schemas"
VERSIONS = ("manifest.schema.1.0.0.json", "manifest.schema.2.0.0.json")


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"SLACK_APP_TOKEN": "xapp-1-0123456789abcdef"},
        {"SLACK_SIGNING_SECRET": "0123456789abcdef", "WEB_PUBLIC_URL": "https://avatar.example.com/"},
        {"SLACK_SIGNING_SECRET": "0123456789abcdef", "SLACK_CLIENT_ID": "1.2"},
        {"SLACK_COMMAND": "robot"},
        {"SLACK_EMBED": "auto", "WEB_PUBLIC_URL": "https://avatar.example.com"},
    ],
)
def test_the_manifest_is_valid(environment: dict[str, str]) -> None:
    made = json.loads(manifest(settings_with(environment)))
    for version in VERSIONS:
        validator = Draft7Validator(json.loads((SCHEMAS / version).read_text()))
        assert [error.message for error in validator.iter_errors(made)] == []


def test_socket_mode_is_the_default_and_needs_no_address() -> None:
    made = manifest_of(settings_with({}))
    assert made["settings"]["socket_mode_enabled"] is True
    assert "request_url" not in json.dumps(made)


def test_http_mode_names_the_address_everywhere() -> None:
    environment = {"SLACK_SIGNING_SECRET": "0123456789abcdef", "WEB_PUBLIC_URL": "https://avatar.example.com"}
    made = manifest_of(settings_with(environment))
    address = "https://avatar.example.com/slack/events"
    assert made["settings"]["socket_mode_enabled"] is False
    assert made["settings"]["event_subscriptions"]["request_url"] == address
    assert made["settings"]["interactivity"]["request_url"] == address
    assert {command["url"] for command in made["features"]["slash_commands"]} == {address}


def test_the_command_has_the_configured_name() -> None:
    commands = manifest_of(settings_with({"SLACK_COMMAND": "robot"}))["features"]["slash_commands"]
    assert [command["command"] for command in commands] == ["/robot", "/robot-admin"]
    assert all(command["should_escape"] for command in commands)


def test_side_pane_needs_one_event_more_and_no_scope() -> None:
    plain, with_pane = (manifest_of(settings_with({"SLACK_EMBED": choice})) for choice in ("off", "auto"))
    events = [made["settings"]["event_subscriptions"]["bot_events"] for made in (plain, with_pane)]
    assert set(events[1]) - set(events[0]) == {"entity_details_requested"}
    assert plain["oauth_config"] == with_pane["oauth_config"]


def test_steps_that_the_manifest_cannot_say_name_the_host_and_the_type() -> None:
    address = {"WEB_PUBLIC_URL": "https://avatar.example.com:8443/robin"}
    steps = pane_steps(settings_with({"SLACK_EMBED": "auto"} | address))
    assert "Work Object Previews" in steps
    assert "Item" in steps
    assert " avatar.example.com." in steps
    assert "SLACK_EMBED=auto" in pane_steps(settings_with(address))
    assert pane_steps(settings_with({})) == ""
    assert "WEB_PUBLIC_URL" in pane_steps(settings_with({"SLACK_EMBED": "auto"}))


def test_every_scope_has_a_reason() -> None:
    assert all(SCOPES.values())
