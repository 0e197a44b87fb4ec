"""Ports for programs that must be told a port before they start; whatever can, listens on port 0 instead."""

import random
import socket

_BELOW_EPHEMERAL = range(15_000, 32_000)
"""Linux gives outgoing connections, and listeners on port 0, a port from 32768 on (ip_local_port_range): a port that is
free now and lies below stays free of those."""


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port of the loopback address that nobody uses now, and that nobody is given by chance afterwards."""
    while True:
        port = random.choice(_BELOW_EPHEMERAL)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
