"""Everything the bot says in Slack: into a channel in order, or to one person. Nothing is posted twice.

Never raises and never waits: what cannot be delivered is logged and, where a person asked for it and can do something
about it, they are told privately."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
import structlog
from slack_sdk.errors import SlackApiError
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.webhook.async_client import AsyncWebhookClient

from adapters.chat.keyed_queue import KeyedTaskQueue
from adapters.chat.slack.blocks import CommandRenamer, message_of, message_of_answer
from adapters.chat.slack.client import (
    MAX_RATE_LIMIT_RETRIES,
    REQUEST_TIMEOUT,
    SlackError,
    SlackUnavailable,
    quiet_logger,
)
from adapters.chat.slack.strings import place_trouble
from adapters.chat.slack.workspaces import Workspaces
from adapters.network import told
from bot.core.events import Delivery
from bot.core.models import Channel
from bot.core.views import Reply, Visibility

log = structlog.get_logger(__name__)

QUIET = {"unfurl_links": False, "unfurl_media": False}
"""Neither the watch link nor what somebody wrote turns into a preview."""


@dataclass(frozen=True, slots=True)
class ReplyTarget:
    """Somebody who is to be answered: who, in which thread, and the interaction's own way back where there is one.

    A response URL works where the app is not in the channel, five times within 30 minutes (docs.slack.dev).

    team: whom they belong to, as the payload says (`origins.author_team`); None if it does not.
    """

    channel: Channel
    user: str
    thread: str | None = None
    response_url: str | None = None
    team: str | None = None


class Outbox:
    """What goes out, in queues: one for each channel, and one for each person in it."""

    def __init__(
        self, outgoing: KeyedTaskQueue, workspaces: Workspaces, session: aiohttp.ClientSession, wording: CommandRenamer
    ) -> None:
        self._outgoing = outgoing
        self._workspaces = workspaces
        self._session = session
        self._wording = wording

    def reply(self, target: ReplyTarget, reply: Reply, *, session_id: str = "") -> None:
        """Give somebody the reply to what they asked, where its visibility says."""
        if reply.visibility is Visibility.PRIVATE:
            self.reply_ephemeral(target, reply)
        else:
            message = message_of(reply, self._wording, session_id=session_id)
            self._outgoing.submit(target.channel, partial(self._post, target.channel, message, target.thread, target))

    def reply_ephemeral(self, target: ReplyTarget, reply: Reply, delivery: Delivery | None = None) -> None:
        """Tell one person. `delivery`: of what they are told."""
        tell = partial(self._tell, target, message_of(reply, self._wording))
        self._outgoing.submit((target.channel, target.user), tell if delivery is None else delivery.after(tell))

    def post(self, channel: Channel, reply: Reply, *, thread: str | None = None, session_id: str = "") -> None:
        """Tell a channel, in one of its threads where `thread` names one."""
        message = message_of(reply, self._wording, session_id=session_id)
        self._outgoing.submit(channel, partial(self._post, channel, message, thread, None))

    def show_answer(self, channel: Channel, markdown: str, *, thread: str | None = None) -> None:
        """Show a channel what a chat model wrote, in one of its threads where `thread` names one."""
        message = message_of_answer(markdown)
        if message["blocks"]:
            self._outgoing.submit(channel, partial(self._post, channel, message, thread, None))

    async def _post(
        self, channel: Channel, message: Mapping[str, Any], thread: str | None, target: ReplyTarget | None
    ) -> None:
        if target is not None and target.response_url and thread is None:
            in_channel = {**message, **QUIET, "response_type": "in_channel", "replace_original": False}
            if await self._respond(target.response_url, in_channel):
                return
        workspace = await self._workspaces.of(channel.workspace)
        if workspace is None:
            return
        place = {"channel": channel.id} | ({"thread_ts": thread} if thread else {})
        try:
            await workspace.call("chat.postMessage", **place, **message, **QUIET)
        except SlackError as refusal:
            log.info("a message was not taken", error=refusal.error)
            if target is not None and (sentence := place_trouble(refusal.error, self._workspaces.bot_name)):
                self.reply_ephemeral(target, Reply(sentence))
        except SlackUnavailable as error:
            log.warning("a message may not have arrived, and is not repeated", error=str(error))

    async def _tell(self, target: ReplyTarget, message: Mapping[str, Any]) -> None:
        private = {**message, **QUIET, "response_type": "ephemeral", "replace_original": False}
        if target.response_url and await self._respond(target.response_url, private):
            return
        workspace = await self._workspaces.of(target.channel.workspace)
        if workspace is None:
            return
        place = {"channel": target.channel.id, "user": target.user} | (
            {"thread_ts": target.thread} if target.thread else {}
        )
        try:
            await workspace.call("chat.postEphemeral", **place, **message)
        except (SlackError, SlackUnavailable) as error:
            log.info("somebody could not be told", error=str(error))

    async def _respond(self, url: str, message: Mapping[str, Any]) -> bool:
        """Use a response URL. False if it surely did nothing, because it is used up or too old."""
        client = AsyncWebhookClient(
            url,
            timeout=REQUEST_TIMEOUT,
            session=self._session,
            retry_handlers=[AsyncRateLimitErrorRetryHandler(max_retry_count=MAX_RATE_LIMIT_RETRIES)],
            logger=quiet_logger,
        )
        client.proxy = None  # as in `web_client`
        try:
            response = await client.send_dict(dict(message))
        except (aiohttp.ClientError, SlackApiError, TimeoutError, OSError) as error:
            log.warning("an answer may not have arrived, and is not repeated", error=told(error))
            return True
        return response.status_code < 400 or response.status_code >= 500
