"""Load runs as processes: against simulated services, ones that lie, and ones that are there already."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest

from free_ports import free_ports
from phrasim.documents import scenarios_folder
from phrasim.documents.locations import locustfile

pytestmark = pytest.mark.unmeasured

PHRASIM = ["-c", "import sys; from phrasim.cli import main; sys.exit(main())"]
PORTS = [word for name in ("upload", "phraseanet", "auth", "control", "amqp") for word in (f"--{name}-port", "0")]
PATIENCE_SECONDS = 120
COMMIT = re.compile(r"commit [0-9a-f]{8}-[0-9a-f-]{27}")

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


def told(result: "subprocess.CompletedProcess[str]") -> str:
    return result.stdout + result.stderr


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


def test_a_scenario_gives_the_files(tmp_path: Path) -> None:
    scenario = scenarios_folder() / "push-ten-assets.yaml"
    words = ["--scenario", scenario, "--users", "1", "--duration", "2s", "--json", tmp_path / "figures.json"]
    result = load(*words)
    assert result.returncode == 0, told(result)
    account = json.loads((tmp_path / "figures.json").read_text())["account"]
    assert account["assets"] == 10 * account["commits"] > 0


def test_a_run_is_as_long_as_locusts_own_option_says(serve: Serve, tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    result = locust(serve(), "-t", "1s", "--duration", "60s", "--result", str(figures), "-L", "WARNING")
    assert result.returncode == 0, told(result)
    assert json.loads(figures.read_text())["seconds"] < 60


def test_a_hand_off_that_was_begun_in_time_is_waited_for() -> None:
    """One file after the other is uploaded, and the time is over before the last one."""
    result = load("--users", "1", "--duration", "1s", "--rate", "0", "--sizes", "1 B", "--assets", "200", "--consume")
    assert result.returncode == 0, told(result)
    assert re.search(r"^[1-9][0-9]* commits of [0-9]+00 assets", result.stdout)


def test_services_that_die_end_the_run_unjudged(tmp_path: Path) -> None:
    with process(*PHRASIM, "serve", *PORTS, "--print", "json", stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        landscape = tmp_path / "landscape.json"
        landscape.write_text(server.stdout.readline())
        words = ["-m", "locust", "-f", locustfile(), "--headless", "--landscape", landscape, "-u", "2"]
        with process(*words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
            assert started.stderr is not None
            next(line for line in iter(started.stderr.readline, "") if "commits acknowledged" in line)
            server.kill()
            said, errors = started.communicate(timeout=PATIENCE_SECONDS)
    assert started.returncode == 2, said + errors
    assert "was not read to its end" in said, errors
    assert "Traceback" not in errors


LIES = {
    "drop_an_acknowledgement": "is listed as new, though its acknowledgement was answered with 200",
    "serve_a_wrong_byte": "came with the SHA-256",
    "notify_twice": "was handed over 2 times: by so many notifications",
}


@pytest.mark.parametrize("lie", LIES)
def test_one_lie_among_many_fails_the_run_and_names_the_commit(lie: str, serve: Serve) -> None:
    every = 50  # acknowledgements, downloads, notifications
    landscape = serve(command=[Path(__file__).with_name("liar.py"), lie, str(every)])
    result = locust(landscape, "-u", "20", "-r", "20", "--duration", "5s", "--sizes", "1 KiB", "-L", "WARNING")
    assert result.returncode == 1, told(result)
    sentences = [line.strip() for line in result.stdout.splitlines() if LIES[lie] in line]
    assert 1 <= len(sentences) <= 4, told(result)
    assert all(COMMIT.match(sentence) for sentence in sentences)


def test_a_wrong_byte_is_found_before_its_record_is_forgotten(serve: Serve) -> None:
    """Each record is gone when the next one comes."""
    landscape = serve("--retain", "1s", command=[Path(__file__).with_name("liar.py"), "serve_a_wrong_byte", "1"])
    words = ["-u", "1", "--duration", "5s", "--rate", "0.5", "--sizes", "1 KiB", "--retain", "1s", "-L", "WARNING"]
    result = locust(landscape, *words)
    assert result.returncode == 1, told(result)
    wrong = {COMMIT.findall(line)[0] for line in result.stdout.splitlines() if LIES["serve_a_wrong_byte"] in line}
    assert len(wrong) >= 2, told(result)


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


def test_shards_are_loaded_one_after_the_other(tmp_path: Path) -> None:
    result = load("--shards", "2", "--users", "2", "--duration", "2s", "--json", tmp_path / "figures.json")
    assert result.returncode == 0, told(result)
    assert json.loads((tmp_path / "figures.json").read_text())["account"]["commits"] >= 2


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


def test_nothing_of_asyncio_is_in_the_process_of_locust() -> None:
    words = ["import sys", f"sys.path.insert(0, {str(locustfile().parent)!r})", "import locustfile"]
    result = call("-c", "; ".join([*words, "print('asyncio' in sys.modules)"]))
    assert result.stdout == "False\n", told(result)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--duration", "soon"], "--duration 'soon': write a number and its unit"),
        (["--sizes", "huge"], "--sizes 'huge': 'huge' is no size above 0"),
        (["--assets", "0"], "--assets '0': write a number from 1 to 1000"),
        (["--rate", "-1"], "--rate '-1': write a number of hand-offs"),
        (["--slo", "nowhere.yaml"], "--slo 'nowhere.yaml': there is no such file"),
        (["--scenario", str(scenarios_folder() / "deployed" / "push.yaml")], "has the profile deployed"),
        (["--upload", "http://a.example", "--phraseanet", "http://b.example"], "name one"),
        (["--junit", "no/where.xml"], "there is no folder 'no'"),
        (["--auth", "http://127.0.0.1:9"], "credentials are missing"),
    ],
)
def test_a_call_that_is_wrong_ends_with_2_and_says_what_would_be_right(words: list[str], said: str) -> None:
    result = load(*words)
    assert said in result.stderr, told(result)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr


def test_the_page_of_locust_starts_a_run(serve: Serve, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    page = f"http://127.0.0.1:{port}"
    words = ["--landscape", serve(), "--web-host", "127.0.0.1", "--web-port", str(port), "--duration", "2s"]
    with process("-m", "locust", "-f", locustfile(), *words, stdout=subprocess.PIPE) as started:
        until(lambda: httpx.get(page, trust_env=False).status_code == 200)
        assert '"sizes"' in httpx.get(page, trust_env=False).text
        answer = httpx.post(f"{page}/swarm", data={"user_count": 2, "spawn_rate": 2, "sizes": "1 KiB"}, trust_env=False)
        assert answer.json()["success"], answer.text
        assert started.stdout is not None
        lines = iter(started.stdout.readline, "")
        assert "every commit once" in next(line for line in lines if line.startswith("kept"))
        names = {one["name"] for one in httpx.get(f"{page}/stats/requests", trust_env=False).json()["stats"]}
        assert {"uploadAsset", "commit → acknowledged"} <= names


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_not_judged_and_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    words = [*PHRASIM, "load", "--users", "2", "--duration", "60s"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    # Whoever runs the tests in the background has SIGINT ignored, and so would what they start.
    with process(*words, env=environment, preexec_fn=heed_interrupts, **pipes) as started:
        assert started.stderr is not None
        next(line for line in iter(started.stderr.readline, "") if "2 users" in line)
        served = children(started.pid)
        started.send_signal(number)
        said, errors = started.communicate(timeout=PATIENCE_SECONDS)
    assert "Traceback" not in errors
    assert started.returncode == 128 + number
    assert "it was stopped before its end" in said
    assert [pid for pid in served if Path(f"/proc/{pid}").exists()] == []
    assert list(tmp_path.iterdir()) == []


def heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def until(so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        with suppress(httpx.TransportError):
            if so():
                return
        assert time.monotonic() < end
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    own = [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return [*own, *(grandchild for child in own for grandchild in children(child))]
