"""From where an address is reached, and that no socket is made for one that must not be reached."""

import socket

import pytest

from adapters.media.relay.addresses import AddressRefused, Reach, make_socket, reach_of, reaches_of_host


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("93.184.215.14", Reach.GLOBAL),
        ("2606:2800:21f:cb07::1", Reach.GLOBAL),
        ("127.0.0.1", Reach.LOOPBACK),
        ("127.255.255.254", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK),
        ("::ffff:127.0.0.1", Reach.LOOPBACK),
        ("64:ff9b::7f00:1", Reach.LOOPBACK),
        ("2002:7f00:1::", Reach.LOOPBACK),
        ("169.254.169.254", Reach.LINK_LOCAL),
        ("::ffff:169.254.169.254", Reach.LINK_LOCAL),
        ("fe80::1%eth0", Reach.LINK_LOCAL),
        ("10.1.2.3", Reach.PRIVATE),
        ("172.16.0.1", Reach.PRIVATE),
        ("192.168.1.1", Reach.PRIVATE),
        ("100.64.0.1", Reach.PRIVATE),
        ("64:ff9b::a01:203", Reach.PRIVATE),
        ("fd00::1", Reach.PRIVATE),
        ("0.0.0.0", Reach.NOWHERE),
        ("::", Reach.NOWHERE),
        ("::ffff:0.0.0.0", Reach.NOWHERE),
        ("224.0.0.1", Reach.NOWHERE),
        ("255.255.255.255", Reach.NOWHERE),
        ("ff02::1", Reach.NOWHERE),
    ],
)
def test_reach(address: str, reach: Reach) -> None:
    assert reach_of(address) is reach


def test_no_socket_is_made_for_an_address_that_is_not_allowed() -> None:
    info = (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("169.254.169.254", 80))
    with pytest.raises(AddressRefused):
        make_socket({Reach.GLOBAL, Reach.LOOPBACK}, info)
    make_socket({Reach.LINK_LOCAL}, info).close()


async def test_a_host_is_where_its_addresses_are() -> None:
    assert await reaches_of_host("127.0.0.1") == {Reach.LOOPBACK}
    assert await reaches_of_host("localhost") == {Reach.LOOPBACK}
    assert await reaches_of_host("x" * 300) == frozenset()
