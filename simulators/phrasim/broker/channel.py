"""Connections and channels: what a client may call, and the state that belongs to it.

Each method has the name of an AMQP 0-9-1 method and RabbitMQ's semantics. A refusal is raised, after it closed the
channel (AmqpChannelError) or the connection (AmqpConnectionError); a server on top turns it into `close`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from phrasim.broker.errors import (
    INTERNAL_ERROR,
    NO_ROUTE,
    AmqpChannelError,
    AmqpError,
    access_refused,
    channel_error,
    not_allowed,
    not_found,
    not_implemented,
    precondition_failed,
    resource_locked,
)
from phrasim.broker.events import Confirmed, ConsumerCancelled, Returned
from phrasim.broker.exchange import Destination
from phrasim.broker.message import NO_PROPERTIES, Message, Properties, Table, carbon_keys, expiration_ms, type_word
from phrasim.broker.queue import MESSAGE_BYTES, Consumer, Copy, Queue

if TYPE_CHECKING:
    from phrasim.broker.core import Broker

P = ParamSpec("P")
R = TypeVar("R")

NO_ARGUMENTS: Table = {}

ROOM_WITHOUT_END = 1 << 62
"""Bytes that no connection hands over in its life."""


@dataclass(frozen=True, slots=True)
class QueueDeclared:
    """`queue.declare-ok`; `message_count` counts ready messages only."""

    name: str
    message_count: int
    consumer_count: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """`basic.get-ok`; `message_count` is how many ready messages are left in the queue of that name."""

    delivery_tag: int
    redelivered: bool
    message: Message
    message_count: int
    queue: str


class Connection:
    """A client's connection; channels are numbered from 1. `serial` counts the connections of the broker.

    `user` is the name that the `user_id` of its messages has to be; None where nobody has logged in and any will do.
    `room` is how many bytes of deliveries its wire still takes; without room its consumers have to wait. In-process
    nobody counts, and there is room for ever.
    """

    def __init__(self, broker: "Broker", serial: int) -> None:
        self.serial = serial
        self.closed = False
        self.user: str | None = None
        self.room = ROOM_WITHOUT_END
        self.channels: dict[int, Channel] = {}
        self.exclusive_queues: dict[Queue, None] = {}
        self._broker = broker

    def open_channel(self, number: int | None = None) -> "Channel":
        """Open channel `number`, or the lowest number that is free. Raises 504 when that is open already."""
        if self.closed:
            raise channel_error("the connection is closed: open another one")
        if number is None:
            number = 1
            while number in self.channels:
                number += 1
        elif number in self.channels:
            self.close()
            raise channel_error("second 'channel.open' seen")
        channel = self.channels[number] = Channel(self._broker, self, number)
        return channel

    def make_room(self, room: int) -> None:
        """Let the wire take `room` bytes of deliveries from now on; consumers that waited for it go on."""
        waited = self.room <= 0
        self.room = room
        if waited and room > 0 and not self.closed:
            self._broker.expire()
            for channel in list(self.channels.values()):
                channel.resume_consumers()

    def close(self) -> None:
        """Close every channel and delete the connection's exclusive queues. Closing again does nothing."""
        if self.closed:
            return
        self.closed = True
        self._broker.expire()
        channels = list(self.channels.values())
        for channel in channels:
            channel.leave_queues()
        for queue in list(self.exclusive_queues):
            self._broker.delete_queue(queue)
        # All of them at once: a message of one channel must not overtake an older one of another.
        give_back([copy for channel in channels for copy in channel.release()])
        del self._broker.connections[self]


def _method(
    class_id: int, method_id: int
) -> Callable[[Callable[Concatenate["Channel", P], R]], Callable[Concatenate["Channel", P], R]]:
    """Make an operation of the AMQP method with these ids: it needs an open channel and closes it when it fails."""

    def decorate(operation: Callable[Concatenate["Channel", P], R]) -> Callable[Concatenate["Channel", P], R]:
        @wraps(operation)
        def method(channel: "Channel", /, *args: P.args, **kwargs: P.kwargs) -> R:
            try:
                channel.begin()
                return operation(channel, *args, **kwargs)
            except AmqpError as error:
                channel.fail(error, class_id, method_id)
                raise

        return method

    return decorate


