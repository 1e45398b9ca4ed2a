"""An application on a socket: the edge's HTTP connections on the running loop, stopped in bounded time.

Not uvicorn's own `Server`: several stand side by side here, signals belong to the command, and a stop has to wait for
the requests that it breaks off, so that they clear up behind themselves.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from typing import Any

import uvicorn
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.server import ServerState

from phrasim.edge.at_once import at_once
from phrasim.edge.http_connection import HttpConnection

KEEP_ALIVE_SECONDS = 75
"""How long an idle connection stays open: longer than any client of ours keeps one, so that none meets its end."""

BREAK_OFF_SECONDS = 0.25
"""How long a request that is broken off may take to clear up."""


class HttpServer:
    """Serves `app` on a bound socket, from `start` to `stop`; `tls` makes it HTTPS."""

    def __init__(self, app: ASGIApp, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        self._app = app
        self._listener = listener
        self._tls = tls
        self._state = ServerState()
        self._config = uvicorn.Config(
            self._answer,
            http=HttpConnection,
            ws="none",
            interface="asgi3",
            lifespan="off",
            log_config=None,
            log_level=logging.ERROR,  # a warning tells what a caller did wrong, and the caller has the answer
            access_log=False,
            server_header=False,
            proxy_headers=False,  # nobody asks for the caller's address
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._config.load()
        self._server: asyncio.Server | None = None
        self._gone = asyncio.Event()
        self._second: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Answer from now on."""
        loop = asyncio.get_running_loop()

        def connected() -> _Connection:
            return _Connection(
                self._config,
                self._state,
                app_state={},
                _loop=loop,
                at_once=at_once(self._app),
                gone=self._gone.set,
            )

        self._each_second(loop)
        self._server = await loop.create_server(
            connected, sock=self._listener, ssl=self._tls, backlog=self._config.backlog
        )

    async def stop(self, seconds: float) -> None:
        """Accept no more and end what is under way; what `seconds` do not suffice for is broken off."""
        if self._server is not None:
            self._server.close()
        self._listener.close()
        if self._second is not None:
            self._second.cancel()
        for connection in tuple(self._state.connections):
            connection.shutdown()  # closes it now where it is idle, else behind its answer
        try:
            async with asyncio.timeout(seconds):
                await self._ended()
        except TimeoutError:
            await self._break_off()

    async def _ended(self) -> None:
        """Wait for the requests, and for what their answers have still to send."""
        while self._state.tasks:
            # Again and again: behind an answer the next of several pipelined requests begins.
            await asyncio.wait(tuple(self._state.tasks))
        while self._state.connections:
            self._gone.clear()
            await self._gone.wait()

    async def _break_off(self) -> None:
        requests = tuple(self._state.tasks)
        for request in requests:
            request.cancel()
        if requests:
            await asyncio.wait(requests, timeout=BREAK_OFF_SECONDS)
        for connection in tuple(self._state.connections):
            connection.transport.abort()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A caller who left within the request needs no answer, and is no failure of the application.
        with suppress(ClientDisconnect):
            await self._app(scope, receive, send)

    def _each_second(self, loop: asyncio.AbstractEventLoop) -> None:
        """Make the Date header anew (RFC 9110 §6.6.1), and close the connections that are idle."""
        self._state.default_headers = [(b"date", formatdate(time.time(), usegmt=True).encode())]
        for connection in tuple(self._state.connections):
            assert isinstance(connection, HttpConnection), "the server makes no others"
            connection.close_if_idle()
        self._second = loop.call_later(1, self._each_second, loop)


class _Connection(HttpConnection):
    """A connection that says when it is `gone`."""

    def __init__(self, *args: Any, gone: Callable[[], None], **options: Any) -> None:
        super().__init__(*args, **options)
        self._gone = gone

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn has it."""
        super().connection_lost(exc)
        self._gone()
