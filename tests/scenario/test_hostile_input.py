"""The program as a process of its own takes the whole corpus of `tests/fuzz` and is none the worse: typed into its
console, sent to its web server while people watch, posted to its Slack endpoint, written in channels. What each part
makes of a text by itself is tested there, and so are texts that nobody has thought of.
"""

import itertools
import json
import re
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from urllib.parse import quote

import aiohttp
import pytest
from yarl import URL

from tests.fuzz.attacks import (
    OUR_FAULT,
    RIDDLES,
    VISIT,
    ask_for_every_address,
    is_text,
    post_every_body,
    say,
    send_every_frame,
    send_every_request,
    signature,
)
from tests.fuzz.corpus import TEXTS, repeated
from tests.fuzz.growth import program_grows_linearly
from tests.harness.programs import KEY, Program, Service
from tests.scenario.chat_scenario import Story
from tests.scenario.chat_services import PUBLIC, ChatServices
from tests.scenario.served_program import ServedProgram

pytestmark = pytest.mark.slow

LOGGED = {"LOG_LEVEL": "warning", "LOG_FORMAT": "json"}
UNLIMITED = {"USER_RATE": "0", "QUEUE_LIMIT": "1000"}
"""Everything is taken in: a refusal for its number says nothing about a text."""

BEFORE_A_TEXT = (
    "/", "/help ", "/avatar ", "/avatar start ", "/avatar mode ", "/avatar-admin ", "/avatar-admin stop ",
    "/avatar-admin block ", "/avatar-admin limits ", "", "/avatar say ", "/avatar ask ", "/avatar idle ",
)  # fmt: skip
"""What is typed before each text. A console that is no terminal lets the avatar say what waits before it obeys `stop`,
so what is said comes late; and some of the corpus is a number of seconds after which the avatar leaves."""

AFTERWARDS = ("/avatar idle 300", "/avatar clear", "/avatar skip", "/avatar status")

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the processor time of another process")


def faults(log: str) -> list[str]:
    """The entries of a JSON log that tell of a mistake of the program, and what is no entry."""
    return [line for line in log.splitlines() if not line.startswith("{") or _is_fault(json.loads(line))]


def _is_fault(entry: dict[str, object]) -> bool:
    return entry["level"] in ("error", "critical") or "exception" in entry


# --- the console -----------------------------------------------------------------------------------------------------


def typed_lines() -> Iterator[bytes]:
    """Every text behind everything that can stand before it."""
    for before, text in itertools.product(BEFORE_A_TEXT, TEXTS):
        yield before.encode() + text.encode("utf-8", "surrogatepass")


WATCHED = {"WEB_PUBLIC_URL": PUBLIC, "SESSION_NEEDS_VIEWER": "never"}
"""Links lead to a page of ours, which nobody opens here."""


def console(folder: Path, service: Service) -> Program:
    settings = service.settings(folder, CHAT_API_URL=f"{service.url}/v1", CHAT_API_KEY=KEY, CHAT_MODEL="simulator")
    return Program(folder, "run", "--console", **settings | LOGGED | UNLIMITED | WATCHED)


def test_every_line_typed_into_the_console_gets_an_answer(tmp_path: Path, service: Service) -> None:
    lines = list(typed_lines())
    with console(tmp_path, service) as program:
        program.type("/avatar start")
        program.until("The avatar is live.")
        program.type(*lines, *AFTERWARDS)
        program.until("The avatar in this channel:")
        program.close_input()
        assert program.end() == 0
    assert faults(program.errors) == []
    assert "Traceback" not in program.output
    typed = [line for line in b"\n".join(lines).decode(errors="replace").split("\n") if line.strip()]
    assert len(program.output.split("\n> ")) - 1 == len(typed) + len(AFTERWARDS) + 1
    assert re.search(r"\n> .*\n> ", program.output) is None, "a line without an answer"
    assert program.output.endswith("Everything is closed.\n")
    assert service.open_streams == 0


# --- the web server, Slack and Discord -------------------------------------------------------------------------------


@asynccontextmanager
async def serving(folder: Path, **settings: str) -> AsyncIterator[Story]:
    """A program with an avatar live on both platforms; afterwards both still do what people want, it has not made one
    mistake, and it leaves as it should."""
    async with ChatServices(livekit=None, is_http=True) as services:
        environment = services.settings(folder, **LOGGED, **UNLIMITED, **settings)
        async with ServedProgram(folder, environment) as program:
            story = Story(services, program)
            await story.begin()
            assert "Starting" in await story.on_discord("avatar start")
            assert "Starting" in await story.on_slack("/avatar", "start")
            await story.until_read("live")
            yield story
            for verb in ("clear", "skip"):
                await story.on_discord(f"avatar {verb}")
                await story.on_slack("/avatar", verb)
            await story.on_discord("avatar say", text="good morning, Discord")
            await services.slack.write(
                story.slack_channel, story.bea, f"@{services.slack.bot.name} good morning, Slack"
            )
            await program.until(lambda: {"good morning, Discord", "good morning, Slack"} <= set(spoken(services)))
            assert await program.stop() == 0
        assert services.avatars.meter().total.open == 0
    assert faults(program.log) == []
    assert "Traceback" not in program.output + services.posted
    services.slack.check()


