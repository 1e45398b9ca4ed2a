"""When the broker has to be called next: one deadline for each queue that has one.

Knows queues only as things with a serial number; the time is whole nanoseconds on the run's clock.
"""

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from phrasim.broker.queue import Queue

STALE_ENTRIES_MIN = 64
"""Heap entries that may be out of date before they are swept, besides one for each queue with a deadline."""


class Deadlines:
    """A heap of (time, queue), in which an entry counts only while the queue still has that deadline.

    A queue's deadline changes far more often than it is reached, so old entries are left lying and swept when
    they outnumber the others.
    """

    __slots__ = ("_current", "heap")

    def __init__(self) -> None:
        self.heap: list[tuple[int, int, Queue]] = []
        self._current: dict[Queue, int] = {}

    def set(self, queue: "Queue", time: int | None) -> None:
        """Make `time` the deadline of `queue`, instead of any it had; None for no deadline."""
        if self._current.get(queue) == time:
            return
        if time is None:
            del self._current[queue]
        else:
            self._current[queue] = time
            heappush(self.heap, (time, queue.serial, queue))
        if len(self.heap) > 2 * len(self._current) + STALE_ENTRIES_MIN or not self._current:
            self.heap = [(at, queue.serial, queue) for queue, at in self._current.items()]
            heapify(self.heap)

    def next(self) -> int | None:
        """The earliest deadline, or None."""
        while self.heap:
            time, _, queue = self.heap[0]
            if self._current.get(queue) == time:
                return time
            heappop(self.heap)
        return None

    def take_due(self, now: int) -> "Queue | None":
        """A queue whose deadline is at or before `now`, which then has none any more; None when none is due."""
        time = self.next()
        if time is None or time > now:
            return None
        _, _, queue = heappop(self.heap)
        del self._current[queue]
        return queue
