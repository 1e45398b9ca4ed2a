"""Reading and downloading an asset, acknowledging and listing commits: what the answers hold."""

import hashlib
from typing import Any

import pytest

from phrasim.journal.events import Body, Lost, Sent
from phrasim.testbed import Testbed


async def committed(bed: Testbed, act: Any, content: bytes, name: str = "test.png") -> tuple[str, dict[str, str]]:
    """The id of a committed asset and the header that opens it."""
    bearer = await act.bearer(bed)
    answer = await act.post_file(bed, bearer, content, name)
    asset_id = answer.json()["id"]
    await act.post_commit(bed, bearer, [asset_id], formData={"title": "Test document"})
    return asset_id, {"authorization": f"AssetToken {bed.upload.commits[-1].token}"}


@pytest.mark.parametrize("size", [1, 4096, 256 * 1024, 256 * 1024 + 1, 1_000_000])
def test_a_download_is_the_bytes_that_were_uploaded_with_their_length(play: Any, act: Any, size: int) -> None:
    content = (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(251)) * 4000)[:size]

    async def main(bed: Testbed) -> None:
        asset_id, headers = await committed(bed, act, content)
        answer = await bed.client("phraseanet", "upload").get(f"/assets/{asset_id}/download", headers=headers)
        assert answer.status_code == 200
        assert answer.content == content
        asset = bed.upload.asset(asset_id)
        assert asset is not None
        assert dict(answer.headers) == {
            "content-type": asset.file.mime_type,
            "content-length": str(size),
            "content-size": str(size),
            "content-disposition": 'attachment; filename="test.png"',
        }
        (response,) = [one for one in act.seen(bed).responses if one.operation_id == "downloadAsset"]
        assert response.body == Body(length=size, sha256=hashlib.sha256(content).hexdigest(), digest="stored")

    play(main, mode="off")


def test_a_head_of_a_download_has_the_headers_and_no_byte(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        asset_id, headers = await committed(bed, act, act.png)
        answer = await bed.client("user", "upload").head(f"/assets/{asset_id}/download", headers=headers)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-length"] == str(len(act.png))
        assert act.seen(bed).responses[-1].body == Body(length=0)

    play(main, mode="off")


def test_an_asset_tells_its_form_data_once_it_is_committed(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        asset_id, headers = await committed(bed, act, b"hello")
        answer = await bed.client("phraseanet", "upload").get(f"/assets/{asset_id}", headers=headers)
        body = answer.json()
        assert (body["formData"], body["mimeType"], body["size"]) == ({"title": "Test document"}, "text/plain", 5)
        assert "token" not in body
        assert answer.headers["content-type"] == "application/json"

    play(main, mode="off")


def test_the_download_of_a_deleted_file_is_404_and_its_metadata_stays(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        asset_id, headers = await committed(bed, act, b"hello")
        asset = bed.upload.asset(asset_id)
        assert asset is not None
        (bed.storage.folder / asset.file.key).unlink()
        upload = bed.client("user", "upload")
        assert (await upload.get(f"/assets/{asset_id}/download", headers=headers)).status_code == 404
        assert (await upload.head(f"/assets/{asset_id}/download", headers=headers)).status_code == 404
        assert (await upload.get(f"/assets/{asset_id}", headers=headers)).status_code == 200

    play(main, mode="off")


def test_a_file_that_shrank_on_disk_is_a_download_that_breaks_off(play: Any, act: Any) -> None:
    """The worker notices it (`RemoteProtocolError`), and the commit ends in the failed queue."""

    async def main(bed: Testbed) -> None:
        asset_id, _ = await committed(bed, act, b"hello")
        asset = bed.upload.asset(asset_id)
        assert asset is not None
        (bed.storage.folder / asset.file.key).write_bytes(b"he")
        await bed.clock.sleep(60)
        seen = act.seen(bed)
        assert bed.phraseanet.records == ()
        assert "received 2 bytes, expected 5" in seen.noted("work given up")[0]["reason"]
        downloads = [one for one in seen.responses if one.operation_id == "downloadAsset"]
        assert [seen.fates(one.id) for one in downloads] == [[Sent, Lost]] * 3

    play(main)


def test_a_reader_who_leaves_within_a_download_is_no_failure(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        asset_id, headers = await committed(bed, act, b"x" * 2_000_000)
        client = bed.client("user", "upload")
        async with client.stream("GET", f"/assets/{asset_id}/download", headers=headers) as answer:
            async for _ in answer.aiter_raw():
                break
        await bed.clock.sleep(1)
        seen = act.seen(bed)
        (response,) = [one for one in seen.responses if one.operation_id == "downloadAsset"]
        assert seen.fates(response.id) == [Sent, Lost]
        assert seen.noted("failed") == []

    play(main, mode="off")


def test_an_acknowledgement_is_true_every_time_and_the_files_stay(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        asset_id, headers = await committed(bed, act, b"hello")
        upload = bed.client("phraseanet", "upload")
        path = f"/commits/{bed.upload.commits[0].id}/ack"
        for content in ({"json": {"acknowledged": True}}, {}, {"content": b"{not json"}, {"content": b"x" * 2_000_000}):
            answer = await upload.post(path, headers=headers, **content)
            assert (answer.status_code, answer.json()) == (200, True)
        assert bed.upload.commits[0].acknowledged
        assert (await upload.get(f"/assets/{asset_id}/download", headers=headers)).content == b"hello"

    async def none(bed: Testbed) -> None:
        headers = await act.bearer(bed, "administrator")
        answer = await bed.client("user", "upload").post("/commits/nothing/ack", headers=headers)
        assert (answer.status_code, answer.json()["detail"]) == (404, "Commit not found")

    play(main, mode="off")
    play(none, mode="off")


def test_a_listing_holds_the_commits_that_wait_oldest_first(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        client = await act.bearer(bed, "phraseanet")
        upload = bed.client("phraseanet", "upload")
        assert (await upload.get("/commits", headers=client)).json() == []
        bearer = await act.bearer(bed)
        for content in (b"one", b"two", b"three"):
            await bed.clock.sleep(1)
            ids = await act.assets(bed, bearer, content, content)
            await act.post_commit(bed, bearer, ids, formData={"title": content.decode(), "__x": 1})
        one, two, three = bed.upload.commits
        bed.upload.acknowledge(two)
        listed = (await upload.get("/commits", headers=client)).json()
        assert [item["id"] for item in listed] == [one.id, three.id]
        assert listed[0] == {
            "id": one.id,
            "userId": bed.accounts.publisher.id,
            "token": one.token,
            "formData": {"title": "one"},
            "totalSize": 6,
            "acknowledged": False,
            "createdAt": "2019-05-15T14:13:55+00:00",
            "locale": None,
            "assets": [asset.id for asset in one.assets],
            "hashes": {asset.id: hashlib.sha256(b"one").hexdigest() for asset in one.assets},
        }

    play(main, mode="off")
