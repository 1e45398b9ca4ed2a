"""Measures what is named, or everything, and prints a Markdown table: `python benchmarks/run.py [NAME…]`.

Each module named here tells what it measures, and its bar. Exit code 0 where every bar is held, 1 where one is missed,
2 for an unknown name.
"""

import sys

import amqp_rabbitmq
import command
import hand_offs
import http_assets
import large_asset
import live_page
import memory
import pull
import push
import serve_start
import served_large
import verify
from figure import HEADING

BENCHMARKS = {
    "push": push,
    "pull": pull,
    "command": command,
    "large_asset": large_asset,
    "serve_start": serve_start,
    "served_large": served_large,
    "http_assets": http_assets,
    "hand_offs": hand_offs,
    "memory": memory,
    "live_page": live_page,
    "amqp_rabbitmq": amqp_rabbitmq,
    "verify": verify,
}


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in BENCHMARKS]
    if unknown:
        print(f"there is no benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    print(HEADING, flush=True)
    held = True
    for name in names or BENCHMARKS:
        for figure in BENCHMARKS[name].figures():
            print(figure.row(), flush=True)
            held = held and figure.held
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
