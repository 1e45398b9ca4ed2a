"""One of a program's channels while it is open: what came on it, and how its delivery tags are numbered."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from phrasim.contract.broker.seen import content
from phrasim.contract.broker.wire import Received, Strange

SLOTS = ((0, 1), (0, 2), (1, 1))
"""The program's channels: which connection, and which channel number on it."""

Event = str | list[Any]
"""Something that is no answer: in words, or where it came, the method, and its fields."""


@dataclass(slots=True)
class Slot:
    """One of the program's channels while it is open.

    `tags` are the broker's delivery tags, of which the program's are the places, counted from 1; `steps` are the first
    and the last of those that came in one step, and whether they are from several queues.
    """

    connection: int
    number: int
    user: str
    last_queue: str = ""
    confirming: bool = False
    published: int = 0
    settled: dict[int, None] = field(default_factory=dict)
    queue_of: dict[str, str] = field(default_factory=dict)
    tags: list[int] = field(default_factory=list)
    steps: list[tuple[int, int, bool]] = field(default_factory=list)
    deliveries: list[tuple[str, Received]] = field(default_factory=list)
    others: list[list[Any]] = field(default_factory=list)
    acks: dict[int, None] = field(default_factory=dict)
    nacks: dict[int, None] = field(default_factory=dict)

    def real_tag(self, tag: int, *, multiple: bool) -> int:
        """The broker's delivery tag for the program's; -1 is the latest. A tag that is not known stays."""
        if tag == -1:
            tag = len(self.tags)
        if multiple:
            for first, last, mixed in self.steps:
                # Which of two queues came first is nobody's promise, so "up to" takes all of a step or none.
                if mixed and first <= tag <= last:
                    return max(self.tags[first - 1 : last])
        return self.tags[tag - 1] if 0 < tag <= len(self.tags) else tag

    @property
    def volume(self) -> int:
        """How much has come that is not written down yet, and how much is confirmed."""
        return len(self.deliveries) + len(self.others) + len(self.settled)

    def got(self, received: Received) -> int:
        """Note the delivery that answers `basic.get`; its tag in the program."""
        self.tags.append(received.fields["delivery_tag"])
        self.steps.append((len(self.tags), len(self.tags), False))
        return len(self.tags)

    def take(self, received: Received) -> list[Event]:
        """Note what the broker sent on the channel by itself; what is to be told of it at once. Raises `Strange`."""
        fields = received.fields
        match received.name:
            case "basic.deliver":
                queue = self.queue_of.get(fields["consumer_tag"])
                if queue is None:
                    queue = f"nobody's, but for the consumer {fields['consumer_tag']}"
                self.deliveries.append((queue, received))
            case "basic.ack" | "basic.nack":
                return self._confirmed(received.name, fields["delivery_tag"], fields["multiple"])
            case _:
                self.others.append([received.name, dict(fields), content(received, self.user)])
        return []

    def _confirmed(self, name: str, tag: int, multiple: bool) -> list[Event]:
        if tag > self.published:
            raise Strange(f"the broker sent {name} for message {tag} on a channel where {self.published} are published")
        settled = self.acks if name == "basic.ack" else self.nacks
        numbers = [number for number in range(1, tag + 1) if number not in self.settled] if multiple else [tag]
        events: list[Event] = []
        for number in numbers:
            if number in self.settled:
                events.append(f"{number} is confirmed twice")
            self.settled[number] = None
            settled[number] = None
        self.others.append(["confirm"])
        return events

    def observed(self, shown: Callable[[str], str]) -> list[Any]:
        """What came since this was last asked; deliveries by queue, since only a queue keeps an order.

        `shown` gives the name of a queue as it is written down.
        """
        observed: list[Any] = []
        real = [received.fields["delivery_tag"] for _, received in self.deliveries]
        if real != sorted(real):
            observed.append(f"delivery tags out of order: {real}")
        queues = sorted(dict.fromkeys(queue for queue, _ in self.deliveries), key=shown)
        if self.deliveries:
            self.steps.append((len(self.tags) + 1, len(self.tags) + len(real), len(queues) > 1))
        for queue in queues:
            for name, received in self.deliveries:
                if name == queue:
                    self.tags.append(received.fields["delivery_tag"])
                    fields = {**received.fields, "delivery_tag": len(self.tags)}
                    observed.append([received.name, fields, content(received, self.user), f"from {queue}"])
        # Of one message the return comes before the confirm; of several, the broker may gather the confirms.
        one = len(self.acks) + len(self.nacks) == 1
        observed += [other for other in self.others if one or other != ["confirm"]]
        if self.acks or self.nacks:
            observed.append({"ack": sorted(self.acks), "nack": sorted(self.nacks)})
        self.deliveries, self.others, self.acks, self.nacks = [], [], {}, {}
        return observed
