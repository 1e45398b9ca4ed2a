"""How a broker is entered: its address, the account, and the one connection that looks at queues and cleans up."""

import ssl
import time

from phrasim.broker.amqp.url import BrokerUrl
from phrasim.broker.client import BrokerError
from phrasim.contract.broker.client import ANSWERS_WITHIN_S, Account, Client
from phrasim.contract.broker.wire import Received, Strange

WATCH = 99
"""The number of the channel on which a connection is asked for its exclusive queues."""


class Access:
    """The broker at `url`. What programs make there has `prefix` before its name.

    `greeted` are the methods of the last handshake, by their names, and `round_trip_s` how long one of them took.
    """

    def __init__(self, url: BrokerUrl, tls: ssl.SSLContext | None = None, prefix: str = "") -> None:
        self.url = url
        self.prefix = prefix
        self.account = Account(url.user, url.password, url.vhost)
        self.greeted: dict[str, Received] = {}
        self.round_trip_s = 0.0
        self._tls = tls
        self._watcher: Client | None = None

    def dial(self) -> Client:
        """A connection on which nothing has been said. Raises BrokerError where nobody is reached."""
        return Client(self.url, self._tls)

    def connect(self) -> Client:
        """An open connection. Raises BrokerError where the broker lets nobody in."""
        client = self.dial()
        opened = False
        try:
            began = time.monotonic()
            transcript = client.open(self.account)
            self.round_trip_s = (time.monotonic() - began) / 3
            if not transcript or transcript[-1].name != "connection.open-ok":
                raise BrokerError(_not_opened(transcript, self.url.vhost))
            self.greeted = {received.name: received for received in transcript}
            opened = True
        except (OSError, Strange) as error:
            raise BrokerError(unanswered(error)) from error
        finally:
            if not opened:
                client.drop()
        return client

    def watcher(self) -> Client:
        """The connection that looks at queues and cleans up, with channel WATCH open."""
        if self._watcher is not None and self._watcher.closed:
            self.leave()
        if self._watcher is None:
            self._watcher = self.connect()
            open_watch(self._watcher)
        return self._watcher

    def leave(self) -> None:
        """Close that connection; the next that asks for it gets a new one."""
        if self._watcher is not None:
            self._watcher.leave()
            self._watcher = None


def open_watch(client: Client, *, again: bool = False) -> None:
    """Open channel WATCH, `again` after the broker closed it. Raises `Strange`."""
    if again:
        client.send(WATCH, "channel.close-ok", {})
    client.send(WATCH, "channel.open", {})
    received = client.receive()
    if received is None or received.name != "channel.open-ok":
        raise Strange(f"the broker does not open channel {WATCH}: {told(received)}")


def told(received: Received | None) -> str:
    """What came instead of an answer, in a few words."""
    if received is None:
        return "it closed the socket"
    if "reply_code" in received.fields:
        return f"{received.fields['reply_code']} {received.fields['reply_text']}"
    return received.name


def unanswered(error: Exception) -> str:
    """What a person is told of a connection that broke off."""
    if isinstance(error, TimeoutError):
        return f"the broker did not answer within {ANSWERS_WITHIN_S} s"
    return str(error) or type(error).__name__


def _not_opened(transcript: list[Received], vhost: str) -> str:
    """What a person is told of a handshake that did not come to its end."""
    last = transcript[-1] if transcript else None
    if last is None:
        return "the broker has hung up"
    if last.name == "protocol-header":
        return "the broker speaks another protocol than AMQP 0-9-1"
    if last.name == "connection.start":
        return "the broker has hung up on the login: the user or the password is wrong"
    if last.name == "connection.tune":
        return f"there is no virtual host {vhost!r} that the user may use"
    return f"the broker does not open a connection: {told(last)}"
