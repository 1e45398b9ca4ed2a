"""What load runs are tried on."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

from load.processes import PHRASIM, PORTS, Serve, process


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serve as `phrasim serve` does, or as a liar does; the file with its landscape."""
    with ExitStack() as stack:

        def started(*words: str, command: Sequence[str | Path] = PHRASIM) -> Path:
            server = stack.enter_context(
                process(*command, "serve", *PORTS, "--print", "json", *words, stdout=subprocess.PIPE)
            )
            assert server.stdout is not None
            file = tmp_path / "landscape.json"
            file.write_text(server.stdout.readline())
            return file

        yield started
