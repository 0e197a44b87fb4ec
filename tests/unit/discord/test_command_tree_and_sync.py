"""Completions, the comparison of commands with what Discord has, and the permissions of the bot."""

from pathlib import Path

import discord
import pytest

from adapters.chat.discord.client import intents_for
from adapters.chat.discord.command_tree import matching
from adapters.chat.discord.converters import names_in, without_mention
from adapters.chat.discord.permissions import invite_link, invite_permissions, missing_in
from adapters.chat.discord.sync import shape_of
from bot.core.ports import CatalogueEntry
from bot.settings import RelayMode


def test_completions_begin_with_what_begins_so_and_are_at_most_25() -> None:
    entries = [CatalogueEntry(f"id{n}", f"Studio Anna {n}") for n in range(40)] + [CatalogueEntry("x", "Anna")]
    found = matching(entries, "anna")
    assert found[0].name == "Anna"
    assert len(found) == 25


def test_completions_find_ids_and_fit_discords_limits() -> None:
    entries = [
        CatalogueEntry("robin-7", "n" * 300),
        CatalogueEntry("y" * 101, "never offered"),
        CatalogueEntry("z", ""),
    ]
    assert [(len(choice.name), choice.value) for choice in matching(entries, "ROBIN")] == [(100, "robin-7")]
    assert [choice.name for choice in matching(entries, "")] == ["z", "n" * 100]


def test_shape_is_the_same_with_and_without_what_discord_adds() -> None:
    here = {
        "name": "avatar",
        "type": 1,
        "description": "d",
        "options": [{"type": 1, "name": "stop", "description": "s"}],
    }
    there = here | {"id": "1", "version": "2", "nsfw": False, "default_member_permissions": None}
    there["options"] = [{"type": 1, "name": "stop", "description": "s", "options": [], "required": False}]
    assert shape_of(here) == shape_of(there)
    assert shape_of(here) != shape_of(here | {"description": "other"})
    assert shape_of({"name": "a", "default_member_permissions": 32}) == shape_of(
        {"name": "a", "default_member_permissions": "32"}
    )


def test_invite_asks_for_no_power_over_others() -> None:
    asked = {name for name, value in invite_permissions() if value}
    assert asked == {
        "read_messages", "send_messages", "send_messages_in_threads", "create_public_threads",
        "embed_links", "read_message_history", "add_reactions", "connect", "speak", "request_to_speak",
    }  # fmt: skip
    assert "client_id=42" in invite_link(42)


def test_guide_names_the_number_of_the_permissions() -> None:
    guide = Path(__file__).parents[3] / "docs" / "discord.md"
    assert f"(number {invite_permissions().value})" in guide.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("in_thread", "opens_threads", "missing"),
    [
        (False, False, ["Send Messages"]),
        (True, False, ["Send Messages in Threads"]),
        (False, True, ["Send Messages", "Create Public Threads", "Send Messages in Threads"]),
    ],
)
def test_missing_permissions_depend_on_the_place(*, in_thread: bool, opens_threads: bool, missing: list[str]) -> None:
    granted = discord.Permissions(view_channel=True, embed_links=True, read_message_history=True)
    assert missing_in(granted, in_thread=in_thread, opens_threads=opens_threads) == missing


def test_message_content_is_asked_for_only_where_everything_is_relayed() -> None:
    assert [rule for rule in RelayMode if intents_for(rule).message_content] == [RelayMode.ALL]
    assert not any(intents_for(rule).voice_states for rule in RelayMode)
    assert intents_for(RelayMode.MENTIONS, has_voice=True).voice_states
    assert not any(intents_for(rule).members or intents_for(rule).presences for rule in RelayMode)


def test_mention_of_the_bot_is_not_said() -> None:
    assert without_mention("<@42> hello <@!42>", 42) == "hello"
    assert without_mention("<@421> hello", 42) == "<@421> hello"


def test_unknown_tokens_are_left_to_the_core() -> None:
    assert names_in("<@1> <#2> <@&3>", None, ()) == {}
