import asyncio
import errno
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from hypothesis import example, given
from hypothesis import strategies as st

from phrasim.journal.events import Participant
from phrasim.serve.external import External, ExternalError, Preflight, preflight

ANSWER = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"

Reply = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[None, None, None]]


class Stranger:
    """A server of somebody else's on a real port: `reply` is all that it does, and `asked` what it was asked."""

    def __init__(self, reply: bytes | Reply = ANSWER, tls: ssl.SSLContext | None = None) -> None:
        self._reply = reply
        self._tls = tls
        self.asked: list[bytes] = []
        self.port = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if isinstance(self._reply, bytes):
                self.asked.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(self._reply)
                await writer.drain()
            else:
                await self._reply(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Stranger"]:
        # asyncio tells its loop of the handshakes that a client breaks off.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self


def found(
    stranger: Stranger, scheme: str = "http", *, ca: Path | None = None, insecure: bool = False, seconds: float = 5
) -> Preflight:
    async def run() -> list[Preflight]:
        async with stranger.open():
            external = External({"upload": f"{scheme}://127.0.0.1:{stranger.port}"}, ca, insecure)
            return await preflight(external, seconds)

    [one] = asyncio.run(run())
    return one


def reason(one: Preflight) -> str:
    """Why it is not reachable, as its line says after the name and the URL."""
    beginning = f"{one.participant}: {one.url} not reachable: "
    assert not one.reachable
    assert one.text.startswith(beginning)
    return one.text.removeprefix(beginning)


def refusal(url: str, participant: Participant = "upload") -> str:
    with pytest.raises(ExternalError) as exc_info:
        External({participant: url})
    assert exc_info.value.__context__ is None
    return str(exc_info.value)


class TestAUrl:
    @pytest.mark.parametrize(
        ("written", "kept"),
        [
            ("https://u.example/api/", "https://u.example/api"),
            ("https://u.example/", "https://u.example"),
            ("http://u.example.", "http://u.example."),
            ("http://U.Example:80", "http://u.example"),
            ("http://[::1]:8081/a/b", "http://[::1]:8081/a/b"),
            ("http://u.example/@home", "http://u.example/@home"),
            ("http://ü.example", "http://xn--tda.example"),
        ],
    )
    def test_is_kept_in_one_form_without_a_slash_at_its_end(self, written: str, kept: str) -> None:
        assert External({"upload": written}).urls == {"upload": kept}

    @pytest.mark.parametrize(
        "written", ["u.example", "u.example:80", "//u.example", "ftp://u.example", "", "file:///x"]
    )
    def test_of_another_scheme_is_refused(self, written: str) -> None:
        assert (
            refusal(written) == f"upload: {written!r} is no URL of HTTP; write http://HOST[:PORT][/PATH], or https://"
        )

    @pytest.mark.parametrize(
        "written", ["http://u.example:x", "http://[::1", "http://999.1.1.1", "http://u.example/\n"]
    )
    def test_that_is_none_is_refused(self, written: str) -> None:
        assert refusal(written) == f"upload: {written!r} is no URL; write http://HOST[:PORT][/PATH], or https://"

    @pytest.mark.parametrize(
        "written",
        ["http://", "http:///x", "http://a..b", "http://a b", f"http://{64 * 'a'}", "http://a:0", "http://a:65536"],
    )
    def test_that_leads_nowhere_is_refused(self, written: str) -> None:
        assert refusal(written).startswith(f"upload: {written!r} names no host and port that can be reached; write ")

    @pytest.mark.parametrize("end", ["?", "?token=4711", "#", "#part"])
    def test_that_goes_on_after_its_path_is_refused_and_the_rest_not_shown(self, end: str) -> None:
        assert refusal(f"http://u.example/api{end}") == (
            "upload: the URL 'http://u.example/api' goes on after its path with '?' or '#'; a base URL ends there"
        )

    def test_with_a_password_is_refused_and_the_password_not_shown(self) -> None:
        assert refusal("https://somebody:4711@u.example/api", "auth") == (
            "auth: the URL '…@u.example/api' names a user or a password; write it without, and give those by "
            "--credential NAME=VALUE"
        )

    @given(
        secret=st.lists(st.characters(), max_size=5).map(lambda letters: f"Ж{'Ж'.join(letters)}Ж"),
        written=st.sampled_from(
            [
                "http://me:{}@u.example",
                "{}@u.example",
                "https://{}@u.example/a",
                "x://u:{}@a",
                "http://a?{}",
                "http://a:x#{}",
            ]
        ),
    )
    @example(secret="Ж/Ж", written="http://me:{}@u.example")
    @example(secret="Ж?Ж", written="http://me:{}@u.example")
    @example(secret="Ж@Ж", written="http://a?{}")
    @example(secret="Ж\ud800", written="{}@u.example")
    def test_never_shows_its_secrets_when_it_is_refused(self, secret: str, written: str) -> None:
        assert "Ж" not in refusal(written.format(secret))

    @pytest.mark.parametrize("participant", ["user", "broker"])
    def test_can_stand_for_no_participant_that_speaks_no_http(self, participant: Participant) -> None:
        assert refusal("http://a.example", participant) == (
            f"{participant} cannot be external; upload, phraseanet, auth can"
        )


class TestAPreflight:
    def test_finds_reachable_who_answers_with_any_status(self) -> None:
        one = found(Stranger())
        assert one == Preflight("upload", one.url, True, f"upload: {one.url} reachable (HTTP 401 to GET /)")

    def test_follows_no_redirection(self) -> None:
        stranger = Stranger(b"HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 0\r\n\r\n")
        assert found(stranger).text.endswith("reachable (HTTP 302 to GET /)")
        assert len(stranger.asked) == 1

    def test_waits_for_no_body(self) -> None:
        async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"10000\r\n" + 0x10000 * b"x" + b"\r\n")
                await writer.drain()

        assert found(Stranger(endless)).reachable

    def test_asks_below_the_base_url_and_without_credentials(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        stranger = Stranger()

        async def run() -> None:
            async with stranger.open():
                await preflight(External({"upload": f"http://127.0.0.1:{stranger.port}/api/"}))

        asyncio.run(run())
        [asked] = stranger.asked
        assert asked.startswith(b"GET /api/ HTTP/1.1\r\n")
        assert b"authorization" not in asked.lower()

    def test_says_that_a_connection_was_refused(self) -> None:
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
            [one] = asyncio.run(preflight(External({"auth": url})))
        assert one == Preflight("auth", url, False, f"auth: {url} not reachable: connection refused")

    def test_says_that_a_connection_was_refused_at_each_address_of_a_name(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with socket.socket() as nobody:
            nobody.bind(("0.0.0.0", 0))
            port = nobody.getsockname()[1]
            addresses = [("127.0.0.1", port), ("127.0.0.2", port)]
            found = [(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", address) for address in addresses]
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
            [one] = asyncio.run(preflight(External({"auth": f"http://two.example:{port}"})))
        assert reason(one) == "connection refused"

    def test_says_that_a_name_is_not_resolved(self) -> None:
        [one] = asyncio.run(preflight(External({"auth": "http://no-such-host.invalid"})))
        assert reason(one).startswith("the name 'no-such-host.invalid' is not resolved (")

    def test_gives_the_reason_of_the_system_for_an_address_that_leads_nowhere(self) -> None:
        [one] = asyncio.run(preflight(External({"auth": "http://255.255.255.255"})))
        kinds = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EACCES, errno.EADDRNOTAVAIL)
        assert reason(one) in [os.strerror(kind) for kind in kinds]

    def test_says_how_long_it_waited_for_an_answer(self) -> None:
        assert reason(found(Stranger(silent), seconds=0.1)) == "no answer within 0.1 s"

    def test_waits_no_longer_for_who_answers_a_little_at_a_time(self) -> None:
        async def drop_by_drop(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\n")
            loop = asyncio.get_running_loop()
            while not writer.is_closing():
                writer.write(b"x: y\r\n")
                await writer.drain()
                drop = loop.create_future()
                loop.call_later(0.02, drop.set_result, None)
                await drop

        assert reason(found(Stranger(drop_by_drop), seconds=0.1)) == "no answer within 0.1 s"

    @pytest.mark.parametrize(
        ("reply", "what"),
        [
            (b"", "Server disconnected without sending a response"),
            (b"220 mail.example ESMTP\r\n\r\n", "illegal status line: bytearray(b'220 mail.example ESMTP')"),
            (200_000 * b"x", "Receive buffer too long"),
        ],
    )
    def test_says_that_a_server_speaks_no_http(self, reply: bytes, what: str) -> None:
        assert reason(found(Stranger(reply))) == f"it speaks no HTTP ({what}); if it speaks TLS, write https://"

    def test_says_that_a_server_speaks_no_tls(self) -> None:
        async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(100)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()

        text = reason(found(Stranger(plain), "https"))
        assert text.startswith("TLS failed: ")
        assert text.endswith("; if it speaks plain HTTP, write http://")

    def test_gives_up_a_handshake_that_nobody_answers_and_leaves_no_connection_open(self) -> None:
        """A connection left open would warn, and a warning fails a test."""
        assert reason(found(Stranger(silent), "https", seconds=0.1)) == "no answer within 0.1 s"

    def test_tells_all_in_one_order_and_asks_them_at_once(self) -> None:
        async def run() -> list[Preflight]:
            met = asyncio.Barrier(3)

            async def together(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                await reader.readuntil(b"\r\n\r\n")
                await met.wait()
                writer.write(ANSWER)

            async with Stranger(together).open() as stranger:
                url = f"http://127.0.0.1:{stranger.port}"
                return await preflight(External({"auth": url, "phraseanet": url, "upload": url}))

        results = asyncio.run(run())
        assert [(one.participant, one.reachable) for one in results] == [
            ("upload", True),
            ("phraseanet", True),
            ("auth", True),
        ]

    def test_of_nobody_finds_nothing(self) -> None:
        assert asyncio.run(preflight(External({}))) == []


async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        pass


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


class TestAPreflightOverTls:
    @pytest.fixture
    def ca_file(self, ca: trustme.CA, tmp_path: Path) -> Path:
        ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        return tmp_path / "ca.pem"

    @staticmethod
    def stranger(ca: trustme.CA, host: str = "127.0.0.1", not_after: datetime | None = None) -> Stranger:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        begin = datetime(2019, 1, 1, tzinfo=UTC)
        ca.issue_cert(host, not_before=begin, not_after=not_after).configure_cert(context)
        return Stranger(tls=context)

    def test_names_the_options_that_trust_an_unknown_ca(self, ca: trustme.CA) -> None:
        assert reason(found(self.stranger(ca), "https")) == (
            "the certificate is not trusted: unable to get local issuer certificate; "
            "give its CA by --ca FILE, or --insecure"
        )

    def test_trusts_the_ca_that_is_given(self, ca: trustme.CA, ca_file: Path) -> None:
        assert found(self.stranger(ca), "https", ca=ca_file).reachable

    def test_trusts_anybody_when_it_is_insecure(self, ca: trustme.CA) -> None:
        assert found(self.stranger(ca), "https", insecure=True).reachable

    def test_does_not_advise_a_ca_where_the_certificate_has_expired(self, ca: trustme.CA, ca_file: Path) -> None:
        stranger = self.stranger(ca, not_after=datetime(2020, 1, 1, tzinfo=UTC))
        assert reason(found(stranger, "https", ca=ca_file)) == (
            "the certificate is not trusted: certificate has expired; --insecure takes it all the same"
        )

    def test_does_not_advise_a_ca_where_the_certificate_is_of_another_host(self, ca: trustme.CA, ca_file: Path) -> None:
        assert reason(found(self.stranger(ca, "other.example"), "https", ca=ca_file)) == (
            "the certificate is not trusted: IP address mismatch, certificate is not valid for '127.0.0.1'; "
            "--insecure takes it all the same"
        )

    def test_advises_https_where_tls_is_spoken_at_a_url_of_http(self, ca: trustme.CA) -> None:
        assert reason(found(self.stranger(ca))).endswith("; if it speaks TLS, write https://")

    def test_says_that_a_server_speaks_no_http_inside_its_tls(self, ca: trustme.CA, ca_file: Path) -> None:
        stranger = self.stranger(ca)
        stranger._reply = b"+OK POP3\r\n\r\n"
        assert reason(found(stranger, "https", ca=ca_file)) == (
            "it speaks no HTTP (illegal status line: bytearray(b'+OK POP3'))"
        )

    def test_names_a_ca_file_that_cannot_be_used_and_asks_nobody(self, tmp_path: Path) -> None:
        [one] = asyncio.run(preflight(External({"auth": "https://127.0.0.1:9"}, tmp_path / "absent.pem")))
        assert not one.reachable
        assert one.text == (
            f"auth: https://127.0.0.1:9 not asked: --ca: '{tmp_path / 'absent.pem'}' cannot be read: "
            "No such file or directory"
        )

    def test_reads_no_ca_where_nobody_speaks_tls(self, tmp_path: Path) -> None:
        assert found(Stranger(), ca=tmp_path / "absent.pem").reachable
