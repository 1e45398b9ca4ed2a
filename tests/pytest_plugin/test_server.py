"""The landscape on real ports."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from phrasim.journal.events import Noted
from phrasim.journal.lines import read_trace
from phrasim.pytest_plugin.marker import Asked
from phrasim.pytest_plugin.server import Server, open_server
from phrasim.pytest_plugin.view import UsageError
from phrasim.serve.thread import ServerThread, open_server_thread


@pytest.fixture
def thread() -> Iterator[ServerThread]:
    with open_server_thread() as made:
        yield made


def hand_over(server: Server, *contents: bytes) -> list[str]:
    """Upload files and commit them; the ids of the assets."""
    with httpx.Client(base_url=server.upload.url, headers=server.publisher.headers) as user:
        ids = [user.post("/assets", files={"file": ("a.txt", one)}).raise_for_status().json()["id"] for one in contents]
        user.post("/commit", json={"files": ids, "formData": {}}).raise_for_status()
    return ids


def test_a_client_hands_over_as_the_document_says(phrasim_server: Server, tmp_path: Path) -> None:
    ids = hand_over(phrasim_server, b"one", b"two")
    phrasim_server.wait_for("acknowledgeCommit", within=20)
    assert [record.asset_id for record in phrasim_server.records] == ids
    (verdict,) = phrasim_server.conforms()
    assert [one.mark for one in verdict.arrows] == ["walked"] * 12
    phrasim_server.trace(tmp_path / "trace.jsonl")
    assert read_trace(tmp_path / "trace.jsonl")[0].wire == "loopback"
    state = httpx.get(f"{phrasim_server.control.url}/_phrasim/state").json()
    assert phrasim_server.state() | {"time": state["time"]} == state
    assert [commit["acknowledged"] for commit in state["commits"]] == [True]


def test_a_reset_keeps_urls_and_tokens_and_nothing_else(phrasim_server: Server) -> None:
    hand_over(phrasim_server, b"one")
    phrasim_server.wait_for("acknowledgeCommit", within=20)
    before = phrasim_server.publisher, phrasim_server.client, phrasim_server.upload
    phrasim_server.fault("listCommits", answer={"status": 503})
    phrasim_server.reset()
    assert (phrasim_server.publisher, phrasim_server.client, phrasim_server.upload) == before
    assert (phrasim_server.commits, phrasim_server.faults) == ((), [])
    listed = httpx.get(f"{phrasim_server.upload.url}/commits", headers=phrasim_server.client.headers)
    assert listed.json() == []
    hand_over(phrasim_server, b"two")
    phrasim_server.wait_for("acknowledgeCommit", within=20)


@pytest.mark.phrasim(mode="off")
def test_phraseanet_polls_when_the_test_says_so(phrasim_server: Server) -> None:
    phrasim_server.add_commit({"a.txt": b"one"})
    assert phrasim_server.poll() == 1
    phrasim_server.wait_for("acknowledgeCommit", within=20)
    assert len(phrasim_server.records) == 1


def test_what_does_not_come_is_waited_for_no_longer_than_asked(phrasim_server: Server) -> None:
    with pytest.raises(AssertionError, match=r"waited 0.01 s for listCommits"):
        phrasim_server.wait_for("listCommits", within=0.01)


def test_a_fault_strikes_at_a_port(phrasim_server: Server) -> None:
    phrasim_server.fault("listCommits", answer={"status": 503}, occurrences=[1])
    url = f"{phrasim_server.upload.url}/commits"
    assert [httpx.get(url).status_code for _ in range(2)] == [503, 401]
    with pytest.raises(UsageError, match="on real ports phrasim cannot strike there"):
        phrasim_server.fault("uploadAsset", refuse=True)
    phrasim_server.fault("enqueueAssets", refuse=True, occurrences=[1])


@pytest.mark.phrasim(plays="phraseanet")
def test_who_plays_phraseanet_is_journalled_so(phrasim_server: Server) -> None:
    url = f"{phrasim_server.upload.url}/commits"
    assert httpx.get(url, headers=phrasim_server.client.headers).status_code == 200
    first = phrasim_server.events[0]
    assert not isinstance(first, Noted)
    assert not isinstance(first.message, str)
    assert first.message.sender == "phraseanet"
    assert phrasim_server.state()["participants"]["phraseanet"]["role"] == "absent"


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_async_test_waits_in_a_thread(phrasim_server: Server, anyio_backend: str) -> None:
    async with httpx.AsyncClient(base_url=phrasim_server.upload.url) as client:
        waiting = asyncio.create_task(asyncio.to_thread(phrasim_server.wait_for, "listCommits", 1, 20))
        await client.get("/commits", headers=phrasim_server.client.headers)
        exchange = await waiting
    assert exchange.response is not None
    assert exchange.response.status == 200


def test_two_landscapes_are_apart_and_free_their_ports(thread: ServerThread) -> None:
    with open_server(thread, Asked(seed=1)) as one, open_server(thread, Asked()) as two:
        one.add_commit({"a.txt": b"one"})
        assert (len(one.commits), len(two.commits)) == (1, 0)
        url = one.upload.url
        assert url != two.upload.url
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_a_simulator_that_fails_ends_the_wait_and_fails_the_block(thread: ServerThread) -> None:
    async def broken() -> None:
        raise LookupError("a bug of a simulator")

    def wait() -> None:
        with open_server(thread, Asked()) as server:
            server._look(lambda: server._testbed._spawn(broken(), "broken"))
            with pytest.raises(LookupError, match="a bug of a simulator"):
                server.wait_for("listCommits", within=20)

    with pytest.raises(LookupError, match="a bug of a simulator"):
        wait()
