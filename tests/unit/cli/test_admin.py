"""`avatar-relay usage`, `limits` and `people …` beside a database; `test_program` has them beside a running bot."""

import asyncio
import json
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from typer.testing import CliRunner, Result

from bot.cli.main import app
from bot.cli.sessions import clean_up
from bot.core.clock import SystemClock
from bot.core.models import AuditEntry, Channel, StreamState, UtteranceState
from bot.settings import load, variables
from bot.store import migrate
from bot.store.lock.instance import InstanceLock
from bot.store.store import Store
from tests.builders import a_session, a_stream, an_utterance

pytestmark = pytest.mark.usefixtures("logging_as_it_was")

T = TypeVar("T")

HERE = Channel("discord", "guild", "general")
KEY = {"HEYGEN_API_KEY": "a-key", "AVATAR_PROVIDER": "heygen-realtime"}
NO_PRICE = {"HEYGEN_API_KEY": "a-key", "AVATAR_PROVIDER": "heygen-streaming"}


@pytest.fixture(scope="module")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("migrated") / "bot.sqlite3"
    asyncio.run(migrate.upgrade(f"sqlite:///{file}"))
    return file


@pytest.fixture
def url(empty_database: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A database that a bot has made, and an environment that names nothing else."""
    for name in [name for name, _, _ in variables()]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    url = f"sqlite:///{tmp_path / 'bot.sqlite3'}"
    monkeypatch.setenv("DATABASE_URL", url)
    shutil.copy(empty_database, tmp_path / "bot.sqlite3")
    return url


def call(*arguments: str, **environment: str) -> Result:
    result = CliRunner().invoke(app, list(arguments), env=environment, prog_name="avatar-relay")
    assert "Traceback" not in result.output
    return result


def said(*arguments: str, **environment: str) -> str:
    result = call(*arguments, **environment)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def printed_json(*arguments: str, **environment: str) -> Any:
    return json.loads(said(*arguments, "--json", **environment))


def in_store(url: str, work: Callable[[Store], Awaitable[T]]) -> T:
    async def run() -> T:
        async with await Store.open(url, SystemClock()) as store:
            return await work(store)

    return asyncio.run(run())


def use(url: str, seconds: float | None, channel: Channel = HERE, *, spoken: float | None = None) -> None:
    """Write down that a stream is open for so long, None for still: from tomorrow, lest midnight passes in the middle
    of a test."""

    async def work(store: Store) -> None:
        begun = datetime.now(UTC) + timedelta(days=1)
        session = await store.sessions.open(a_session(channel=channel))
        stream = a_stream(
            session,
            state=StreamState.OPEN if seconds is None else StreamState.CLOSED,
            created_at=begun,
            closed_at=None if seconds is None else begun + timedelta(seconds=seconds),
            spoken_seconds=spoken,
            upstream_id=f"up-{session.id}",
        )
        await store.streams.record(stream)

    in_store(url, work)


def audit(url: str) -> list[AuditEntry]:
    return in_store(url, lambda store: store.audit.newest(10))


# --- usage -----------------------------------------------------------------------------------------------------------


def test_usage_of_a_day_without_avatars_says_so(url: str) -> None:
    assert said("usage", **KEY) == "No avatar has been open today (UTC).\n"
    assert printed_json("usage", **KEY) == []


def test_usage_is_listed_by_channel_the_most_used_first(url: str) -> None:
    use(url, 60, spoken=24.4)
    use(url, 240, Channel("slack", "T1", "C1"))
    assert said("usage", **KEY).splitlines() == [
        "Avatar time today (UTC):",
        "  slack:T1:C1  open 4 min, spoken 0 s, about $12.00",
        "  discord:guild:general  open 60 s, spoken 24 s, about $3.00",
    ]


def test_usage_as_json_has_the_same_as_numbers(url: str) -> None:
    use(url, 89.5, spoken=24.4)
    used = {"seconds": 90, "billed_seconds": 90, "spoken_seconds": 24, "dollars": 4.5}
    assert printed_json("usage", **KEY) == [{"platform": "discord", "workspace": "guild", "channel": "general"} | used]


def test_usage_goes_by_what_a_provider_bills(url: str) -> None:
    liveavatar = {"LIVEAVATAR_API_KEY": "a-key", "AVATAR_PROVIDER": "liveavatar"}
    use(url, 61)
    assert said("usage", **liveavatar).splitlines()[1:] == [
        "  discord:guild:general  open 61 s, spoken 0 s, about $0.48",
    ]


def test_the_shell_says_that_it_does_not_know_what_open_streams_have_said(url: str) -> None:
    use(url, None)
    assert said("usage", **KEY).splitlines()[2:] == [
        "What is said in a stream is counted when it closes; some are open now."
    ]


@pytest.mark.parametrize("settings", [NO_PRICE, {}, {"AVATAR_PROVIDER": "simulator"}], ids=["v1", "none", "simulator"])
def test_usage_without_a_price_tells_no_cost(url: str, settings: dict[str, str]) -> None:
    use(url, 60)
    assert "$" not in said("usage", **settings)
    assert printed_json("usage", **settings)[0]["dollars"] is None


# --- limits ----------------------------------------------------------------------------------------------------------


def test_no_limits_are_no_limits(url: str) -> None:
    use(url, 60)
    assert said("limits", **KEY) == "No limits are set.\n"


def test_limits_are_shown_also_before_anything_is_used(url: str) -> None:
    settings = KEY | {
        "LIMIT_WORKSPACE_SESSIONS": "100",
        "LIMIT_CHANNEL_MINUTES": "2.5",
        "LIMIT_WORKSPACE_DOLLARS": "200",
    }
    assert said("limits", **settings).splitlines() == [
        "Limits, and how much of them each channel has used today (UTC):",
        "  LIMIT_WORKSPACE_SESSIONS=100",
        "  LIMIT_CHANNEL_MINUTES=2.5",
        "  LIMIT_WORKSPACE_DOLLARS=200",
    ]


def test_limits_show_how_much_of_them_each_channel_has_used(url: str) -> None:
    use(url, 60)
    assert said("limits", **KEY, LIMIT_CHANNEL_MINUTES="2", LIMIT_CHANNEL_DOLLARS="3").splitlines()[3:] == [
        "  discord:guild:general  2 minutes a day in this channel: 50 %",
        "  discord:guild:general  $3.00 a day in this channel: 100 %",
    ]


def test_limits_in_dollars_without_a_price_are_said_to_be_without_effect(url: str) -> None:
    use(url, 60)
    assert said("limits", **NO_PRICE, LIMIT_CHANNEL_DOLLARS="3").splitlines()[1:] == [
        "  LIMIT_CHANNEL_DOLLARS=3",
        "  Limits in dollars are without effect: the price of this avatar service is not known.",
    ]


def test_limits_as_json_have_the_settings_and_what_is_used(url: str) -> None:
    use(url, 60)
    assert printed_json("limits", **KEY, LIMIT_CHANNEL_MINUTES="2") == {
        "limits": {
            "workspace_sessions": None,
            "channel_minutes": 2.0,
            "workspace_minutes": None,
            "channel_dollars": None,
            "workspace_dollars": None,
            "warn_at": 0.8,
        },
        "used": [
            {
                "platform": "discord",
                "workspace": "guild",
                "channel": "general",
                "limit": "2 minutes a day in this channel",
                "used": 0.5,
            }
        ],
    }


# --- people ----------------------------------------------------------------------------------------------------------


def test_a_person_is_blocked_once_and_everywhere_by_the_operator(url: str) -> None:
    assert said("people", "block", "discord:1234") == "discord:1234 can no longer use the avatar.\n"
    assert said("people", "block", "discord:1234") == "discord:1234 was blocked already.\n"
    (block,) = in_store(url, lambda store: store.blocks.everybody())
    assert (block.person, block.workspace, block.blocked_by) == ("discord:1234", "", "shell:operator")


def test_a_person_is_let_in_again_wherever_they_were_blocked(url: str) -> None:
    in_store(url, lambda store: store.blocks.add("discord:1234", "discord:guild", "discord:9"))
    said("people", "block", "discord:1234")
    assert said("people", "unblock", "discord:1234") == "discord:1234 may use the avatar again.\n"
    assert said("people", "unblock", "discord:1234") == "discord:1234 was not blocked.\n"
    assert said("people", "blocked") == "No blocks.\n"


def test_who_is_blocked_is_listed_with_where_by_whom_and_since_when(url: str) -> None:
    said("people", "block", "discord:1234")
    in_store(url, lambda store: store.blocks.add("slack:U1", "slack:T1", "slack:U9"))
    head, slack, discord = said("people", "blocked").splitlines()
    today = datetime.now(UTC).strftime("%Y-%m")
    assert head == "2 blocks."
    assert slack.startswith(f"  slack:U1  slack:T1, by slack:U9, since {today}")
    assert discord.startswith(f"  discord:1234  everywhere, by shell:operator, since {today}")


def test_who_is_blocked_as_json(url: str) -> None:
    assert printed_json("people", "blocked") == []
    said("people", "block", "discord:1234")
    (row,) = printed_json("people", "blocked")
    assert datetime.fromisoformat(row.pop("at")).tzinfo is not None
    assert row == {"person": "discord:1234", "workspace": "", "blocked_by": "shell:operator"}


@pytest.mark.parametrize("command", ["block", "unblock"])
@pytest.mark.parametrize("person", ["1234", "discord:", ":1234", "@somebody"])
def test_what_is_no_person_is_refused_with_an_example(url: str, command: str, person: str) -> None:
    result = call("people", command, person)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"I do not know who `{person}` is: give platform:id, such as discord:1234.\n"
    assert in_store(url, lambda store: store.blocks.everybody()) == []
    assert audit(url) == []


def test_blocks_and_their_lifting_as_json(url: str) -> None:
    person = {"person": "discord:1234"}
    assert printed_json("people", "block", "discord:1234") == person | {"blocked": True, "changed": True}
    assert printed_json("people", "block", "discord:1234") == person | {"blocked": True, "changed": False}
    assert printed_json("people", "unblock", "discord:1234") == person | {"blocked": False, "changed": True}
    assert printed_json("people", "unblock", "discord:1234") == person | {"blocked": False, "changed": False}


def test_blocks_and_their_lifting_are_in_the_audit(url: str) -> None:
    said("people", "block", "discord:1234")
    said("people", "unblock", "discord:1234")
    assert [(entry.actor, entry.action, entry.detail) for entry in audit(url)] == [
        ("shell:operator", "unblock", "discord:1234 in every workspace"),
        ("shell:operator", "block", "discord:1234 in every workspace"),
    ]


# --- sessions --------------------------------------------------------------------------------------------------------


def test_sessions_as_json(url: str) -> None:
    assert printed_json("sessions", "list") == []
    session = in_store(url, lambda store: store.sessions.open(a_session(channel=HERE)))
    (row,) = printed_json("sessions", "list")
    assert row == {
        "id": session.id,
        "state": "opening",
        "platform": "discord",
        "workspace": "guild",
        "channel": "general",
        "provider": "heygen-realtime",
        "mode": "repeat",
        "started_by": "discord:1",
        "started_by_name": "Ada",
        "created_at": "2026-11-20T12:00:00+00:00",
        "live_at": None,
        "seconds": 0,
        "billed_seconds": 0,
        "spoken_seconds": 0,
        "dollars": None,
        "process": None,
    }


def test_sessions_are_listed_with_the_sum_of_their_streams_by_the_price_of_their_own_provider(url: str) -> None:
    async def two_streams(store: Store) -> None:
        session = await store.sessions.open(a_session(channel=HERE, provider="liveavatar"))
        for number in range(2):
            stream = a_stream(session, state=StreamState.CLOSED, upstream_id=f"up-{number}", spoken_seconds=4.0)
            await store.streams.record(replace(stream, closed_at=stream.created_at + timedelta(seconds=10)))

    in_store(url, two_streams)
    (line,) = said("sessions", "list", **KEY, LIVEAVATAR_API_KEY="another").splitlines()[1:]
    assert line.endswith(", open 20 s, spoken 8 s, about $0.48")
    (line,) = said("sessions", "list", **KEY).splitlines()[1:]
    assert line.endswith(", open 20 s, spoken 8 s")


def test_nothing_secret_is_in_the_json_of_a_session(url: str) -> None:
    session = in_store(url, lambda store: store.sessions.open(a_session(link_nonce="nonce-nobody-may-read")))
    assert session.link_nonce not in said("sessions", "list", "--json") + said("sessions", "list")


def test_stop_all_where_nothing_is_open_says_so(url: str) -> None:
    assert said("sessions", "stop-all", **KEY) == "No session is open.\n"


def test_stop_all_closes_every_session_that_no_bot_runs(url: str) -> None:
    for _ in range(2):
        in_store(url, lambda store: store.sessions.open(a_session(provider="simulator")))
    closed = said("sessions", "stop-all")
    assert closed.count("Closed ") == 2
    assert said("sessions", "list") == "No open sessions.\n"


def test_beside_a_bot_nothing_is_cleaned_up_that_says_something_long(url: str) -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    session = in_store(url, lambda store: store.sessions.open(a_session(created_at=long_ago)))
    utterance = an_utterance(session, accepted_at=long_ago)

    async def beside_a_bot() -> None:
        async with InstanceLock(url, SystemClock()):
            lines: list[str] = []
            await clean_up(load(None), SystemClock(), lines.append)
            assert lines == ["There is nothing to clean up."]

    in_store(url, lambda store: store.utterances.accept((), utterance))
    in_store(url, lambda store: store.utterances.advance(utterance.id, UtteranceState.SPEAKING))
    asyncio.run(beside_a_bot())


def test_what_the_shell_closes_as_json(url: str) -> None:
    ids = [in_store(url, lambda store: store.sessions.open(a_session(provider="simulator"))).id for _ in range(3)]
    assert printed_json("sessions", "stop", ids[1]) == {"closed": [ids[1]]}
    assert set(printed_json("sessions", "stop-all")["closed"]) == {ids[0], ids[2]}
    assert printed_json("sessions", "stop-all") == {"closed": []}
    last = in_store(url, lambda store: store.sessions.open(a_session(provider="simulator")))
    assert printed_json("sessions", "cleanup") == {"closed": [last.id]}
    assert printed_json("sessions", "cleanup") == {"closed": []}


def test_what_cannot_be_closed_is_a_sentence_after_the_json(url: str) -> None:
    result = call("sessions", "stop", "zzzzzz", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (1, {"closed": []})
    assert result.stderr == "There is no open session zzzzzz. `avatar-relay sessions list` shows them.\n"


def test_what_the_shell_closes_is_in_the_audit(url: str) -> None:
    session = in_store(url, lambda store: store.sessions.open(a_session(provider="simulator")))
    said("sessions", "stop", session.id)
    assert [(entry.actor, entry.session_id) for entry in audit(url)] == [("shell:operator", session.id)]


@pytest.mark.parametrize(
    "arguments",
    [
        ["usage"],
        ["limits"],
        ["people", "block", "discord:1"],
        ["people", "unblock", "discord:1"],
        ["people", "blocked"],
        ["sessions", "stop-all"],
    ],
    ids=" ".join,
)
def test_without_a_database_every_command_says_what_to_do(url: str, tmp_path: Path, arguments: list[str]) -> None:
    result = call(*arguments, DATABASE_URL=f"sqlite:///{tmp_path / 'nothing.sqlite3'}")
    assert result.exit_code == 2
    assert "start the bot once" in result.stderr
    assert not (tmp_path / "nothing.sqlite3").exists()
