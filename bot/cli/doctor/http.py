"""How the doctor's own checks ask over HTTP: a short while, and on the way out that the environment wants."""

import httpx

from bot.settings.proxies import environment_proxies

TIMEOUT = 5.0
"""Seconds for one request of a check."""


def client_for(url: str, *, follow_redirects: bool = False) -> httpx.AsyncClient:
    """A client for requests to `url`."""
    proxy = environment_proxies().of(url)
    through = None
    if proxy is not None:
        login = None if proxy.login is None else (proxy.login[0], proxy.login[1].get_secret_value())
        through = httpx.Proxy(proxy.url, auth=login)
    verify = httpx.create_ssl_context()
    return httpx.AsyncClient(
        timeout=TIMEOUT, proxy=through, verify=verify, trust_env=False, follow_redirects=follow_redirects
    )
