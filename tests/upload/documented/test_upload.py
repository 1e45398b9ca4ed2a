"""`POST /assets` on the wire: what comes of an upload, and that a refused one leaves nothing behind."""

import asyncio
import hashlib
import itertools
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phrasim.edge.faults import Answer, Delay, DropReply, Refuse
from phrasim.journal.events import Lost, Sent
from phrasim.testbed import Testbed
from phrasim.upload.file_answer import content_disposition

FORM = {"content-type": "multipart/form-data; boundary=b"}
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"


def stored(bed: Testbed) -> list[str]:
    return [path.name for path in bed.storage.folder.rglob("*") if path.is_file()]


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@given(st.lists(st.integers(0, 400), max_size=8), st.binary(min_size=1, max_size=300))
@settings(max_examples=40)
def test_however_a_body_is_cut_the_asset_is_the_same(play: Any, act: Any, places: list[int], content: bytes) -> None:
    body = HEAD + content.replace(b"\r\n--b", b"") + TAIL
    edges = sorted({min(place, len(body)) for place in places} | {0, len(body)})
    parts = [body[start:end] for start, end in itertools.pairwise(edges)]

    async def main(bed: Testbed) -> list[Any]:
        headers = await act.bearer(bed)
        upload = bed.client("user", "upload")
        answers = [
            await upload.post("/assets", headers=headers | FORM, content=pieces(*parts)),
            await upload.post("/assets", headers=headers | FORM, content=body),
        ]
        return [
            (answer.status_code, {key: value for key, value in answer.json().items() if key != "id"})
            for answer in answers
        ]

    chunked, whole = play(main)
    assert chunked == whole
    assert whole[0] == (201 if content.replace(b"\r\n--b", b"") else 400)


