"""Checks every request against Discord's own description of its API. It answers none.

[S] `discord_openapi.json` is github.com/discord/discord-api-spec, specs/openapi.json, without white space. Besides
what its schemas demand, a field that no schema of the place knows and an undescribed query parameter are violations.
"""

import functools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry
from referencing.jsonschema import DRAFT202012

SPECIFICATION = Path(__file__).with_name("discord_openapi.json")
_URI = "urn:discord"

TOLERATED: dict[str, str] = {
    r"\.nsfw: no such field": "documented for commands, missing in the file; discord.py always sends it",
    r"embeds\[\d+\]\.(flags|type): no such field": "Embed.to_dict sends what Discord itself adds; Discord ignores it",
    r"PATCH .*\.tts: no such field": "discord.py sends tts with every message body; Discord ignores it in edits",
}
"""Pattern of a violation -> why it is none."""


@functools.cache
def specification() -> dict[str, Any]:
    """The OpenAPI document."""
    document: dict[str, Any] = json.loads(SPECIFICATION.read_text("utf-8"))
    return document


@functools.cache
def _registry() -> Registry[Any]:
    empty: Registry[Any] = Registry()
    registry: Registry[Any] = empty.with_resource(_URI, DRAFT202012.create_resource(specification()))
    return registry


@functools.cache
def validator(*keys: str) -> Draft202012Validator:
    """The validator for the schema at a place of the document."""
    pointer = "/".join(key.replace("~", "~0").replace("/", "~1") for key in keys)
    return Draft202012Validator({"$ref": f"{_URI}#/{pointer}"}, registry=_registry())


@functools.cache
def _templates() -> list[tuple[re.Pattern[str], str]]:
    found = []
    for template in sorted(specification()["paths"], key=lambda each: (each.count("{"), each)):
        pattern = "/".join(
            f"(?P<{part[1:-1]}>[^/]+)" if part.startswith("{") else re.escape(part) for part in template.split("/")
        )
        found.append((re.compile(pattern), template))
    return found


@dataclass(frozen=True)
class Place:
    """Where a path leads: the path of the OpenAPI file and the values of its parameters."""

    template: str
    parameters: Mapping[str, str]


def place(path: str) -> Place | None:
    """Finds the OpenAPI path, the one with the fewest parameters first: "@me" is no user id."""
    for pattern, template in _templates():
        match = pattern.fullmatch(path)
        if match:
            return Place(template, match.groupdict())
    return None


class Validation:
    """Collects what requests did that the description does not allow."""

    def __init__(self) -> None:
        self.violations: list[str] = []
        self.mistakes: list[str] = []

    def check(
        self, method: str, path: str, where: Place | None, query: Mapping[str, str], body: Any, content_type: str
    ) -> None:
        """Checks one request and notes what is wrong with it; body is None when there was none."""
        if where is None:
            self._note(f"{method} {path}: no such path")
            return
        operation = specification()["paths"][where.template].get(method.lower())
        name = f"{method} {where.template}"
        if operation is None:
            self._note(f"{name}: no such method")
            return
        shared = specification()["paths"][where.template].get("parameters", [])
        for violation in _queries([*shared, *operation.get("parameters", [])], query):
            self._note(f"{name}: {violation}")
        contents = operation.get("requestBody", {}).get("content", {})
        if body is None:
            if operation.get("requestBody", {}).get("required") and content_type:
                self._note(f"{name}: the body is missing")
        elif "application/json" not in contents:
            self._note(f"{name}: takes no JSON body, got {_short(body)}")
        else:
            keys = ("paths", where.template, method.lower(), "requestBody", "content", "application/json", "schema")
            for violation in _bodies(keys, contents["application/json"]["schema"], _with_text_ids(body)):
                self._note(f"{name}: {violation}")

    def check_answer(self, method: str, template: str, status: int, body: Any) -> None:
        """Checks what the local Discord answered itself: it has to have Discord's shape."""
        described = specification()["paths"][template].get(method.lower(), {}).get("responses", {})
        keys = ("paths", template, method.lower(), "responses", str(status))
        if str(status) not in described:
            self.mistakes.append(f"{method} {template}: answers {status}, described are {sorted(described)}")
        elif "content" in described[str(status)]:
            for violation in _errors((*keys, "content", "application/json", "schema"), body):
                self.mistakes.append(f"{method} {template} {status}: {violation}")

    def _note(self, violation: str) -> None:
        if not any(re.search(pattern, violation) for pattern in TOLERATED):
            self.violations.append(violation)


