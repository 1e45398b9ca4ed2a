"""The section that a scenario names: where its document is looked for."""

from pathlib import Path

import pytest

from phrasim.documents import DocumentError
from phrasim.scenario.document import drawn_section

OWN = "# Flow\n```sequence\nUser->Upload: Upload asset\n```\n"


def test_a_document_beside_the_scenario_or_above_it_comes_before_that_of_phrasim(tmp_path: Path) -> None:
    folder = tmp_path / "scenarios"
    (tmp_path / "docs").mkdir()
    folder.mkdir()
    assert drawn_section("docs/request-flow.md#push-mode", folder).title == "Push mode"
    (tmp_path / "docs" / "request-flow.md").write_text(OWN)
    assert drawn_section("docs/request-flow.md#flow", folder).title == "Flow"
    (folder / "docs").mkdir()
    (folder / "docs" / "request-flow.md").write_text(OWN.replace("Flow", "Nearer"))
    assert drawn_section("docs/request-flow.md#nearer", folder).title == "Nearer"


def test_a_document_that_is_nowhere_is_named_with_the_places(tmp_path: Path) -> None:
    with pytest.raises(DocumentError) as raised:
        drawn_section("flow.md#a", tmp_path)
    assert str(raised.value).startswith(
        f"flow.md:1: there is no such document; looked for {tmp_path.resolve()}/flow.md, "
    )


def test_a_section_without_a_drawing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"#push-mode, #pull-mode"):
        drawn_section("docs/request-flow.md#the-message", tmp_path)


def test_one_folder_above_is_found_from_within_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "scenarios").mkdir()
    (tmp_path / "flow.md").write_text(OWN)
    monkeypatch.chdir(tmp_path / "scenarios")
    assert drawn_section("flow.md#flow", Path()).title == "Flow"
