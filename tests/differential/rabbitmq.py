"""A RabbitMQ node of our own, from Debian's package: started for the tests, ended by its process ids, nothing left.

It stands beside any other node of the machine: its own name, ports, port mapper, cookie and folders, no plugins. It
runs on one scheduler, so that what processes of the node send each other is as good as in order.
"""

import base64
import ctypes
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self

from free_ports import free_ports

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The real script. The one in the PATH changes the user and refuses everybody but root and rabbitmq."""

STARTS_WITHIN_S = 90
ENDS_WITHIN_S = 20


VHOSTS = ("/", "one", "two", "three", "four")
"""The virtual hosts of a node: what uses one of the named ones meets nobody else's queues."""


def absence() -> str | None:
    """Why no node can be started here; None when one can."""
    if not SERVER.exists():
        return f"no RabbitMQ here ({SERVER} is missing): apt-get install -y rabbitmq-server"
    for command in ("erl", "epmd"):
        if shutil.which(command) is None:
            return f"no RabbitMQ here ({command} is not in the PATH): apt-get install -y rabbitmq-server"
    return None


@contextmanager
def running_node():
    """Start a node and give its AMQP address (host, port); end it afterwards."""
    with tempfile.TemporaryDirectory(prefix="differential-rabbitmq-") as folder, ExitingProcesses() as processes:
        place = Path(folder)
        amqp, distribution, mapper = free_ports(3)
        environment = _environment(place, amqp, distribution, mapper)
        log = (place / "output.log").open("wb")
        with log:
            # The port mapper that Erlang would start by itself would outlive the node.
            processes.start(["epmd", "-port", str(mapper), "-address", "127.0.0.1"], environment, log)
            _wait_for_port(mapper, processes, place)
            node = processes.start(["sh", str(SERVER)], environment, log)
            _wait_for_amqp(amqp, node, place)
            yield "127.0.0.1", amqp


class ExitingProcesses:
    """Child processes, each the first of its own group, that are gone when the block ends."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def start(self, command: list[str], environment: dict[str, str], output: IO[bytes]) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_the_parent,  # noqa: PLW1509 - no other thread is there yet that could hold a lock
        )
        self._started.append(process)
        return process

    def __exit__(self, *error: object) -> None:
        for process in reversed(self._started):
            process.terminate()
            try:
                process.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            # What the process started for itself is in its group and nowhere else.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def _die_with_the_parent() -> None:
    """Ask Linux to end this process when the tests are killed and cannot do it (`prctl` with PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _environment(place: Path, amqp: int, distribution: int, mapper: int) -> dict[str, str]:
    definitions = place / "definitions.json"
    definitions.write_text(json.dumps(_definitions()))
    settings = {
        "listeners.tcp.1": f"127.0.0.1:{amqp}",
        "log.console": "true",
        "log.file": "false",
        "load_definitions": str(definitions),
    }
    (place / "rabbitmq.conf").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
    (place / "enabled_plugins").write_text("[].\n")
    return {
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "HOME": str(place),
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        # Two runs on one machine have two mappers, but Erlang's names need to differ all the same.
        "RABBITMQ_NODENAME": f"differential{amqp}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONF_ENV_FILE": str(place / "none"),
        "RABBITMQ_CONFIG_FILE": str(place / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(place / "none"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(place / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(place / "config"),
        "RABBITMQ_MNESIA_BASE": str(place / "mnesia"),
        "RABBITMQ_LOG_BASE": str(place / "log"),
        "RABBITMQ_PID_FILE": str(place / "pid"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
        # With input allowed the script becomes the node instead of watching it, so its id is the node's; and a
        # node that reads no input after all needs no terminal.
        "RABBITMQ_ALLOW_INPUT": "1",
        "RABBITMQ_SERVER_START_ARGS": "-noinput",
    }


def _definitions() -> dict[str, Any]:
    """What the node has from the start: the user that every RabbitMQ has, at home in all virtual hosts."""
    salt = b"salt"
    password = base64.b64encode(salt + hashlib.sha256(salt + b"guest").digest()).decode()
    everything = {"user": "guest", "configure": ".*", "write": ".*", "read": ".*"}
    return {
        "users": [{"name": "guest", "password_hash": password, "tags": "administrator"}],
        "vhosts": [{"name": name} for name in VHOSTS],
        "permissions": [{"vhost": name, **everything} for name in VHOSTS],
    }


def _wait_for_port(port: int, processes: Any, place: Path) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"Erlang's port mapper did not answer on port {port} within {STARTS_WITHIN_S} s")


def _wait_for_amqp(port: int, node: subprocess.Popen[bytes], place: Path) -> None:
    """Wait until the node greets: it listens before it has made its virtual host."""
    deadline = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < deadline and node.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(b"AMQP\0\0\x09\x01")
            if client.recv(1) == b"\x01" and node.poll() is None:
                return
        time.sleep(0.05)
    output = (place / "output.log").read_text(errors="replace")[-3000:]
    raise RuntimeError(f"RabbitMQ did not answer on port {port} within {STARTS_WITHIN_S} s; it wrote:\n{output}")
