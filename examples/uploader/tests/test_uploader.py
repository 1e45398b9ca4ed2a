"""The uploader against the simulated services: in this process, without sockets, on simulated time."""

from pathlib import Path

import pytest

from uploader import AsyncUploader, Uploader, UploadError, UploadRefused


@pytest.fixture
def uploader(phrasim_landscape, phrasim_router):
    """An uploader that pauses in simulated time: its ten seconds between two attempts take none of ours."""
    made = Uploader(phrasim_landscape.upload.url, phrasim_landscape.publisher.token, sleep=phrasim_landscape.wait)
    yield made
    made.close()


def test_two_files_are_handed_over_as_the_document_says(phrasim_landscape, uploader, files):
    ids = uploader.hand_over(files, {"title": "Premiere"})
    phrasim_landscape.wait_for("acknowledgeCommit")

    records = phrasim_landscape.records
    assert [record.asset_id for record in records] == ids
    assert [record.original_name for record in records] == ["poster.png", "press.txt"]
    assert [record.form_data for record in records] == [{"title": "Premiere"}] * 2
    (verdict,) = phrasim_landscape.conforms("Push mode")
    assert [arrow.mark for arrow in verdict.arrows] == ["walked"] * 12


@pytest.mark.phrasim(mode="pull", poll_interval=3600)
def test_phraseanet_finds_the_commit_when_it_polls_within_the_hour(phrasim_landscape, uploader, files):
    uploader.hand_over(files, {})
    assert phrasim_landscape.records == ()

    phrasim_landscape.wait(3600)
    assert len(phrasim_landscape.records) == 2
    phrasim_landscape.conforms("Pull mode")


def test_an_upload_that_is_answered_with_503_is_sent_again(phrasim_landscape, uploader, files):
    phrasim_landscape.fault("uploadAsset", answer={"status": 503}, occurrences=[1, 2])
    uploader.hand_over(files, {})

    assert phrasim_landscape.now == 20
    assert len(phrasim_landscape.assets) == 2
    phrasim_landscape.wait_for("acknowledgeCommit")
    phrasim_landscape.conforms()


def test_a_connection_that_is_refused_three_times_is_given_up(phrasim_landscape, uploader, files):
    phrasim_landscape.fault("uploadAsset", refuse=True)
    with pytest.raises(UploadError, match="gave up after 3 attempts"):
        uploader.hand_over(files, {})
    assert phrasim_landscape.assets == ()


def test_an_answer_that_never_comes_is_waited_for_no_longer_than_the_time_out(phrasim_landscape, uploader, files):
    phrasim_landscape.fault("commitAssets", dropReply=True, occurrences=[1])
    with pytest.raises(UploadRefused, match="already committed"):
        uploader.hand_over(files, {})
    assert phrasim_landscape.now == 15  # httpx's 5 s, then a pause of 10 s: the second attempt is refused


def test_a_wrong_token_is_refused_and_not_tried_again(phrasim_landscape, phrasim_router, files):
    uploader = Uploader(phrasim_landscape.upload.url, "a-token-of-nobody")
    with pytest.raises(UploadRefused, match="401"):
        uploader.hand_over(files, {})
    assert phrasim_router["upload"].call_count == 1


def test_the_async_uploader_hands_over_side_by_side(phrasim_landscape, phrasim_router, files):
    phrasim_landscape.fault("uploadAsset", delay="4 s")

    async def hand_over(paths: list[Path]) -> None:
        uploader = AsyncUploader(phrasim_landscape.upload.url, phrasim_landscape.publisher.token)
        await uploader.hand_over(paths, {})
        await uploader.close()

    phrasim_landscape.run(hand_over(files))
    assert phrasim_landscape.now == 4
    phrasim_landscape.wait_for("acknowledgeCommit")
    phrasim_landscape.conforms()
