"""The scenarios of the deployed profile: each says in its second line which rows of PROTOCOL it shows.

No row that a client can observe is without one.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from phrasim.documents import scenarios_folder
from phrasim.scenario.loader import load_scenario

pytestmark = pytest.mark.unmeasured

FOLDER = scenarios_folder() / "deployed"
SCENARIOS = sorted(FOLDER.glob("*.yaml"))

PRINCIPALS = (
    "none",
    "invalid Bearer",
    "ordinary user Bearer (even the owner)",
    "admin Bearer",
    "AssetToken of the commit",
    "any other non-empty AssetToken",
    "client token with scope `commit:list`",
    "how the consumer gets bytes",
    "file already deleted",
)
"""The rows of §2.4."""

REFUSALS = (
    "exception, `Accept: application/json`",
    "exception, JSON-LD or no Accept",
    "no credentials",
    "bad Bearer",
    "malformed JSON",
)
"""The rows of §2.10, but for "entity/DTO validation": no operation that is simulated answers so."""

NOTIFICATIONS = (
    "valid",
    "schema violation or not JSON",
    "no token",
    "invalid/revoked, expired",
    "header scheme not `OAuth`, or token in header and parameter",
    "slash missing",
)
"""The rows of §3, but for two: no scenario can call another method, nor make Phraseanet fail unforeseen."""

INGEST_STEPS, RECORD_STEPS = range(1, 5), range(1, 11)
"""The steps of §4.5 and §4.6."""

HAZARDS = (
    "H3",
    "H4",
    "H6",
    "H7",
    "H8",
    "H9",
    "H10",
    "H11",
    "H14",
    "H16",
    "H17",
    "H18",
    "H19",
    "H20",
    "H23",
    "H24",
    "H25",
)
HAZARDS += ("H27", "H29", "H31", "H32", "H34")
"""Those of §6 that are there now and that a run of the simulators can show."""


def rows_of(path: Path) -> str:
    """What a scenario says that it shows, in a comment on its second line; plain push and pull say nothing."""
    _, second, *_ = path.read_text(encoding="utf-8").splitlines()
    return second.removeprefix("# ") if second.startswith("# ") else ""


ROWS = {path.stem: rows_of(path) for path in SCENARIOS}


def steps_of(section: str) -> Iterator[int]:
    for rows in ROWS.values():
        for found in re.findall(rf"{section}(?:, steps? ([0-9 ,and]+))?", rows):
            yield from map(int, re.findall("[0-9]+", found))


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_a_scenario_is_called_as_its_file_and_says_what_it_shows(path: Path) -> None:
    scenario = load_scenario(path)
    assert scenario.profile == "deployed"
    if path.stem in ("push", "pull"):
        assert (scenario.name, scenario.expect.sequence) == (f"deployed-{path.stem}", {})
        return
    assert scenario.name == path.stem
    assert re.match(r"§[0-9]", ROWS[path.stem])
    assert "PROTOCOL" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("section", "row"),
    [
        *(("§2.4", row) for row in PRINCIPALS),
        *(("§2.10", row) for row in REFUSALS),
        *(("§3", row) for row in NOTIFICATIONS),
    ],
)
def test_a_row_has_a_scenario(section: str, row: str) -> None:
    shown = [name for name, rows in ROWS.items() if re.search(rf"{re.escape(section)}\b", rows) and f'"{row}"' in rows]
    assert shown != []


def test_each_step_of_the_workers_has_a_scenario() -> None:
    assert set(INGEST_STEPS) - set(steps_of("§4.5")) == set()
    assert set(RECORD_STEPS) - set(steps_of("§4.6")) == set()


@pytest.mark.parametrize("hazard", HAZARDS)
def test_a_hazard_has_a_scenario(hazard: str) -> None:
    assert [name for name, rows in ROWS.items() if re.search(rf"\b{hazard}\b", rows)] != []


def test_names_are_those_of_one_scenario_each() -> None:
    names = [load_scenario(path).name for path in scenarios_folder().rglob("*.yaml")]
    assert sorted(names) == sorted(set(names))
