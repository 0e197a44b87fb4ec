"""REST: answering an interaction and its webhook. It only unpacks; `interactions.py` knows the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fakes.discord import shapes
from tests.fakes.discord.errors import Refused
from tests.fakes.discord.rest import Acts, Answer, Request
from tests.fakes.discord.state import Message

if TYPE_CHECKING:
    from tests.fakes.discord.server import FakeDiscord

_WEBHOOK = "/webhooks/{webhook_id}/{webhook_token}"


def _callback(twin: FakeDiscord, request: Request) -> Answer:
    number, token = request.id("interaction_id"), request.parameters["interaction_token"]
    shown = twin.interactions.callback(number, token, request.body, request.files)
    wanted = request.query.get("with_response", "").lower() in ("1", "true")
    return (200, shown) if wanted else (204, None)


def _follow_up(twin: FakeDiscord, request: Request) -> Answer:
    return _shown(twin, twin.interactions.follow_up(_token(twin, request), request.body, request.files))


def _get(twin: FakeDiscord, request: Request) -> Answer:
    return _shown(twin, twin.interactions.find(_token(twin, request), _name(request)))


def _edit(twin: FakeDiscord, request: Request) -> Answer:
    return _shown(twin, twin.interactions.edit(_token(twin, request), _name(request), request.body, request.files))


def _delete(twin: FakeDiscord, request: Request) -> Answer:
    twin.interactions.delete(_token(twin, request), _name(request))
    return 204, None


def _token(twin: FakeDiscord, request: Request) -> str:
    if request.id("webhook_id") != twin.application_id:
        raise Refused(10015)
    return request.parameters["webhook_token"]


def _name(request: Request) -> str:
    return request.parameters.get("message_id", "@original")


def _shown(twin: FakeDiscord, message: Message) -> Answer:
    return 200, shapes.message(message, bot=twin.bot)


ACTS: Acts = {
    ("POST", "/interactions/{interaction_id}/{interaction_token}/callback"): _callback,
    ("POST", _WEBHOOK): _follow_up,
    ("GET", f"{_WEBHOOK}/messages/@original"): _get,
    ("PATCH", f"{_WEBHOOK}/messages/@original"): _edit,
    ("DELETE", f"{_WEBHOOK}/messages/@original"): _delete,
    ("GET", f"{_WEBHOOK}/messages/{{message_id}}"): _get,
    ("PATCH", f"{_WEBHOOK}/messages/{{message_id}}"): _edit,
    ("DELETE", f"{_WEBHOOK}/messages/{{message_id}}"): _delete,
}
"""What is done for each method and path of the OpenAPI file."""
