"""The URL of a broker (RabbitMQ URI Specification): read, and shown without its password."""

from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

PORT, TLS_PORT = 5672, 5671
VHOST_BYTES_MAX = 255
"""AMQP's short string, as which the name of a virtual host is sent."""
_FORM = "write amqp://USER:PASSWORD@HOST[:PORT][/VHOST], or amqps://"


class BrokerUrlError(ValueError):
    """What was written is no URL of a broker; the message shows nothing of it that could be secret."""


@dataclass(frozen=True, slots=True, repr=False)
class BrokerUrl:
    """Where a broker is, who logs in there, and in which virtual host. IPv6 addresses stand without brackets."""

    host: str
    port: int = PORT
    user: str = "guest"
    password: str = "guest"
    vhost: str = "/"
    tls: bool = False

    def __repr__(self) -> str:
        """It shows no password."""
        return f"BrokerUrl({self.shown!r})"

    @property
    def full(self) -> str:
        """All of it, for a client."""
        return self._written(f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@")

    @property
    def shown(self) -> str:
        """What people may see of it: no user, no password."""
        return self._written("")

    def _written(self, login: str) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        # The path `/` would be the virtual host with the empty name, to some clients; without one all take `/`.
        path = "" if self.vhost == "/" else f"/{quote(self.vhost, safe='')}"
        return f"{'amqps' if self.tls else 'amqp'}://{login}{host}:{self.port}{path}"


def broker_url(written: str) -> BrokerUrl:
    """Read a URL. User and password are guest where it names none, the virtual host is `/`. Raises `BrokerUrlError`."""
    scheme, separator, rest = written.partition("://")
    shown = f"{scheme}://{rest.rpartition('@')[2]}" if separator else "…" if "@" in written else written or "…"
    if not written.isprintable():
        # What is no UTF-8 on a command line comes as lone surrogates (PEP 383), which no name of AMQP holds.
        raise BrokerUrlError(f"broker: {shown!r} holds what a URL writes %-encoded; {_FORM}")
    try:
        parts = urlsplit(written)
        port = parts.port
        (parts.hostname or "").encode("idna")  # So is it looked up; what cannot be is no name of a host.
    except ValueError:
        # Not with its cause, which quotes as the port what can be a part of the password.
        raise BrokerUrlError(f"broker: {shown!r} names no host and port that can be reached; {_FORM}") from None
    if parts.scheme not in ("amqp", "amqps"):
        raise BrokerUrlError(f"broker: {shown!r} is no URL of AMQP; {_FORM}")
    if not parts.hostname or port == 0:
        raise BrokerUrlError(f"broker: {shown!r} names no host and port that can be reached; {_FORM}")
    if parts.query or parts.fragment:
        raise BrokerUrlError(f"broker: {shown!r} goes on after its virtual host with '?' or '#'; {_FORM}")
    vhost = unquote(parts.path.removeprefix("/"))
    if "/" in parts.path.removeprefix("/"):
        raise BrokerUrlError(f"broker: {shown!r}: a '/' in the name of a virtual host is written %2F")
    if len(vhost.encode()) > VHOST_BYTES_MAX:
        raise BrokerUrlError(f"broker: the name of a virtual host has at most {VHOST_BYTES_MAX} bytes")
    tls = parts.scheme == "amqps"
    return BrokerUrl(
        host=parts.hostname,
        port=port or (TLS_PORT if tls else PORT),
        user=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        vhost=vhost or "/",
        tls=tls,
    )
