"""Load runs of simulated services."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from load.processes import Serve, load, locust, told
from phrasim.documents import scenarios_folder

pytestmark = pytest.mark.unmeasured


@pytest.mark.parametrize(
    ("profile", "mode", "consume"),
    [
        ("documented", "push", []),
        ("documented", "pull", ["--consume"]),
        ("deployed", "push", ["--consume"]),
        ("deployed", "pull", []),
        ("deployed", "pull", ["--consume"]),
    ],
)
def test_every_commit_is_followed_to_its_acknowledgement(
    profile: str, mode: str, consume: list[str], tmp_path: Path
) -> None:
    words = ["--profile", profile, "--mode", mode, "--interval", "300ms", "--users", "3", "--duration", "2s", *consume]
    result = load(*words, "--json", tmp_path / "figures.json")
    assert result.returncode == 0, told(result)
    assert "load: kept" in result.stdout
    figures = json.loads((tmp_path / "figures.json").read_text())
    account = figures["account"]
    assert account["commits"] == account["acknowledged"] == account["notified"] == account["downloaded"] >= 3
    assert account["violations"] == []
    assert figures["stages"]["commit → downloaded"]["count"] == account["assets"] == 2 * account["commits"]
    assert figures["rates"]["bytes per second"] > 0
    assert bool(figures["queues"]) == (not consume)


def test_objectives_and_reports(tmp_path: Path) -> None:
    slo = tmp_path / "slo.yaml"
    slo.write_text("objectives: [p95 of commit → acknowledged ≤ 20 s, failures ≤ 0 %, hand-offs per second ≥ 1000]\n")
    files = {"--junit": "load.xml", "--html": "load.html", "--csv": "load"}
    words = [word for option, name in files.items() for word in (option, str(tmp_path / name))]
    result = load("--users", "2", "--duration", "2s", "--slo", slo, *words)
    assert result.returncode == 1, told(result)
    assert re.search(r"kept +p95 of commit → acknowledged ≤ 20 s: ", result.stdout)
    assert re.search(r"broken +hand-offs per second ≥ 1000: ", result.stdout)
    assert ET.parse(tmp_path / "load.xml").getroot().get("failures") == "1"
    assert "acknowledged" in (tmp_path / "load.html").read_text()
    assert "uploadAsset" in (tmp_path / "load_stats.csv").read_text()


@pytest.mark.turn
def test_a_scenario_gives_the_files(tmp_path: Path) -> None:
    scenario = scenarios_folder() / "push-ten-assets.yaml"
    words = ["--scenario", scenario, "--users", "1", "--duration", "2s", "--json", tmp_path / "figures.json"]
    result = load(*words)
    assert result.returncode == 0, told(result)
    account = json.loads((tmp_path / "figures.json").read_text())["account"]
    assert account["assets"] == 10 * account["commits"] > 0


def test_all_users_together_keep_the_rate(tmp_path: Path) -> None:
    words = ["--users", "20", "--rate", "1", "--duration", "4s", "--json", tmp_path / "figures.json"]
    result = load(*words)
    assert result.returncode == 0, told(result)
    # Each of them begins once in 20 s, at a moment of its own.
    assert 1 <= json.loads((tmp_path / "figures.json").read_text())["account"]["commits"] <= 13


def test_requests_while_a_run_drains_in_vain_are_not_those_of_the_time_before(serve: Serve, tmp_path: Path) -> None:
    file = serve("--mode", "off")
    landscape = json.loads(file.read_text())
    landscape |= {"mode": "pull", "clients": [one | {"client_secret": "wrong"} for one in landscape["clients"]]}
    file.write_text(json.dumps(landscape, indent=2))
    words = ["--consume", "--interval", "100ms", "-u", "1", "-t", "1s", "--patience", "4s", "-L", "WARNING"]
    result = locust(file, *words, "--result", str(tmp_path / "figures.json"))
    assert result.returncode == 1, told(result)
    figures = json.loads((tmp_path / "figures.json").read_text())
    asked = sum(one["count"] for one in figures["requests"].values())
    assert figures["requests"]["issueToken"]["failed"] > 4
    assert figures["rates"]["requests per second"] <= asked / 3


@pytest.mark.turn
def test_a_run_is_as_long_as_locusts_own_option_says(serve: Serve, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    result = locust(serve(), "-t", "1s", "--duration", "60s", "--result", str(figures), "-L", "WARNING")
    assert result.returncode == 0, told(result)
    assert json.loads(figures.read_text())["seconds"] < 60


@pytest.mark.turn
def test_a_hand_off_that_was_begun_in_time_is_waited_for() -> None:
    """One file after the other is uploaded, and the time is over before the last one."""
    result = load("--users", "1", "--duration", "1s", "--rate", "0", "--sizes", "1 B", "--assets", "200", "--consume")
    assert result.returncode == 0, told(result)
    assert re.search(r"^[1-9][0-9]* commits of [0-9]+00 assets", result.stdout)


@pytest.mark.turn
def test_shards_are_loaded_one_after_the_other(tmp_path: Path) -> None:
    result = load("--shards", "2", "--users", "2", "--duration", "2s", "--json", tmp_path / "figures.json")
    assert result.returncode == 0, told(result)
    assert json.loads((tmp_path / "figures.json").read_text())["account"]["commits"] >= 2
