"""The Work Object of a panel, against Slack's schemas, slack_sdk's models, and what nobody may read in it."""

import json
from dataclasses import replace
from typing import Any

import pytest
from slack_sdk.models.metadata import EntityMetadata, EventAndEntityMetadata

from adapters.chat.slack.blocks import CommandRenamer
from adapters.chat.slack.work_object import (
    card_of,
    dropped_because,
    pane_of,
    refusal,
    session_of,
    with_change_time,
)
from bot.core.views import Phase, SessionView
from tests.builders import a_session_view
from tests.fakes.slack.entities import mistakes_in_entity, mistakes_in_error, mistakes_in_metadata

PUBLIC = "https://avatar.example.com"
PAGE = f"{PUBLIC}/slack/pane?ticket=abc"
FACE = "https://faces.example.com/robin.png"
WORDING = CommandRenamer("robot")
LIVE = a_session_view(session_id="k3v9qa", avatar="robin", avatar_picture=FACE, watch_url=f"{PUBLIC}/w/secret-link")
ENDED = replace(LIVE, phase=Phase.ENDED, watch_url=None, ended="The avatar has left. Start with `/avatar start`.")
VIEWS = {
    "live": LIVE,
    "starting": replace(LIVE, phase=Phase.STARTING),
    "asleep": replace(LIVE, phase=Phase.WAITING_FOR_TEXT, avatar_picture=None),
    "closing": replace(LIVE, phase=Phase.ENDED),
    "ended": ENDED,
    "long": replace(LIVE, avatar="r" * 5000, started_by_name="a" * 5000),
}


def preview(entity: dict[str, Any]) -> dict[str, Any]:
    return dict(entity["entity_payload"]["attributes"]["full_size_preview"])


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_card_and_pane_are_what_slack_takes(view: SessionView) -> None:
    card = card_of(view, PUBLIC)
    pane = pane_of(view, PUBLIC, None if view.phase is Phase.ENDED else PAGE, WORDING)
    assert mistakes_in_metadata(card) == []
    assert mistakes_in_entity(pane) == []
    # slack_sdk checks the types of entities and of fields.
    EventAndEntityMetadata(entities=[EntityMetadata(**entity) for entity in card["entities"]]).to_dict()
    EntityMetadata(**pane).to_dict()


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS.keys())
def test_message_carries_no_way_in(view: SessionView) -> None:
    text = json.dumps(card_of(view, PUBLIC))
    assert "secret-link" not in text
    assert "ticket" not in text
    assert "preview_url" not in text


def test_reference_stays_the_same_whatever_happens() -> None:
    references = {json.dumps(card_of(view, PUBLIC)["entities"][0]["external_ref"]) for view in VIEWS.values()}
    assert references == {json.dumps({"id": "k3v9qa", "type": "avatar-session"})}
    assert session_of({"id": "k3v9qa", "type": "avatar-session"}) == "k3v9qa"


@pytest.mark.parametrize(
    "reference",
    [None, "k3v9qa", {}, {"id": "k3v9qa"}, {"id": "", "type": "avatar-session"}, {"id": 3, "type": "avatar-session"}],
    ids=str,
)
def test_reference_of_somebody_else_names_no_session(reference: object) -> None:
    assert session_of(reference) is None


def test_pane_frames_the_page_and_offers_the_browser() -> None:
    entity = pane_of(LIVE, PUBLIC, PAGE, WORDING)
    assert preview(entity)["preview_url"] == PAGE
    [action] = entity["entity_payload"]["actions"]["primary_actions"]
    assert action["url"] == LIVE.watch_url
    assert preview(card_of(LIVE, PUBLIC)["entities"][0])["is_supported"] is True


def test_ended_session_frames_nothing_and_says_how_it_ended() -> None:
    assert preview(card_of(ENDED, PUBLIC)["entities"][0]) == {"is_supported": False}
    entity = pane_of(ENDED, PUBLIC, None, WORDING)
    assert preview(entity) == {"is_supported": False}
    fields = {one["label"]: one["value"] for one in entity["entity_payload"]["custom_fields"]}
    assert fields["Ended"] == "The avatar has left. Start with `/robot start`."


def test_time_of_the_change_is_added_and_the_looks_stay_as_they_are() -> None:
    looks = {"text": "Robin: live", "metadata": card_of(LIVE, PUBLIC)}
    before = json.dumps(looks)
    sent = with_change_time(looks, 1234.5)
    [entity] = sent["metadata"]["entities"]
    assert entity["entity_payload"]["attributes"]["metadata_last_modified"] == 1234
    assert json.dumps(looks) == before
    assert with_change_time({"text": "plain"}, 1.0) == {"text": "plain"}
    assert with_change_time({"text": "plain", "metadata": {}}, 1.0) == {"text": "plain", "metadata": {}}


def test_refusal_is_a_sentence() -> None:
    assert mistakes_in_error(refusal("Not here", "It is elsewhere.")) == []


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ({"ok": True}, None),
        ({"ok": True, "warning": "missing_charset"}, None),
        ({"ok": True, "response_metadata": "odd"}, None),
        ({"ok": True, "warning": "missing_charset,invalid_metadata_format"}, "invalid_metadata_format"),
        (
            {
                "ok": True,
                "warning": "invalid_metadata_schema",
                "response_metadata": {"messages": ["[ERROR] no title", 7], "warnings": ["invalid_metadata_schema"]},
            },
            "invalid_metadata_schema: [ERROR] no title",
        ),
        ({"ok": True, "response_metadata": {"warnings": ["invalid_metadata_format"]}}, "invalid_metadata_format"),
    ],
    ids=str,
)
def test_warning_in_an_answer_that_is_ok_is_read(answer: dict[str, Any], why: str | None) -> None:
    assert dropped_because(answer) == why
