"""Events of the local Slack and the sockets they come over, heard by small apps on the real slack-bolt."""

from typing import Any

from slack_bolt.app.async_app import AsyncApp

from tests.contract.fakes.slack.apps import Connect
from tests.fakes.slack import FakeSlack, Timing


async def test_a_mention_comes_as_two_events_with_two_ids(twin: FakeSlack, app: AsyncApp, connect: Connect) -> None:
    heard: list[tuple[str, str, str]] = []

    @app.event("app_mention")
    @app.event("message")
    async def hear(body: Any) -> None:
        heard.append((body["event"]["type"], body["event_id"], body["event"]["ts"]))

    await connect(app)
    message = await twin.write("general", "ana", "@Avatar say A & B")
    await twin.until(lambda: all(delivery.done for delivery in message.deliveries))
    await twin.until(lambda: len(heard) == 2)
    assert {kind for kind, _, _ in heard} == {"app_mention", "message"}
    assert len({event_id for _, event_id, _ in heard}) == 2
    assert {ts for _, _, ts in heard} == {message.ts}
    assert message.text == f"<@{twin.bot.id}> say A &amp; B"


async def test_a_message_in_a_channel_without_the_bot_is_not_sent(twin: FakeSlack) -> None:
    elsewhere = twin.add_channel("elsewhere", ["ana"], with_bot=False)
    assert (await twin.write(elsewhere, "ana", "@Avatar hello")).deliveries == []


async def test_an_event_that_is_not_acknowledged_comes_again_with_its_id(
    twin: FakeSlack, app: AsyncApp, connect: Connect
) -> None:
    seen: list[tuple[str, str]] = []

    @app.middleware
    async def fail_twice(body: Any, req: Any, next: Any) -> Any:  # noqa: A002
        seen.append((body["event_id"], req.headers.get("x-slack-retry-num", [""])[0]))
        if len(seen) < 3:
            raise RuntimeError("not now")
        return await next()

    @app.event("message")
    async def hear() -> None: ...

    await connect(app)
    (delivery,) = (await twin.write("general", "ana", "hello")).deliveries
    await twin.until(lambda: len(seen) == 1)
    twin.pass_time(twin.timing.ack)
    await twin.until(lambda: len(seen) == 2)
    twin.pass_time(twin.timing.ack)
    await twin.until(lambda: delivery.attempts[1].failure)
    twin.pass_time(twin.timing.retries[1])
    await delivery.acknowledged()
    assert [number for _, number in seen][1:] == ["1", "2"]
    assert {event_id for event_id, _ in seen} == {delivery.event_id}
    assert [attempt.failure for attempt in delivery.attempts] == ["timeout", "timeout", ""]


async def test_an_event_that_nobody_takes_is_lost_after_four_attempts(twin: FakeSlack) -> None:
    (delivery,) = (await twin.write("general", "ana", "hello")).deliveries
    for number, pause in enumerate((*twin.timing.retries, 0.0)):
        await twin.until(lambda number=number: len(delivery.attempts) > number)
        twin.pass_time(twin.timing.ack)
        await twin.until(lambda number=number: delivery.attempts[number].failure)
        twin.pass_time(pause)
    await twin.until(lambda: delivery.lost)
    assert len(delivery.attempts) == 4


async def test_the_same_event_can_be_sent_twice(twin: FakeSlack, app: AsyncApp, connect: Connect) -> None:
    seen: list[str] = []

    @app.event("message")
    async def hear(body: Any) -> None:
        seen.append(body["event_id"])

    await connect(app)
    (delivery,) = (await twin.write("general", "ana", "hello")).deliveries
    await delivery.acknowledged()
    await (await twin.redeliver(delivery)).acknowledged()
    await twin.until(lambda: len(seen) == 2)
    assert seen == [delivery.event_id] * 2


async def test_several_sockets_share_the_events(twin: FakeSlack, app: AsyncApp, connect: Connect) -> None:
    @app.event("message")
    async def hear() -> None: ...

    await connect(app)
    await connect(app)
    for number in range(4):
        for delivery in (await twin.write("general", "ana", f"word {number}")).deliveries:
            await delivery.acknowledged()
    assert [len(connection.deliveries) for connection in twin.connections] == [2, 2]


