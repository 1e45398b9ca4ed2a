"""What the journal has of strangers at the simulated broker, and what each is sent."""

import asyncio
import struct
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from pamqp import frame
from pamqp.commands import Basic, Connection, Queue

from phrasim.broker.amqp.served import JournalObserver
from phrasim.broker.message import Properties
from phrasim.broker.record import BrokerRecord
from phrasim.clock import Clock
from phrasim.documents import contract
from phrasim.edge import context
from phrasim.journal.events import Lost, Noted, Participant, Received, Sent
from phrasim.testbed.network import InProcess, Network, seeded

DEAD = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
EVERYTHING: dict[str, Any] = {
    "content_type": "a/b",
    "content_encoding": "gzip",
    "headers": {
        "traceparent": "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01",
        "number": 7,
        "long": 1 << 40,
        "half": 0.5,
        "price": Decimal("1.25"),
        "at": datetime(2019, 5, 15, tzinfo=UTC),
        "list": [1, {"deep": True}],
        "bytes": bytearray(b"\xff"),
        "none": None,
    },
    "delivery_mode": 2,
    "priority": 3,
    "correlation_id": "c",
    "reply_to": "r",
    "expiration": "100000",
    "message_id": "m",
    "timestamp": datetime(2019, 5, 15, tzinfo=UTC),
    "message_type": "t",
    "user_id": "guest",
    "app_id": "a",
}


class Watched:
    """A broker without sockets whose journal has what passes; phrasim logs in as `phrasim`, strangers as guest."""

    def __init__(self, landscape: Any, amqp: Any, loop: asyncio.AbstractEventLoop, external: Iterable[Any]) -> None:
        addressing = InProcess(external).addressing
        self.network = Network(contract("documented"), (), addressing, clock=Clock(loop), chance=seeded(7))
        self.journal = self.network.journal
        self.record = BrokerRecord(self.network.edges["broker"], contract("documented").messages)
        settings = amqp.Settings(users={"guest": "guest", "phrasim": "own"})
        landscape.with_settings(settings, JournalObserver(self.record, self._participant, "phrasim"))
        self._landscape = landscape
        self._amqp = amqp

    def stranger(self) -> Any:
        """A client that is not ours, with channel 1 open."""
        return self._landscape.client()

    def own(self) -> Any:
        """The client of a participant that phrasim plays."""
        wire = self._landscape.stranger()
        wire.send(b"AMQP\0\0\x09\x01")
        wire.send(self._amqp.start_ok("phrasim", "own"))
        wire.send(Connection.TuneOk(2047, 131072, 0))
        wire.send(Connection.Open("/"))
        wire.open()
        return wire

    def publish_of_ours(self, wire: Any, routing_key: str, exchange: str = "") -> Any:
        """Publish as Phraseanet's client does it; the message."""
        message = self.record.sends(self.network.edges["phraseanet"], exchange, routing_key, b"{}", {})
        headers = message.properties["headers"]
        wire.send(self._amqp.message(routing_key, b"{}", exchange=exchange, headers=headers, message_id=message.id))
        return message

    def _participant(self, user: str) -> Participant:
        return "phraseanet" if user == "phrasim" or "phraseanet" not in self.network.played else "user"


@pytest.fixture
def watch(landscape: Any, amqp: Any) -> Iterator[Callable[..., Watched]]:
    loop = asyncio.new_event_loop()
    yield lambda external=(): Watched(landscape, amqp, loop, external)
    loop.close()


@pytest.fixture
def watched(watch: Callable[..., Watched]) -> Watched:
    return watch()


def declare(wire: Any, queue: str = "q", **arguments: Any) -> Any:
    """A client that has a queue."""
    wire.call(Queue.Declare(queue=queue, arguments=arguments))
    return wire


def header_of(frames: bytes) -> bytes:
    """The payload of the content header among these frames, but for the size of the body."""
    while frames[0] != 2:
        frames = frames[struct.unpack_from(">I", frames, 3)[0] + 8 :]
    return frames[7 + 12 : struct.unpack_from(">I", frames, 3)[0] + 7]


def raw(wire: Any) -> bytes:
    found = b""
    while more := wire.connection.data_to_send():
        found += more
        wire.connection.go_on()
    return found


