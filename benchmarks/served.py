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
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("reading /proc: there is no VmHWM; peak memory is measured on Linux only")


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