class Channel:
    """One channel of a connection.

    `unacked` are the deliveries by tag, which only grows; `outstanding` counts those of them that consumers hold,
    which `prefetch`, the channel's own limit (0: none), bounds. Everything else is RabbitMQ's per-channel state.
    """

    __slots__ = (
        "_broker",
        "_confirming",
        "_consumer_prefetch",
        "_last_queue",
        "_published",
        "closed",
        "connection",
        "consumers",
        "delivery_tag",
        "number",
        "outstanding",
        "prefetch",
        "unacked",
    )

    def __init__(self, broker: "Broker", connection: Connection, number: int) -> None:
        self.connection = connection
        self.number = number
        self.closed = False
        self.delivery_tag = 0
        self.unacked: dict[int, Copy] = {}
        self.consumers: dict[str, Consumer] = {}
        self.outstanding = 0
        self.prefetch = 0
        self._broker = broker
        self._consumer_prefetch = 0
        self._confirming = False
        self._published = 0
        self._last_queue = ""

    def close(self) -> None:
        """Cancel the consumers and requeue what is unacknowledged, in its order. Closing again does nothing."""
        if self.closed:
            return
        self._broker.expire()
        self.leave_queues()
        give_back(self.release())

    def release(self) -> list[Copy]:
        """Close the channel, which has no consumers any more; gives what was unacknowledged on it."""
        self.closed = True
        copies = self._up_to(0)
        self._settle(copies)
        self.connection.channels.pop(self.number, None)
        return copies

    def leave_queues(self) -> None:
        """Take the consumers out of their queues, and delete the queues that were only for them."""
        consumers = self.consumers
        self.consumers = {}
        left = {consumer.queue: consumer.queue.remove_consumer(consumer) for consumer in consumers.values()}
        for queue, done in left.items():
            if done:
                self._broker.delete_queue(queue)

    def begin(self) -> None:
        """Before anything else: refuse when closed, then apply what is due. Raises 504."""
        if self.closed:
            raise channel_error("expected 'channel.open'")
        if self._broker.deadlines.heap:
            self._broker.expire()

    def fail(self, error: AmqpError, class_id: int, method_id: int) -> None:
        """Close what `error` closes, and note in it which method failed, if RabbitMQ would know."""
        if error.reply_code != INTERNAL_ERROR:
            error.class_id = class_id
            error.method_id = method_id
        if isinstance(error, AmqpChannelError):
            self.close()
        else:
            self.connection.close()

    def cancel_consumer(self, consumer: Consumer) -> None:
        """Tell the client that `consumer` is over because its queue is gone."""
        del self.consumers[consumer.tag]
        consumer.queue.remove_consumer(consumer)
        self._broker.events.append(ConsumerCancelled(self, consumer.tag))

    def resume_consumers(self) -> None:
        """Let consumers that had to wait try again."""
        self._run(self._resume(self.consumers.values()))

    @_method(20, 20)
    def flow(self, active: bool) -> bool:
        """`channel.flow`: RabbitMQ only takes `active`; raises 540 for a stop."""
        if not active:
            raise not_implemented("active=false")
        return active

    @_method(40, 10)
    def exchange_declare(
        self,
        exchange: str,
        exchange_type: str = "direct",
        *,
        passive: bool = False,
        durable: bool = False,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: Table = NO_ARGUMENTS,
    ) -> None:
        """Make the exchange, or check that it is there (`passive`) or the same; raises 404, 403, 406 or 503."""
        if passive:
            self._broker.check_not_default(exchange)
            self._broker.exchange(exchange)
        else:
            self._broker.declare_exchange(
                exchange,
                exchange_type,
                durable=durable,
                auto_delete=auto_delete,
                internal=internal,
                arguments=arguments,
            )

    @_method(40, 20)
    def exchange_delete(self, exchange: str, *, if_unused: bool = False) -> None:
        """Delete the exchange; one that is not there is no error. Raises 403, and 406 when it has bindings."""
        broker = self._broker
        broker.check_not_default(exchange)
        if exchange.startswith("amq."):
            raise access_refused(f"deletion of system {broker.exchange_text(exchange)} not allowed")
        found = broker.exchanges.get(exchange)
        if found is None:
            return
        if if_unused and found.bound:
            raise precondition_failed(f"{broker.exchange_text(exchange)} in use")
        broker.delete_exchange(found)

    @_method(40, 30)
    def exchange_bind(
        self, destination: str, source: str, routing_key: str = "", arguments: Table = NO_ARGUMENTS
    ) -> None:
        """Bind exchange to exchange (RabbitMQ's extension). Raises 403, 404, or 406 for a wrong `x-match`."""
        self._broker.check_not_default(destination)
        self._broker.check_not_default(source)
        found = self._broker.exchange(source)
        self._broker.bind(found, self._broker.exchange(destination), routing_key, arguments)

    @_method(40, 40)
    def exchange_unbind(
        self, destination: str, source: str, routing_key: str = "", arguments: Table = NO_ARGUMENTS
    ) -> None:
        """Undo `exchange_bind`; a binding that is not there is no error. Raises 403."""
        self._broker.check_not_default(destination)
        self._broker.check_not_default(source)
        self._unbind(source, self._broker.exchanges.get(destination), routing_key, arguments)

    @_method(50, 10)
    def queue_declare(
        self,
        queue: str = "",
        *,
        passive: bool = False,
        durable: bool = False,
        exclusive: bool = False,
        auto_delete: bool = False,
        arguments: Table = NO_ARGUMENTS,
    ) -> QueueDeclared:
        """Make the queue, or check that it is there (`passive`) or the same; an empty name asks for a new one.

        Raises 404, 403, 405, 406, or 540 for an argument that this broker does not imitate.
        """
        if passive:
            declared = self._broker.queue(queue)
            self._check_access(declared)
            declared.touch()
        else:
            declared = self._broker.declare_queue(
                queue,
                durable=durable,
                auto_delete=auto_delete,
                owner=self.connection if exclusive else None,
                arguments=arguments,
            )
        self._last_queue = declared.name
        return QueueDeclared(declared.name, declared.ready_count, len(declared.consumers))

    @_method(50, 20)
    def queue_bind(self, queue: str, exchange: str, routing_key: str = "", arguments: Table = NO_ARGUMENTS) -> None:
        """Bind the queue to the exchange. Raises 403, 404, 405, or 406 for a wrong `x-match`."""
        if queue == "" and routing_key == "":
            routing_key = self._queue_name("")
        queue = self._queue_name(queue)
        self._broker.check_not_default(exchange)
        source = self._broker.exchange(exchange)
        destination = self._broker.queue(queue)
        self._check_access(destination)
        self._broker.bind(source, destination, routing_key, arguments)

    @_method(50, 50)
    def queue_unbind(self, queue: str, exchange: str, routing_key: str = "", arguments: Table = NO_ARGUMENTS) -> None:
        """Undo `queue_bind`; a binding that is not there is no error. Raises 403 or 405."""
        if queue == "" and routing_key == "":
            routing_key = self._queue_name("")
        queue = self._queue_name(queue)
        self._broker.check_not_default(exchange)
        destination = self._broker.queues.get(queue)
        if destination is not None:
            self._check_access(destination)
        self._unbind(exchange, destination, routing_key, arguments)

    @_method(50, 30)
    def queue_purge(self, queue: str) -> int:
        """Drop the ready messages, not the unacknowledged ones; tells how many. Raises 404 or 405."""
        return self._accessible_queue(queue).purge("purged")

    @_method(50, 40)
    def queue_delete(self, queue: str, *, if_unused: bool = False, if_empty: bool = False) -> int:
        """Delete the queue; tells how many messages were ready, 0 when it was not there. Raises 405 or 406."""
        found = self._broker.queues.get(self._queue_name(queue))
        if found is None:
            return 0
        self._check_access(found)
        text = self._broker.queue_text(found.name)
        if if_unused and found.consumers:
            raise precondition_failed(f"{text} in use")
        if if_empty and found.ready_count:
            raise precondition_failed(f"{text} not empty")
        return self._broker.delete_queue(found)

    @_method(60, 10)
    def basic_qos(self, prefetch_count: int, *, global_: bool = False, prefetch_size: int = 0) -> None:
        """Limit unacknowledged deliveries; 0 is no limit (RabbitMQ "Consumer Prefetch").

        Without `global_` the limit is that of each consumer started later, and the channel's own limit is lifted;
        with it the limit is the channel's. Raises 540 for a limit in bytes.
        """
        if prefetch_size:
            raise not_implemented(f"prefetch_size!=0 ({prefetch_size})")
        if global_:
            self.prefetch = prefetch_count
        else:
            self.prefetch = 0
            self._consumer_prefetch = prefetch_count
        self.resume_consumers()

    @_method(60, 20)
    def basic_consume(
        self,
        queue: str,
        consumer_tag: str = "",
        *,
        no_ack: bool = False,
        exclusive: bool = False,
        arguments: Table = NO_ARGUMENTS,
    ) -> str:
        """Start a consumer; gives its tag, which is generated when empty.

        Raises 404, 405, 403 when one of the queue's consumers is exclusive or this one would have to share, 406 for
        an `x-priority` that is no integer, 540 for one that is not 0, 530 for a tag that the channel already uses.
        """
        queue = self._queue_name(queue)
        if consumer_tag in self.consumers:
            raise not_allowed(f"attempt to reuse consumer tag '{consumer_tag}'")
        found = self._accessible_queue(queue)
        text = self._broker.queue_text(found.name)
        priority = arguments.get("x-priority", 0)
        if not isinstance(priority, int) or isinstance(priority, bool):
            raise precondition_failed(
                f"invalid arg 'x-priority' for {text}: \"expected integer, got {type_word(priority)}\""
            )
        if priority:
            raise not_implemented(f"x-priority {priority} on {text} is not simulated: leave it out")
        if any(consumer.exclusive for consumer in found.consumers) or (exclusive and found.consumers):
            raise access_refused(f"{text} in exclusive use")
        tag = consumer_tag or self._broker.generate_name("amq.ctag")
        consumer = Consumer(self, tag, found, no_ack=no_ack, exclusive=exclusive, prefetch=self._consumer_prefetch)
        self.consumers[tag] = consumer
        found.add_consumer(consumer)
        return tag

    @_method(60, 30)
    def basic_cancel(self, consumer_tag: str) -> None:
        """Stop a consumer; what it holds stays unacknowledged. An unknown tag is no error."""
        consumer = self.consumers.pop(consumer_tag, None)
        if consumer is not None and consumer.queue.remove_consumer(consumer):
            self._broker.delete_queue(consumer.queue)

    def basic_publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        properties: Properties = NO_PROPERTIES,
        *,
        mandatory: bool = False,
    ) -> Message:
        """Publish; gives the message as the broker numbers it.

        A mandatory message that no queue takes is returned; on a channel in confirm mode a confirm follows, which
        is negative when a full queue refused the message. Raises, in this order, 404 for the exchange, 403 when it is
        internal, 541 for properties that cannot be read, 406 for a wrong user_id, expiration, CC or BCC.
        """
        try:
            broker = self._broker
            if self.closed or broker.deadlines.heap:
                self.begin()
            found = broker.exchange(exchange)
            if found.internal:
                raise access_refused(f"cannot publish to internal {broker.exchange_text(exchange)}")
            if properties.expiration is None and properties.headers is None and properties.user_id is None:
                message = Message(body, properties, exchange, routing_key, broker.next_seq())
            else:
                self._check_user(properties.user_id)
                ttl_ms = expiration_ms(properties)
                properties, also = carbon_keys(properties)
                message = Message(body, properties, exchange, routing_key, broker.next_seq(), ttl_ms, also)
        except AmqpError as error:
            self.fail(error, 60, 40)
            raise
        queues = broker.route(message, found)
        if len(queues) == 1:
            accepted = queues[0].publish(message)
        else:
            accepted = broker.publish(message, queues)
        if not queues:
            if mandatory:
                broker.events.append(Returned(self, *NO_ROUTE, message))
            else:
                broker.drop(message, None, "unroutable")
        if self._confirming:
            self._published += 1
            broker.events.append(Confirmed(self, self._published, accepted))
        return message

    @_method(60, 70)
    def basic_get(self, queue: str, *, no_ack: bool = False) -> Fetched | None:
        """Take the first ready message, or None; prefetch does not count here. Raises 404 or 405."""
        found = self._accessible_queue(queue)
        copy = found.fetch(no_ack=no_ack)
        if copy is None:
            return None
        self.delivery_tag += 1
        if not no_ack:
            self.unacked[self.delivery_tag] = copy
        return Fetched(self.delivery_tag, copy.redelivered, copy.message, found.ready_count, found.name)

    def basic_ack(self, delivery_tag: int = 0, *, multiple: bool = False) -> None:
        """Acknowledge one delivery, or all up to the tag (0: all). Raises 406 for a tag that is not open."""
        try:
            if self.closed or self._broker.deadlines.heap:
                self.begin()
            if multiple:
                for group in _groups(self._up_to(delivery_tag)):
                    self._run(self._resume(self._settle(group)))
                return
            copy = self.unacked.pop(delivery_tag, None)
            if copy is None:
                raise precondition_failed(f"unknown delivery tag {delivery_tag}")
        except AmqpError as error:
            self.fail(error, 60, 80)
            raise
        copy.queue.unacked_count -= 1
        self._broker.held_bytes -= len(copy.message.body) + MESSAGE_BYTES
        consumer = copy.consumer
        if consumer is not None:
            consumer.outstanding -= 1
            self.outstanding -= 1
            if self.prefetch:
                self._run(self._resume(()))
            elif consumer.blocked:
                consumer.queue.resume(consumer)
                consumer.queue.run()

    @_method(60, 90)
    def basic_reject(self, delivery_tag: int, *, requeue: bool = True) -> None:
        """Give one delivery back, or let it go to the dead-letter exchange. Raises 406 for an unknown tag."""
        self._reject(delivery_tag, multiple=False, requeue=requeue)

    @_method(60, 110)
    def basic_recover(self, *, requeue: bool = True) -> None:
        """Requeue everything unacknowledged on the channel. Raises 540 for anything but requeue."""
        if not requeue:
            raise not_implemented("requeue=false")
        self._reject(0, multiple=True, requeue=True)

    @_method(60, 100)
    def basic_recover_async(self, *, requeue: bool = True) -> None:
        """`basic_recover` without an answer, which AMQP 0-9-1 has for older clients."""
        if not requeue:
            raise not_implemented("requeue=false")
        self._reject(0, multiple=True, requeue=True)

    @_method(60, 120)
    def basic_nack(self, delivery_tag: int = 0, *, multiple: bool = False, requeue: bool = True) -> None:
        """`basic_reject` for one or many (RabbitMQ "Negative Acknowledgements")."""
        self._reject(delivery_tag, multiple=multiple, requeue=requeue)

    @_method(85, 10)
    def confirm_select(self) -> None:
        """Confirm every publish from now on (RabbitMQ "Publisher Confirms"); the count starts at 1."""
        self._confirming = True

    def _reject(self, delivery_tag: int, *, multiple: bool, requeue: bool) -> None:
        if multiple:
            copies = self._up_to(delivery_tag)
        else:
            copy = self.unacked.pop(delivery_tag, None)
            if copy is None:
                raise precondition_failed(f"unknown delivery tag {delivery_tag}")
            copies = [copy]
        for group in _groups(copies):
            # Room comes before the messages: a sole consumer gets back at once what it requeued.
            queues = self._resume(self._settle(group))
            if requeue:
                give_back(group)
            else:
                for copy in group:
                    if not copy.queue.deleted:
                        self._broker.discard(copy.message, copy.queue, "rejected")
            self._run(queues)

    def _up_to(self, delivery_tag: int) -> list[Copy]:
        """Take the open deliveries up to the tag, which must be open itself unless it is 0 for all."""
        if delivery_tag == 0:
            copies = list(self.unacked.values())
            self.unacked.clear()
            return copies
        if delivery_tag not in self.unacked:
            raise precondition_failed(f"unknown delivery tag {delivery_tag}")
        tags = []
        for tag in self.unacked:
            if tag > delivery_tag:
                break
            tags.append(tag)
        return [self.unacked.pop(tag) for tag in tags]

    def _settle(self, copies: list[Copy]) -> list[Consumer]:
        """Count copies taken from `unacked` as settled; tells which consumers held them."""
        consumers: dict[Consumer, None] = {}
        for copy in copies:
            copy.queue.unacked_count -= 1
            self._broker.held_bytes -= len(copy.message.body) + MESSAGE_BYTES
            if copy.consumer is not None:
                copy.consumer.outstanding -= 1
                self.outstanding -= 1
                consumers[copy.consumer] = None
        return list(consumers)

    def _resume(self, consumers: Iterable[Consumer]) -> list[Queue]:
        """Let those that are blocked take part again, or all of the channel's if they share a limit.

        Tells the queues that have to run now.
        """
        if self.prefetch:
            consumers = self.consumers.values()
        blocked = [consumer for consumer in consumers if consumer.blocked]
        queues = list(dict.fromkeys(consumer.queue for consumer in blocked))
        for consumer in sorted(blocked, key=_blocking):
            consumer.queue.resume(consumer)
        return queues

    def _run(self, queues: Iterable[Queue]) -> None:
        for queue in queues:
            queue.run()

    def _unbind(self, source: str, destination: Destination | None, routing_key: str, arguments: Table) -> None:
        found = self._broker.exchanges.get(source)
        if found is not None and destination is not None:
            self._broker.unbind(found, destination, routing_key, arguments)

    def _queue_name(self, queue: str) -> str:
        """The name, or that of the queue declared last on this channel when it is empty. Raises 404."""
        if queue:
            return queue
        if not self._last_queue:
            raise not_found("no previously declared queue")
        return self._last_queue

    def _accessible_queue(self, queue: str) -> Queue:
        found = self._broker.queue(self._queue_name(queue))
        self._check_access(found)
        return found

    def _check_user(self, user_id: str | None) -> None:
        user = self.connection.user
        if user_id is not None and user is not None and user_id != user:
            raise precondition_failed(f"user_id property set to '{user_id}' but authenticated user was '{user}'")

    def _check_access(self, queue: Queue) -> None:
        if queue.owner is not None and queue.owner is not self.connection:
            raise resource_locked(self._broker.queue_text(queue.name))


def _groups(copies: list[Copy]) -> Iterable[list[Copy]]:
    """The copies by queue and consumer tag, in the order of these names, those of `basic.get` first.

    In these groups RabbitMQ's channel hands settled deliveries to the queues, and a queue works at once on each
    (`rabbit_channel:foreach_per_queue`).
    """
    if len(copies) < 2:
        return [copies]
    groups: dict[tuple[bytes, bytes], list[Copy]] = {}
    for copy in copies:
        tag = b"" if copy.consumer is None else copy.consumer.tag.encode("utf-8", "surrogateescape")
        groups.setdefault((copy.queue.name.encode("utf-8", "surrogateescape"), tag), []).append(copy)
    return [groups[key] for key in sorted(groups)] if len(groups) > 1 else [copies]


def _blocking(consumer: Consumer) -> int:
    return consumer.blocked


def give_back(copies: Iterable[Copy]) -> None:
    """Give copies back to their queues, each to its place."""
    by_queue: dict[Queue, list[Copy]] = {}
    for copy in copies:
        by_queue.setdefault(copy.queue, []).append(copy)
    for queue, of_queue in by_queue.items():
        if not queue.deleted:
            queue.requeue(of_queue)
