"""Ports for programs that are told theirs and bind them later."""

import random
import socket

BELOW_EPHEMERAL = range(20_000, 32_000)
"""Where Linux takes no port from for who asks for any (`ip_local_port_range`): meanwhile nobody else is given it."""


def free_ports(count: int) -> list[int]:
    """So many TCP ports of 127.0.0.1 that nobody has."""
    chance = random.SystemRandom()
    found: list[int] = []
    while len(found) < count:
        port = chance.choice(BELOW_EPHEMERAL)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
    return found
