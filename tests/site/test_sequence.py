"""Mermaid, read for drawing."""

import pytest
from hypothesis import given

from drawn_sequences import HEADS, drawings
from phrasim.documents import DocumentError
from phrasim.site.runs import Run
from phrasim.site.sequence import Drawing, DrawnArrow, DrawnNote, read_drawing


def escaped(text: str) -> str:
    return text.replace("#", "#35;").replace(";", "#59;").replace("#35#59;", "#35;")


def mermaid_of(drawing: Drawing) -> str:
    lines = ["sequenceDiagram", f"    title {escaped(drawing.title)}"]
    lines += [f"    participant P{number} as {name}" for number, name in enumerate(drawing.lifelines)]
    for row in drawing.rows:
        label = "<br/>".join(map(escaped, row.lines))
        if isinstance(row, DrawnNote):
            lines.append(f"    Note over P{row.first},P{row.last}: {label}")
        else:
            lines.append(f"    P{row.start}{HEADS[row.dashed, row.lost, row.open_head]}P{row.end}: {label}")
    return "\n".join(lines) + "\n"


@given(drawings())
def test_what_was_drawn_is_read(drawing: Drawing) -> None:
    assert read_drawing(mermaid_of(drawing), "a.md") == drawing


def test_a_run_is_read_with_what_no_arrow_of_the_document_is(runs: list[Run]) -> None:
    drawing = next(run for run in runs if run.name == "push-wrong-token").drawing
    assert drawing.lifelines == ("User", "Upload", "Phraseanet", "RabbitMQ", "Auth service")
    arrows = [row for row in drawing.rows if isinstance(row, DrawnArrow)]
    assert sum(not arrow.aside for arrow in arrows) == 12
    assert [arrow.lines[0][:5] for arrow in arrows if arrow.refused] == ["(403 "] * 3
    assert "Upload asset #0" in [arrow.lines[0] for arrow in arrows]


def test_what_was_lost_is_drawn_as_lost(runs: list[Run]) -> None:
    drawing = next(run for run in runs if run.name == "notification-without-answer-is-repeated").drawing
    assert [row.lost for row in drawing.rows if isinstance(row, DrawnArrow)].count(True) == 1


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("loop every day", "'loop every day' is no title, participant, arrow or note over a participant"),
        ("A->>B: hello", "'B' is no participant that stands above"),
    ],
)
def test_a_line_that_is_not_understood_is_an_error_with_its_place(line: str, problem: str) -> None:
    with pytest.raises(DocumentError) as raised:
        read_drawing(f"sequenceDiagram\n    participant A\n    {line}\n", "docs/a.md")
    assert (raised.value.line, problem in str(raised.value)) == (3, True)
