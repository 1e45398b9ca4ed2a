"""The puller in Phraseanet's place: phrasim plays the upload service and Auth, and leaves Phraseanet to it."""

import pytest

from uploader import Puller, PullError, Uploader

pytestmark = pytest.mark.phrasim(plays="phraseanet")


@pytest.fixture
def puller(phrasim_landscape, phrasim_router, tmp_path):
    """A puller that is known to Auth as Phraseanet's client."""
    auth, upload = phrasim_landscape.auth, phrasim_landscape.upload
    made = Puller(upload.url, auth.url, phrasim_landscape.client.token, tmp_path / "pulled")
    yield made
    made.close()


def test_what_a_user_hands_over_is_pulled_as_the_document_says(phrasim_landscape, puller, files):
    user = Uploader(phrasim_landscape.upload.url, phrasim_landscape.publisher.token)
    user.hand_over(files, {})
    user.close()
    puller.pull()

    assert [commit.acknowledged for commit in phrasim_landscape.commits] == [True]
    (verdict,) = phrasim_landscape.conforms("Pull mode")
    marks = [arrow.mark for arrow in verdict.arrows]
    assert (marks.count("walked"), marks.count("unobserved")) == (10, 2)  # nobody sees the puller's own queue


def test_a_pulled_file_has_the_bytes_that_were_uploaded(phrasim_landscape, puller, tmp_path):
    commit = phrasim_landscape.add_commit({"notes.txt": b"Some notes.\n"})
    assert puller.pull() == [commit.id]

    folder = tmp_path / "pulled" / commit.id
    assert (folder / commit.assets[0].id).read_bytes() == b"Some notes.\n"
    assert (folder / "publisher.txt").read_text() == phrasim_landscape.publisher.email


def test_a_download_that_breaks_off_leaves_the_commit_for_the_next_pull(phrasim_landscape, puller):
    commit = phrasim_landscape.add_commit({"large.bin": bytes(1_000_000)})
    phrasim_landscape.fault("downloadAsset", cutBody={"after": "64 KiB"}, occurrences=[1])

    with pytest.raises(PullError, match="peer closed connection"):
        puller.pull()
    assert not commit.acknowledged
    assert puller.pull() == [commit.id]
    assert commit.acknowledged
