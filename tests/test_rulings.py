"""What phrasim takes the request-flow document to mean where no test of one service alone shows it.

The rulings are told in docs/findings.md, each with what shows it; these are those that show in a whole hand-off.
"""

from typing import Any

import pytest

from phrasim.testbed import Testbed

UUID = "4c097077-a26b-4af4-9a5d-b13fd4c77b3d"
NOTIFICATION = {"assets": [UUID], "publisher": UUID, "token": "a token"}


@pytest.mark.parametrize(("slash", "status"), [("", 200), ("/", 404)])
def test_a_notification_goes_to_the_path_without_a_slash_and_nobody_is_redirected(
    play: Any, slash: str, status: int
) -> None:
    """A3."""

    async def main(bed: Testbed) -> int:
        phraseanet = bed.client("user", "phraseanet")
        return (await phraseanet.post(f"/api/v1/upload/enqueue{slash}", json=NOTIFICATION)).status_code

    assert play(main, mode="off") == status


@pytest.mark.parametrize(("slash", "status"), [("", 200), ("/", 404)])
def test_commits_are_listed_at_the_path_without_a_slash_and_nobody_is_redirected(
    play: Any, act: Any, slash: str, status: int
) -> None:
    """A13."""

    async def main(bed: Testbed) -> int:
        bearer = await act.bearer(bed, "phraseanet")
        return (await bed.client("phraseanet", "upload").get(f"/commits{slash}", headers=bearer)).status_code

    assert play(main, mode="off") == status


@pytest.mark.parametrize("mode", ["push", "pull"])
def test_auth_is_asked_for_the_publisher_once_for_a_commit_and_by_the_publishers_id(
    play: Any, act: Any, mode: str
) -> None:
    """A9: `id#0` is the id in element 0 of the message, and not that of asset #0."""

    async def main(bed: Testbed) -> None:
        ids = await act.hand_over(bed, b"one", b"two")
        (request,) = act.seen(bed).asked("getPublisherInfo")
        assert request.target == f"/users/info/{bed.accounts.publisher.id}"
        assert bed.accounts.publisher.id not in ids

    play(main, mode=mode)


@pytest.mark.parametrize("mode", ["push", "pull", "both"])
def test_an_upload_starts_no_hand_off_and_its_commit_does(play: Any, act: Any, mode: str) -> None:
    """A20: neither is Phraseanet notified of what is uploaded, nor does a poll list it."""

    async def main(bed: Testbed) -> None:
        bearer = await act.bearer(bed)
        ids = await act.assets(bed, bearer, b"one", b"two")
        await bed.clock.sleep(60)
        seen = act.seen(bed)
        assert seen.asked("enqueueAssets") == seen.publishes == []
        assert all(one.body.json == [] for one in seen.responses if one.operation_id == "listCommits")
        assert ("listCommits" in {one.operation_id for one in seen.requests}) == (mode != "push")
        await act.post_commit(bed, bearer, ids)
        await bed.clock.sleep(60)
        assert [record.asset_id for record in bed.phraseanet.records] == ids

    play(main, mode=mode)
