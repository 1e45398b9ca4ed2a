"""`phrasim serve` as a process of its own."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-c", "from phrasim.cli import main; main()", "serve"]
NAMES = ("upload", "phraseanet", "auth", "control")
ANY_PORTS = [word for name in (*NAMES, "amqp") for word in (f"--{name}-port", "0")]
PATIENCE_SECONDS = 30


class Server:
    """A server as a process, whose output is read line by line."""

    def __init__(self, *words: str | Path, stdout: int = subprocess.PIPE, ports: list[str] = ANY_PORTS) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *ports, *map(str, words)],
            stdout=stdout,
            stderr=subprocess.PIPE,
            bufsize=0,  # or a line may wait in the buffer where `select` does not see it
            env={**os.environ, "NO_COLOR": "1"},
        )

    def line(self) -> str:
        """The next line; nothing at the end."""
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], PATIENCE_SECONDS)[0]
        return self.process.stdout.readline().decode()

    def until(self, part: str) -> list[str]:
        """The lines up to one with that in it."""
        lines: list[str] = []
        while not lines or part not in lines[-1]:
            lines.append(self.line())
            assert lines[-1], lines
        return lines

    def landscape(self) -> dict[str, Any]:
        """What `--print json` prints."""
        landscape: dict[str, Any] = json.loads(self.line())
        return landscape

    def end(self, number: int = signal.SIGTERM) -> str:
        """Tell it to end in order; what it said on standard error."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=PATIENCE_SECONDS)
        assert self.process.returncode == 0, said
        return said.decode()

    def leave(self) -> None:
        """Whatever the test came to."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