def properties_of(frames: list[Any]) -> dict[str, Any]:
    (header,) = [value for _, value in frames if hasattr(value, "properties")]
    return dict(header.properties)


@pytest.mark.parametrize(("external", "who"), [((), "user"), (("phraseanet",), "phraseanet")])
def test_what_a_stranger_publishes_is_received_in_full(watch: Any, amqp: Any, external: Any, who: str) -> None:
    watched = watch(external)
    wire = declare(watched.stranger())
    wire.send(amqp.message("q", b'{"a":1}', content_type="application/json", headers={"n": 1}))
    (event,) = watched.journal.events
    assert isinstance(event, Received)
    publish = event.message
    assert (publish.id, publish.sender, publish.receiver, publish.cause) == ("broker-1", who, "broker", None)
    assert (publish.exchange, publish.routing_key, publish.body.json) == ("", "q", {"a": 1})
    assert publish.properties == {"content-type": "application/json", "headers": {"n": 1}}


def test_a_stranger_who_does_what_phraseanet_does_takes_part_in_the_same_operation(watched: Any, amqp: Any) -> None:
    wire = declare(watched.stranger(), "assetsIngest")
    wire.send(Basic.Consume(queue="assetsIngest", no_ack=True), channel=1)
    wire.send(amqp.message("assetsIngest", b"{}"))
    channel = contract("documented").messages.channels["assetsIngest"]
    publish = watched.record.arrives("user", channel.exchange, channel.routing_key, Properties(), b"{}")
    assert publish.operation_id == "produceMessage"
    (delivery,) = [event.message for event in watched.journal.events if isinstance(event, Sent)]
    assert delivery.operation_id == "consumeMessage"


def test_everything_that_a_message_can_bear_can_be_written_to_a_trace(watched: Any, amqp: Any) -> None:
    wire = declare(watched.stranger())
    wire.send(Basic.Consume(queue="q", no_ack=True), channel=1)
    wire.send(amqp.message("q", b"\xff", **EVERYTHING))
    for event in watched.journal.events:
        written = msgspec.json.decode(msgspec.json.encode(event))["message"]["properties"]
        assert written["headers"]["number"] == 7
        assert written["headers"]["half"] == 0.5
        assert written["timestamp"] == "2019-05-15T00:00:00+00:00"
    assert len(watched.journal.events) == 2


def test_nothing_is_added_to_what_strangers_receive(watched: Any, amqp: Any) -> None:
    wire = declare(watched.stranger())
    published = amqp.message("q", b"x", **EVERYTHING)
    wire.connection.receive(published * 2)
    raw(wire)
    wire.connection.receive(_frame(Basic.Get(queue="q", no_ack=True)))
    assert header_of(raw(wire)) == header_of(published)
    wire.connection.receive(_frame(Basic.Consume(queue="q", no_ack=True)))
    assert header_of(raw(wire)) == header_of(published)


def test_own_deliveries_bear_a_traceparent_of_their_own_in_the_same_trace_and_else_what_was_published(
    watched: Any, amqp: Any
) -> None:
    own, other = watched.own(), declare(watched.stranger())
    other.send(amqp.message("q", b"x", **EVERYTHING))
    own.send(Basic.Consume(queue="q", no_ack=True), channel=1)
    other.send(amqp.message("q", b"x", **EVERYTHING))
    theirs = EVERYTHING["headers"]["traceparent"].split("-")
    received = properties_of(own.take())
    version, trace_id, parent_id, flags = received["headers"].pop("traceparent").split("-")
    assert (version, trace_id, flags) == (theirs[0], theirs[1], theirs[3])
    assert parent_id != theirs[2]
    wanted = properties_of(_decoded(amqp.message("q", b"x", **EVERYTHING)))
    del wanted["headers"]["traceparent"]
    assert received == wanted
    publishes = [event.message for event in watched.journal.events if isinstance(event, Received)]
    deliveries = [event.message for event in watched.journal.events if isinstance(event, Sent)]
    assert [one.receiver for one in deliveries] == ["phraseanet"] * 2
    assert [one.properties for one in deliveries] == [one.properties for one in publishes]
    assert [one.publish for one in deliveries] == [one.id for one in publishes]


