"""The hand-off by hand, as the README prints it: its commands run against the server that it says to start."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from free_ports import free_ports
from phrasim.documents import documents_root

ROOT = Path(__file__).parents[1]
PORTS = ("8080", "8081", "8082", "8083", "5672")

pytestmark = pytest.mark.skipif(documents_root() != ROOT, reason="the README is that of the checkout")


def printed_blocks() -> list[str]:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = readme.partition("### The hand-off by hand")[2].partition("\n### ")[0]
    return re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


@pytest.fixture
def ports() -> dict[str, str]:
    return dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("README.md", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.fixture
def server(ports: dict[str, str], folder: Path) -> Iterator[None]:
    start = printed_blocks()[0].strip()
    assert start.startswith("phrasim serve ")
    names = ("control", "upload", "phraseanet", "auth", "amqp")
    chosen = " ".join(f"--{name}-port {port}" for name, port in zip(names, ports.values(), strict=True))
    command = f"exec {Path(sys.executable).parent}/{start} {chosen}"
    process = subprocess.Popen(["sh", "-c", command], cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = []
    while "Ctrl-C" not in (line := process.stdout.readline()):
        assert line, f"the server ended: {told}"
        told.append(line)
    yield
    process.terminate()
    process.communicate()
    assert process.returncode == 0


def state(control: str) -> Any:
    return httpx.get(f"http://127.0.0.1:{control}/_phrasim/state", trust_env=False).json()


@pytest.mark.usefixtures("server")
def test_the_commands_of_the_readme_hand_a_file_over(ports: dict[str, str], folder: Path) -> None:
    script = "".join(printed_blocks()[1:])
    for printed, free in ports.items():
        script = script.replace(f"127.0.0.1:{printed}", f"127.0.0.1:{free}")
    done = subprocess.run(
        ["sh", "-eu", "-c", script], cwd=folder, env=os.environ, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    commit, acknowledgement = "true", "true"
    assert done.stdout.startswith(f"{commit}{acknowledgement}[]true{{")
    until = time.monotonic() + 10
    while not (found := state(ports["8080"]))["records"] and time.monotonic() < until:
        httpx.get(f"http://127.0.0.1:{ports['8080']}/_phrasim/journal", trust_env=False)
    assert [one["acknowledged"] for one in found["commits"]] == [True]
    size = (ROOT / "README.md").stat().st_size
    assert [(one["originalName"], one["size"]) for one in found["records"]] == [("README.md", size)]
