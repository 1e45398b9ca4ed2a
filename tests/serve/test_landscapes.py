"""Further landscapes: each holds its own and nothing else, and leaves nothing when it ends."""

import asyncio
import gc
import hashlib
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from amount import so_many
from phrasim.serve import landscapes as module
from phrasim.serve.landscape import Plan
from phrasim.testbed import Setting

pytestmark = pytest.mark.unmeasured

LANDSCAPES = so_many(200, elsewhere=40)
AT_ONCE = 20


async def hand_over(caller: Any, described: Any, number: int) -> None:
    """Open nothing, hand a commit over whose content nobody else has, and look at all that is there."""
    async with caller(described) as suite:
        content = f"only in landscape {number}\n".encode() * (number + 1)
        commit = await suite.commit(content, number=number)
        if number % 2:
            assert (await suite.control.post("/poll")).json() == {"accepted": 1}
        state = await suite.acknowledged()
        assert [one["id"] for one in state["commits"]] == [commit]
        assert [asset["sha256"] for asset in state["assets"]] == [hashlib.sha256(content).hexdigest()]
        (record,) = state["records"]
        assert (record["sha256"], record["commitId"]) == (state["assets"][0]["sha256"], commit)
        assert (record["publisher"], record["formData"]) == (suite.publisher["id"], {"number": number})


async def lived(control: httpx.AsyncClient, caller: Any, number: int) -> dict[str, Any]:
    """A landscape from its beginning to its end; what it was."""
    made = await control.post("/landscapes", json={"mode": "pull" if number % 2 else "push", "interval": "1 h"})
    assert made.status_code == 201, made.text
    described: dict[str, Any] = made.json()
    await hand_over(caller, described, number)
    assert (await control.get(f"/landscapes/{described['id']}")).json() == described
    assert (await control.delete(f"/landscapes/{described['id']}")).status_code == 204
    return described


async def live(control: httpx.AsyncClient, caller: Any, count: int) -> list[dict[str, Any]]:
    """That many landscapes, `AT_ONCE` of them at a time."""
    numbers = iter(range(count))
    seen: list[dict[str, Any]] = []

    async def one_after_the_other() -> None:
        for number in numbers:
            seen.append(await lived(control, caller, number))

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))
    return seen


def memory_kib(process: int) -> int:
    (line,) = (one for one in Path(f"/proc/{process}/status").read_text().splitlines() if one.startswith("VmRSS:"))
    return int(line.split()[1])


def open_files(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


async def is_closed(url: str) -> bool:
    found = httpx.URL(url)
    try:
        _, writer = await asyncio.open_connection(found.host, found.port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


@pytest.mark.turn
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="memory and files of a process are read in /proc")
def test_many_landscapes_hold_their_own_and_leave_nothing(
    server: Any, caller: Any, when: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))

    async def main(described: Any, process: int) -> None:
        async with caller(described) as first:
            await live(first.control, caller, AT_ONCE)
            files, memory = open_files(process), memory_kib(process)
            seen = await live(first.control, caller, LANDSCAPES)
            assert len({one["id"] for one in seen}) == LANDSCAPES
            tokens = [user["token"] for one in seen for user in one["users"]]
            assert len(set(tokens)) == len(tokens)
            assert (await first.control.get("/landscapes")).json() == []
            state = await first.state()
            assert (state["commits"], state["records"], state["events"]["next"]) == ([], [], 1)
            urls = [one[name]["url"] for one in seen[-3:] for name in ("upload", "phraseanet", "auth", "control")]
            assert all(await asyncio.gather(*map(is_closed, urls)))
            assert not list(tmp_path.glob("phrasim-*/landscape-*"))

            async def all_are_closed() -> bool:
                return open_files(process) <= files

            await when(all_are_closed)
            assert memory_kib(process) <= memory * 1.1

    with server() as (described, process):
        asyncio.run(main(described, process))


def test_fifty_landscapes_are_made_at_once(served: Any, caller: Any) -> None:
    async def main(one: Any) -> None:
        made = await asyncio.gather(*(one.suite.control.post("/landscapes", json={}) for _ in range(50)))
        assert {answer.status_code for answer in made} == {201}
        assert (await one.suite.control.get("/landscapes")).json() == sorted(
            (answer.json() for answer in made), key=lambda described: int(described["id"])
        )
        names = ("upload", "phraseanet", "auth", "control", "broker")
        ports = {answer.json()[name]["url"] for answer in made for name in names}
        assert len(ports) == 250
        await hand_over(caller, made[7].json(), 8)

    served(main)


def test_a_further_landscape_opens_and_ends_none(served: Any, caller: Any) -> None:
    async def main(one: Any) -> None:
        made = (await one.suite.control.post("/landscapes", json={})).json()
        async with caller(made) as suite:
            answers = [
                await suite.control.get("/landscapes"),
                await suite.control.post("/landscapes", json={}),
                await suite.control.get("/landscapes/1"),
                await suite.control.delete("/landscapes/1"),
            ]
            assert {answer.status_code for answer in answers} == {404}
            assert {answer.json()["detail"] for answer in answers} == {
                "landscapes are opened and ended at the control port that the server began with"
            }
            assert (await suite.control.post("/reset")).status_code == 204

    served(main)


