"""The landscape in the test's process."""

import asyncio
import threading
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from phrasim.clock import DeadlockError
from phrasim.journal.events import Noted
from phrasim.journal.events import Request as JournalRequest
from phrasim.journal.lines import read_trace
from phrasim.pytest_plugin.landscape import Landscape, open_landscape
from phrasim.pytest_plugin.marker import Asked
from phrasim.pytest_plugin.view import Queue, SimulatorFailed, UsageError


@pytest.fixture
def user(phrasim_landscape: Landscape) -> Iterator[httpx.Client]:
    """A sync client of the publisher."""
    given = phrasim_landscape
    headers = given.publisher.headers
    with httpx.Client(transport=given.transport, base_url=given.upload.url, headers=headers) as client:
        yield client


def hand_over(user: httpx.Client, *contents: bytes) -> list[str]:
    """Upload files and commit them; the ids of the assets."""
    ids = [user.post("/assets", files={"file": ("a.txt", one)}).raise_for_status().json()["id"] for one in contents]
    user.post("/commit", json={"files": ids, "formData": {}}).raise_for_status()
    return ids


def requests(landscape: Landscape) -> list[JournalRequest]:
    """The requests of the journal, in its order."""
    messages = [event.message for event in landscape.events if not isinstance(event, Noted)]
    return [message for message in messages if isinstance(message, JournalRequest)]


def test_a_sync_client_hands_over_as_the_document_says(phrasim_landscape: Landscape, user: httpx.Client) -> None:
    ids = hand_over(user, b"one", b"two")
    exchange = phrasim_landscape.wait_for("acknowledgeCommit")
    assert exchange.response is not None
    assert exchange.response.status == 200
    assert [asset.id for asset in phrasim_landscape.assets] == ids
    assert [record.asset_id for record in phrasim_landscape.records] == ids
    assert [commit.acknowledged for commit in phrasim_landscape.commits] == [True]
    assert phrasim_landscape.queues["assetsIngest"] == Queue(0, 0)
    (verdict,) = phrasim_landscape.conforms()
    assert [one.mark for one in verdict.arrows] == ["walked"] * 12


def test_what_the_test_sends_is_journalled_as_the_users(phrasim_landscape: Landscape, user: httpx.Client) -> None:
    user.get("/commits")
    request = requests(phrasim_landscape)[0]
    assert (request.sender, request.receiver, request.operation_id) == ("user", "upload", "listCommits")


def test_every_account_has_a_token_that_is_good(phrasim_landscape: Landscape) -> None:
    given = phrasim_landscape
    with httpx.Client(transport=given.transport) as client:
        for user in given.users:
            answer = client.get(f"{given.auth.url}/users/info/{user.id}", headers=given.client.headers)
            assert answer.json()["email"] == user.email
        statuses = [
            client.get(f"{given.upload.url}/commits", headers=one.headers).status_code
            for one in (*given.users, *given.clients)
        ]
    assert statuses == [403, 200, 200, 403]


