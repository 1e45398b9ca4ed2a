"""Sequences as SVG."""

import re
from xml.etree import ElementTree as ET

from hypothesis import given

from drawn_sequences import drawings
from phrasim.site.runs import Run
from phrasim.site.sequence import Drawing, DrawnArrow, DrawnNote
from phrasim.site.svg import ROWS_MAX, figure, svg


def texts(drawn: str) -> list[str]:
    return ["".join(element.itertext()) for element in ET.fromstring(drawn).iter("text")]


@given(drawings())
def test_every_word_is_drawn_and_nothing_lies_outside(drawing: Drawing) -> None:
    drawn = svg(drawing)
    element = ET.fromstring(drawn)
    lines = [line for row in drawing.rows for line in row.lines]
    wanted = "".join([*drawing.lifelines, *lines, *drawing.lifelines])
    assert "".join("".join(texts(drawn)).split()) == "".join(wanted.split())
    _, _, width, height = map(int, element.attrib["viewBox"].split())
    for part in element.iter():
        for name, limit in (("x", width), ("x1", width), ("x2", width), ("y", height), ("y1", height), ("y2", height)):
            assert 0 <= int(part.attrib.get(name, 0)) <= limit


def test_ids_are_cut_and_labels_are_broken_to_fit_between_lifelines() -> None:
    line = "GET /assets/585b0c5c-7c56-4064-b9f8-edd1d9217e1e/download"
    drawing = Drawing("t", ("A", "B"), (DrawnArrow(0, 1, (line,), dashed=False, lost=False, open_head=False),))
    assert texts(svg(drawing)) == ["A", "B", "GET /assets/585b0c5c…/", "download", "A", "B"]


def test_what_was_refused_lost_or_is_an_aside_can_be_told_apart(runs: list[Run]) -> None:
    drawn = "".join(svg(run.drawing) for run in runs)
    assert set(re.findall(r'<g class="(\w+)">', drawn)) == {"arrow", "aside", "refused", "lost", "note"}


def test_an_arrow_to_its_own_lifeline_is_a_bow() -> None:
    drawing = Drawing("t", ("A", "B"), (DrawnArrow(1, 1, ("again",), dashed=True, lost=False, open_head=False),))
    assert re.search(r'<path class="line" d="M260 \d+ h-40 v10 h38"', svg(drawing))


def test_a_long_run_is_cut_and_says_how_much_is_left() -> None:
    arrow = DrawnArrow(0, 1, ("poll",), dashed=False, lost=False, open_head=True)
    drawn = svg(Drawing("t", ("A", "B"), (arrow,) * (ROWS_MAX + 7)))
    assert texts(drawn).count("poll") == ROWS_MAX
    assert "7 more arrows and notes follow" in " ".join(texts(drawn))


def test_the_frame_is_named_and_can_be_scrolled_by_keyboard() -> None:
    drawn = figure(Drawing('A "title" & more', ("A",), (DrawnNote(0, 0, ("<b>",)),)))
    frame = ET.fromstring(drawn)
    assert frame.attrib["aria-label"] == 'Sequence diagram: A "title" & more'
    assert (frame.attrib["role"], frame.attrib["tabindex"]) == ("region", "0")
