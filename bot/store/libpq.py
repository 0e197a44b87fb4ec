"""A PostgreSQL address as libpq reads it, as the arguments of `asyncpg.connect`.

People paste the address their database's host shows them, with libpq's parameters behind the `?`. Each of those is
translated, or refused by name: what would be left out in silence could be what keeps the connection safe. Nothing is
opened here; it is only looked whether the files that are named can be read.

Source: https://www.postgresql.org/docs/current/libpq-connect.html, 34.1.1 (the form) and 34.1.2 (the parameters).
"""

import difflib
import os
import re
import ssl
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode, urlsplit

from bot.core.errors import SettingsError
from bot.store.keepalive import connection_class

FORM = re.compile(
    r"(?:postgres|postgresql)(?:\+\w+)?://"
    # libpq wants a `/` in a password encoded; a random password pasted as it is has one, and is understood.
    r"(?:(?P<user>[^:@/?]*)(?::(?P<password>[^@/]*|[^@?]*))?@)?"
    r"(?P<hosts>[^/?]*)(?:/(?P<dbname>[^?]*))?(?:\?(?P<query>.*))?",
    re.DOTALL,
)
"""Names after the parameters that they stand for, so that both ways to write them are one."""

DEFAULT_TIMEOUT = 10.0
"""Seconds to be connected, where `connect_timeout` does not say otherwise. libpq waits forever; nothing here does."""

_LARGEST = 2_147_483_647
"""libpq reads its numbers into an int."""

_NAME = re.compile(r"[a-z_]{1,30}")
"""What may be repeated to a person: a part of a password with an `@` in it could stand in the place of a name."""

_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_VERSIONS = ("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "sslmode": _MODES,
    "sslnegotiation": ("postgres", "direct"),
    "ssl_min_protocol_version": _VERSIONS,
    "ssl_max_protocol_version": _VERSIONS,
    "target_session_attrs": ("any", "read-write", "primary"),
    "gsslib": ("gssapi", "sspi"),
    "keepalives": ("0", "1"),
    # Below: what asyncpg does in any case. A value that asks for something else is refused, with `_INSTEAD` if there
    # is a way to the same end.
    "channel_binding": ("disable", "prefer"),
    "client_encoding": ("auto", "utf8", "utf-8", "UTF8", "UTF-8"),
    "gssdelegation": ("0",),
    "gssencmode": ("disable", "prefer"),
    "load_balance_hosts": ("disable",),
    "replication": ("false", "off", "no", "0"),
    "requiressl": ("0",),
    "sslcertmode": ("allow",),
    "sslcompression": ("0",),
    "sslsni": ("1",),
}
"""What a parameter may be. Anything not in here is free text, a number or a file, or is refused."""

_NUMBERS = ("connect_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout")
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")
_TEXTS = ("host", "port", "dbname", "user", "password", "passfile", "sslpassword", "krbsrvname")
_SAID = ("application_name", "fallback_application_name", "options")

_INSTEAD: Mapping[str, str] = {
    "channel_binding": "sslmode=verify-full with sslrootcert=system makes sure of the server instead",
    "hostaddr": "write the address as the host",
    "load_balance_hosts": "the first host that answers is used",
    "requiressl": "write sslmode=require",
    "service": "write what the service file says into DATABASE_URL",
    "servicefile": "write what the service file says into DATABASE_URL",
    "sslcrldir": "write sslcrl with one file",
    "target_session_attrs": "the bot has to write",
}
"""What to do about a parameter, or a value of it, that asyncpg has nothing for."""

_REFUSED = (
    *("authtype", "hostaddr", "max_protocol_version", "min_protocol_version", "oauth_ca_file", "oauth_client_id"),
    *("oauth_client_secret", "oauth_issuer", "oauth_scope", "require_auth", "requirepeer", "scram_client_key"),
    *("scram_server_key", "service", "servicefile", "sslcrldir", "sslkeylogfile", "tty"),
)

PARAMETERS = frozenset({*_CHOICES, *_NUMBERS, *_FILES, *_TEXTS, *_SAID, *_REFUSED})
"""Every parameter that is understood, or refused with words of its own."""


def asyncpg_arguments(url: str) -> dict[str, object]:
    """What to give to `asyncpg.connect` for the address `url`, which has the form `FORM`.

    Raises `SettingsError` that names the parameter and repeats no value: it may be a secret.
    """
    given = _given(url)
    for name in given:
        _must_be_possible(name, given[name])
    hosts, ports = _places(given)
    tls = {name: given[name] for name in given if name in _TLS}
    arguments: dict[str, object] = {
        "host": hosts or None,
        "port": ports or None,
        "user": given.get("user"),
        "password": given.get("password"),
        "passfile": given.get("passfile"),
        "database": given.get("dbname"),
        "krbsrvname": given.get("krbsrvname"),
        "gsslib": given.get("gsslib"),
        "target_session_attrs": given.get("target_session_attrs"),
        **_tls(tls),
        "timeout": max(0.0, float(given.get("connect_timeout", 0))) or DEFAULT_TIMEOUT,
        "server_settings": _server_settings(given),
        "connection_class": connection_class(**{name: given[name] for name in given if name in _KEEPALIVE}),
    }
    return {name: value for name, value in arguments.items() if value is not None}


