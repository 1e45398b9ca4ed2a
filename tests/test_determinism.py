"""Same scenario, same seed, same version: the same bytes, wherever and however often it is played."""

import os
import re
import socket
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from phrasim.documents import scenarios_folder, secret_fields
from phrasim.journal.lines import trace_bytes
from phrasim.scenario.loader import load_scenario
from phrasim.scenario.runner import Play, play_in_process

pytestmark = pytest.mark.unmeasured

SCENARIOS = [
    *sorted(scenarios_folder().glob("*.yaml")),
    *(scenarios_folder() / "deployed" / f"{name}.yaml" for name in ("push", "pull", "story-holds-the-assets")),
]
"""All of the documented profile, and some of the deployed: `test_deployed_wires.py` repeats each of those."""
BROTLI = {
    "none": None,
    "importable": "def decompress(data): return data\nclass Decompressor: pass\n",
    "blocked": "raise ImportError('there is no brotli here')\n",
}


def name_of(path: Path) -> str:
    """A scenario's name, by which the command calls its trace."""
    return load_scenario(path).name


def played(path: Path, **play: object) -> bytes:
    outcome = play_in_process(load_scenario(path), Play(**play))  # type: ignore[arg-type]
    return trace_bytes(outcome.header, outcome.events, secret_fields())


@pytest.fixture(scope="module")
def traces() -> dict[str, bytes]:
    """The trace of every scenario, as this process makes it."""
    return {name_of(path): played(path) for path in SCENARIOS}


@pytest.fixture(scope="module")
def shown() -> dict[str, bytes]:
    """Without those of the deployed profile, whose signed tokens may hold any letters by chance."""
    documented = [path for path in SCENARIOS if path.parent == scenarios_folder()]
    return {name_of(path): played(path, show_tokens=True) for path in documented}


@pytest.mark.parametrize("path", SCENARIOS, ids=name_of)
def test_a_second_run_in_the_same_process_gives_the_same_bytes(path: Path, traces: dict[str, bytes]) -> None:
    assert played(path) == traces[name_of(path)]


@pytest.mark.parametrize(
    ("hash_seed", "zone", "language", "brotli"),
    [
        ("0", "UTC", "C", "none"),
        ("1", "Asia/Kathmandu", "de_DE.UTF-8", "importable"),
        ("4242", "America/St_Johns", "tr_TR.ISO-8859-9", "blocked"),
    ],
)
def test_another_process_gives_the_same_bytes(
    hash_seed: str, zone: str, language: str, brotli: str, tmp_path: Path, traces: dict[str, bytes]
) -> None:
    """The seed of hashes, the time zone, the language, the working directory and an installed codec change nothing."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    codec = BROTLI[brotli]
    if codec is not None:
        for name in ("brotli", "brotlicffi", "zstandard"):
            (foreign / f"{name}.py").write_text(codec)
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "TZ": zone,
        "LANG": language,
        "LC_ALL": language,
        "PYTHONPATH": os.pathsep.join([str(foreign), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    call = [
        sys.executable,
        "-c",
        "from phrasim.cli import main; main()",
        "run",
        *map(str, SCENARIOS),
        "--trace",
        "traces",
    ]
    ended = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    found = {path.stem: path.read_bytes() for path in sorted((tmp_path / "traces").iterdir())}
    assert found == traces


def test_the_same_scenarios_in_another_order_give_the_same_bytes(traces: dict[str, bytes]) -> None:
    assert {name_of(path): played(path) for path in reversed(SCENARIOS)} == traces


@pytest.mark.parametrize("path", SCENARIOS, ids=name_of)
def test_another_seed_gives_other_ids_and_no_other_course(path: Path, traces: dict[str, bytes]) -> None:
    first, second = traces[name_of(path)], played(path, seed=2)
    ids = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
    written = set(ids.findall(path.read_bytes()))
    of_first, of_second = set(ids.findall(first)) - written, set(ids.findall(second)) - written
    assert of_first
    assert not of_first & of_second
    course = re.compile(rb'"(?:event|operationId|status)":[^,]*')
    assert [course.findall(line) for line in first.splitlines()[1:]] == [
        course.findall(line) for line in second.splitlines()[1:]
    ]


@pytest.mark.parametrize("which", ["traces", "shown"])
def test_no_trace_names_the_machine_the_day_or_a_temporary_place(which: str, request: pytest.FixtureRequest) -> None:
    content = b"".join(request.getfixturevalue(which).values())
    today = datetime.now(UTC)
    places = (tempfile.gettempdir(), str(Path.home()), str(Path.cwd()), str(scenarios_folder()), "phrasim-")
    named = [
        *(place for place in places if place != "/" and not place.startswith("phrasim-")),
        socket.gethostname(),
        today.strftime("%Y-%m-%d"),
        today.strftime("%d %b %Y"),
        str(int(today.timestamp()))[:6],
    ]
    assert [name for name in named if name.encode() in content] == []
