"""A file to a caller by Linux's sendfile: its bytes go from the page cache to the socket, and never through here.

Read and written by this process, a mebibyte takes several times as long, most of it for memory that is new each time.
Nothing here waits: a file goes this way only where the socket has room for all of it.
"""

import fcntl
import os
import socket
import sys
import termios
from io import RawIOBase
from typing import Any

_COUNT_BYTES = 4
"""Bytes of the int in which the kernel says how much waits in a socket."""


def room(transport: Any) -> int:
    """Bytes of a file that `send_file` gets rid of at once; 0 where it is no way to go.

    So it is where the connection is encrypted or ends, and where something waits in the transport, which would be
    overtaken.
    """
    if (
        sys.platform != "linux"
        or transport.is_closing()
        or transport.get_write_buffer_size()
        or transport.get_extra_info("sslcontext") is not None
    ):
        return 0
    borrowed = _socket(transport)
    try:
        capacity = borrowed.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        waiting = fcntl.ioctl(borrowed, termios.TIOCOUTQ, bytes(_COUNT_BYTES))
    finally:
        borrowed.detach()
    return max(0, capacity - int.from_bytes(waiting, sys.byteorder))


def send_file(transport: Any, head: bytes, file: RawIOBase, offset: int, size: int) -> None:
    """Send `head` and `size` bytes of `file` from `offset` on, where `room` has just told that these find room.

    Where the kernel takes less nevertheless, the rest waits in the transport. A file that proves to be shorter ends the
    connection, since its head has told another length.
    """
    borrowed = _socket(transport)
    descriptor, source = borrowed.fileno(), file.fileno()
    head_sent = sent = 0
    try:
        head_sent = borrowed.send(head, socket.MSG_MORE)  # Alone it would wake the caller, for nothing but a head.
        while head_sent == len(head) and sent < size:
            sent_now = os.sendfile(descriptor, source, offset + sent, size - sent)
            if sent_now == 0:
                break
            sent += sent_now
    except BlockingIOError:
        pass
    except OSError:
        transport.abort()  # The caller has left.
        return
    finally:
        borrowed.detach()
    if head_sent < len(head) or sent < size:
        rest = os.pread(source, size - sent, offset + sent)
        transport.write(head[head_sent:] + rest)
        if len(rest) < size - sent:
            transport.close()


def _socket(transport: Any) -> socket.SocketType:
    """The transport's socket, which stays the transport's: to be detached again. uvloop's own only tells its number.

    Of which family it is matters to addresses alone; it is said here since Python would ask the kernel.
    """
    return socket.SocketType(socket.AF_INET, socket.SOCK_STREAM, 0, transport.get_extra_info("socket").fileno())
