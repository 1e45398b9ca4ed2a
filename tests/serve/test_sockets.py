import asyncio
import errno
import socket
from collections.abc import Iterator

import httpx
import pytest
import uvicorn

from phrasim.serve.sockets import PortError, bind, bind_all, is_loopback, url_of


def machine_has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not machine_has_ipv6(), reason="this machine has no IPv6")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port of 127.0.0.1 on which another program listens."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def refusal(host: str = "127.0.0.1", port: int = 0, option: str = "--upload-port") -> str:
    with pytest.raises(PortError) as exc_info:
        bind(host, port, "upload", option)
    return str(exc_info.value)


class TestABoundSocket:
    def test_port_0_is_a_free_one_that_its_url_tells(self) -> None:
        with bind("127.0.0.1", 0, "upload", "--upload-port") as bound:
            assert url_of(bound, "http") == f"http://127.0.0.1:{bound.getsockname()[1]}"

    def test_it_does_not_block(self) -> None:
        with bind("127.0.0.1", 0, "upload", "--upload-port") as bound:
            assert not bound.getblocking()

    def test_it_is_not_shared_with_another_program_that_would_take_the_port_too(self) -> None:
        with bind("127.0.0.1", 0, "upload", "--upload-port") as bound, socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError) as exc_info:
                other.bind(bound.getsockname())
        assert exc_info.value.errno == errno.EADDRINUSE

    def test_a_port_whose_connections_linger_is_bound_again_at_once(self) -> None:
        with bind("127.0.0.1", 0, "upload", "--upload-port") as first:
            port = first.getsockname()[1]
            first.setblocking(True)
            with socket.create_connection(("127.0.0.1", port)) as client:
                accepted, _ = first.accept()
                # Who closes first is left in TIME_WAIT.
                accepted.close()
                assert client.recv(1) == b""
        with bind("127.0.0.1", port, "upload", "--upload-port") as second:
            assert second.getsockname()[1] == port

    def test_uvicorn_serves_it_and_answers_who_connected_before(self) -> None:
        async def app(scope: object, receive: object, send: object) -> None:
            await send({"type": "http.response.start", "status": 204, "headers": []})  # type: ignore[operator]
            await send({"type": "http.response.body"})  # type: ignore[operator]

        async def run() -> int:
            bound = bind("127.0.0.1", 0, "upload", "--upload-port")
            server = uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="none", log_level="critical"))
            transport = httpx.AsyncHTTPTransport(verify=False, trust_env=False)
            async with httpx.AsyncClient(transport=transport, trust_env=False) as client, asyncio.TaskGroup() as group:
                asked = group.create_task(client.get(url_of(bound, "http")))
                group.create_task(server.serve(sockets=[bound]))
                status = (await asked).status_code
                server.should_exit = True
            return status

        assert asyncio.run(run()) == 204

    @needs_ipv6
    def test_an_ipv6_address_stands_in_brackets(self) -> None:
        with bind("::1", 0, "auth", "--auth-port") as bound:
            assert url_of(bound, "https") == f"https://[::1]:{bound.getsockname()[1]}"

    def test_a_wildcard_is_reached_by_the_loopback_address(self) -> None:
        with bind("0.0.0.0", 0, "auth", "--auth-port") as bound:
            assert url_of(bound, "http").startswith("http://127.0.0.1:")

    @needs_ipv6
    def test_the_wildcard_of_ipv6_is_reached_by_its_own_loopback_address(self) -> None:
        with bind("::", 0, "auth", "--auth-port") as bound:
            assert url_of(bound, "http").startswith("http://[::1]:")

    def test_localhost_is_one_of_its_addresses(self) -> None:
        with bind("localhost", 0, "auth", "--auth-port") as bound:
            assert is_loopback(bound.getsockname()[0])

    def test_of_several_addresses_the_first_that_can_be_bound_is_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        resolves_to(monkeypatch, "192.0.2.7", "127.0.0.1")
        with bind("localhost", 0, "auth", "--auth-port") as bound:
            assert bound.getsockname()[0] == "127.0.0.1"


def resolves_to(monkeypatch: pytest.MonkeyPatch, *addresses: str, port: int = 0) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port)) for address in addresses]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)


