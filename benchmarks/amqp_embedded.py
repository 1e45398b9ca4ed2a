"""The embedded broker as a process of its own: `python amqp_embedded.py [--observed]` prints its port and serves.

Nothing but the broker: no journal, no other service, one virtual host, the user guest. With `--observed` somebody
looks on who does nothing, which shows what telling costs. SIGTERM ends it.
"""

import asyncio
import random
import signal
import socket
import sys
import time

import uvloop

from phrasim.broker import Broker
from phrasim.broker.amqp.observer import Observer
from phrasim.broker.amqp.server import AmqpServer
from phrasim.broker.channel import Fetched
from phrasim.broker.errors import AmqpError
from phrasim.broker.events import DeadLettered, Delivery, Dropped, Returned
from phrasim.broker.message import Message, Properties
from phrasim.clock import Clock


class Bystander:
    """An observer of the least cost."""

    def publishing(self, user: str, exchange: str, routing_key: str, properties: Properties, body: bytes) -> Properties:  # noqa: ARG002
        return properties

    def published(self, user: str, outcome: Message | AmqpError) -> None:
        pass

    def delivering(self, user: str, delivery: Delivery) -> Properties:  # noqa: ARG002
        return delivery.message.properties

    def fetching(self, user: str, fetched: Fetched) -> None:
        pass

    def happened(self, event: Returned | DeadLettered | Dropped) -> None:
        pass


async def serve(observer: Observer | None) -> None:
    loop = asyncio.get_running_loop()
    clock = Clock(loop)
    broker = Broker(clock.now_ns, random.Random(1), epoch_ns=time.time_ns() - clock.now_ns())
    server = AmqpServer({"/": broker}, clock, observer=observer)
    listener = socket.create_server(("127.0.0.1", 0))
    await server.start(listener)
    ended = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    print(listener.getsockname()[1], flush=True)
    await ended.wait()
    await server.stop(1)


if __name__ == "__main__":
    uvloop.run(serve(Bystander() if "--observed" in sys.argv[1:] else None))
