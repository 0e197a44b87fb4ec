"""The proxies of the environment: which one a request takes on its way out, if any.

`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, in capitals or not, as the standard library reads them: the one
idea of the network that every way out of the process has. What is on this machine never goes through a proxy. A
proxy's user and password are secrets: they are kept apart from its address, which may be shown.
"""

import base64
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from pydantic import SecretStr

_SCHEMES = {"https": "https", "wss": "https", "http": "http", "ws": "http"}
"""Whose proxy a request takes, by the scheme of its address."""

_PORTS = {"http": 80, "https": 443}

VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy. `variable` is what named it; `url` has neither user nor password."""

    variable: str
    url: str
    login: tuple[str, SecretStr] | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """The words for a person."""
        return f"the proxy of {self.variable} ({urlsplit(self.url).netloc})"

    @property
    def authorization(self) -> SecretStr | None:
        """The value of `Proxy-Authorization`."""
        if self.login is None:
            return None
        user, password = self.login
        return SecretStr("Basic " + base64.b64encode(f"{user}:{password.get_secret_value()}".encode()).decode())


@dataclass(frozen=True)
class Proxies:
    """The proxies by the scheme of what they are for: `https`, `http`."""

    by_scheme: Mapping[str, Proxy]

    def __bool__(self) -> bool:
        return bool(self.by_scheme)

    def of(self, url: str) -> Proxy | None:
        """The proxy for a request to `url`; None if it goes straight there."""
        address = urlsplit(url)
        proxy = self.by_scheme.get(_SCHEMES.get(address.scheme, ""))
        host = address.hostname or ""
        if proxy is None or is_this_machine(host) or proxy_bypass(f"{host}:{_port(address)}"):
            return None
        return proxy

    @cached_property
    def secrets(self) -> list[SecretStr]:
        """What must not be logged."""
        logins = [(proxy.login, proxy.authorization) for proxy in self.by_scheme.values()]
        return [
            secret
            for login, authorization in logins
            if login is not None and authorization is not None
            for secret in (login[1], SecretStr(authorization.get_secret_value().removeprefix("Basic ")))
        ]


def environment_proxies() -> Proxies:
    """The proxies of the environment, without those that cannot be used (`proxy_problems`)."""
    found = {scheme: _read(variable, value) for scheme, variable, value in _of_environment()}
    return Proxies({scheme: proxy for scheme, proxy in found.items() if isinstance(proxy, Proxy)})


def proxy_problems() -> list[str]:
    """A line for each proxy of the environment that cannot be used. None repeats a value, which may hold a password."""
    found = {variable: _read(variable, value) for _, variable, value in _of_environment()}
    return [problem for problem in found.values() if isinstance(problem, str)]


def is_this_machine(host: str) -> bool:
    """Whether `host` is this machine, which no proxy leads to."""
    host = host.lower().rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _of_environment() -> list[tuple[str, str, str]]:
    """(scheme, the variable that names its proxy, its value)."""
    given = getproxies()
    return [
        (scheme, f"{name.upper()}_PROXY", given[name])
        for scheme in ("https", "http")
        if (name := scheme if scheme in given else "all") in given
    ]


def _read(variable: str, value: str) -> Proxy | str:
    """The proxy, or what is wrong with it."""
    wrong = f"{variable} is not right: it must be http://host:port or http://user:password@host:port"
    try:
        address = urlsplit(value if "://" in value else f"http://{value}")
        port = address.port
    except ValueError:
        return f"{wrong}."
    if address.scheme.startswith("socks"):
        return f"{wrong}; a SOCKS proxy cannot be used."
    host = address.hostname
    if address.scheme not in _PORTS or not host or not host.isprintable() or " " in host:
        return f"{wrong}."
    shown = f"{address.scheme}://{f'[{host}]' if ':' in host else host}:{port or _PORTS[address.scheme]}"
    if address.username is None and address.password is None:
        return Proxy(variable, shown)
    return Proxy(variable, shown, (unquote(address.username or ""), SecretStr(unquote(address.password or ""))))


def _port(address: SplitResult) -> int:
    try:
        return address.port or _PORTS[_SCHEMES[address.scheme]]
    except ValueError:
        return 0
