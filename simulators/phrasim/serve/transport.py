"""The wire between the participants of a landscape and to external ones: HTTP on sockets."""

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

import httpx

from phrasim.serve.client_connection import ClientConnection, Timeouts

CONNECTIONS_MAX = 100
"""Connections that a landscape keeps to all others together; a request more waits for one."""

KEEP_SECONDS = 5.0
"""How long a connection is kept that nobody uses: shorter than servers do, so that none is met at its end."""

ADDRESS_SECONDS = 1.0
"""How long one of a name's addresses may take to answer before the next is tried; the last has all the time left."""

_PORTS = {"http": 80, "https": 443}


class SocketTransport(httpx.AsyncBaseTransport):
    """Carries requests to the sockets of the own landscape, and to external participants.

    `own` gives, for each URL under which a participant of the landscape is known, where it really listens: a public
    URL may lead nowhere from here. `own_tls` and `external_tls` make the TLS contexts when the first request asks.
    """

    def __init__(
        self,
        own: Mapping[str, str],
        *,
        own_tls: Callable[[], ssl.SSLContext],
        external_tls: Callable[[], ssl.SSLContext],
    ) -> None:
        self._own: dict[tuple[str, bytes], list[tuple[bytes, httpx.URL | None]]] = {}
        """By scheme and authority: the paths below which a participant is known, and where it listens if elsewhere."""
        for known, real in ((httpx.URL(known), httpx.URL(real)) for known, real in own.items()):
            below = self._own.setdefault((known.scheme, known.netloc), [])
            below.append((known.raw_path.rstrip(b"/"), None if known == real else real))
            below.sort(key=lambda one: len(one[0]), reverse=True)
        self._pools = {True: _Pool(own_tls), False: _Pool(external_tls)}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """As httpx's own transport."""
        url = request.url
        target = url.raw_path
        for prefix, real in self._own.get((url.scheme, url.netloc), ()):
            below = target[len(prefix) :]
            if target.startswith(prefix) and below[:1] in (b"/", b"?", b""):
                if real is not None:
                    target = below if below.startswith(b"/") else b"/" + below
                    url = request.url = real.copy_with(raw_path=target)
                return await self._pools[True].ask(request, url, target)
        return await self._pools[False].ask(request, url, target)

    async def aclose(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            pool.close()


class _Pool:
    """Connections that are kept: to whom, the one that was used last is used first."""

    def __init__(self, tls: Callable[[], ssl.SSLContext]) -> None:
        self._make_tls = tls
        self._tls: ssl.SSLContext | None = None
        self._places = asyncio.Semaphore(CONNECTIONS_MAX)
        self._idle: dict[tuple[str, bytes], deque[ClientConnection]] = {}
        self._used: set[ClientConnection] = set()

    async def ask(self, request: httpx.Request, url: httpx.URL, target: bytes) -> httpx.Response:
        """The answer to the request; its connection is given back where its body ends, or is left."""
        timeouts: Timeouts = request.extensions.get("timeout", {})
        await self._place(timeouts.get("pool"))
        try:
            to = (url.scheme, url.netloc)
            connection = self._kept(to) or await self._connected(url, timeouts.get("connect"))
            self._used.add(connection)
            try:
                status, headers, extensions = await connection.ask(request, target, timeouts)
            except BaseException:
                self._used.discard(connection)
                connection.close()
                raise
        except BaseException:
            self._places.release()
            raise
        whole = connection.whole()
        if whole is not None:
            self._take_back(to, connection)
            return httpx.Response(status, headers=headers, stream=httpx.ByteStream(whole), extensions=extensions)
        contents = _Contents(connection.parts(timeouts), lambda: self._take_back(to, connection))
        return httpx.Response(status, headers=headers, stream=contents, extensions=extensions)

    def close(self) -> None:
        """Close all, those that are used as well."""
        for connection in (*self._used, *(one for kept in self._idle.values() for one in kept)):
            connection.close()
        self._idle.clear()

    async def _place(self, seconds: float | None) -> None:
        if not self._places.locked():
            await self._places.acquire()
            return
        try:
            async with asyncio.timeout(seconds):
                await self._places.acquire()
        except TimeoutError:
            raise httpx.PoolTimeout(f"no connection was free within {seconds} s") from None

    def _kept(self, to: tuple[str, bytes]) -> ClientConnection | None:
        """A connection that is open still, if there is one; those that were kept long enough are closed."""
        kept = self._idle.get(to)
        oldest = asyncio.get_running_loop().time() - KEEP_SECONDS
        while kept:
            connection = kept.pop()
            if connection.is_reusable and connection.idle_since >= oldest:
                return connection
            connection.close()
        return None

    def _take_back(self, to: tuple[str, bytes], connection: ClientConnection) -> None:
        self._used.discard(connection)
        self._places.release()
        if not connection.is_reusable:
            connection.close()
            return
        connection.idle_since = asyncio.get_running_loop().time()
        self._idle.setdefault(to, deque()).append(connection)
        if len(self._used) + sum(map(len, self._idle.values())) > CONNECTIONS_MAX:
            longest = min((kept for kept in self._idle.values() if kept), key=lambda kept: kept[0].idle_since)
            longest.popleft().close()

    async def _connected(self, url: httpx.URL, seconds: float | None) -> ClientConnection:
        """A new connection. Raises `httpx.ConnectError`, `httpx.ConnectTimeout` or `httpx.UnsupportedProtocol`."""
        if url.scheme not in _PORTS:
            raise httpx.UnsupportedProtocol(f"Request URL has an unsupported protocol '{url.scheme}://'.")
        if self._tls is None:
            self._tls = self._make_tls()
            self._tls.set_alpn_protocols(["http/1.1"])
        tls = self._tls if url.scheme == "https" else None
        try:
            async with asyncio.timeout(seconds):
                return await _connected(url.raw_host.decode("ascii"), url.port or _PORTS[url.scheme], tls)
        except TimeoutError:
            raise httpx.ConnectTimeout(f"no connection within the connect time-out of {seconds} s") from None
        except OSError as error:
            raise httpx.ConnectError(str(error)) from error


async def _connected(host: str, port: int, tls: ssl.SSLContext | None) -> ClientConnection:
    """A connection to the first address of the host that takes one; the error of the last where none does."""
    loop = asyncio.get_running_loop()
    *others, last = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for one in others:
        with suppress(OSError):  # TimeoutError is one
            async with asyncio.timeout(ADDRESS_SECONDS):
                return await _connected_to(one, host, tls)
    return await _connected_to(last, host, tls)


async def _connected_to(found: tuple[Any, ...], host: str, tls: ssl.SSLContext | None) -> ClientConnection:
    """A connection to an address as `getaddrinfo` tells it."""
    loop = asyncio.get_running_loop()
    family, kind, protocol, _, address = found
    connecting = socket.socket(family, kind, protocol)
    connecting.setblocking(False)
    try:
        await loop.sock_connect(connecting, address)
    except BaseException:
        connecting.close()
        raise
    _, connection = await loop.create_connection(
        ClientConnection, sock=connecting, ssl=tls, server_hostname=host if tls else None
    )
    return connection


class _Contents(httpx.AsyncByteStream):
    """The body of an answer; `ended` is called once, at its end or where it is left."""

    def __init__(self, parts: AsyncIterator[bytes], ended: Callable[[], None]) -> None:
        self._parts = parts
        self._ended: Callable[[], None] | None = ended

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._parts

    async def aclose(self) -> None:
        if self._ended is not None:
            ended, self._ended = self._ended, None
            ended()
