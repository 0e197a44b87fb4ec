"""Work Objects of the local Slack: what it makes of the entities in a message, and of the answer to a click on one.

The shapes are those of Slack's schemas (`schemas/slack_calls.schema.json`); what those leave open is from
docs.slack.dev: "Work Objects", "Work Objects embeds", `entity_details_requested` and `entity.presentDetails`."""

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft7Validator

from tests.fakes.slack.block_kit import DEFINITIONS, SCHEMAS
from tests.fakes.slack.delivery import Delivery
from tests.fakes.slack.records import Message, Payload, User

EMBED = "application/vnd.slack-embed"
STATUSES = ("restricted", "internal_error", "not_found", "custom", "custom_partial_view", "timeout", "edit_error")

_CALLS: Payload = json.loads((SCHEMAS / "slack_calls.schema.json").read_text())
_DEFINITIONS = _CALLS["definitions"] | DEFINITIONS


def _validator(name: str) -> Draft7Validator:
    return Draft7Validator({"$ref": f"#/definitions/{name}", "definitions": _DEFINITIONS})


_ENTITY, _ACTION = _validator("EntityMetadata"), _validator("EntityActionButton")


@dataclass(eq=False)
class Details:
    """A click on a Work Object, and what the person's side pane shows of it.

    metadata, error: what the app presented, one of them; None before it has. preview_url: the page in the pane's frame;
    None where there is none, or its host is not among those that the app's settings allow.
    """

    message: Message
    user: User
    entity: Payload
    trigger_id: str
    deliveries: list[Delivery] = field(default_factory=list)
    metadata: Payload | None = None
    error: Payload | None = None
    preview_url: str | None = None

    @property
    def is_presented(self) -> bool:
        return self.metadata is not None or self.error is not None

    @property
    def title(self) -> str:
        """What the pane is headed."""
        if self.error is not None:
            return str(self.error.get("custom_title", self.error["status"]))
        assert self.metadata is not None
        return str(self.metadata["entity_payload"]["attributes"]["title"]["text"])

    @property
    def shown(self) -> str:
        """What the pane says beside its frame."""
        if self.error is not None:
            return str(self.error.get("custom_message", ""))
        assert self.metadata is not None
        fields = self.metadata["entity_payload"].get("custom_fields", ())
        return "\n".join(f"{one['label']}: {one['value']}" for one in fields)


def mistakes_in_metadata(metadata: Any) -> list[str]:
    """What Slack would warn of in the `metadata` of a message, where that has entities."""
    if not isinstance(metadata, dict):
        return ["metadata: not an object"]
    entities = metadata.get("entities", [])
    if not isinstance(entities, list):
        return ["metadata.entities: not a list"]
    found = [mistake for entity in entities for mistake in mistakes_in_entity(entity)]
    for entity in entities:
        if not found and _preview(entity).get("preview_url"):
            found.append("metadata.entities: a preview_url in a message, which everybody reads")
    return found


def mistakes_in_entity(entity: Any) -> list[str]:
    """What is wrong with one entity."""
    errors = sorted(_ENTITY.iter_errors(entity), key=lambda error: list(map(str, error.absolute_path)))
    found = [f"entity.{'.'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in errors]
    if found:
        return found
    payload = entity["entity_payload"]
    if urlsplit(entity["url"]).scheme != "https":
        found.append("entity.url: not an https address")
    if entity["entity_type"] == "slack#/entities/item" and "fields" in payload:
        found.append("entity.entity_payload.fields: an item has none but custom_fields")
    keys = [one["key"] for one in payload.get("custom_fields", ())]
    found += [f"entity.custom_fields: {key!r} twice" for key in sorted({key for key in keys if keys.count(key) > 1})]
    found += [f"entity.custom_fields: {key!r} without a value" for key in keys if not _value(payload, key)]
    if unknown := set(payload.get("display_order", ())) - set(keys):
        found.append(f"entity.display_order: no field {sorted(unknown)}")
    actions = payload.get("actions", {})
    for name, most in (("primary_actions", 2), ("overflow_actions", 5)):
        if len(actions.get(name, ())) > most:
            found.append(f"entity.actions.{name}: {len(actions[name])} of them, {most} are allowed")
    return found


def _value(payload: Payload, key: str) -> Any:
    return next(one.get("value") for one in payload["custom_fields"] if one["key"] == key)


def mistakes_in_error(error: Any) -> list[str]:
    """What is wrong with the `error` of `entity.presentDetails`."""
    if not isinstance(error, dict) or error.get("status") not in STATUSES:
        return [f"error.status: one of {', '.join(STATUSES)}"]
    known = {"status", "custom_title", "custom_message", "message_format", "actions"}
    found = [f"error: no property {name!r}" for name in error if name not in known]
    is_custom = str(error["status"]).startswith("custom")
    for name in ("custom_title", "custom_message"):
        if is_custom and not error.get(name):
            found.append(f"error.{name}: missing")
        if not is_custom and name in error:
            found.append(f"error.{name}: only with a custom status")
    if error.get("message_format", "markdown") != "markdown":
        found.append("error.message_format: markdown")
    found += [problem.message[:200] for action in error.get("actions", ()) for problem in _ACTION.iter_errors(action)]
    return found


def _preview(entity: Payload) -> Payload:
    return dict(entity["entity_payload"]["attributes"].get("full_size_preview", {}))


def frame_of(entity: Payload, domains: list[str] | None) -> str | None:
    """The page that the pane frames: silently none where the app's settings do not allow its host."""
    preview = _preview(entity)
    url = preview.get("preview_url")
    if not url or not preview["is_supported"] or preview.get("mime_type") != EMBED:
        return None
    parts = urlsplit(str(url))
    allowed = domains is None or parts.hostname in domains
    return str(url) if parts.scheme == "https" and allowed else None
