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


@contextmanager
def running_broker():
    """Serve one virtual host, "/", to the user guest; gives the address (host, port)."""
    listener = socket.create_server(("127.0.0.1", 0))
    started = threading.Event()
    ended: list[BaseException] = []
    loop = asyncio.new_event_loop()
    done = loop.create_future()

    async def serve() -> None:
        clock = Clock(loop)
        epoch_ns = time.time_ns() - clock.now_ns()
        broker = Broker(clock.now_ns, random.Random(1), epoch_ns=epoch_ns, turns_x_death=True)
        server = AmqpServer({"/": broker}, clock, Settings(version=VERSION))
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
