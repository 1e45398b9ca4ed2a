"""createRecord step by step (§4.6), and stories (§4.5)."""

from typing import Any

import pytest

from phrasim.edge.faults import Answer, CutBody, Delay, DropReply, Fault, Refuse

FORM = {"collection_destination": "1"}
STORY = FORM | {"is_story": "1", "phraseanet_submiter_email": "submitter@example.org"}
UUID = "6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e15"
XMP = b'<x:xmpmeta><rdf:Description exif:ImageUniqueID="%s"/></x:xmpmeta>' % UUID.encode()


def died(land: Any, act: Any) -> str:
    (note,) = act.seen(land).noted("worker died")
    reason: str = note["reason"]
    return reason


DOWNLOADS = [
    pytest.param(Answer(500), "was answered 500, not 200", id="500"),
    pytest.param(Answer(403), "was answered 403, not 200", id="403"),
    pytest.param(Answer(204), "was answered 204, not 200", id="204"),
    pytest.param(Refuse(), "ConnectError", id="refused"),
    pytest.param(DropReply(), "ReadTimeout", id="no answer"),
    pytest.param(CutBody(1), "RemoteProtocolError", id="cut"),
]


@pytest.mark.parametrize(("effect", "reason"), DOWNLOADS)
def test_a_download_that_fails_is_tried_three_times_and_reads_the_metadata_anew(
    play: Any, act: Any, effect: Any, reason: str
) -> None:
    """§4.6 step 3, H31: the signed URL is a new one each time. The row says finished and bears no time (H9)."""

    async def main(land: Any) -> None:
        told = await land.push(b"one", seconds=5 if not isinstance(effect, DropReply) else 35)
        (row,) = land.state.jobs.rows
        assert (row.status, row.finished, row.info) == ("finished", None, "attempt 1")
        await land.clock.sleep(200)
        assert (row.status, row.finished, row.info) == ("finished", None, "attempt 3")
        seen = act.seen(land)
        assert len(seen.asked("downloadFile")) == 3
        assert len(seen.asked("getAsset")) == 4
        assert reason in seen.noted("work failed")[0]["reason"]
        assert "signature" not in seen.noted("work failed")[0]["reason"]
        (failed,) = await land.lying_in("createRecord_failed")
        assert failed.body.startswith(b'{"asset":"%s"' % told["assets"][0].encode())
        again = [one for one in seen.publishes if one.routing_key == "createRecord_retry"]
        assert [one.properties["headers"]["x-death"][0]["count"] for one in again] == [2, 3, 4]
        assert [one.operation_id for one in again] == ["retryRecordMessage"] * 3
        assert seen.publishes[-1].operation_id == "giveUpRecordMessage"
        assert seen.asked("acknowledgeAsset") == []

    play(main, faults=(Fault("downloadFile", effect),))


@pytest.mark.parametrize("failures", [1, 2])
def test_a_download_that_succeeds_at_last_makes_one_record(play: Any, act: Any, failures: int) -> None:
    async def main(land: Any) -> None:
        await land.push(b"one")
        assert len(land.state.records) == 1
        (row,) = land.state.jobs.rows
        assert (row.status, row.info, row.finished is not None) == ("finished", f"attempt {failures}", True)
        assert land.upload.assets["asset-1-0"].acknowledged

    play(main, faults=(Fault("downloadFile", Answer(500), tuple(range(1, failures + 1))),))


@pytest.mark.parametrize("url", [None, 7, "relative/path", "https://nowhere.test/a", "https://x:y/", "http://x:99999/"])
def test_a_url_that_is_none_is_a_download_that_fails(play: Any, act: Any, url: Any) -> None:
    """An upload service of 2019 tells none (§6, pairs of eras)."""

    async def main(land: Any) -> None:
        await land.push(b"one", url=url)
        assert len(act.seen(land).noted("work failed")) == 3
        assert land.depth("createRecord_failed") == (1, 0)

    play(main)