def test_own_deliveries_of_a_message_without_a_trace_begin_one(watched: Any, amqp: Any) -> None:
    own, other = watched.own(), declare(watched.stranger())
    own.send(Basic.Consume(queue="q", no_ack=True), channel=1)
    other.send(amqp.message("q", b""))
    traceparent = properties_of(own.take())["headers"]["traceparent"]
    (delivery,) = [event.message for event in watched.journal.events if isinstance(event, Sent)]
    assert "headers" not in delivery.properties
    assert watched.record.edge.tracer.correlation.bears(traceparent) == delivery.id


def test_what_a_simulated_participant_publishes_is_named_by_its_id_and_found_again_in_deliveries(
    watched: Any, act: Any
) -> None:
    own, other = watched.own(), declare(watched.stranger())
    message = watched.publish_of_ours(own, "q")
    other.send(Basic.Consume(queue="q"), channel=1)
    delivery = act.seen(watched).messages[-1]
    assert act.seen(watched).fates(message.id) == [Sent, Received]
    assert (delivery.publish, delivery.receiver, delivery.queue) == (message.id, "user", "q")


def test_a_stranger_who_copies_a_traceparent_of_ours_is_a_stranger(watched: Any, amqp: Any, act: Any) -> None:
    own, other = watched.own(), declare(watched.stranger())
    message = watched.publish_of_ours(own, "q")
    other.send(amqp.message("q", b"{}", headers=message.properties["headers"], message_id=message.id))
    copied = act.seen(watched).publishes[-1]
    assert (copied.id, copied.sender) == ("broker-1", "user")
    assert act.seen(watched).fates(message.id) == [Sent, Received]
    other.send(Basic.Consume(queue="q", no_ack=True), channel=1)
    deliveries = [one for one in act.seen(watched).messages if one.sender == "broker"]
    assert [one.publish for one in deliveries] == [message.id, copied.id]


