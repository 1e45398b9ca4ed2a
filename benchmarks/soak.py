"""A long load of hand-offs on `phrasim serve --retain 60s`: its memory in the last minute at most 1.05 x the second's.

`python benchmarks/soak.py [--minutes 10] [--rate 100] [--size '64 KiB']`. Server and load are pinned to one core each;
the journal is written to disk; the load run keeps the account of every commit. Not among the others, which take
seconds: exit code 0 where the bar and the account are held, 1 where one is not.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figure import HEADING, Figure, spread
from served import served_apart

from phrasim.documents.locations import locustfile

BAR = 1.05
RETAIN = "60s"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rate", type=float, default=100, help="Hand-offs per second.")
    parser.add_argument("--size", default="64 KiB", help="Of each of the two files of a commit.")
    asked = parser.parse_args()
    if asked.minutes < 2:
        parser.error(f"--minutes {asked.minutes:g}: the last minute is held to the second one; write 2 or more")
    with tempfile.TemporaryDirectory(prefix="phrasim-benchmark-") as folder:
        with served_apart("--retain", RETAIN, "--trace", f"{folder}/journal.jsonl") as server:
            landscape = Path(folder) / "landscape.json"
            landscape.write_text(json.dumps(server.landscape))
            load = subprocess.Popen(_locust(landscape, asked))
            samples = []
            while load.poll() is None:
                samples.append((time.monotonic(), server.memory_mib()))
                time.sleep(1)
        journal = Path(folder, "journal.jsonl").stat().st_size / 1024**2
    began = samples[0][0]
    minutes = [
        [mib for at, mib in samples if minute * 60 <= at - began < minute * 60 + 60]
        for minute in range(int(asked.minutes))
    ]
    medians = [statistics.median(one) for one in minutes]
    aside = f"{spread(minutes[-1], 'MiB')} at last; by minutes {', '.join(f'{one:.0f}' for one in medians)}"
    figure = Figure("memory, last minute / second minute", medians[-1] / medians[1], BAR, "x", aside)
    print(HEADING)
    print(figure.row())
    print(f"the journal on disk has {journal:.0f} MiB; the load run ended with exit code {load.returncode}")
    return 0 if figure.held and load.returncode == 0 else 1


def _locust(landscape: Path, asked: argparse.Namespace) -> list[str]:
    words = ["--headless", "--only-summary", "-L", "WARNING", "-u", "50", "-r", "50", "--landscape", str(landscape)]
    words += [
        "--duration",
        f"{asked.minutes} min",
        "--rate",
        str(asked.rate),
        "--sizes",
        asked.size,
        "--retain",
        RETAIN,
    ]
    return [sys.executable, "-m", "locust", "-f", str(locustfile()), *words]


if __name__ == "__main__":
    sys.exit(main())
