"""What `phrasim load` takes, and what it starts; tests/load has runs of all sorts."""

import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from cli.verified import ACCOUNTS, CREDENTIALS, around, real
from phrasim.serve.seed_data import read_seed_data

Call = Callable[..., Result]

SHORT = ["--users", "1", "--duration", "2s", "--json", "figures.json"]


def account() -> dict[str, int]:
    told: dict[str, int] = json.loads(Path("figures.json").read_text())["account"]
    return told


def test_simulated_services_are_served_and_loaded(phrasim: Call) -> None:
    result = phrasim("load", *SHORT, "--retain", "30s")
    assert result.exit_code == 0, result.output
    assert account()["acknowledged"] == account()["commits"] >= 1


def test_a_real_auth_is_asked_with_the_credentials_that_are_given(phrasim: Call) -> None:
    Path("accounts.yaml").write_text(ACCOUNTS)
    told = [word for name, value in CREDENTIALS.items() for word in ("--credential", f"{name}={value}")]
    with real("auth", seed=read_seed_data(Path("accounts.yaml"))) as ports:
        words = around(ports, "auth")
        result = phrasim("load", *SHORT, "--auth", words[words.index("--url") + 1], *told)
    assert result.exit_code == 0, result.output
    assert account()["acknowledged"] >= 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--upload", "http://a.example", "--phraseanet", "http://b.example"], "name one"),
        (["--junit", "no/where.xml"], "writing the JUnit file 'no/where.xml': there is no folder 'no'"),
        (["--credential", "client"], "--credential has no '='"),
        (["--auth", "http://127.0.0.1:9"], "credentials are missing"),
        (["--auth", "http://127.0.0.1:9", "--upload", "http://127.0.0.1:9"], "credentials are missing"),
        (["--phraseanet", "http://127.0.0.1:9", "--consume"], "--consume and --phraseanet: "),
        (["--phraseanet", "http://127.0.0.1:9"], "phraseanet: http://127.0.0.1:9 not reachable"),
        (["--upload", "foo"], "upload: "),
        (["--upload", "http://127.0.0.1:9", "--profile", "deployed"], "target.slug"),
        (["--consumer-host", "192.0.2.1", "--consume"], "--consumer-host '192.0.2.1', --consumer-port 0: "),
        (["--retain", "ever"], "the simulated services have not begun: phrasim serve ended with exit code 2"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_loaded(phrasim: Call, words: list[str], said: str) -> None:
    result = phrasim("load", *SHORT, *words)
    assert result.exit_code == 2
    assert said in result.output
    assert not Path("figures.json").exists()


def test_a_consumer_port_that_is_taken_is_told_before_anything_is_loaded(phrasim: Call) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = phrasim("load", *SHORT, "--consume", "--consumer-port", str(taken.getsockname()[1]))
    assert result.exit_code == 2
    assert "Address already in use" in result.output


def test_a_report_may_go_to_a_device(phrasim: Call) -> None:
    result = phrasim("load", "--users", "1", "--duration", "2s", "--json", "/dev/null")
    assert result.exit_code == 0, result.output
    assert Path("/dev/null").is_char_device()
