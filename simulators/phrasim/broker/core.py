"""The broker: one virtual host's exchanges, queues and bindings, and the events that calls lead to.

It does no I/O and knows no clock but the one it is given. Clients talk to it through connections and channels.
"""

import random
from base64 import urlsafe_b64encode
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from phrasim.broker.arguments import (
    COMPARED,
    check_arguments_equivalent,
    check_field_equivalent,
    read_queue_arguments,
)
from phrasim.broker.channel import Connection
from phrasim.broker.deadletter import is_cycle, make_letter
from phrasim.broker.deadlines import Deadlines
from phrasim.broker.errors import access_refused, command_invalid, not_found, precondition_failed, resource_locked
from phrasim.broker.events import DeadLettered, DeathReason, Dropped, DropReason, Event
from phrasim.broker.exchange import EXCHANGE_TYPES, ROUTES_MAX, Destination, Exchange, ExchangeType
from phrasim.broker.message import Message, Table, type_word
from phrasim.broker.queue import Queue

LETTERS_MAX = 4096
"""How many letters one death may lead to before time goes on.

In the order of RabbitMQ up to 3.12 a message may go round for ever between queues with a time to live of 0, and in
any order it may come by every way through many queues that lead to each other.
"""

NS_PER_S = 1_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PREDECLARED: tuple[tuple[str, ExchangeType, bool], ...] = (
    ("", "direct", False),
    ("amq.direct", "direct", False),
    ("amq.fanout", "fanout", False),
    ("amq.topic", "topic", False),
    ("amq.headers", "headers", False),
    ("amq.match", "headers", False),
    ("amq.rabbitmq.trace", "topic", True),
)
"""Name, type and whether internal, of the exchanges that every virtual host has."""


class _Origin:
    """A death, and how many `letters` it has led to so far: its own, those of its letters, and so on."""

    __slots__ = ("letters",)

    def __init__(self) -> None:
        self.letters = 0


