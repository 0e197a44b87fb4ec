"""Checks every call against Slack's schemas: are the arguments known, of the right type, and all there?

What comes in as a form or a query is first read as Slack reads it: "1" and "true" are true, objects are JSON text."""

import json
from typing import Any

from jsonschema import Draft7Validator

from tests.fakes.slack.block_kit import DEFINITIONS, SCHEMAS, mistakes_in_blocks, mistakes_in_view
from tests.fakes.slack.catalogue import METHODS
from tests.fakes.slack.records import Payload

_CALLS: Payload = json.loads((SCHEMAS / "slack_calls.schema.json").read_text())
ALL_METHODS: set[str] = set(json.loads((SCHEMAS / "slack_methods.json").read_text())) | {"oauth.v2.exchange"}

MOST_TEXT = 40_000
"""Characters after which `chat.postMessage` truncates and `chat.update` answers `msg_too_long`."""

ALWAYS = {"token", "team_id"}
"""Taken by every method: the client that Bolt gives to a listener adds `team_id` to all calls."""

RESPONSE_FIELDS = {
    "text": str,
    "blocks": list,
    "attachments": list,
    "response_type": str,
    "replace_original": bool,
    "delete_original": bool,
    "thread_ts": str,
    "unfurl_links": bool,
    "unfurl_media": bool,
    "mrkdwn": bool,
    "metadata": dict,
}
"""What may be posted to a response URL, or sent in the acknowledgement of a command."""


def _variants(method: str) -> list[Payload]:
    """The shapes that a method's arguments may have."""
    if method in _CALLS["methods"]:
        definition = _CALLS["definitions"][_CALLS["methods"][method]]
        return list(definition.get("anyOf", [definition]))
    known = METHODS[method]
    properties = {name: {"type": kind} for name, kind in known.arguments.items()}
    return [{"type": "object", "properties": properties, "required": list(known.required)}]


def _types(properties: list[Payload]) -> set[str]:
    found: set[str] = set()
    for schema in properties:
        if "$ref" in schema:
            name = schema["$ref"].rsplit("/", 1)[1]
            found |= _types([(_CALLS["definitions"] | DEFINITIONS)[name]])
        found |= _types(schema.get("anyOf", []))
        if isinstance(schema.get("type"), str):
            found.add(schema["type"])
    return found


class Arguments:
    """The arguments of one method."""

    def __init__(self, method: str) -> None:
        self._variants = _variants(method)
        self._known: dict[str, set[str]] = {name: {"string"} for name in ALWAYS}
        for variant in self._variants:
            for name, schema in variant["properties"].items():
                self._known.setdefault(name, set()).update(_types([schema]))
        definitions = _CALLS["definitions"] | DEFINITIONS
        without_blocks = [self._without_blocks(variant) for variant in self._variants]
        self._validators = [Draft7Validator(variant | {"definitions": definitions}) for variant in without_blocks]

    @staticmethod
    def _without_blocks(variant: Payload) -> Payload:
        """Blocks and views are judged one by one, for the sake of sentences that say what is wrong; of metadata Slack
        only warns."""
        apart = ("blocks", "view", "metadata")
        return variant | {"properties": {k: v for k, v in variant["properties"].items() if k not in apart}}

    def read(self, raw: Payload) -> Payload:
        """Form and query text as the values that are meant."""
        return {name: self._read(value, self._known.get(name, set())) for name, value in raw.items()}

    @staticmethod
    def _read(value: Any, types: set[str]) -> Any:
        if not isinstance(value, str) or "string" in types:
            return value
        if "boolean" in types and value.lower() in ("1", "true", "0", "false"):
            return value.lower() in ("1", "true")
        try:
            return json.loads(value)
        except ValueError:
            return value

    def mistakes(self, args: Payload) -> list[str]:
        """What is wrong with the arguments, apart from blocks and views."""
        found = [f"no argument {name!r}" for name in args if name not in self._known]
        best: list[str] | None = None
        args = {name: value for name, value in args.items() if name in self._known}
        for variant, validator in zip(self._variants, self._validators, strict=True):
            errors = [f"{'.'.join(map(str, e.absolute_path))}: {e.message[:200]}" for e in validator.iter_errors(args)]
            properties = variant["properties"].keys() | ALWAYS
            errors += [f"{name!r} not together with these" for name in args if name not in properties]
            if best is None or len(errors) < len(best):
                best = errors
        return found + (best or [])

    def mistakes_in_blocks(self, args: Payload) -> list[str]:
        found = mistakes_in_blocks(args["blocks"]) if "blocks" in args else []
        return found + (mistakes_in_view(args["view"]) if "view" in args else [])


def mistakes_in_response(body: Payload) -> list[str]:
    """What is wrong with a message for a response URL or an acknowledgement."""
    found = [f"no field {name!r}" for name in body if name not in RESPONSE_FIELDS]
    kinds = {name: RESPONSE_FIELDS.get(name, object) for name in body}
    found += [f"{name} is {body[name]!r}" for name, kind in kinds.items() if not isinstance(body[name], kind)]
    if body.get("response_type", "ephemeral") not in ("ephemeral", "in_channel"):
        found.append(f"response_type is {body['response_type']!r}")
    if not body.get("delete_original") and not any(body.get(name) for name in ("text", "blocks", "attachments")):
        found.append("neither text nor blocks")
    return found + (mistakes_in_blocks(body["blocks"]) if "blocks" in body else [])
