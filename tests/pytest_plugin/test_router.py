"""The respx router."""

import httpx
import pytest
import respx
from respx.models import AllMockedAssertionError

from phrasim.pytest_plugin.landscape import Landscape
from phrasim.pytest_plugin.router import LandscapeRouter
from phrasim.pytest_plugin.view import UsageError


def test_a_sync_client_reaches_the_simulators(phrasim_landscape: Landscape, phrasim_router: LandscapeRouter) -> None:
    with httpx.Client(base_url=phrasim_landscape.upload.url, headers=phrasim_landscape.publisher.headers) as user:
        asset = user.post("/assets", files={"file": ("a.txt", b"one")}).json()["id"]
        user.post("/commit", json={"files": [asset], "formData": {}}).raise_for_status()
    phrasim_landscape.wait_for("acknowledgeCommit")
    phrasim_landscape.conforms()
    assert phrasim_router["upload"].call_count == 2
    assert not phrasim_router["phraseanet"].called  # the simulators do not talk through it


def test_an_async_client_reaches_the_simulators_within_run(
    phrasim_landscape: Landscape, phrasim_router: LandscapeRouter
) -> None:
    async def main() -> int:
        async with httpx.AsyncClient() as client:
            return (await client.get(f"{phrasim_landscape.upload.url}/commits")).status_code

    assert phrasim_landscape.run(main()) == 401
    assert phrasim_router["upload"].called


def test_downloads_stream_and_time_outs_are_met(phrasim_landscape: Landscape, phrasim_router: LandscapeRouter) -> None:
    commit = phrasim_landscape.add_commit({"large": bytes(1_000_000)})
    url = f"{phrasim_landscape.upload.url}/assets/{commit.assets[0].id}/download"
    token = {"authorization": f"AssetToken {commit.token}"}
    with httpx.stream("GET", url, headers=token) as response:
        lengths = [len(part) for part in response.iter_raw()]
    assert sum(lengths) == 1_000_000
    assert len(lengths) > 1
    phrasim_landscape.fault("downloadAsset", cutBody={"after": "64 KiB"}, occurrences=[1])
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.get(url, headers=token)
    phrasim_landscape.fault("downloadAsset", dropReply=True)
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(url, headers=token, timeout=7)


def test_other_urls_are_refused_until_the_test_mocks_them(phrasim_router: LandscapeRouter) -> None:
    with pytest.raises(AllMockedAssertionError):
        httpx.get("https://example.org/")
    phrasim_router.get("https://example.org/").respond(204)
    assert httpx.get("https://example.org/").status_code == 204
    with pytest.raises(AllMockedAssertionError):
        httpx.get("https://upload.test.example.org/")


def test_a_sync_client_on_a_running_loop_is_told_what_to_do(
    phrasim_landscape: Landscape, phrasim_router: LandscapeRouter
) -> None:
    async def main() -> None:
        httpx.get(phrasim_landscape.upload.url + "/commits")  # noqa: ASYNC210 - that is the mistake

    with pytest.raises(UsageError, match=r"take an httpx.AsyncClient there"):
        phrasim_landscape.run(main())


@pytest.mark.anyio
@pytest.mark.usefixtures("phrasim_router")
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_async_client_on_another_loop_is_told_what_to_do(anyio_backend: str) -> None:
    async with httpx.AsyncClient() as client:
        with pytest.raises(UsageError, match=r"run it by phrasim_landscape.run"):
            await client.get("https://upload.test/commits")


def test_the_router_is_one_of_respx(phrasim_router: LandscapeRouter) -> None:
    assert isinstance(phrasim_router, respx.MockRouter)
    assert [route.name for route in phrasim_router.routes] == ["upload", "phraseanet", "auth"]
