"""A classic queue: ready and unacknowledged copies, consumers in turn, time to live, length limits.

It knows its broker (for events, deadlines and dead letters) and its consumers' channels; it does not know who may
use it: access is the channel's to check.
"""

from collections import deque
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from phrasim.broker.arguments import QueueArguments
from phrasim.broker.events import Delivery, DropReason
from phrasim.broker.message import Message, Table

if TYPE_CHECKING:
    from phrasim.broker.channel import Channel, Connection
    from phrasim.broker.core import Broker
    from phrasim.broker.exchange import Exchange

NS_PER_MS = 1_000_000

MESSAGE_BYTES = 512
"""What a copy of a message takes beside its body, in bytes: about, for limits."""


@dataclass(slots=True, eq=False)
class Copy:
    """A message as one queue holds it, ready or unacknowledged.

    `position` is its place in the queue and stays when it is requeued. `consumer` is who holds it unacknowledged;
    None while it is ready or when it was fetched with `basic.get`.
    """

    message: Message
    queue: "Queue"
    position: int
    redelivered: bool = False
    expires_at: int | None = None
    consumer: "Consumer | None" = None


class Consumer:
    """A subscription of a channel to a queue.

    `outstanding` counts its unacknowledged deliveries, `prefetch` limits them (0: no limit). A consumer that is
    `blocked` has reached its own or its channel's limit and is out of the round until an acknowledgement; the number
    counts the queue's blockings, and those that went first come back first (0: not blocked).
    """

    __slots__ = ("blocked", "channel", "exclusive", "no_ack", "outstanding", "prefetch", "queue", "tag")

    def __init__(
        self, channel: "Channel", tag: str, queue: "Queue", *, no_ack: bool, exclusive: bool, prefetch: int
    ) -> None:
        self.channel = channel
        self.tag = tag
        self.queue = queue
        self.no_ack = no_ack
        self.exclusive = exclusive
        self.prefetch = 0 if no_ack else prefetch
        self.outstanding = 0
        self.blocked = 0