def spoken(services: ChatServices) -> Iterable[str]:
    return (said.text.strip() for stream in services.avatars.streams() for said in stream.spoken)


async def test_no_visitor_breaks_the_server_while_people_watch(tmp_path: Path) -> None:
    async with serving(tmp_path, AVATAR_PROVIDER="liveavatar") as story:
        base, link = story.base, min(story.links)
        async with (
            aiohttp.ClientSession(headers={"Origin": base}) as client,
            client.ws_connect(f"{base}{link}/live") as watching,
        ):
            await ask_for_every_address(base, client, link)
            await send_every_frame(base, link)
            riddles: list[str | bytes] = [*RIDDLES, *filter(is_text, TEXTS), "[" * 20_000, b"[" * 20]
            for page in (link, f"{link}x", "/w/nonsense"):
                for riddle in riddles:
                    assert await say(base + page, client, [riddle]) != OUR_FAULT, riddle
                    assert await say(base + page, client, [VISIT, riddle, riddle]) != OUR_FAULT, riddle
            assert "session" in (await watching.receive()).data
            await watching.send_str(VISIT)
            assert await say(base + link, client, [VISIT]) is None
            assert not watching.closed


async def test_what_is_no_http_leaves_no_traceback(tmp_path: Path, service: Service) -> None:
    with console(tmp_path, service) as program:
        program.until("served at http")
        await send_every_request(re.findall(r"served at (http://\S+?)\.?\s", program.output)[0])
        program.type("/avatar start")
        program.until("The avatar is live.")
        program.close_input()
        assert program.end() == 0
    assert faults(program.errors) == []


async def test_nothing_posted_to_slacks_endpoint_or_written_in_a_channel_breaks_the_program(tmp_path: Path) -> None:
    async with serving(tmp_path) as story:
        discord, slack = story.services.discord, story.services.slack
        assert slack.request_url is not None
        before = len(slack.requests)
        await post_every_body(slack.request_url, None)
        assert len(slack.requests) == before
        await post_every_body(slack.request_url, slack.signing_secret)
        for text in filter(is_text, TEXTS):
            message = await slack.write(story.slack_channel, story.bea, f"<@{slack.bot.id}> {text}", raw=True)
            for delivery in message.deliveries:
                await delivery.acknowledged()
            await discord.write(story.discord_channel, story.ana, text, mentions=[discord.bot])
            for verb in ("", "say ", "mode ", "block "):
                await story.on_slack("/avatar-admin" if verb == "block " else "/avatar", f"{verb}{text}", by="eve")
            if text.strip():
                await story.on_discord("avatar say", text=text)
        assert min(numbers_taken_in(tmp_path)) > len(TEXTS)


def numbers_taken_in(folder: Path) -> list[int]:
    """How many messages each avatar was given to say."""
    with closing(sqlite3.connect(folder / "bot.sqlite3")) as database:
        return [number for (number,) in database.execute("SELECT count(*) FROM utterances GROUP BY session_id")]


# --- time ------------------------------------------------------------------------------------------------------------

MESSAGE = 20
"""A message of this part of a long text is just short enough to be cleaned and put into the queue."""


@on_linux
async def test_the_console_takes_time_in_proportion_to_what_is_typed(tmp_path: Path, service: Service) -> None:
    numbers = itertools.count()
    with console(tmp_path, service) as program:

        async def type_it(text: str) -> None:
            line, message = text.replace("\n", " "), text.replace("\n", " ")[: len(text) // MESSAGE]
            for lines in (
                [f"/{line}", f"/avatar {line}", f"/avatar start {line}", f"/avatar say {line}", line],
                [message, message, "/avatar clear"],
            ):
                end = f"/end-{next(numbers)}"
                program.type(*lines, end)
                program.until(f"Unknown command `{end}`")

        program.type("/avatar start")
        program.until("The avatar is live.")
        for part, make in repeated.items():
            assert await program_grows_linearly(program.pid, type_it, make), part
        program.type("/avatar-admin stop-all")
        program.close_input()
        assert program.end() == 0
    assert faults(program.errors) == []


@on_linux
async def test_the_servers_take_time_in_proportion_to_what_they_are_sent(tmp_path: Path) -> None:
    async with serving(tmp_path) as story, aiohttp.ClientSession(headers={"Origin": story.base}) as client:
        slack, link = story.services.slack, min(story.links)

        async def send(text: str) -> None:
            piece = quote(text[: len(text) // MESSAGE])[:7000]
            await story.on_slack("/avatar", text)
            message = await slack.write(story.slack_channel, story.bea, f"<@{slack.bot.id}> {text}", raw=True)
            for delivery in message.deliveries:
                await delivery.acknowledged()
            for body in (text.encode(), b'{"type": "event_callback", "event": ' + text.encode()):
                now = int(time.time())
                signed = signature(slack.signing_secret, body, now)
                assert slack.request_url is not None
                headers = {"X-Slack-Request-Timestamp": f"{now}", "X-Slack-Signature": signed}
                async with client.post(slack.request_url, data=body, headers=headers):
                    pass
            for path in (f"/w/{piece}", f"{link}{piece}/live"):
                async with client.get(URL(story.base + path, encoded=True)):
                    pass

        pid = story.program.pid
        for part, make in repeated.items():
            assert await program_grows_linearly(pid, send, make), part
