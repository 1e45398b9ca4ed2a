"""The TLS contexts of a landscape: of its servers, of its calls to itself, and of its calls to external participants.

Loading certificate authorities takes 20 to 50 ms, so a context is made once and only where `https` is spoken.
"""

import ssl
from pathlib import Path

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_END = b"-----END CERTIFICATE-----"
_NO_CHECK_TIME = 0x20_0000
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, for which Python has no name."""
_MISMATCHES = ("KEY_VALUES_MISMATCH", "NO_CERTIFICATE_ASSIGNED")
"""What OpenSSL says of a key of another certificate, and of one of another algorithm."""


class TlsError(Exception):
    """A certificate or key cannot be used: the message names the file, what was found and what would be right."""


class _Passphrase(Exception):
    """OpenSSL asks for the passphrase of a key."""


def server_context(cert: Path, key: Path) -> ssl.SSLContext:
    """What a server with the certificate in `cert` and its private key in `key` speaks TLS by; both files are PEM.

    `cert` begins with the server's own certificate; those that lead from it to its CA may follow. Raises `TlsError`.
    """
    _certificate(cert, "--tls-cert")
    if b"PRIVATE KEY-----" not in _content(key, "--tls-key"):
        raise TlsError(f"--tls-key: {str(key)!r} holds no private key in PEM (-----BEGIN PRIVATE KEY-----)")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password=_ask_nobody)
    except _Passphrase:
        raise TlsError(
            f"--tls-key: {str(key)!r} is locked by a passphrase, and nobody is asked for one; give a key without, "
            "as `openssl pkey -in KEY -out FILE` writes it"
        ) from None
    except ssl.SSLError as error:
        if error.reason in _MISMATCHES:
            raise TlsError(
                f"--tls-key: the key in {str(key)!r} is not that of the certificate in {str(cert)!r}; give the two "
                "that were made together, the server's own certificate first in its file"
            ) from error
        raise TlsError(
            f"--tls-cert, --tls-key: {str(cert)!r} and {str(key)!r} cannot be used as certificate and key: {error}"
        ) from error
    return context


def own_client_context(cert: Path) -> ssl.SSLContext:
    """What the simulators call their own sockets by: it trusts the first certificate in `cert` and no other.

    That very certificate is expected, so neither its host names nor its dates matter. Raises `TlsError`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    # The certificate is trusted for itself, although it is no CA's.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    try:
        context.load_verify_locations(cadata=_certificate(cert, "--tls-cert").decode("ascii"))
    except (ssl.SSLError, UnicodeDecodeError) as error:
        raise TlsError(f"--tls-cert: the certificate in {str(cert)!r} cannot be read: {error}") from error
    return context


def external_client_context(ca: Path | None, insecure: bool) -> ssl.SSLContext:
    """What external participants are called by: the system's CAs are trusted, and those in the PEM file `ca`.

    `ca` may also hold a server's own certificate. With `insecure` nothing is verified and `ca` is not read.
    Raises `TlsError`.
    """
    if insecure:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context = ssl.create_default_context()
    # From Python 3.13 on the default is strict, which the CAs of many a house do not survive, and partial chains are
    # taken. Every Python is to judge alike.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if ca is not None:
        _certificate(ca, "--ca")
        try:
            context.load_verify_locations(cafile=ca)
        except ssl.SSLError as error:
            raise TlsError(f"--ca: the certificates in {str(ca)!r} cannot be read: {error}") from error
    return context


def _ask_nobody() -> str:
    raise _Passphrase


def _certificate(file: Path, option: str) -> bytes:
    """The first certificate of a PEM file, with the lines that frame it."""
    _, begin, rest = _content(file, option).partition(_BEGIN)
    encoded, end, _ = rest.partition(_END)
    if not begin or not end:
        raise TlsError(f"{option}: {str(file)!r} holds no certificate in PEM ({_BEGIN.decode()})")
    return begin + encoded + end + b"\n"


def _content(file: Path, option: str) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TlsError(f"{option}: {str(file)!r} cannot be read: {error.strerror}") from error
