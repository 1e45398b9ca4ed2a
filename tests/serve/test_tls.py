import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from phrasim.serve.tls import TlsError, external_client_context, own_client_context, server_context


class Pair:
    """A certificate and its key on disk, and the CA that signed it."""

    def __init__(self, folder: Path, name: str, ca: trustme.CA, *hosts: str, not_after: datetime | None = None) -> None:
        made = ca.issue_cert(*hosts, not_before=datetime(2019, 1, 1, tzinfo=UTC), not_after=not_after)
        self.cert = folder / f"{name}.pem"
        self.key = folder / f"{name}.key"
        self.ca = folder / f"{name}-ca.pem"
        self.cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        made.private_key_pem.write_to_path(str(self.key))
        ca.cert_pem.write_to_path(str(self.ca))


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def pair(tmp_path: Path, ca: trustme.CA) -> Pair:
    return Pair(tmp_path, "here", ca, "127.0.0.1")


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "127.0.0.1") -> str:
    """The protocol that a client and a server agree on over a real socket; what the client raises is raised."""

    async def run() -> str:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.close()

        listening = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server)
        port = listening.sockets[0].getsockname()[1]
        # asyncio tells its loop of a handshake that the client broke off; that is what some of these tests are about.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with listening:
            _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=host)
            version = writer.get_extra_info("ssl_object").version()
            writer.close()
            await writer.wait_closed()
        return str(version)

    return asyncio.run(run())


def distrust(server: ssl.SSLContext, client: ssl.SSLContext, host: str = "127.0.0.1") -> str:
    with pytest.raises(ssl.SSLCertVerificationError) as exc_info:
        handshake(server, client, host)
    return exc_info.value.verify_message


def refusal(cert: Path, key: Path) -> str:
    with pytest.raises(TlsError) as exc_info:
        server_context(cert, key)
    return str(exc_info.value)


class TestTheServersContext:
    def test_speaks_tls_1_3_with_who_trusts_its_ca(self, pair: Pair) -> None:
        assert handshake(server_context(pair.cert, pair.key), external_client_context(pair.ca, False)) == "TLSv1.3"

    def test_names_a_certificate_that_is_not_there(self, pair: Pair, tmp_path: Path) -> None:
        absent = tmp_path / "absent.pem"
        assert refusal(absent, pair.key) == f"--tls-cert: '{absent}' cannot be read: No such file or directory"

    def test_names_a_key_that_is_not_there(self, pair: Pair, tmp_path: Path) -> None:
        absent = tmp_path / "absent.key"
        assert refusal(pair.cert, absent) == f"--tls-key: '{absent}' cannot be read: No such file or directory"

    def test_names_a_file_without_a_certificate(self, pair: Pair) -> None:
        assert refusal(pair.key, pair.key) == (
            f"--tls-cert: '{pair.key}' holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"
        )

    def test_names_a_certificate_that_is_cut_off(self, pair: Pair) -> None:
        pair.cert.write_bytes(pair.cert.read_bytes()[:200])
        assert "holds no certificate in PEM" in refusal(pair.cert, pair.key)

    def test_names_a_file_without_a_key(self, pair: Pair) -> None:
        assert refusal(pair.cert, pair.cert) == (
            f"--tls-key: '{pair.cert}' holds no private key in PEM (-----BEGIN PRIVATE KEY-----)"
        )

    def test_names_a_key_of_another_certificate(self, pair: Pair, tmp_path: Path, ca: trustme.CA) -> None:
        other = Pair(tmp_path, "other", ca, "127.0.0.1")
        assert refusal(pair.cert, other.key) == (
            f"--tls-key: the key in '{other.key}' is not that of the certificate in '{pair.cert}'; give the two "
            "that were made together, the server's own certificate first in its file"
        )

    def test_names_a_key_of_another_algorithm(self, pair: Pair, tmp_path: Path) -> None:
        made = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert("127.0.0.1", key_type=trustme.KeyType.RSA)
        other = tmp_path / "rsa.key"
        made.private_key_pem.write_to_path(str(other))
        assert "is not that of the certificate in" in refusal(pair.cert, other)

    def test_asks_nobody_for_the_passphrase_of_a_key(self, pair: Pair) -> None:
        key = load_pem_private_key(pair.key.read_bytes(), None)
        locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"a passphrase"))
        pair.key.write_bytes(locked)
        assert refusal(pair.cert, pair.key) == (
            f"--tls-key: '{pair.key}' is locked by a passphrase, and nobody is asked for one; give a key without, "
            "as `openssl pkey -in KEY -out FILE` writes it"
        )

    def test_names_the_files_when_openssl_cannot_read_what_is_in_them(self, pair: Pair) -> None:
        pair.cert.write_text("-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n")
        message = refusal(pair.cert, pair.key)
        assert f"'{pair.cert}' and '{pair.key}' cannot be used as certificate and key" in message


