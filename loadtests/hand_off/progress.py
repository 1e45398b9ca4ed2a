"""A line about a load run every other second, on standard error."""

import sys
import time

import gevent

from hand_off.run import STAGE_TYPE, Run
from phrasim.load.account import ACKNOWLEDGED

EVERY_SECONDS = 2.0


def show_progress(run: Run) -> None:
    """Until the run is over; on a terminal each line takes the place of the one before."""
    terminal = sys.stderr.isatty()
    while not run.over and run.environment.runner is not None and run.environment.runner.state != "stopped":
        sys.stderr.write(f"\r\033[K{_line(run)}" if terminal else f"{_line(run)}\n")
        sys.stderr.flush()
        gevent.sleep(EVERY_SECONDS)
    if terminal:
        sys.stderr.write("\r\033[K")


def _line(run: Run) -> str:
    stats, account = run.environment.stats, run.account
    users = run.environment.runner.user_count if run.environment.runner else 0
    words = [f"{time.time() - run.began:4.0f} s", "draining" if run.draining else f"{users} users"]
    words.append(f"{account.acknowledged} of {account.committed} commits acknowledged")
    entry = stats.entries.get((ACKNOWLEDGED, STAGE_TYPE))
    if entry is not None and entry.num_requests:
        words.append(f"p95 {ACKNOWLEDGED} {entry.get_response_time_percentile(0.95):.0f} ms")
    failures = sum(one.num_failures for (_, kind), one in stats.entries.items() if kind != STAGE_TYPE)
    words.append(f"{failures} failed requests")
    if run.queues:
        words += [f"{name} {depth}" for name, depth in run.queues[-1][1].items() if depth]
    return "   ".join(words)
