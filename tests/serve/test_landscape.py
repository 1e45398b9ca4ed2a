"""One landscape: it begins, begins anew and ends, with nothing left of what was under way."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from phrasim.serve.entrance import BegunAnew, Entrance
from phrasim.serve.landscape import Plan
from phrasim.testbed import SeedData, Setting
from phrasim.testbed.seed import SeedCommit, SeedFile
from phrasim.testbed.seeding import SeedError

NOBODYS = SeedCommit("nobody@example.org", (SeedFile("a", None, 1, "text/plain"),), {})


def test_seed_data_that_does_not_fit_opens_no_landscape(served: Any) -> None:
    async def main(one: Any) -> None:
        raise AssertionError("it has opened")

    with pytest.raises(SeedError, match=r"commits: there is no user 'nobody@example\.org'"):
        served(main, Plan(seed=SeedData(commits=(NOBODYS,))))


def test_a_landscape_on_all_addresses_is_not_local(served: Any) -> None:
    async def main(one: Any) -> bool:
        found: bool = one.landscape.is_local
        return found

    assert served(main)
    assert not served(main, host="0.0.0.0")


def test_an_end_while_it_begins_anew_waits_for_that(served: Any) -> None:
    async def main(one: Any) -> None:
        resetting = asyncio.create_task(one.landscape.reset())
        await asyncio.sleep(0)
        await asyncio.gather(resetting, one.landscape.stop())

    served(main)


def test_a_download_that_is_half_read_breaks_off_when_the_landscape_begins_anew(served: Any) -> None:
    async def main(one: Any) -> None:
        await one.suite.commit(bytes(64 * 1024 * 1024))
        commit = (await one.suite.state())["commits"][0]
        url = one.suite.url("upload", f"/assets/{commit['assets'][0]}/download")
        headers = {"authorization": f"AssetToken {commit['token']}"}
        async with one.suite.http.stream("GET", url, headers=headers) as answer:
            parts = answer.aiter_raw(1024)
            await anext(parts)
            await one.landscape.reset()
            with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
                _ = [part async for part in parts]
        assert one.landscape.network.journal.events == []

    served(main, Plan(setting=Setting(mode="off")))


def test_what_others_cancel_is_not_taken_for_a_new_beginning() -> None:
    async def main() -> None:
        entrance = Entrance(lambda _: False)
        entrance.open([])

        async def wait() -> None:
            async with entrance.under_way():
                await asyncio.Event().wait()

        cancelled, broken_off = asyncio.create_task(wait()), asyncio.create_task(wait())
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait((cancelled,))
        await entrance.close()
        assert cancelled.cancelled()
        with pytest.raises(BegunAnew):
            await broken_off
        assert broken_off.cancelling() == 0

    asyncio.run(main())


def test_a_request_of_before_is_not_heard_in_the_next_beginning() -> None:
    async def main() -> None:
        entrance = Entrance(lambda traceparent: traceparent == "of-before")
        heard: list[Any] = []

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            heard.append(scope["headers"])

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        async def receive() -> Any:
            return {"type": "http.request"}

        def asked(traceparent: bytes) -> asyncio.Task[None]:
            scope = {"type": "http", "method": "GET", "headers": [(b"traceparent", traceparent)]}

            async def ask() -> None:
                await entrance.at("upload")(scope, receive, send)

            return asyncio.create_task(ask())

        statuses: list[int] = []
        waiting = [asked(b"of-before"), asked(b"a-stranger")]
        await asyncio.sleep(0)
        assert (heard, statuses) == ([], [503])
        entrance.open([("upload", app)])
        await asyncio.gather(*waiting)
        assert heard == [[(b"traceparent", b"a-stranger")]]

    asyncio.run(main())
