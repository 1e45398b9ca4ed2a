"""Protocol time: the one clock of a run, and the event loop on which it jumps.

In-process a run lives on `SimulatedLoop`: when nobody is ready, time jumps to the next timer, so an hour of polling
costs what its requests cost. asyncio's own waits (`asyncio.sleep`, `asyncio.timeout`, `wait_for`) follow, since they
read the loop's time. Nothing here knows HTTP, AMQP or a participant.
"""

import asyncio
import math
import selectors
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, TypeVarTuple

_Result = TypeVar("_Result")
_Args = TypeVarTuple("_Args")

NANOSECONDS = 1_000_000_000
"""Nanoseconds in a second."""

SIMULATED_EPOCH = datetime(2019, 5, 15, 14, 13, 54, tzinfo=UTC)
"""Where simulated runs start: the `createdAt` of the document's example, so that traces never read the wall clock."""

TURNS_PER_INSTANT_MAX = 1_000_000
"""Turns of the loop at one simulated instant that are taken for a live-lock. A 1 GiB upload takes some 50,000."""


_WIND_UP_SECONDS = 0.05
"""Real time for which the loop of a run that used threads waits at most before it looks around again."""


class SimulationError(RuntimeError):
    """The simulated loop cannot go on: the run that it carries is at fault, not the protocol."""


class DeadlockError(SimulationError):
    """Nobody is ready and no timer is set: every task waits for another."""


class LiveLockError(SimulationError):
    """Tasks keep each other busy, and time cannot pass."""


class ThreadRefusedError(SimulationError):
    """A thread was used: while it works, time would jump past every time-out."""


