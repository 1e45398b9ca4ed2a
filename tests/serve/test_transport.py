"""The wire of a landscape: public URLs lead to where a participant listens, all others to where they say."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from phrasim.serve.transport import SocketTransport


def no_tls() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def asked(ask: Callable[[httpx.AsyncClient, str], Awaitable[Any]], *known: str) -> list[tuple[str, str]]:
    """Target and Host of each request that reaches a server that is known by these URLs; `ask` has its real one."""

    async def run() -> list[tuple[str, str]]:
        seen: list[tuple[str, str]] = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            host = next(line.split(": ")[1] for line in head if line.lower().startswith("host: "))
            seen.append((head[0].split()[1], host))
            writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            real = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            own = {real: real, **dict.fromkeys(known, real)}
            transport = SocketTransport(own, own_tls=no_tls, external_tls=no_tls)
            async with httpx.AsyncClient(transport=transport) as client:
                await ask(client, real)
        return seen

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("known", "url", "target"),
    [
        ("http://media.example", "http://media.example/assets/1?a=b%20c", "/assets/1?a=b%20c"),
        ("https://media.example", "https://media.example/assets", "/assets"),
        ("http://media.example:8081", "http://media.example:8081/a%2Fb", "/a%2Fb"),
        ("https://media.example/up", "https://media.example/up/assets", "/assets"),
        ("https://media.example/up/", "https://media.example/up/assets", "/assets"),
        ("https://media.example/up", "https://media.example/up", "/"),
        ("https://media.example/up", "https://media.example/up?a=b", "/?a=b"),
    ],
)
def test_a_public_url_leads_to_where_the_participant_listens(known: str, url: str, target: str) -> None:
    async def ask(client: httpx.AsyncClient, real: str) -> None:
        assert (await client.get(url)).status_code == 204

    [(found, _)] = asked(ask, known)
    assert found == target


def test_the_real_url_leads_there_as_well() -> None:
    async def ask(client: httpx.AsyncClient, real: str) -> None:
        assert (await client.get(f"{real}/a?b=c")).status_code == 204

    [(target, host)] = asked(ask, "https://media.example/up")
    assert target == "/a?b=c"
    assert host.startswith("127.0.0.1:")


def test_of_two_that_fit_the_longer_is_meant() -> None:
    async def ask(client: httpx.AsyncClient, real: str) -> None:
        await client.get("https://dam.example/up/assets")
        await client.get("https://dam.example/other")

    assert [target for target, _ in asked(ask, "https://dam.example", "https://dam.example/up")] == [
        "/assets",
        "/other",
    ]


def test_a_name_that_merely_begins_like_a_public_url_leads_elsewhere() -> None:
    async def ask(client: httpx.AsyncClient, real: str) -> None:
        with pytest.raises(httpx.ConnectError):
            await client.get(f"{real.replace('127.0.0.1', 'upload.invalid')}/a")
        with pytest.raises(httpx.HTTPError):
            await client.get("https://media.invalid/upper/assets")
        with pytest.raises(httpx.HTTPError):
            await client.get("http://media.invalid/up/assets")

    assert asked(ask, "https://media.invalid/up") == []


def test_tls_is_made_only_for_whoever_asks_for_it() -> None:
    made: list[str] = []

    def context(name: str) -> Callable[[], ssl.SSLContext]:
        def make() -> ssl.SSLContext:
            made.append(name)
            return no_tls()

        return make

    async def run() -> None:
        transport = SocketTransport(
            {"http://127.0.0.1:1": "http://127.0.0.1:1"}, own_tls=context("own"), external_tls=context("external")
        )
        async with httpx.AsyncClient(transport=transport) as client:
            for url, expected in (("http://127.0.0.1:1", ["own"]), ("http://127.0.0.1:2", ["own", "external"])):
                for _ in range(2):
                    with pytest.raises(httpx.ConnectError):
                        await client.get(url)
                assert made == expected

    asyncio.run(run())
