"""Load runs on services that are there already: a real one, and what several machines load."""

import json
from pathlib import Path

import pytest

from free_ports import free_ports
from load.processes import Serve, call, load, process, told
from phrasim.documents.locations import locustfile

pytestmark = pytest.mark.unmeasured


@pytest.mark.turn
def test_one_master_and_two_workers_keep_one_account(serve: Serve, tmp_path: Path) -> None:
    consumer, master = free_ports(2)
    landscape = serve("--only", "upload,auth", "--phraseanet", f"http://127.0.0.1:{consumer}")
    common = ["-m", "locust", "-f", locustfile(), "--landscape", landscape, "--consume", "-L", "WARNING"]
    common += ["--consumer-port", str(consumer), "--master-port", str(master)]
    own = ["--master", "--master-bind-port", str(master), "--expect-workers", "2", "--headless", "-u", "6", "-r", "6"]
    with process(*common, "--worker"), process(*common, "--worker"):
        result = call(*common, *own, "--duration", "4s", "--rate", "4", "--result", tmp_path / "figures.json")
    assert result.returncode == 0, told(result)
    account = json.loads((tmp_path / "figures.json").read_text())["account"]
    assert account["commits"] == account["acknowledged"]
    assert 6 <= account["commits"] <= 4 * 4 + 6  # the rate is that of all of them


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    """Those of the simulated Auth that the real services know."""
    file = tmp_path / "accounts.yaml"
    file.write_text(
        "users: [{email: publisher@example.org, password: one}]\n"
        "clients: [{client_id: dam, client_secret: three, scopes: ['commit:list']},"
        " {client_id: pages, client_secret: four, grants: [password]}]\n"
    )
    return file


OWN = ["--credential", "client.id=dam", "--credential", "client.secret=three"]


def test_a_real_upload_service_is_loaded_and_its_phraseanet_played(serve: Serve, accounts: Path) -> None:
    consumer, auth = free_ports(2)
    around = ["--auth", f"http://127.0.0.1:{auth}", "--phraseanet", f"http://127.0.0.1:{consumer}"]
    upload = json.loads(serve("--only", "upload", *around, *OWN).read_text())["upload"]["url"]
    words = ["--upload", upload, "--auth-port", str(auth), "--seed-data", accounts, "--consumer-port", str(consumer)]
    result = load(*words, "--users", "2", "--duration", "2s")
    assert result.returncode == 0, told(result)
    assert "load: kept" in result.stdout


@pytest.mark.parametrize("mode", ["push", "pull"])
def test_a_real_phraseanet_is_loaded_with_commits_of_the_simulated_upload_service(
    mode: str, serve: Serve, accounts: Path
) -> None:
    upload, auth = free_ports(2)
    around = ["--upload", f"http://127.0.0.1:{upload}", "--auth", f"http://127.0.0.1:{auth}", "--interval", "300ms"]
    served = serve("--only", "phraseanet,broker", "--mode", mode, *around, *OWN)
    phraseanet = json.loads(served.read_text())["phraseanet"]["url"]
    words = ["--phraseanet", phraseanet, "--upload-port", str(upload), "--auth-port", str(auth), "--mode", mode]
    result = load(*words, "--seed-data", accounts, "--users", "2", "--duration", "2s")
    assert result.returncode == 0, told(result)
    assert ("enqueueAssets" in result.stderr) == (mode == "push")
    assert "load: kept" in result.stdout