class TestTheContextOfOwnCalls:
    def test_trusts_the_own_certificate_whatever_host_it_names(self, tmp_path: Path, ca: trustme.CA) -> None:
        pair = Pair(tmp_path, "public", ca, "phrasim.example.org")
        assert handshake(server_context(pair.cert, pair.key), own_client_context(pair.cert))

    def test_trusts_the_own_certificate_when_its_dates_are_past(self, tmp_path: Path, ca: trustme.CA) -> None:
        pair = Pair(tmp_path, "old", ca, "127.0.0.1", not_after=datetime(2020, 1, 1, tzinfo=UTC))
        assert handshake(server_context(pair.cert, pair.key), own_client_context(pair.cert))

    def test_trusts_the_own_certificate_and_not_its_ca_that_follows_it(self, tmp_path: Path) -> None:
        between = trustme.CA().create_child_ca()
        own = Pair(tmp_path, "own", between, "127.0.0.1")
        sibling = Pair(tmp_path, "sibling", between, "127.0.0.1")
        assert own.cert.read_bytes().count(b"BEGIN CERTIFICATE") == 2
        client = own_client_context(own.cert)
        assert handshake(server_context(own.cert, own.key), client)
        assert distrust(server_context(sibling.cert, sibling.key), client) == "unable to get local issuer certificate"

    @pytest.mark.parametrize("encoded", ["bm8=", "Ж"])
    def test_names_a_certificate_that_cannot_be_read(self, tmp_path: Path, encoded: str) -> None:
        cert = tmp_path / "damaged.pem"
        cert.write_text(f"-----BEGIN CERTIFICATE-----\n{encoded}\n-----END CERTIFICATE-----\n", "utf-8")
        with pytest.raises(TlsError) as exc_info:
            own_client_context(cert)
        assert str(exc_info.value).startswith(f"--tls-cert: the certificate in '{cert}' cannot be read: ")


class TestTheContextOfExternalCalls:
    def test_trusts_no_stranger(self, pair: Pair) -> None:
        message = distrust(server_context(pair.cert, pair.key), external_client_context(None, False))
        assert message == "unable to get local issuer certificate"

    def test_holds_the_certificate_to_the_host_that_is_called(self, pair: Pair) -> None:
        server = server_context(pair.cert, pair.key)
        assert "Hostname mismatch" in distrust(server, external_client_context(pair.ca, False), "upload.example.org")

    def test_trusts_the_certificate_of_a_server_that_is_given_for_a_ca(self, pair: Pair) -> None:
        assert handshake(server_context(pair.cert, pair.key), external_client_context(pair.cert, False))

    def test_is_not_strict_with_the_ca_of_a_house(self, pair: Pair) -> None:
        """Python 3.13 is, by itself; a verdict is not to depend on the Python."""
        assert not external_client_context(pair.ca, False).verify_flags & ssl.VERIFY_X509_STRICT

    def test_keeps_the_cas_of_the_system_beside_the_one_given(self, pair: Pair) -> None:
        of_the_system = external_client_context(None, False).cert_store_stats()["x509"]
        assert external_client_context(pair.ca, False).cert_store_stats()["x509"] == of_the_system + 1

    def test_trusts_anybody_when_it_is_insecure(self, pair: Pair, tmp_path: Path) -> None:
        client = external_client_context(tmp_path / "absent.pem", True)
        assert handshake(server_context(pair.cert, pair.key), client, "upload.example.org")

    def test_names_a_ca_file_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(TlsError) as exc_info:
            external_client_context(tmp_path / "absent.pem", False)
        assert str(exc_info.value) == f"--ca: '{tmp_path / 'absent.pem'}' cannot be read: No such file or directory"

    def test_names_a_ca_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        file = tmp_path / "damaged.pem"
        file.write_text("-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n")
        with pytest.raises(TlsError) as exc_info:
            external_client_context(file, False)
        assert str(exc_info.value).startswith(f"--ca: the certificates in '{file}' cannot be read: ")
