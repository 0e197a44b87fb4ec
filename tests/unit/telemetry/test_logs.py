import json
import logging

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bot.core.ids import new_reference
from bot.telemetry.logs import configure
from bot.telemetry.redaction import MASK, Redactor

pytestmark = pytest.mark.usefixtures("logging_as_it_was")

SECRET = 'sk-"häsh"\\2'
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl"
FORMATS = ["text", "json"]


@pytest.fixture(params=FORMATS)
def fmt(request: pytest.FixtureRequest) -> str:
    configure("debug", request.param, [SecretStr(SECRET), SecretStr("plain-secret")])
    return str(request.param)


def fail_with(message: str) -> None:
    raise RuntimeError(message)


@pytest.mark.parametrize("secret", [SECRET, "plain-secret", JWT])
def test_secret_in_an_exception_does_not_reach_the_log(
    fmt: str, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        fail_with(f"refused: {secret} is wrong")
    except RuntimeError:
        structlog.get_logger("ours").exception("it failed")
        logging.getLogger("library").exception("it failed too")
    told = capsys.readouterr().err
    assert secret not in told
    assert json.dumps(secret)[1:-1] not in told
    assert told.count("RuntimeError: refused") == 2
    assert told.count(MASK) == 2


@pytest.mark.parametrize("secret", [SECRET, "plain-secret", JWT])
def test_secret_in_a_message_or_value_does_not_reach_the_log(
    fmt: str, secret: str, capsys: pytest.CaptureFixture[str]
) -> None:
    structlog.get_logger("ours").warning(
        f"with {secret} inside",
        plain=secret,
        deep={"list": [secret, (secret,)]},
        error=ValueError(secret),
        raw=secret.encode(),
    )
    logging.getLogger("library").warning("with %s inside", secret)
    told = capsys.readouterr().err
    assert secret not in told
    assert json.dumps(secret)[1:-1] not in told
    assert repr(secret)[1:-1] not in told
    assert len(told.splitlines()) == 2


HIDDEN = [
    "https://watch.example/w/hush.hush-hush_x?y=1",
    "Authorization: Bearer hush",
    "authorization: Basic hush",
    "{'X-Api-Key': 'hush', 'b': 1}",
    '{"access_token": "hush"}',
    "https://api.example/?api_key=hush&b=1",
    "wss://room.example/?access_token=hush",
    "token=hush",
    "client_secret='hush'",
    "postgresql://ana:hush@host/db",
    "Cookie: a=hush; b=hush",
    "HEYGEN_API_KEY=hush",
]


@pytest.mark.parametrize("text", HIDDEN)
def test_what_looks_like_a_secret_is_masked(fmt: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger("ours").info(text, value=text)
    logging.getLogger("library").info(text)
    told = capsys.readouterr().err
    assert "hush" not in told
    assert told.count(MASK) >= 3


@pytest.mark.parametrize(
    "key",
    [
        "token",
        "api_key",
        "apiKey",
        "authorization",
        "access_token",
        "Authorization",
        "livekit_token",
        "x-api-key",
        "WEB_SECRET",
    ],
)
def test_value_under_the_name_of_a_secret_is_masked(fmt: str, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger("ours").info("hello", **{key: "hush"}, deep={key: "hush"})
    told = capsys.readouterr().err
    assert "hush" not in told
    assert "hello" in told


KEPT = [
    "the token was refused",
    "20 tokens: fine",
    "GET /healthz 200",
    "session k7m2pq is live",
    "a secret: no",
    "https://watch.example/w",
]


@pytest.mark.parametrize("text", KEPT)
def test_ordinary_words_stay(text: str) -> None:
    assert Redactor([SecretStr("")]).text(text) == text


def test_number_of_tokens_is_no_secret() -> None:
    assert Redactor().value(42, "tokens") == 42


def test_secret_that_begins_like_another_is_masked_whole() -> None:
    assert Redactor([SecretStr("abcd"), SecretStr("abcdefgh")]).text("abcdefgh abcd") == f"{MASK} {MASK}"


def test_secret_written_into_an_address_is_masked() -> None:
    assert Redactor([SecretStr("a b/c+d")]).text("?k=a%20b%2Fc%2Bd&k=a+b%2Fc%2Bd") == f"?k={MASK}&k={MASK}"


@given(st.text(max_size=200))
def test_masking_again_changes_nothing(text: str) -> None:
    redactor = Redactor([SecretStr("secret-value")])
    once = redactor.text(text)
    assert redactor.text(once) == once


@pytest.mark.parametrize(
    "seed", ["eyJ", "eyJ.", "token", "token=", "a:", "://a:", "/w/", "Bearer ", "cookie:", "x_", '"', "authorization: "]
)
def test_long_hostile_text_is_masked_in_the_end(seed: str) -> None:
    """Quadratic work on 200,000 characters would run into the time limit of the test run; linear work does not."""
    assert Redactor([SecretStr("known")]).text(seed * (200_000 // len(seed)))


def test_json_lines_are_json_with_context_and_extra(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json", [])
    with structlog.contextvars.bound_contextvars(session="k7m2pq"):
        structlog.get_logger("ours").info("one", count=3)
        logging.getLogger("library").warning("two %d", 2, extra={"path": "/x"})
    one, two = map(json.loads, capsys.readouterr().err.splitlines())
    assert (one["event"], one["session"], one["count"], one["level"], one["logger"]) == (
        "one",
        "k7m2pq",
        3,
        "info",
        "ours",
    )
    assert (two["event"], two["session"], two["path"], two["level"]) == ("two 2", "k7m2pq", "/x", "warning")
    assert one["timestamp"].endswith("Z")


def test_json_stays_json_whatever_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json", [SecretStr(SECRET)])
    structlog.get_logger("ours").info(f'authorization: "x" \\" {SECRET} token="\\', value={"cookie: \\": '"\\'})
    assert json.loads(capsys.readouterr().err)["level"] == "info"


def test_text_lines_name_level_event_and_values(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "text", [])
    structlog.get_logger("ours").info("stream opened", session="k7m2pq")
    line = capsys.readouterr().err
    assert "info" in line
    assert "stream opened" in line
    assert "session=k7m2pq" in line
    assert "\x1b" not in line


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "aiohttp.access"])
def test_libraries_that_tell_every_request_are_quiet(fmt: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    logging.getLogger(name).info("GET /")
    assert capsys.readouterr().err == ""
    logging.getLogger(name).warning("trouble")
    assert "trouble" in capsys.readouterr().err


def test_level_can_be_changed_for_loggers_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    logger = structlog.get_logger("ours")
    configure("error", "text", [])
    logger.info("quiet")
    configure("info", "text", [])
    logger.info("heard")
    assert [line.split("] ")[1].split(" ")[0] for line in capsys.readouterr().err.splitlines()] == ["heard"]


def test_second_configuration_replaces_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "text", [])
    configure("info", "json", [])
    logging.getLogger("library").info("once")
    (line,) = capsys.readouterr().err.splitlines()
    assert json.loads(line)["event"] == "once"


def test_line_that_cannot_be_written_tells_its_kind_and_no_value(fmt: str, capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    root.handlers = [
        handler for handler in root.handlers if type(handler).__module__ == "bot.telemetry.logs"
    ]  # not pytest's
    logging.getLogger("library").info("%d", "hush")
    assert capsys.readouterr().err == "A log line of library could not be written: TypeError\n"


def test_reference_is_eight_readable_characters() -> None:
    references = {new_reference() for _ in range(200)}
    assert len(references) == 200
    assert {len(reference) for reference in references} == {8}
    assert not set("".join(references)) & set("01ilo")
    assert "".join(references).islower()
