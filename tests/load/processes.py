"""Load runs as processes, and the servers that they load."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from phrasim.documents.locations import locustfile

PHRASIM = ["-c", "import sys; from phrasim.cli import main; sys.exit(main())"]
PORTS = [word for name in ("upload", "phraseanet", "auth", "control", "amqp") for word in (f"--{name}-port", "0")]
PATIENCE_SECONDS = 120

Serve = Callable[..., Path]


def call(*words: str | Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False, **options)


def load(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    return call(*PHRASIM, "load", *words)


def locust(landscape: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return call("-m", "locust", "-f", locustfile(), "--headless", "--landscape", landscape, *words)


@contextmanager
def process(*words: str | Path, **options: Any) -> "Iterator[subprocess.Popen[str]]":
    with subprocess.Popen([sys.executable, *map(str, words)], text=True, **options) as started:
        try:
            yield started
        finally:
            started.terminate()


def told(result: "subprocess.CompletedProcess[str]") -> str:
    return result.stdout + result.stderr