def test_an_asset_is_told_with_its_six_fields(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        headers = await act.bearer(bed)
        await bed.clock.sleep(3601)
        answer = await act.post_file(bed, headers, act.png, "holiday.jpg")
        assert answer.status_code == 201
        body = answer.json()
        (asset,) = bed.upload._assets.values()
        assert body == {
            "id": asset.id,
            "size": len(act.png),
            "formData": None,
            "originalName": "holiday.jpg",
            "mimeType": "image/png",
            "createdAt": "2019-05-15T15:13:55+00:00",
        }
        assert asset.file.sha256 == hashlib.sha256(act.png).hexdigest()
        assert asset.user_id == bed.accounts.publisher.id
        assert stored(bed) == [asset.file.key.rpartition("/")[2]]

    play(main)


def body_of(content: bytes, name: str = 'name="file"; filename="a.bin"') -> bytes:
    return f"--b\r\nContent-Disposition: form-data; {name}\r\n\r\n".encode() + content + TAIL


REFUSED = [
    pytest.param(body_of(b""), FORM, 400, "Empty file", id="an empty file"),
    pytest.param(body_of(b"", 'name="file"; filename=""'), FORM, 400, "Empty file", id="no file chosen"),
    pytest.param(body_of(b"x", 'name="files"; filename="a"'), FORM, 400, '"file" is required', id="no part file"),
    pytest.param(body_of(b"x", 'name="file"'), FORM, 400, '"file" is required', id="file is a plain field"),
    pytest.param(b"--b--", FORM, 400, '"file" is required', id="no part"),
    pytest.param(HEAD + b"x" + b"\r\n" + body_of(b"y"), FORM, 400, "more than once", id="the file twice"),
    pytest.param(HEAD + b"x" * 900, FORM, 400, "not well-formed", id="truncated in the file"),
    pytest.param(HEAD[:30], FORM, 400, "not well-formed", id="truncated in a header"),
    pytest.param(b"", FORM, 400, "not well-formed", id="no body"),
    pytest.param(b"{}", FORM, 400, "does not begin with its boundary", id="JSON under the name of multipart"),
    pytest.param(
        body_of(b"x"), {"content-type": "multipart/form-data"}, 400, "has no boundary", id="a type without boundary"
    ),
    pytest.param(body_of(b"x" * 1001), FORM, 413, "larger than 1000 bytes", id="one byte above the limit"),
    pytest.param(body_of(b"x" * 100_000), FORM, 413, "larger than 1000 bytes", id="far above the limit"),
    pytest.param(body_of(b"x"), {"content-type": "image/png"}, 415, "'image/png'", id="another media type"),
    pytest.param(b"{}", {"content-type": "application/json"}, 415, "takes multipart/form-data", id="JSON"),
    pytest.param(body_of(b"x"), {}, 415, "has no Content-Type", id="no media type"),
]


@pytest.mark.parametrize("chunked", [False, True], ids=["Content-Length", "chunked"])
@pytest.mark.parametrize(("body", "headers", "status", "said"), REFUSED)
def test_a_refused_upload_leaves_nothing_behind(
    play: Any, act: Any, body: bytes, headers: dict[str, str], status: int, said: str, chunked: bool
) -> None:
    async def main(bed: Testbed) -> None:
        bearer = await act.bearer(bed)
        content = pieces(*(body[start : start + 700] for start in range(0, len(body), 700))) if chunked else body
        answer = await bed.client("user", "upload").post("/assets", headers=bearer | headers, content=content)
        assert (answer.status_code, said in answer.json()["detail"]) == (status, True), answer.text
        assert stored(bed) == []
        assert bed.upload._assets == {}

    play(main, upload_size_max=1000)


def test_a_file_of_just_the_limit_is_taken(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> int:
        answer: httpx.Response = await act.post_file(bed, await act.bearer(bed), b"x" * 1000)
        return answer.status_code

    assert play(main, upload_size_max=1000) == 201


@pytest.mark.parametrize("who", ["nobody", "an invalid Bearer", "phraseanet", "an AssetToken"])
def test_who_may_not_upload_is_told_so_before_the_body_is_read(play: Any, act: Any, who: str) -> None:
    asked: list[int] = []

    async def body() -> AsyncIterator[bytes]:
        yield HEAD
        for number in range(1000):
            asked.append(number)
            yield b"x" * 1000

    async def main(bed: Testbed) -> None:
        headers = {
            "nobody": {},
            "an invalid Bearer": {"authorization": "Bearer x"},
            "an AssetToken": {"authorization": "AssetToken x"},
        }.get(who) or (await act.bearer(bed, "phraseanet") if who == "phraseanet" else {})
        answer = await bed.client("user", "upload").post("/assets", headers=headers | FORM, content=body())
        assert answer.status_code == (401 if who in ("nobody", "an invalid Bearer") else 403)
        assert len(asked) < 10
        assert stored(bed) == []

    play(main)


def test_a_client_that_leaves_within_the_body_leaves_nothing_and_no_failure(play: Any, act: Any) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield HEAD
        yield b"x" * 200_000
        await asyncio.sleep(3600)

    async def main(bed: Testbed) -> None:
        headers = await act.bearer(bed)
        upload = asyncio.create_task(
            bed.client("user", "upload").post("/assets", headers=headers | FORM, content=body())
        )
        await bed.clock.sleep(1)
        assert [name.endswith(".partial") for name in stored(bed)] == [True]
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload
        await bed.clock.sleep(1)
        assert stored(bed) == []
        assert bed.upload._assets == {}
        seen = act.seen(bed)
        (request,) = seen.asked("uploadAsset")
        assert seen.fates(request.id) == [Sent, Lost]
        assert seen.answered("uploadAsset") == []
        assert seen.noted("failed") == []

    play(main)


def test_a_run_that_ends_within_an_upload_leaves_nothing(play: Any, act: Any) -> None:
    left: list[str] = []

    async def body() -> AsyncIterator[bytes]:
        yield HEAD + b"x"
        await asyncio.sleep(3600)

    async def main(bed: Testbed) -> None:
        headers = await act.bearer(bed)
        upload = asyncio.create_task(
            bed.client("user", "upload").post("/assets", headers=headers | FORM, content=body())
        )
        await bed.clock.sleep(1)
        await bed.network.addressing.transport.aclose()
        with pytest.raises(httpx.RemoteProtocolError):
            await upload
        left.extend(stored(bed))

    play(main)
    assert left == []


NAMES = [
    "plain.png",
    "../../../etc/passwd",
    "..\\..\\boot.ini",
    "/etc/passwd",
    "C:/x.png",
    "nul\0byte.png",
    "n" * 300 + ".png",
    "été à Paris.png",
    "東京.png",
    'quote".png',
    "new\r\nline.png",
    "semi;colon=1.png",
    "100%.png",
    "%2e%2e%2f.png",
    " ",
    ".",
    "..",
]


@pytest.mark.parametrize("name", NAMES, ids=[ascii(name)[:40] for name in NAMES])
def test_a_hostile_file_name_never_becomes_a_path_and_comes_back(play: Any, act: Any, name: str) -> None:
    async def main(bed: Testbed) -> None:
        bearer = await act.bearer(bed)
        # As browsers write it (HTML, multipart/form-data encoding algorithm).
        written = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        body = body_of(b"content", f'name="file"; filename="{written}"')
        answer = await bed.client("user", "upload").post("/assets", headers=bearer | FORM, content=body)
        assert answer.status_code == 201
        kept = answer.json()["originalName"]
        assert kept in (name, name.rpartition("\\")[2])
        (path,) = stored(bed)
        assert set(path) <= set("0123456789abcdef")
        assert not list(bed.storage.folder.parent.parent.glob("passwd"))
        await act.post_commit(bed, bearer, [answer.json()["id"]])
        token = bed.upload.commits[0].token
        answer = await bed.client("user", "upload").get(
            f"/assets/{answer.json()['id']}/download", headers={"authorization": f"AssetToken {token}"}
        )
        assert answer.content == b"content"
        disposition = answer.headers["content-disposition"]
        assert disposition.isascii()
        assert disposition.isprintable()
        assert disposition.startswith('attachment; filename="')
        encoded = disposition.partition("filename*=UTF-8''")[2]
        plain = disposition.partition('filename="')[2].partition('"')[0]
        assert (unquote(encoded) if encoded else plain) == kept

    play(main, mode="off")


@given(st.text(max_size=40))
def test_a_disposition_holds_any_name_in_a_header_of_printable_ascii(name: str) -> None:
    header = content_disposition(name)
    assert header.isascii()
    assert header.isprintable()
    plain, _, encoded = header.removeprefix('attachment; filename="').partition('"')
    assert "\\" not in plain
    assert (unquote(encoded.removeprefix("; filename*=UTF-8''")) if encoded else plain) == name


@pytest.mark.parametrize("effect", [Refuse(), Answer(500), Answer(404), DropReply(), Delay(60)], ids=repr)
def test_without_auth_an_upload_is_503_and_leaves_nothing(play: Any, act: Any, effect: Any) -> None:
    async def main(bed: Testbed) -> None:
        headers = await act.bearer(bed)
        client = bed.client("user", "upload", timeout=None)
        answer = await client.post("/assets", headers=headers | FORM, content=body_of(b"x"))
        assert (answer.status_code, "Auth cannot be asked" in answer.json()["detail"]) == (503, True)
        assert stored(bed) == []

    play(main, faults=(act.fault("getTokenInfo", effect),))


class Repeated:
    """A file of `size` bytes that is nowhere: one block again and again."""

    def __init__(self, size: int) -> None:
        self.left = self.size = size
        self.block = b"0123456789abcdef" * 4096

    def __iter__(self) -> "Repeated":
        return self

    def __next__(self) -> bytes:
        if not self.left:
            raise StopIteration
        part = self.block[: min(self.left, len(self.block))]
        self.left -= len(part)
        return part


def test_a_large_file_streams_in_and_out(play: Any, act: Any) -> None:
    size = 64 * 1024 * 1024

    async def body() -> AsyncIterator[bytes]:
        yield HEAD
        for part in Repeated(size):
            yield part
        yield TAIL

    async def main(bed: Testbed) -> None:
        headers = await act.bearer(bed)
        await act.post_file(bed, headers, b"\0")  # what the first file costs, the table of signatures, is not counted
        client = bed.client("user", "upload")
        tracemalloc.start()
        try:
            answer = await client.post("/assets", headers=headers | FORM, content=body())
            assert answer.json()["size"] == size
            await act.post_commit(bed, headers, [answer.json()["id"]])
            await bed.clock.sleep(100)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        (record,) = bed.phraseanet.records
        digest = hashlib.sha256()
        for part in Repeated(size):
            digest.update(part)
        assert (record.size, record.sha256) == (size, digest.hexdigest())
        assert peak <= 8 * 1024 * 1024, f"{peak / 1024 / 1024:.1f} MiB"

    play(main)
