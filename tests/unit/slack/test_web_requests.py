"""Which requests are Slack's, and what the log says of the others: the age of a request, whatever it is."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from slack_sdk.signature import Clock as WallClock
from slack_sdk.signature import SignatureVerifier
from structlog.testing import capture_logs

from adapters.chat.slack.http_mode import EventsEndpoint
from adapters.chat.slack.manifest import EVENTS_PATH
from tests.harness.clock import ManualClock

SECRET = "signing-secret-of-the-test"
NOW = 1_800_000_000
BODY = '{"type": "event_callback", "event": {}}'


class StoppedClock(WallClock):
    def now(self) -> float:
        return NOW


class Door:
    """The endpoint, without an app behind it: what gets in is answered with 503."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self._requests = EventsEndpoint(SECRET, self.clock, StoppedClock())

    async def answers(self, *headers: dict[str, str], body: str = BODY) -> list[int]:
        application = web.Application()
        application.router.add_post(EVENTS_PATH, self._requests.handle)
        found = []
        async with TestClient(TestServer(application)) as client:
            for sent in headers:
                json = {"Content-Type": "application/json"}
                async with client.post(EVENTS_PATH, data=body, headers=json | sent) as answer:
                    found.append(answer.status)
        return found


def signed(timestamp: str, secret: str = SECRET) -> dict[str, str]:
    signature = SignatureVerifier(secret).generate_signature(timestamp=timestamp, body=BODY) or ""
    return {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": signature}


@pytest.mark.parametrize(
    ("age", "status"), [(0, 503), (300, 503), (-300, 503), (301, 401), (-301, 401), (86_400, 401), (NOW, 401)]
)
async def test_age_decides_and_the_log_says_by_how_much_the_clocks_differ(age: int, status: int) -> None:
    with capture_logs() as log:
        assert await Door().answers(signed(str(NOW - age))) == [status]
    told = [entry["clock_is_ahead_by_seconds"] for entry in log if "clock_is_ahead_by_seconds" in entry]
    assert told == ([age] if status == 401 else [])


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(str(NOW), "another-secret"),
        signed(str(NOW - 600), "another-secret"),
        {**signed(str(NOW)), "X-Slack-Request-Timestamp": str(NOW - 600)},
        signed("yesterday"),
        signed(f"+{NOW}"),
        signed("9" * 5000),
    ],
    ids=["unsigned", "forged", "forged and old", "older than signed", "no number", "sign", "long"],
)
async def test_nothing_is_said_of_the_clock_without_a_true_signature(headers: dict[str, str]) -> None:
    with capture_logs() as log:
        assert await Door().answers(headers) == [401]
    assert len(log) == 1
    assert "clock_is_ahead_by_seconds" not in log[0]


async def test_each_kind_leaves_one_line_a_minute_and_counts_the_others() -> None:
    door = Door()
    with capture_logs() as log:
        await door.answers(*[signed(str(NOW - 600)), {}] * 4)
        await door.clock.advance(59)
        await door.answers(signed(str(NOW - 600)), {})
        assert len(log) == 2
        await door.clock.advance(2)
        await door.answers(signed(str(NOW - 600)), {})
    assert [entry["left_out_before"] for entry in log] == [0, 0, 4, 4]


async def test_what_is_signed_and_cannot_be_read_is_refused_with_a_line() -> None:
    door, body = Door(), "[" * 5000
    signature = SignatureVerifier(SECRET).generate_signature(timestamp=str(NOW), body=body) or ""
    headers = {"X-Slack-Request-Timestamp": str(NOW), "X-Slack-Signature": signature}
    with capture_logs() as log:
        assert await door.answers(headers, body=body) == [401]
    assert [entry["event"] for entry in log] == ["a request from Slack cannot be read"]
