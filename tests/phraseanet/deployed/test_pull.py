"""Pull mode (§4.4): the loop, the request, the token, and what is taken of a listing."""

from dataclasses import replace
from typing import Any

import pytest

from phrasim.edge.faults import Answer, Delay, Fault, Refuse
from phrasim.phraseanet.deployed.queues import QueueSettings
from phrasim.phraseanet.deployed.state import PullTarget

TARGET = PullTarget("press", "https://upload.test/commits?target=press", "phraseanet", "secret")
SLOW = {"pullAssets": QueueSettings(ttl_retry_ms=600_000)}
OTHER = replace(TARGET, name="archive", pullmode_uri="https://upload.test/commits?target=archive")


def lists(land: Any, act: Any) -> list[Any]:
    return [one for one in act.seen(land).asked("listCommits") if one.sender == "phraseanet"]


def ingested(land: Any, act: Any) -> list[Any]:
    return [one.body.json for one in act.seen(land).publishes if one.routing_key == "assetsIngest"]


def test_a_pulled_commit_becomes_records_and_is_acknowledged(play: Any, act: Any) -> None:
    async def main(land: Any) -> None:
        land.upload.commit(b"one", b"two")
        await land.pull.start()
        await land.clock.sleep(100)
        assert [record.size for record in land.state.records] == [3, 3]
        assert all(asset.acknowledged for asset in land.upload.assets.values())
        assert ingested(land, act) == [
            {
                "message_type": "assetsIngest",
                "payload": {
                    "assets": ["asset-1-0", "asset-1-1"],
                    "publisher": "d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856",
                    "commit_id": "commit-1",
                    "token": "f87a1c3e5b7d9f0214365870a9cbed0f214700b7cd",
                    "base_url": "https://upload.test",
                    "type": "uploader pull",
                    "verify_ssl": True,
                    "published": 1557929634,
                },
            }
        ]
        assert [row.work_on for row in land.state.jobs.rows] == ["uploader pull"] * 2

    play(main, targets=(TARGET,))


def test_the_request_is_the_target_s_uri_with_a_filter_a_bearer_and_no_accept(play: Any, act: Any) -> None:
    async def main(land: Any) -> None:
        await land.pull.start()
        await land.clock.sleep(1)
        (request,) = lists(land, act)
        assert request.target == "/commits?target=press&acknowledged=false"
        headers = dict(request.headers)
        assert headers["authorization"] == "Bearer bearer-1"
        assert "accept" not in headers
        (token,) = act.seen(land).asked("issueClientToken")
        assert (token.target, dict(token.headers)["content-type"]) == ("/oauth/v2/token", "application/json")
        assert land.upload.token_requests == [
            {
                "client_id": "phraseanet",
                "client_secret": "secret",
                "grant_type": "client_credentials",
                "scope": "commit:list",
            }
        ]

    play(main, targets=(TARGET,))


def test_the_message_goes_round_at_the_interval_of_the_loop_however_often(play: Any, act: Any) -> None:
    """§4.1: pullAssets has no limit; each round is a rejection that the loop queue gives back."""

    async def main(land: Any) -> None:
        await land.pull.start()
        await land.clock.sleep(31)
        assert act.seen(land).seconds("listCommits") == [0, 5, 10, 15, 20, 25, 30]
        assert (land.depth("pullAssets"), land.depth("pullAssets_loop")) == ((0, 0), (1, 0))
        (seed,) = [one for one in act.seen(land).publishes if one.routing_key == "pullAssets"]
        assert seed.body.json == {
            "message_type": "pullAssets",
            "payload": {
                "initTimestamp": {"date": "2019-05-15 14:13:54.000000", "timezone_type": 3, "timezone": "UTC"},
                "published": 1557929634,
            },
        }
        assert seed.operation_id == "startPolling"

    play(main, targets=(TARGET,))


