"""Commands, clicks, shortcuts and views: what a person does with the app itself.

Payloads as in docs.slack.dev, "Reference: interaction payloads" and "slash commands"."""

import asyncio
import time
from typing import Any
from urllib.parse import urlsplit

from tests.fakes.slack.delivery import Delivery, Interaction
from tests.fakes.slack.entities import Details
from tests.fakes.slack.events import Events
from tests.fakes.slack.records import Channel, Ephemeral, Message, Payload, Team, User, View
from tests.fakes.slack.responses import Responses
from tests.fakes.slack.state import ChannelLike, UserLike
from tests.fakes.slack.wording import as_message

Place = Message | Ephemeral | View


class Interactions(Events):
    """The person's side of commands and interactivity."""

    responses: Responses

    async def slash(self, channel: ChannelLike, user: UserLike, command: str, text: str = "") -> Interaction:
        """A person types a command, which works where the bot is not a member, too. ValueError if the app has no such
        command."""
        place = self.channel(channel)
        person = self.user(user, place.team)
        if "commands" not in person.team.scopes or (self.commands and command not in self.commands):
            raise ValueError(f"{command} is not installed")
        if self.commands.get(command, True):
            text = as_message(self, place.team, text, named=True)
        payload = self._who(person) | {
            "channel_id": place.id,
            "channel_name": {
                "public": place.name,
                "private": "privategroup",
                "im": "directmessage",
                "mpim": "mpdm-several",
            }[place.kind],
            "command": command,
            "text": text,
        }
        self.used_scopes.add("commands")
        return await self._interact("slash_commands", payload, person, place)

    async def click(
        self, place: Place, action_id: str, user: UserLike, *, value: Any = None, state: Payload | None = None
    ) -> Interaction:
        """A person uses an element of a message or view. `value` is what was chosen or typed in elements that have
        a choice. LookupError where no such element is to be seen."""
        person = self.user(user)
        block, element = _find(place.blocks, action_id)
        stamp = self.new_ts()
        action = {"type": element["type"], "action_id": action_id, "block_id": block["block_id"], "action_ts": stamp}
        action |= {key: element[key] for key in ("text", "value", "style") if key in element}
        action |= _chosen(element, value) if value is not None else {}
        payload: Payload = {"type": "block_actions", "actions": [action], "state": {"values": state or {}}}
        if isinstance(place, View):
            shown = place.shown(self.app_id, place.team.bot_id)
            payload |= {"container": {"type": "view", "view_id": place.id}, "view": shown}
            return await self._interact("interactive", payload | self._person(person), person)
        if place.deleted:
            raise LookupError("the message is gone")
        payload["container"] = {
            "type": "message",
            "message_ts": place.ts,
            "channel_id": place.channel.id,
            "is_ephemeral": isinstance(place, Ephemeral),
        }
        if isinstance(place, Message):
            payload["message"] = place.shown()
        payload["channel"] = {"id": place.channel.id, "name": place.channel.name}
        payload |= self._person(person, self._clicked_team(place, person))
        return await self._interact("interactive", payload, person, place.channel, origin=place)

    async def shortcut(self, message: Message, callback_id: str, user: UserLike) -> Interaction:
        """A message shortcut; the message may be in a channel that the bot is not in."""
        person = self.user(user)
        payload = self._person(person) | {
            "type": "message_action",
            "callback_id": callback_id,
            "message_ts": message.ts,
            "message": message.shown(),
            "channel": {"id": message.channel.id, "name": message.channel.name},
        }
        self.used_scopes.add("commands")
        return await self._interact("interactive", payload, person, message.channel)

    async def global_shortcut(self, callback_id: str, user: UserLike) -> Interaction:
        """A global shortcut: no channel and no response URL."""
        person = self.user(user)
        payload = self._person(person) | {"type": "shortcut", "callback_id": callback_id}
        self.used_scopes.add("commands")
        return await self._interact("interactive", payload, person)

    async def submit_view(self, view: View, values: Payload, user: UserLike | None = None) -> Interaction:
        """A person submits a modal. `values`: action_id to what was typed or chosen (a string or a list), or to the
        whole state of the element. The modal closes, changes or shows errors (`ack_payload`) with the acknowledgement.
        """
        person = self.user(user or view.user)
        if not view.open:
            raise LookupError("the view is closed")
        shown = view.shown(self.app_id, view.team.bot_id) | {"state": {"values": _state(view.blocks, values)}}
        payload = self._person(person) | {"type": "view_submission", "view": shown, "response_urls": []}
        return await self._interact("interactive", payload, person, view=view)

    async def close_view(self, view: View, user: UserLike | None = None) -> Interaction | None:
        """A person closes a modal; the app hears of it only with `notify_on_close`."""
        person = self.user(user or view.user)
        view.open = False
        self.clock.ring()
        if not view.payload.get("notify_on_close"):
            return None
        shown = view.shown(self.app_id, view.team.bot_id)
        payload = self._person(person) | {"type": "view_closed", "view": shown, "is_cleared": False}
        return await self._interact("interactive", payload, person)

    async def open_home(self, user: UserLike, tab: str = "home") -> list[Delivery]:
        """A person opens the app's Home (or Messages) tab: `app_home_opened`."""
        person = self.user(user)
        direct = self.direct(person)
        event: Payload = {"type": "app_home_opened", "user": person.id, "channel": direct.id, "tab": tab}
        if tab == "home" and (home := self.home(person)):
            event["view"] = home.shown(self.app_id, person.team.bot_id)
        sent = self.emit(event | {"event_ts": self.new_ts()}, person.team)
        await asyncio.sleep(0)
        return sent

    async def open_card(self, message: Message, user: UserLike, *, seen_in: ChannelLike | None = None) -> Details:
        """A person clicks a message's Work Object: `entity_details_requested`. `seen_in`: the channel it was forwarded
        to. LookupError where the message has none."""
        person = self.user(user)
        entities = (message.metadata or {}).get("entities") or ()
        if not entities or message.deleted:
            raise LookupError("the message has no Work Object")
        [entity] = entities
        place = message.channel if seen_in is None else self.channel(seen_in)
        details = Details(message, person, entity, self.new_trigger(person))
        self.details[details.trigger_id] = details
        event: Payload = {
            "type": "entity_details_requested",
            "user": person.id,
            "external_ref": entity["external_ref"],
            "entity_url": entity["url"],
            "link": {"url": entity["url"], "domain": urlsplit(entity["url"]).hostname},
            "app_unfurl_url": entity["url"],
            "trigger_id": details.trigger_id,
            "user_locale": person.locale,
            "channel": place.id,
            "message_ts": message.ts,
            "event_ts": self.new_ts(),
        }
        hearer = next(iter(self.hearers(message.channel)), message.channel.team)
        details.deliveries = self.emit(event, hearer, channel=place, author=person.team)
        await asyncio.sleep(0)
        return details

    async def _interact(
        self,
        kind: str,
        payload: Payload,
        person: User,
        channel: Channel | None = None,
        *,
        origin: Message | Ephemeral | None = None,
        view: View | None = None,
    ) -> Interaction:
        interaction = Interaction(kind, payload, person.team, self.clock, origin=origin)
        interaction.trigger_id = payload["trigger_id"] = self.new_trigger(person)
        interaction.submitted = view
        if channel is not None:
            interaction.response_url = payload["response_url"] = self.responses.new_url(interaction, channel, person)
        self.start(interaction)
        await asyncio.sleep(0)
        return interaction

    def _who(self, person: User) -> Payload:
        enterprise = person.team.enterprise
        return {
            "token": "verification-token-nobody-should-use",
            "team_id": person.team.id,
            "team_domain": person.team.domain,
            "user_id": person.id,
            "user_name": person.name,
            "api_app_id": self.app_id,
            "is_enterprise_install": "true" if person.team.is_org_install else "false",
        } | ({"enterprise_id": enterprise.id, "enterprise_name": enterprise.name} if enterprise else {})

    def _person(self, person: User, team: Team | None = None) -> Payload:
        """Who did it. `team`: the workspace of the message that was used. Else it is the person's own, and for an
        organisation's installation none at all (slack_bolt, `request/internals.py`)."""
        user = {"id": person.id, "username": person.name, "name": person.name, "team_id": person.team.id}
        is_org = (team or person.team).is_org_install
        place = team or person.team
        owner = place.enterprise
        shown = {"id": place.id, "domain": place.domain}
        shown |= {"enterprise_id": owner.id, "enterprise_name": owner.name} if owner else {}
        return {
            "token": "verification-token-nobody-should-use",
            "user": user,
            "team": None if is_org and team is None else shown,
            "enterprise": owner.shown() if owner else None,
            "is_enterprise_install": is_org,
            "api_app_id": self.app_id,
            "action_ts": f"{time.time():.6f}",
        }

    def _clicked_team(self, place: Message | Ephemeral, person: User) -> Team:
        """The workspace whose app posted a message."""
        author = self.users.get(place.user) if isinstance(place, Message) else None
        teams = [team for team in place.channel.teams if author is None or team.bot is author]
        return person.team if person.team in teams else (teams or [place.channel.team])[0]


