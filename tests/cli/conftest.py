"""The command as a test calls it, in an empty folder, and texts that are held to files in `golden/`."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.server import Server
from phrasim.cli import app
from phrasim.documents import scenarios_folder

GOLDEN = Path(__file__).parent / "golden"

Call = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def phrasim(folder: Path) -> Call:
    """Calls the command in the empty folder; what ends it other than by an exit code fails the test."""

    def call(*words: str | Path) -> Result:
        result = CliRunner().invoke(app, [str(word) for word in words])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


@pytest.fixture
def scenario(folder: Path) -> Callable[..., Path]:
    """Writes a changed scenario of phrasim beside its media: `scenario("push", (old, new), …)`."""

    def write(name: str, *changes: tuple[str, str], file: str = "changed.yaml") -> Path:
        text = (scenarios_folder() / f"{name}.yaml").read_text()
        for old, new in changes:
            assert text.count(old) >= 1, old
            text = text.replace(old, new)
        path = Path(file)
        path.write_text(text)
        return path

    return write


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Holds a text to a file in `golden/`; with PHRASIM_GOLDEN=write the file is written instead."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("PHRASIM_GOLDEN") == "write":
            path.write_text(text)
        assert text == path.read_text(), f"{path} differs; PHRASIM_GOLDEN=write writes it anew"

    return compare


@pytest.fixture
def serve(folder: Path) -> Iterator[Callable[..., Server]]:
    """Start a server in the empty folder: `serve("--mode", "pull")`."""
    with ExitStack() as stack:

        def start(*words: str | Path, **options: Any) -> Server:
            server = Server(*words, **options)
            stack.callback(server.leave)
            return server

        yield start
