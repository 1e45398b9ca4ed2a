"""The broker under arbitrary calls, beside a model of plain dictionaries.

The model does not know how the broker works inside. It follows each copy of each message by what the broker reports,
and holds every report against what the model knows: a copy is in exactly one state, and only certain reports lead
from one state to another.
"""

import random
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from amount import so_many
from phrasim.broker import (
    Broker,
    Channel,
    Confirmed,
    ConsumerCancelled,
    DeadLettered,
    Delivery,
    Dropped,
    Message,
    Properties,
    Returned,
)

pytestmark = pytest.mark.unmeasured

QUEUES = ("q0", "q1", "q2", "q3")
EXCHANGES = ("", "amq.direct", "amq.fanout")
KEYS = ("q0", "q1", "q2", "a")
MS = 1_000_000

DEAD_LETTERING = st.fixed_dictionaries(
    {"x-dead-letter-exchange": st.sampled_from([*EXCHANGES, "missing"])},
    optional={"x-dead-letter-routing-key": st.sampled_from(KEYS)},
)
TIMES = st.fixed_dictionaries({}, optional={"x-message-ttl": st.sampled_from([0, 3, 20]), "x-expires": st.just(15)})
LIMITS = st.fixed_dictionaries(
    {"x-overflow": st.sampled_from(["drop-head", "reject-publish", "reject-publish-dlx"])},
    optional={"x-max-length": st.integers(0, 3), "x-max-length-bytes": st.integers(0, 6)},
)
ARGUMENTS = st.lists(st.sampled_from([DEAD_LETTERING, TIMES, LIMITS]), max_size=3, unique=True).flatmap(
    lambda parts: st.tuples(*parts).map(lambda drawn: {name: value for part in drawn for name, value in part.items()})
)


class Copy(dict):
    """What the model knows of one copy: queue, message, state, held_by, delivered, letter, expires_at, born.

    `back` is the step in which it was last settled, and the consumer tag that it had been delivered to.
    """