def test_a_further_landscape_is_told_by_where_it_listens(served: Any, caller: Any) -> None:
    """A public URL leads to the first landscape alone: another that told it would hand its commits to that one."""

    async def main(one: Any) -> None:
        assert one.suite.described["upload"]["url"] == "https://uploads.example"
        made = (await one.suite.control.post("/landscapes", json={"mode": "push"})).json()
        assert made["upload"]["url"].startswith("http://127.0.0.1:")
        await hand_over(caller, made, 2)

    served(main, Plan(public_urls={"upload": "https://uploads.example"}, setting=Setting(mode="off")))


def test_there_is_a_last_landscape(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LANDSCAPES_MAX", 2)

    async def main(one: Any) -> None:
        made = await asyncio.gather(*(one.suite.control.post("/landscapes", json={}) for _ in range(4)))
        assert sorted(answer.status_code for answer in made) == [201, 201, 503, 503]
        refused = next(answer for answer in made if answer.status_code == 503)
        assert refused.json()["detail"] == "there are 2 landscapes; delete one that is no longer used"
        assert (await one.suite.control.delete("/landscapes/1")).status_code == 204
        assert (await one.suite.control.post("/landscapes", json={})).status_code == 201

    served(main)


def test_a_system_without_ports_makes_no_landscape(served: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(one: Any) -> None:
        def none_left(*_: Any) -> Any:
            raise module.PortError("upload: ...") from OSError(24, "Too many open files")

        monkeypatch.setattr(module, "bind_all", none_left)
        answer = await one.suite.control.post("/landscapes", json={})
        assert answer.status_code == 503
        assert answer.json()["detail"] == (
            "there are 0 landscapes, and the system gives no ports for another: [Errno 24] Too many open files"
        )

    served(main)


def test_a_landscape_that_ends_at_work_leaves_nothing(served: Any, caller: Any, when: Any) -> None:
    async def main(one: Any) -> None:
        tasks = len(asyncio.all_tasks())
        made = (await one.suite.control.post("/landscapes", json={})).json()
        async with caller(made) as suite:
            fault = {"operationId": "downloadAsset", "delay": "1 h"}
            assert (await suite.control.post("/faults", json=fault)).status_code == 201
            await suite.commit(b"content")

            async def at_work() -> Any:
                return (await suite.control.get("/faults")).json()[0]["struck"]

            await when(at_work)
            ends = [one.suite.control.delete(f"/landscapes/{made['id']}") for _ in range(2)]
            assert sorted([answer.status_code for answer in await asyncio.gather(*ends)]) == [204, 404]
        assert all([await is_closed(made[name]["url"]) for name in ("upload", "phraseanet", "auth", "control")])
        assert not list(one.folder.glob("landscape-*"))
        gc.collect()

        async def all_ended() -> bool:
            return len(asyncio.all_tasks()) <= tasks

        await when(all_ended)

    served(main)


def test_a_landscape_whose_beginning_fails_leaves_nothing(served: Any) -> None:
    async def main(one: Any) -> None:
        assert (await one.suite.control.get("/landscapes")).json() == []
        tasks, files = len(asyncio.all_tasks()), open_files(os.getpid())
        seed = {"commits": [{"publisher": "nobody@example.org", "files": {"a": {"size": "1 B"}}}]}
        for _ in range(5):
            answer = await one.suite.control.post("/landscapes", json={"seedData": seed})
            assert answer.status_code == 400
        assert len(asyncio.all_tasks()) <= tasks
        assert open_files(os.getpid()) <= files
        assert not list(one.folder.glob("landscape-*"))
        assert (await one.suite.control.get("/landscapes")).json() == []

    served(main)


def test_a_landscape_that_fails_later_ends_and_harms_no_other(
    served: Any, caller: Any, when: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def main(one: Any) -> None:
        name, failing = await one.landscapes.create(one.landscape.plan)

        async def fail() -> None:
            raise ZeroDivisionError("a simulator failed")

        failing._spawn.anew()(fail(), "a simulator")

        async def gone() -> bool:
            return name not in one.landscapes.all

        await when(gone)
        assert f"landscape {name} failed, and has ended" in caplog.text
        assert (await one.suite.control.delete(f"/landscapes/{name}")).status_code == 404
        await hand_over(caller, one.suite.described, 4)

    served(main)


def test_no_landscape_is_made_once_the_server_ends(served: Any) -> None:
    async def main(one: Any) -> None:
        await one.suite.control.post("/landscapes", json={})
        await one.landscapes.close()
        assert one.landscapes.all == {}
        answer = await one.suite.control.post("/landscapes", json={})
        assert (answer.status_code, answer.json()["detail"]) == (503, "the server ends, and makes no more landscapes")

    served(main)
