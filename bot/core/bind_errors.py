"""What to tell an operator when a server cannot listen where it was told to, and who can reach an address."""

import errno
import ipaddress
import os

ALWAYS_THERE = "Use 127.0.0.1 for this machine alone, 0.0.0.0 for everybody."


def explain_bind_error(error: OSError, *, host: tuple[str, str], port: tuple[str, int]) -> str:
    """One sentence for an error of a server's start.

    host, port: what the operator set them with (`WEB_PORT`, `--port`) and to what.
    """
    (host_name, host_value), (port_name, port_value) = host, port
    match error.errno:
        case errno.EADDRINUSE:
            why = "another program already listens there; choose another port, or 0 for any free one"
        case errno.EACCES:
            why = "listening there needs special rights; choose a port from 1024 up, or 0 for any free one"
        case errno.EADDRNOTAVAIL:
            return f'{host_name} is "{host_value}": this machine has no such address. {ALWAYS_THERE}'
        case int(number) if number > 0:
            why = f"it cannot be used ({os.strerror(number).lower()})"
        case _:
            # Names that cannot be resolved have numbers of their own, below 0 (getaddrinfo).
            return f'{host_name} is "{host_value}": there is no machine of that name. {ALWAYS_THERE}'
    return f"{port_name} is {port_value}: {why}."


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens at `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
