"""Acknowledgements (§2.4), what is deleted after them and when (§2.7, H20), and retention by age (H19)."""

from dataclasses import replace
from typing import Any

import pytest

from phrasim.upload.deployed.state import Commit
from phrasim.upload.deployed.target import Target

PRESS = Target(id="6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e15", slug="press", name="Press pictures")


async def acknowledge(upload: Any, commit: Commit) -> None:
    answer = await upload.post(f"/commits/{commit.id}/ack", f"AssetToken {commit.token}")
    assert (answer.status_code, answer.json(), answer.headers["content-type"]) == (200, True, "application/json")
    await upload.settle()


def files(upload: Any) -> int:
    left: int = upload.storage.left()
    assert (left > 0) == any(upload.storage.folder.iterdir())
    return left


def test_the_effects_of_an_acknowledgement_follow_its_answer(play_upload: Any) -> None:
    """§2.4."""

    async def main(upload: Any) -> None:
        commit = await upload.committed(b"one", b"two")
        answer = await upload.post(f"/commits/{commit.id}/ack", f"AssetToken {commit.token}")
        assert answer.json() is True
        assert (commit.acknowledged, files(upload)) == (False, 2)
        await upload.settle()
        assert (commit.acknowledged, commit.acknowledged_at) == (True, upload.clock.epoch.replace(microsecond=1000))
        assert [asset.acknowledged for asset in commit.assets.values()] == [True, True]
        assert files(upload) == 0

    play_upload(main, hold=True)


@pytest.mark.parametrize("body", [b"", b"{", b'{"acknowledged": false}'])
def test_the_body_is_ignored(play_upload: Any, body: bytes) -> None:
    """§2.4."""

    async def main(upload: Any) -> None:
        commit = await upload.committed()
        await upload.client.post(f"/commits/{commit.id}/ack", headers=upload.as_("admin"), content=body)
        await upload.settle()
        assert commit.acknowledged

    play_upload(main)


def test_a_commit_that_is_acknowledged_again_changes_nothing(play_upload: Any) -> None:
    """§2.4: `true` all the same; nothing more is queued or told."""

    async def main(upload: Any) -> None:
        commit = await upload.committed(b"one", notify=True)
        # Both are accepted before the first takes effect: the second is found out when its turn comes.
        for _ in range(2):
            await upload.post(f"/commits/{commit.id}/ack", "admin")
        assert len(upload.held) == 2
        await upload.settle()
        at = commit.acknowledged_at
        await upload.clock.sleep(10)
        await upload.post(f"/commits/{commit.id}/ack", "admin")
        assert upload.held == []
        assert commit.acknowledged_at == at
        notification = {"notification": "uploader-commit-acknowledged", "assetCount": 1}
        assert upload.notes == [("user notified", {"user": commit.user_id, **notification})]

    play_upload(main, hold=True)


def test_nobody_is_notified_who_did_not_ask(play_upload: Any) -> None:
    """§2.4."""

    async def main(upload: Any) -> None:
        await acknowledge(upload, await upload.committed())
        assert upload.notes == []

    play_upload(main)


def test_the_last_asset_acknowledges_the_commit(play_upload: Any) -> None:
    """§2.4: each asset once, in any order; until the last one every file stays."""

    async def main(upload: Any) -> None:
        commit = await upload.committed(b"one", b"two", b"three")
        one, two, three = commit.assets
        for asset_id, acknowledged, left in ((two, 1, 3), (two, 1, 3), (three, 2, 3), (one, 3, 0), (one, 3, 0)):
            answer = await upload.post(f"/assets/{asset_id}/ack", f"AssetToken {commit.token}")
            assert (answer.status_code, answer.json()) == (200, True)
            await upload.settle()
            flags = [asset.acknowledged for asset in commit.assets.values()]
            assert (sum(flags), commit.acknowledged, files(upload)) == (acknowledged, acknowledged == 3, left)
            shown = (await upload.get(f"/assets/{asset_id}", "admin")).json()
            assert shown["acknowledged"] is True

    play_upload(main)


def test_the_last_two_assets_at_one_moment_still_acknowledge_the_commit(play_upload: Any) -> None:
    """H15 is not imitated."""

    async def main(upload: Any) -> None:
        commit = await upload.committed(b"one", b"two")
        for asset_id in commit.assets:
            await upload.post(f"/assets/{asset_id}/ack", "admin")
        await upload.settle()
        assert commit.acknowledged

    play_upload(main, hold=True)


def test_a_commit_that_lost_an_asset_needs_only_those_that_are_left(play_upload: Any) -> None:
    """H18."""

    async def main(upload: Any) -> None:
        commit = await upload.committed(b"one", b"two")
        one, two = commit.assets
        await upload.post_commit([one])
        await upload.settle()
        await upload.post(f"/assets/{two}/ack", f"AssetToken {commit.token}")
        await upload.settle()
        assert [made.acknowledged for made in upload.state.commits] == [True, False]

    play_upload(main)


def test_with_a_grace_time_a_later_acknowledgement_sweeps(play_upload: Any) -> None:
    """§2.7, H20: files, assets and commits go, and the last ones linger."""

    async def main(upload: Any) -> None:
        one, two, three = [await upload.committed(content) for content in (b"1", b"2", b"3")]
        await acknowledge(upload, one)
        await upload.clock.sleep(29.9)
        await acknowledge(upload, two)
        assert (files(upload), len(upload.state.commits), len(upload.state.assets)) == (3, 3, 3)
        await upload.clock.sleep(0.2)
        await acknowledge(upload, three)
        assert (files(upload), upload.state.commits) == (2, (two, three))
        (asset_id,) = one.assets
        assert (await upload.get(f"/assets/{asset_id}", f"AssetToken {one.token}")).status_code == 404
        assert (await upload.get(f"/commits/{one.id}", "admin")).status_code == 404
        url = upload.urls.url(asset_id)
        assert (await upload.client.get(url)).status_code == 404
        await upload.clock.sleep(1000)
        await acknowledge(upload, two)
        assert files(upload) == 2

    play_upload(main, grace=30)


def test_retention_removes_every_asset_by_age(play_upload: Any) -> None:
    """§2.7, H19: committed or not, acknowledged or not; a commit stays, without them."""

    async def main(upload: Any) -> None:
        await upload.assets(b"fresh")
        commit = await upload.committed(b"waiting")
        await upload.clock.sleep(30 * 86400)
        await upload.assets(b"younger")
        upload.work.remove_old_assets()
        await upload.settle()
        assert files(upload) == 3
        await upload.clock.sleep(86400)
        upload.work.remove_old_assets()
        await upload.settle()
        assert (files(upload), len(upload.state.assets)) == (1, 1)
        assert (upload.state.commits, commit.assets) == ((commit,), {})
        upload.work.remove_old_assets(days=0)
        await upload.settle()
        assert files(upload) == 0

    play_upload(main, targets=(replace(PRESS, key="avoid"),))