def _elements(blocks: list[Payload]) -> list[tuple[Payload, Payload]]:
    """Every element a person can use, with its block."""
    found = []
    for block in blocks:
        inside = block.get("elements", []) if block["type"] == "actions" else []
        single = [block[key] for key in ("accessory", "element") if key in block]
        found += [(block, element) for element in [*inside, *single] if "action_id" in element]
    return found


def _find(blocks: list[Payload], action_id: str) -> tuple[Payload, Payload]:
    found = _elements(blocks)
    for block, element in found:
        if element["action_id"] == action_id:
            return block, element
    raise LookupError(f"no element {action_id!r}; there are {[element['action_id'] for _, element in found]}")


def _chosen(element: Payload, value: Any) -> Payload:
    """The state of an element in which a person chose or typed `value`."""
    kind = element["type"]
    options = element.get("options") or [o for group in element.get("option_groups", []) for o in group["options"]]
    if isinstance(value, dict):
        return value
    if options:
        known = {option["value"]: option for option in options}
        many = isinstance(value, list)
        picked = [known[name] for name in (value if many else [value])]
        return {"selected_options": picked} if many else {"selected_option": picked[0]}
    for sort in ("user", "channel", "conversation"):
        if kind == f"{sort}s_select":
            return {f"selected_{sort}": value}
        if kind == f"multi_{sort}s_select":
            return {f"selected_{sort}s": value}
    return {"value": value}


def _state(blocks: list[Payload], values: Payload) -> Payload:
    """`view.state.values`: every input, with what was entered, else its initial value or nothing."""
    state: Payload = {}
    for block, element in _elements(blocks):
        name = element["action_id"]
        initial = element.get("initial_value") or element.get("initial_option")
        if name in values:
            entry = _chosen(element, values[name])
        elif isinstance(initial, dict):
            entry = {"selected_option": initial}
        else:
            entry = {"selected_option": None} if "options" in element else {"value": initial}
        state.setdefault(block["block_id"], {})[name] = {"type": element["type"]} | entry
    unknown = set(values) - {element["action_id"] for _, element in _elements(blocks)}
    if unknown:
        raise LookupError(f"no input {sorted(unknown)}")
    return state
