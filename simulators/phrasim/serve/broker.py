"""The broker of a landscape: an AMQP server at a port, a real one behind its URL, or one that nobody else reaches."""

import socket
import ssl
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from phrasim.broker.amqp.connecting import Connector, connector
from phrasim.broker.amqp.external import ExternalBroker, reached
from phrasim.broker.amqp.served import JournalObserver, ServedBroker
from phrasim.broker.amqp.server import AmqpServer
from phrasim.broker.amqp.settings import MIB, Settings
from phrasim.broker.amqp.url import BrokerUrl
from phrasim.broker.client import AnyBroker, BrokerError
from phrasim.broker.local import LocalBroker
from phrasim.broker.record import BrokerRecord
from phrasim.journal.events import Participant
from phrasim.serve.external import External, Preflight
from phrasim.serve.sockets import url_of
from phrasim.serve.tls import TlsError, external_client_context
from phrasim.testbed import Network, Setting
from phrasim.testbed.broker import new_broker

OWN_USER = "phrasim"
"""Who the participants log in as that phrasim plays, so that the broker knows them from others."""

_OF_VERSION = {"3": Settings(), "4": Settings(version="4.1.4", body_bytes_max=16 * MIB)}
"""How RabbitMQ presents itself, and what it takes: 4.0 has lowered the size of a message."""


@dataclass(frozen=True, slots=True, repr=False)
class Login:
    """How others use the simulated broker; the participants that phrasim plays have a login of their own."""

    user: str
    password: str
    vhost: str = "/"


GUEST = Login("guest", "guest")
"""RabbitMQ's own; here it may come from other machines, too."""


class BrokerSide:
    """`url` is where others find it: with the login for them where it is played, without any where it is a real one."""

    def __init__(
        self,
        network: Network,
        setting: Setting,
        external: External,
        login: Login,
        listener: socket.socket | None,
    ) -> None:
        self._network = network
        self._setting = setting
        self._vhost = login.vhost
        self._listener = listener
        self._external = external
        self._server: AmqpServer | None = None
        self.url: str | None = None if external.broker is None else external.broker.shown
        if listener is None:
            return
        at = urlsplit(url_of(listener, "amqp"))
        assert at.hostname is not None, "url_of names a host"
        assert at.port is not None, "and a port"
        own_password = network.chance("broker/login").randbytes(16).hex()
        self._own = BrokerUrl(at.hostname, at.port, OWN_USER, own_password, login.vhost)
        self.url = BrokerUrl(at.hostname, at.port, login.user, login.password, login.vhost).full
        users = {login.user: login.password, OWN_USER: own_password}
        self._server = AmqpServer({}, network.clock, replace(_OF_VERSION[setting.broker_version], users=users))

    async def start(self) -> None:
        """Accept connections from now on, where the broker is played."""
        if self._server is not None and self._listener is not None:
            await self._server.start(self._listener)

    def begin(self) -> AnyBroker:
        """An empty broker in the place of the one before, whose clients are sent away; a real one stays as it is."""
        messages = self._network.contract.messages
        record = BrokerRecord(self._network.edges["broker"], messages)
        if self._external.broker is not None:
            return ExternalBroker(external_connector(self._external), record, messages)
        core = new_broker(self._setting, self._network, self._vhost)
        if self._server is None:
            return LocalBroker(core, record, self._network.clock)
        self._server.replace({self._vhost: core}, JournalObserver(record, self._participant, OWN_USER))
        return ServedBroker(core, record, connector(self._own, _no_tls))

    async def stop(self, seconds: float) -> None:
        """Accept no more, and send everybody away."""
        if self._server is not None:
            await self._server.stop(seconds)

    def _participant(self, user: str) -> Participant:
        """Who logs in by that name: the broker is Phraseanet's, but if that is played it has a name of its own."""
        return "phraseanet" if user == OWN_USER or "phraseanet" not in self._network.played else "user"


async def preflight_broker(external: External) -> Preflight:
    """Log in at the real broker, and leave. Never raises."""
    assert external.broker is not None, "there is one to ask"
    shown = external.broker.shown
    try:
        told = await reached(external_connector(external))
    except (BrokerError, TlsError) as error:
        return Preflight("broker", shown, False, f"broker: {shown} not usable: {error}")
    return Preflight("broker", shown, True, f"broker: {shown} reachable ({told})")


def external_connector(external: External) -> Connector:
    """What connects to the real broker."""
    assert external.broker is not None, "there is a real broker"
    return connector(external.broker, lambda: external_client_context(external.ca, external.insecure))


def _no_tls() -> ssl.SSLContext:
    raise AssertionError("the simulated broker speaks no TLS")
