"""Something open that outlives the call that opened it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from phrasim.testbed.held import Held


def test_what_cannot_be_opened_is_raised_by_the_opening() -> None:
    @asynccontextmanager
    async def opening() -> AsyncIterator[None]:
        raise LookupError("no such thing")
        yield

    with pytest.raises(LookupError, match="no such thing"):
        asyncio.run(Held.opened(opening(), "nothing"))


def test_the_context_is_left_by_the_task_that_entered_it() -> None:
    @asynccontextmanager
    async def opening() -> AsyncIterator[str]:
        async with asyncio.TaskGroup():
            yield "open"

    async def main() -> str:
        held = await asyncio.create_task(Held.opened(opening(), "a group"))
        await held.close()
        return held.thing

    assert asyncio.run(main()) == "open"
