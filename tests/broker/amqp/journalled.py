"""A simulated broker on a socket whose journal has what passes, and clients of it, on the loop that runs."""

import asyncio
import gc
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import uvloop

from phrasim.broker.amqp.client import AmqpClient
from phrasim.broker.amqp.connecting import connector
from phrasim.broker.amqp.served import JournalObserver, ServedBroker
from phrasim.broker.amqp.server import AmqpServer
from phrasim.broker.amqp.settings import Settings
from phrasim.broker.amqp.url import BrokerUrl
from phrasim.broker.core import Broker
from phrasim.broker.local import LocalBroker
from phrasim.broker.record import BrokerRecord
from phrasim.clock import Clock
from phrasim.documents import contract
from phrasim.journal.events import Participant
from phrasim.testbed.network import InProcess, Network, seeded

OWN = "phrasim"
"""The user that the simulated participants log in as; others are guest."""


def network(external: Iterable[Participant] = ()) -> Network:
    """Edges and a journal on the running loop; the same names and traces each time."""
    clock = Clock(asyncio.get_running_loop())
    return Network(contract("documented"), (), InProcess(external).addressing, clock=clock, chance=seeded(7))


def core_of(net: Network) -> Broker:
    return Broker(net.clock.now_ns, random.Random(7), epoch_ns=1_760_000_000 * 10**9)


def no_tls() -> ssl.SSLContext:
    raise AssertionError("nobody speaks TLS here")


class Journalled:
    """The broker of `network`, served. Use `journalled`, which also ends it."""

    def __init__(self, net: Network, settings: Settings) -> None:
        self.network = net
        self.journal = net.journal
        self.server = AmqpServer({}, net.clock, settings)
        self.port = 0
        self._clients: list[AmqpClient] = []

    async def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self.begin()
        await self.server.start(listener)

    def begin(self) -> None:
        """An empty broker in the place of the one before."""
        self.core = core_of(self.network)
        record = BrokerRecord(self.network.edges["broker"], contract("documented").messages)
        self.server.replace({"/": self.core}, JournalObserver(record, self._participant, OWN))
        url = BrokerUrl("127.0.0.1", self.port, OWN, "own")
        self.broker = ServedBroker(self.core, record, connector(url, no_tls))

    def client(self, participant: Participant = "phraseanet") -> AmqpClient:
        """A client for that participant, who is closed with the block."""
        self._clients.append(self.broker.connect(self.network.edges[participant]))
        return self._clients[-1]

    def cut(self) -> None:
        """End all sockets without a word."""
        for pump in list(self.server.pumps):
            pump.abort()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds that comes with an event of the journal."""
        async with asyncio.timeout(5):
            async for _ in self.journal.follow(self.journal.first):
                if holds():
                    return

    async def end(self) -> None:
        for client in self._clients:
            await client.close()
        await self.server.stop(2)

    def _participant(self, user: str) -> Participant:
        return "phraseanet" if user == OWN or "phraseanet" not in self.network.played else "user"


@asynccontextmanager
async def journalled(external: Iterable[Participant] = (), **settings: Any) -> AsyncIterator[Journalled]:
    """A broker that is served; `external` are participants that phrasim does not play."""
    users = {"guest": "guest", OWN: "own"}
    served = Journalled(network(external), Settings(users=users, **settings))
    await served.start()
    try:
        yield served
    finally:
        await served.end()


def local() -> tuple[LocalBroker, Network]:
    """The same broker without sockets."""
    net = network()
    return LocalBroker(core_of(net), BrokerRecord(net.edges["broker"], contract("documented").messages), net.clock), net


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    """What `main` returns. It may leave no task behind, and no socket, of which Python would warn."""

    async def watched() -> Any:
        result = await main()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            _, others = await asyncio.wait(others, timeout=3)
        assert others == set()
        return result

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(watched())
    gc.collect()
    return result
