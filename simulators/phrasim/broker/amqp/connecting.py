"""Connections to a broker, and its answers, by aiormq: the library below aio-pika, whose calls are AMQP's own methods.

Time is real here, a socket's cannot be simulated.
"""

import asyncio
import errno
import os
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import aiormq
from aiormq.abc import AbstractConnection
from aiormq.channel import EXCEPTION_MAPPING as CHANNEL_ERRORS
from aiormq.connection import EXCEPTION_MAPPING as CONNECTION_ERRORS
from aiormq.exceptions import (
    AMQPError,
    ChannelClosed,
    ConnectionClosed,
    InvalidFrameError,
    ProbableAuthenticationError,
)

from phrasim.broker.amqp.url import BrokerUrl
from phrasim.broker.client import BrokerError

ANSWER_SECONDS = 10.0
"""How long a broker may take to answer to a connection or a method, or with the confirm of a message."""

CLOSE_SECONDS = 1.0
"""How long it may take to say farewell."""

FAILURES = (AMQPError, OSError, TimeoutError, RuntimeError)
"""What aiormq raises: its own errors, those of the socket, and RuntimeError for a channel that is closed already."""

_REPLY_CODES = {
    raised: code
    for errors in (CHANNEL_ERRORS, CONNECTION_ERRORS, {403: ProbableAuthenticationError})
    for code, raised in errors.items()
}
"""What aiormq makes of a reply code where it keeps the text alone."""

_Result = TypeVar("_Result")

Connector = Callable[[str], Awaitable[AbstractConnection]]
"""Makes a connection that shows itself to the broker by the name that it is given. Raises `BrokerError`."""


def connector(url: BrokerUrl, tls: Callable[[], ssl.SSLContext]) -> Connector:
    """What connects to the broker at `url`; `tls` makes the context of one that speaks TLS."""

    async def connect(name: str) -> AbstractConnection:
        context = tls() if url.tls else None
        connection = aiormq.Connection(url.full, context=context, client_properties={"connection_name": name})
        # Of a URL it would read "..", and "%2F" where that is the name itself, as "/".
        connection.vhost = url.vhost
        try:
            await answered(connection.connect())
        except BrokerError as error:
            if isinstance(error.__cause__, InvalidFrameError):
                # Behind the login aiormq does not tell what the broker said.
                raise BrokerError(f"there is no virtual host {url.vhost!r} that the user may use") from error
            raise
        return connection

    return connect


async def farewell(connection: AbstractConnection) -> None:
    """Close a connection; one that takes too long is left to itself."""
    with suppress(*FAILURES):
        async with asyncio.timeout(CLOSE_SECONDS):
            await connection.close()


async def answered(call: Awaitable[_Result]) -> _Result:
    """What the broker answers. Raises `BrokerError` where it refuses, is gone, or does not answer in time."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await call
    except FAILURES as error:
        raise BrokerError(reason_of(error)) from error


def reason_of(error: BaseException) -> str:
    """What a person is told of a failure: RabbitMQ's reply code and text where there are any."""
    if isinstance(error, ChannelClosed | ConnectionClosed | ProbableAuthenticationError):
        code, text = (_REPLY_CODES.get(type(error)), *error.args)[-2:]
        return "the channel is closed" if code is None else f"{code} {text}"
    if isinstance(error, RuntimeError):
        # What aiormq says of a channel or a connection that is closed already is its place in memory.
        return "the channel is closed"
    if isinstance(error, TimeoutError) and not isinstance(error, AMQPError):
        return f"the broker did not answer within {ANSWER_SECONDS:g} s"
    if isinstance(error, OSError) and "SSL" in (error.strerror or ""):
        return "the broker speaks no TLS that we can speak; for a plain connection write amqp://"
    if str(error).startswith("Server connection unexpectedly closed"):
        return "the broker has hung up" if "Read 0 bytes" in str(error) else "what came is no AMQP, or broke off"
    if isinstance(error, OSError) and error.strerror:
        # asyncio tells of a refused connection in words of its own.
        code = error.errno or 0
        told = os.strerror(code) if code in errno.errorcode else error.strerror
        return f"the broker cannot be reached: {told}"
    return str(error) or type(error).__name__
