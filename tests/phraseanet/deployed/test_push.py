"""The whole way of a commit in push mode, and what each message of it looks like (§4.2 to §4.6)."""

import hashlib
from typing import Any

from phrasim.phraseanet.deployed.state import Record


def test_a_pushed_commit_becomes_records_and_each_asset_is_acknowledged_after_its_record(play: Any, act: Any) -> None:
    """§4.5, §4.6: metadata of asset 0 at ingest, then for each asset metadata, file, record, acknowledgement."""

    async def main(land: Any) -> None:
        told = await land.push(b"one", b"two")
        asked = [
            (request.operation_id, request.target.partition("?")[0])
            for request in act.seen(land).requests
            if request.sender == "phraseanet"
        ]
        of_each = [
            [
                ("getAsset", f"/assets/{asset}"),
                ("downloadFile", f"/files/{asset}"),
                ("acknowledgeAsset", f"/assets/{asset}/ack"),
            ]
            for asset in told["assets"]
        ]
        assert asked == [("getAsset", f"/assets/{told['assets'][0]}"), *of_each[0], *of_each[1]]
        assert all(asset.acknowledged for asset in land.upload.assets.values())
        first = land.state.records[0]
        assert first == Record(
            record_id=1,
            databox_id=1,
            base_id=1,
            uuid=first.uuid,
            asset_id=told["assets"][0],
            commit_id=told["commit_id"],
            publisher=told["publisher"],
            original_name="asset-1-0.bin",
            mime_type="application/octet-stream",
            form_data={"collection_destination": "1"},
            metadata={},
            status=0,
            submitter=None,
            size=3,
            sha256=hashlib.sha256(b"one").hexdigest(),
        )
        assert [record.sha256 for record in land.state.records[1:]] == [hashlib.sha256(b"two").hexdigest()]
        assert [(row.status, row.work, row.work_on) for row in land.state.jobs.rows] == [
            ("finished", "assetsIngest", "uploader push")
        ] * 2
        assert all(row.finished is not None for row in land.state.jobs.rows)

    play(main)


def test_only_the_assettoken_is_shown_and_none_for_the_signed_url(play: Any, act: Any) -> None:
    """§4.6 steps 1, 3 and 9; the body of the acknowledgement is `{"acknowledged": true}`."""

    async def main(land: Any) -> None:
        told = await land.push(b"one")
        seen = act.seen(land)
        shown = {one.operation_id: dict(one.headers).get("authorization") for one in seen.requests[1:]}
        token = f"AssetToken {told['token']}"
        assert shown == {"getAsset": token, "downloadFile": None, "acknowledgeAsset": token}
        assert seen.asked("acknowledgeAsset")[0].body.json == {"acknowledged": True}

    play(main)


def test_the_messages_of_a_pushed_commit(play: Any, act: Any) -> None:
    """§4.2: the enqueue body verbatim with `type` and `published`; then one message for each asset."""

    async def main(land: Any) -> None:
        await land.clock.sleep(4.7)
        told = land.upload.commit(b"one") | {"extra": {"kept": [1, None]}}
        assert (await land.tell(told)).json()["response"] == {"data": told}
        await land.clock.sleep(1)
        ingest, create = act.seen(land).publishes
        stamp = 1557929634 + 4
        (request,) = act.seen(land).asked("enqueueAssets")
        deliveries = [one.id for one in act.seen(land).messages if one.operation_id == "consumeMessage"]
        assert [ingest.cause, create.cause] == [request.id, *deliveries]
        assert (ingest.exchange, ingest.routing_key, ingest.operation_id) == (
            "alchemy-exchange",
            "assetsIngest",
            "produceMessage",
        )
        assert ingest.body.json == {
            "message_type": "assetsIngest",
            "payload": told | {"type": "uploader push", "published": stamp},
        }
        assert create.body.json == {
            "message_type": "createRecord",
            "payload": {
                "asset": told["assets"][0],
                "publisher": told["publisher"],
                "assetToken": told["token"],
                "storyId": None,
                "base_url": "https://upload.test",
                "commit_id": told["commit_id"],
                "verify_ssl": True,
                "published": stamp,
            },
        }
        for publish in (ingest, create):
            assert publish.properties["delivery-mode"] == 2
            assert publish.properties["content-type"] == "application/json"
        (row,) = land.state.jobs.rows
        assert row.payload == {
            "message_type": "createRecord",
            "payload": {key: value for key, value in create.body.json["payload"].items() if key != "published"},
        }
        assert row.published == stamp

    play(main)


def test_a_repeated_notification_ingests_the_commit_again_and_its_files_are_quarantined(play: Any) -> None:
    """H7: push knows no repeat. H6: the same bytes do not become a second record."""

    async def main(land: Any) -> None:
        told = await land.push(b"one")
        await land.tell(told)
        await land.clock.sleep(10)
        assert len(land.state.records) == 1
        (kept,) = land.state.quarantine
        assert (kept.asset_id, kept.reasons) == (told["assets"][0], ("sha256",))
        assert len(land.state.jobs.rows) == 2

    play(main)


def test_a_base_url_with_a_path_loses_what_follows_its_last_slash(play: Any, act: Any) -> None:
    """H29: `assets/x` is resolved as a relative reference."""

    async def main(land: Any) -> None:
        for base_url in ("https://upload.test/api", "https://upload.test/api/"):
            land.upload.base_url = base_url
            await land.push(b"one", seconds=1)
        targets = [one.target for one in act.seen(land).requests if one.sender == "phraseanet"]
        assert targets[0] == "/assets/asset-1-0"
        assert targets[-1] == "/api/assets/asset-2-0"

    play(main)
