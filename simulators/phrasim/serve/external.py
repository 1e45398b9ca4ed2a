"""The participants that are not played but reached by URL, and whether they can be reached at all."""

import asyncio
import re
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import httpx

from phrasim import __version__
from phrasim.broker.amqp.url import BrokerUrl
from phrasim.journal.events import Participant
from phrasim.serve.sockets import PORT_MAX
from phrasim.serve.tls import TlsError, external_client_context

CAN_BE_EXTERNAL: tuple[Participant, ...] = ("upload", "phraseanet", "auth")
"""The services that a URL can stand for."""
PREFLIGHT_SECONDS = 5.0
"""How long each external participant is given to answer before a run."""

_FORM = "write http://HOST[:PORT][/PATH], or https://"
_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")
_NOT_A_MATTER_OF_TRUST = (9, 10, 62, 64)
"""OpenSSL's codes for a certificate that is not yet or no longer good, or another host's or address's: no CA helps."""


class ExternalError(ValueError):
    """The URL of an external participant cannot be used; the message shows nothing of it that could be secret."""


@dataclass(frozen=True, slots=True)
class External:
    """Base URLs of the external services, in the order of `CAN_BE_EXTERNAL` and without a slash at the end.

    `broker` is a real broker in the place of the simulated one. `ca` is a PEM file of further certificate authorities;
    with `insecure` no certificate is verified and `ca` has no meaning. Raises `ExternalError`.
    """

    urls: Mapping[Participant, str]
    ca: Path | None = None
    insecure: bool = False
    broker: BrokerUrl | None = None

    def __post_init__(self) -> None:
        """Check the URLs and bring them into their form."""
        for participant in self.urls:
            if participant not in CAN_BE_EXTERNAL:
                raise ExternalError(f"{participant} cannot be external; {', '.join(CAN_BE_EXTERNAL)} can")
        urls = {name: _base(name, self.urls[name]) for name in CAN_BE_EXTERNAL if name in self.urls}
        object.__setattr__(self, "urls", MappingProxyType(urls))


@dataclass(frozen=True, slots=True)
class Preflight:
    """Whether an external participant was reached; `text` is a line that names it and says what was found."""

    participant: Participant
    url: str
    reachable: bool
    text: str


async def preflight(external: External, seconds: float = PREFLIGHT_SECONDS) -> list[Preflight]:
    """Ask every external service for `GET /` below its base URL, all at once and without credentials.

    Whatever HTTP status comes back, it is reachable. Never raises; in the order of `CAN_BE_EXTERNAL`. A real broker is
    asked by `preflight_broker`.
    """
    try:
        context: ssl.SSLContext | TlsError = _context(external)
    except TlsError as error:
        context = error
    return list(await asyncio.gather(*(_check(name, url, context, seconds) for name, url in external.urls.items())))


def _context(external: External) -> ssl.SSLContext:
    """What TLS is spoken by; where nobody speaks it, one that is cheap to make."""
    encrypted = any(url.startswith("https:") for url in external.urls.values())
    return external_client_context(external.ca, external.insecure or not encrypted)


async def _check(participant: Participant, url: str, context: ssl.SSLContext | TlsError, seconds: float) -> Preflight:
    if isinstance(context, TlsError):
        return Preflight(participant, url, False, f"{participant}: {url} not asked: {context}")
    try:
        # httpx bounds each step and closes what it gives up; a connection that is cut in its handshake stays open. The
        # time-out over all is for who answers a little at a time.
        async with asyncio.timeout(2 * seconds):
            status = await _status(f"{url}/", context, seconds)
    except (httpx.HTTPError, OSError) as error:
        return Preflight(participant, url, False, f"{participant}: {url} not reachable: {_reason(error, url, seconds)}")
    return Preflight(participant, url, True, f"{participant}: {url} reachable (HTTP {status} to GET /)")


