"""The class access of AMQP 0-8, two methods that RabbitMQ still takes and pamqp does not have.

A client that asks for access to a realm gets it, with the ticket 1, which means nothing (`rabbit_channel`).
"""

from typing import ClassVar

from pamqp.base import Frame


class Request(Frame):
    """`access.request`, of which nothing is looked at."""

    __slots__: ClassVar[list[str]] = ["realm", "exclusive", "passive", "active", "write", "read"]  # noqa: RUF023 - in order
    index: ClassVar[int] = 30 << 16 | 10
    name: ClassVar[str] = "Access.Request"
    _realm = "shortstr"
    _exclusive = _passive = _active = _write = _read = "bit"


class RequestOk(Frame):
    """`access.request-ok`."""

    __slots__: ClassVar[list[str]] = ["ticket"]
    index: ClassVar[int] = 30 << 16 | 11
    name: ClassVar[str] = "Access.RequestOk"
    _ticket = "short"

    def __init__(self, ticket: int = 1) -> None:
        self.ticket = ticket