def test_a_file_that_is_longer_than_its_metadata_tell_is_left_and_is_a_download_that_fails(play: Any, act: Any) -> None:
    """It might have no end; one that is shorter is not looked at, as nothing of §4.6 says that it is."""

    async def main(land: Any) -> None:
        await land.push(b"three", size=4)
        assert {note["reason"] for note in act.seen(land).noted("work failed")} == {
            "GET https://upload.test/files/asset-1-0 gave more than 4 bytes"
        }
        assert land.depth("createRecord_failed") == (1, 0)
        await land.push(b"three!", size=7)
        assert [record.size for record in land.state.records] == [6]

    play(main)


def test_a_file_that_comes_in_gzip_is_unpacked(play: Any, act: Any) -> None:
    """Guzzle does so, and a file in another coding is another file."""

    async def main(land: Any) -> None:
        land.upload.encoding = "gzip"
        await land.push(b"hello hello")
        assert [record.size for record in land.state.records] == [11]

    play(main)


def test_a_download_follows_redirects(play: Any, act: Any) -> None:
    async def main(land: Any) -> None:
        await land.push(b"one", url="https://upload.test/moved/asset-1-0")
        assert [record.size for record in land.state.records] == [3]

    play(main)


def test_a_row_that_is_not_there_kills_the_worker(play: Any, act: Any) -> None:
    """§4.6 step 2: it was read the metadata before, and has downloaded nothing."""

    async def main(land: Any) -> None:
        told = land.upload.commit(b"one")
        payload = {name: told[name] for name in ("publisher", "base_url", "commit_id")}
        payload |= {"asset": "asset-1-0", "assetToken": told["token"], "storyId": None, "verify_ssl": True}
        await land.put("createRecord", {"message_type": "createRecord", "payload": payload | {"published": 1}})
        await land.clock.sleep(60)
        assert "has no job row that is not finished" in died(land, act)
        assert act.seen(land).asked("downloadFile") == []

    play(main)


@pytest.mark.parametrize("form", [{}, {"collection_destination": None}, None, []], ids=str)
def test_without_a_collection_the_work_stops_silently_and_nothing_is_acknowledged(
    play: Any, act: Any, form: Any
) -> None:
    """H4."""

    async def main(land: Any) -> None:
        told = land.upload.commit(b"one")
        land.upload.assets["asset-1-0"].form = form
        await land.tell(told)
        await land.clock.sleep(60)
        assert act.seen(land).noted("no collection_destination") == [{"asset": "asset-1-0"}]
        assert act.seen(land).noted("worker died") == []
        assert act.seen(land).asked("acknowledgeAsset") == []
        assert [row.status for row in land.state.jobs.rows] == ["running"]

    play(main)


@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"collection_destination": "99"}, "there is no collection '99'; there are 1, 2, 3"),
        ({"collection_destination": ""}, "there is no collection ''"),
        (FORM | {"metadata-Nothing": "x"}, "the databox has no field 'Nothing'"),
        (FORM | {"metadata": "x"}, "the databox has no field ''"),
        (FORM | {"my-metadata-Title": "x"}, "the databox has no field 'metadata'"),
    ],
)
def test_an_unknown_collection_or_field_kills_the_worker(play: Any, act: Any, form: Any, reason: str) -> None:
    """§4.6 steps 5 and 6."""

    async def main(land: Any) -> None:
        await land.push(b"one", form=form)
        assert reason in died(land, act)
        assert land.state.records == ()
        assert [row.status for row in land.state.jobs.rows] == ["running"]

    play(main)


def test_metadata_and_status_bits_come_of_the_form_data(play: Any) -> None:
    """§4.6 step 6: one value or a list; a truthy bit, as PHP has it."""
    form = FORM | {
        "metadata-Title": "A title",
        "metadata-Keywords": ["one", "two"],
        "statusbit-4": "1",
        "statusbit-5": "0",
        "statusbit-6": True,
        "statusbit-31": "false",
        "statusbit-32": "1",
        "statusbit-x": "1",
        "statusbit": "1",
        "title": "of the form only",
    }

    async def main(land: Any) -> None:
        await land.push(b"one", form=form)
        (record,) = land.state.records
        assert record.metadata == {"Title": ["A title"], "Keywords": ["one", "two"]}
        assert record.status == 1 << 4 | 1 << 6 | 1 << 31
        assert record.form_data == form

    play(main)


