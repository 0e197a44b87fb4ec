"""Limits of what a bot may post, and what a posted body becomes. It does not know where it is posted.

[D] https://docs.discord.com/developers/resources/message and .../components/reference: 2000 characters, 10 embeds with
6000 characters together, 5 rows of 5 buttons, 25 options, 100 characters of custom_id, 80 of a label, 512 of a URL,
40 components and 4000 characters of text in a message of components v2, which has no content and no embeds.
"""

import re
from collections.abc import Mapping
from typing import Any

from tests.fakes.discord.components import parts
from tests.fakes.discord.errors import Refused, invalid
from tests.fakes.discord.state import COMPONENTS_V2, EPHEMERAL, DiscordState, Message

Body = Mapping[str, Any]
SETTABLE = EPHEMERAL | COMPONENTS_V2 | 1 << 2 | 1 << 12
"""The flags that a bot may set: also SUPPRESS_EMBEDS and SUPPRESS_NOTIFICATIONS [D]."""

_EMBED = {"title": 256, "description": 4096}
_SELECTS = (3, 5, 6, 7, 8)


def check(body: Body, *, before: Message | None = None) -> None:
    """Raises Refused when Discord would not take the body; `before` is the message that it edits."""
    v2 = bool((body.get("flags") or 0) & COMPONENTS_V2) or bool(before and before.flags & COMPONENTS_V2)
    content, embeds, components = (
        body[name] if name in body else getattr(before, name, None) for name in ("content", "embeds", "components")
    )
    files = body.get("attachments", getattr(before, "attachments", None))
    if len(content or "") > 2000:
        raise invalid("content", "Must be 2000 or fewer in length.")
    if v2 and (content or embeds):
        raise invalid("content", "The 'content' and 'embeds' fields cannot be used with MessageFlags.IS_COMPONENTS_V2")
    if not (content or embeds or components or files or body.get("sticker_ids") or body.get("poll")):
        raise Refused(50006)
    if body.get("embeds"):
        _check_embeds(body["embeds"])
    if body.get("components"):
        _check_components(body["components"], v2=v2)


def _check_embeds(embeds: list[dict[str, Any]]) -> None:
    total = 0
    for number, embed in enumerate(embeds):
        texts = [(name, embed.get(name) or "", limit) for name, limit in _EMBED.items()]
        texts += [("footer", (embed.get("footer") or {}).get("text") or "", 2048)]
        texts += [("author", (embed.get("author") or {}).get("name") or "", 256)]
        for field in embed.get("fields") or []:
            texts += [("fields", field["name"], 256), ("fields", field["value"], 1024)]
            if not field["name"].strip() or not field["value"].strip():
                raise invalid(f"embeds.{number}.fields", "This field is required")
        for name, text, limit in texts:
            total += len(text)
            if len(text) > limit:
                raise invalid(f"embeds.{number}.{name}", f"Must be {limit} or fewer in length.")
        if len(embed.get("fields") or []) > 25:
            raise invalid(f"embeds.{number}.fields", "Must be 25 or fewer in length.")
    if len(embeds) > 10 or total > 6000:
        raise invalid("embeds", "Embed size exceeds maximum size of 6000")


def _check_components(components: list[dict[str, Any]], *, v2: bool) -> None:
    every = parts(components)
    if v2:
        if len(every) > 40:
            raise invalid("components", "Must be 40 or fewer in length.")
        if sum(len(part.get("content") or "") for part in every if part["type"] == 10) > 4000:
            raise invalid("components", "The total text must be 4000 or fewer in length.")
    elif any(component["type"] != 1 for component in components):
        raise invalid("components", "Value of field type must be one of (1,).")
    elif len(components) > 5:
        raise invalid("components", "Must be 5 or fewer in length.")
    for number, row in enumerate(part for part in every if part["type"] == 1):
        inner = row.get("components") or []
        menus = sum(part["type"] in _SELECTS for part in inner)
        if not inner or len(inner) > 5 or (menus and len(inner) > 1):
            raise invalid(f"components.{number}", "Must be between 1 and 5 in length.")
    for part in every:
        _check_part(part)
    names = [part["custom_id"] for part in every if part.get("custom_id")]
    if len(names) != len(set(names)):
        raise invalid("components", "Component custom id cannot be duplicated")


def _check_part(part: dict[str, Any]) -> None:
    if part["type"] == 2:
        link = part.get("style") == 5
        if link and not re.match(r"(https?|discord)://.", part.get("url") or ""):
            raise invalid("components", "Not a well formed URL.")
        if link == bool(part.get("custom_id")):
            raise invalid("components", "A custom id or a url is needed, never both")
        if not part.get("label") and not part.get("emoji"):
            raise invalid("components", "A button must have a label or an emoji")
    elif part["type"] in _SELECTS and not part.get("custom_id"):
        raise invalid("components", "This field is required")
    if part["type"] == 3 and not 1 <= len(part.get("options") or []) <= 25:
        raise invalid("components", "Must be between 1 and 25 in length.")
    for name, limit in (("custom_id", 100), ("label", 80), ("url", 512)):
        if len(part.get(name) or "") > limit:
            raise invalid("components", f"{name}: must be {limit} or fewer in length.")


def fields(body: Body, files: list[tuple[str, int]], *, before: Message | None = None) -> dict[str, Any]:
    """The message fields that a body sets; of an edit those that it names only."""
    found: dict[str, Any] = {}
    if "content" in body or before is None:
        found["content"] = body.get("content") or ""
    for name in ("embeds", "components"):
        if name in body or before is None:
            found[name] = list(body.get(name) or [])
    if body.get("flags") is not None:
        kept = before.flags & ~SETTABLE | before.flags & EPHEMERAL if before else 0
        found["flags"] = kept | body["flags"] & SETTABLE
    if files or "attachments" in body:
        found["attachments"] = [
            {
                "id": str(number),
                "filename": name,
                "size": size,
                "url": f"https://cdn.example.com/{number}",
                "proxy_url": "",
            }
            for number, (name, size) in enumerate(files, 1)
        ]
    return found


def notify(message: Message, body: Body, world: DiscordState) -> None:
    """Works out whom a bot's message pings, by its `allowed_mentions` [D]; without them everything counts."""
    allowed = body.get("allowed_mentions")
    message.allowed_mentions = allowed
    kinds = {"users", "roles", "everyone"} if allowed is None else set(allowed.get("parse") or [])
    named = {int(number) for number in re.findall(r"<@!?(\d+)>", message.text)} & set(world.users)
    if "users" not in kinds:
        named &= {int(number) for number in (allowed or {}).get("users") or []}
    replied = message.reply_to
    if replied is not None and (allowed is None or allowed.get("replied_user", False)):
        named.add(replied.author.id)
    message.mentions = [world.users[number] for number in sorted(named)]
    message.pings_everyone = "everyone" in kinds and bool(re.search("@(everyone|here)", message.text))
