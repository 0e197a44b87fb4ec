"""`views.*` of the local Slack: modals and App Home.

A trigger id opens one view within 3 s (`expired_trigger_id`, `exchanged_trigger_id`); at most three views lie on each
other (`push_limit_reached`); `hash` guards against overwriting (`hash_conflict`)."""

from typing import Any

from tests.fakes.slack.block_kit import mistakes_in_view, with_block_ids
from tests.fakes.slack.calling import Call, Caller, Refusal
from tests.fakes.slack.records import Payload, View, new_id
from tests.fakes.slack.state import SlackState

DEEPEST = 3


def checked_view(world: SlackState, view: Any, where: str) -> list[str]:
    """What is wrong with a view; it is noted as a violation too."""
    mistakes = mistakes_in_view(view)
    world.violations += [f"{where}: {mistake}" for mistake in mistakes]
    return mistakes


def _stored(view: Payload) -> Payload:
    return view | {"blocks": with_block_ids(view["blocks"])}


def _shown(caller: Caller, view: View) -> Payload:
    return {"view": view.shown(caller.twin.app_id, caller.team.bot_id)}


def _triggered(caller: Caller, args: Payload) -> str:
    """Use up the trigger id; whose it is."""
    if args["trigger_id"] not in caller.twin.trigger_ids:
        raise Refusal("invalid_trigger_id")
    made, user = caller.twin.trigger_ids[args["trigger_id"]]
    if user == "":
        raise Refusal("exchanged_trigger_id")
    if caller.twin.now() - made > caller.twin.timing.trigger:
        raise Refusal("expired_trigger_id")
    caller.twin.trigger_ids[args["trigger_id"]] = (made, "")
    return user


def _must_be(args: Payload, kind: str) -> None:
    if args["view"]["type"] != kind:
        raise Refusal("invalid_arguments", response_metadata={"messages": [f"[ERROR] must be a {kind} view"]})


async def open_view(caller: Caller, args: Payload) -> Payload:
    _must_be(args, "modal")
    user = _triggered(caller, args)
    name = new_id("V")
    view = View(name, caller.team, user, _stored(args["view"]), new_id("h"), name)
    caller.twin.views.append(view)
    return _shown(caller, view)


async def push(caller: Caller, args: Payload) -> Payload:
    _must_be(args, "modal")
    user = _triggered(caller, args)
    below = [view for view in caller.twin.views if view.user == user and view.open]
    if not below:
        raise Refusal("view_not_found")
    if len([view for view in below if view.root_id == below[-1].root_id]) >= DEEPEST:
        raise Refusal("push_limit_reached")
    top = below[-1]
    view = View(new_id("V"), caller.team, user, _stored(args["view"]), new_id("h"), top.root_id, top.id)
    caller.twin.views.append(view)
    return _shown(caller, view)


async def update(caller: Caller, args: Payload) -> Payload:
    for view in [*caller.twin.views, *caller.twin.homes.values()]:
        external = args.get("external_id")
        named = view.id == args.get("view_id") or (external and view.payload.get("external_id") == external)
        if named and view.open and view.team is caller.team:
            break
    else:
        raise Refusal("not_found")
    if args.get("hash") not in (None, view.hash):
        raise Refusal("hash_conflict")
    _must_be(args, view.type)
    view.payload, view.hash = _stored(args["view"]), new_id("h")
    return _shown(caller, view)


async def publish(caller: Caller, args: Payload) -> Payload:
    _must_be(args, "home")
    user = caller.twin.users.get(args["user_id"])
    if user is None or user.team is not caller.team:
        raise Refusal("user_not_found")
    old = caller.twin.homes.get((caller.team.id, user.id))
    if old is not None and args.get("hash") not in (None, old.hash):
        raise Refusal("hash_conflict")
    name = old.id if old else new_id("V")
    view = View(name, caller.team, user.id, _stored(args["view"]), new_id("h"), name)
    caller.twin.homes[caller.team.id, user.id] = view
    return _shown(caller, view)


CALLS: dict[str, Call] = {
    "views.open": open_view,
    "views.push": push,
    "views.update": update,
    "views.publish": publish,
}