def places(arguments: Mapping[str, object]) -> str:
    """Where the servers are, in words for a person."""
    hosts, ports = arguments.get("host"), arguments.get("port")
    if not isinstance(hosts, list) or not isinstance(ports, list):
        return f"this machine{f':{ports[0]}' if isinstance(ports, list) else ''}"
    return ", ".join(
        f"[{host}]:{port}" if ":" in host else host if port == _PORT and "/" in host else f"{host}:{port}"
        for host, port in zip(hosts, ports, strict=True)
    )


def uses_sockets(arguments: Mapping[str, object]) -> bool:
    """Whether the server may be reached over a socket in a folder; so it is where no host is named."""
    hosts = arguments.get("host")
    return not isinstance(hosts, list) or any(str(host).startswith("/") for host in hosts)


def secrets_in(arguments: Mapping[str, object]) -> list[str]:
    """What must not be logged."""
    told = dict(parse_qsl(urlsplit(str(arguments.get("dsn", ""))).query))
    given = (arguments.get("password"), told.get("sslpassword"))
    return [secret for secret in given if isinstance(secret, str)]


_PORT = 5432
_TLS = {*_FILES, "sslmode", "sslnegotiation", "sslpassword", "ssl_min_protocol_version", "ssl_max_protocol_version"}
_KEEPALIVE = {"keepalives", *_NUMBERS} - {"connect_timeout"}


def _given(url: str) -> dict[str, str]:
    """Every parameter of the address, whichever way it is written; what is empty counts as not given, as in libpq."""
    form = FORM.fullmatch(url)
    if form is None:
        raise SettingsError("DATABASE_URL is not a database address: write postgresql://user:password@host/database.")
    parts = form.groupdict(default="")
    hosts, ports = _host_list(parts["hosts"])
    given = {
        "user": _decoded("user", parts["user"]),
        "password": _decoded("password", parts["password"]),
        "host": hosts,
        "port": ports,
        "dbname": _decoded("dbname", parts["dbname"]),
    }
    # A later parameter goes before an earlier one and before what stands in front of the `?`.
    for pair in filter(None, parts["query"].split("&")):
        name, separator, value = pair.partition("=")
        name = _decoded("a parameter's name", name)
        if not separator:
            raise SettingsError(f"DATABASE_URL: {_shown(name)} has no value: write name=value.")
        given |= _translated_name(name, _decoded(name, value))
    return {name: value for name, value in given.items() if value}


def _translated_name(name: str, value: str) -> dict[str, str]:
    # What libpq takes for JDBC's sake; and SQLAlchemy's name for `sslmode`, which was documented here once.
    if name == "ssl":
        return {"sslmode": "require" if value == "true" else value}
    return {name: value}


def _decoded(name: str, text: str) -> str:
    # Not `unquote_plus`: to libpq a `+` is a `+`. A `%` with no number behind it stays, as in a password pasted raw.
    try:
        value = unquote_to_bytes(text).decode()
    except UnicodeError:
        raise SettingsError(f"DATABASE_URL: {_shown(name)} is not text in UTF-8; write % as %25.") from None
    if "\0" in value:
        raise SettingsError(f"DATABASE_URL: {_shown(name)} may not have a zero byte in it.")
    return value


def _shown(name: str) -> str:
    return name if _NAME.fullmatch(name) else "a parameter"


def _host_list(text: str) -> tuple[str, str]:
    """`a:1,[::1]:2` as libpq's `host` and `port`, both with commas between."""
    hosts: list[str] = []
    ports: list[str] = []
    for place in text.split(","):
        form = re.fullmatch(r"(?:\[(?P<v6>[^\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[^:]*))?", place)
        if form is None:
            raise SettingsError("DATABASE_URL: host is not right: write host:port, and [::1]:port for IPv6.")
        hosts.append(_decoded("host", form["v6"] or form["name"] or ""))
        ports.append(_decoded("port", form["port"] or ""))
    return ",".join(hosts) if any(hosts) else "", ",".join(ports) if any(ports) else ""


def _places(given: Mapping[str, str]) -> tuple[list[str], list[int]]:
    """As many ports as hosts; one port counts for all of them."""
    hosts = given["host"].split(",") if "host" in given else []
    if any(not host or host.startswith("@") or host.count(":") == 1 for host in hosts):
        raise SettingsError("DATABASE_URL: host is not right: each must be a name, an address or a folder.")
    ports = [_port(port) for port in given["port"].split(",")] if "port" in given else [_PORT] if hosts else []
    if len(ports) not in (0, 1, len(hosts)):
        raise SettingsError("DATABASE_URL: port is not right: write one for all hosts, or one for each.")
    return hosts, ports * len(hosts) if hosts and len(ports) == 1 else ports


