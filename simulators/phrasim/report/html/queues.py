"""How many messages wait in each queue over time, as the journal tells: what a broker took, and what it delivered.

What was delivered and is not acknowledged yet waits no more, nor does what was put back into its queue, of which the
journal does not tell. Of a real broker the journal sees only what is delivered: its queues have no history.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from phrasim.documents import Contract
from phrasim.journal.events import Delivery, Event, Lost, Noted, Publish, Received, Sent

_GONE_FROM_QUEUE = ("expired", "maxlen", "purged", "queue deleted")
"""The reasons for which a message leaves a queue without having been delivered (AMQP and RabbitMQ's extensions)."""


@dataclass(slots=True)
class QueueHistory:
    """The number of waiting messages of a queue: from each time on (nanoseconds of the run), in their order."""

    name: str
    steps: list[tuple[int, int]] = field(default_factory=list)

    @property
    def depth(self) -> int:
        """How many wait now."""
        return self.steps[-1][1] if self.steps else 0

    @property
    def most(self) -> int:
        """The most that ever waited."""
        return max((depth for _, depth in self.steps), default=0)

    def change(self, at: int, by: int) -> None:
        """One more waits, or one less; never less than none, since a trace may begin in the midst."""
        self.steps.append((at, max(0, self.depth + by)))


class QueueHistories:
    """Takes the events of a run in their order."""

    def __init__(self, contract: Contract) -> None:
        self._messages = contract.messages
        self._on_their_way: dict[str, Publish] = {}
        self._arrived_last: str | None = None
        """The queue that the last message which arrived came to, as far as its address tells."""
        self.all: dict[str, QueueHistory] = {}
        """By the name of the queue, in the order in which they were met."""

    def take(self, event: Event) -> bool:
        """Whether the event has changed how many wait somewhere."""
        match event:
            case Sent(message=Publish() as publish):
                self._on_their_way[publish.id] = publish
            case Received(message=Publish() as publish):
                return self._arrive(event.at, publish.exchange, publish.routing_key)
            case Received(message=str(publish_id)) if publish_id in self._on_their_way:
                publish = self._on_their_way.pop(publish_id)
                return self._arrive(event.at, publish.exchange, publish.routing_key)
            case Lost(message=str(publish_id)):
                self._on_their_way.pop(publish_id, None)
            case Sent(message=Delivery() as delivery) if not delivery.redelivered:
                return self._change(event.at, delivery.queue, -1)
            case Noted(note="dead-lettered", details=details):
                if details.get("reason") in _GONE_FROM_QUEUE:
                    self._change(event.at, str(details.get("queue")), -1)
                self._arrive(event.at, str(details.get("exchange")), str(details.get("routingKey")))
                return True
            case Noted(note="dropped", details={"reason": "unroutable"}) if self._arrived_last is not None:
                return self._change(event.at, self._arrived_last, -1)  # there is no such queue
            case Noted(note="dropped", details=details):
                if details.get("queue") is not None and details.get("reason") in _GONE_FROM_QUEUE:
                    return self._change(event.at, str(details["queue"]), -1)
        return False

    def _arrive(self, at: int, exchange: str, routing_key: str) -> bool:
        """A message has come to where these lead; that of the default exchange is the queue of that name (AMQP)."""
        channel = self._messages.for_routing_key(exchange, routing_key)
        queue = channel.queue if channel is not None else routing_key if not exchange else None
        self._arrived_last = queue
        return queue is not None and self._change(at, queue, 1)

    def _change(self, at: int, queue: str, by: int) -> bool:
        self.all.setdefault(queue, QueueHistory(queue)).change(at, by)
        return True


def queue_histories(events: Iterable[Event], contract: Contract) -> list[QueueHistory]:
    """The queues of a whole run in which anything ever waited."""
    histories = QueueHistories(contract)
    for event in events:
        histories.take(event)
    return [one for one in histories.all.values() if one.most]
