"""Load runs that are called wrongly, interrupted, or begun by Locust's page."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from free_ports import free_ports
from load.processes import PATIENCE_SECONDS, PHRASIM, PORTS, Serve, call, load, process, told
from phrasim.documents import scenarios_folder
from phrasim.documents.locations import locustfile

pytestmark = pytest.mark.unmeasured


def test_nothing_of_asyncio_is_in_the_process_of_locust() -> None:
    words = ["import sys", f"sys.path.insert(0, {str(locustfile().parent)!r})", "import locustfile"]
    result = call("-c", "; ".join([*words, "print('asyncio' in sys.modules)"]))
    assert result.stdout == "False\n", told(result)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--duration", "soon"], "--duration 'soon': write a number and its unit"),
        (["--duration", "-5s"], "--duration '-5s': write a number and its unit"),
        (["--scenario", str(scenarios_folder() / "push.yaml"), "--sizes", "1 B"], "leave --assets and --sizes out"),
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


@pytest.mark.turn
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


@pytest.mark.turn
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


def test_nothing_goes_on_behind_a_run_that_is_killed(tmp_path: Path) -> None:
    words = [*PHRASIM, "load", "--users", "2", "--shards", "2", "--duration", "60s"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with process(*words, env=environment, **pipes) as started:
        assert started.stderr is not None
        next(line for line in iter(started.stderr.readline, "") if "2 users" in line)
        others = children(started.pid)
        assert len(others) >= 4  # two shards and what began them, and Locust
        started.kill()
        until(lambda: not any(is_running(pid) for pid in others))


def test_services_that_are_gone_before_the_end_are_told(tmp_path: Path) -> None:
    words = [*PHRASIM, "load", "--users", "2", "--duration", "60s"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with process(*words, cwd=tmp_path, **pipes) as started:
        assert started.stderr is not None
        next(line for line in iter(started.stderr.readline, "") if "2 users" in line)
        (served,) = (pid for pid in children(started.pid) if b"serve" in Path(f"/proc/{pid}/cmdline").read_bytes())
        os.kill(served, signal.SIGKILL)
        said, errors = started.communicate(timeout=PATIENCE_SECONDS)
    assert started.returncode == 2, said + errors
    assert "gone before the end of the run: phrasim serve ended with exit code -9" in errors
    assert "it was ended there, with" in said


def is_running(pid: int) -> bool:
    """One that has ended may wait for somebody to ask how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


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
