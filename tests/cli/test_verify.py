"""`phrasim verify`, against the simulated participants and against real ones, which a thread beside it plays."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from cli.verified import ACCOUNTS, CREDENTIALS, FIXED, PORTS, Call, around, cases, real
from free_ports import free_ports
from phrasim.serve.landscape import Plan, open_landscape
from phrasim.serve.seed_data import read_seed_data
from phrasim.serve.sockets import bind_all
from phrasim.serve.thread import open_server_thread
from phrasim.testbed import Mode
from phrasim.testbed.held import Held


@pytest.mark.parametrize("participant", ["phraseanet", "auth"])
def test_a_simulated_participant_is_verified_in_this_process(phrasim: Call, participant: str) -> None:
    result = phrasim("verify", participant, *FIXED, "--junit", "report.xml", "--har", "log.har")
    assert result.exit_code == 0, result.output
    assert all(cases(result.output).values())
    assert "scenarios" in cases(result.output)
    assert f"phrasim verify {participant}" in result.output.splitlines()[-1]
    suites = ET.parse("report.xml").getroot()
    assert suites.get("failures") == "0"
    assert int(suites.get("tests", "0")) >= 5
    assert json.loads(Path("log.har").read_text())["log"]["version"] == "1.2"


@pytest.mark.turn
@pytest.mark.parametrize("mode", ["push", "pull"])
def test_a_real_phraseanet_that_keeps_its_contract(phrasim: Call, mode: Mode) -> None:
    with real("phraseanet", mode=mode) as ports:
        words = around(ports, "phraseanet")
        result = phrasim("verify", "phraseanet", "--mode", mode, *words, "--seed-data", "accounts.yaml", *FIXED)
    assert result.exit_code == 0, result.output
    assert cases(result.output).keys() == {"refusals", "work", "scenarios", "http"}
    assert cases(result.output)["work"] > 0


def test_a_real_auth_that_keeps_its_contract(phrasim: Call) -> None:
    Path("accounts.yaml").write_text(ACCOUNTS)
    with real("auth", seed=read_seed_data(Path("accounts.yaml"))) as ports:
        told = [word for name, value in CREDENTIALS.items() for word in ("--credential", f"{name}={value}")]
        result = phrasim("verify", "auth", *around(ports, "auth"), *told, *FIXED)
    assert result.exit_code == 0, result.output
    assert cases(result.output).keys() == {"access", "refusals", "scenarios", "http"}
    assert "callers without an account there, are not judged" in result.output
    assert "secret-of" not in result.output


def test_a_real_broker_that_keeps_rabbitmqs_rules(phrasim: Call) -> None:
    """A simulated one, served: that a RabbitMQ keeps them is tested where there is one."""
    with open_server_thread() as thread, tempfile.TemporaryDirectory() as storage:
        (port,) = free_ports(1)
        listeners = bind_all("127.0.0.1", {"broker": (port, "")})
        plan = Plan(played=("broker",))
        held = thread.run(Held.opened(open_landscape(plan, listeners, Path(storage)), "a broker"))
        try:
            result = phrasim("verify", "broker", "--url", f"amqp://guest:guest@127.0.0.1:{port}/", "--budget", "60s")
        finally:
            thread.run(held.close())
    assert result.exit_code == 0, result.output
    assert cases(result.output)["broker"] > 0
    assert "guest:guest" not in result.output


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["upload", "--budget", "soon"], "--budget 'soon': write a time above 0, such as 60s, '500 ms' or 5min"),
        (["upload", "--budget", "0s"], "--budget '0s'"),
        (["upload", "--auth-port", "8083"], "--auth-port has no meaning without --url"),
        (["upload", "--url", "nowhere", *PORTS], "nowhere"),
        (["upload", "--url", "", *PORTS], "upload: '' is no URL of HTTP; write http://HOST[:PORT][/PATH], or https://"),
        (["upload", "--url", "http://127.0.0.1:1", *PORTS], "connection refused; nothing was played"),
        (
            ["upload", "--url", "http://127.0.0.1:1"],
            "where phrasim plays the others: --phraseanet-port and --auth-port",
        ),
        (["broker", "--url", "amqp://127.0.0.1:1", "--auth-port", "1"], "--auth-port has no meaning for a broker"),
        (["auth", "--url", "http://127.0.0.1:1"], "client.id by which"),
        (["broker"], "verify broker takes --url amqp://USER:PASSWORD@HOST/VHOST"),
        (["broker", "--url", "http://127.0.0.1"], "broker: "),
        (["broker", "--url", "amqp://guest:guest@127.0.0.1:1/"], "broker: "),
        (["upload", "--junit", "no/report.xml"], "there is no folder 'no'"),
        (["upload", "--junit", "a", "--har", "a"], "--junit and --har both name 'a'"),
    ],
)
def test_a_call_that_is_wrong_ends_with_2_and_says_what_would_be_right(
    phrasim: Call, words: list[str], problem: str
) -> None:
    result = phrasim("verify", *words)
    assert result.exit_code == 2
    assert problem in result.output
    assert "Traceback" not in result.output


def test_without_the_extra_the_command_says_what_to_install(folder: Path) -> None:
    (folder / "schemathesis.py").write_text("raise ModuleNotFoundError(\"No module\", name='schemathesis')")
    command = [sys.executable, "-c", "from phrasim.cli import main; main()", "verify", "upload"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert done.returncode == 2
    assert (
        done.stderr == "phrasim: verify needs schemathesis, which comes with the extra: pip install 'phrasim[verify]'\n"
    )


def test_a_service_that_does_not_know_the_others_is_not_blamed(phrasim: Call) -> None:
    """That it is not set up is said, and that nothing was judged."""
    with real("upload") as ports:
        words = ["--url", f"http://127.0.0.1:{ports['upload']}", "--phraseanet-port", str(ports["phraseanet"])]
        result = phrasim("verify", "upload", *words, "--auth-port", str(free_ports(1)[0]), *FIXED)
    assert result.exit_code == 2
    assert "upload cannot be judged: uploading a file as the publisher was answered with 503" in result.output
    assert "docs/real-participants.md" in result.output


def test_a_target_that_is_not_there_is_told(phrasim: Call) -> None:
    with real("upload", "deployed", token="a-token") as ports:
        told = ["--credential", "phraseanet.token=a-token", "--credential", "target.slug=nowhere"]
        result = phrasim("verify", "upload", "--profile", "deployed", *around(ports, "upload"), *told, *FIXED)
    assert result.exit_code == 2
    assert "it may have no target 'nowhere'" in result.output


def test_credentials_that_are_wrong_are_told_and_nobody_is_blamed(phrasim: Call) -> None:
    Path("accounts.yaml").write_text(ACCOUNTS)
    wrong = CREDENTIALS | {"publisher.password": "wrong"}
    with real("auth", seed=read_seed_data(Path("accounts.yaml"))) as ports:
        told = [word for name, value in wrong.items() for word in ("--credential", f"{name}={value}")]
        result = phrasim("verify", "auth", *around(ports, "auth"), *told, *FIXED)
    assert result.exit_code == 2
    assert "logging in as the publisher: Auth answered 400, not 200" in result.output


def test_where_the_time_is_over_before_the_fixed_amount_that_is_said(phrasim: Call) -> None:
    result = phrasim("verify", "upload", "--fixed", "--budget", "2500ms")
    assert result.exit_code == 2
    # In the midst of a suite, or between two: that is the machine's speed.
    left = "the time was over before all of it was tried|there was no time for it"
    assert re.search(f"({left}); give it a longer --budget", result.output), result.output


def test_nothing_judged_is_not_kept(phrasim: Call) -> None:
    with real("phraseanet") as ports:
        result = phrasim("verify", "phraseanet", *around(ports, "phraseanet"), *FIXED, "--read-only")
    assert result.exit_code == 2
    assert "kept" not in result.output
    assert result.output.count("left out") >= 4
