"""The tree of components in a message, and what Discord adds to it. It checks no limits (posts.py)."""

import copy
from typing import Any

_COMPLETED: dict[int, dict[str, Any]] = {
    3: {"min_values": 1, "max_values": 1},
    11: {"description": None, "spoiler": False},
    14: {"spacing": 1, "divider": True},
    17: {"accent_color": None, "spoiler": False},
}


def completed(components: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The components with the ids and the other values that Discord gives them where the app gave none [D]."""
    copied = copy.deepcopy(components)
    for number, part in enumerate(parts(copied), 1):
        part.setdefault("id", number)
        for name, value in _COMPLETED.get(part["type"], {}).items():
            part.setdefault(name, value)
        if isinstance(part.get("media"), dict):
            part["media"] |= {"id": str(number), "proxy_url": part["media"]["url"]}
        if isinstance(part.get("emoji"), dict) and part["emoji"].get("id") is None:
            part["emoji"].pop("id", None)
    return copied


def parts(components: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All components, those within others too, in order."""
    found = []
    for component in components:
        found.append(component)
        inner = list(component.get("components") or [])
        inner += [component[key] for key in ("accessory", "component") if isinstance(component.get(key), dict)]
        found += parts(inner)
    return found
