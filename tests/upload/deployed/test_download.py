"""The `url` of an asset (§2.4, H31), and that `/assets/{id}/download` is gone."""

from typing import Any

import pytest

from phrasim.upload.deployed.state import Commit


async def url_of(upload: Any, commit: Commit) -> str:
    """A fresh URL, as a consumer reads it."""
    (asset_id,) = commit.assets
    answer = await upload.get(f"/assets/{asset_id}", f"AssetToken {commit.token}")
    found = answer.json()["url"]
    assert isinstance(found, str)
    return found


@pytest.mark.parametrize("size", [1, 256 * 1024, 256 * 1024 + 1, 1_000_000])
def test_the_url_opens_the_file_without_a_header(play_upload: Any, size: int) -> None:
    content = (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(251)) * 4000)[:size]

    async def main(upload: Any) -> None:
        url = await url_of(upload, await upload.committed(content))
        assert url.startswith("https://upload.test/")
        answer = await upload.client.get(url)
        assert (answer.status_code, answer.content) == (200, content)
        assert dict(answer.headers) == {
            "content-type": upload.state.assets[0].file.mime_type,
            "content-length": str(size),
            "content-disposition": 'attachment; filename="test.png"',
        }

    play_upload(main)


def test_a_head_of_the_url_has_the_headers_and_no_byte(play_upload: Any) -> None:
    async def main(upload: Any) -> None:
        answer = await upload.client.head(await url_of(upload, await upload.committed(b"hello")))
        assert (answer.status_code, answer.content, answer.headers["content-length"]) == (200, b"", "5")

    play_upload(main)


def test_the_url_is_good_for_3600_seconds_and_another_one_is_given_for_the_asking(play_upload: Any) -> None:
    """§2.4, H31: metadata that is read again has a URL that works."""

    async def main(upload: Any) -> None:
        commit = await upload.committed(b"hello")
        await upload.clock.sleep(1 - upload.clock.now_ns() / 1e9)
        url = await url_of(upload, commit)
        statuses = []
        for seconds in (3599.999, 0.001, 1000):
            await upload.clock.sleep(seconds)
            statuses.append((await upload.client.get(url)).status_code)
        assert statuses == [200, 403, 403]
        assert "Request has expired" in (await upload.client.get(url)).text
        assert (await upload.client.get(await url_of(upload, commit))).status_code == 200

    play_upload(main)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("signature=", "signature=0"),
        ("signature=", "sign="),
        ("expires=1557", "expires=2557"),
        ("expires=", "expires=x"),
        ("?", "?x="),
    ],
)
def test_a_url_that_was_not_given_out_is_403(play_upload: Any, old: str, new: str) -> None:
    async def main(upload: Any) -> None:
        url = await url_of(upload, await upload.committed(b"hello"))
        answer = await upload.client.get(url.replace(old, new), headers=upload.as_("admin"))
        assert (answer.status_code, answer.headers["content-type"]) == (403, "application/xml")
        assert "<Code>SignatureDoesNotMatch</Code>" in answer.text

    play_upload(main)


def test_a_signature_is_good_for_its_own_file_only(play_upload: Any) -> None:
    async def main(upload: Any) -> None:
        one, two = await upload.committed(b"one"), await upload.committed(b"two")
        url = await url_of(upload, one)
        assert (await upload.client.get(url.replace(*one.assets, *two.assets))).status_code == 403

    play_upload(main)


def test_a_deleted_file_is_404_and_its_metadata_stays(play_upload: Any) -> None:
    """§2.4, §2.7: without a grace time files go at the acknowledgement, and rows stay."""

    async def main(upload: Any) -> None:
        commit = await upload.committed(b"hello")
        url = await url_of(upload, commit)
        await upload.post(f"/commits/{commit.id}/ack", f"AssetToken {commit.token}")
        await upload.settle()
        for ask in (upload.client.get, upload.client.head):
            assert (await ask(url)).status_code == 404
        assert (await upload.client.get(await url_of(upload, commit))).status_code == 404

    play_upload(main)


def test_there_is_no_download_below_the_asset(play_upload: Any) -> None:
    """§2.1: the route is gone, for everybody."""

    async def main(upload: Any) -> None:
        commit = await upload.committed(b"hello")
        (asset_id,) = commit.assets
        answer = await upload.get(f"/assets/{asset_id}/download", f"AssetToken {commit.token}")
        said = f'No route found for "GET https://upload.test/assets/{asset_id}/download"'
        assert (answer.status_code, answer.json()["detail"]) == (404, said)

    play_upload(main)