class Queue:
    """One queue of a broker. `serial` counts the queues of the broker; `owner` is set on exclusive ones.

    Ready copies lie in order of position in two places: those never delivered in a deque, and requeued ones, which
    may belong anywhere, in a heap; the head is the lower of the two first ones. Between two calls, a queue with a
    consumer that has room has no ready copy.
    """

    __slots__ = (
        "_arguments",
        "_blockings",
        "_broker",
        "_byte_limited",
        "_limited",
        "_positions",
        "_ready",
        "_ready_bytes",
        "_requeued",
        "_round",
        "_timed",
        "_ttl_ms",
        "_used_at",
        "arguments",
        "auto_delete",
        "consumers",
        "deleted",
        "durable",
        "incoming",
        "name",
        "owner",
        "serial",
        "unacked_count",
    )

    def __init__(
        self,
        broker: "Broker",
        name: str,
        serial: int,
        *,
        durable: bool,
        auto_delete: bool,
        owner: "Connection | None",
        arguments: Table,
        limits: QueueArguments,
    ) -> None:
        self._broker = broker
        self.name = name
        self.serial = serial
        self.durable = durable
        self.auto_delete = auto_delete
        self.owner = owner
        self.arguments = arguments
        self.deleted = False
        self.incoming: dict[Exchange, None] = {}
        self.consumers: dict[Consumer, None] = {}
        self.unacked_count = 0
        self._arguments = limits
        self._limited = limits.length_max is not None or limits.length_bytes_max is not None
        self._byte_limited = limits.length_bytes_max is not None
        self._ttl_ms = limits.message_ttl_ms
        self._timed = limits.expires_ms is not None
        self._used_at = broker.now() if self._timed else 0
        self._positions = 0
        self._blockings = 0
        self._ready: deque[Copy] = deque()
        self._requeued: list[tuple[int, Copy]] = []
        self._ready_bytes = 0
        self._round: deque[Consumer] = deque()
        self.reschedule()

    @property
    def ready_count(self) -> int:
        """How many copies wait to be delivered."""
        return len(self._ready) + len(self._requeued)

    @property
    def dead_letter_exchange(self) -> str | None:
        """Where its dead letters go; None to drop them."""
        return self._arguments.dead_letter_exchange

    @property
    def dead_letter_routing_key(self) -> str | None:
        """The key its dead letters get; None to keep their own."""
        return self._arguments.dead_letter_routing_key

    def publish(self, message: Message) -> bool:
        """Take a copy of `message`: deliver it, or keep it ready. False when x-overflow refused it."""
        if self._limited and self._refuses(message):
            return False
        self._positions += 1
        copy = Copy(message, self, self._positions)
        if self._ttl_ms is not None or message.expiration_ms is not None:
            self._set_expiry(copy)
        if self._round and not self._ready and not self._requeued:
            consumer = self._next_consumer()
            if consumer is not None:
                self._deliver(copy, consumer)
                return True
        self._ready.append(copy)
        self._broker.held_bytes += len(message.body) + MESSAGE_BYTES
        if self._byte_limited:
            self._ready_bytes += len(message.body)
        if self._limited:
            self._drop_overflow()
        if self._timed:
            self._drop_expired()
            self.reschedule()
        return True

    def fetch(self, *, no_ack: bool) -> Copy | None:
        """Take the head for `basic.get`; None when nothing is ready."""
        copy = self._take() if self._ready or self._requeued else None
        if copy is not None and not no_ack:
            self.unacked_count += 1
            self._broker.held_bytes += len(copy.message.body) + MESSAGE_BYTES
        if self._timed:
            self._drop_expired()
            self.touch()
        return copy

    def requeue(self, copies: list[Copy]) -> None:
        """Put copies that came back to their places, then deliver what can be delivered."""
        for copy in copies:
            copy.redelivered = True
            copy.consumer = None
            heappush(self._requeued, (copy.position, copy))
            self._broker.held_bytes += len(copy.message.body) + MESSAGE_BYTES
            if self._byte_limited:
                self._ready_bytes += len(copy.message.body)
        if self._limited:
            self._drop_overflow()
        self.run()

    def purge(self, reason: DropReason) -> int:
        """Drop every ready copy, in order; tells how many there were."""
        dropped = 0
        while self.ready_count:
            self._broker.drop(self._take().message, self.name, reason)
            dropped += 1
        if self._timed:
            self.reschedule()
        return dropped

    def run(self) -> None:
        """Deliver ready copies while there are consumers with room for them."""
        if self._timed:
            self._drop_expired()
        while (self._ready or self._requeued) and self._round:
            consumer = self._next_consumer()
            if consumer is None:
                break
            self._deliver(self._take(), consumer)
            if self._timed:
                self._drop_expired()
        if self._timed:
            self.reschedule()

    def add_consumer(self, consumer: Consumer) -> None:
        """Let `consumer` join the end of the round."""
        self.consumers[consumer] = None
        self._round.append(consumer)
        self.run()

    def remove_consumer(self, consumer: Consumer) -> bool:
        """Take `consumer` out; tells whether the queue should now delete itself.

        What it holds unacknowledged stays with its channel.
        """
        del self.consumers[consumer]
        if consumer.blocked:
            consumer.blocked = 0
        else:
            self._round.remove(consumer)
        self.touch()
        return self.auto_delete and not self.consumers

    def resume(self, consumer: Consumer) -> None:
        """Let a blocked consumer join the end of the round again."""
        consumer.blocked = 0
        self._round.append(consumer)

    def touch(self) -> None:
        """Note that the queue was used, which puts off x-expires (RabbitMQ "Time-To-Live", queue TTL)."""
        if self._timed:
            self._used_at = self._broker.now()
            self.reschedule()

    def expire(self, now: int) -> None:
        """Apply what is due at `now`: drop expired copies from the head, or delete the queue."""
        self._drop_expired()
        unused_at = self._unused_deadline()
        if unused_at is not None and unused_at <= now:
            self._broker.delete_queue(self)
        else:
            self.reschedule()

    def reschedule(self) -> None:
        """Tell the broker when this queue needs `expire` next; at its head only, however soon a later copy is due."""
        if self.deleted or not self._timed:
            return
        deadline = self._unused_deadline()
        head = self._head()
        if head is not None and head.expires_at is not None and (deadline is None or head.expires_at < deadline):
            deadline = head.expires_at
        self._broker.deadlines.set(self, deadline)

    def _unused_deadline(self) -> int | None:
        expires_ms = self._arguments.expires_ms
        if expires_ms is None or self.consumers:
            return None
        return self._used_at + expires_ms * NS_PER_MS

    def _set_expiry(self, copy: Copy) -> None:
        ttl_ms = copy.message.expiration_ms
        if ttl_ms is None or (self._ttl_ms is not None and self._ttl_ms < ttl_ms):
            ttl_ms = self._ttl_ms
        assert ttl_ms is not None
        copy.expires_at = self._broker.now() + ttl_ms * NS_PER_MS
        self._timed = True

    def _refuses(self, message: Message) -> bool:
        limits = self._arguments
        if limits.overflow == "drop-head":
            return False
        if not (
            (limits.length_max is not None and self.ready_count + 1 > limits.length_max)
            or (limits.length_bytes_max is not None and self._ready_bytes + len(message.body) > limits.length_bytes_max)
        ):
            return False
        if limits.overflow == "reject-publish-dlx":
            self._broker.discard(message, self, "maxlen")
        else:
            self._broker.drop(message, self.name, "maxlen")
        return True

    def _drop_overflow(self) -> None:
        limits = self._arguments
        if limits.overflow != "drop-head":
            return
        while (limits.length_max is not None and self.ready_count > limits.length_max) or (
            limits.length_bytes_max is not None and self._ready_bytes > limits.length_bytes_max
        ):
            self._broker.discard(self._take().message, self, "maxlen")

    def _drop_expired(self) -> None:
        head = self._head()
        if head is None or head.expires_at is None:
            return
        now = self._broker.now()
        while head is not None and head.expires_at is not None and head.expires_at <= now:
            self._broker.discard(self._take().message, self, "expired")
            head = self._head()

    def _head(self) -> Copy | None:
        if self._requeued and not (self._ready and self._ready[0].position < self._requeued[0][0]):
            return self._requeued[0][1]
        return self._ready[0] if self._ready else None

    def _take(self) -> Copy:
        if self._requeued and not (self._ready and self._ready[0].position < self._requeued[0][0]):
            copy = heappop(self._requeued)[1]
        else:
            copy = self._ready.popleft()
        self._broker.held_bytes -= len(copy.message.body) + MESSAGE_BYTES
        if self._byte_limited:
            self._ready_bytes -= len(copy.message.body)
        return copy

    def _next_consumer(self) -> Consumer | None:
        """The consumer whose turn it is, moved to the end of the round; those at their limit leave the round."""
        consumers = self._round
        while consumers:
            consumer = consumers[0]
            channel = consumer.channel
            # A limit of the channel that is reached holds back those without acknowledgements too (`rabbit_limiter`).
            if (
                channel.connection.room > 0
                and (not consumer.prefetch or consumer.outstanding < consumer.prefetch)
                and (not channel.prefetch or channel.outstanding < channel.prefetch)
            ):
                consumers.rotate(-1)
                return consumer
            consumers.popleft()
            self._blockings += 1
            consumer.blocked = self._blockings
        return None

    def _deliver(self, copy: Copy, consumer: Consumer) -> None:
        channel = consumer.channel
        delivery_tag = channel.delivery_tag = channel.delivery_tag + 1
        size = len(copy.message.body) + MESSAGE_BYTES
        channel.connection.room -= size
        if not consumer.no_ack:
            self._broker.held_bytes += size
            copy.consumer = consumer
            channel.unacked[delivery_tag] = copy
            channel.outstanding += 1
            consumer.outstanding += 1
            self.unacked_count += 1
        self._broker.events.append(
            Delivery(channel, consumer.tag, delivery_tag, copy.redelivered, copy.message, self.name)
        )
