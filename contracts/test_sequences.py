"""The hand-off walks the documented sequences, whatever is handed over: push and pull, with any number of assets."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phrasim.documents import contract, flow_document, scenarios_folder
from phrasim.journal.conformance import conform
from phrasim.journal.document import Section, section
from phrasim.scenario.files import RunFile, user_files
from phrasim.scenario.loader import load_scenario
from phrasim.scenario.runner import Play, play_in_process

pytestmark = pytest.mark.unmeasured

CONTRACT = contract("documented")


def drawn(mode: str) -> Section:
    return section(flow_document("documented").read_text(encoding="utf-8"), f"{mode}-mode")


def files_of(folder: Path, contents: list[bytes]) -> tuple[RunFile, ...]:
    paths = []
    for number, content in enumerate(contents):
        path = folder / f"asset-{number}"
        path.write_bytes(content)
        paths.append(path)
    return user_files(paths)


@pytest.mark.parametrize("mode", ["push", "pull"])
@given(contents=st.lists(st.binary(min_size=1, max_size=200), min_size=1, max_size=8), seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_n_assets_walk_3n_plus_6_arrows_in_order(
    mode: str, contents: list[bytes], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A35, for either drawing."""
    scenario = load_scenario(scenarios_folder() / f"{mode}.yaml")
    files = files_of(tmp_path_factory.mktemp("assets"), contents)
    outcome = play_in_process(scenario, Play(seed=seed, files=files))
    (verdict,) = conform(drawn(mode), outcome.events, CONTRACT)
    assert verdict.conforms
    assert len(verdict.arrows) == 3 * len(contents) + 6
    assert {one.mark for one in verdict.arrows} == {"walked"}


@pytest.mark.parametrize("mode", ["push", "pull"])
def test_the_given_diagrams_are_walked_12_of_12(mode: str) -> None:
    """The diagrams as they were given to the project, in their own notation."""
    text = (Path(__file__).parents[1] / "tests" / "data" / "request_flow.md").read_text(encoding="utf-8")
    outcome = play_in_process(load_scenario(scenarios_folder() / f"{mode}.yaml"), Play())
    (verdict,) = conform(section(text, f"flow-{mode}-mode"), outcome.events, CONTRACT)
    assert verdict.conforms
    assert len(verdict.arrows) == 12


@pytest.mark.parametrize(("played", "held_to"), [("push", "pull"), ("pull", "push")])
def test_a_run_of_one_mode_does_not_walk_the_other(played: str, held_to: str) -> None:
    outcome = play_in_process(load_scenario(scenarios_folder() / f"{played}.yaml"), Play())
    (verdict,) = conform(drawn(held_to), outcome.events, CONTRACT)
    assert [(one.arrow.number, one.mark) for one in verdict.broken] == [(4, "missing")]
