"""Objectives are sentences: what they mean, and what is said of those that mean nothing."""

from pathlib import Path

import pytest

from phrasim.load.objectives import Figures, Objective, ObjectivesError, read_objectives

OPERATIONS = ["uploadAsset", "getAsset"]
TIMES = {"p95": 1.5, "p99.9": 3.0, "median": 0.04, "mean": 0.05, "max": 4.0}
FIGURES = Figures(
    times={"commit → acknowledged": TIMES.__getitem__, "getAsset": lambda _: 0.02},
    requests={"uploadAsset": (900, 9), "getAsset": (100, 0)},
    rates={"bytes per second": 3 * 1024.0**2, "hand-offs per second": 20.0, "requests per second": 180.0},
)


def read(tmp_path: Path, *sentences: str) -> list[Objective]:
    file = tmp_path / "slo.yaml"
    file.write_text("objectives:\n" + "".join(f"  - {one}\n" for one in sentences), encoding="utf-8")
    return read_objectives(file, OPERATIONS)


@pytest.mark.parametrize(
    ("sentence", "kept", "found"),
    [
        ("p95 of commit → acknowledged ≤ 2 s", True, "1.5 s"),
        ("p95 of commit -> acknowledged <= 1499 ms", False, "1.5 s"),
        ("p99.9 of commit → acknowledged ≤ 0.05 min", True, "3 s"),
        ("median of commit → acknowledged ≤ 40 ms", True, "40 ms"),
        ("mean of commit → acknowledged ≤ 49 ms", False, "50 ms"),
        ("max of commit → acknowledged ≤ 4 s", True, "4 s"),
        ("max of getAsset ≤ 20 ms", True, "20 ms"),
        ("failures ≤ 0.9 %", True, "0.9 %"),
        ("failures ≤ 0.8 %", False, "0.9 %"),
        ("failures of uploadAsset ≤ 1 %", True, "1 %"),
        ("failures of getAsset ≤ 0 %", True, "0 %"),
        ("bytes per second ≥ 3 MiB", True, "3 MiB"),
        ("hand-offs per second >= 20.5", False, "20"),
        ("requests per second ≥ 180", True, "180"),
        ("p95 of commit → notified ≤ 1 s", None, "nothing of the kind was measured"),
    ],
)
def test_a_sentence_is_held_to_the_figures(sentence: str, kept: bool | None, found: str, tmp_path: Path) -> None:
    (objective,) = read(tmp_path, sentence)
    judged = objective.judge(FIGURES)
    assert (judged.kept, judged.found) == (kept, found)
    assert objective.sentence == sentence.replace("->", "→")


def test_failures_of_nothing_are_not_judged(tmp_path: Path) -> None:
    (objective,) = read(tmp_path, "failures ≤ 1 %")
    assert objective.judge(Figures()).kept is None


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("fast", "'fast' is no objective; write one as 'p95 of commit"),
        ("7", "7 is no objective"),
        ("speed ≤ 2 s", "'speed' is nothing that is measured; write p95"),
        ("p95 of getAssets ≤ 2 s", "'getAssets' is nothing that is measured; did you mean 'getAsset'?"),
        ("failures of commit → notified ≤ 2 %", "'commit → notified' is nothing that is measured; known are"),
        ("failures ≤ 2", "failures are a share; write it in %"),
        ("p95 of getAsset ≤ 2", "the bar has the unit ''; write one of ms, s, min"),
        ("bytes per second ≥ 2 MB", "the bar has the unit 'MB'; write one of B, KiB"),
        ("hand-offs per second ≥ 2 s", "are a number; write it without a unit"),
    ],
)
def test_a_sentence_that_means_nothing_is_told_with_its_place(sentence: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ObjectivesError) as error:
        read(tmp_path, "failures ≤ 1 %", sentence)
    assert "slo.yaml: objective 2: " in str(error.value)
    assert said in str(error.value)


@pytest.mark.parametrize("text", ["", "- a\n", "objectives: []\n", "objectives: p95\n", "goals: [a]\n", "1: 2\n"])
def test_a_file_without_objectives_is_told_how_to_write_some(text: str, tmp_path: Path) -> None:
    file = tmp_path / "slo.yaml"
    file.write_text(text)
    with pytest.raises(ObjectivesError, match="write objectives: and a list"):
        read_objectives(file, OPERATIONS)