def _port(text: str) -> int:
    if not text:
        return _PORT
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 65_535:
        raise SettingsError("DATABASE_URL: port must be a whole number from 1 to 65535.")
    return int(text)


def _must_be_possible(name: str, value: str) -> None:
    if name not in PARAMETERS:
        close = difflib.get_close_matches(name, PARAMETERS - {*_REFUSED}, n=1)
        meant = f" Did you mean {close[0]}?" if close and _NAME.fullmatch(name) else ""
        raise SettingsError(f"DATABASE_URL: PostgreSQL has no parameter like {_shown(name)}.{meant}")
    if name in _REFUSED:
        raise SettingsError(
            f"DATABASE_URL: {name} cannot be used, asyncpg has nothing like it: {_INSTEAD.get(name, 'leave it out')}."
        )
    choices = _CHOICES.get(name)
    if choices is not None and value not in choices:
        instead = f" ({_INSTEAD[name]})" if name in _INSTEAD else ""
        raise SettingsError(f"DATABASE_URL: {name} must be {_one_of(choices)}{instead}.")
    if name in _NUMBERS and not (re.fullmatch(r"-?[0-9]{1,10}", value) and abs(int(value)) <= _LARGEST):
        raise SettingsError(f"DATABASE_URL: {name} must be a whole number.")
    if name in _FILES and not (name == "sslrootcert" and value == "system") and not _is_readable(value):
        raise SettingsError(f"DATABASE_URL: {name} names a file that cannot be read: check the path and permissions.")


def _one_of(choices: Sequence[str]) -> str:
    return f"{', '.join(choices[:-1])} or {choices[-1]}" if len(choices) > 1 else choices[0]


def _is_readable(file: str) -> bool:
    return Path(file).is_file() and os.access(file, os.R_OK)


def _server_settings(given: Mapping[str, str]) -> dict[str, str]:
    """What is said to the server as the connection begins. `options` is a command line, which the server reads."""
    name = given.get("application_name") or given.get("fallback_application_name") or "avatar-relay"
    return {"application_name": name} | ({"options": given["options"]} if "options" in given else {})


def _tls(given: Mapping[str, str]) -> dict[str, object]:
    """asyncpg reads the files of TLS itself, but takes them from an address only."""
    mode = given.get("sslmode")
    if given.get("sslrootcert") == "system":
        return _tls_with_trust_of_the_system(given)
    if mode in ("verify-ca", "verify-full") and "sslrootcert" not in given and not _has_own_roots():
        raise SettingsError(
            f"DATABASE_URL: sslmode={mode} needs sslrootcert, the file of the authority that signs for the server, "
            "or sslrootcert=system."
        )
    if given.get("sslnegotiation") == "direct" and mode not in _MODES[3:]:
        raise SettingsError("DATABASE_URL: sslnegotiation=direct needs sslmode=require, verify-ca or verify-full.")
    return {"dsn": f"postgresql://?{urlencode(given, quote_via=quote)}"} if given else {}


def _has_own_roots() -> bool:
    try:
        return bool(os.environ.get("PGSSLROOTCERT")) or (Path.home() / ".postgresql" / "root.crt").is_file()
    except RuntimeError:  # nobody knows where home is
        return False


def _tls_with_trust_of_the_system(given: Mapping[str, str]) -> dict[str, object]:
    """libpq trusts everybody's authorities only together with the check of the name, and so does this."""
    if given.get("sslmode", "verify-full") != "verify-full":
        raise SettingsError("DATABASE_URL: sslrootcert=system needs sslmode=verify-full.")
    if "sslcrl" in given:
        raise SettingsError("DATABASE_URL: sslcrl cannot be used together with sslrootcert=system: leave it out.")
    context = _trust_of_the_system(
        *(given.get(name, "") for name in ("sslcert", "sslkey", "sslpassword")),
        *(given.get(f"ssl_{end}_protocol_version", "") for end in ("min", "max")),
    )
    return {"ssl": context, "direct_tls": given.get("sslnegotiation") == "direct"}


@cache
def _trust_of_the_system(cert: str, key: str, password: str, lowest: str, highest: str) -> ssl.SSLContext:
    """Reading the certificates of the world takes tens of milliseconds; once is enough."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    context.minimum_version = _version(lowest or "TLSv1.2")
    if highest:
        context.maximum_version = _version(highest)
    if cert:
        try:
            context.load_cert_chain(cert, key or None, password=lambda: password)
        except (OSError, ssl.SSLError):
            raise SettingsError(
                "DATABASE_URL: sslcert, sslkey and sslpassword do not belong together, or are no PEM files."
            ) from None
    return context


def _version(name: str) -> ssl.TLSVersion:
    return ssl.TLSVersion[name.replace(".", "_")]
