"""Answers that belong to an interaction: its acknowledgement and its response URL.

A response URL takes five messages within 30 minutes; after that it answers 404 with `used_url` or `expired_url`. It
needs no token and works where the bot is not in the channel. By default the answer is ephemeral; `replace_original` and
`delete_original` concern the message that was clicked or, after a command, what the URL sent last (docs.slack.dev,
"Handling user interaction")."""

from dataclasses import dataclass

from aiohttp import web

from tests.fakes.slack.block_kit import with_block_ids
from tests.fakes.slack.calls_views import checked_view
from tests.fakes.slack.delivery import Interaction
from tests.fakes.slack.people import People
from tests.fakes.slack.records import Channel, Ephemeral, Message, Payload, Request, User, View, new_id
from tests.fakes.slack.validation import mistakes_in_response
from tests.fakes.slack.web_faults import meet

USES = 5


@dataclass
class ResponseUrl:
    """One response URL: for whom, and how often it was used."""

    interaction: Interaction
    channel: Channel
    user: User
    made: float
    uses: int = 0


class Responses:
    """Response URLs and acknowledgements that carry something."""

    def __init__(self, twin: People) -> None:
        self._twin = twin
        self._urls: dict[str, ResponseUrl] = {}
        self.base = ""

    def new_url(self, interaction: Interaction, channel: Channel, user: User) -> str:
        name = new_id("R")
        self._urls[name] = ResponseUrl(interaction, channel, user, self._twin.now())
        return f"{self.base}response/{name}"

    async def handle(self, http: web.Request) -> web.StreamResponse:
        """A POST to a response URL."""
        body = await http.json()
        url = self._urls.get(http.match_info["name"])
        request = Request("response_url", body, self._twin.now(), url.interaction.team if url else None)
        self._twin.requests.append(request)

        async def take_effect() -> web.Response:
            request.error = self._use(url, body)
            self._twin.clock.ring()
            if request.error is None:
                return web.Response(text="ok")
            status = 404 if request.error in ("used_url", "expired_url", "no_service") else 400
            return web.json_response({"ok": False, "error": request.error}, status=status)

        return await meet(http, self._twin.faults.take("response_url"), request, take_effect, self._twin.clock)

    def _use(self, url: ResponseUrl | None, body: Payload) -> str | None:
        """Do what was posted; the error, if it cannot be done."""
        if url is None:
            return "no_service"
        if self._twin.now() - url.made > self._twin.timing.response_url:
            return "expired_url"
        if url.uses >= USES:
            return "used_url"
        url.uses += 1
        if mistakes := mistakes_in_response(body):
            self._twin.violations += [f"response_url: {mistake}" for mistake in mistakes]
            return "invalid_blocks" if any(m.startswith("blocks") for m in mistakes) else "invalid_payload"
        self._show(url, body)
        return None

    def _show(self, url: ResponseUrl, body: Payload) -> None:
        interaction, replies = url.interaction, url.interaction.replies
        original = interaction.origin or (replies[-1] if replies else None)
        if body.get("delete_original") and original is not None:
            if isinstance(original, Message):
                self._twin.removed(original)
            original.deleted = True
        elif body.get("replace_original") and original is not None:
            before = original.shown() if isinstance(original, Message) else {}
            original.text = str(body.get("text", ""))
            original.blocks = with_block_ids(body.get("blocks", []))
            original.edits += 1
            if isinstance(original, Message):
                self._twin.changed(original, before)
        else:
            self.reply(interaction, url.channel, url.user, body)

    def reply(self, interaction: Interaction, channel: Channel, user: User, body: Payload) -> None:
        """A new message, for the person alone or for the channel."""
        text, blocks = str(body.get("text", "")), with_block_ids(body.get("blocks", []))
        if body.get("response_type") == "in_channel":
            team = next(iter(self._twin.hearers(channel)), channel.team)
            message = Message(self._twin.new_ts(), channel, team.bot.id, text, blocks, body.get("thread_ts"))
            message.bot_id, message.args = team.bot_id, body | {"app_id": self._twin.app_id}
            interaction.replies.append(message)
            self._twin.say(message)
        else:
            seen = Ephemeral(self._twin.new_ts(), channel, user.id, text, blocks, body.get("thread_ts"))
            interaction.replies.append(seen)
            channel.ephemerals.append(seen)
        self._twin.clock.ring()

    def acknowledge(self, delivery: Interaction, payload: Payload) -> None:
        """What the acknowledgement of an interaction makes appear."""
        if delivery.type == "slash_commands":
            self._answer_command(delivery, payload)
        elif delivery.payload["type"] == "view_submission" and delivery.submitted is not None:
            self._answer_submission(delivery, delivery.submitted, payload)
        elif payload:
            self._twin.violation(f"acknowledgement of {delivery.payload['type']} with a payload: {payload}")

    def _answer_command(self, delivery: Interaction, payload: Payload) -> None:
        if not payload:
            return
        if mistakes := mistakes_in_response(payload):
            self._twin.violations += [f"acknowledgement: {mistake}" for mistake in mistakes]
            return
        url = self._urls[delivery.response_url.rsplit("/", 1)[1]]
        self.reply(delivery, url.channel, url.user, payload)

    def _answer_submission(self, delivery: Interaction, view: View, payload: Payload) -> None:
        """Close the modal, or do its `response_action`."""
        action = payload.get("response_action")
        if action is None or action == "clear":
            view.open = False
            for other in self._twin.views:
                other.open = other.open and not (action == "clear" and other.root_id == view.root_id)
        elif action == "errors":
            known = {block["block_id"] for block in view.blocks if block["type"] == "input"}
            unknown = set(payload.get("errors", {})) - known
            if unknown or not payload.get("errors"):
                self._twin.violation(f"view_submission: errors for {sorted(unknown)}, inputs are {sorted(known)}")
        elif action in ("update", "push"):
            mistakes = checked_view(self._twin, payload.get("view"), "view_submission")
            if not mistakes and action == "update":
                view.payload = payload["view"] | {"blocks": with_block_ids(payload["view"]["blocks"])}
                view.hash = new_id("h")
            elif not mistakes:
                shown = payload["view"] | {"blocks": with_block_ids(payload["view"]["blocks"])}
                pushed = View(new_id("V"), view.team, view.user, shown, new_id("h"), view.root_id, view.id)
                self._twin.views.append(pushed)
        else:
            self._twin.violation(f"view_submission: response_action {action!r}")
        self._twin.clock.ring()
