"""The simulated loop: time that jumps, and what it refuses (threads, deadlock, live-lock)."""

import asyncio
import threading
import time
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from phrasim.clock import Clock, DeadlockError, LiveLockError, ThreadRefusedError, run_simulated


def test_an_hour_of_sleep_takes_no_real_time_and_ends_at_the_exact_nanosecond() -> None:
    async def main() -> int:
        clock = Clock(asyncio.get_running_loop())
        await clock.sleep(3600)
        return clock.now_ns()

    began = time.monotonic()
    assert run_simulated(main()) == 3_600_000_000_000
    assert time.monotonic() - began < 5


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=8))
@example([32, 33])
def test_timers_fire_in_the_order_of_their_times_and_never_early(delays_ns: list[int]) -> None:
    async def main() -> list[tuple[int, int]]:
        clock = Clock(asyncio.get_running_loop())
        fired: list[tuple[int, int]] = []
        for delay_ns in delays_ns:
            clock.call_at(delay_ns, lambda due=delay_ns: fired.append((due, clock.now_ns())))  # type: ignore[misc]
        await clock.sleep(1001)
        return fired

    fired = run_simulated(main())
    assert [due for due, _ in fired] == sorted(delays_ns)
    assert all(0 <= at - due <= 2 for due, at in fired)


def test_a_timeout_of_asyncio_strikes_on_simulated_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(86_400), timeout=90)
        return asyncio.get_running_loop().time()

    assert run_simulated(main()) == 90


def test_the_clock_tells_the_date_that_the_documents_example_bears() -> None:
    async def main() -> tuple[datetime, datetime]:
        clock = Clock(asyncio.get_running_loop())
        before = clock.now()
        await clock.sleep(61.5)
        return before, clock.now()

    assert run_simulated(main()) == (
        datetime(2019, 5, 15, 14, 13, 54, tzinfo=UTC),
        datetime(2019, 5, 15, 14, 14, 55, 500_000, tzinfo=UTC),
    )


def test_a_deadlock_is_an_error_that_names_who_waits_and_where() -> None:
    async def waits_for_godot() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        await asyncio.sleep(2)
        await asyncio.create_task(waits_for_godot(), name="vladimir")

    with pytest.raises(DeadlockError) as caught:
        run_simulated(main())
    message = str(caught.value)
    assert "no timer is set at 2.000000000 s" in message
    assert "vladimir: " in message
    assert "test_clock.py" in message or "locks.py" in message


def test_a_live_lock_is_an_error_that_names_who_keeps_busy() -> None:
    async def ping() -> None:
        while True:
            await asyncio.sleep(0)

    async def main() -> None:
        await asyncio.create_task(ping(), name="ping")

    with pytest.raises(LiveLockError) as caught:
        run_simulated(main(), turns_per_instant_max=500)
    assert "time still stands at 0.000000000 s" in str(caught.value)
    assert "ping: " in str(caught.value)


def test_many_turns_are_no_live_lock_while_time_passes() -> None:
    async def main() -> float:
        for _ in range(2000):
            await asyncio.sleep(0.001)
        return asyncio.get_running_loop().time()

    assert run_simulated(main(), turns_per_instant_max=50) == pytest.approx(2)


def test_handing_work_to_a_thread_is_refused_with_its_name() -> None:
    async def main() -> None:
        await asyncio.to_thread(time.sleep, 0)

    with pytest.raises(ThreadRefusedError) as caught:
        run_simulated(main())
    assert "sleep" in str(caught.value)
    assert "async" in str(caught.value)


def test_a_call_from_another_thread_fails_the_run() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        stranger = threading.Thread(target=lambda: loop.call_soon_threadsafe(lambda: None), name="stranger")
        stranger.start()
        stranger.join()
        await asyncio.sleep(1)

    with pytest.raises(ThreadRefusedError) as caught:
        run_simulated(main())
    assert "'stranger'" in str(caught.value)


def test_time_does_not_pass_while_a_thread_works() -> None:
    release = threading.Event()
    worker = threading.Thread(target=release.wait, name="slow worker")

    async def main() -> None:
        worker.start()
        await asyncio.sleep(1)

    try:
        with pytest.raises(ThreadRefusedError) as caught:
            run_simulated(main())
    finally:
        release.set()
        worker.join()
    assert "slow worker" in str(caught.value)


def test_what_the_main_coroutine_raises_comes_out_as_it_is() -> None:
    async def main() -> None:
        raise KeyError("as it is")

    with pytest.raises(KeyError) as caught:
        run_simulated(main())
    assert caught.value.args == ("as it is",)


def test_a_clock_on_another_loop_tells_real_time() -> None:
    async def main() -> tuple[int, int]:
        clock = Clock(asyncio.get_running_loop())
        before = clock.now_ns()
        with pytest.raises(TimeoutError):
            async with clock.timeout(0.01):
                await asyncio.Event().wait()
        return before, clock.now_ns()

    before, after = asyncio.run(main())
    assert before < 10_000_000 <= after
