"""Stored files: where they lie, and what is left of refused ones."""

import errno
import hashlib
import os
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from phrasim.upload.media_type import SNIFFED_BYTES
from phrasim.upload.segments import SEGMENT_BYTES_MAX
from phrasim.upload.storage import HELD_BYTES_MAX, Storage
from phrasim.upload.stored_file import StoredFile

pytestmark = pytest.mark.unmeasured


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def keep(storage: Storage, content: bytes) -> StoredFile:
    with storage.incoming() as incoming:
        incoming.write(content)
        return storage.store(incoming)


def read(storage: Storage, stored: StoredFile) -> bytes:
    with storage.open(stored) as file:
        return file.readall()


def test_a_stored_file_has_its_bytes_size_and_digest(tmp_path: Path) -> None:
    storage = Storage(tmp_path, random.Random(1))
    with storage.incoming() as incoming:
        incoming.write(b"one ")
        incoming.write(b"two")
        stored = storage.store(incoming)
    assert (stored.size, stored.sha256, stored.mime_type) == (7, hashlib.sha256(b"one two").hexdigest(), "text/plain")
    with storage.open(stored) as file:
        assert file.read() == b"one two"
    assert files(tmp_path) == [stored.key]


@pytest.mark.parametrize("size", [1, HELD_BYTES_MAX + 1])
def test_a_file_lies_under_a_name_of_the_storage(tmp_path: Path, size: int) -> None:
    storage = Storage(tmp_path, random.Random(1))
    with storage.incoming() as incoming:
        incoming.write(bytes(size))
        stored = storage.store(incoming)
    assert len(stored.key) == 32
    assert set(stored.key) <= set("0123456789abcdef")


def test_what_is_not_stored_is_gone(tmp_path: Path) -> None:
    storage = Storage(tmp_path, random.Random(1))
    with pytest.raises(LookupError), storage.incoming() as incoming:
        incoming.write(b"x" * (HELD_BYTES_MAX + 1))
        assert incoming.place is not None
        assert files(tmp_path) == [incoming.place.name]
        assert incoming.place.suffix == ".partial"
        raise LookupError
    assert files(tmp_path) == []


@pytest.mark.parametrize("size", [0, 1, HELD_BYTES_MAX, HELD_BYTES_MAX + 1, 3 * HELD_BYTES_MAX])
def test_a_short_file_and_a_long_one_are_stored_alike(tmp_path: Path, size: int) -> None:
    storage, content = Storage(tmp_path, random.Random(1)), random.Random(2).randbytes(size)
    with storage.incoming() as incoming:
        for start in range(0, size, 50_000):
            incoming.write(content[start : start + 50_000])
        assert len(files(tmp_path)) == (size > HELD_BYTES_MAX)
        stored = storage.store(incoming)
    assert (stored.size, stored.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert files(tmp_path) == [stored.key]
    with storage.open(stored) as file:
        assert file.read() == content
    storage.delete(stored)
    assert files(tmp_path) == []


@pytest.mark.parametrize("before", [0, 1])
def test_a_short_file_that_the_disk_does_not_take_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int
) -> None:
    """A part of it may have come to disk: the next file stands in its place."""
    storage = Storage(tmp_path, random.Random(1))
    stored = [keep(storage, b"before") for _ in range(before)]
    on_disk = files(tmp_path)
    pwrite = os.pwrite

    def full(descriptor: int, content: memoryview, offset: int) -> int:
        if len(content) <= 2:
            raise OSError(errno.ENOSPC, "no space left")
        return pwrite(descriptor, content[:-2], offset)

    with monkeypatch.context() as disk:
        disk.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="no space left"):
            keep(storage, b"much too long")
    assert files(tmp_path) == on_disk
    stored.append(keep(storage, b"after"))
    assert [read(storage, one) for one in stored] == [b"before"] * before + [b"after"]


@pytest.mark.parametrize("size", [1, HELD_BYTES_MAX + 1])
def test_a_deleted_file_cannot_be_opened_and_whoever_has_it_open_reads_on(tmp_path: Path, size: int) -> None:
    storage = Storage(tmp_path, random.Random(1))
    stored = keep(storage, b"a" * size)
    with storage.open(stored) as file:
        storage.delete(stored)
        keep(storage, b"b" * size)
        assert file.read() == b"a" * size
    with pytest.raises(FileNotFoundError):
        storage.open(stored)


