"""Stored files: where they lie, what is left of refused ones, and what their first bytes look like."""

import errno
import hashlib
import io
import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.upload.storage import HELD_BYTES_MAX, SNIFFED_BYTES, Storage, sniffed

pytestmark = pytest.mark.unmeasured


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


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


def test_a_file_lies_under_a_name_of_the_storage(tmp_path: Path) -> None:
    storage = Storage(tmp_path, random.Random(1))
    with storage.incoming() as incoming:
        stored = storage.store(incoming)
    assert len(stored.key) == 32
    assert set(stored.key) <= set("0123456789abcdef")


def test_what_is_not_stored_is_gone(tmp_path: Path) -> None:
    storage = Storage(tmp_path, random.Random(1))
    with pytest.raises(LookupError), storage.incoming() as incoming:
        incoming.write(b"x" * (HELD_BYTES_MAX + 1))
        assert files(tmp_path) == [f"{incoming.key}.partial"]
        raise LookupError
    assert files(tmp_path) == []


@pytest.mark.parametrize("size", [0, 1, HELD_BYTES_MAX, HELD_BYTES_MAX + 1, 3 * HELD_BYTES_MAX])
def test_a_short_file_and_a_long_one_are_stored_alike(tmp_path: Path, size: int) -> None:
    storage, content = Storage(tmp_path, random.Random(1)), random.Random(2).randbytes(size)
    with storage.incoming() as incoming:
        for start in range(0, size, 50_000):
            incoming.write(content[start : start + 50_000])
        assert files(tmp_path) == ([f"{incoming.key}.partial"] if size > HELD_BYTES_MAX else [])
        stored = storage.store(incoming)
    assert (stored.size, stored.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert files(tmp_path) == [stored.key]
    assert (tmp_path / stored.key).read_bytes() == content


def test_a_short_file_that_the_disk_does_not_take_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _part: object) -> int:
            raise OSError(errno.ENOSPC, "no space left")

    storage = Storage(tmp_path, random.Random(1))

    def created(name: str) -> Full:
        (tmp_path / name).touch()
        return Full()

    monkeypatch.setattr(storage, "_created", created)
    with pytest.raises(OSError, match="no space left"), storage.incoming() as incoming:
        incoming.write(b"short")
        storage.store(incoming)
    assert files(tmp_path) == []


def test_a_deleted_file_cannot_be_opened(tmp_path: Path) -> None:
    storage = Storage(tmp_path, random.Random(1))
    with storage.incoming() as incoming:
        stored = storage.store(incoming)
    (tmp_path / stored.key).unlink()
    with pytest.raises(FileNotFoundError):
        storage.open(stored)


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


@given(st.binary(min_size=1, max_size=64), st.booleans())
def test_every_content_has_a_media_type_that_a_header_can_hold(head: bytes, whole: bool) -> None:
    kind, _, name = sniffed(head, whole=whole).partition("/")
    assert kind
    assert name
    assert (kind + name).isascii()
    assert (kind + name).isprintable()
    assert " " not in kind + name


@given(st.lists(st.binary(max_size=3000), max_size=5))
def test_the_cuts_of_a_content_change_nothing(parts: list[bytes]) -> None:
    seen = []
    for pieces in (parts, [b"".join(parts)]):
        with TemporaryDirectory() as folder, Storage(Path(folder), random.Random(1)).incoming() as incoming:
            for piece in pieces:
                incoming.write(piece)
            seen.append((incoming.size, incoming.sha256, incoming.mime_type))
    assert seen[0] == seen[1]