def test_the_token_is_kept_and_a_401_asks_for_another_and_once_more_for_the_list(play: Any, act: Any) -> None:
    async def main(land: Any) -> None:
        await land.pull.start()
        await land.clock.sleep(11)
        assert len(land.upload.token_requests) == 1
        land.upload.revoke()
        land.upload.commit(b"one")
        await land.clock.sleep(5)
        assert act.seen(land).answered("listCommits") == [200, 200, 200, 401, 200]
        assert len(land.upload.token_requests) == 2
        assert land.state.target_tokens == {"press": "bearer-3"}
        assert len(ingested(land, act)) == 1

    play(main, targets=(TARGET,))


FAILURES = [
    pytest.param("listCommits", Answer(500), "was answered 500", id="list answers 500"),
    pytest.param("listCommits", Answer(404), "was answered 404", id="list answers 404"),
    pytest.param("listCommits", Answer(401), "was answered 401", id="list answers 401 to a new token"),
    pytest.param("listCommits", Refuse(), "ConnectError", id="list refused"),
    pytest.param("issueClientToken", Answer(401), "the request for a token was answered 401", id="no token"),
    pytest.param("issueClientToken", Refuse(), "ConnectError", id="token refused"),
]


@pytest.mark.parametrize(("operation_id", "effect", "reason"), FAILURES)
def test_the_first_target_that_fails_ends_the_round_for_those_behind_it(
    play: Any, act: Any, operation_id: str, effect: Any, reason: str
) -> None:
    """H24; the next round begins anew."""

    async def main(land: Any) -> None:
        land.upload.commit(b"one")
        await land.pull.start()
        await land.clock.sleep(1)
        (failed,) = act.seen(land).noted("pull failed")
        assert failed["target"] == "press"
        assert reason in failed["reason"]
        assert [one.target for one in lists(land, act) if "archive" in one.target] == []
        assert ingested(land, act) == []
        await land.clock.sleep(5)
        assert [one.target for one in lists(land, act) if "archive" in one.target] != []
        assert len(ingested(land, act)) == 1

    play(main, faults=(Fault(operation_id, effect, (1,)),), targets=(TARGET, OTHER))


@pytest.mark.parametrize("token", ["\u00e9", "two\nlines"])
def test_a_token_that_no_header_can_hold_is_none_and_is_asked_for_again(play: Any, act: Any, token: str) -> None:
    """Kept, it would never be refused."""

    async def main(land: Any) -> None:
        land.upload.commit(b"one")
        land.upload.token = token
        await land.pull.start()
        await land.clock.sleep(1)
        (failed,) = act.seen(land).noted("pull failed")
        assert "without one" in failed["reason"]
        land.upload.token = "bearer-"
        await land.clock.sleep(5)
        assert len(ingested(land, act)) == 1

    play(main, targets=(TARGET,))


def test_port_and_path_of_the_target_are_dropped(play: Any, act: Any) -> None:
    """H22: the token is asked for at the host alone, and so is every asset."""

    async def main(land: Any) -> None:
        land.upload.commit(b"one")
        await land.pull.save([replace(TARGET, pullmode_uri="https://upload.test:8443/uploader/commits?target=press")])
        await land.pull.start()
        await land.clock.sleep(1)
        (token,) = act.seen(land).asked("issueClientToken")
        assert token.target == "/oauth/v2/token"
        (failed,) = act.seen(land).noted("pull failed")
        assert failed["reason"].startswith("GET https://upload.test:8443/uploader/commits: ConnectError")
        await land.pull.save([replace(TARGET, pullmode_uri="https://upload.test/uploader/../commits?target=press")])
        await land.pull.start()
        await land.clock.sleep(1)
        assert [one["payload"]["base_url"] for one in ingested(land, act)] == ["https://upload.test"]

    play(main)


def test_a_uri_without_a_query_is_another_path(play: Any, act: Any) -> None:
    """H23."""

    async def main(land: Any) -> None:
        await land.pull.start()
        await land.clock.sleep(1)
        (failed,) = act.seen(land).noted("pull failed")
        assert failed["reason"] == "GET https://upload.test/commits&acknowledged=false was answered 404"

    play(main, targets=(replace(TARGET, pullmode_uri="https://upload.test/commits"),))


