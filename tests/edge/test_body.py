"""How much of a body the journal keeps: up to the limits whole, beyond them its length and digest."""

import hashlib
import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.edge.body import JSON_BYTES_MAX, OPAQUE_BYTES_MAX, BodyCollector, journal_body, stored_body
from phrasim.journal.events import Body


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def json_of(length: int) -> bytes:
    return b'"' + b"x" * (length - 2) + b'"'


@pytest.mark.parametrize(
    ("content", "media_type", "body"),
    [
        (b"", None, Body(length=0)),
        (b"", "application/json", Body(length=0)),
        (b'{"a": 1}', "application/json", Body(length=8, json={"a": 1})),
        (b"null", "application/json", Body(length=4, json=None)),
        (b"1", "Application/Problem+JSON; charset=utf-8", Body(length=1, json=1)),
        (b"{", "application/json", Body(length=1, text="{")),
        (b'"\xff"', "application/json", Body(length=3, base64="Iv8i")),
        (b'{"a": 1}', "text/plain", Body(length=8, text='{"a": 1}')),
        (b"a=b", None, Body(length=3, text="a=b")),
        (b"\xff", "image/png", Body(length=1, base64="/w==")),
        (b"x" * OPAQUE_BYTES_MAX, None, Body(length=OPAQUE_BYTES_MAX, text="x" * OPAQUE_BYTES_MAX)),
    ],
)
def test_a_short_body_is_kept_in_the_form_in_which_it_reads_best(
    content: bytes, media_type: str | None, body: Body
) -> None:
    assert journal_body(content, media_type) == body


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"x" * (OPAQUE_BYTES_MAX + 1), None),
        (b"\xff" * 10_000, "image/png"),
        (json_of(JSON_BYTES_MAX + 1), "application/json"),
        (b"{" + b" " * OPAQUE_BYTES_MAX, "application/json"),
        (b"[" * 100_000, "application/json"),
    ],
    ids=["text", "bytes", "JSON", "malformed JSON", "JSON too deep to read"],
)
def test_a_long_body_is_told_by_length_and_digest(content: bytes, media_type: str | None) -> None:
    assert journal_body(content, media_type) == Body(length=len(content), sha256=digest(content), digest="computed")


def test_json_is_kept_whole_up_to_its_own_limit() -> None:
    content = json_of(JSON_BYTES_MAX)
    assert journal_body(content, "application/json") == Body(length=JSON_BYTES_MAX, json=msgspec.json.decode(content))


def test_the_digest_of_a_stored_file_is_marked_as_such() -> None:
    assert stored_body(7, "d") == Body(length=7, sha256="d", digest="stored")


bodies = st.one_of(
    st.binary(max_size=50),
    st.integers(OPAQUE_BYTES_MAX - 2, OPAQUE_BYTES_MAX + 2).map(lambda length: b"x" * length),
    st.integers(JSON_BYTES_MAX - 1, JSON_BYTES_MAX + 1).map(json_of),
    st.sampled_from([b'{"a": [1, 2]}', b"[" * 100_000]),
)


@given(bodies, st.sampled_from([None, "application/json", "image/png"]), st.lists(st.integers(0, 2**21), max_size=4))
def test_a_body_in_parts_is_kept_as_the_whole_one(content: bytes, media_type: str | None, places: list[int]) -> None:
    edges = sorted({min(place, len(content)) for place in places} | {0, len(content)})
    collector = BodyCollector(media_type)
    for start, end in itertools.pairwise(edges):
        collector.add(content[start:end])
    assert collector.body() == journal_body(content, media_type)
    assert collector.length == len(content)
