"""The events of a page, read as a browser reads them (HTML, §9.2)."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True, slots=True)
class Told:
    event: str
    data: Any


class Feed:
    """What a feed has told so far."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()
        self.told: list[Told] = []

    async def next(self) -> Told | None:
        """The next event; None at the end."""
        event = ""
        async for line in self._lines:
            name, _, value = line.partition(": ")
            if name == "event":
                event = value
            elif name == "data":
                self.told.append(Told(event, json.loads(value)))
                return self.told[-1]
        return None

    async def until(self, event: str) -> Told:
        """The next event of that name."""
        while (told := await self.next()) is not None:
            if told.event == event:
                return told
        raise AssertionError(f"the feed ended without {event!r}")

    @property
    def rows(self) -> dict[int, dict[str, Any]]:
        """The rows as a page has them: since the last beginning, each as it was told last."""
        rows: dict[int, dict[str, Any]] = {}
        for one in self.told:
            if one.event == "begin":
                rows = {}
            elif one.event == "rows":
                rows |= {row["n"]: row for row in one.data}
        return rows


@asynccontextmanager
async def feed_of(url: str) -> AsyncIterator[Feed]:
    """The feed of the page at that control port."""
    async with (
        httpx.AsyncClient(trust_env=False, timeout=20) as client,
        client.stream("GET", f"{url}/page/feed") as response,
    ):
        assert response.headers["content-type"].partition(";")[0] == "text/event-stream"
        yield Feed(response)
