"""What happens in a landscape, as server-sent events for its page: rows of messages, and how the participants are.

`begin` says that all rows before are gone; `rows` brings new rows and changed ones; `state` is the participants as
they are now. Each reader has a reading of the journal of its own, and costs nothing once it has left.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from phrasim.documents import secret_fields
from phrasim.journal.events import Event
from phrasim.journal.lines import LineWriter
from phrasim.journal.recorder import JOURNAL_EVENTS_MAX, EventsForgotten
from phrasim.page.fragments import loose_assets, row, state, title_of
from phrasim.report.html.entries import Entries, Entry
from phrasim.report.html.queues import QueueHistories
from phrasim.serve.landscape import Landscape
from phrasim.serve.trace_header import trace_header

STATE_SECONDS = 0.5
"""How long after one another two looks at the participants are at the least."""

ROWS_PER_EVENT = 500
"""Rows that are sent at once: between two batches others have their turn."""

ROWS_MAX = 2 * JOURNAL_EVENTS_MAX
"""Rows after which a reading begins anew, with what the journal still keeps."""


async def feed(landscape: Landscape) -> AsyncIterator[bytes]:
    """The events of the page, until the landscape ends."""
    while True:
        reading = _Reading(landscape)
        try:
            async for told in reading.events():
                yield told
        except EventsForgotten:
            continue  # Too much happened at once; what is kept is read from its beginning.
        if reading.is_over:
            return


class _Reading:
    """One reading of the journal from the first event that is kept, until the landscape begins anew."""

    def __init__(self, landscape: Landscape) -> None:
        self._landscape = landscape
        self._testbed = landscape.testbed
        self._entries = Entries(landscape.network.contract)
        self._queues = QueueHistories(landscape.network.contract)
        self._writer = LineWriter(trace_header(landscape.plan), secret_fields())
        self._shown_state = ""
        self.is_over = False

    async def events(self) -> AsyncIterator[bytes]:
        """The events for the page. Raises `EventsForgotten`."""
        journal = self._landscape.network.journal
        yield _told("begin", {"title": title_of(self._landscape)})
        following = journal.follow(journal.first)
        more: asyncio.Task[list[Event]] | None = None
        try:
            while True:
                more = more or asyncio.ensure_future(_next(following))
                await asyncio.wait((more,), timeout=STATE_SECONDS)
                if self._landscape.testbed is not self._testbed or len(self._entries.all) > ROWS_MAX:
                    return
                if more.done():
                    events = more.result()
                    more = None
                    if not events:
                        self.is_over = True
                        return
                    async for told in self._rows(events):
                        yield told
                shown = await state(self._landscape, list(self._queues.all.values()))
                if shown != self._shown_state:
                    self._shown_state = shown
                    yield _told("state", {"html": shown, "loose": loose_assets(self._landscape)})
        finally:
            if more is not None:
                more.cancel()
                await asyncio.gather(more, return_exceptions=True)
            await following.aclose()

    async def _rows(self, events: list[Event]) -> AsyncIterator[bytes]:
        for at in range(0, len(events), ROWS_PER_EVENT):
            changed: dict[int, Entry] = {}
            for event in events[at : at + ROWS_PER_EVENT]:
                redacted = self._writer.redacted(event)
                self._queues.take(redacted)
                entry = self._entries.take(redacted)
                changed[entry.number] = entry
            yield _told("rows", [row(entry) for entry in changed.values()])
            await asyncio.sleep(0)


async def _next(following: AsyncIterator[list[Event]]) -> list[Event]:
    """What has happened since; nothing where the journal has ended."""
    return await anext(following, [])


def _told(event: str, data: Any) -> bytes:
    return f"event: {event}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode()