def _queries(described: Iterable[dict[str, Any]], query: Mapping[str, str]) -> Iterable[str]:
    known = {one["name"]: one for one in described if one.get("in") == "query"}
    for name, value in query.items():
        if name not in known:
            yield f"query parameter {name!r} is not described"
            continue
        schema = {"$id": "urn:discord:query", **_resolved(known[name]["schema"])}
        if not Draft202012Validator(schema, registry=_registry()).is_valid(_parsed(schema, value)):
            yield f"query parameter {name}={value!r} is not {_short(schema)}"
    for name, one in known.items():
        if one.get("required") and name not in query:
            yield f"query parameter {name!r} is missing"


def _parsed(schema: Mapping[str, Any], value: str) -> object:
    kinds = schema.get("type", "string")
    if "boolean" in kinds and value.lower() in ("true", "false", "1", "0"):
        return value.lower() in ("true", "1")
    if "integer" in kinds and re.fullmatch(r"-?\d+", value):
        return int(value)
    return value


def _bodies(keys: tuple[str, ...], schema: dict[str, Any], body: Any) -> Iterable[str]:
    yield from _errors(_of_its_type(keys, schema, body), body)
    yield from _unknown([schema], body, "$")


def _errors(keys: tuple[str, ...], body: Any) -> Iterable[str]:
    for error in validator(*keys).iter_errors(body):
        closest = best_match([error])
        yield f"{closest.json_path}: {closest.message[:300]}"


def _of_its_type(keys: tuple[str, ...], schema: dict[str, Any], body: Any) -> tuple[str, ...]:
    """Where the schema for the body's `type` is, of a union by type: its errors are clearer than those of the union."""
    kind = body.get("type") if isinstance(body, dict) else None
    for number, each in enumerate(schema.get("anyOf", [])):
        if kind in _resolved(each).get("properties", {}).get("type", {}).get("enum", []):
            return (*keys, "anyOf", str(number))
    return keys


def _with_text_ids(body: Any, key: str = "") -> Any:
    """The body with its ids as texts: discord.py sends some as numbers, which Discord takes [L]."""
    if isinstance(body, dict):
        return {name: _with_text_ids(value, f"{key}.{name}") for name, value in body.items()}
    if isinstance(body, list):
        return [_with_text_ids(value, key) for value in body]
    is_id = key.endswith(("_id", ".attachments.id", ".allowed_mentions.users", ".allowed_mentions.roles"))
    return str(body) if is_id and type(body) is int else body


def _unknown(schemas: list[dict[str, Any]], value: Any, where: str) -> Iterable[str]:
    """Fields that none of the schemas which may describe the value knows."""
    flat = list(_flat(schemas))
    if isinstance(value, dict):
        described = [one["properties"] for one in flat if "properties" in one]
        if not described or any("additionalProperties" in one for one in flat):
            return
        for name, inner in value.items():
            found = [one[name] for one in described if name in one]
            if not found:
                yield f"{where}.{name}: no such field"
            else:
                yield from _unknown(found, inner, f"{where}.{name}")
    elif isinstance(value, list):
        items = [one["items"] for one in flat if isinstance(one.get("items"), dict)]
        for number, inner in enumerate(value):
            yield from _unknown(items, inner, f"{where}[{number}]")


def _flat(schemas: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    for schema in map(_resolved, schemas):
        yield schema
        for word in ("oneOf", "anyOf", "allOf"):
            yield from _flat(schema.get(word, []))


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in schema:
        found: Any = specification()
        for key in schema["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        schema = found
    return schema


def _short(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)[:200]
