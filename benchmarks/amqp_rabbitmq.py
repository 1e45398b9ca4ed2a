"""The embedded AMQP broker beside RabbitMQ, each on one core with the client on another; more is faster.

Prepared bytes, 200-byte messages with confirms to a durable queue, then consumed with a prefetch of 200 and one ack
each: at least 5 times RabbitMQ where its messages are persistent, at least 3 times where they are transient (the
embedded broker keeps nothing on disk either way). One message at a time over two connections: at least
1.2 times. Through pika and aio-pika, where the library takes most of the time: at least 0.9 times. To connect, declare
and close: at least as fast. Bodies of other sizes, and what an observer costs, are told without a bar.

In every round each broker does the same in turn, the other one first in the next round; a ratio is that of one round.
The first round is not counted.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from statistics import median

from amqp_brokers import Brokers, absence, running_brokers
from amqp_prepared import PERSISTENT, TRANSIENT, connections, round_trips, there_and_back
from comparison import Comparison, LeftOut

ROUNDS = 15
LIBRARIES = ("pika", "aio_pika")


@dataclass(frozen=True, slots=True)
class Race:
    """What two brokers do in turn: `measure` takes a port and gives the seconds for `count` things."""

    what: str
    bar: float | None
    count: int
    measure: Callable[[int], float]
    rivals: tuple[str, str] = ("embedded", "rabbitmq")
    note: str = ""
    seconds: list[tuple[float, float]] = field(default_factory=list)

    def run(self, brokers: Brokers, number: int) -> None:
        """The round `number`; 0 is not counted."""
        ours, theirs = (getattr(brokers, name) for name in self.rivals)
        if number % 2:
            took = self.measure(ours), self.measure(theirs)
        else:
            after = self.measure(theirs)
            took = self.measure(ours), after
        if number:
            self.seconds.append(took)

    def comparison(self) -> Comparison:
        ours, theirs = (self.count / median(side) for side in zip(*self.seconds, strict=True))
        aside = f"{ours:,.0f}/s, {self.rivals[1]} {theirs:,.0f}/s{self.note}"
        return Comparison(self.what, tuple(other / own for own, other in self.seconds), self.bar, aside)


def figures() -> list[Comparison | LeftOut]:
    missing = absence()
    if missing is not None:
        return [LeftOut("AMQP beside RabbitMQ", missing)]
    races = _races()
    absent = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if not absent:
        races += _library_races()
    with running_brokers() as brokers:
        for number in range(ROUNDS + 1):
            for race in races:
                race.run(brokers, number)
    rows: list[Comparison | LeftOut] = [race.comparison() for race in races]
    if absent:
        rows.append(LeftOut("AMQP through client libraries", f"not installed: {', '.join(absent)}"))
    return rows


def _races() -> list[Race]:
    def bytes_race(what: str, bar: float | None, count: int, size: int, mode: int) -> Race:
        measure = partial(there_and_back, count=count, size=size, delivery_mode=mode)
        return Race(what, bar, count, measure, note=" (the embedded broker keeps nothing on disk)")

    return [
        bytes_race("AMQP, prepared bytes, persistent", 5, 10_000, 200, PERSISTENT),
        bytes_race("AMQP, prepared bytes, transient", 3, 10_000, 200, TRANSIENT),
        bytes_race("AMQP, bodies of 1 KiB, persistent", None, 4_000, 1024, PERSISTENT),
        bytes_race("AMQP, bodies of 64 KiB, persistent", None, 400, 65536, PERSISTENT),
        Race("AMQP, one message at a time", 1.2, 1_000, partial(round_trips, count=1_000)),
        Race("AMQP, connect, declare, close", 1, 50, partial(connections, count=50)),
        Race(
            "AMQP with an idle observer, beside none",
            None,
            20_000,
            partial(there_and_back, count=20_000, size=200, delivery_mode=TRANSIENT),
            ("observed", "embedded"),
        ),
    ]


def _library_races() -> list[Race]:
    from amqp_libraries import aio_pika_there_and_back, pika_there_and_back

    return [
        Race("AMQP through pika", 0.9, 2_000, partial(pika_there_and_back, count=2_000, confirms=False)),
        Race(
            "AMQP through pika, a confirm at a time", 0.9, 200, partial(pika_there_and_back, count=200, confirms=True)
        ),
        Race("AMQP through aio-pika", 0.9, 1_000, partial(aio_pika_there_and_back, count=1_000)),
    ]
