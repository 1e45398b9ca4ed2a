"""The embedded broker on a port of this machine, in a thread of its own, with the machine's time."""

import asyncio
import random
import socket
import threading
import time
from contextlib import contextmanager

from phrasim.broker import Broker
from phrasim.broker.amqp.server import AmqpServer
from phrasim.broker.amqp.settings import Settings
from phrasim.clock import Clock

VERSION = "3.10.8"
"""Debian's, for what the broker does otherwise in another version."""

DEBIANS = Settings(version=VERSION)


@contextmanager
def running_broker(settings=DEBIANS, vhost="/", **rules):
    """Serve one virtual host to the users of `settings`, with the `rules` of `Broker`; gives the address (host, port).

    By default they are those of Debian's version.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    started = threading.Event()
    ended: list[BaseException] = []
    loop = asyncio.new_event_loop()
    done = loop.create_future()

    async def serve() -> None:
        clock = Clock(loop)
        epoch_ns = time.time_ns() - clock.now_ns()
        of_version = {"turns_x_death": settings.version == VERSION, **rules}
        broker = Broker(clock.now_ns, random.Random(1), epoch_ns=epoch_ns, vhost=vhost, **of_version)
        server = AmqpServer({vhost: broker}, clock, settings)
        await server.start(listener)
        started.set()
        await done
        await server.stop(0.1)

    def work() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:  # noqa: BLE001 - told in the thread that waits
            ended.append(error)
        finally:
            started.set()
            loop.close()

    thread = threading.Thread(target=work, name="embedded broker")
    thread.start()
    started.wait()
    try:
        if ended:
            raise ended[0]
        yield listener.getsockname()[:2]
    finally:
        if thread.is_alive():
            loop.call_soon_threadsafe(lambda: done.done() or done.set_result(None))
        thread.join()
    if ended:
        raise ended[0]
