"""A broker behind a door that may change what it says, or speak TLS: what honest brokers do not do of themselves."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Change = Callable[[bytes], bytes]


def as_it_is(said: bytes) -> bytes:
    return said


@contextmanager
def door(
    broker: tuple[str, int], change: Change = as_it_is, tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, int]]:
    """Forward connections to `broker`, with what it says put through `change`; gives the address. Empty bytes close."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []
    sockets: list[socket.socket] = [listener]

    def forward(source: socket.socket, target: socket.socket, through: Change) -> None:
        with suppress(OSError):
            while (said := source.recv(1 << 16)) and (said := through(said)):
                target.sendall(said)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                sockets.append(client)
                if tls is not None:
                    client = tls.wrap_socket(client, server_side=True)
                    sockets.append(client)
                server = socket.create_connection(broker)
                sockets.append(server)
                for source, target, through in ((client, server, as_it_is), (server, client, change)):
                    threads.append(threading.Thread(target=forward, args=(source, target, through)))
                    threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield listener.getsockname()[:2]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
        for one in sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()
        for one in sockets:
            one.close()


@contextmanager
def scripted(*answers: bytes) -> Iterator[tuple[str, int]]:
    """Give each connection one of the answers to its first words, and hang up; the last one to all that follow."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        number = 0
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, suppress(OSError):
                    client.recv(1 << 16)
                    client.sendall(answers[min(number, len(answers) - 1)])
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(1 << 16):
                        pass
                number += 1

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[:2]
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()
