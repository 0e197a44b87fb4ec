"""Block Kit as Slack judges it: the schema, and the lengths and counts that its reference gives only in prose.

Errors are readable sentences with the place of the mistake; an empty list means that Slack would take it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError, best_match

SCHEMAS = Path(__file__).parent / "schemas"
DEFINITIONS: dict[str, Any] = json.loads((SCHEMAS / "slack_blocks.schema.json").read_text())["definitions"]

LENGTHS: dict[tuple[str, str], int] = {
    ("section", "text"): 3000,
    ("header", "text"): 150,
    ("button", "text"): 75,
    ("button", "value"): 2000,
    ("button", "url"): 3000,
    ("button", "accessibility_label"): 75,
    ("image", "alt_text"): 2000,
    ("image", "image_url"): 3000,
    ("image", "title"): 2000,
    ("input", "label"): 2000,
    ("input", "hint"): 2000,
    ("modal", "title"): 24,
    ("modal", "submit"): 24,
    ("modal", "close"): 24,
    ("modal", "private_metadata"): 3000,
    ("home", "private_metadata"): 3000,
    ("video", "title"): 199,
    ("static_select", "placeholder"): 150,
    ("plain_text_input", "placeholder"): 150,
}
"""Most characters, by the type of the object and its field."""

EVERYWHERE = {"action_id": 255, "block_id": 255, "callback_id": 255}
COUNTS: dict[tuple[str, str], int] = {
    ("actions", "elements"): 25,
    ("context", "elements"): 10,
    ("section", "fields"): 10,
    ("overflow", "options"): 5,
    ("static_select", "options"): 100,
    ("radio_buttons", "options"): 10,
    ("checkboxes", "options"): 10,
    ("modal", "blocks"): 100,
    ("home", "blocks"): 100,
}
MESSAGE_BLOCKS = 50


def _types() -> dict[str, str]:
    """Block type to definition name, for the blocks that the schema knows."""
    names = [entry["$ref"].rsplit("/", 1)[1] for entry in DEFINITIONS["KnownBlock"]["anyOf"]]
    shapes = [(shape, name) for name in names for shape in DEFINITIONS[name].get("anyOf", [DEFINITIONS[name]])]
    return {shape["properties"]["type"]["const"]: name for shape, name in shapes}


BLOCKS = _types()


def _validator(name: str) -> Draft7Validator:
    return Draft7Validator({"$ref": f"#/definitions/{name}", "definitions": DEFINITIONS})


_VALIDATORS = {name: _validator(name) for name in [*BLOCKS.values(), "HomeView", "ModalView"]}


def mistakes_in_blocks(blocks: Any, *, most: int = MESSAGE_BLOCKS) -> list[str]:
    """What Slack would not take in the `blocks` of a message or view; `most` blocks are allowed."""
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        return ["blocks: not a list of objects"]
    found = [f"blocks: {len(blocks)} of them, {most} are allowed"] if len(blocks) > most else []
    for number, block in enumerate(blocks):
        place = f"blocks[{number}]"
        name = BLOCKS.get(str(block.get("type")))
        if name is None:
            found.append(f"{place}: no block has the type {block.get('type')!r}")
            continue
        found += _against(name, block, place)
        found += _measure(block, place)
    return found + _twice(blocks)


def mistakes_in_view(view: Any) -> list[str]:
    """What Slack would not take in a modal or App Home view."""
    if not isinstance(view, dict) or view.get("type") not in ("modal", "home"):
        return ["view: neither a modal nor a home tab"]
    name = "ModalView" if view["type"] == "modal" else "HomeView"
    blocks = view.get("blocks", [])
    if within := mistakes_in_blocks(blocks, most=COUNTS[view["type"], "blocks"]):
        return within
    found = _against(name, view, "view") + list(_measure(view | {"blocks": []}, "view"))
    if view["type"] == "modal" and "submit" not in view and any(block["type"] == "input" for block in blocks):
        found.append("view: a modal with an input block needs `submit`")
    return found


def _against(name: str, value: Any, place: str) -> list[str]:
    error = best_match(_VALIDATORS[name].iter_errors(value))
    if error is None:
        return []
    error = _meant(error)
    return [f"{place}{''.join(f'[{part!r}]' for part in error.absolute_path)}: {error.message[:300]}"]


def _meant(error: ValidationError) -> ValidationError:
    """Of several forms the one that was meant: the one whose `type` is that of the object."""
    branches: dict[Any, list[ValidationError]] = {}
    for below in error.context or []:
        branches.setdefault(below.relative_schema_path[0], []).append(below)
    for errors in branches.values():
        if not any(e.validator == "const" and e.relative_path and e.relative_path[-1] == "type" for e in errors):
            return _meant(errors[0])
    return error


def _measure(node: dict[str, Any], place: str) -> Iterator[str]:
    """Lengths and counts, here and below."""
    kind = str(node.get("type", ""))
    for name, value in node.items():
        text = value.get("text") if isinstance(value, dict) else value
        most = LENGTHS.get((kind, name), EVERYWHERE.get(name))
        if most is not None and isinstance(text, str) and len(text) > most:
            yield f"{place}.{name}: {len(text)} characters, {most} are allowed"
        if isinstance(value, list) and len(value) > COUNTS.get((kind, name), len(value)):
            yield f"{place}.{name}: {len(value)} of them, {COUNTS[kind, name]} are allowed"
        if isinstance(value, list) and not value and (kind, name) in COUNTS and name in ("elements", "options"):
            yield f"{place}.{name}: empty"
        for number, below in enumerate(value if isinstance(value, list) else [value]):
            if isinstance(below, dict):
                where = f"{place}.{name}[{number}]" if isinstance(value, list) else f"{place}.{name}"
                yield from _measure(below, where)
    if kind in ("mrkdwn", "plain_text") and node.get("text") == "":
        yield f"{place}: a text object needs at least one character"
    if kind == "section" and not node.get("text") and not node.get("fields"):
        yield f"{place}: a section needs `text` or `fields`"


def _twice(blocks: list[Any]) -> list[str]:
    """Ids that must differ: block ids in one message, action ids in one block."""
    found = []
    ids = [block["block_id"] for block in blocks if block.get("block_id")]
    found += [f"blocks: block_id {name!r} twice" for name in sorted(set(ids)) if ids.count(name) > 1]
    for number, block in enumerate(blocks):
        elements = block.get("elements")
        actions = [e.get("action_id") for e in elements if isinstance(e, dict)] if isinstance(elements, list) else []
        named = [name for name in actions if name]
        twice = {name for name in named if named.count(name) > 1}
        found += [f"blocks[{number}]: action_id {name!r} twice" for name in sorted(twice)]
    return found


def with_block_ids(blocks: Any) -> list[dict[str, Any]]:
    """The blocks with ids, which Slack makes up where there are none."""
    return [{"block_id": f"made-up-{number}"} | block for number, block in enumerate(blocks or [])]
