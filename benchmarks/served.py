"""`phrasim serve` as a process of its own, for the benchmarks that call it over sockets."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
"""The cores that this process may use, before it keeps to one of them."""

PORTS = [word for name in ("upload", "phraseanet", "auth", "control", "amqp") for word in (f"--{name}-port", "0")]

# As the console script does, which need not be on the path.
COMMAND = "import sys; from phrasim.cli import main; sys.exit(main())"


@dataclass(frozen=True, slots=True)
class Served:
    """A server that is ready: what it printed, and its process."""

    landscape: dict[str, Any]
    process: subprocess.Popen[bytes]

    def peak_mib(self) -> float:
        """The peak of its memory so far: Linux's VmHWM."""
        return self._status_mib("VmHWM:")

    def memory_mib(self) -> float:
        """Its memory now: Linux's VmRSS."""
        return self._status_mib("VmRSS:")

    def _status_mib(self, field: str) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) / 1024
        raise RuntimeError(f"reading /proc: there is no {field[:-1]}; memory is measured on Linux only")

    def cpu_seconds(self) -> float:
        """The processor time that it has used so far, by Linux's `stat`: as itself, and in the kernel on its behalf."""
        user, system = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextmanager
def served(*words: str, environment: dict[str, str] | None = None) -> Iterator[Served]:
    """Serve on free ports until the block ends."""
    command = [sys.executable, "-c", COMMAND, "serve", *PORTS, "--print", "json", *words]
    # From another folder: `-c` puts the working directory on the path, and a file there may bear a module's name.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, cwd=sys.prefix, env={**os.environ, **(environment or {})}
    )
    assert process.stdout is not None
    with process:
        try:
            yield Served(json.loads(process.stdout.readline()), process)
        finally:
            process.terminate()
    if process.returncode != 0:
        raise RuntimeError(f"ending the server: exit code 0 would be right; found {process.returncode}")


@contextmanager
def served_apart(*words: str) -> Iterator[Served]:
    """Serve on one core, while this process keeps to another one, until the block ends. Linux only."""
    server_core, own_core = sorted(CORES)[:2]
    try:
        os.sched_setaffinity(0, {server_core})
        with served(*words) as server:
            os.sched_setaffinity(0, {own_core})
            yield server
    finally:
        os.sched_setaffinity(0, CORES)