class LosslessBroker(RuleBasedStateMachine):
    """Without time to live, limits, rejections, purges and deletions: then nothing may be lost."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.step = 0
        self.broker = Broker(lambda: self.now, random.Random(5))
        self.queues: dict[str, dict] = {}
        self.bindings: dict[tuple[str, str, str], None] = {}
        self.copies: dict[tuple[str, int], Copy] = {}
        self.consumers: dict[tuple[Channel, str], dict] = {}
        self.confirming: dict[Channel, int] = {}
        self.channel_prefetch: dict[Channel, int] = {}
        self.prefetch: dict[Channel, int] = {}
        self.channels: list[Channel] = []
        self.deletable: set[str] = set()
        self.tags = 0
        self.refused: set[int] = set()

    # What a call may need.

    def arguments(self, drawn: dict) -> dict:
        return {}

    @initialize(declared=st.lists(st.tuples(ARGUMENTS, st.booleans()), min_size=4, max_size=4))
    def open_channels_and_declare(self, declared: list[tuple[dict, bool]]) -> None:
        for _ in range(2):
            connection = self.broker.open_connection()
            self.channels += [connection.open_channel(), connection.open_channel()]
        self.probe = self.broker.open_connection().open_channel()
        self.channels[0].confirm_select()
        self.confirming[self.channels[0]] = 0
        for queue, (drawn, auto_delete) in zip(QUEUES, declared, strict=True):
            self.declare_queue(queue, drawn, auto_delete)
        for queue in QUEUES[:3]:
            self.channels[0].queue_bind(queue, "amq.fanout", "a")
            self.bindings["amq.fanout", queue, "a"] = None

    def declare_queue(self, queue: str, drawn: dict, auto_delete: bool) -> None:
        arguments = self.arguments(drawn)
        auto_delete = auto_delete and bool(arguments)
        self.channels[0].queue_declare(queue, arguments=arguments, auto_delete=auto_delete)
        self.queues[queue] = {"arguments": arguments, "auto_delete": auto_delete}

    def targets(self, exchange: str, routing_key: str) -> list[str]:
        if exchange == "":
            return [routing_key] if routing_key in self.queues else []
        found = [
            queue
            for (bound, queue, key) in self.bindings
            if bound == exchange and (exchange == "amq.fanout" or key == routing_key)
        ]
        return list(dict.fromkeys(found))

    def ready(self, queue: str) -> Iterator[Copy]:
        return (copy for copy in self.copies.values() if copy["queue"] == queue and copy["state"] == "ready")

    def held(self, channel: Channel, tag: str | None = None) -> list[Copy]:
        return [
            copy
            for copy in self.copies.values()
            if copy["held_by"] is not None
            and copy["held_by"][0] is channel
            and (tag is None or copy["held_by"][1] == tag)
        ]

    # What reports do to the model.

    def register(self, message: Message, queue: str, *, letter: bool) -> None:
        times = [self.queues[queue]["arguments"].get("x-message-ttl"), message.properties.expiration]
        times = [int(ms) for ms in times if ms is not None]
        self.copies[queue, message.seq] = Copy(
            queue=queue,
            message=message,
            state="ready",
            held_by=None,
            delivered=False,
            letter=letter,
            expires_at=self.now + min(times) * MS if times else None,
            born=self.step,
            back=(0, ""),
        )

    def handed_out(self, copy: Copy, redelivered: bool) -> None:
        assert copy["state"] == "ready"
        assert copy["delivered"] is redelivered
        assert copy["expires_at"] is None or copy["expires_at"] > self.now or copy["born"] == self.step
        # Of several that are settled at once, a queue gets those of one consumer after those of another, by their tags
        # (held to RabbitMQ by the differential programs): only the first group is surely back.
        ready = list(self.ready(copy["queue"]))
        settled = [one for one in self.copies.values() if one["queue"] == copy["queue"] and one["back"][0] == self.step]
        first = min((one["back"][1] for one in settled), default="")
        before = [
            other["message"].seq
            for other in ready
            if other["letter"] is copy["letter"]
            and other["message"].seq < copy["message"].seq
            and (other["back"][0] != self.step or other["back"][1] == first)
        ]
        assert before == [], "an older message was ready"
        copy["delivered"] = True

    def left(self, message: Message, queue: str, reason: str) -> None:
        """A copy left its queue for good, by a report with this reason."""
        copy = self.copies[queue, message.seq]
        arguments = self.queues[queue]["arguments"]
        if reason == "rejected":
            assert copy["state"] == "rejecting"
        elif reason == "queue deleted":
            assert copy["state"] in ("ready", "unacked", "rejecting")
        else:
            assert copy["state"] == "ready"
        if reason == "expired":
            assert copy["expires_at"] <= self.now
        if reason == "maxlen":
            ready = list(self.ready(queue))
            assert len(ready) > arguments.get("x-max-length", 10**9) or sum(
                len(other["message"].body) for other in ready
            ) > arguments.get("x-max-length-bytes", 10**9)
            if arguments.get("x-overflow", "drop-head") != "drop-head":
                self.refused.add(message.seq)
        copy["state"] = "left"

    def follow(self) -> list:
        """Hold what the broker reports against the model."""
        events = self.broker.drain()
        expected_unroutable: dict[int, None] = {}
        for event in events:
            match event:
                case Delivery(channel, tag, delivery_tag, redelivered, message, queue):
                    consumer = self.consumers[channel, tag]
                    assert consumer["queue"] == queue
                    copy = self.copies[queue, message.seq]
                    self.handed_out(copy, redelivered)
                    if consumer["no_ack"]:
                        copy["state"] = "acked"
                        continue
                    copy["state"] = "unacked"
                    copy["held_by"] = (channel, tag, delivery_tag)
                    assert not consumer["prefetch"] or len(self.held(channel, tag)) <= consumer["prefetch"]
                    limit = self.channel_prefetch.get(channel, 0)
                    by_consumers = [held for held in self.held(channel) if held["held_by"][1] is not None]
                    assert not limit or len(by_consumers) <= limit
                case DeadLettered(message, queue, reason, exchange, routing_key, letter):
                    self.left(message, queue, reason)
                    assert letter.properties.expiration is None
                    targets = self.targets(exchange, routing_key)
                    for target in targets:
                        self.register(letter, target, letter=True)
                    if not targets:
                        expected_unroutable[letter.seq] = None
                case Dropped(message, None, "unroutable"):
                    expected_unroutable.pop(message.seq, None)
                case Dropped(message, queue, "dead-letter cycle"):
                    copy = self.copies[queue, message.seq]
                    assert copy["letter"]
                    assert copy["born"] == self.step
                    copy["state"] = "left"
                case Dropped(message, queue, reason):
                    arguments = self.queues[queue]["arguments"]
                    refused = reason == "maxlen" and arguments.get("x-overflow") == "reject-publish"
                    assert (
                        refused
                        or reason in ("purged", "queue deleted")
                        or arguments.get("x-dead-letter-exchange", "missing") == "missing"
                    )
                    self.left(message, queue, reason)
                case ConsumerCancelled(channel, tag):
                    self.deletable.add(self.consumers.pop((channel, tag))["queue"])
        assert not expected_unroutable
        self.forget_deleted_queues()
        return events

    def forget_deleted_queues(self) -> None:
        for queue in [queue for queue in self.queues if queue not in self.broker.queues]:
            assert queue in self.deletable or "x-expires" in self.queues[queue]["arguments"]
            for copy in self.copies.values():
                if copy["queue"] == queue and copy["state"] == "ready":
                    # A letter that came after the queue was gone; the model saw only the end.
                    assert copy["letter"]
                    assert copy["born"] == self.step
                    copy["state"] = "left"
                assert copy["queue"] != queue or copy["state"] in ("acked", "left")
            del self.queues[queue]
            self.bindings = {binding: None for binding in self.bindings if binding[1] != queue}
        self.deletable.clear()

    def begin(self) -> None:
        """Let the broker apply what is due, as the next call would, so that the model sees it apart."""
        self.step += 1
        self.broker.expire()
        self.follow()
        self.step += 1

    # Calls.

    @rule(queue=st.sampled_from(QUEUES), drawn=ARGUMENTS, auto_delete=st.booleans())
    def declare(self, queue: str, drawn: dict, auto_delete: bool) -> None:
        self.begin()
        if queue not in self.queues:
            self.declare_queue(queue, drawn, auto_delete)
        self.follow()

    @precondition(lambda self: self.queues)
    @rule(data=st.data(), exchange=st.sampled_from(EXCHANGES[1:]), key=st.sampled_from(KEYS), unbind=st.booleans())
    def bind_or_unbind(self, data: st.DataObject, exchange: str, key: str, unbind: bool) -> None:
        self.begin()
        if not self.queues:
            return
        queue = data.draw(st.sampled_from(list(self.queues)))
        if unbind:
            self.channels[0].queue_unbind(queue, exchange, key)
            self.bindings.pop((exchange, queue, key), None)
        else:
            self.channels[0].queue_bind(queue, exchange, key)
            self.bindings[exchange, queue, key] = None

    @rule(
        data=st.data(),
        published=st.lists(
            st.tuples(
                st.sampled_from(EXCHANGES),
                st.sampled_from(KEYS),
                st.binary(max_size=4),
                st.sampled_from([None, "0", "5", "50"]),
                st.booleans(),
            ),
            min_size=1,
            max_size=5,
        ),
    )
    def publish_some(self, data: st.DataObject, published: list[tuple]) -> None:
        channel = data.draw(st.sampled_from(self.channels))
        for exchange, key, body, expiration, mandatory in published:
            self.publish(channel, exchange, key, body, expiration, mandatory)

    @rule(data=st.data(), key=st.sampled_from(QUEUES), count=st.integers(1, 5))
    def publish_many(self, data: st.DataObject, key: str, count: int) -> None:
        channel = data.draw(st.sampled_from(self.channels))
        for _ in range(count):
            self.publish(channel, "", key, b"xy", None, mandatory=False)

    def publish(
        self, channel: Channel, exchange: str, key: str, body: bytes, expiration: str | None, mandatory: bool
    ) -> None:
        self.begin()
        properties = Properties(expiration=expiration if self.arguments({"x": 1}) else None)
        message = channel.basic_publish(exchange, key, body, properties, mandatory=mandatory)
        targets = self.targets(exchange, key)
        for queue in targets:
            self.register(message, queue, letter=False)
        events = self.follow()
        assert (Returned(channel, 312, "NO_ROUTE", message) in events) == (mandatory and not targets)
        assert (Dropped(message, None, "unroutable") in events) == (not mandatory and not targets)
        if channel in self.confirming:
            self.confirming[channel] += 1
            assert [event for event in events if isinstance(event, Confirmed)] == [
                Confirmed(channel, self.confirming[channel], message.seq not in self.refused)
            ]
        else:
            assert not any(isinstance(event, Confirmed) for event in events)

    @rule(data=st.data(), count=st.integers(0, 3), global_=st.booleans())
    def qos(self, data: st.DataObject, count: int, global_: bool) -> None:
        self.set_prefetch(data.draw(st.sampled_from(self.channels)), count, global_=global_)

    def set_prefetch(self, channel: Channel, count: int, *, global_: bool) -> None:
        self.begin()
        channel.basic_qos(count, global_=global_)
        self.channel_prefetch[channel] = count if global_ else 0
        if not global_:
            self.prefetch[channel] = count
        self.follow()

    @precondition(lambda self: self.queues)
    @rule(data=st.data(), no_ack=st.booleans(), count=st.none() | st.integers(1, 3))
    def consume(self, data: st.DataObject, no_ack: bool, count: int | None) -> None:
        channel = data.draw(st.sampled_from(self.channels))
        if count is not None:
            self.set_prefetch(channel, count, global_=False)
        self.begin()
        if not self.queues:
            return
        queue = data.draw(st.sampled_from(list(self.queues)))
        self.tags += 1
        tag = f"c{self.tags}"
        self.consumers[channel, tag] = {
            "queue": queue,
            "no_ack": no_ack,
            "prefetch": 0 if no_ack else self.prefetch.get(channel, 0),
        }
        channel.basic_consume(queue, tag, no_ack=no_ack)
        self.follow()

    @precondition(lambda self: self.consumers)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.begin()
        if not self.consumers:
            return
        channel, tag = data.draw(st.sampled_from(list(self.consumers)))
        queue = self.consumers.pop((channel, tag))["queue"]
        channel.basic_cancel(tag)
        self.consumers_left([queue])
        self.follow()

    def consumers_left(self, queues: list[str]) -> None:
        """A queue that deletes itself must do so exactly when its last consumer leaves."""
        for queue in queues:
            over = self.queues[queue]["auto_delete"] and not any(
                consumer["queue"] == queue for consumer in self.consumers.values()
            )
            assert over == (queue not in self.broker.queues)
            if over:
                self.deletable.add(queue)

    @precondition(lambda self: self.queues)
    @rule(data=st.data(), no_ack=st.booleans())
    def get(self, data: st.DataObject, no_ack: bool) -> None:
        self.begin()
        if not self.queues:
            return
        channel = data.draw(st.sampled_from(self.channels))
        queue = data.draw(st.sampled_from(list(self.queues)))
        fetched = channel.basic_get(queue, no_ack=no_ack)
        if fetched is None:
            assert list(self.ready(queue)) == []
        else:
            copy = self.copies[queue, fetched.message.seq]
            self.handed_out(copy, fetched.redelivered)
            copy["state"] = "acked" if no_ack else "unacked"
            if not no_ack:
                copy["held_by"] = (channel, None, fetched.delivery_tag)
        self.follow()

    def settle_kinds(self) -> list[str]:
        return ["ack", "ack", "requeue", "recover"]

    @precondition(lambda self: any(channel.unacked for channel in self.channels))
    @rule(data=st.data(), manners=st.lists(st.booleans(), min_size=1, max_size=4))
    def settle_some(self, data: st.DataObject, manners: list[bool]) -> None:
        for multiple in manners:
            self.begin()
            if any(channel.unacked for channel in self.channels):
                self.settle(data, multiple)

    def settle(self, data: st.DataObject, multiple: bool) -> None:
        channel = data.draw(st.sampled_from([channel for channel in self.channels if channel.unacked]))
        kind = data.draw(st.sampled_from(self.settle_kinds()))
        delivery_tag = data.draw(st.sampled_from(list(channel.unacked)))
        if kind == "recover" or (multiple and data.draw(st.booleans())):
            multiple, delivery_tag = True, 0
        for copy in self.held(channel):
            tag = copy["held_by"][2]
            if tag == delivery_tag or (multiple and (tag < delivery_tag or not delivery_tag)):
                copy["back"] = (self.step, copy["held_by"][1] or "")
                copy["held_by"] = None
                if copy["state"] == "unacked":
                    copy["state"] = {"ack": "acked", "reject": "rejecting"}.get(kind, "ready")
        if kind == "ack":
            channel.basic_ack(delivery_tag, multiple=multiple)
        elif kind == "recover":
            channel.basic_recover()
        else:
            channel.basic_nack(delivery_tag, multiple=multiple, requeue=kind == "requeue")
        self.follow()

    @rule(data=st.data(), whole_connection=st.booleans())
    def close(self, data: st.DataObject, whole_connection: bool) -> None:
        self.begin()
        channel = data.draw(st.sampled_from(self.channels))
        connection = channel.connection
        closing = list(connection.channels.values()) if whole_connection else [channel]
        for copy in self.copies.values():
            if copy["held_by"] is not None and copy["held_by"][0] in closing:
                copy["held_by"] = None
                if copy["state"] == "unacked":
                    copy["state"] = "ready"
        queues = [self.consumers[key]["queue"] for key in self.consumers if key[0] in closing]
        self.consumers = {key: value for key, value in self.consumers.items() if key[0] not in closing}
        if whole_connection:
            connection.close()
            connection = self.broker.open_connection()
        else:
            channel.close()
        self.consumers_left(list(dict.fromkeys(queues)))
        self.channels = [connection.open_channel() if channel in closing else channel for channel in self.channels]
        self.follow()

    # What must hold between any two calls.

    @invariant()
    def what_the_broker_holds_is_what_the_model_holds(self) -> None:
        for queue in self.queues:
            in_broker = self.broker.queues[queue]
            ready = len(list(self.ready(queue)))
            assert in_broker.ready_count == ready
            if "x-expires" not in self.queues[queue]["arguments"]:
                declared = self.probe.queue_declare(queue, passive=True)
                consumers = [consumer for consumer in self.consumers.values() if consumer["queue"] == queue]
                assert (declared.message_count, declared.consumer_count) == (ready, len(consumers))
            unacked = [copy for copy in self.copies.values() if copy["queue"] == queue and copy["state"] == "unacked"]
            assert in_broker.unacked_count == len(unacked)
        for channel in self.channels:
            held = {copy["held_by"][2]: (copy["queue"], copy["message"].seq) for copy in self.held(channel)}
            assert held == {tag: (copy.queue.name, copy.message.seq) for tag, copy in channel.unacked.items()}
        assert self.broker.drain() == []

    @invariant()
    def nothing_waits_for_a_consumer_that_has_room(self) -> None:
        for (channel, tag), consumer in self.consumers.items():
            limit = self.channel_prefetch.get(channel, 0)
            by_consumers = [copy for copy in self.held(channel) if copy["held_by"][1] is not None]
            # A consumer without acknowledgements holds nothing, but the limit of its channel holds it back.
            has_room = (not consumer["prefetch"] or len(self.held(channel, tag)) < consumer["prefetch"]) and (
                not limit or len(by_consumers) < limit
            )
            assert not has_room or list(self.ready(consumer["queue"])) == []

    @invariant()
    def every_copy_is_in_one_state(self) -> None:
        for copy in self.copies.values():
            assert copy["state"] in self.states()
            assert copy["state"] != "unacked" or copy["held_by"] is not None

    def states(self) -> tuple[str, ...]:
        return ("ready", "unacked", "acked")


class LossyBroker(LosslessBroker):
    """With everything: each copy ends acknowledged, dead-lettered, or dropped with a reason."""

    def arguments(self, drawn: dict) -> dict:
        return drawn

    def settle_kinds(self) -> list[str]:
        return ["ack", "requeue", "reject", "reject", "recover"]

    def states(self) -> tuple[str, ...]:
        return ("ready", "unacked", "acked", "left")

    @precondition(lambda self: self.queues)
    @rule(data=st.data(), delete=st.booleans())
    def purge_or_delete(self, data: st.DataObject, delete: bool) -> None:
        self.begin()
        if not self.queues:
            return
        queue = data.draw(st.sampled_from(list(self.queues)))
        ready = len(list(self.ready(queue)))
        if delete:
            self.deletable.add(queue)
            assert self.channels[0].queue_delete(queue) == ready
        else:
            assert self.channels[0].queue_purge(queue) == ready
        self.follow()
        assert list(self.ready(queue)) == []

    @rule(ms=st.sampled_from([1, 3, 5, 20, 100]))
    def advance(self, ms: int) -> None:
        """`next_deadline` is exact: before it nothing happens, and at it something does."""
        self.begin()
        target = self.now + ms * MS
        while (deadline := self.broker.next_deadline()) is not None and deadline <= target:
            assert deadline > self.now
            self.now = deadline - 1
            self.broker.expire()
            assert self.broker.drain() == []
            assert self.broker.next_deadline() == deadline
            self.now = deadline
            queues = list(self.broker.queues)
            self.step += 1
            self.broker.expire()
            gone = queues != list(self.broker.queues)
            events = self.follow()
            assert events or gone
        self.now = target
        self.broker.expire()
        assert self.broker.drain() == []

    @invariant()
    def limits_are_kept(self) -> None:
        for queue, declared in self.queues.items():
            arguments = declared["arguments"]
            if arguments.get("x-overflow", "drop-head") == "drop-head":
                ready = list(self.ready(queue))
                assert len(ready) <= arguments.get("x-max-length", len(ready))
                size = sum(len(copy["message"].body) for copy in ready)
                assert size <= arguments.get("x-max-length-bytes", size)


MACHINE_SETTINGS = settings(
    max_examples=so_many(100, elsewhere=50),
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)

TestLosslessBroker = LosslessBroker.TestCase
TestLosslessBroker.settings = MACHINE_SETTINGS
TestLossyBroker = LossyBroker.TestCase
TestLossyBroker.settings = MACHINE_SETTINGS


@pytest.mark.parametrize("seed", range(3))
def test_two_brokers_with_one_seed_give_equal_events(seed: int) -> None:
    def run() -> list[str]:
        rng = random.Random(seed)
        now = [0]
        broker = Broker(lambda: now[0], random.Random(seed))
        channel = broker.open_connection().open_channel()
        for name in ("a", "b", "c"):
            channel.queue_declare(
                name, arguments={"x-message-ttl": 5, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "end"}
            )
            channel.queue_bind(name, "amq.fanout")
        end = channel.queue_declare("end").name
        channel.basic_consume(end)
        lines = []
        for _ in range(200):
            now[0] += rng.randrange(3) * MS
            channel.basic_publish(rng.choice(["", "amq.fanout"]), rng.choice("abc"), b"x")
            broker.expire()
            for event in broker.drain():
                if isinstance(event, Delivery):
                    message = event.message
                    lines.append(f"{event.consumer_tag} {event.delivery_tag} {message.seq} {message.properties}")
                    channel.basic_ack(event.delivery_tag)
        return lines

    assert run() == run()
    assert len(run()) > 100
