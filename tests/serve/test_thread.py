"""The thread on which a landscape is served leaves nothing half done."""

import asyncio

import pytest

from phrasim.serve import thread as module
from phrasim.serve.thread import open_server_thread


def test_what_libraries_have_to_tidy_up_is_done_before_the_end() -> None:
    done: list[str] = []

    async def second() -> None:
        done.append("second")

    async def first() -> None:
        await asyncio.sleep(0)
        done.append("first")
        tasks.append(asyncio.create_task(second()))

    tasks: list[asyncio.Task[None]] = []
    with open_server_thread() as thread:
        thread.look(lambda: tasks.append(asyncio.create_task(first())))
    assert done == ["first", "second"]


def test_what_takes_too_long_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_SECONDS", 0.01)
    tasks: list[asyncio.Task[None]] = []

    async def endless() -> None:
        await asyncio.Event().wait()

    with open_server_thread() as thread:
        thread.look(lambda: tasks.append(asyncio.create_task(endless())))
    assert tasks[0].cancelled()
