"""Which proxy a request takes, as the environment says, and what is said of one that cannot be used."""

import pytest

from bot.core.errors import SettingsError
from bot.settings import load
from bot.settings.proxies import VARIABLES, environment_proxies, proxy_problems


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def of(url: str) -> str | None:
    proxy = environment_proxies().of(url)
    return None if proxy is None else proxy.url


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("url", ["https://slack.com/api/auth.test", "wss://gateway.discord.gg/?v=10"])
def test_secure_requests_and_sockets_take_the_same_proxy(
    variable: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://proxy.corp:3128")
    assert of(url) == "http://proxy.corp:3128"


def test_plain_requests_take_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://one:1")
    monkeypatch.setenv("HTTP_PROXY", "two:2")
    assert of("https://x.example") == "http://one:1"
    assert of("http://x.example") == of("ws://x.example") == "http://two:2"


@pytest.mark.parametrize(
    ("never", "url", "goes_straight"),
    [
        ("slack.com", "https://slack.com/api", True),
        ("slack.com", "wss://wss-primary.slack.com/link", True),
        (".slack.com", "https://files.slack.com/", True),
        ("slack.com", "https://notslack.com/", False),
        ("a.example, slack.com", "https://slack.com/", True),
        ("slack.com:443", "https://slack.com/", True),
        ("slack.com:8443", "https://slack.com/", False),
        ("*", "https://anything.example/", True),
        ("10.1.2.3", "https://10.1.2.3/", True),
        ("", "https://localhost:8080/", True),
        ("", "http://127.0.0.1:1/", True),
        ("", "http://127.8.9.1:1/", True),
        ("", "http://[::1]:1/", True),
        ("", "http://me.localhost/", True),
        ("", "http://0.0.0.0:1/", True),
        ("", "https://127.0.0.1.example/", False),
    ],
)
def test_this_machine_and_what_no_proxy_names_is_reached_without(
    never: str, url: str, goes_straight: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.corp:3128")
    monkeypatch.setenv("NO_PROXY", never)
    assert (of(url) is None) is goes_straight


def test_login_is_kept_apart_and_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:s3cr%40t-word@proxy.corp")
    proxy = environment_proxies().of("https://x.example")
    assert proxy is not None
    assert proxy.authorization is not None
    assert proxy.authorization.get_secret_value() == "Basic YWRhOnMzY3JAdC13b3Jk"
    assert str(proxy) == "the proxy of HTTPS_PROXY (proxy.corp:80)"
    assert "s3cr" not in repr(proxy)
    known = {secret.get_secret_value() for secret in load(None).secrets()}
    assert {"s3cr@t-word", "YWRhOnMzY3JAdC13b3Jk"} <= known


@pytest.mark.parametrize(
    "value",
    ["socks5://ada:s3cret@proxy.corp:1080", "ftp://s3cret", "http://ada:s3cret@", "http://s3cret:port", "http://"],
)
def test_what_cannot_be_used_is_told_at_the_start_without_its_value(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    monkeypatch.setenv("WEB_PORT", "none")
    with pytest.raises(
        SettingsError, match=r"(?s)HTTPS_PROXY is not right: it must be http://host:port.*WEB_PORT"
    ) as told:
        load()
    assert "s3cret" not in str(told.value)
    assert of("https://x.example") is None


def test_proxy_for_all_that_nothing_needs_is_no_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    monkeypatch.setenv("HTTPS_PROXY", "http://one:1")
    monkeypatch.setenv("HTTP_PROXY", "http://one:1")
    assert proxy_problems() == []
