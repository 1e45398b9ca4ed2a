"""The files of a run: made ones, those beside a scenario, and the user's."""

import hashlib
import os
from pathlib import Path

import puremagic
import pytest

from phrasim.scenario.files import FileError, MadeContent, recorded_files, scenario_files, user_files
from phrasim.scenario.model import GivenFile

KIB = 1024


def content(file: object) -> bytes:
    return b"".join(file.parts())  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [1, 10, 64 * KIB, 64 * KIB + 1, 300 * KIB])
@pytest.mark.parametrize("mime_type", ["application/octet-stream", "application/pdf", "image/jpeg", "text/plain"])
def test_made_content_has_its_size_and_is_the_same_each_time(size: int, mime_type: str) -> None:
    made = MadeContent("1/file/a", size, mime_type)
    first = content(made)
    assert len(first) == size
    assert content(made) == first
    assert content(MadeContent("1/file/a", size, mime_type)) == first


def test_another_seed_or_name_makes_other_content() -> None:
    given = [GivenFile(name, None, 4 * KIB, "application/octet-stream") for name in ("a", "b")]
    digests = {file.sha256 for seed in (1, 2) for file in scenario_files(given, [], seed)}
    assert len(digests) == 4


@pytest.mark.parametrize("mime_type", ["application/pdf", "image/jpeg", "image/png"])
def test_made_content_looks_like_its_type(mime_type: str) -> None:
    found = puremagic.magic_string(content(MadeContent("1", 4 * KIB, mime_type)))
    assert found[0].mime_type == mime_type


def test_made_text_is_text() -> None:
    assert content(MadeContent("1", 200 * KIB, "text/plain")).decode("ascii").isprintable() is False
    assert content(MadeContent("1", 200 * KIB, "text/plain")).decode("ascii").replace("\n", "").isprintable()


def test_a_file_beside_the_scenario_comes_before_one_of_phrasim(tmp_path: Path) -> None:
    for name in ("near", "far"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(name)
    (tmp_path / "far" / "b.txt").write_text("only far")
    given = [GivenFile("A", "a.txt", 0, ""), GivenFile("B", "b.txt", 0, "")]
    one, other = scenario_files(given, [tmp_path / "near", tmp_path / "far"], 1)
    assert (one.name, one.size, content(one)) == ("A", 4, b"near")
    assert one.sha256 == hashlib.sha256(b"near").hexdigest()
    assert (one.recorded.name, one.recorded.size, one.recorded.sha256) == ("A", 4, one.sha256)
    assert content(other) == b"only far"


def test_a_scenario_file_that_is_nowhere_is_named_with_the_places(tmp_path: Path) -> None:
    with pytest.raises(FileError) as raised:
        scenario_files([GivenFile("A", "a.txt", 0, "")], [tmp_path, tmp_path / "b"], 1)
    assert str(raised.value) == (
        f"the file 'A' of the scenario is not there; looked for {tmp_path}/a.txt, {tmp_path}/b/a.txt"
    )


def test_the_recorded_file_is_taken_from_the_first_folder_that_has_it(tmp_path: Path) -> None:
    for name, text in (("near", ""), ("middle", "one"), ("far", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.txt").write_text(text)
    given = [GivenFile("A", "a.txt", 0, ""), GivenFile("B", None, 5, "text/plain")]
    folders = [tmp_path / name for name in ("nowhere", "near", "middle", "far")]
    recorded = [file.recorded for file in scenario_files(given, [tmp_path / "far"], 1)]
    files = recorded_files(given, folders, 1, recorded)
    assert [file.recorded for file in files] == recorded
    assert content(files[0]) == b"two"
    with pytest.raises(FileError) as raised:
        recorded_files(given, folders[:-1], 1, recorded)
    assert str(raised.value) == (
        f"the file 'A' differs: recorded 3 bytes, SHA-256 {recorded[0].sha256[:12]}…; "
        f"found {str(tmp_path / 'near/a.txt')!r} is empty, and the upload service refuses empty files; "
        f"{str(tmp_path / 'middle/a.txt')!r} of 3 bytes, SHA-256 {hashlib.sha256(b'one').hexdigest()[:12]}…"
    )
    with pytest.raises(FileError, match=r"the file 'A' of the scenario is not there; looked for .*nowhere/a\.txt$"):
        recorded_files(given, folders[:1], 1, recorded)


def test_files_of_the_user_bear_their_own_names(tmp_path: Path) -> None:
    paths = [tmp_path / "naïve ☃.txt", tmp_path / "b"]
    for path in paths:
        path.write_bytes(b"x" * 300 * KIB)
    files = user_files(paths)
    assert [file.name for file in files] == ["naïve ☃.txt", "b"]
    assert [file.size for file in files] == [300 * KIB] * 2
    assert content(files[0]) == b"x" * 300 * KIB


def test_a_file_of_the_user_that_is_missing_empty_or_a_folder_is_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    for path, said in (
        (tmp_path / "nothing", f"there is no file {str(tmp_path / 'nothing')!r}"),
        (tmp_path, f"{str(tmp_path)!r} is no file"),
        (empty, f"{str(empty)!r} is empty, and the upload service refuses empty files"),
    ):
        with pytest.raises(FileError) as raised:
            user_files([path])
        assert str(raised.value) == said


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.touch()

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FileError) as raised:
        user_files([path])
    assert str(raised.value) == f"reading {str(path)!r}: Permission denied"


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    paths = [tmp_path / "a", tmp_path / "b" / "a"]
    for path in paths:
        path.write_text("x")
    with pytest.raises(FileError, match=r"two files are named 'a'; .* told apart by their names"):
        user_files(paths)


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff"))
    try:
        path.write_text("x")
    except OSError:
        pytest.skip("this file system holds no such name")
    with pytest.raises(FileError) as raised:
        user_files([path])
    assert "is not UTF-8" in str(raised.value)
    str(raised.value).encode()
