"""The whole command `phrasim run scenarios/push.yaml` takes at most 2.5 times as long as importing what it stands on.

The yardstick is `python -c "import starlette.applications, httpx, yaml"`. Both are processes of their own, run in turn
with standard output to /dev/null; the figure is the ratio of their medians. The bytecode of both comes from a folder of
the benchmark's own, which a first round fills that is not counted: otherwise a checkout whose environment writes no
bytecode would be measured with its compilation, and the installed yardstick without.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

from figure import Figure, spread
from play import SCENARIOS

ROUNDS = 21
BAR = 2.5

# As the console script does, which need not be on the path.
_COMMAND = "import sys; from phrasim.cli import main; sys.exit(main())"


def figures() -> list[Figure]:
    command = [sys.executable, "-c", _COMMAND, "run", str(SCENARIOS / "push.yaml")]
    yardstick = [sys.executable, "-c", "import starlette.applications, httpx, yaml"]
    command_ms, yardstick_ms = [], []
    with tempfile.TemporaryDirectory(prefix="phrasim-benchmark-") as bytecode:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        environment["PYTHONPYCACHEPREFIX"] = bytecode
        _wall_ms(command, environment)
        _wall_ms(yardstick, environment)
        for _ in range(ROUNDS):
            command_ms.append(_wall_ms(command, environment))
            yardstick_ms.append(_wall_ms(yardstick, environment))
    ratio = statistics.median(command_ms) / statistics.median(yardstick_ms)
    aside = f"command {spread(command_ms, 'ms')}; imports {spread(yardstick_ms, 'ms')}"
    return [Figure("`phrasim run push.yaml`, against the imports", ratio, BAR, "×", aside)]


def _wall_ms(command: list[str], environment: dict[str, str]) -> float:
    begin = time.perf_counter_ns()
    # From another folder: `-c` puts the working directory on the path, and a file there may bear a module's name.
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, cwd=sys.prefix, env=environment)
    return (time.perf_counter_ns() - begin) / 1e6