def test_a_large_upload_and_download_stream(phrasim_landscape: Landscape, user: httpx.Client) -> None:
    size, read = 3_000_000, 0

    def parts() -> Iterator[bytes]:
        yield b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(size // 1000):
            yield bytes(1000)
        yield b"\r\n--b--\r\n"

    type_ = {"content-type": "multipart/form-data; boundary=b"}
    asset = user.post("/assets", content=parts(), headers=type_).raise_for_status().json()
    assert asset["size"] == size
    user.post("/commit", json={"files": [asset["id"]], "formData": {}}).raise_for_status()
    token = {"authorization": f"AssetToken {phrasim_landscape.commits[0].token}"}
    with user.stream("GET", f"/assets/{asset['id']}/download", headers=token) as response:
        for part in response.iter_raw():
            read += len(part)
    assert read == size
    with user.stream("GET", f"/assets/{asset['id']}/download", headers=token) as response:
        next(response.iter_raw())  # and leaves the rest


def test_a_coroutine_runs_on_simulated_time_and_sees_the_tests_context(phrasim_landscape: Landscape) -> None:
    said = ContextVar("said", default="nothing")
    said.set("something")

    async def main() -> str:
        await asyncio.sleep(3600)
        return said.get()

    assert phrasim_landscape.run(main()) == "something"
    assert phrasim_landscape.now == 3600


def test_an_async_client_hands_over_within_run(phrasim_landscape: Landscape) -> None:
    given = phrasim_landscape

    async def main() -> None:
        async with httpx.AsyncClient(transport=given.transport, headers=given.publisher.headers) as client:
            answer = await client.post("https://upload.test/assets", files={"file": b"one"})
            ids = [answer.json()["id"]]
            await client.post("https://upload.test/commit", json={"files": ids, "formData": {}})

    given.run(main())
    given.wait_for("acknowledgeCommit")
    given.conforms("push-mode")


@pytest.mark.phrasim(mode="pull", poll_interval=600)
def test_a_wait_ends_when_all_is_done_that_begins_at_its_end(phrasim_landscape: Landscape, user: httpx.Client) -> None:
    hand_over(user, b"one")
    phrasim_landscape.wait(599)
    assert phrasim_landscape.records == ()
    phrasim_landscape.wait(1)
    assert len(phrasim_landscape.records) == 1
    assert phrasim_landscape.now == 600
    phrasim_landscape.conforms()


@pytest.mark.phrasim(mode="off")
def test_a_poll_is_made_when_the_test_says_so(phrasim_landscape: Landscape, user: httpx.Client) -> None:
    phrasim_landscape.add_commit({"a.txt": b"one"}, {"title": "A"})
    assert phrasim_landscape.poll() == 1
    phrasim_landscape.wait_for("acknowledgeCommit")
    assert [record.form_data for record in phrasim_landscape.records] == [{"title": "A"}]
    with pytest.raises(UsageError, match="in mode 'off' say which section is meant"):
        phrasim_landscape.conforms()


def test_what_does_not_come_is_waited_for_no_longer_than_asked(phrasim_landscape: Landscape) -> None:
    with pytest.raises(AssertionError, match=r"waited 30 s for listCommits to be answered with 2xx once; it was 0"):
        phrasim_landscape.wait_for("listCommits")
    assert phrasim_landscape.now == 30
    with pytest.raises(UsageError, match="did you mean 'listCommits'"):
        phrasim_landscape.wait_for("listCommit")


def test_what_is_not_walked_is_told_in_an_account(phrasim_landscape: Landscape, user: httpx.Client) -> None:
    phrasim_landscape.fault("acknowledgeCommit", answer={"status": 500})
    hand_over(user, b"one")
    phrasim_landscape.wait(60)
    with pytest.raises(AssertionError) as caught:
        phrasim_landscape.conforms("Push mode")
    assert "8 of 9 arrows walked; not as drawn: 9 missing" in str(caught.value)


def test_a_section_that_is_not_there_is_refused(phrasim_landscape: Landscape, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean 'Push mode'"):
        phrasim_landscape.conforms("Push modus")
    (tmp_path / "drawing.md").write_text("# A drawing\n\n```sequence\nUser->Upload: Commit\n```\n")
    with pytest.raises(AssertionError, match="there is no commit in this trace"):
        phrasim_landscape.conforms("A drawing", tmp_path / "drawing.md")


def test_faults_strike_count_and_are_lifted(phrasim_landscape: Landscape, user: httpx.Client) -> None:
    number = phrasim_landscape.fault("listCommits", answer={"status": 503}, occurrences=[2])
    assert [user.get("/commits").status_code for _ in range(3)] == [403, 503, 403]
    (account,) = phrasim_landscape.faults
    assert (account.id, account.calls, account.struck) == (number, 3, 1)
    phrasim_landscape.clear_faults()
    assert phrasim_landscape.faults == []


def test_a_late_answer_meets_the_time_out_of_the_client(phrasim_landscape: Landscape, user: httpx.Client) -> None:
    phrasim_landscape.fault("listCommits", delay="1 h")
    with pytest.raises(httpx.ReadTimeout):
        user.get("/commits", timeout=7)
    assert phrasim_landscape.now == 7
    assert user.get("/commits", timeout=None).status_code == 403
    assert phrasim_landscape.now == 3607


def test_the_faults_of_a_sender_strike_the_clients_own_requests(
    phrasim_landscape: Landscape, user: httpx.Client
) -> None:
    phrasim_landscape.fault("uploadAsset", refuse=True, occurrences=[1])
    phrasim_landscape.fault("uploadAsset", duplicate=True, occurrences=[2])
    with pytest.raises(httpx.ConnectError):
        user.post("/assets", files={"file": b"one"})
    user.post("/assets", files={"file": b"one"})
    assert len(phrasim_landscape.assets) == 2


@pytest.mark.parametrize(
    ("operation", "keys", "said"),
    [
        ("uploadAssets", {"refuse": True}, "uploadAsset"),
        ("uploadAsset", {"anser": {"status": 500}}, "anser"),
        ("uploadAsset", {}, "a fault has one effect"),
        ("uploadAsset", {"answer": 503}, "answer"),
    ],
)
def test_a_fault_that_is_none_is_refused(
    phrasim_landscape: Landscape, operation: str, keys: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        phrasim_landscape.fault(operation, **keys)


def test_a_url_of_nobody_is_a_connection_error(phrasim_landscape: Landscape, user: httpx.Client) -> None:
    with pytest.raises(httpx.ConnectError, match=r"nobody listens at 'example.org'"):
        user.get("https://example.org/")


@pytest.mark.phrasim(seed=7)
def test_a_trace_is_written_without_secrets(phrasim_landscape: Landscape, user: httpx.Client, tmp_path: Path) -> None:
    hand_over(user, b"one")
    phrasim_landscape.trace(str(tmp_path / "trace.jsonl"))
    header, events = read_trace(tmp_path / "trace.jsonl")
    assert (header.wire, header.seed, header.external) == ("in-process", 7, ())
    assert len(events) == len(phrasim_landscape.events)
    assert phrasim_landscape.publisher.token not in (tmp_path / "trace.jsonl").read_text()


def test_time_does_not_go_back(phrasim_landscape: Landscape) -> None:
    with pytest.raises(UsageError, match="time goes on"):
        phrasim_landscape.wait(-1)


@pytest.mark.parametrize("files", [{}, {"a.txt": b""}])
def test_a_commit_of_nothing_is_refused(phrasim_landscape: Landscape, files: dict[str, bytes]) -> None:
    with pytest.raises(UsageError, match="at least one"):
        phrasim_landscape.add_commit(files)
    assert phrasim_landscape.commits == ()


def test_one_seed_gives_one_landscape_and_another_seed_another() -> None:
    def token(seed: int) -> str:
        with open_landscape(Asked(seed=seed)) as landscape:
            return landscape.publisher.token

    assert token(1) == token(1) != token(2)


def test_who_waits_for_nothing_is_told_so(phrasim_landscape: Landscape) -> None:
    with pytest.raises(DeadlockError):
        phrasim_landscape.run(asyncio.Event().wait())
    phrasim_landscape.wait(1)  # the landscape goes on


def test_a_running_loop_is_refused(phrasim_landscape: Landscape, user: httpx.Client) -> None:
    async def elsewhere() -> None:
        with pytest.raises(UsageError, match="phrasim_server in an async one"):
            phrasim_landscape.wait(1)
        async with httpx.AsyncClient(transport=phrasim_landscape.transport) as client:
            with pytest.raises(UsageError, match=r"run it by phrasim_landscape.run"):
                await client.get("https://upload.test/commits")

    asyncio.run(elsewhere())

    async def within() -> None:
        user.get("/commits")  # noqa: ASYNC212 - that is the mistake

    with pytest.raises(UsageError, match=r"take an httpx.AsyncClient there"):
        phrasim_landscape.run(within())


def test_another_thread_is_refused(phrasim_landscape: Landscape, user: httpx.Client) -> None:
    found: list[Exception] = []

    def work() -> None:
        try:
            user.get("/commits")
        except UsageError as error:
            found.append(error)

    thread = threading.Thread(target=work, name="another", daemon=True)
    thread.start()
    thread.join()
    assert "comes from the thread 'another'" in str(found[0])


def test_a_simulator_that_fails_at_a_request_fails_the_block() -> None:
    def ask() -> None:
        with open_landscape(Asked()) as landscape, httpx.Client(transport=landscape.transport) as client:
            landscape._testbed.upload.unacknowledged = None  # type: ignore[method-assign,assignment]
            headers = landscape.administrator.headers
            assert client.get("https://upload.test/commits", headers=headers).status_code == 500

    with pytest.raises(SimulatorFailed, match="upload failed at a request: TypeError"):
        ask()


def test_a_simulator_that_fails_by_itself_ends_what_runs_and_fails_the_block() -> None:
    async def broken() -> None:
        raise LookupError("a bug of a simulator")

    def wait() -> None:
        with open_landscape(Asked()) as landscape:
            landscape._testbed._spawn(broken(), "broken")
            with pytest.raises(LookupError, match="a bug of a simulator"):
                landscape.wait(10)

    with pytest.raises(LookupError, match="a bug of a simulator"):
        wait()


@pytest.mark.phrasim(plays="phraseanet", mode="push")
def test_an_application_of_the_test_is_notified_in_phraseanets_place(
    phrasim_landscape: Landscape, user: httpx.Client
) -> None:
    told: list[Any] = []

    async def enqueue(request: Request) -> Response:
        told.append(await request.json())
        return JSONResponse({"data": "ok"})

    phrasim_landscape.mount(Starlette(routes=[Route("/api/v1/upload/enqueue", enqueue, methods=["POST"])]))
    ids = hand_over(user, b"one")
    phrasim_landscape.wait_for("enqueueAssets")
    assert [one["assets"] for one in told] == [ids]
    with pytest.raises(UsageError, match="the code under test plays Phraseanet"):
        phrasim_landscape.poll()


@pytest.mark.phrasim(plays="phraseanet")
def test_who_plays_phraseanet_is_journalled_so(phrasim_landscape: Landscape, user: httpx.Client) -> None:
    with httpx.Client(transport=phrasim_landscape.transport, headers=phrasim_landscape.client.headers) as client:
        client.get("https://upload.test/commits")
        user.post("/assets", files={"file": b"one"})
    senders = [(one.sender, one.operation_id) for one in requests(phrasim_landscape) if one.receiver == "upload"]
    assert senders == [("phraseanet", "listCommits"), ("user", "uploadAsset")]


@pytest.mark.phrasim(plays="upload")
def test_who_plays_the_upload_service_notifies_and_is_asked_back(phrasim_landscape: Landscape) -> None:
    asked: list[str] = []

    async def anything(request: Request) -> Response:
        asked.append(request.url.path)
        return Response(status_code=503)

    phrasim_landscape.mount(Starlette(routes=[Route("/{path:path}", anything)]))
    notification = {
        "assets": ["4c097077-a26b-4af4-9a5d-b13fd4c77b3d"],
        "publisher": phrasim_landscape.publisher.id,
        "token": "f87a1c3e5b7d9f0214365870a9cbed0f214700b7cd",
        "commit_id": "8f6a1c52-3c0e-4f0b-9d0a-5b1a7c9d2e41",
        "base_url": phrasim_landscape.upload.url,
    }
    with httpx.Client(transport=phrasim_landscape.transport) as client:
        client.post("https://phraseanet.test/api/v1/upload/enqueue", json=notification).raise_for_status()
    phrasim_landscape.wait(1)
    assert asked[:1] == ["/assets/4c097077-a26b-4af4-9a5d-b13fd4c77b3d"]
    assert requests(phrasim_landscape)[0].sender == "upload"
    with pytest.raises(UsageError, match="commits are its own"):
        phrasim_landscape.add_commit({})


def test_nothing_is_mounted_where_all_services_are_played(phrasim_landscape: Landscape) -> None:
    with pytest.raises(UsageError, match="plays="):
        phrasim_landscape.mount(Starlette())


@pytest.mark.phrasim(profile="deployed")
def test_the_deployed_services_have_targets_and_walk_their_own_flow(phrasim_landscape: Landscape) -> None:
    (target,) = phrasim_landscape.targets
    upload, user = phrasim_landscape.upload.url, phrasim_landscape.publisher
    with httpx.Client(transport=phrasim_landscape.transport, base_url=upload, headers=user.headers) as client:
        sent = client.post("/assets", files={"file": ("a.txt", b"Hello.")}, data={"targetSlug": target.slug})
        asset = sent.json()["id"]
        client.post("/commit", json={"files": [asset], "target": f"/targets/{target.id}"})
    phrasim_landscape.wait_for("acknowledgeAsset")
    phrasim_landscape.wait(1)
    assert [(one.original_name, one.size) for one in phrasim_landscape.records] == [("a.txt", 6)]
    assert [one.acknowledged for one in phrasim_landscape.commits] == [True]
    (verdict,) = phrasim_landscape.conforms("Push mode")
    assert len(verdict.arrows) == 7 + 5
