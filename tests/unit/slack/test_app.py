"""What comes from Slack is answered whatever it is: nothing that it can be raises."""

import pytest

from adapters.chat.slack.app import App


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 500),
        ("[" * 100, 500),
        ('{"type": "event_callback", "event": []}', 200),
        ('{"type": "event_callback", "event": {"type": "message"}}', 200),
    ],
    ids=["no JSON", "no form", "an event that is none", "a message that nobody takes"],
)
async def test_whatever_comes_is_answered(body: str, status: int) -> None:
    app = App(token="xoxb-1", signing_secret="a-secret-of-the-test", request_verification_enabled=False)
    answer = await app.answer(body, {"content-type": "application/json"})
    assert answer.status == status
