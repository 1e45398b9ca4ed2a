"""The media type that a file's first bytes show; puremagic itself is the judge."""

import puremagic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from phrasim.upload.media_type import SNIFFED_BYTES, sniffed

ROWS = st.sampled_from(puremagic.magic_header_array) | st.sampled_from(puremagic.magic_footer_array)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Any bytes, mostly with one of puremagic's signatures where it belongs, or a byte beside it."""
    row = draw(ROWS)
    at = max(0, row.offset + draw(st.sampled_from((0, 0, 0, 1))))
    before = draw(st.binary(max_size=8)).ljust(at, draw(st.sampled_from((b"\0", b"a", b"\xff"))))[:at]
    after = draw(st.binary(max_size=8))
    if row.offset < 0:
        after = after.ljust(-row.offset - len(row.byte_match))[: -row.offset - len(row.byte_match)]
    return (before + row.byte_match + after)[:SNIFFED_BYTES]


@given(heads() | st.binary(max_size=64))
@example(b"")
@example(b"{")
def test_what_puremagic_knows_is_what_it_says(head: bytes) -> None:
    try:
        known = puremagic.from_string(head, mime=True) or "application/octet-stream"
    except (puremagic.PureError, ValueError):
        known = None
    found = sniffed(head, whole=True)
    assert found == known if known is not None else found in ("text/plain", "application/octet-stream")


@pytest.mark.parametrize(
    ("head", "mime_type"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"%PDF-1.4\n%\xe2\xe3", "application/pdf"),
        (b"plain words\n", "text/plain"),
        ("ein Satz über Größe".encode(), "text/plain"),
        (b"\xfe\x01\x02", "application/octet-stream"),
        (b"a text with a \0 in it", "application/octet-stream"),
        (b"caf\xe9 in latin-1", "application/octet-stream"),
        (b"half a character at the end \xc3", "application/octet-stream"),
    ],
)
def test_a_media_type_is_told_by_the_content(head: bytes, mime_type: str) -> None:
    assert sniffed(head, whole=True) == mime_type


def test_a_zip_archive_is_a_kind_of_zip() -> None:
    assert sniffed(b"PK\x03\x04\x14\0\0\0\x08\0", whole=True).startswith("application/")


@given(st.binary(min_size=1, max_size=64), st.booleans())
def test_every_content_has_a_media_type_that_a_header_can_hold(head: bytes, whole: bool) -> None:
    kind, _, name = sniffed(head, whole=whole).partition("/")
    assert kind
    assert name
    assert (kind + name).isascii()
    assert (kind + name).isprintable()
    assert " " not in kind + name