class _JumpingSelector(selectors.DefaultSelector):
    """Asks the system for ready files, never waits, and moves the loop's time where a wait would have been."""

    def __init__(self, loop: "SimulatedLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if self._loop.refused:
            # The run has failed and is being taken down. The threads that it must wait for work in real time.
            return super().select(_WIND_UP_SECONDS if timeout is None else min(timeout, _WIND_UP_SECONDS))
        ready = super().select(0)
        if ready or timeout == 0:
            self._loop.stay()
        else:
            self._loop.jump(timeout)
        return ready


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop whose time starts at 0 and jumps to the next timer when nobody is ready.

    Raises `DeadlockError`, `LiveLockError` or `ThreadRefusedError` out of `run_until_complete`, with the pending tasks
    in the message.
    """

    def __init__(self, *, turns_per_instant_max: int = TURNS_PER_INSTANT_MAX) -> None:
        self._now_ns = 0
        self._turns = 0
        self._turns_max = turns_per_instant_max
        self._thread = threading.get_ident()
        self._foreign_call: str | None = None
        self.refused = False
        self._threads_known = _working_threads()
        super().__init__(_JumpingSelector(self))
        self._tell_resolution()

    def time(self) -> float:
        """Seconds since the loop was made; whole nanoseconds for the first hundred days."""
        return self._now_ns / NANOSECONDS

    def stay(self) -> None:
        """Count a turn at this instant; `LiveLockError` when there were too many."""
        self._refuse_threads()
        self._turns += 1
        if self._turns > self._turns_max:
            turns, self._turns = self._turns, 0
            raise LiveLockError(
                f"{turns} turns of the loop and time still stands at {self.time():.9f} s: tasks keep each other busy.\n"
                + _pending(self)
            )

    def jump(self, seconds: float | None) -> None:
        """Move time on by `seconds`, where the next timer is; `DeadlockError` when there is none (None)."""
        self._refuse_threads()
        started = [thread.name for thread in _working_threads() - self._threads_known]
        if started:
            self.refused = True
            raise ThreadRefusedError(
                f"time cannot pass while threads work ({', '.join(sorted(started))}): on simulated time everything "
                "runs on the loop.\n" + _pending(self)
            )
        if seconds is None:
            raise DeadlockError(
                f"nobody is ready and no timer is set at {self.time():.9f} s: these tasks wait for each other.\n"
                + _pending(self)
            )
        # At least 1 ns: a timer nearer than that would be polled for ever.
        self._now_ns += max(1, round(seconds * NANOSECONDS))
        self._turns = 0
        self._tell_resolution()

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002
        func: Callable[[*_Args], _Result],
        *args: *_Args,  # noqa: ARG002
    ) -> asyncio.Future[_Result]:
        """Refused: a pending thread would let time jump past every time-out."""
        raise ThreadRefusedError(
            f"{getattr(func, '__qualname__', func)!r} was handed to a thread: on simulated time everything runs on the "
            "loop (files are read and written there in bounded chunks, endpoints are async)"
        )

    def call_soon_threadsafe(
        self, callback: Callable[[*_Args], object], *args: *_Args, context: Context | None = None
    ) -> asyncio.Handle:
        """As asyncio's, from the loop's own thread; from another one it fails the run."""
        if threading.get_ident() != self._thread:
            self._foreign_call = threading.current_thread().name
        return super().call_soon_threadsafe(callback, *args, context=context)

    def _tell_resolution(self) -> None:
        """Tell asyncio how near a timer has to be to be due; with the system's 1 ns one could come early.

        After seven weeks half a nanosecond is less than what a float of seconds can tell.
        """
        self._clock_resolution = max(0.5 / NANOSECONDS, math.ulp(self.time()))

    def _refuse_threads(self) -> None:
        if self._foreign_call is not None:
            self.refused = True
            raise ThreadRefusedError(
                f"thread {self._foreign_call!r} called into the simulated loop: everything runs on the loop"
            )


class Clock:
    """Protocol time as the participants see it: nanoseconds since the run began, and the date that they stand for.

    On a `SimulatedLoop` it jumps; on any other loop it is real time. Only waits of the protocol use it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, epoch: datetime = SIMULATED_EPOCH) -> None:
        self._loop = loop
        self._start = loop.time()
        self.epoch = epoch

    def now_ns(self) -> int:
        """Whole nanoseconds since the run began."""
        return round((self._loop.time() - self._start) * NANOSECONDS)

    def now(self) -> datetime:
        """The date and time in UTC."""
        return self.epoch + timedelta(microseconds=self.now_ns() // 1000)

    async def sleep(self, seconds: float) -> None:
        """Wait for `seconds` of protocol time."""
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        """A context that raises `TimeoutError` when its body takes longer than `seconds` (None: never)."""
        return asyncio.timeout(seconds)

    def call_at(self, at_ns: int, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Call `callback` at `at_ns` nanoseconds since the run began; the handle can be cancelled."""
        return self._loop.call_at(self._start + at_ns / NANOSECONDS, callback)


def run_simulated(main: Coroutine[Any, Any, _Result], *, turns_per_instant_max: int = TURNS_PER_INSTANT_MAX) -> _Result:
    """Run `main` to its end on a new simulated loop and return its result.

    Raises what `main` raises, and `SimulationError` where the loop cannot go on.
    """

    def loop() -> SimulatedLoop:
        return SimulatedLoop(turns_per_instant_max=turns_per_instant_max)

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(main)


def _working_threads() -> frozenset[threading.Thread]:
    """The threads that a program waits for; watchdogs and the like are daemons and do no work of the run."""
    return frozenset(thread for thread in threading.enumerate() if not thread.daemon)


def _pending(loop: asyncio.AbstractEventLoop) -> str:
    lines = sorted(f"  {task.get_name()}: {_waits_at(task)}" for task in asyncio.all_tasks(loop))
    return "Pending tasks:\n" + "\n".join(lines) if lines else "No task is pending."


def _waits_at(task: "asyncio.Task[Any]") -> str:
    """Where a task waits: the innermost frame that still has a Python line."""
    place = "not started"
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            place = f"{frame.f_code.co_qualname} ({frame.f_code.co_filename}:{frame.f_lineno})"
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return place
