"""How a difference of two profiles is shown."""

import json
from typing import Any

import pytest
from msgspec import UNSET

from phrasim.documents.difference import Added, Changed, Compared, Difference, Removed
from phrasim.documents.schema_parts import Part
from phrasim.report.difference import SUMMARY_MAX, VALUE_MAX, difference_json, difference_lines, where

PROFILES = ("one", "other")


def entry(
    *differences: Difference, name: str = "act", before: str | None = "GET /a", after: str | None = "GET /a"
) -> Any:
    return Compared("operation", name, before, after, differences)


def shown(*entries: Compared) -> list[str]:
    """The lines after the first two, which name the service and count."""
    return [text for _, text in difference_lines(PROFILES, {"upload": entries})][2:]


def row(difference: Difference) -> str:
    return shown(entry(difference))[2]


def test_what_is_the_same_is_counted_by_kind_and_has_no_block() -> None:
    channel = Compared("channel", "work", "channel", "channel", ())
    lines = list(difference_lines(PROFILES, {"a": [channel, entry(), entry(before=None)], "b": [entry()]}))
    assert lines == [
        ("heading", "a: one -> other"),
        ("aside", "  the same: 1 of 1 channels, 1 of 2 operations"),
        ("plain", ""),
        ("good", "+ act  GET /a"),
        ("plain", ""),
        ("heading", "b: one -> other"),
        ("aside", "  the same: 1 of 1 operations"),
    ]


def test_each_line_of_a_block_begins_with_its_mark_and_what_is_said_stands_in_a_column() -> None:
    differences = (
        Changed((), "path", "/a", "/b"),
        Removed(("answer 404",), Part({}, {"a/b": Part({"type": ["object"]}, {"/id": Part({}, {})})})),
        Added(("answer 200", "a/b", "/c"), Part({"required": False, "type": ["string", "null"], "format": "uuid"}, {})),
        Changed(("answer 200", "a/b", "/d", "/e"), "required", False, True),
    )
    assert shown(entry(*differences), entry(name="gone", after=None)) == [
        "",
        "~ act  GET /a",
        "~   path                 /a -> /b",
        "-   answer 404           a/b: object, with id",
        "+   answer 200 a/b /c    optional, string or null, format uuid",
        "~   answer 200 a/b /d/e  optional -> required",
        "",
        "- gone  GET /a",
    ]


@pytest.mark.parametrize(
    ("fact", "before", "after", "said"),
    [
        ("type", ["object"], ["array", "null"], "type: object -> array or null"),
        ("pattern", UNSET, "^a", "pattern: none -> ^a"),
        ("const", 1, "1", 'const: 1 -> "1"'),
        ("enum", ["a"], UNSET, 'enum: ["a"] -> none'),
        ("forbidden", UNSET, True, "allowed -> forbidden"),
        ("required", True, False, "required -> optional"),
        ("const", None, UNSET, "const: null -> none"),
    ],
)
def test_a_changed_fact_shows_both_sides(fact: str, before: Any, after: Any, said: str) -> None:
    assert row(Changed(("answer 200",), fact, before, after)) == f"~   answer 200  {said}"


def test_what_is_long_is_cut() -> None:
    long = "x" * 1000
    assert row(Changed(("a",), "pattern", long, "y")) == f"~   a  pattern: {long[: VALUE_MAX - 1]}… -> y"
    parts = {f"/{number:04}": Part({}, {}) for number in range(100)}
    said = row(Added(("a",), Part({}, parts))).removeprefix("+   a  ")
    assert len(said) == SUMMARY_MAX
    assert (said[:10], said[-1]) == ("with 0000 ", "…")


def test_a_part_of_which_nothing_is_said_is_named_alone() -> None:
    assert row(Added(("answer 204",), Part({}, {}))) == "+   answer 204"
    assert row(Added(("answer 200",), Part({}, {"a/b": Part({}, {})}))) == "+   answer 200  a/b"
    assert row(Added(("request",), Part({}, {"a/b": Part({}, {}), "c/d": Part({}, {})}))) == "+   request  a/b, c/d"


def test_names_inside_a_schema_are_written_together() -> None:
    assert where(("answer 200", "a/b", "/c", "/*", "/d")) == "answer 200 a/b /c/*/d"
    assert where(()) == ""


def test_json_cuts_nothing_and_leaves_out_what_is_not_said() -> None:
    long = "x" * 1000
    part = Part({"required": True}, {"/a": Part({"const": None}, {})})
    differences = (
        Added(("request",), part),
        Removed(("answer 200", "a/b"), part),
        Changed((), "path", long, UNSET),
        Changed((), "const", UNSET, None),
    )
    text = difference_json(PROFILES, {"upload": [entry(*differences), entry(name="same")]})
    whole = {"required": True, "/a": {"const": None}}
    assert "\n" not in text
    assert json.loads(text) == {
        "before": "one",
        "after": "other",
        "services": {
            "upload": {
                "same": ["same"],
                "different": [
                    {
                        "kind": "operation",
                        "name": "act",
                        "before": "GET /a",
                        "after": "GET /a",
                        "differences": [
                            {"change": "added", "place": ["request"], "part": whole},
                            {"change": "removed", "place": ["answer 200", "a/b"], "part": whole},
                            {"change": "changed", "place": [], "fact": "path", "before": long},
                            {"change": "changed", "place": [], "fact": "const", "after": None},
                        ],
                    }
                ],
            }
        },
    }
