"""Several servers at once, each in a process of its own, until all are told to end."""

import os
import selectors
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NoReturn

from phrasim.serve.process import END_SIGNALS, heeded

READ_BYTES = 64 * 1024


@dataclass(slots=True)
class Shard:
    """One of the processes; `output` is the end of the pipe from which its standard output is read."""

    number: int
    pid: int
    output: int
    unread: bytes = b""

    def lines(self) -> Iterator[str] | None:
        """The whole lines that have come; None at the end of its output."""
        part = os.read(self.output, READ_BYTES)
        if not part:
            return None
        *whole, self.unread = (self.unread + part).split(b"\n")
        return (line.decode("utf-8", "replace") for line in whole)


def run_shards(works: Sequence[Callable[[], None]], say: Callable[[int, str], None]) -> int:
    """Run each of them in a process of its own; the exit code: of the first one that failed, else 0.

    `say` is given each line that one writes to standard output, with its number from 1. The processes begin as copies
    of this one, so that what is open here, such as bound sockets, is open there. A signal that ends servers is passed
    on; where one process ends the others are told to.
    """
    shards: list[Shard] = []
    # A signal that came while only some of them are there would leave the others without it.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)
    try:
        for number, work in enumerate(works, start=1):
            shards.append(_begun(number, work, shards, mask))
        with _passed_on(shards):
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            return _until_all_have_ended(shards, say)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _begun(number: int, work: Callable[[], None], others: Sequence[Shard], mask: set[int | signal.Signals]) -> Shard:
    reading, writing = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        for other in others:
            os.close(other.output)
        os.dup2(writing, sys.stdout.fileno())
        os.close(writing)
        _work(work, mask)
    os.close(writing)
    return Shard(number, pid, reading)


def _work(work: Callable[[], None], mask: set[int | signal.Signals]) -> NoReturn:
    code = 1
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        work()
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - nothing of the process that this one is a copy of may go on here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@contextmanager
def _passed_on(shards: Sequence[Shard]) -> Iterator[None]:
    numbers = heeded()
    before = [signal.signal(one, lambda *_: _end(shards)) for one in numbers]
    try:
        yield
    finally:
        for one, handler in zip(numbers, before, strict=True):
            signal.signal(one, handler)


def _end(shards: Sequence[Shard]) -> None:
    for shard in shards:
        if shard.pid:
            os.kill(shard.pid, signal.SIGTERM)


def _until_all_have_ended(shards: Sequence[Shard], say: Callable[[int, str], None]) -> int:
    code = 0
    with selectors.DefaultSelector() as selector:
        for shard in shards:
            selector.register(shard.output, selectors.EVENT_READ, shard)
        while selector.get_map():
            for key, _ in selector.select():
                shard = key.data
                lines = shard.lines()
                if lines is not None:
                    for line in lines:
                        say(shard.number, line)
                    continue
                selector.unregister(shard.output)
                os.close(shard.output)
                _, status = os.waitpid(shard.pid, 0)
                shard.pid = 0
                ended = os.waitstatus_to_exitcode(status)
                if ended < 0:
                    name = signal.Signals(-ended).name
                    sys.stderr.write(f"phrasim: shard {shard.number} was ended by {name}, and with it the others\n")
                code = code or (ended if ended >= 0 else 128 - ended)
                _end(shards)
    return code