def test_a_letter_stems_from_the_publish_of_the_message_that_died(watched: Any, amqp: Any, act: Any) -> None:
    own, other = watched.own(), watched.stranger()
    declare(other, "dead", **{"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "buried"})
    declare(other, "buried")
    declare(other, **DEAD)
    other.send(amqp.message("q", b"theirs"))
    ours = watched.publish_of_ours(own, "q")
    theirs = act.seen(watched).publishes[0]
    for queue in ("q", "dead"):
        for _ in range(2):
            ((_, got), *_) = other.send(Basic.Get(queue=queue), channel=1)
            other.send(Basic.Reject(got.delivery_tag, requeue=False), channel=1)
    other.send(Basic.Consume(queue="buried", no_ack=True), channel=1)
    deliveries = [one for one in act.seen(watched).messages if one.sender == "broker"]
    assert [one.queue for one in deliveries] == ["q", "q", "dead", "dead", "buried", "buried"]
    assert [one.publish for one in deliveries] == [theirs.id, ours.id] * 3
    assert act.seen(watched).noted("dead-lettered") == [
        {"queue": queue, "reason": "rejected", "exchange": "", "routingKey": to}
        for queue, to in (("q", "dead"), ("q", "dead"), ("dead", "buried"), ("dead", "buried"))
    ]
    assert {event.by for event in watched.journal.events if isinstance(event, Noted)} == {"broker"}


def test_what_a_queue_drops_is_noted(watched: Any, amqp: Any, act: Any) -> None:
    wire = declare(watched.stranger(), **{"x-max-length": 1})
    wire.send(amqp.message("q", b"1"))
    wire.send(amqp.message("q", b"2"))
    assert act.seen(watched).noted("dropped") == [{"queue": "q", "reason": "maxlen"}]


def test_what_is_fetched_is_in_the_journal_with_the_name_of_its_queue(watched: Any, amqp: Any, act: Any) -> None:
    wire = declare(watched.stranger())
    wire.send(amqp.message("q", b"1"))
    wire.send(Basic.Get(queue="q"), channel=1)
    wire.send(Basic.Nack(1), channel=1)
    wire.send(Basic.Get(queue="q"), channel=1)
    publish, first, again = act.seen(watched).messages
    assert [one.queue for one in (first, again)] == ["q"] * 2
    assert [one.redelivered for one in (first, again)] == [False, True]
    assert [one.publish for one in (first, again)] == [publish.id] * 2
    assert (first.sender, first.receiver, first.exchange, first.routing_key) == ("broker", "user", "", "q")
    assert act.seen(watched).fates(first.id) == [Sent]
    wire.send(Basic.Get(queue="q"), channel=1)
    assert len(watched.journal.events) == 3


def test_a_strangers_publish_that_is_refused_is_lost_and_stands_there_in_full(watched: Any, amqp: Any) -> None:
    wire = watched.stranger()
    ((_, close),) = wire.send(amqp.message("k", b"x", exchange="nowhere"))
    assert close.reply_code == 404
    (event,) = watched.journal.events
    assert isinstance(event, Lost)
    assert event.reason == "404 NOT_FOUND - no exchange 'nowhere' in vhost '/'"
    assert (event.message.sender, event.message.exchange, event.message.body.text) == ("user", "nowhere", "x")


def test_a_message_that_comes_back_was_received_and_no_more(watched: Any, amqp: Any) -> None:
    wire = watched.stranger()
    returned = wire.send(amqp.message("nobody", b"x", mandatory=True))
    assert amqp.names(returned)[0] == "Basic.Return"
    assert [type(event) for event in watched.journal.events] == [Received]


def test_of_too_many_messages_the_oldest_publish_is_forgotten_first(
    watched: Any, amqp: Any, act: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr(context, "PENDING_MAX", 2)
    wire = declare(watched.stranger())
    for body in (b"1", b"2", b"3"):
        wire.send(amqp.message("q", body))
    wire.send(Basic.Consume(queue="q", no_ack=True), channel=1)
    deliveries = [one for one in act.seen(watched).messages if one.sender == "broker"]
    assert [one.publish for one in deliveries] == [None, "broker-2", "broker-3"]


def _frame(command: Any) -> bytes:
    return frame.marshal(command, 1)


def _decoded(frames: bytes) -> list[Any]:
    found = []
    while frames:
        size, channel, value = frame.unmarshal(frames)
        frames = frames[size:]
        found.append((channel, value))
    return found


def test_text_that_is_no_utf_8_stands_in_the_journal_with_its_bytes(watched: Any) -> None:
    def frame_of(kind: int, payload: bytes) -> bytes:
        return struct.pack(">BHI", kind, 1, len(payload)) + payload + b"\xce"

    wire = declare(watched.stranger())
    wire.send(Basic.Consume(queue="q", no_ack=True), channel=1)
    table = b"\3\xfeAB" + b"S" + struct.pack(">I", 2) + b"\xfd\xfc"
    header = frame_of(2, struct.pack(">HHQHI", 60, 0, 0, 0x2000, len(table)) + table)
    for routing_key in (b"\1q", b"\1\xff"):
        wire.connection.receive(frame_of(1, struct.pack(">HHH", 60, 40, 0) + b"\0" + routing_key + b"\0") + header)
        raw(wire)
    for event in watched.journal.events:
        msgspec.json.encode(event)
    messages_ = [event.message for event in watched.journal.events if not isinstance(event, Noted)]
    assert [one.routing_key for one in messages_] == ["q", "q", "\\xff"]
    assert [one.properties for one in messages_] == [{"headers": {"\\xfeAB": "\\xfd\\xfc"}}] * 3


def test_own_deliveries_bear_no_time_that_a_datetime_does_not_reach(watched: Any, amqp: Any) -> None:
    own, other = watched.own(), declare(watched.stranger())
    own.send(Basic.Consume(queue="q", no_ack=True), channel=1)
    far = struct.pack(">Q", 1 << 48)
    table = b"\1t" + b"T" + far + b"\1l" + b"A" + struct.pack(">I", 9) + b"T" + far
    payload = struct.pack(">HHQH", 60, 0, 0, 0x2040) + struct.pack(">I", len(table)) + table + far
    other.send(_frame(Basic.Publish(routing_key="q")) + struct.pack(">BHI", 2, 1, len(payload)) + payload + b"\xce")
    received = properties_of(own.take())
    assert (received["headers"]["t"], received["headers"]["l"]) == (1 << 48, [1 << 48])
    assert received["timestamp"] is None
    (delivery,) = [event.message for event in watched.journal.events if isinstance(event, Sent)]
    assert delivery.properties["timestamp"] == 1 << 48
