"""Which addresses of the network a playlist may lead to. What counts is the address that is connected to, not the name:
a name may answer differently from one look to the next.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from enum import Enum

from aiohttp import AddrInfoType

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""IPv4 addresses behind a gateway (RFC 6052); Python calls them global, whatever is inside."""

LOOKUP_TIMEOUT = 5.0
"""Seconds that the look-up of the provider's own name may take."""


class Reach(Enum):
    """From where an address can be reached."""

    GLOBAL = "the internet"
    PRIVATE = "a private network"
    LOOPBACK = "this machine"
    LINK_LOCAL = "this link"
    NOWHERE = "nowhere"
    """Multicast, reserved, or no address of a machine. Unspecified is one of these, although Linux connects it to
    itself."""


class AddressRefused(OSError):
    """A connection to an address that the playlist of a provider must not lead to."""


def reach_of(address: str) -> Reach:
    """From where an IP address can be reached; of one that is inside another, the inner one counts.

    Raises ValueError if it is none.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and (inner := _inside(ip)) is not None:
        ip = inner
    if ip.is_unspecified or ip.is_multicast:
        return Reach.NOWHERE
    if ip.is_loopback:
        return Reach.LOOPBACK
    if ip.is_link_local:
        return Reach.LINK_LOCAL
    if ip.is_global:
        return Reach.GLOBAL
    # Shared address space (RFC 6598) is neither global nor private to Python, and is somebody's inner network.
    return Reach.NOWHERE if ip.is_reserved and ip.version == 4 else Reach.PRIVATE


def _inside(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


async def reaches_of_host(host: str) -> frozenset[Reach]:
    """From where a host can be reached, by all of its addresses; nothing if it cannot be looked up."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOKUP_TIMEOUT):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        return frozenset()
    return frozenset(reach_of(str(address[0])) for *_, address in found)


def make_socket(allowed: Iterable[Reach], info: AddrInfoType) -> socket.socket:
    """A socket for a connection to the address in `info`, which aiohttp is about to connect to.

    Raises `AddressRefused` if it is not reached from where it may be.
    """
    family, kind, protocol, _, address = info
    reach = reach_of(str(address[0]))
    if reach not in allowed:
        raise AddressRefused(f"the address belongs to {reach.value}")
    return socket.socket(family=family, type=kind, proto=protocol)
