"""The options that a load run has beside those of Locust; each is a field of its web page, too.

Locust hands options on to its workers, and takes them from its page, as texts and numbers: `settings_of` reads them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from phrasim.documents.quantity import typed_seconds
from phrasim.load.shapes import SHAPES
from phrasim.load.sizes import Sizes, read_sizes

BEGINNERS = ("Uploader", "Notifier")
COUNT_MAX = 1000
_Read = TypeVar("_Read")


@dataclass(frozen=True, slots=True)
class Settings:
    """The options, read. Times are in seconds; `rate` in hand-offs per second, None for one a second of each user."""

    landscape: Path
    shape: str
    duration: float
    rate: float | None
    assets: int
    sizes: Sizes
    scenario: Path | None
    mix: Mapping[str, int]
    consume: bool
    consumer_host: str
    consumer_port: int
    consumers: int
    interval: float
    patience: float
    retain: float | None
    slo: Path | None
    junit: Path | None
    result: Path | None
    seed: str
    ca: Path | None
    insecure: bool


def add_options(parser: Any) -> None:
    """To Locust's parser."""
    add = parser.add_argument  # Of a group of its own the page would show nothing.
    add("--landscape", required=True, metavar="FILE", help="What `phrasim serve --print json` prints.")
    add("--shape", choices=list(SHAPES), default="soak", help="How many users there are at a time.")
    add("--duration", default="60s", metavar="TIME", help="For how long hand-offs are begun; -t goes before it.")
    add("--rate", default="", metavar="N", help="Hand-offs that all begin in a second; 0: no pause. Else one a user.")
    add("--assets", default="2", metavar="N", help="Files of a commit.")
    add("--sizes", default="64 KiB", help="Of a file: one size, or percentiles: p50=64 KiB,p99=4 MiB.")
    add("--scenario", default="", metavar="FILE", help="Files and form data of a hand-off are those of this scenario.")
    add("--mix", default="Uploader=1", metavar="NAME=N,…", help="Weights of Uploader and Notifier.")
    add("--consume", action="store_true", help="Phraseanet's side is played here, by PushConsumer or PullConsumer.")
    add("--consumer-host", default="127.0.0.1", help="Where PushConsumer listens for notifications.")
    add("--consumer-port", default="8082", metavar="PORT", help="The port there.")
    add("--consumers", default="16", metavar="N", help="Commits that are worked on at once.")
    add("--interval", default="1s", metavar="TIME", help="Between two polls of PullConsumer.")
    add("--patience", default="30s", metavar="TIME", help="How long the last commits may take.")
    add("--retain", default="", metavar="TIME", help="For how long the simulated services remember, where they forget.")
    add("--slo", default="", metavar="FILE", help="Service-level objectives, in YAML.")
    add("--junit", default="", metavar="FILE", help="Objectives and account as JUnit XML.")
    add("--result", default="", metavar="FILE", help="All figures as JSON.")
    add("--seed", default="1", help="Sizes are drawn from it.")
    add("--ca", default="", metavar="FILE", help="Trust this CA in TLS, too.")
    add("--insecure", action="store_true", help="Do not verify TLS.")


def settings_of(options: Any) -> Settings:
    """The options, read. Raises ValueError, which names the option that is wrong."""

    def read(name: str, how: Callable[[str], _Read]) -> _Read:
        written = str(getattr(options, name))
        try:
            return how(written)
        except ValueError as error:
            raise ValueError(f"--{name.replace('_', '-')} {written!r}: {error}") from error

    return Settings(
        landscape=read("landscape", _file),
        shape=options.shape,
        duration=options.run_time or read("duration", _above_0),  # Locust has read its own `-t`, into seconds
        rate=read("rate", _if_any(_rate)),
        assets=read("assets", _count),
        sizes=read("sizes", read_sizes),
        scenario=read("scenario", _if_any(_file)),
        mix=read("mix", _mix),
        consume=options.consume,
        consumer_host=options.consumer_host,
        consumer_port=read("consumer_port", _port),
        consumers=read("consumers", _count),
        interval=read("interval", _above_0),
        patience=read("patience", _above_0),
        retain=read("retain", _if_any(_above_0)),
        slo=read("slo", _if_any(_file)),
        junit=read("junit", _if_any(Path)),
        result=read("result", _if_any(Path)),
        seed=options.seed,
        ca=read("ca", _if_any(_file)),
        insecure=options.insecure,
    )


def _if_any(how: Callable[[str], _Read]) -> Callable[[str], _Read | None]:
    return lambda written: how(written) if written else None


def _file(written: str) -> Path:
    path = Path(written)
    if not path.is_file():
        raise ValueError("there is no such file")
    return path


def _above_0(written: str) -> float:
    amount = typed_seconds(written)
    if not amount:
        raise ValueError("write a time above 0")
    return amount


def _rate(written: str) -> float:
    try:
        rate = float(written)
    except ValueError:
        rate = math.nan
    if not 0 <= rate < math.inf:
        raise ValueError("write a number of hand-offs in a second, such as 2.5")
    return rate


def _count(written: str) -> int:
    if not (written.isascii() and written.isdigit() and 1 <= int(written) <= COUNT_MAX):
        raise ValueError(f"write a number from 1 to {COUNT_MAX}")
    return int(written)


def _port(written: str) -> int:
    if not (written.isascii() and written.isdigit() and int(written) <= 65535):
        raise ValueError("write a port, a number to 65535")
    return int(written)


def _mix(written: str) -> Mapping[str, int]:
    weights = {}
    for part in written.split(","):
        name, _, weight = (word.strip() for word in part.partition("="))
        if name not in BEGINNERS or not weight.isdigit() or not int(weight):
            raise ValueError("write weights such as Uploader=3,Notifier=1")
        weights[name] = int(weight)
    return weights
