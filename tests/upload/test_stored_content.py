"""A stored file is read as its bytes alone, whatever lies beside it."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.upload.stored_content import StoredContent

pytestmark = pytest.mark.unmeasured


@contextmanager
def stored(before: bytes, content: bytes, after: bytes) -> Iterator[StoredContent]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.write_bytes(before + content + after)
        with StoredContent(os.open(path, os.O_RDONLY), len(before), len(content)) as file:
            yield file


reads = st.tuples(st.just("read"), st.integers(-1, 12))
reads_into = st.tuples(st.just("readinto"), st.integers(0, 12).map(bytearray))
seeks = st.tuples(st.just("seek"), st.integers(-3, 12), st.sampled_from([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END]))
calls = st.lists(st.one_of(reads, reads_into, seeks, st.just(("tell",)), st.just(("readall",))), max_size=8)


def outcome(file: io.RawIOBase | io.BytesIO, call: tuple) -> object:
    name, *values = call
    values = [bytearray(value) if isinstance(value, bytearray) else value for value in values]
    try:
        found = getattr(file, name if hasattr(file, name) else "read")(*values)
    except ValueError:
        return "refused"
    return found, [value for value in values if isinstance(value, bytearray)]


@given(st.binary(max_size=4), st.binary(max_size=9), st.binary(max_size=4), calls)
def test_it_reads_as_if_its_bytes_were_a_file_of_their_own(
    before: bytes, content: bytes, after: bytes, calls: list[tuple]
) -> None:
    alone = io.BytesIO(content)
    with stored(before, content, after) as file:
        for call in calls:
            # A BytesIO is no judge of a place before its beginning: relative to others it goes to the beginning.
            if call[0] == "seek" and {0: 0, 1: alone.tell(), 2: len(content)}[call[2]] + call[1] < 0:
                assert outcome(file, call) == "refused"
                continue
            assert outcome(file, call) == outcome(alone, call)


def test_the_system_finds_its_bytes_by_descriptor_and_offset() -> None:
    with stored(b"before", b"content", b"after") as file:
        file.read(3)
        assert os.pread(file.fileno(), file.size, file.offset) == b"content"


def test_what_was_cut_on_disk_ends_where_the_disk_does() -> None:
    with stored(b"", b"content", b"") as file:
        file.size += 10
        assert file.readall() == b"content"
        assert file.read(1) == b""


def test_it_can_be_read_no_more_once_it_is_closed() -> None:
    with stored(b"", b"content", b"") as file:
        file.close()
        with pytest.raises(OSError, match="Bad file descriptor"):
            file.read(1)
