"""A multipart body gives the same file however its bytes are cut, or the same refusal."""

import asyncio
import itertools
import random
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from phrasim.service.refusal import Refusal
from phrasim.upload.multipart_file import FIELDS_BYTES_MAX, PARTS_MAX, receive_file
from phrasim.upload.storage import Storage

BOUNDARY = "b-x"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"

Outcome = tuple[str | None, bytes] | int
"""The file name and the content of the part `file`, or the status of the refusal."""


def received(pieces: list[bytes], content_type: str = TYPE, size_max: int | None = None) -> Outcome:
    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def main(folder: Path) -> Outcome:
        with Storage(folder, random.Random(1)).incoming() as incoming:
            name = await receive_file(content_type, body(), incoming, size_max)
            return name, bytes(incoming.held)

    with tempfile.TemporaryDirectory() as folder:
        try:
            return asyncio.run(main(Path(folder)))
        except Refusal as refusal:
            return refusal.status
        finally:
            assert list(Path(folder).iterdir()) == []


def part(disposition: str, content: bytes) -> bytes:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\nContent-Type: a/b\r\n\r\n"
    return head.encode() + content + b"\r\n"


def form(*parts: bytes, end: bytes = f"--{BOUNDARY}--\r\n".encode()) -> bytes:
    return b"".join(parts) + end


def file_part(content: bytes, name: str = "a.png") -> bytes:
    return part(f'name="file"; filename="{name}"', content)


def cut(body: bytes, places: list[int]) -> list[bytes]:
    """`body` cut at `places`, which are taken modulo its length."""
    edges = sorted({place % (len(body) + 1) for place in places} | {0, len(body)})
    return [body[start:end] for start, end in itertools.pairwise(edges)]


lookalikes = st.sampled_from(
    [
        b"\r",
        b"\n",
        b"\r\n",
        b"-",
        b"--",
        b"\r\n--",
        b"\r\n--b",
        b"\r\n--b-",
        b"--b-x",
        b"--b-x--",
        b"\n--b-x",
        b"\0",
        b"b-x",
    ]
)
contents = (
    st.lists(st.one_of(lookalikes, st.binary(max_size=4)), max_size=12)
    .map(b"".join)
    .filter(lambda content: b"\r\n--b-x" not in b"\r\n" + content)
)
others = st.builds(
    part,
    st.sampled_from(
        ['name="targetSlug"', 'name="data[a]"', 'name="file"', 'name="files"; filename="no.png"', 'name=""']
    ),
    contents,
)
places = st.lists(st.integers(0, 2**16), max_size=20)


@given(contents, st.lists(others, max_size=3), st.lists(others, max_size=3), places, st.binary(max_size=8))
@example(b"x", [], [], list(range(300)), b"")
@example(b"\r\n--b-\r\r\n--b-", [], [], list(range(300)), b"\r\n--b-x\r\n")
def test_any_cut_of_a_well_formed_body_gives_the_same_file(
    content: bytes, before: list[bytes], after: list[bytes], places: list[int], epilogue: bytes
) -> None:
    body = form(*before, file_part(content), *after) + epilogue
    assert received(cut(body, places)) == ("a.png", content)


@given(st.data(), contents, places)
def test_any_cut_of_a_spoilt_body_gives_the_same_outcome(
    data: st.DataObject, content: bytes, places: list[int]
) -> None:
    """One byte is changed, put in or taken out, or the body breaks off; the whole body decides what is right."""
    body = form(part('name="a"', b"1"), file_part(content))
    place = data.draw(st.integers(0, len(body) - 1))
    byte = data.draw(st.one_of(st.sampled_from([b"\r", b"\n", b"-", b'"', b":", b";", b"b"]), st.binary(max_size=1)))
    how = data.draw(st.sampled_from(["change", "insert", "remove", "break off"]))
    tail = {"change": byte + body[place + 1 :], "insert": byte + body[place:], "remove": body[place + 1 :]}.get(
        how, b""
    )
    spoilt = body[:place] + tail
    assert received(cut(spoilt, places)) == received([spoilt])