class TestARefusal:
    def test_names_a_taken_port_and_the_option_that_chooses_another(self, taken: int) -> None:
        assert refusal(port=taken) == (
            f"upload: port {taken} on 127.0.0.1 is taken by another program; "
            "choose another by --upload-port, or 0 for any free one"
        )

    def test_of_a_taken_port_outweighs_an_address_that_the_machine_has_not(
        self, taken: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resolves_to(monkeypatch, "192.0.2.7", "127.0.0.1", port=taken)
        assert "is taken by another program" in refusal("localhost", taken)

    def test_tells_of_a_port_that_needs_permission(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The system's own refusal, made here since tests may run as root."""

        def forbidden(_bound: socket.socket, _address: object) -> None:
            raise PermissionError(errno.EACCES, "Permission denied")

        monkeypatch.setattr(socket.socket, "bind", forbidden)
        assert refusal(port=80) == (
            "upload: port 80 on 127.0.0.1 is not for this user to bind, as ports below 1024 mostly are; "
            "choose another by --upload-port, or 0 for any free one"
        )

    @pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "", "[::1]"])
    def test_names_a_host_that_is_not_known(self, host: str) -> None:
        assert refusal(host).startswith(f"upload: the host {host!r} is not known here")

    def test_names_an_address_that_is_not_of_this_machine(self) -> None:
        assert refusal("192.0.2.7").startswith("upload: 192.0.2.7 is not an address of this machine; --host takes one")

    @pytest.mark.parametrize("port", [-1, 65_536])
    def test_names_a_port_that_is_none(self, port: int) -> None:
        assert refusal(port=port) == (
            f"upload: --upload-port {port} is no port; one lies between 1 and 65535, and 0 takes any free one"
        )

    @needs_ipv6
    def test_of_another_kind_gives_the_reason_of_the_system(self) -> None:
        assert "fe80::1 cannot be bound: Invalid argument; choose another" in refusal("fe80::1")


class TestSeveralPorts:
    def test_are_bound_each_for_its_name_in_the_order_wanted(self) -> None:
        bound = bind_all("127.0.0.1", {"upload": (0, "--upload-port"), "auth": (0, "--auth-port")})
        try:
            assert list(bound) == ["upload", "auth"]
            assert len({each.getsockname() for each in bound.values()}) == 2
        finally:
            close(bound)

    def test_are_all_closed_when_one_cannot_be_bound(self, taken: int) -> None:
        with bind("127.0.0.1", 0, "upload", "--upload-port") as probe:
            free = probe.getsockname()[1]
        with pytest.raises(PortError) as exc_info:
            bind_all("127.0.0.1", {"upload": (free, "--upload-port"), "auth": (taken, "--auth-port")})
        assert str(exc_info.value).startswith(f"auth: port {taken} on 127.0.0.1 is taken")
        bind("127.0.0.1", free, "upload", "--upload-port").close()

    def test_may_not_be_the_same(self) -> None:
        with pytest.raises(PortError) as exc_info:
            bind_all("127.0.0.1", {"upload": (8081, "--upload-port"), "auth": (8081, "--auth-port")})
        assert str(exc_info.value) == (
            "upload and auth: --upload-port and --auth-port both say 8081; give each a port of its own, "
            "or 0 for any free one"
        )

    def test_that_are_free_ones_are_drawn_after_those_that_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        order: list[int] = []
        bind_as_it_is = socket.socket.bind

        def noted(bound: socket.socket, address: tuple[str, int]) -> None:
            order.append(address[1])
            bind_as_it_is(bound, address)

        with bind("127.0.0.1", 0, "upload", "--upload-port") as probe:
            named = probe.getsockname()[1]
        monkeypatch.setattr(socket.socket, "bind", noted)
        bound = bind_all("127.0.0.1", {"upload": (0, "--upload-port"), "auth": (named, "--auth-port")})
        close(bound)
        assert order == [named, 0]
        assert list(bound) == ["upload", "auth"]


def close(bound: dict[str, socket.socket]) -> None:
    for each in bound.values():
        each.close()


@pytest.mark.parametrize("host", ["localhost", "LocalHost", "127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_only_this_machine_reaches_a_loopback_host(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "::ffff:192.0.2.7", "example.org", "", "127.1"])
def test_a_host_that_others_may_reach_is_no_loopback_host(host: str) -> None:
    assert not is_loopback(host)