@pytest.mark.parametrize(
    "uri", ["", "commits?x=1", "https://x:y/?a", "https://xn--a.test/?a", "https://upload.test:99999/?a=b"]
)
def test_a_uri_that_leads_nowhere_is_a_pull_that_failed(play: Any, act: Any, uri: str) -> None:
    async def main(land: Any) -> None:
        await land.pull.start()
        await land.clock.sleep(1)
        assert len(act.seen(land).noted("pull failed")) == 1

    play(main, targets=(replace(TARGET, pullmode_uri=uri),))


def test_a_commit_that_is_at_work_is_not_pulled_and_one_whose_ingest_lags_is(play: Any, act: Any) -> None:
    """H8: only rows count, and the ingest worker writes them, which is busy with another commit here."""

    async def main(land: Any) -> None:
        land.upload.commit(b"one")
        land.upload.commit(b"two")
        await land.pull.start()
        await land.clock.sleep(6)
        assert [one["payload"]["commit_id"] for one in ingested(land, act)] == ["commit-1", "commit-2", "commit-2"]

    play(main, faults=(Fault("getAsset", Delay(7)),), targets=(TARGET,))


def test_an_asset_that_waits_for_its_retry_lets_its_commit_be_pulled_again(play: Any, act: Any) -> None:
    """H9."""

    async def main(land: Any) -> None:
        land.upload.commit(b"one")
        await land.pull.start()
        await land.clock.sleep(9)
        assert len(ingested(land, act)) == 2

    play(main, faults=(Fault("downloadFile", Answer(500), (1,)),), targets=(TARGET,))


def test_after_its_asset_was_given_up_a_commit_is_pulled_again_and_then_once_a_day(play: Any, act: Any) -> None:
    """H9. The work of the second time finds the first row, which is not finished either, so that the second runs on."""

    async def main(land: Any) -> None:
        land.upload.commit(b"one")
        await land.pull.start()
        counts = []
        for _ in range(3):
            await land.clock.sleep(88_000)
            counts.append((len(ingested(land, act)), [row.status for row in land.state.jobs.rows]))
            land.state.main_queue_processed()
        assert counts == [
            (2, ["finished", "running"]),
            (3, ["finished", "canceled", "running"]),
            (4, ["finished", "canceled", "canceled", "running"]),
        ]

    play(main, faults=(Fault("downloadFile", Answer(500)),), targets=(TARGET,), queues=SLOW)


def test_a_commit_whose_ingest_failed_is_skipped_until_its_rows_are_cancelled_after_a_day(play: Any, act: Any) -> None:
    """H10, §4.6: evaluated only when the main queue has done something."""

    async def main(land: Any) -> None:
        land.upload.commit(b"one")
        await land.pull.start()
        await land.clock.sleep(86_000)
        land.state.main_queue_processed()
        await land.clock.sleep(2_000)
        assert len(ingested(land, act)) == 1
        land.state.main_queue_processed()
        assert {row.status for row in land.state.jobs.rows} == {"canceled"}
        await land.clock.sleep(700)
        assert len(ingested(land, act)) == 2
        assert len(land.state.records) == 1

    play(main, faults=(Fault("getAsset", Answer(500), (1, 2, 3)),), targets=(TARGET,), queues=SLOW)


def test_embedded_assets_become_objects_whose_ingest_asks_for_an_invalid_path(play: Any, act: Any) -> None:
    """H25: an upload service since January 2026."""

    async def main(land: Any) -> None:
        land.upload.commit(b"one")
        land.upload.commits[0]["assets"] = [{"@id": "/assets/asset-1-0", "id": "asset-1-0"}]
        await land.pull.start()
        await land.clock.sleep(22)
        assert ingested(land, act)[0]["payload"]["assets"] == [{"@id": "asset-1-0", "id": "asset-1-0"}]
        asked = {one.target for one in act.seen(land).asked("getAsset")}
        assert asked == {"/assets/Array"}
        assert land.state.jobs.rows == ()
        await land.clock.sleep(10)
        assert land.depth("assetsIngest_failed")[0] >= 1

    play(main, targets=(TARGET,))


