"""Every failure that people can meet is in docs/troubleshooting.md, with the very sentence they read."""

import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from adapters.web.pages import Pages, frame_over, link_expired, link_revoked, link_unknown
from bot import sentences
from bot.core import errors
from bot.core.errors import AvatarRelayError, LinkInvalid, ProviderError, RateLimited, Refused, SettingsError, Transient
from bot.core.models import Role
from tests.pages import ROOT

TROUBLESHOOTING = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")


def leaves(kind: type[AvatarRelayError]) -> list[type[AvatarRelayError]]:
    """The errors at the ends of the tree."""
    children = kind.__subclasses__()
    return [leaf for child in children for leaf in leaves(child)] if children else [kind]


def examples_of(kind: type[AvatarRelayError]) -> list[AvatarRelayError]:
    """An error of each kind that gets a sentence of its own."""
    if kind is RateLimited:
        return [RateLimited("slower", retry_after=5.0)]
    if kind is Transient:
        return []  # one of each kind of trouble: tests/contract/avatars/test_sentences.py
    if kind is errors.AnswerError:
        return [errors.AnswerError("trouble", why=why) for why in OWN_SENTENCE]
    if kind is errors.AuthenticationFailed:
        return [errors.AuthenticationFailed("trouble", is_known=known) for known in (True, False)]
    if kind is errors.Invalid:
        return [errors.Invalid("no such look", parameter=name) for name in ("avatar", errors.Invalid.ADDRESS)]
    return [kind("trouble")]


OWN_SENTENCE = (
    errors.AnswerTrouble.OTHER,
    errors.AnswerTrouble.FILTER,
    errors.AnswerTrouble.LENGTH,
    errors.AnswerTrouble.TIME,
    errors.AnswerTrouble.KEY,
    errors.AnswerTrouble.BUSY,
    errors.AnswerTrouble.UNREACHABLE,
)

SAY_IT_THEMSELVES = (Refused, SettingsError, LinkInvalid)
"""Their message is the sentence, or a page; the tests below look at those."""

KINDS: list[type[AvatarRelayError]] = [
    kind for kind in leaves(AvatarRelayError) if kind.__module__ == errors.__name__ and kind not in SAY_IT_THEMSELVES
]


@pytest.mark.parametrize(
    "error",
    [ProviderError("trouble"), *(error for kind in KINDS for error in examples_of(kind))],
    ids=lambda error: type(error).__name__,
)
def test_every_failure_is_in_the_troubleshooting_with_its_sentence(error: AvatarRelayError) -> None:
    sentence = sentences.failure(error)[0].rpartition(" (ref ")[0]
    rows = re.findall(rf"^\| {re.escape(sentence)} \| (.+) \|$", TROUBLESHOOTING, re.MULTILINE)
    assert len(rows) == 1, f"docs/troubleshooting.md needs one row for: {sentence}"
    assert len(rows[0]) > 5


@pytest.mark.parametrize("why", errors.AnswerTrouble)
def test_an_answer_that_broke_off_is_in_the_troubleshooting(why: errors.AnswerTrouble) -> None:
    sentence = sentences.answer_broke_off(errors.AnswerError("trouble", why=why))[0].rpartition(" (ref ")[0]
    assert f"| {sentence} |" in TROUBLESHOOTING


@pytest.mark.parametrize(
    "sentence",
    [
        sentences.NO_SESSION,
        sentences.CLOSING,
        sentences.TAKING_OVER,
        sentences.MAY_BE_DONE,
        sentences.came_too_late(180),
        sentences.NO_LINK,
        sentences.NOTHING_SAID,
        sentences.EMPTY_TEXT,
        sentences.chat_not_configured(),
        sentences.close_not_confirmed(),
        sentences.already_running("Ana"),
        sentences.too_long(5999, 4000),
        sentences.queue_full(20),
        sentences.too_fast(30),
        sentences.not_allowed(Role.ADMIN),
    ],
)
def test_every_refusal_is_in_the_troubleshooting(sentence: str) -> None:
    assert sentence in TROUBLESHOOTING


@pytest.mark.parametrize("page", [link_expired, link_revoked, link_unknown, frame_over], ids=lambda page: page.__name__)
def test_every_page_of_a_bad_link_is_in_the_troubleshooting(page: Callable[[Pages, web.Request], web.Response]) -> None:
    answer = page(Pages("version"), make_mocked_request("GET", "/w/something"))
    title = re.search(r"<h1[^>]*>(.+?)</h1>", answer.text or "")
    assert title is not None
    assert f"| {title[1]} |" in TROUBLESHOOTING


@pytest.fixture
def busy_port() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("options", "given"),
    [
        ("", {}),
        ("--console", {"SESSION_IDLE_TIMEOUT": "soon"}),
        ("--console", {}),
        ("--console", {"HEYGEN_API_KEY": "key", "WEB_PORT": "{port}"}),
        ("--console", {"HEYGEN_API_KEY": "key", "DATABASE_URL": "sqlite:///{file}"}),
        ("--console", {"HEYGEN_API_KEY": "key", "DATABASE_URL": "sqlite:///{file}/below.db"}),
        ("--console", {"DATABASE_URL": "postgresql://ada:s3cret@127.0.0.1:1/relay?channel_binding=require"}),
        ("--console", {"HEYGEN_API_KEY": "key", "DATABASE_URL": "postgresql://127.0.0.1:1/relay?connect_timeout=9"}),
    ],
    ids=["nothing", "setting", "key", "port", "no database", "folder", "parameter", "no server"],
)
def test_line_of_a_start_that_fails_is_in_the_troubleshooting(
    options: str, given: dict[str, str], tmp_path: Path, busy_port: int
) -> None:
    file = tmp_path / "file"
    file.write_text("words, and no database at all", encoding="utf-8")
    environment = {name: value.format(port=busy_port, file=file) for name, value in given.items()}
    ran = subprocess.run(  # noqa: S603  it is our own program
        [sys.executable, "-m", "bot", "run", *options.split()],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PYTHONPATH": str(ROOT), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    line = ran.stderr.strip().replace(str(busy_port), "8080")
    rows = re.findall(r"^\| (.+) \| .+ \|$", TROUBLESHOOTING, re.MULTILINE)
    assert ran.returncode == 2
    assert any(re.fullmatch(re.escape(row).replace("…", ".+"), line) for row in rows), line
