"""The YAML loader: YAML 1.2's core types, duplicate keys, line numbers, and errors that say where."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.documents import DocumentError, load, load_file, load_with_lines


@pytest.mark.parametrize(
    "text",
    [
        "off",
        "on",
        "yes",
        "no",
        "y",
        "1:30",
        "2019-05-15",
        "2019-05-15T14:13:54+00:00",
        "0b1",
        "1_000",
        "<<",
        "=",
        "0o8",
        "1.2.3",
    ],
)
def test_words_that_yaml_1_1_would_reread_stay_text(text: str) -> None:
    assert load(f"value: {text}", "a.yaml") == {"value": text}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("FALSE", False),
        ("12", 12),
        ("-7", -7),
        ("012", 12),
        ("0o14", 12),
        ("0xC", 12),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("-.inf", float("-inf")),
        ("'12'", "12"),
        ('"true"', "true"),
        ("!!str 12", "12"),
    ],
)
def test_a_scalar_has_its_core_schema_type(text: str, value: Any) -> None:
    found = load(f"value: {text}", "a.yaml")["value"]
    assert found == value
    assert type(found) is type(value)


def test_an_empty_text_is_null_on_line_1() -> None:
    assert load_with_lines("# nothing\n", "a.yaml") == (None, {(): 1})
    assert load("", "a.yaml") is None


def test_the_line_of_an_entry_is_that_of_its_key_and_of_an_item_that_of_its_start() -> None:
    text = (
        "# a comment\nsteps:\n  - stepId: upload\n    body:\n      {files: [a,\n        b]}\n  -\n    stepId: commit\n"
    )
    value, lines = load_with_lines(text, "a.yaml")
    assert value == {"steps": [{"stepId": "upload", "body": {"files": ["a", "b"]}}, {"stepId": "commit"}]}
    assert lines == {
        (): 2,
        ("steps",): 2,
        ("steps", 0): 3,
        ("steps", 0, "stepId"): 3,
        ("steps", 0, "body"): 4,
        ("steps", 0, "body", "files"): 5,
        ("steps", 0, "body", "files", 0): 5,
        ("steps", 0, "body", "files", 1): 6,
        ("steps", 1): 8,
        ("steps", 1, "stepId"): 8,
    }


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "the key 'a' stands here a second time"),
        ("a:\n  b: 1\n  c: {d: 1, d: 2}\n", 3, "the key 'd' stands here a second time"),
        ("a: 1\nb: [1,\n", 3, "this is not YAML: while parsing a flow"),
        ("a: 1\n\tb: 2\n", 2, "this is not YAML: while scanning a plain scalar, found a tab"),
        ("a: b: c\n", 1, "this is not YAML: mapping values are not allowed"),
        ("a: *nobody\n", 1, "this is not YAML: found undefined alias"),
        ("a: 1\n---\nb: 2\n", 2, "this is not YAML: expected a single document"),
        ("a: 1\nb: !!python/name:os.system\n", 2, "the tag 'tag:yaml.org,2002:python/name:os.system' is not known"),
        ("a: !thing {b: 1}\n", 1, "the tag '!thing' is not known"),
        ("a: !thing [1]\n", 1, "the tag '!thing' is not known"),
        ("? [a, b]\n: 1\n", 1, "a key must be a plain word"),
        ("a: é\nb: \x00\n", 2, "this is not YAML: "),
        (f"a: {'9' * 5000}\n", 1, "this number has too many digits"),
        ("a: " + "[" * 200 + "]" * 200, 1, "the nesting is deeper than 100 levels"),
        ("a: &a [*a]\n", 1, "the nesting is deeper than 100 levels"),
    ],
)
def test_a_faulty_text_is_refused_with_its_line(text: str, line: int, problem: str) -> None:
    with pytest.raises(DocumentError) as exc_info:
        load(text, "scenarios/a.yaml")
    assert exc_info.value.problem.startswith(problem)
    assert (exc_info.value.file, exc_info.value.line) == ("scenarios/a.yaml", line)
    assert str(exc_info.value).startswith(f"scenarios/a.yaml:{line}: {problem}")


def test_aliases_that_unfold_without_end_are_refused() -> None:
    text = "a0: &a0 [1]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 12))
    with pytest.raises(DocumentError) as exc_info:
        load(text, "a.yaml")
    assert "aliases unfold to more than 200000 values" in exc_info.value.problem


def test_an_alias_means_what_its_anchor_means() -> None:
    assert load("a: &x {b: 1}\nc: *x\n", "a.yaml") == {"a": {"b": 1}, "c": {"b": 1}}


def test_a_file_in_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("a: 1\nb: é\n".encode("latin-1"))
    with pytest.raises(DocumentError) as exc_info:
        load_file(path)
    assert str(exc_info.value) == f"{path}:2: the byte 0xe9 is not UTF-8; save the file in that encoding"


texts = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(json_values)
def test_json_is_read_as_json_means_it(value: Any) -> None:
    """YAML 1.2 was made so that JSON is YAML; control characters and their escapes are left out of this."""
    assert load(json.dumps(value, ensure_ascii=False), "a.json") == value


@given(json_values)
def test_every_part_of_a_document_has_a_line(value: Any) -> None:
    text = json.dumps(value, indent=1, ensure_ascii=False)
    read, lines = load_with_lines(text, "a.json")
    assert read == value

    def locations(part: Any, at: tuple[str | int, ...]) -> list[tuple[str | int, ...]]:
        below = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
        return [at, *(place for key, item in below for place in locations(item, (*at, key)))]

    assert set(lines) == set(locations(value, ()))
    assert all(1 <= line <= text.count("\n") + 1 for line in lines.values())
