"""The verdict of a load run: what Locust has counted and what the account says, held to the objectives."""

import sys
import time
from collections.abc import Callable, Mapping
from functools import partial

from locust.stats import StatsEntry

from hand_off.options import Settings
from hand_off.run import STAGE_TYPE, Run
from phrasim.journal.lines import write_trace
from phrasim.load.account import STAGES
from phrasim.load.objectives import Figures
from phrasim.load.result import LoadResult, Stage
from phrasim.report.load import load_json, load_junit, load_lines

Verdict = LoadResult


def verdict_of(run: Run) -> LoadResult:
    """The result as it is now."""
    entries = run.environment.stats.entries
    stages = {name: entry for (name, kind), entry in entries.items() if kind == STAGE_TYPE}
    requests = {name: entry for (name, kind), entry in entries.items() if kind != STAGE_TYPE}
    loaded_until = min(time.time(), run.began + run.settings.duration)
    seconds = max(run.last_seen, loaded_until, run.began + 0.001) - run.began
    # While a run drains there are requests, though nothing comes of them.
    asking = max([seconds, *((entry.last_request_timestamp or 0) - run.began for entry in requests.values())])
    rates = {
        "requests per second": sum(entry.num_requests for entry in requests.values()) / asking,
        "hand-offs per second": run.account.acknowledged / seconds,
        "bytes per second": run.downloaded_bytes / seconds,
    }
    counted = {name: (entry.num_requests, entry.num_failures) for name, entry in requests.items()}
    figures = Figures({name: _statistic(entry) for name, entry in (stages | requests).items()}, counted, rates)
    return LoadResult(
        seconds=seconds,
        counts=run.account.counts(),
        violations=run.account.violations() if run.over else [],
        objectives=[objective.judge(figures) for objective in run.objectives],
        stages={name: _stage(stages[name]) for name in STAGES if name in stages},
        requests=counted,
        rates=rates,
        queues=run.queues,
        unjudged=_unjudged(run, counted),
    )


def _unjudged(run: Run, counted: Mapping[str, tuple[int, int]]) -> list[str]:
    """Why the account says nothing, or not all."""
    found = list(run.blind)
    if not run.over:
        ended = "it was ended there" if run.blind else "it was stopped before its end"
        found.append(f"{ended}, with {run.under_way} hand-offs under way")
    elif not run.account.committed:
        failed = ", ".join(f"{name} failed {bad} of {asked} times" for name, (asked, bad) in counted.items() if bad)
        found.append(f"no commit was made{': ' if failed else ''}{failed}")
    return found


def _statistic(entry: StatsEntry) -> Callable[[str], float]:
    return partial(_seconds, entry)


def _seconds(entry: StatsEntry, statistic: str) -> float:
    """Of the times that Locust has: median and percentiles of whole milliseconds, from 100 ms on of two digits."""
    match statistic:
        case "median":
            found: float = entry.median_response_time
        case "mean":
            found = entry.avg_response_time
        case "max":
            found = entry.max_response_time
        case _:
            found = entry.get_response_time_percentile(float(statistic[1:]) / 100)
    # Least and longest are not rounded.
    return min(max(found, entry.min_response_time or 0), entry.max_response_time) / 1000


def _stage(entry: StatsEntry) -> Stage:
    times = [_seconds(entry, statistic) for statistic in ("median", "p95", "max")]
    return Stage(entry.num_requests, *times)


def tell(result: LoadResult) -> None:
    """Print it."""
    sys.stdout.write("".join(f"{line}\n" for line in load_lines(result)))
    sys.stdout.flush()


def write(result: LoadResult, settings: Settings) -> None:
    """To the files that are asked for, each as a whole or not at all. Raises OSError."""
    for path, content in ((settings.result, load_json), (settings.junit, load_junit)):
        if path is not None:
            write_trace(path, content(result))