@pytest.mark.parametrize(
    ("form", "submitter"),
    [
        ({"phraseanet_submiter_email": "submitter@example.org"}, "submitter@example.org"),
        ({"phraseanet_user_submiter_id": "8"}, "reader@example.org"),
        ({"phraseanet_user_submiter_id": 8}, "reader@example.org"),
        ({"phraseanet_submiter_email": "x@y.z", "phraseanet_user_submiter_id": 8}, "reader@example.org"),
        (
            {"phraseanet_submiter_email": "submitter@example.org", "phraseanet_user_submiter_id": 8},
            "submitter@example.org",
        ),
        ({"phraseanet_submiter_email": "nobody@example.org"}, None),
        ({}, None),
    ],
    ids=str,
)
def test_the_submitter_is_found_by_email_and_else_by_id_and_may_be_nobody(
    play: Any, form: dict[str, Any], submitter: str | None
) -> None:
    """§4.6 step 4."""

    async def main(land: Any) -> None:
        await land.push(b"one", form=FORM | form)
        assert [record.submitter for record in land.state.records] == [submitter]

    play(main)


@pytest.mark.parametrize(
    ("second", "reasons"),
    [(b"one" + XMP, ("sha256", "uuid")), (b"another" + XMP, ("uuid",)), (b"another", None)],
)
def test_the_same_bytes_and_the_same_uuid_are_quarantined_which_is_a_success(
    play: Any, act: Any, second: bytes, reasons: Any
) -> None:
    """§4.6 step 7: the asset is acknowledged and its row finished all the same."""

    async def main(land: Any) -> None:
        await land.push(b"one" + XMP)
        assert land.state.records[0].uuid == UUID
        await land.push(second)
        assert [kept.reasons for kept in land.state.quarantine] == ([] if reasons is None else [reasons])
        assert len(land.state.records) == (2 if reasons is None else 1)
        assert all(asset.acknowledged for asset in land.upload.assets.values())
        assert {row.status for row in land.state.jobs.rows} == {"finished"}
        assert act.seen(land).answered("acknowledgeAsset") == [200, 200]

    play(main)


def test_the_same_bytes_in_another_databox_are_another_record(play: Any) -> None:
    async def main(land: Any) -> None:
        await land.push(b"one")
        await land.push(b"one", form={"collection_destination": 3})
        await land.push(b"one", form={"collection_destination": 2})
        assert [record.databox_id for record in land.state.records] == [1, 2]
        assert [kept.base_id for kept in land.state.quarantine] == [2]

    play(main)


@pytest.mark.parametrize("effect", [Answer(500), Answer(404), Refuse(), DropReply()], ids=repr)
def test_an_acknowledgement_that_fails_kills_the_worker_when_the_record_exists(
    play: Any, act: Any, effect: Any
) -> None:
    """§4.6 step 9, H6."""

    async def main(land: Any) -> None:
        await land.push(b"one")
        assert "acknowledging asset asset-1-0: POST" in died(land, act)
        assert len(land.state.records) == 1
        assert [row.status for row in land.state.jobs.rows] == ["running"]

    play(main, faults=(Fault("acknowledgeAsset", effect),))


def test_a_story_is_made_of_a_commit_and_its_first_child_gives_it_its_metadata(play: Any) -> None:
    """§4.5 step 3, §4.6 step 8."""

    async def main(land: Any) -> None:
        form = STORY | {"metadata-Title": "A story"}
        await land.push(b"one", b"two", form=form)
        (story,) = land.state.stories
        assert (story.story_id, story.base_id, story.owner) == (1, 1, "submitter@example.org")
        assert [record.record_id for record in land.state.records] == story.children == [2, 3]
        assert story.metadata == {"Title": ["A story"]}
        assert all(asset.acknowledged for asset in land.upload.assets.values())

    play(main)


@pytest.mark.parametrize(
    "form",
    [
        STORY | {"is_story": "0"},
        STORY | {"is_story": ""},
        FORM | {"is_story": "1"},
        STORY | {"phraseanet_submiter_email": "nobody@example.org"},
    ],
    ids=["0", "empty", "no user", "unknown user"],
)
def test_no_story_is_made_unless_it_is_asked_for_and_a_user_is_found(play: Any, act: Any, form: Any) -> None:
    async def main(land: Any) -> None:
        await land.push(b"one", form=form)
        assert land.state.stories == ()
        assert len(land.state.records) == 1

    play(main)


