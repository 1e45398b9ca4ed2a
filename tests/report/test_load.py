"""What is told of a load run: to people, to programs, to CI systems."""

import json
from xml.etree import ElementTree as ET

import pytest

from phrasim.load.objectives import Judged, Objective
from phrasim.load.result import VIOLATIONS_SHOWN, LoadResult, Stage
from phrasim.report.load import load_json, load_junit, load_lines

KEPT = Judged(Objective("failures ≤ 1 %", "failures", "", True, 0.01), True, "0 %")
BROKEN = Judged(Objective("max of getAsset ≤ 1 s", "max", "getAsset", True, 1), False, "2 s")
UNKNOWN = Judged(Objective("max of listCommits ≤ 1 s", "max", "listCommits", True, 1), None, "nothing")


def result(*objectives: Judged, violations: tuple[str, ...] = (), unjudged: tuple[str, ...] = ()) -> LoadResult:
    return LoadResult(
        seconds=10.04,
        counts={"commits": 4, "assets": 8, "acknowledged": 4, "refused": 1, "unanswered": 0},
        violations=violations,
        objectives=objectives,
        stages={"commit → acknowledged": Stage(4, 0.05, 0.125, 0.2)},
        requests={"uploadAsset": (9, 1), "getAsset": (8, 0)},
        rates={"requests per second": 1.7, "hand-offs per second": 0.4, "bytes per second": 1024.0**2},
        queues=[(0.0, {"assetsIngest": 3}), (1.0, {"assetsIngest": 1})],
        unjudged=unjudged,
    )


@pytest.mark.parametrize(
    ("of", "code", "verdict"),
    [
        (result(KEPT), 0, "kept"),
        (result(), 0, "kept"),
        (result(KEPT, BROKEN, unjudged=("blind",)), 1, "broken"),
        (result(KEPT, violations=("commit 1 is lost",)), 1, "broken"),
        (result(KEPT, UNKNOWN), 2, "not judged"),
        (result(KEPT, unjudged=("blind",)), 2, "not judged"),
    ],
)
def test_the_verdict_is_that_of_its_worst_part(of: LoadResult, code: int, verdict: str) -> None:
    assert of.exit_code == code
    assert list(load_lines(of))[-1] == f"load: {verdict}"
    assert json.loads(load_json(of))["verdict"] == verdict


def test_people_are_told_the_account_the_stages_and_each_objective() -> None:
    lines = list(load_lines(result(KEPT, BROKEN, UNKNOWN, violations=("commit 1 is lost",), unjudged=("blind",))))
    assert lines == [
        "4 commits of 8 assets in 10.0 s: 4 acknowledged, 1 refused, 0 unanswered",
        "0.4 hand-offs/s, 1.7 requests/s, 1.0 MiB/s downloaded",
        "  commit → acknowledged  median    50.0 ms   p95   125.0 ms   max   200.0 ms   (4)",
        "  failed requests: uploadAsset 1",
        "  deepest queues: assetsIngest 3",
        "",
        "kept        failures ≤ 1 %: 0 %",
        "broken      max of getAsset ≤ 1 s: 2 s",
        "not judged  max of listCommits ≤ 1 s: nothing",
        "broken      every commit once, with the right bytes, acknowledged",
        "            commit 1 is lost",
        "            blind",
        "load: broken",
    ]


def test_of_many_violations_people_are_told_the_first_and_programs_all() -> None:
    of = result(violations=tuple(f"commit {number}" for number in range(VIOLATIONS_SHOWN + 5)))
    lines = list(load_lines(of))
    assert lines.count("            and 5 more") == 1
    assert sum(line.startswith("            commit") for line in lines) == VIOLATIONS_SHOWN
    assert len(json.loads(load_json(of))["account"]["violations"]) == VIOLATIONS_SHOWN + 5


def test_programs_are_told_every_figure() -> None:
    told = json.loads(load_json(result(KEPT)))
    assert told["stages"] == {"commit → acknowledged": {"count": 4, "median": 0.05, "p95": 0.125, "maximum": 0.2}}
    assert told["requests"]["uploadAsset"] == {"count": 9, "failed": 1}
    assert told["queues"][0] == {"second": 0.0, "depths": {"assetsIngest": 3}}
    assert told["objectives"] == [{"objective": "failures ≤ 1 %", "kept": True, "found": "0 %"}]


def test_ci_systems_are_told_a_case_for_each_objective_and_one_for_the_account() -> None:
    root = ET.fromstring(load_junit(result(KEPT, BROKEN, UNKNOWN, violations=("commit \x07 is lost",))))
    assert (root.get("tests"), root.get("failures"), root.get("skipped")) == ("4", "2", "1")
    cases = {case.get("name"): [child.tag for child in case] for case in root.iter("testcase")}
    assert cases == {
        "failures ≤ 1 %": [],
        "max of getAsset ≤ 1 s": ["failure"],
        "max of listCommits ≤ 1 s": ["skipped"],
        "every commit once, with the right bytes, acknowledged": ["failure"],
    }
    (account,) = [case for case in root.iter("testcase") if (case.get("name") or "").startswith("every")]
    assert "is lost" in str(account[0].text)
