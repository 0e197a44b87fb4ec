"""The panel's Work Object: the card under it that opens the avatar in Slack's side pane, and what the pane then shows.

Pure, from a `SessionView` alone. What goes into the message is read by everybody in the channel, and by other apps: no
link and no ticket is in it. What goes into the pane is for the one person who clicked.
(docs.slack.dev, Work Objects, embeds; `entity.presentDetails`. The shapes are those of Slack's own schemas.)"""

from collections.abc import Mapping
from typing import Any

from adapters.chat.slack.blocks import PRESSED, CommandRenamer
from adapters.chat.slack.strings import CARD_TYPE, OPEN_IN_BROWSER
from bot.core.views import SessionView
from bot.sessions.panel import panel_of

Json = dict[str, Any]

REFERENCE_TYPE = "avatar-session"
"""What our references name. Slack follows an entity by its reference, which must never change for the same thing."""

ENTITY_TYPE = "slack#/entities/item"
EMBED = "application/vnd.slack-embed"
"""The kind of preview that is a page of ours in a frame."""

CARD_PATH = "/slack/avatars/{session}"
"""Where the card's own address leads: to a page that says where the avatar is watched. It opens nothing by itself."""

MAX_TITLE_LENGTH = 150
MAX_FIELD_LENGTH = 300
"""Our choice: Slack says no limit."""

MAX_WHY_LENGTH = 500
"""Characters of what Slack says against a Work Object that go to the log."""

WARNINGS = ("invalid_metadata_format", "invalid_metadata_schema")
"""With these Slack posts the message all the same, and drops its Work Object."""


def card_of(view: SessionView, public_url: str) -> Json:
    """The `metadata` of a panel's message; without an embed once the session is over."""
    preview = {"is_supported": True, "mime_type": EMBED} if _is_on(view) else {"is_supported": False}
    return {"entities": [_entity(view, public_url, preview)]}


def pane_of(view: SessionView, public_url: str, preview_url: str | None, wording: CommandRenamer) -> Json:
    """The `metadata` of `entity.presentDetails`: the page at `preview_url`, made for whoever clicked; None once the
    session is over."""
    panel = panel_of(view)
    preview: Json = {"is_supported": False}
    if preview_url is not None:
        preview = {"is_supported": True, "mime_type": EMBED, "preview_url": preview_url}
    entity = _entity(view, public_url, preview)
    # Slack keeps what it is told for ten minutes: what changes is shown by the page.
    facts = [("Started by", view.started_by_name), *([("Ended", wording(panel.ended))] if panel.ended else [])]
    fields = [
        {"key": name.lower().replace(" ", "_"), "label": name, "type": "string", "value": value[:MAX_FIELD_LENGTH]}
        for name, value in facts
    ]
    payload = entity["entity_payload"]
    payload |= {"custom_fields": fields, "display_order": [field["key"] for field in fields]}
    if preview_url is not None and panel.link is not None:
        # Listeners leave this verb out: the link is all there is to it.
        action = {"text": OPEN_IN_BROWSER, "action_id": f"{PRESSED}link", "url": panel.link}
        payload["actions"] = {"primary_actions": [action]}
    return entity


def refusal(title: str, sentence: str) -> Json:
    """The `error` of `entity.presentDetails` for somebody who does not get the avatar. Slack has statuses of its own,
    such as `restricted`, but takes a sentence with `custom` alone."""
    return {"status": "custom", "custom_title": title, "custom_message": sentence}


def session_of(reference: object) -> str | None:
    """The session that a reference of ours names; None for any other."""
    if not isinstance(reference, Mapping) or reference.get("type") != REFERENCE_TYPE:
        return None
    session_id = reference.get("id")
    return session_id if isinstance(session_id, str) and session_id else None


def dropped_because(answer: Mapping[str, Any]) -> str | None:
    """Why Slack has taken a call without its Work Object, in Slack's words; None if it has taken that as well. The
    answer is `ok` in both cases."""
    about = answer.get("response_metadata")
    about = about if isinstance(about, Mapping) else {}
    warnings = [*str(answer.get("warning", "")).split(","), *_texts(about.get("warnings"))]
    found = next((warning for warning in warnings if warning.strip() in WARNINGS), None)
    return None if found is None else ": ".join([found.strip(), *_texts(about.get("messages"))])[:MAX_WHY_LENGTH]


def with_change_time(message: Json, seconds: float) -> Json:
    """The message with the time of its Work Object, by which Slack knows whether what it has is older (UTC seconds)."""
    metadata = message.get("metadata")
    if not metadata:
        return message
    entities = [_dated(entity, seconds) for entity in metadata["entities"]]
    return message | {"metadata": {"entities": entities}}


def _dated(entity: Json, seconds: float) -> Json:
    payload = entity["entity_payload"]
    attributes = payload["attributes"] | {"metadata_last_modified": int(seconds)}
    return entity | {"entity_payload": payload | {"attributes": attributes}}


def _texts(found: object) -> list[str]:
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []


def _is_on(view: SessionView) -> bool:
    return bool(panel_of(view).buttons)


def _entity(view: SessionView, public_url: str, preview: Json) -> Json:
    panel = panel_of(view)
    name = panel.title.partition(":")[0]
    attributes: Json = {
        "title": {"text": (name if _is_on(view) else panel.title)[:MAX_TITLE_LENGTH]},
        "display_type": CARD_TYPE,
        "full_size_preview": preview,
    }
    if panel.picture and panel.picture.startswith("https://"):
        attributes["product_icon"] = {"alt_text": name[:MAX_TITLE_LENGTH], "url": panel.picture}
    return {
        "url": public_url.rstrip("/") + CARD_PATH.format(session=view.session_id),
        "external_ref": {"id": view.session_id, "type": REFERENCE_TYPE},
        "entity_type": ENTITY_TYPE,
        "entity_payload": {"attributes": attributes},
    }
