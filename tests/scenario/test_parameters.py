"""What a load run takes from a scenario."""

import json
from pathlib import Path

import pytest

from phrasim.documents import scenarios_folder
from phrasim.scenario.parameters import main

FOLDER = scenarios_folder()


def test_they_are_the_sizes_and_the_form_data_of_its_commit(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert main([str(FOLDER / "push.yaml")]) == 0
    assert json.loads(capfdbinary.readouterr().out) == {
        "profile": "documented",
        "mode": "push",
        "sizes": [(FOLDER / "media/test.png").stat().st_size, (FOLDER / "media/notes.pdf").stat().st_size],
        "formData": {"title": "Test document"},
    }


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("no.yaml", None, "no.yaml"),
        ("wrong.yaml", "scenario: wrong\n", "wrong.yaml:1"),
        ("deployed.yaml", "", "deployed.yaml"),
    ],
)
def test_what_is_no_scenario_is_told(
    name: str, text: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    assert main([str(file)]) == 2
    assert said in capsys.readouterr().err


def test_a_scenario_without_a_commit_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(FOLDER / "deployed" / "health-is-told-to-anybody.yaml")]) == 2
    assert "no files are committed in this scenario" in capsys.readouterr().err
