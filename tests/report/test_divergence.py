"""Where two traces part, and how that is shown."""

import json

from hypothesis import given
from hypothesis import strategies as st

from phrasim.report.divergence import COLUMN, Divergence, divergence_lines, first_divergence


def line(**values: object) -> bytes:
    return json.dumps(values).encode() + b"\n"


def shown(left: bytes | None, right: bytes | None) -> list[str]:
    return divergence_lines(Divergence(3, left, right))


def row(mark: str, recorded: str, replayed: str) -> str:
    return f" {mark} {recorded:{COLUMN}} | {replayed}".rstrip()


def test_equal_traces_do_not_diverge() -> None:
    assert first_divergence([b"a", b"b"], [b"a", b"b"]) is None
    assert first_divergence([], []) is None


def test_the_first_difference_counts_from_one() -> None:
    assert first_divergence([b"a", b"b", b"c"], [b"a", b"x", b"y"]) == Divergence(2, b"b", b"x")


def test_a_trace_that_ends_early_diverges_after_its_last_line() -> None:
    assert first_divergence([b"a"], [b"a", b"b"]) == Divergence(2, None, b"b")
    assert first_divergence([b"a", b"b"], [b"a"]) == Divergence(2, b"b", None)


def test_both_sides_stand_beside_each_other_with_a_mark() -> None:
    assert shown(line(at=1, event="sent"), line(at=2, event="sent")) == [
        "line 3 differs:",
        row(" ", "recorded", "replayed"),
        row(" ", "{", "{"),
        row("!", ' "at": 1', ' "at": 2'),
        row(" ", ' "event": "sent"', ' "event": "sent"'),
        row(" ", "}", "}"),
    ]


def test_a_key_that_only_one_side_has_marks_itself_alone() -> None:
    marked = [text for text in shown(line(a=1, b=2, c=3), line(a=1, c=3)) if text.startswith(" !")]
    assert marked == [row("!", ' "b": 2', "")]


def test_what_is_far_from_a_difference_is_left_out() -> None:
    left = {f"key-{number:02}": number for number in range(40)}
    lines = shown(line(**left), line(**{**left, "key-05": 0, "key-30": 0}))
    assert len([text for text in lines if text.startswith(" !")]) == 2
    assert "   …" in lines
    assert not any("key-20" in text for text in lines)


def test_a_difference_deep_in_a_long_value_is_shown() -> None:
    left, right = "x" * 200 + "left" + "y" * 200, "x" * 200 + "right" + "y" * 200
    (marked,) = [text for text in shown(line(a=left), line(a=right)) if text.startswith(" !")]
    one, _, other = marked[3:].partition(" | ")
    assert "xleft" in one
    assert "xright" in other
    assert len(one) == COLUMN
    assert len(other) == COLUMN


def test_a_difference_at_the_beginning_of_a_long_value_is_shown_from_its_beginning() -> None:
    (marked,) = [text for text in shown(line(a="x" * 100), line(a="y" * 100)) if text.startswith(" !")]
    assert marked.startswith(' !  "a": "xxx')


def test_the_end_of_a_trace_is_told() -> None:
    assert row("!", "(the trace has ended)", "{") in shown(None, line(at=1))
    assert any(text.endswith("| (the trace has ended)") for text in shown(line(at=1), None))


def test_the_same_json_in_other_bytes_is_shown_as_bytes() -> None:
    assert shown(b'{"at":1}', b'{"at":1}\n')[2:] == [row("!", """'{"at":1}'""", r"""'{"at":1}\n'""")]


def test_a_line_that_is_no_json_is_shown_as_text() -> None:
    assert row("!", "no json \ufffd", "more of it") in shown(b"no json \xff\n", b"more of it\n")


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_a_divergence_always_shows_a_mark(left: bytes, right: bytes) -> None:
    found = first_divergence([left], [right])
    assert (found is None) == (left == right)
    if found is not None:
        assert any(text.startswith(" !") for text in divergence_lines(found))