async def test_edits_and_deletions_are_events(twin: FakeSlack, app: AsyncApp, connect: Connect) -> None:
    seen: list[Any] = []

    @app.event("message")
    @app.event({"type": "message", "subtype": "message_changed"})
    @app.event({"type": "message", "subtype": "message_deleted"})
    async def hear(event: Any) -> None:
        seen.append(event)

    await connect(app)
    message = await twin.write("general", "ana", "before")
    await twin.edit_message(message, "after")
    await twin.delete_message(message)
    await twin.until(lambda: len(seen) == 3)
    by_kind = {event.get("subtype"): event for event in seen}
    assert by_kind["message_changed"]["message"]["text"] == "after"
    assert by_kind["message_changed"]["previous_message"]["text"] == "before"
    assert by_kind["message_deleted"]["deleted_ts"] == message.ts
    assert twin.messages("general") == []


async def test_a_refresh_loses_nothing(twin: FakeSlack, app: AsyncApp, connect: Connect) -> None:
    heard: set[str] = set()

    @app.event("message")
    async def hear(event: Any) -> None:
        heard.add(event["text"])

    await connect(app)
    (first,) = twin.connections
    words = {f"word {number}" for number in range(20)}
    for number, word in enumerate(sorted(words)):
        await twin.write("general", "ana", word)
        if number == 10:
            await first.disconnect("refresh_requested")
    await twin.until(lambda: heard == words)
    await twin.until(lambda: first.closed and len(twin.connections) == 1)
    assert twin.connections[0] is not first


async def test_a_cut_socket_is_replaced_and_loses_nothing(twin: FakeSlack, app: AsyncApp, connect: Connect) -> None:
    heard: list[str] = []

    @app.event("message")
    async def hear(event: Any) -> None:
        heard.append(event["text"])

    twin.timing = Timing(ack=10)
    await connect(app)
    (first,) = twin.connections
    await first.cut()
    await twin.write("general", "ana", "in between")
    await twin.until(lambda: heard == ["in between"], timeout=20)
    assert first not in twin.connections


async def test_a_silent_socket_stays_open_and_takes_nothing_in(
    twin: FakeSlack, app: AsyncApp, connect: Connect
) -> None:
    heard: list[str] = []

    @app.event("message")
    async def hear(event: Any) -> None:
        heard.append(event["text"])

    await connect(app)
    (first,) = twin.connections
    first.silence()
    (delivery,) = (await twin.write("general", "ana", "hello?")).deliveries
    await twin.until(lambda: delivery.attempts[0].connection)
    assert delivery.attempts[0].connection is first
    await twin.until(lambda: twin.connections and twin.connections[-1] is not first, timeout=20)
    await twin.until(lambda: heard == ["hello?"])


async def test_the_manifest_decides_what_the_app_hears(twin: FakeSlack) -> None:
    scopes = ["chat:write", "commands", "app_mentions:read"]
    twin.configure(
        {
            "display_information": {"name": "Avatar"},
            "features": {"slash_commands": [{"command": "/avatar", "should_escape": True}]},
            "oauth_config": {"scopes": {"bot": scopes}},
            "settings": {"event_subscriptions": {"bot_events": ["app_mention"]}, "socket_mode_enabled": True},
        }
    )
    message = await twin.write("general", "ana", "@Avatar hello")
    assert [delivery.event["type"] for delivery in message.deliveries] == ["app_mention"]
    assert twin.used_subscriptions == {"app_mention"}
    assert twin.used_scopes == {"app_mentions:read"}


async def test_what_a_cut_socket_had_taken_in_comes_again_over_the_next(
    twin: FakeSlack, app: AsyncApp, connect: Connect
) -> None:
    heard: list[str] = []

    @app.middleware
    async def never_the_first_time(body: Any, next: Any) -> Any:  # noqa: A002
        heard.append(body["event_id"])
        if len(heard) == 1:
            await twin.connections[0].cut()
            raise RuntimeError("gone")
        return await next()

    @app.event("message")
    async def hear() -> None: ...

    await connect(app)
    (delivery,) = (await twin.write("general", "ana", "hello")).deliveries
    await delivery.acknowledged()
    assert delivery.attempts[0].failure == "cut"
    assert heard == [delivery.event_id] * 2
