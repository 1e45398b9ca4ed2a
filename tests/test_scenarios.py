"""The scenarios that come with phrasim: each holds as it is, and with the user's own files in the place of its own."""

from pathlib import Path

import pytest

from phrasim.documents import scenarios_folder
from phrasim.scenario.files import user_files
from phrasim.scenario.loader import load_scenario
from phrasim.scenario.model import Call
from phrasim.scenario.runner import Play, play_in_process

pytestmark = pytest.mark.unmeasured

SCENARIOS = sorted(scenarios_folder().glob("*.yaml"))
UPLOADING = [
    path
    for path in SCENARIOS
    if any(isinstance(step, Call) and step.for_each_file for step in load_scenario(path).steps)
]


@pytest.fixture(scope="module")
def twenty_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("assets")
    paths = [folder / f"asset {number:02} ☃.bin" for number in range(20)]
    for number, path in enumerate(paths):
        path.write_bytes(b"%d " % number * (number + 1))
    return paths


def broken(outcome: object) -> list[str]:
    return [
        "\n".join((verdict.expectation, *verdict.because))
        for verdict in outcome.verdicts  # type: ignore[attr-defined]
        if verdict.judgement != "held"
    ]


def test_all_but_one_of_the_scenarios_upload_files() -> None:
    assert {path.stem for path in SCENARIOS} - {path.stem for path in UPLOADING} == {"unknown-commit"}


@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_scenario_holds(path: Path) -> None:
    scenario = load_scenario(path)
    outcome = play_in_process(scenario, Play())
    assert broken(outcome) == []
    assert outcome.held
    assert len(outcome.verdicts) > 1
    assert scenario.name == path.stem


@pytest.mark.parametrize("number", [1, 2, 20])
@pytest.mark.parametrize("path", UPLOADING, ids=lambda path: path.stem)
def test_every_scenario_holds_with_the_files_of_the_user(path: Path, number: int, twenty_files: list[Path]) -> None:
    files = user_files(twenty_files[:number])
    outcome = play_in_process(load_scenario(path), Play(files=files, given=True))
    assert broken(outcome) == []
    assert outcome.header.given
    assert [file.name for file in outcome.header.files] == [path.name for path in twenty_files[:number]]


@pytest.mark.parametrize("seed", [0, 2, 10**30, -7])
def test_a_scenario_holds_with_other_seeds(seed: int) -> None:
    assert play_in_process(load_scenario(scenarios_folder() / "push.yaml"), Play(seed)).held
