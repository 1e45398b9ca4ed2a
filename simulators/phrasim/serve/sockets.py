"""The ports of a landscape: bound before anything else starts, so that what is wrong with one is said at once.

Nothing here knows a server or a participant; a socket is bound for whoever `what` names.
"""

import errno
import ipaddress
import os
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

PORT_MAX = 65_535
"""The highest TCP port; 0 asks for any free one."""
_BACKLOG = 2048
"""Connections that may wait to be accepted; the system takes less if it allows less."""
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_NOT_OF_THIS_MACHINE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
_TRY_ANOTHER = "choose another by {option}, or 0 for any free one"


class PortError(Exception):
    """A port cannot be bound: the message names for whom, what was found and what would be right."""


def bind(host: str, port: int, what: str, option: str) -> socket.socket:
    """A non-blocking TCP socket that listens on `host` and `port`, for `what`, whose port the user gives by `option`.

    It listens already, because two sockets may be bound to one port as long as neither does: a server may listen on it
    again, and who connects before that waits. Of a host with several addresses the first that can be bound is taken.
    Raises `PortError`.
    """
    if not 0 <= port <= PORT_MAX:
        raise PortError(
            f"{what}: {option} {port} is no port; one lies between 1 and {PORT_MAX}, and 0 takes any free one"
        )
    errors = []
    for family, kind, protocol, _, address in _addresses(host, port, what):
        try:
            return _listening(socket.socket(family, kind, protocol), address)
        except OSError as error:
            errors.append(error)
    # That a machine has no IPv6, say, tells less than why the address that it does have cannot be bound.
    telling = [error for error in errors if error.errno not in _NOT_OF_THIS_MACHINE] or errors
    raise PortError(_problem(telling[0], host, port, what, option)) from telling[0]


def bind_all(host: str, wanted: Mapping[str, tuple[int, str]]) -> dict[str, socket.socket]:
    """A bound socket for each name in `wanted`, which gives its port and the option that the port came by.

    All or none: what was bound is closed when one cannot be. Raises `PortError`.
    """
    options: dict[int, tuple[str, str]] = {}
    for what, (port, option) in wanted.items():
        if port in options:
            other, other_option = options[port]
            raise PortError(
                f"{other} and {what}: {other_option} and {option} both say {port}; give each a port of its own, "
                "or 0 for any free one"
            )
        if port:
            options[port] = (what, option)
    bound: dict[str, socket.socket] = {}
    with ExitStack() as opened:
        # Free ports are drawn last, or one could be drawn that an option names.
        for what in sorted(wanted, key=lambda what: wanted[what][0] == 0):
            bound[what] = opened.enter_context(bind(host, wanted[what][0], what, wanted[what][1]))
        opened.pop_all()
    return {what: bound[what] for what in wanted}


def url_of(bound: socket.socket, scheme: str) -> str:
    """The base URL at which a bound socket is reached from this machine, without a slash at its end."""
    host, port = bound.getsockname()[:2]
    host = _WILDCARDS.get(host, host)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches `host`: `localhost`, or a loopback address. No name is looked up."""
    if host.casefold() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    # Python before 3.13 does not look into ::ffff:127.0.0.1.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def _addresses(host: str, port: int, what: str) -> list[tuple[Any, ...]]:
    """What `getaddrinfo` says: family, kind, protocol, name and address of a socket, for each address of `host`."""
    try:
        return [*socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)]
    except (socket.gaierror, UnicodeError) as error:
        # A host that no name can be, such as one with an empty label, fails as a UnicodeError.
        reason = f" ({error.strerror})" if isinstance(error, socket.gaierror) else ""
        raise PortError(
            f"{what}: the host {host!r} is not known here{reason}; --host takes an address or a name of this machine, "
            "such as 127.0.0.1, ::1 or localhost"
        ) from error


def _listening(made: socket.socket, address: Any) -> socket.socket:
    with ExitStack() as opened:
        opened.enter_context(made)
        # A port whose last connections linger in TIME_WAIT can be bound again at once.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(_BACKLOG)
        made.setblocking(False)
        opened.pop_all()
    return made


def _problem(error: OSError, host: str, port: int, what: str, option: str) -> str:
    another = _TRY_ANOTHER.format(option=option)
    if error.errno == errno.EADDRINUSE:
        return f"{what}: port {port} on {host} is taken by another program; {another}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"{what}: port {port} on {host} is not for this user to bind, as ports below 1024 mostly are; {another}"
    if error.errno in _NOT_OF_THIS_MACHINE:
        return (
            f"{what}: {host} is not an address of this machine; --host takes one that is, such as 127.0.0.1, "
            "or 0.0.0.0 for all of them"
        )
    reason = os.strerror(error.errno) if error.errno else str(error)
    return f"{what}: port {port} on {host} cannot be bound: {reason}; {another}"