async def _status(url: str, context: ssl.SSLContext, seconds: float) -> int:
    """The status of the answer to a `GET`, whose body is left alone."""
    transport = httpx.AsyncHTTPTransport(verify=context, trust_env=False)
    headers = {"user-agent": f"phrasim/{__version__}"}
    async with (
        httpx.AsyncClient(transport=transport, trust_env=False, timeout=seconds, headers=headers) as client,
        client.stream("GET", url) as answer,
    ):
        return answer.status_code


def _reason(error: Exception, url: str, seconds: float) -> str:
    """Why there was no answer, by the most telling of the errors that led to `error`."""
    causes = [*_causes(error)]
    for cause in causes:
        match cause:
            case ssl.SSLCertVerificationError():
                known = cause.verify_code in _NOT_A_MATTER_OF_TRUST
                remedy = "--insecure takes it all the same" if known else "give its CA by --ca FILE, or --insecure"
                return f"the certificate is not trusted: {cause.verify_message.rstrip('.')}; {remedy}"
            case ssl.SSLError():
                return f"TLS failed: {cause.reason or cause}; if it speaks plain HTTP, write http://"
            case socket.gaierror():
                return f"the name {httpx.URL(url).host!r} is not resolved ({cause.strerror})"
            case ConnectionRefusedError():
                return "connection refused"
            case TimeoutError() | httpx.TimeoutException():
                return f"no answer within {seconds:g} s"
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError | httpx.WriteError):
        hint = "" if url.startswith("https:") else "; if it speaks TLS, write https://"
        return f"it speaks no HTTP ({str(error).rstrip('.') or 'the connection was cut'}){hint}"
    last = next((cause for cause in reversed(causes) if isinstance(cause, OSError)), error)
    return (isinstance(last, OSError) and last.strerror) or str(last) or type(last).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and what led to it, the outermost first; several attempts to connect come in a group."""
    yield error
    for inner in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield from _causes(inner)
    cause = error.__cause__ or error.__context__
    if cause is not None:
        yield from _causes(cause)


def _base(participant: Participant, written: str) -> str:
    """The base URL that is meant by what the user wrote."""
    authority = re.split(r"[/?#]", written.partition("//")[2], maxsplit=1)[0]
    if "@" in authority:
        raise ExternalError(
            f"{participant}: the URL {_shown(written)!r} names a user or a password; write it without, and give "
            "those by --credential NAME=VALUE"
        )
    if "?" in written or "#" in written:
        raise ExternalError(
            f"{participant}: the URL {_shown(written)!r} goes on after its path with '?' or '#'; a base URL ends there"
        )
    url = _parsed(written)
    if url is None:
        raise ExternalError(f"{participant}: {_shown(written)!r} is no URL; {_FORM}")
    if url.scheme not in ("http", "https"):
        raise ExternalError(f"{participant}: {_shown(written)!r} is no URL of HTTP; {_FORM}")
    if not _is_host(url) or not (url.port is None or 1 <= url.port <= PORT_MAX):
        raise ExternalError(f"{participant}: {_shown(written)!r} names no host and port that can be reached; {_FORM}")
    return str(url).rstrip("/")


def _parsed(written: str) -> httpx.URL | None:
    """A URL; None if that is none. What httpx says of it is dropped, since it quotes what it trips over.

    What is no UTF-8 on a command line comes as lone surrogates (PEP 383), which no URL holds.
    """
    try:
        return httpx.URL(written)
    except (httpx.InvalidURL, UnicodeError):
        return None


def _is_host(url: httpx.URL) -> bool:
    """Whether that is an IPv6 address, whose form httpx has checked, or a name or IPv4 address (RFC 1035, §2.3.4)."""
    host = url.raw_host.decode("ascii")
    return ":" in host or all(_LABEL.fullmatch(label) for label in host.removesuffix(".").split("."))


def _shown(written: str) -> str:
    """A URL as a message may show it: without what could be a password or a token."""
    before, at, after = written.rpartition("@")
    if re.search("[?#]", before):
        # Either a password holds that sign, or a query holds the '@'.
        return "…"
    return f"{'…@' if at else ''}{re.split('[?#]', after, maxsplit=1)[0]}"