def test_a_file_that_somebody_took_from_the_disk_cannot_be_opened(tmp_path: Path) -> None:
    storage = Storage(tmp_path, random.Random(1))
    stored = keep(storage, b"")
    (tmp_path / stored.key).unlink()
    with pytest.raises(FileNotFoundError):
        storage.open(stored)


def test_short_files_share_a_few_files_on_disk_which_go_with_the_last_of_them(tmp_path: Path) -> None:
    storage, size = Storage(tmp_path, random.Random(1)), HELD_BYTES_MAX
    together = SEGMENT_BYTES_MAX // size
    stored = [keep(storage, bytes(size)) for _ in range(2 * together + 1)]
    assert len(files(tmp_path)) == 3
    assert max(path.stat().st_size for path in tmp_path.iterdir()) == SEGMENT_BYTES_MAX
    for one in stored[1 : together + 1]:
        storage.delete(one)
    assert len(files(tmp_path)) == 3, "each holds something still"
    storage.delete(stored[0])
    assert len(files(tmp_path)) == 2
    for one in stored[together:]:
        storage.delete(one)
    assert files(tmp_path) == []


def test_no_file_on_disk_is_open_while_nobody_reads(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    storage = Storage(tmp_path, random.Random(1))
    for size in (1, 2, HELD_BYTES_MAX + 1):
        read(storage, keep(storage, bytes(size)))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


class Keeping(RuleBasedStateMachine):
    """Files are stored, given up and deleted in any order; what is there is what nobody deleted."""

    def __init__(self) -> None:
        super().__init__()
        self.temporary = TemporaryDirectory()
        self.folder = Path(self.temporary.name) / "files"
        self.storage = Storage(self.folder, random.Random(1))
        self.kept: dict[StoredFile, bytes] = {}
        self.deleted: list[StoredFile] = []

    sizes = st.one_of(st.integers(0, 9), st.sampled_from([HELD_BYTES_MAX, HELD_BYTES_MAX + 1, 600_000]))

    @rule(size=sizes, byte=st.integers(1, 255))
    def store(self, size: int, byte: int) -> None:
        content = bytes([byte]) * size
        stored = keep(self.storage, content)
        assert stored not in self.kept
        self.kept[stored] = content

    @rule(size=sizes)
    def give_up(self, size: int) -> None:
        with self.storage.incoming() as incoming:
            incoming.write(bytes(size))

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(list(self.kept)))
        self.storage.delete(one)
        del self.kept[one]
        self.deleted.append(one)

    @precondition(lambda self: self.deleted)
    @rule(data=st.data())
    def delete_again(self, data: st.DataObject) -> None:
        self.storage.delete(data.draw(st.sampled_from(self.deleted)))

    @invariant()
    def what_is_kept_can_be_read_and_nothing_else_is_there(self) -> None:
        assert {one: read(self.storage, one) for one in self.kept} == self.kept
        for one in self.deleted:
            with pytest.raises(FileNotFoundError):
                self.storage.open(one)
        there = files(self.folder) if self.folder.exists() else []
        assert set(there) == {one.key for one in self.kept}

    def teardown(self) -> None:
        self.temporary.cleanup()


TestKeeping = Keeping.TestCase


@pytest.mark.parametrize("character", ["é", "€", "𝄞"])
@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_character_cut_by_the_end_of_the_head_is_no_sign_of_binary_content(
    tmp_path: Path, character: str, kept: int
) -> None:
    content = b"a" * (SNIFFED_BYTES - min(kept, len(character.encode()) - 1)) + character.encode() * 3
    with Storage(tmp_path, random.Random(1)).incoming() as incoming:
        incoming.write(content[:1000])
        incoming.write(content[1000:])
        assert incoming.mime_type == "text/plain"


def test_a_byte_that_no_character_begins_with_is_binary_even_at_the_end_of_the_head(tmp_path: Path) -> None:
    with Storage(tmp_path, random.Random(1)).incoming() as incoming:
        incoming.write(b"a" * (SNIFFED_BYTES - 1) + b"\xff" + b"a" * 10)
        assert incoming.mime_type == "application/octet-stream"


@given(st.lists(st.binary(max_size=3000), max_size=5))
def test_the_cuts_of_a_content_change_nothing(parts: list[bytes]) -> None:
    seen = []
    for pieces in (parts, [b"".join(parts)]):
        with TemporaryDirectory() as folder, Storage(Path(folder), random.Random(1)).incoming() as incoming:
            for piece in pieces:
                incoming.write(piece)
            seen.append((incoming.size, incoming.sha256, incoming.mime_type))
    assert seen[0] == seen[1]
