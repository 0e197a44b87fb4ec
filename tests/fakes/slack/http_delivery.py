"""HTTP mode of the local Slack: signed requests to the app's URL, and those that somebody else might send.

Signature `v0=` HMAC-SHA256 of `v0:timestamp:body` with the signing secret; anything but a 2xx within 3 s is a failure,
and events come again with `x-slack-retry-num` and `x-slack-retry-reason` unless the answer says `x-slack-no-retry: 1`
(docs.slack.dev, "Verifying requests from Slack", "Events API")."""

import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode

import aiohttp

from tests.fakes.slack.delivery import Attempt, Delivery, Interaction
from tests.fakes.slack.events import Events
from tests.fakes.slack.records import Payload, new_id
from tests.fakes.slack.responses import Responses

Malformed = Literal["timestamp", "signature", "half a body", "bytes"]
FORM, JSON = "application/x-www-form-urlencoded", "application/json"
OLD = 60 * 10
"""Seconds; a request older than five minutes must not be taken."""


@dataclass(frozen=True)
class Answer:
    """What the app's server answered."""

    status: int
    text: str
    headers: dict[str, str]


class HttpDelivery:
    """Posts to the app's request URL."""

    def __init__(self, events: Events, responses: Responses) -> None:
        self._events, self._responses = events, responses
        self._session: aiohttp.ClientSession | None = None
        self.request_url: str | None = None

    async def open(self) -> None:
        self._session = aiohttp.ClientSession()

    async def close(self) -> None:
        assert self._session is not None
        await self._session.close()

    def sign(self, body: bytes, timestamp: int, secret: str | None = None) -> str:
        """The `x-slack-signature` of a body."""
        key = (self._events.signing_secret if secret is None else secret).encode()
        return "v0=" + hmac.new(key, f"v0:{timestamp}:".encode() + body, hashlib.sha256).hexdigest()

    async def post(self, body: bytes, content_type: str, headers: dict[str, str]) -> Answer:
        """One POST to the app, with these headers. aiohttp's errors come through."""
        assert self._session is not None
        assert self.request_url is not None, "HTTP mode needs a request_url"
        sent = {"Content-Type": content_type, "User-Agent": "Slackbot 1.0"} | headers
        timeout = aiohttp.ClientTimeout(total=self._events.timing.ack)
        async with self._session.post(self.request_url, data=body, headers=sent, timeout=timeout) as response:
            return Answer(response.status, await response.text(), {k.lower(): v for k, v in response.headers.items()})

    async def post_signed(
        self, body: str, content_type: str = JSON, *, age: float = 0, headers: dict[str, str] | None = None
    ) -> Answer:
        """A request that Slack signed `age` seconds ago."""
        timestamp, raw = int(time.time() - age), body.encode()
        signed = {"X-Slack-Request-Timestamp": str(timestamp), "X-Slack-Signature": self.sign(raw, timestamp)}
        return await self.post(raw, content_type, signed | (headers or {}))

    async def send(self, delivery: Delivery, attempt: Attempt) -> bool:
        """`events.Transport`: one signed request."""
        body, content_type = _body(delivery)
        last = delivery.attempts[-2].failure if attempt.number else ""
        headers = {"x-slack-retry-num": str(attempt.number), "x-slack-retry-reason": last} if attempt.number else {}
        sent = self._events.now()
        try:
            answer = await self.post_signed(body, content_type, headers=headers)
        except (TimeoutError, aiohttp.ClientError) as error:
            attempt.failure = "http_timeout" if isinstance(error, TimeoutError) else "connection_failed"
            return True
        if not 200 <= answer.status < 300:
            attempt.failure = "http_error"
            return answer.headers.get("x-slack-no-retry") != "1"
        payload = _payload(answer)
        delivery.acknowledge(payload or None, self._events.now() - sent)
        if isinstance(delivery, Interaction):
            self._responses.acknowledge(delivery, payload)
        return False

    async def verify_url(self) -> Answer:
        """What Slack asks when the request URL is entered; the answer must be the challenge."""
        challenge = new_id("challenge-")
        body = json.dumps({"token": "verification-token", "challenge": challenge, "type": "url_verification"})
        answer = await self.post_signed(body)
        if challenge not in answer.text:
            self._events.violation(f"url_verification was answered with {answer.status} {answer.text[:100]!r}")
        return answer

    async def send_forged(self, event: Payload | None = None) -> Answer:
        """Signed by somebody who does not know the secret."""
        body, now = self._some_body(event).encode(), int(time.time())
        signature = self.sign(body, now, "guessed-secret")
        return await self.post(body, JSON, {"X-Slack-Request-Timestamp": str(now), "X-Slack-Signature": signature})

    async def send_old(self, event: Payload | None = None) -> Answer:
        """A true request, sent again ten minutes later."""
        return await self.post_signed(self._some_body(event), age=OLD)

    async def send_unsigned(self, event: Payload | None = None) -> Answer:
        """No signature and no timestamp."""
        return await self.post(self._some_body(event).encode(), JSON, {})

    async def send_malformed(self, what: Malformed = "timestamp", event: Payload | None = None) -> Answer:
        """A request that is wrong in one place: a timestamp that is no number, a signature with a letter that no hash
        has, or a body that breaks off or is not UTF-8 (these two rightly signed)."""
        body, now = self._some_body(event).encode(), int(time.time())
        body = {"half a body": body[:-7], "bytes": b"\xff\xfe" + body}.get(what, body)
        headers = {"X-Slack-Request-Timestamp": str(now), "X-Slack-Signature": self.sign(body, now)}
        if what == "timestamp":
            headers["X-Slack-Request-Timestamp"] = "yesterday"
        if what == "signature":
            headers["X-Slack-Signature"] = "v0=é"
        return await self.post(body, JSON, headers)

    def _some_body(self, event: Payload | None) -> str:
        """An event in its envelope."""
        team = self._events.team
        inner = event or {
            "type": "app_mention",
            "user": "U0NOBODY",
            "text": f"<@{team.bot.id}> start",
            "channel": "C0NOWHERE",
            "ts": self._events.new_ts(),
        }
        return json.dumps(self._events.callback(inner, team))


def _body(delivery: Delivery) -> tuple[str, str]:
    """Events as JSON, commands as a form, interactions as a form with one field of JSON."""
    if delivery.type == "events_api":
        return json.dumps(delivery.payload), JSON
    if delivery.type == "slash_commands":
        return urlencode(delivery.payload), FORM
    return urlencode({"payload": json.dumps(delivery.payload)}), FORM


def _payload(answer: Answer) -> dict[str, Any]:
    """What an acknowledgement carries."""
    if not answer.text:
        return {}
    if answer.headers.get("content-type", "").startswith(JSON):
        return dict(json.loads(answer.text))
    return {"text": answer.text}