@given(st.integers(0, 200))
def test_a_body_that_breaks_off_is_refused_wherever_it_does(length: int) -> None:
    body = form(file_part(b"x" * 50), end=b"--b-x--")
    assert received([body[:length]]) == (400 if length < len(body) else ("a.png", b"x" * 50))


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        pytest.param(form(file_part(b"x")), "multipart/form-data", id="no boundary is named"),
        pytest.param(form(file_part(b"x")), "multipart/form-data; boundary=", id="an empty boundary"),
        pytest.param(form(file_part(b"x")), 'multipart/form-data; boundary=""', id="an empty boundary in quotes"),
        pytest.param(form(file_part(b"x")), "multipart/form-data; boundary=other", id="another boundary"),
        pytest.param(form(file_part(b"x")), 'multipart/form-data; boundary="b-x\xe9"', id="a boundary beyond ASCII"),
        pytest.param(b"", TYPE, id="an empty body"),
        pytest.param(b'{"file": "x"}', TYPE, id="JSON"),
        pytest.param(b"preamble\r\n" + form(file_part(b"x")), TYPE, id="text before the first boundary"),
        pytest.param(form(file_part(b"x"), file_part(b"y")), TYPE, id="the file twice"),
        pytest.param(b"--b-x\r\nContent-Type: a/b\r\n\r\nx\r\n--b-x--", TYPE, id="a part without a disposition"),
        pytest.param(b"--b-x\r\nnonsense\r\n\r\nx\r\n--b-x--", TYPE, id="a header without a colon"),
        pytest.param(form(part('name="file"; filename="a\nb"', b"x")), TYPE, id="a line feed in a header"),
        pytest.param(
            form(part('name="\xff"', b"x")).replace(b"\xc3\xbf", b"\xff"), TYPE, id="a header that is not UTF-8"
        ),
        pytest.param(
            form(part('name="file"; filename="' + "a" * 5000 + '"', b"x")), TYPE, id="a name of 5000 characters"
        ),
        pytest.param(form(*[part('name="a"', b"")] * PARTS_MAX, file_part(b"x")), TYPE, id="more parts than are read"),
    ],
)
def test_what_is_no_upload_is_refused_with_400_however_it_is_cut(body: bytes, content_type: str) -> None:
    assert received([body], content_type) == 400
    assert received([bytes([byte]) for byte in body], content_type) == 400


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(form(), id="no part at all"),
        pytest.param(form(part('name="other"; filename="a.png"', b"x")), id="another file"),
        pytest.param(form(part('name="file"', b"x")), id="a field that is no file"),
    ],
)
def test_without_the_part_file_there_is_no_name_and_no_byte(body: bytes) -> None:
    assert received([body]) == (None, b"")


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ('name="file"; filename="../../etc/passwd"', "../../etc/passwd"),
        ("name=file; filename=plain.png", "plain.png"),
        ('name="file"; filename=""', ""),
        ('name="file"; filename="été 東京.png"', "été 東京.png"),
        ('name="file"; filename="a%22b%0D%0A.png"', 'a"b\r\n.png'),
        ('name="file"; filename="100%.png"', "100%.png"),
        ('name="file"; filename="' + "n" * 300 + '"', "n" * 300),
        ('name="file"; filename="nul\0.png"', "nul\0.png"),
    ],
)
def test_a_file_name_comes_as_it_was_sent(disposition: str, name: str) -> None:
    assert received([form(part(disposition, b"x"))]) == (name, b"x")


@pytest.mark.parametrize(("size", "status"), [(10, None), (11, 413), (5000, 413)])
def test_the_size_of_the_file_alone_is_held_to_the_limit(size: int, status: int | None) -> None:
    body = form(part('name="a"', b"y" * 100), file_part(b"x" * size), part('name="b"', b"y" * 100))
    assert received([body], size_max=10) == (status or ("a.png", b"x" * size))
    assert received([bytes([byte]) for byte in body], size_max=10) == (status or ("a.png", b"x" * size))


@given(places=st.lists(st.integers(min_value=0), max_size=8))
def test_text_fields_are_kept_where_they_are_asked_for_however_the_body_is_cut(places: list[int]) -> None:
    """A part with a file name that is not `file` is no field; of two fields of one name the last counts."""
    body = form(
        part('name="first"', b"1"),
        part('name="empty"', b""),
        file_part(b"content"),
        part('name="other"; filename="x"', b"not kept"),
        part('name="first"', "zwölf\r\n".encode()),
        part("", b"nameless"),
    )

    async def pieces() -> AsyncIterator[bytes]:
        for piece in cut(body, places):
            yield piece

    async def main(folder: Path) -> dict[str, str]:
        fields: dict[str, str] = {}
        with Storage(folder, random.Random(1)).incoming() as incoming:
            assert await receive_file(TYPE, pieces(), incoming, None, fields) == "a.png"
            assert incoming.size == len(b"content")
        return fields

    with tempfile.TemporaryDirectory() as folder:
        assert asyncio.run(main(Path(folder))) == {"first": "zwölf\r\n", "empty": ""}


@pytest.mark.parametrize(("excess", "status"), [(0, None), (1, 413)])
def test_text_fields_are_kept_up_to_a_limit_that_all_of_them_share(excess: int, status: int | None) -> None:
    half = b"x" * (FIELDS_BYTES_MAX // 2)

    async def body() -> AsyncIterator[bytes]:
        yield form(part('name="one"', half), part('name="two"', half + b"x" * excess))

    async def main(folder: Path) -> int | None:
        with Storage(folder, random.Random(1)).incoming() as incoming:
            try:
                await receive_file(TYPE, body(), incoming, None, {})
            except Refusal as refusal:
                return refusal.status
        return None

    with tempfile.TemporaryDirectory() as folder:
        assert asyncio.run(main(Path(folder))) == status
