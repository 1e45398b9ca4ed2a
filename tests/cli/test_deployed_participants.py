"""`phrasim run --profile deployed` with real participants, which a second phrasim plays as `serve` with the others."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from free_ports import free_ports
from phrasim.journal.events import Participant
from phrasim.scenario import loopback
from phrasim.testbed import SERVICES

pytestmark = pytest.mark.unmeasured

Call = Callable[..., Result]

COMMAND = [sys.executable, "-c", "from phrasim.cli import main; main()"]
HOST = "127.0.3.80"
"""An address of this machine at whose port 80 nobody else listens: the puller leaves out any other port (H22)."""

TARGET = {"target.id": "6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e15", "target.slug": "press"}
TOKEN = {"phraseanet.token": "a-token-of-phraseanet"}
WORKER = {"client.id": "dam", "client.secret": "three"}
PEOPLE = {
    "publisher.email": "publisher@example.org",
    "publisher.password": "one",
    "frontEnd.id": "pages",
    "frontEnd.secret": "four",
}
ACCOUNTS = """
users:
  - {email: publisher@example.org, password: one, name: A Publisher}
clients:
  - {client_id: dam, client_secret: three, scopes: ["commit:list"]}
  - {client_id: pages, client_secret: four, grants: [password]}
"""


def credentials(*values: dict[str, str]) -> list[str]:
    return [word for each in values for name, value in each.items() for word in ("--credential", f"{name}={value}")]


@pytest.fixture
def upload_port() -> int:
    """80, if it may be bound here; else the tests that want it are skipped, with the reason."""
    try:
        with socket.create_server((HOST, 80)):
            return 80
    except PermissionError:
        pytest.skip("port 80 may not be bound here, and the deployed Phraseanet pulls from no other (H22)")


@pytest.fixture
def pair(phrasim: Call, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Plays the scenario of a mode with that participant external, as a second phrasim serves it."""
    monkeypatch.setattr(loopback, "QUIET_SECONDS_EXTERNAL", 0.15)  # all of them live on this machine
    Path("accounts.yaml").write_text(ACCOUNTS)
    started: list[subprocess.Popen[str]] = []

    def run(external: Participant, mode: str, upload_port: int, *words: str) -> Result:
        played = [name for name in SERVICES if name != external]
        ports = dict(zip(played, free_ports(len(played)), strict=True))
        if "upload" in played:
            ports["upload"] = upload_port
        serve = ["serve", "--profile", "deployed", "--only", external, f"--{external}-port", "0", "--print", "json"]
        serve += ["--control-port", "0", "--host", HOST, "--mode", mode, "--interval", "200 ms"]
        serve += [word for name in played for word in (f"--{name}", f"http://{HOST}:{ports[name]}")]
        accounts = ["--seed-data", "accounts.yaml"] if external == "auth" else credentials(WORKER)
        process = subprocess.Popen(
            [*COMMAND, *serve, *accounts, *credentials(TARGET, TOKEN)],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,
        )
        started.append(process)
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        call = [f"--{external}", told[external]["url"], "--host", HOST]
        call += [word for name in played for word in (f"--{name}-port", str(ports[name]))]
        call += credentials(WORKER, PEOPLE) if external == "auth" else ["--seed-data", "accounts.yaml"]
        return phrasim("run", mode, "--profile", "deployed", *call, *credentials(TARGET, TOKEN), *words)

    yield run
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=5)
        assert process.returncode == 0


def of(judgement: str, result: Result) -> list[str]:
    lines = [line.split(maxsplit=1) for line in result.stdout.splitlines()]
    return [line[1].partition(":")[0] for line in lines if line and line[0] == judgement]


@pytest.mark.parametrize(
    ("external", "unobserved"),
    [
        ("upload", ["counts"]),
        ("auth", []),
        (
            "phraseanet",
            [
                *("arrow 5, Produce message", "arrow 6, Consume message", "arrow 8, Hand out asset #0"),
                *("arrow 9, Make record #0", "arrow 14, Hand out asset #1", "arrow 15, Make record #1"),
                *("records", "executions of the work", "counts"),
            ],
        ),
    ],
)
def test_a_real_participant_of_push_mode_is_held(
    external: Participant, unobserved: list[str], pair: Callable[..., Result]
) -> None:
    (port,) = free_ports(1)
    result = pair(external, "push", port)
    assert result.exit_code == 0, result.output
    assert of("unobserved", result) == unobserved
    held = {line.partition(" (")[0] for line in of("held", result)}
    assert {"messages as specified", "messages agree with each other", "sequence"} <= held


def test_a_real_phraseanet_of_pull_mode_is_held(upload_port: int, pair: Callable[..., Result]) -> None:
    result = pair("phraseanet", "pull", upload_port)
    assert result.exit_code == 0, result.output
    assert {"sequence", "commits"} <= set(of("held", result))
    assert "19 arrows" in result.stdout


def test_pull_mode_needs_no_port_80_where_all_that_is_pulled_is_simulated(pair: Callable[..., Result]) -> None:
    """The upload service is known to the simulated Phraseanet by a URL without a port."""
    (port,) = free_ports(1)
    result = pair("auth", "pull", port)
    assert result.exit_code == 0, result.output
    assert "sequence: walked (19 of 19 arrows)" in result.stdout