def test_a_story_without_a_collection_kills_the_ingest(play: Any, act: Any) -> None:
    async def main(land: Any) -> None:
        form = {name: value for name, value in STORY.items() if name != "collection_destination"}
        await land.push(b"one", form=form)
        assert "there is no collection None" in died(land, act)
        assert act.seen(land).asked("downloadFile") == []

    play(main)


def test_a_user_who_may_not_modify_the_story_kills_the_worker_when_the_record_exists(play: Any, act: Any) -> None:
    """§4.6 step 8."""

    async def main(land: Any) -> None:
        await land.push(b"one", form=STORY | {"phraseanet_submiter_email": "reader@example.org"})
        assert "reader@example.org may not add to story 1 of collection 1" in died(land, act)
        assert len(land.state.records) == 1
        assert act.seen(land).asked("acknowledgeAsset") == []

    play(main)


def test_a_story_of_another_databox_takes_no_child(play: Any, act: Any) -> None:
    async def main(land: Any) -> None:
        told = await land.push(b"one", seconds=0.5, form=STORY)
        land.upload.assets[told["assets"][0]].form = STORY | {"collection_destination": "3"}
        await land.clock.sleep(10)
        assert "databox 2 has no story 1" in died(land, act)

    play(main, faults=(Fault("getAsset", Delay(1), (2,)),))


def test_a_quarantined_file_is_no_child_of_its_story(play: Any) -> None:
    async def main(land: Any) -> None:
        await land.push(b"one")
        await land.push(b"one", form=STORY)
        (story,) = land.state.stories
        assert story.children == []

    play(main)


@pytest.mark.parametrize("base_url", ["nowhere", "", "https://x:y", "https://xn--a.test", "https://nowhere.test"])
def test_an_address_that_leads_nowhere_is_an_ingest_that_fails(play: Any, act: Any, base_url: str) -> None:
    async def main(land: Any) -> None:
        land.upload.base_url = base_url
        await land.push(b"one")
        assert len(act.seen(land).noted("work failed")) == 3
        assert land.depth("assetsIngest_failed") == (1, 0)

    play(main)


@pytest.mark.parametrize("token", ["wrong", "\u00e9", "a\nb"])
def test_a_token_that_opens_nothing_is_an_ingest_that_fails(play: Any, act: Any, token: str) -> None:
    async def main(land: Any) -> None:
        await land.tell(land.upload.commit(b"one") | {"token": token})
        await land.clock.sleep(100)
        assert len(act.seen(land).noted("work failed")) == 3

    play(main)


@pytest.mark.parametrize("metadata", [b"{", b"[1]", b"null"], ids=ascii)
def test_metadata_that_are_no_object_are_empty_ones(play: Any, act: Any, metadata: bytes) -> None:
    """The ingest goes on without a story, and the download has no url."""

    async def main(land: Any) -> None:
        land.upload.commit(b"one")
        land.upload.metadata = metadata
        await land.tell(land.upload.commit(b"two"))
        await land.clock.sleep(100)
        assert [note["work"] for note in act.seen(land).noted("work failed")] == ["createRecord"] * 3
        assert "the metadata give no url, but None" in act.seen(land).noted("work failed")[0]["reason"]

    play(main)


def test_an_asset_that_is_no_text_leaves_all_without_rows_and_kills_the_ingest(play: Any, act: Any) -> None:
    """§4.5 steps 1 and 4, H32: the first message is out by then, and its work dies for want of a row."""

    async def main(land: Any) -> None:
        told = land.upload.commit(b"one")
        await land.tell(told | {"assets": [*told["assets"], {"id": "x"}]})
        await land.clock.sleep(100)
        reasons = [note["reason"] for note in act.seen(land).noted("worker died")]
        assert sorted(reason.rpartition("has ")[2] for reason in reasons) == [
            "no job row",
            "no job row that is not finished",
        ]
        assert land.state.jobs.rows == ()

    play(main)