class Broker:
    """RabbitMQ's rules for one virtual host.

    `now` gives whole nanoseconds on the run's clock, `epoch_ns` those since 1970 at which that clock was 0; only the
    `time` of x-death entries needs it. `names` is where generated names come from. RabbitMQ up to 3.12 and from
    3.13.3 honours an x-death header that a publisher sends; 3.13.0 to 3.13.2 and 4.x do not (PROTOCOL §4.3). With
    `turns_x_death` the entries behind the first stand in the order in which RabbitMQ up to 3.12 leaves them.

    What a call led to waits in `events` until `drain` hands it over. Channels apply what is due before anything else.
    `held_bytes` is what the messages in all queues take, ready and unacknowledged, a copy in each counted by itself.
    """

    def __init__(
        self,
        now: Callable[[], int],
        names: random.Random,
        *,
        epoch_ns: int = 0,
        vhost: str = "/",
        honours_client_x_death: bool = True,
        turns_x_death: bool = False,
    ) -> None:
        self.now = now
        self.vhost = vhost
        self.exchanges: dict[str, Exchange] = {}
        self.queues: dict[str, Queue] = {}
        self.deadlines = Deadlines()
        self.events: list[Event] = []
        self.connections: dict[Connection, None] = {}
        self.held_bytes = 0
        self._names = names
        self._epoch_ns = epoch_ns
        self._honours_client_x_death = honours_client_x_death
        self._turns_x_death = turns_x_death
        self._seq = 0
        self._queue_serial = 0
        self._connection_serial = 0
        self._generation = 0
        self._dead: deque[tuple[Message, Queue, DeathReason, Exchange]] = deque()
        self._origins: dict[Message, _Origin] = {}
        self._burying = False
        for name, type_, internal in PREDECLARED:
            self.exchanges[name] = Exchange(
                name, type_, durable=True, auto_delete=False, internal=internal, arguments={}
            )

    def open_connection(self) -> Connection:
        """A new connection; its `serial` counts from 1."""
        self._connection_serial += 1
        connection = Connection(self, self._connection_serial)
        self.connections[connection] = None
        return connection

    def drain(self) -> list[Event]:
        """Hand over what happened since the last call, in order."""
        events = self.events.copy()
        self.events.clear()
        return events

    def clear(self) -> None:
        """Let go of every queue and its messages, now: a broker and its queues refer to each other."""
        for queue in list(self.queues.values()):
            self.delete_queue(queue)
        self.events.clear()

    def next_deadline(self) -> int | None:
        """When `expire` must be called next, in nanoseconds of `now`; None when nothing waits for time."""
        return self.deadlines.next()

    def expire(self) -> None:
        """Apply what is due: expired messages leave the heads of their queues, unused queues are deleted."""
        if not self.deadlines.heap:
            return
        now = self.now()
        while (queue := self.deadlines.take_due(now)) is not None:
            queue.expire(now)

    def next_seq(self) -> int:
        """The number of the next message."""
        self._seq += 1
        return self._seq

    def generate_name(self, prefix: str) -> str:
        """A name such as `amq.gen-` followed by 22 characters of URL-safe base64 (16 random bytes)."""
        return f"{prefix}-{urlsafe_b64encode(self._names.randbytes(16)).decode()[:22]}"

    def exchange(self, name: str) -> Exchange:
        """The exchange of that name. Raises 404."""
        exchange = self.exchanges.get(name)
        if exchange is None:
            raise not_found(f"no {self.exchange_text(name)}")
        return exchange

    def queue(self, name: str) -> Queue:
        """The queue of that name. Raises 404."""
        queue = self.queues.get(name)
        if queue is None:
            raise not_found(f"no {self.queue_text(name)}")
        return queue

    def exchange_text(self, name: str) -> str:
        """How reply texts name an exchange."""
        return f"exchange '{name}' in vhost '{self.vhost}'"

    def queue_text(self, name: str) -> str:
        """How reply texts name a queue."""
        return f"queue '{name}' in vhost '{self.vhost}'"

    def declare_exchange(
        self,
        name: str,
        exchange_type: str,
        *,
        durable: bool,
        auto_delete: bool,
        internal: bool,
        arguments: Table,
    ) -> None:
        """Make an exchange, or check that the one that exists is the same.

        Raises 503 for an unknown type, 403 for the default exchange or a new name with `amq.`, 406 for a difference.
        """
        known_type = next((known for known in EXCHANGE_TYPES if known == exchange_type), None)
        if known_type is None:
            raise command_invalid(f"unknown exchange type '{exchange_type}'")
        self.check_not_default(name)
        text = self.exchange_text(name)
        exchange = self.exchanges.get(name)
        if exchange is None:
            _check_not_reserved("exchange", name)
            alternate = arguments.get("alternate-exchange", "")
            if not isinstance(alternate, str):
                raise precondition_failed(
                    f"invalid type '{type_word(alternate)}' for arg 'alternate-exchange' in {text}"
                )
            self.exchanges[name] = Exchange(
                name,
                known_type,
                durable=durable,
                auto_delete=auto_delete,
                internal=internal,
                arguments=arguments,
            )
            self._generation += 1
            return
        check_field_equivalent("type", exchange.type, exchange_type, text)
        check_field_equivalent("durable", exchange.durable, durable, text)
        check_field_equivalent("auto_delete", exchange.auto_delete, auto_delete, text)
        check_field_equivalent("internal", exchange.internal, internal, text)
        check_arguments_equivalent(exchange.arguments, arguments, ("alternate-exchange",), text)

    def check_not_default(self, exchange: str) -> None:
        """Raise 403 for the default exchange, which nobody may declare, bind or delete."""
        if exchange == "":
            raise access_refused("operation not permitted on the default exchange")

    def delete_exchange(self, exchange: Exchange) -> None:
        """Remove an exchange with every binding that starts or ends at it."""
        del self.exchanges[exchange.name]
        self._generation += 1
        for binding in list(exchange.bindings()):
            binding.destination.incoming.pop(exchange, None)
        self._unbind_destination(exchange)

    def declare_queue(
        self,
        name: str,
        *,
        durable: bool,
        auto_delete: bool,
        owner: Connection | None,
        arguments: Table,
    ) -> Queue:
        """Make a queue, or check that the one that exists is the same; an empty name is replaced by a generated one.

        `owner` is the declaring connection if the queue is to be exclusive, else None. Raises 403 for a new name
        with `amq.`, 405 when exclusiveness differs, 406 for another difference or an argument that RabbitMQ refuses.
        """
        # RabbitMQ takes an exclusive queue for transient, whatever `durable` says.
        durable = durable and owner is None
        existing = self.queues.get(name)
        text = self.queue_text(name)
        if existing is not None:
            if existing.owner is not owner:
                raise resource_locked(text)
            check_field_equivalent("durable", existing.durable, durable, text)
            check_field_equivalent("auto_delete", existing.auto_delete, auto_delete, text)
            check_arguments_equivalent(existing.arguments, arguments, COMPARED, text)
            existing.touch()
            return existing
        _check_not_reserved("queue", name)
        if name == "":
            name = self.generate_name("amq.gen")
            text = self.queue_text(name)
        limits = read_queue_arguments(arguments, text)
        self._queue_serial += 1
        queue = Queue(
            self,
            name,
            self._queue_serial,
            durable=durable,
            auto_delete=auto_delete,
            owner=owner,
            arguments=arguments,
            limits=limits,
        )
        self.queues[name] = queue
        if owner is not None:
            owner.exclusive_queues[queue] = None
        return queue

    def delete_queue(self, queue: Queue) -> int:
        """Remove a queue: drop its copies, cancel its consumers; tells how many copies were ready.

        Delivery tags of copies that were unacknowledged stay good: to acknowledge them changes nothing any more.
        """
        ready = queue.purge("queue deleted")
        queue.deleted = True
        if queue.unacked_count:
            for connection in self.connections:
                for channel in connection.channels.values():
                    for copy in channel.unacked.values():
                        if copy.queue is queue:
                            self.drop(copy.message, queue.name, "queue deleted")
        del self.queues[queue.name]
        self.deadlines.set(queue, None)
        self._generation += 1
        if queue.owner is not None:
            queue.owner.exclusive_queues.pop(queue, None)
        for consumer in list(queue.consumers):
            consumer.channel.cancel_consumer(consumer)
        self._unbind_destination(queue)
        return ready

    def bind(self, source: Exchange, destination: Destination, routing_key: str, arguments: Table) -> None:
        """Bind `destination` to `source`."""
        source.bind(destination, routing_key, arguments)
        destination.incoming[source] = None
        self._generation += 1

    def unbind(self, source: Exchange, destination: Destination, routing_key: str, arguments: Table) -> None:
        """Remove a binding, and `source` with its last one if it is to be deleted automatically."""
        if source.unbind(destination, routing_key, arguments):
            self._generation += 1
            if not source.leads_to(destination):
                del destination.incoming[source]
            self._delete_unused(source)

    def route(self, message: Message, exchange: Exchange) -> tuple[Queue, ...]:
        """The queues that `message` goes to from `exchange`, each once, however many bindings match."""
        if message.carbon_keys:
            return self._walk(message, exchange, tuple(dict.fromkeys((message.routing_key, *message.carbon_keys))))[0]
        if exchange.name == "":
            queue = self.queues.get(message.routing_key)
            return () if queue is None else (queue,)
        if exchange.routes_generation != self._generation or len(exchange.routes) >= ROUTES_MAX:
            exchange.routes.clear()
            exchange.routes_generation = self._generation
        queues = exchange.routes.get(message.routing_key)
        if queues is None:
            queues, lasting = self._walk(message, exchange, (message.routing_key,))
            if lasting:
                exchange.routes[message.routing_key] = queues
        return queues

    def discard(self, message: Message, queue: Queue, reason: DeathReason) -> None:
        """Send a message that died in `queue` to its dead-letter exchange, or drop it if there is none.

        Letters are handled one after the other, never inside each other: a chain of queues that pass a message on at
        once needs no deeper stack the longer it is.
        """
        name = queue.dead_letter_exchange
        exchange = None if name is None else self.exchanges.get(name)
        if exchange is None:
            self.drop(message, queue.name, reason)
            return
        self._dead.append((message, queue, reason, exchange))
        if not self._burying:
            self._bury()

    def publish(self, message: Message, queues: tuple[Queue, ...]) -> bool:
        """Give every queue its copy; False when one refused it.

        What dies of it is buried afterwards: a letter does not reach a queue before the message itself, which the
        channel hands to all queues before any of them can have worked.
        """
        accepted = True
        self._burying = True
        try:
            for queue in queues:
                if not queue.publish(message):
                    accepted = False
        finally:
            self._burying = False
        self._bury()
        return accepted

    def drop(self, message: Message, queue: str | None, reason: DropReason) -> None:
        """Record that a message, or its copy in the queue of that name, is gone."""
        self.events.append(Dropped(message, queue, reason))

    def _bury(self) -> None:
        self._burying = True
        try:
            while self._dead:
                self._dead_letter(*self._dead.popleft())
        finally:
            self._burying = False
            self._origins.clear()

    def _dead_letter(self, message: Message, queue: Queue, reason: DeathReason, exchange: Exchange) -> None:
        origin = self._origins.get(message) or _Origin()
        if origin.letters == LETTERS_MAX:
            self.drop(message, queue.name, "dead-letter cycle")
            return
        origin.letters += 1
        letter = make_letter(
            message,
            queue.name,
            reason,
            exchange.name,
            queue.dead_letter_routing_key,
            EPOCH + timedelta(seconds=(self._epoch_ns + self.now()) // NS_PER_S),
            self.next_seq(),
            honours_client_x_death=self._honours_client_x_death,
            turns_x_death=self._turns_x_death,
        )
        self._origins[letter] = origin
        self.events.append(DeadLettered(message, queue.name, reason, exchange.name, letter.routing_key, letter))
        queues = self.route(letter, exchange)
        if not queues:
            self.drop(letter, None, "unroutable")
        headers = letter.properties.headers
        assert headers is not None
        for target in queues:
            if reason != "rejected" and is_cycle(target.name, headers["x-death"]):
                self.drop(letter, target.name, "dead-letter cycle")
            else:
                target.publish(letter)

    def _walk(
        self, message: Message, exchange: Exchange, routing_keys: tuple[str, ...]
    ) -> tuple[tuple[Queue, ...], bool]:
        """The queues reached from `exchange`, and whether that depends on nothing but the routing key.

        Every exchange is visited once, so bindings in a ring end. An exchange from which a message reaches no
        queue hands it to its alternate exchange (RabbitMQ "Alternate Exchanges").
        """
        headers = message.properties.headers
        queues: dict[Queue, None] = {}
        visited: dict[Exchange, None] = {exchange: None}
        waiting = deque([exchange])
        lasting = True
        while waiting:
            current = waiting.popleft()
            found: dict[Destination, None] = {}
            for routing_key in routing_keys:
                if current.name == "":
                    named = self.queues.get(routing_key)
                    if named is not None:
                        found[named] = None
                else:
                    found.update(dict.fromkeys(current.match(routing_key, headers)))
            # The default exchange's bindings come and go with queues, without a new generation.
            lasting = lasting and current.type != "headers" and current.name != ""
            if not found and current.alternate is not None:
                alternate = self.exchanges.get(current.alternate)
                if alternate is not None:
                    found[alternate] = None
            for destination in found:
                if isinstance(destination, Queue):
                    queues[destination] = None
                elif destination not in visited:
                    visited[destination] = None
                    waiting.append(destination)
        return tuple(queues), lasting

    def _unbind_destination(self, destination: Destination) -> None:
        for source in list(destination.incoming):
            if source.unbind_all(destination):
                self._delete_unused(source)
        destination.incoming.clear()

    def _delete_unused(self, exchange: Exchange) -> None:
        if exchange.auto_delete and not exchange.bound and exchange.name in self.exchanges:
            self.delete_exchange(exchange)


def _check_not_reserved(kind: str, name: str) -> None:
    if name.startswith("amq."):
        raise access_refused(f"{kind} name '{name}' contains reserved prefix 'amq.*'")
