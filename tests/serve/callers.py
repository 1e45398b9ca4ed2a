"""Landscapes for tests: on the test's own loop, or a whole `phrasim serve`; no answer of the control API escapes."""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import uvloop

from phrasim.documents import specification
from phrasim.page.app import with_page
from phrasim.serve.control import control_app
from phrasim.serve.landscape import CONTROL, Landscape, Plan, open_landscape
from phrasim.serve.landscapes import Landscapes
from phrasim.serve.sockets import bind_all

SECONDS_MAX = 20
"""Real time that anything in these tests may take to happen."""


async def hold_to_control_yaml(response: httpx.Response) -> None:
    """An event hook of a client at the control port: what it is answered is what `control.yaml` says."""
    request = response.request
    found = specification("control.yaml").match(request.method, request.url.path)
    if found is None or request.url.params.get("follow") == "true":
        return
    await response.aread()
    operation = found[0]
    media_type = response.headers.get("content-type")
    is_json = media_type is not None and "jsonl" not in media_type
    value = response.json() if is_json else response.text
    assert operation.response_violations(response.status_code, media_type, value) == [], response.text
    if media_type == "application/problem+json":
        assert value["status"] == response.status_code
    if not operation.answers[response.status_code].bodies:
        assert response.content == b""


def control_client(url: str) -> httpx.AsyncClient:
    hooks = {"response": [hold_to_control_yaml]}
    return httpx.AsyncClient(
        base_url=f"{url}/_phrasim", event_hooks=hooks, trust_env=False, verify=False, timeout=SECONDS_MAX
    )


async def until(found: Callable[[], Awaitable[Any]]) -> Any:
    """What `found` finds, as soon as it finds something."""
    async with asyncio.timeout(SECONDS_MAX):
        while not (value := await found()):
            await asyncio.sleep(0.005)
        return value


@dataclass(frozen=True, slots=True)
class Suite:
    """A caller from outside, at a landscape that it knows by its description alone."""

    described: dict[str, Any]
    control: httpx.AsyncClient
    """The control API, with `/_phrasim` left out of the paths."""
    http: httpx.AsyncClient

    @property
    def publisher(self) -> dict[str, Any]:
        user: dict[str, Any] = self.described["users"][0]
        return user

    @property
    def bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.publisher['token']}"}

    def url(self, service: str, path: str) -> str:
        return f"{self.described[service]['url']}{path}"

    async def state(self) -> dict[str, Any]:
        state: dict[str, Any] = (await self.control.get("/state")).json()
        return state

    async def events(self, after: int | None = None) -> list[dict[str, Any]]:
        answer = await self.control.get("/journal", params={} if after is None else {"after": str(after)})
        assert answer.status_code == 200, answer.text
        return [msgspec.json.decode(line) for line in answer.content.splitlines()][1:]

    async def upload(self, content: bytes, name: str = "test.bin") -> str:
        answer = await self.http.post(
            self.url("upload", "/assets"), headers=self.bearer, files={"file": (name, content)}
        )
        assert answer.status_code == 201, answer.text
        asset: str = answer.json()["id"]
        return asset

    async def commit(self, *contents: bytes, **form_data: Any) -> str:
        """Upload files and commit them; the id of the commit."""
        before = [commit["id"] for commit in (await self.state())["commits"]]
        files = [await self.upload(content) for content in contents]
        answer = await self.http.post(
            self.url("upload", "/commit"), headers=self.bearer, json={"files": files, "formData": form_data}
        )
        assert answer.status_code == 200, answer.text
        (made,) = [one["id"] for one in (await self.state())["commits"] if one["id"] not in before]
        return str(made)

    async def acknowledged(self, commits: int = 1) -> dict[str, Any]:
        """The state as soon as so many commits are acknowledged."""

        async def found() -> dict[str, Any] | None:
            state = await self.state()
            return state if sum(commit["acknowledged"] for commit in state["commits"]) == commits else None

        state: dict[str, Any] = await until(found)
        return state


@asynccontextmanager
async def suite(described: dict[str, Any]) -> AsyncIterator[Suite]:
    async with (
        control_client(described["control"]["url"]) as control,
        httpx.AsyncClient(trust_env=False, verify=False) as http,
    ):
        yield Suite(described, control, http)


@dataclass(frozen=True, slots=True)
class Served:
    """A landscape on the test's loop, as `phrasim serve` has it, and a caller from outside."""

    landscape: Landscape
    landscapes: Landscapes
    suite: Suite
    folder: Path


@asynccontextmanager
async def open_served(plan: Plan, host: str = "127.0.0.1") -> AsyncIterator[Served]:
    with tempfile.TemporaryDirectory() as folder:
        listeners = bind_all(host, dict.fromkeys((*plan.played, CONTROL), (0, "--port")))
        async with open_landscape(plan, listeners, Path(folder) / "landscape") as landscape:
            landscapes = Landscapes(host, Path(folder), lambda one: with_page(one, control_app(one, None)))
            landscape.mount_control(with_page(landscape, control_app(landscape, landscapes)))
            try:
                async with suite(landscape.description()) as caller:
                    yield Served(landscape, landscapes, caller, Path(folder))
            finally:
                await landscapes.close()


Main = Callable[[Served], Awaitable[Any]]


def run_served(main: Main, plan: Plan | None = None, *, host: str = "127.0.0.1") -> Any:
    async def run() -> Any:
        async with open_served(plan or Plan(), host) as served:
            return await main(served)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run())


@contextmanager
def server_process(*options: str) -> Iterator[tuple[dict[str, Any], int]]:
    """`phrasim serve` with these options on free ports: what it prints, and its process id. It ends in order."""
    names = ("upload", "phraseanet", "auth", "control", "amqp")
    ports = [part for name in names for part in (f"--{name}-port", "0")]
    command = [
        sys.executable,
        "-c",
        "from phrasim.cli import main; main()",
        "serve",
        *ports,
        "--print",
        "json",
        *options,
    ]
    # Not measured for coverage, which would take most of the time; what it covers, others in this process do too.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment)
        assert process.stdout is not None
        try:
            described = process.stdout.readline()
            if not described:
                errors.seek(0)
                pytest.fail(f"phrasim serve ended with {process.wait(SECONDS_MAX)} and said {errors.read()!r}")
            yield msgspec.json.decode(described), process.pid
        finally:
            process.terminate()
            process.stdout.read()
            process.stdout.close()
            ended = process.wait(SECONDS_MAX)
        errors.seek(0)
        assert (ended, errors.read()) == (0, b"")
