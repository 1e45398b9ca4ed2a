"""The brokers that are compared, each in a process of its own on the first core; whoever calls them has the second."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

TESTS = Path(__file__).parent.parent / "tests"
EMBEDDED = Path(__file__).parent / "amqp_embedded.py"

# The tests that compare the two brokers' answers have a node of RabbitMQ for themselves; this is the same one.
sys.path.append(str(TESTS))

from differential.rabbitmq import absence as rabbitmq_absence  # noqa: E402
from differential.rabbitmq import running_node  # noqa: E402


@dataclass(frozen=True, slots=True)
class Brokers:
    """The ports, on 127.0.0.1, of brokers that are ready."""

    rabbitmq: int
    embedded: int
    observed: int


def absence() -> str | None:
    """Why the brokers cannot be compared here; None when they can."""
    if not hasattr(os, "sched_setaffinity"):
        return "a process cannot be kept on one core here: that is Linux's"
    if len(os.sched_getaffinity(0)) < 2:
        return "one core for the broker and one for its client are needed, and there is only one"
    return rabbitmq_absence()


@contextmanager
def running_brokers() -> Iterator[Brokers]:
    """Start them on one core and keep this process on another until the block ends."""
    cores = os.sched_getaffinity(0)
    broker_core, client_core = sorted(cores)[:2]
    with ExitStack() as ending:
        ending.callback(os.sched_setaffinity, 0, cores)
        # A process begins on the core of the one that starts it, and RabbitMQ asks for one scheduler.
        os.sched_setaffinity(0, {broker_core})
        _, rabbitmq = ending.enter_context(running_node())
        embedded = ending.enter_context(_running())
        observed = ending.enter_context(_running("--observed"))
        os.sched_setaffinity(0, {client_core})
        yield Brokers(rabbitmq, embedded, observed)


@contextmanager
def _running(*words: str) -> Iterator[int]:
    """The embedded broker's port."""
    process = subprocess.Popen([sys.executable, str(EMBEDDED), *words], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process:
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()
    if process.returncode != 0:
        raise RuntimeError(f"ending the embedded broker: exit code 0 would be right; found {process.returncode}")