def test_a_commit_without_assets_fails_at_its_first_one(play: Any, act: Any) -> None:
    """H16."""

    async def main(land: Any) -> None:
        land.upload.commit()
        land.upload.commits[0]["acknowledged"] = False
        await land.pull.start()
        await land.clock.sleep(22)
        paths = {one.target for one in act.seen(land).requests if one.target.startswith("/assets")}
        assert paths == {"/assets/"}
        assert act.seen(land).noted("work failed")[0]["work"] == "assetsIngest"

    play(main, targets=(TARGET,))


@pytest.mark.parametrize("member", [7, {}, {"acknowledged": False, "id": "c", "assets": None}], ids=str)
def test_a_listing_that_cannot_be_read_kills_the_worker_and_the_loop_goes_on(play: Any, act: Any, member: Any) -> None:
    async def main(land: Any) -> None:
        land.upload.listing = {"hydra:member": [member]}
        await land.pull.start()
        await land.clock.sleep(6)
        assert [note["work"] for note in act.seen(land).noted("worker died")] == ["pullAssets"] * 2

    play(main, targets=(TARGET,))


@pytest.mark.parametrize("listing", [[], {}, {"hydra:member": None}, {"hydra:member": {}}, 7, b"<"], ids=str)
def test_a_listing_without_members_is_empty(play: Any, act: Any, listing: Any) -> None:
    async def main(land: Any) -> None:
        land.upload.listing = listing
        await land.pull.start()
        await land.clock.sleep(1)
        assert act.seen(land).answered("listCommits") == [200]
        assert [act.seen(land).noted(note) for note in ("worker died", "pull failed")] == [[], []]

    play(main, targets=(TARGET,))


def test_an_acknowledged_commit_of_a_listing_is_passed_over(play: Any, act: Any) -> None:
    async def main(land: Any) -> None:
        land.upload.commit(b"one")
        land.upload.listing = {"hydra:member": [land.upload.commits[0] | {"acknowledged": True}]}
        await land.pull.start()
        await land.clock.sleep(1)
        assert ingested(land, act) == []

    play(main, targets=(TARGET,))


def test_an_administrator_starts_stops_and_saves(play: Any, act: Any) -> None:
    """H26: each purges; only a start puts a message back, and one that is at work escapes."""

    async def main(land: Any) -> None:
        await land.pull.start()
        await land.clock.sleep(6)
        await land.pull.stop()
        await land.clock.sleep(20)
        assert act.seen(land).seconds("listCommits") == [0, 5]
        await land.pull.start()
        await land.pull.start()
        await land.clock.sleep(1)
        assert sum(land.depth("pullAssets")) + sum(land.depth("pullAssets_loop")) == 2
        await land.pull.save([OTHER])
        await land.clock.sleep(20)
        assert sum(land.depth("pullAssets_loop")) == 0
        await land.pull.start()
        await land.clock.sleep(1)
        assert "target=archive" in lists(land, act)[-1].target

    play(main, targets=(TARGET,))


def test_push_and_pull_together_ingest_a_commit_twice(play: Any, act: Any) -> None:
    """H27."""

    async def main(land: Any) -> None:
        await land.pull.start()
        await land.clock.sleep(4.99)
        await land.tell(land.upload.commit(b"one"))
        await land.clock.sleep(60)
        assert len(ingested(land, act)) == 2
        assert len(land.state.records) == 1
        assert len(land.state.quarantine) == 1

    # What is told a moment after it was listed; what is told before is at work by then, and so passed over.
    play(main, faults=(Fault("enqueueAssets", Delay(0.02)),), targets=(TARGET,))
