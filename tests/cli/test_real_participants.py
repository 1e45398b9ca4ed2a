"""`phrasim run` with real participants, which a second phrasim plays as `serve` with the opposite options."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.dom import minidom

import pytest
from click.testing import Result

from amount import some
from free_ports import free_ports
from phrasim.documents import documents_root, scenarios_folder
from phrasim.journal.events import Participant
from phrasim.report.terminal import UNPROVED
from phrasim.scenario import loopback
from phrasim.scenario.loader import load_scenario
from phrasim.scenario.playable import unplayable
from phrasim.testbed import SERVICES
from phrasim.testbed.network import real_ones

pytestmark = pytest.mark.unmeasured

Call = Callable[..., Result]
Write = Callable[..., Path]
Pair = Callable[..., Result]

ACCOUNTS = """
users:
  - {email: publisher@example.org, password: one, name: A Publisher}
  - {email: administrator@example.org, password: two, roles: [ROLE_USER, ROLE_SUPER_ADMIN]}
clients:
  - {client_id: dam, client_secret: three, scopes: ["commit:list"]}
  - {client_id: pages, client_secret: four, grants: [password]}
"""
WORKER = {"client.id": "dam", "client.secret": "three"}
CREDENTIALS = {
    **WORKER,
    "publisher.email": "publisher@example.org",
    "publisher.password": "one",
    "administrator.email": "administrator@example.org",
    "administrator.password": "two",
    "frontEnd.id": "pages",
    "frontEnd.secret": "four",
}
COMMAND = [sys.executable, "-c", "from phrasim.cli import main; main()"]
PAGE = documents_root() / "docs" / "real-participants.md"
SCENARIOS = sorted(scenarios_folder().glob("*.yaml"))


def options(values: dict[str, str]) -> list[str]:
    return [word for name, value in values.items() for word in ("--credential", f"{name}={value}")]


@pytest.fixture
def serving(folder: Path) -> Iterator[Callable[..., str]]:
    """Starts `phrasim serve` in the folder; gives the line with which it says that it is ready."""
    started: list[subprocess.Popen[str]] = []

    def start(words: Sequence[str], ready: str) -> str:
        process = subprocess.Popen(
            [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=folder
        )
        started.append(process)
        assert process.stdout is not None
        return next(line for line in process.stdout if ready in line)

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
    for process in started:
        process.communicate(timeout=5)
        assert process.returncode == 0


@pytest.fixture
def pair(phrasim: Call, serving: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Pair:
    """Plays scenarios with those participants external, as a second phrasim serves them in that mode."""
    monkeypatch.setattr(loopback, "QUIET_SECONDS_EXTERNAL", 0.15)  # all of them live on this machine

    def run(external: Sequence[Participant], mode: str, *words: str | Path) -> Result:
        Path("accounts.yaml").write_text(ACCOUNTS)
        played = [name for name in SERVICES if name not in external]
        ports = dict(zip(played, free_ports(len(played)), strict=True))
        serve = ["serve", "--only", ",".join(external), "--control-port", "0", "--print", "json"]
        serve += ["--mode", mode, "--interval", "200 ms"]
        for name in external:
            serve += [f"--{name}-port", "0"]
        for name in played:
            serve += [f"--{name}", f"http://127.0.0.1:{ports[name]}"]
        accounts = ["--seed-data", "accounts.yaml"]
        is_real = "auth" in external
        told = json.loads(serving([*serve, *(accounts if is_real else options(WORKER))], "{"))
        call = [word for name in external for word in (f"--{name}", told[name]["url"])]
        call += [word for name in played for word in (f"--{name}-port", str(ports[name]))]
        return phrasim("run", *words, *call, *(options(CREDENTIALS) if is_real else accounts))

    return run


OF_PHRASEANET = ["arrow 5, Produce message", "arrow 6, Consume message", "records", "queues"]


@pytest.mark.parametrize("mode", ["push", "pull"])
@pytest.mark.parametrize(
    ("external", "unobserved"),
    [
        (["upload"], []),
        (["auth"], []),
        (["upload", "auth"], []),
        (["phraseanet"], OF_PHRASEANET),
        (["phraseanet", "auth"], [*OF_PHRASEANET[:2], "arrow 7, Get publisher info", *OF_PHRASEANET[2:]]),
    ],
    ids="+".join,
)
def test_a_real_participant_that_does_all_right_is_held(
    mode: str, external: list[Participant], unobserved: list[str], pair: Pair, scenario: Write
) -> None:
    result = pair(
        external, mode, scenario(mode, ("given:", "given:\n  pollInterval: 200 ms")) if playing(external) else mode
    )
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [
        line.split(maxsplit=1)[1].partition(":")[0] for line in lines if line.startswith("unobserved")
    ] == unobserved
    assert [line for line in lines if line.startswith("broken")] == []
    told = [line for line in lines if "expectations unobserved, since" in line]
    assert len(told) == bool(unobserved)
    assert lines[0].startswith(f"{external[0]}: http://127.0.0.1:")
    assert lines[0].endswith("reachable (HTTP 404 to GET /)")


def playing(external: Sequence[Participant]) -> bool:
    """Whether the run polls itself, so that a scenario may say how often."""
    return "phraseanet" not in external


SHORTER = (("wait: 5 s", "wait: 400 ms"), ("retention: 1 s", "retention: 200 ms"), ("wait: 2 s", "wait: 400 ms"))


@pytest.mark.parametrize("external", [["upload"], ["phraseanet"], ["auth"]], ids="+".join)
def test_every_scenario_is_held_or_told_why_it_is_not_played(
    external: list[Participant], pair: Pair, scenario: Write
) -> None:
    chosen = some([path.stem for path in SCENARIOS if load_scenario(path).mode != "pull"], 3)
    texts = {name: (scenarios_folder() / f"{name}.yaml").read_text() for name in chosen}
    written = [
        scenario(name, *(one for one in SHORTER if one[0] in texts[name]), file=f"{name}.yaml") for name in chosen
    ]
    result = pair(external, "push", *written)
    assert result.exit_code == 0, result.output
    real = frozenset(real_ones(external, ()))
    for path in written:
        why = unplayable(load_scenario(path), "loopback", real)
        said = f"{path.stem}: held" if why is None else f"{path.stem}: not played, {why}"
        assert said in result.stdout.splitlines()


def test_what_two_real_participants_say_to_each_other_cannot_be_waited_for(phrasim: Call) -> None:
    result = phrasim("run", "push", "--upload", "http://127.0.0.1:1", "--phraseanet", "http://127.0.0.1:2")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "it cannot be played so: it waits for acknowledgeCommit, of which nobody here sees anything" in result.stderr


def test_a_run_with_only_auth_simulated_judges_what_it_sees(pair: Pair, scenario: Write) -> None:
    waiting = ("    waitFor: {operationId: acknowledgeCommit, within: 30 s}\n", "    wait: 1 s\n")
    result = pair(["upload", "phraseanet"], "push", scenario("push", waiting))
    assert result.exit_code == 0, result.output
    unobserved = [line for line in result.stdout.splitlines() if line.startswith("unobserved")]
    assert len(unobserved) == 11
    assert UNPROVED["commits"] in result.stdout


def test_one_that_cannot_be_reached_is_told_in_a_line_and_nothing_is_played(phrasim: Call) -> None:
    (port,) = free_ports(1)
    result = phrasim("run", "push", "--upload", f"http://127.0.0.1:{port}", "--trace", "trace.jsonl")
    assert (result.exit_code, result.stdout) == (2, "")
    said = f"phrasim: upload: http://127.0.0.1:{port} not reachable: connection refused; nothing was played\n"
    assert result.stderr == said
    assert not Path("trace.jsonl").exists()


def test_a_port_that_is_taken_is_told_before_anything_is_played(phrasim: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = phrasim("run", "push", "--wire", "loopback", "--auth-port", port)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--auth-port" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_real_participant_is_not_in_process(phrasim: Call) -> None:
    result = phrasim("run", "push", "--wire", "in-process", "--auth", "http://127.0.0.1:1")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "phrasim: --auth: a real auth is reached over sockets; leave --wire in-process out\n"


def test_what_nobody_saw_is_skipped_in_junit_with_the_reason(pair: Pair) -> None:
    assert pair(["phraseanet"], "push", "push", "--junit", "report.xml").exit_code == 0
    document = minidom.parse("report.xml")
    skipped = [one.getAttribute("message") for one in document.getElementsByTagName("skipped")]
    assert len(skipped) == 4
    assert all(skipped)
    (said,) = [one.firstChild.data for one in document.getElementsByTagName("system-out")]  # type: ignore[union-attr]
    assert said.startswith("not proved: what external participants say to each other")


def test_a_silent_participant_ends_the_wait_in_its_time_and_is_told_of(pair: Pair, scenario: Write) -> None:
    changed = scenario("pull", ("within: 30 s", "within: 500 ms"))
    result = pair(["phraseanet"], "off", changed, "--trace", "trace.jsonl")
    assert result.exit_code == 1
    (at,) = [index for index, line in enumerate(result.stdout.splitlines()) if line == "broken      step handed-over"]
    told = [line.strip() for line in result.stdout.splitlines()[at + 1 : at + 3]]
    assert told[0].startswith("waited 0.5 s for acknowledgeCommit")
    assert told[1] == "nothing was seen of phraseanet"
    last = json.loads(Path("trace.jsonl").read_text().splitlines()[-1])
    assert last["at"] < 2_000_000_000


page = pytest.mark.skipif(not PAGE.is_file(), reason="the pages are those of the checkout")


def fences(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@page
def test_the_page_tells_all_that_a_run_may_leave_unproved() -> None:
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert dict(rows) == UNPROVED


@pytest.mark.turn
@page
def test_the_commands_of_the_page_run_as_printed(folder: Path, serving: Callable[..., str]) -> None:
    (accounts,) = fences("yaml")
    Path("accounts.yaml").write_text(accounts)
    blocks = fences("sh")
    assert len(blocks) == 10
    known = re.findall(r"\b9[12345]0\d\b", "".join(blocks))
    ports = dict(zip(dict.fromkeys(known), free_ports(len(set(known))), strict=True))
    bin_folder = folder / "bin"
    bin_folder.mkdir()
    command = bin_folder / "phrasim"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -c "from phrasim.cli import main; main()" "$@"\n')
    command.chmod(0o755)
    environment: dict[str, Any] = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    for block in blocks:
        text = re.sub(r"\b9[12345]0\d\b", lambda found: str(ports[found[0]]), block)
        if text.startswith("phrasim serve "):
            words = subprocess.run(
                ["sh", "-c", f"printf '%s\\n' {text.removeprefix('phrasim ')}"],
                capture_output=True,
                text=True,
                check=True,
            )
            serving(words.stdout.splitlines(), "Ctrl-C ends it.")
            continue
        done = subprocess.run(["sh", "-ec", text], env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert done.stdout.splitlines()[-1].endswith(": held")


def test_a_real_phraseanet_at_the_simulated_broker_is_seen_to_produce_and_to_consume(
    phrasim: Call, serving: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Phraseanet begins with a broker that goes, and finds that of the run in its place; till then it answers 503."""
    monkeypatch.setattr(loopback, "QUIET_SECONDS_EXTERNAL", 0.15)
    Path("accounts.yaml").write_text(ACCOUNTS)
    upload, auth, amqp = map(str, free_ports(3))
    earlier = subprocess.Popen(
        [*COMMAND, "serve", "--only", "broker", "--amqp-port", amqp, "--control-port", "0", "--print", "json"],
        stdout=subprocess.PIPE,
    )
    try:
        assert earlier.stdout is not None
        assert earlier.stdout.readline()
        words = ["serve", "--only", "phraseanet", "--phraseanet-port", "0", "--control-port", "0", "--print", "json"]
        words += ["--upload", f"http://127.0.0.1:{upload}", "--auth", f"http://127.0.0.1:{auth}"]
        words += ["--broker", f"amqp://guest:guest@127.0.0.1:{amqp}", *options(WORKER)]
        told = json.loads(serving(words, "{"))
    finally:
        earlier.terminate()
        earlier.communicate(timeout=5)
    ports = ["--upload-port", upload, "--auth-port", auth, "--amqp-port", amqp]
    result = phrasim("run", "push", "--phraseanet", told["phraseanet"]["url"], *ports, "--seed-data", "accounts.yaml")
    assert result.exit_code == 0, result.output
    assert "sequence: walked (12 of 12 arrows)" in result.stdout
    assert [line.split(":")[0] for line in result.stdout.splitlines() if line.startswith("unobserved")] == [
        "unobserved  records"
    ]
