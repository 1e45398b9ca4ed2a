"""Runs one program on one broker, and writes down what a client can see of it.

After every step the driver lets the broker come to rest: it asks for every queue's counts and goes once round every
open channel, until nothing new comes any more. So that both brokers are asked the same, what a step refers to (a
delivery tag, a generated name) is the program's own numbering, translated here.
"""

import re
import time
from dataclasses import dataclass, field
from typing import Any

from differential.client import Account, Client
from differential.wire import INTEGERS, NAMES, Received, encode_method, frame, replies

SLOTS = ((0, 1), (0, 2), (1, 1))
"""The program's channels: which connection, and which channel number on it."""

WATCH = 99
"""The number of the channel on which a connection is asked for its exclusive queues."""

SILENCE_S = 0.15
"""How long nothing comes before it is taken that nothing will."""

GREETINGS = {
    "connection.start": "connection.start-ok",
    "connection.tune": "connection.tune-ok",
    "connection.open-ok": "connection.open",
}
"""What a client sends that has been sent the other: `open` tells of itself only by its answer."""

BARRIER = "barrier"
"""A consumer tag that nobody uses: cancelling it changes nothing and is answered behind all that came before."""

ROUNDS_MIN = 2
ROUNDS_MAX = 40
PATIENCE_MS = 60
"""How much later than it says an expiry may be noticed."""

GENERATED = re.compile(r"amq\.(?:gen|ctag)-[\w-]{22}")
UNKNOWN_TAG = re.compile(r"unknown delivery tag (\d+)")

Step = dict[str, Any]
Program = list[Step]


@dataclass(slots=True)
class Run:
    """What came of a program: a record for each step, and how often each method and reply code was met."""

    records: list[dict[str, Any]] = field(default_factory=list)
    met: dict[str, int] = field(default_factory=dict)
    slow: bool = False

    def count(self, what: str) -> None:
        self.met[what] = self.met.get(what, 0) + 1


@dataclass(slots=True)
class Slot:
    """One of the program's channels while it is open."""

    connection: int
    number: int
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

    def own_tag(self, real: int) -> int:
        return self.tags.index(real) + 1 if real in self.tags else real


class Driver:
    """A broker at an address, and how programs are run on it, one after the other."""

    def __init__(self, address: tuple[str, int], account: Account) -> None:
        self.address = address
        self.account = account
        self._watcher: Client | None = None

    def run(self, program: Program) -> Run:
        """Run a program on the broker, which has nothing in it before and afterwards."""
        execution = Execution(self, program)
        try:
            return execution.run()
        finally:
            self._clean(execution)

    def connect(self) -> Client:
        """An open connection."""
        client = Client(self.address)
        transcript = client.open(self.account)
        assert transcript[-1].name == "connection.open-ok", transcript
        return client

    def watcher(self) -> Client:
        """The connection that looks at queues and cleans up, with channel WATCH open."""
        if self._watcher is None or self._watcher.closed:
            self._watcher = self.connect()
            open_watch(self._watcher)
        return self._watcher

    def close(self) -> None:
        """Leave the broker."""
        if self._watcher is not None:
            self._watcher.drop()

    def _clean(self, execution: "Execution") -> None:
        for client in execution.clients.values():
            if not client.closed:
                client.send(0, "connection.close", {"reply_code": 200})
                while (received := client.receive()) is not None and received.name != "connection.close-ok":
                    pass
            client.drop()
        watcher = self.watcher()
        for kind, names in (("exchange", execution.exchanges), ("queue", execution.queues)):
            for name in names:
                deadline = time.monotonic() + 5
                while True:
                    watcher.send(WATCH, f"{kind}.delete", {kind: name})
                    received = watcher.receive()
                    assert received is not None
                    if received.name == f"{kind}.delete-ok":
                        break
                    # A queue that was exclusive to a connection that left is about to go.
                    open_watch(watcher, again=True)
                    assert time.monotonic() < deadline, f"cannot delete {kind} {name!r}: {received}"


def open_watch(client: Client, *, again: bool = False) -> None:
    """Open channel WATCH, `again` after the broker closed it."""
    if again:
        client.send(WATCH, "channel.close-ok", {})
    client.send(WATCH, "channel.open", {})
    received = client.receive()
    assert received is not None
    assert received.name == "channel.open-ok", received


class Execution:
    """One program on one broker."""

    def __init__(self, driver: Driver, program: Program) -> None:
        self._driver = driver
        self._program = program
        self._run = Run()
        self.clients: dict[int, Client] = {}
        self.slots: dict[int, Slot] = {}
        self.exchanges: dict[str, None] = {}
        self.queues: dict[str, int | None] = {}
        self._all_queues: dict[str, None] = {}
        self._generated: dict[str, str] = {}
        self._events: list[str] = []
        self._counts: dict[str, Any] = {}
        self._rounds = 0
        self._reply: Received | None = None
        self._awaited: tuple[int, int, list[str]] | None = None
        self._clock_started: float | None = None
        self._timers: list[int] = []

    def run(self) -> Run:
        for step in self._program:
            self._run.records.append(self._step(step))
        return self._run

    # One step.

    def _step(self, step: Step) -> dict[str, Any]:
        self._events = []
        self._reply = None
        before = time.monotonic()
        match step["do"]:
            case "wait":
                time.sleep((max(self._timers) + PATIENCE_MS) / 1000 if self._timers else 0)
                self._timers = []
                before = time.monotonic()
            case "handshake":
                return self._handshake(step)
            case "alone":
                return self._alone(step)
            case "drop":
                self._drop(step)
            case "raw":
                self._raw(step)
            case _:
                self._call(step)
        self._settle()
        if self._timers and time.monotonic() - before > min(self._timers) / 1000 / 4:
            self._run.slow = True
        return self._record()

    def _handshake(self, step: Step) -> dict[str, Any]:
        client = Client(self._driver.address)
        transcript = client.open(Account(**{**self._account_fields(), **step["with"]}))
        for received in transcript:
            self._count(received)
            if received.name in GREETINGS:
                self._run.count("> " + GREETINGS[received.name])
        if transcript[-1].name == "connection.open-ok":
            client.send(0, "connection.close", {"reply_code": 200, "reply_text": "bye"})
            received = client.receive()
            assert received is not None
            self._count(received)
            transcript.append(received)
        client.drop()
        return {"transcript": [[received.name, handshake_fields(received)] for received in transcript]}

    def _alone(self, step: Step) -> dict[str, Any]:
        """On a connection for this step only, send what need not be AMQP; write down what comes, and how it ends.

        `after` is the method of the handshake behind which it begins, or "channel.open-ok", or nothing.
        """
        client = Client(self._driver.address)
        after = step.get("after", "channel.open-ok")
        if after:
            opened = client.open(Account(**self._account_fields()), after)
            assert opened[-1].name in {after, "connection.open-ok", "connection.tune"}, opened
        if after == "channel.open-ok":
            client.send(1, "channel.open", {})
            received = client.receive()
            assert received is not None
            assert received.name == after, received
        for sent in step["send"]:
            client.write(self._raw_bytes(sent))
        transcript = client.hear_out(SILENCE_S)
        for received in transcript:
            self._count(received)
        ended = client.closed
        client.drop()
        return {
            "transcript": [
                [received.channel, received.name, handshake_fields(received), content(received)]
                for received in transcript
            ],
            "the broker closed the socket": ended,
        }

    def _raw_bytes(self, sent: dict[str, Any]) -> bytes:
        """A method by its name, a frame of any kind by its payload in hexadecimal, or bytes."""
        if "method" in sent:
            self._run.count("> " + sent["method"])
            return frame(1, sent.get("channel", 1), encode_method(sent["method"], sent.get("with", {})))
        if "kind" in sent:
            return frame(sent["kind"], sent.get("channel", 1), bytes.fromhex(sent["payload"]))
        return bytes.fromhex(sent["bytes"]) * sent.get("times", 1)

    def _account_fields(self) -> dict[str, str]:
        account = self._driver.account
        return {"user": account.user, "password": account.password, "vhost": account.vhost}

    def _drop(self, step: Step) -> None:
        connection, _ = SLOTS[step["on"]]
        client = self.clients.get(connection)
        if client is not None:
            client.drop()
            self._forget_connection(connection)
            # No answer tells when the broker has noticed.
            time.sleep(0.03)

    def _raw(self, step: Step) -> None:
        """Send a method, or any bytes, on a channel number that no slot uses, and read what the broker says."""
        connection, _ = SLOTS[step["on"]]
        client = self._client(connection)
        payload = bytes.fromhex(step["bytes"]) if "bytes" in step else encode_method(step["method"], step["with"])
        client.write(frame(step.get("kind", 1), step["channel"], payload) if step.get("framed", True) else payload)
        self._run.count("raw")
        if "method" in step:
            self._run.count("> " + step["method"])
        self._await(connection, step["channel"], replies(step["method"]) if "method" in step else [])

    def _call(self, step: Step) -> None:
        slot = self._slot(step["on"])
        name, fields = step["do"], dict(step["with"])
        client = self.clients[slot.connection]
        self._run.count("> " + name)
        if "delivery_tag" in fields:
            fields["delivery_tag"] = slot.real_tag(fields["delivery_tag"], multiple=fields.get("multiple", False))
        if name == "basic.publish":
            self._note_expiry(step.get("properties", {}).get("expiration"))
            if slot.confirming:
                slot.published += step.get("times", 1)
            client.publish(
                slot.number, fields, step.get("properties", {}), step.get("body", "").encode(), step.get("times", 1)
            )
            return
        self._expect_effects(slot, name, fields)
        channel = 0 if name.startswith("connection.") else slot.number
        client.send(channel, name, fields)
        if replies(name) and not fields.get("nowait"):
            self._await(slot.connection, channel, replies(name))
        self._note_effects(slot, name, fields)

    def _expect_effects(self, slot: Slot, name: str, fields: dict[str, Any]) -> None:
        """Note what the broker may have made, so that it is looked at and taken away, even if no answer comes."""
        if name == "exchange.declare" and not fields.get("passive") and not reserved(fields["exchange"]):
            self.exchanges[fields["exchange"]] = None
        if name == "queue.declare" and fields["queue"] and not fields.get("passive"):
            self._expect_queue(fields["queue"], slot, fields)
        if name == "basic.consume":
            slot.queue_of[fields["consumer_tag"]] = fields["queue"] or slot.last_queue

    def _expect_queue(self, name: str, slot: Slot, fields: dict[str, Any]) -> None:
        if name not in self._all_queues:
            self._all_queues[name] = None
            self.queues[name] = None
        if self.queues.get(name, "gone") == "gone":
            self.queues[name] = None
        if fields.get("exclusive") and name not in self._counts:
            self.queues[name] = slot.connection
        for argument in ("x-message-ttl", "x-expires"):
            kind, number = fields["arguments"].get(argument, [None, None])
            if kind in INTEGERS:
                self._note_expiry(number)

    def _note_expiry(self, ms: Any) -> None:
        """A time that a later "wait" has to pass, when it is a short one."""
        try:
            number = int(ms)
        except (TypeError, ValueError):
            return
        if 0 < number <= 1000:
            self._timers.append(number)

    def _note_effects(self, slot: Slot, name: str, fields: dict[str, Any]) -> None:
        reply = self._reply
        answered = reply is not None and reply.name.endswith("-ok")
        match name:
            case "queue.declare" if answered:
                assert reply is not None
                slot.last_queue = reply.fields["queue"]
                if not fields.get("passive"):
                    self._expect_queue(slot.last_queue, slot, fields)
            case "queue.declare" if fields.get("nowait"):
                slot.last_queue = fields["queue"]
            case "basic.consume" if answered:
                assert reply is not None
                slot.queue_of[reply.fields["consumer_tag"]] = fields["queue"] or slot.last_queue
            case "confirm.select" if (answered or fields.get("nowait")) and not slot.confirming:
                slot.confirming = True
            case "channel.close" if answered:
                self._forget_slot(slot)
            case "connection.close":
                self._forget_connection(slot.connection)

    # Connections and channels.

    def _client(self, connection: int) -> Client:
        client = self.clients.get(connection)
        if client is None or client.closed:
            client = self.clients[connection] = self._driver.connect()
            open_watch(client)
        return client

    def _slot(self, index: int) -> Slot:
        connection, number = SLOTS[index]
        client = self._client(connection)
        slot = self.slots.get(index)
        if slot is None:
            slot = self.slots[index] = Slot(connection, number)
            client.send(number, "channel.open", {})
            self._await(connection, number, ["channel.open-ok"])
            self._reply = None
        return slot

    def _slot_at(self, connection: int, number: int) -> Slot | None:
        for slot in self.slots.values():
            if (slot.connection, slot.number) == (connection, number):
                return slot
        return None

    def _forget_slot(self, slot: Slot) -> None:
        self.slots = {index: other for index, other in self.slots.items() if other is not slot}

    def _forget_connection(self, connection: int) -> None:
        client = self.clients.pop(connection, None)
        if client is not None:
            client.drop()
        self.slots = {index: slot for index, slot in self.slots.items() if slot.connection != connection}

    # What the broker sends.

    def _await(self, connection: int, channel: int, names: list[str]) -> Received | None:
        """Take what comes on the connection until one of `names` on the channel, or a close; note it as the reply."""
        while True:
            client = self.clients.get(connection)
            if client is None:
                return None
            try:
                received = client.receive()
            except TimeoutError:
                self._events.append(f"no answer on connection {connection}")
                self._forget_connection(connection)
                return None
            if received is None:
                self._events.append(f"connection {connection}: the broker closed the socket")
                self._forget_connection(connection)
                return None
            if received.channel == channel and received.name in names:
                if not (received.name == "basic.cancel-ok" and received.fields["consumer_tag"] == BARRIER):
                    self._count(received)
                if channel != WATCH:
                    self._reply = received
                return received
            self._take(connection, received)
            if received.name == "connection.close" or (
                received.name == "channel.close" and received.channel in {channel, WATCH}
            ):
                return received

    def _take(self, connection: int, received: Received) -> None:
        client = self.clients[connection]
        if received.channel != WATCH:
            self._count(received)
        slot = self._slot_at(connection, received.channel)
        if received.name == "connection.close":
            self._events.append(f"connection {connection}: {closing(received, None)}")
            client.send(0, "connection.close-ok", {})
            self._forget_connection(connection)
        elif received.channel == WATCH:
            if received.name == "channel.close":
                open_watch(client, again=True)
        elif received.name == "channel.close":
            self._events.append(f"connection {connection} channel {received.channel}: {closing(received, slot)}")
            client.send(received.channel, "channel.close-ok", {})
            if slot is not None:
                self._close(slot)
        elif slot is None:
            self._events.append(f"connection {connection} channel {received.channel}: {received.name} out of place")
        else:
            self._take_on(slot, received)

    def _close(self, slot: Slot) -> None:
        """The channel is closed; what came before it still belongs in this step's record."""
        self._events += [f"before the close: {event}" for event in self._observed(slot)]
        self._forget_slot(slot)

    def _take_on(self, slot: Slot, received: Received) -> None:
        fields = received.fields
        match received.name:
            case "basic.deliver":
                queue = slot.queue_of.get(fields["consumer_tag"])
                if queue is None:
                    queue = f"nobody's, but for the consumer {fields['consumer_tag']}"
                slot.deliveries.append((queue, received))
            case "basic.ack" | "basic.nack":
                settled = slot.acks if received.name == "basic.ack" else slot.nacks
                tag = fields["delivery_tag"]
                tags = [tag]
                if fields["multiple"]:
                    tags = [number for number in range(1, tag + 1) if number not in slot.settled]
                for number in tags:
                    if number in slot.settled:
                        self._events.append(f"{number} is confirmed twice")
                    slot.settled[number] = None
                    settled[number] = None
                slot.others.append(["confirm"])
            case _:
                slot.others.append([received.name, method_fields(received), content(received)])

    def _count(self, received: Received) -> None:
        self._run.count("< " + received.name)
        if received.name in {"channel.close", "connection.close"}:
            fields = received.fields
            self._run.count(
                f"{received.name} {fields['reply_code']} in {NAMES.get(method_index(received), 'no method')}"
            )
        if received.name == "basic.return":
            self._run.count(f"basic.return {received.fields['reply_code']}")

    # Rest.

    def _settle(self) -> None:
        """Let the broker come to rest: go round until the counts repeat, nothing comes, and all is confirmed."""
        last: Any = None
        for number in range(ROUNDS_MAX):
            before = self._volume()
            self._go_round_channels()
            self._counts = self._look_at_queues()
            waiting = [slot for slot in self.slots.values() if len(slot.settled) < slot.published]
            state = (self._counts, self._volume())
            if number + 1 >= ROUNDS_MIN and state == last and state[1] == before and not waiting:
                return
            if waiting:
                # A message is confirmed when it is safe, which on a disk takes its time.
                time.sleep(0.001)
            last = state
        self._events.append("no rest: " + ", ".join(f"{slot.published} published" for slot in self.slots.values()))

    def _volume(self) -> int:
        return len(self._events) + sum(
            len(slot.deliveries) + len(slot.others) + len(slot.settled) for slot in self.slots.values()
        )

    def _look_at_queues(self) -> dict[str, Any]:
        counts: dict[str, Any] = {}
        for name in list(self.queues):
            connection = self.queues[name]
            if connection is None or connection not in self.clients:
                found = self._look(self._driver.watcher(), name)
            else:
                self.clients[connection].send(WATCH, "queue.declare", {"queue": name, "passive": True})
                received = self._await(connection, WATCH, ["queue.declare-ok"])
                found = count_of(received)
            if found == "gone":
                del self.queues[name]
            else:
                counts[self._mask(name)] = found
        return counts

    def _look(self, client: Client, name: str) -> Any:
        client.send(WATCH, "queue.declare", {"queue": name, "passive": True})
        received = client.receive()
        assert received is not None
        if received.name == "channel.close":
            open_watch(client, again=True)
        return count_of(received)

    def _go_round_channels(self) -> None:
        for slot in list(self.slots.values()):
            if slot.connection in self.clients and slot in self.slots.values():
                reply = self._reply
                self.clients[slot.connection].send(slot.number, "basic.cancel", {"consumer_tag": BARRIER})
                self._await(slot.connection, slot.number, ["basic.cancel-ok"])
                self._reply = reply

    # The record.

    def _record(self) -> dict[str, Any]:
        record: dict[str, Any] = {}
        if self._reply is not None:
            reply = self._reply
            fields = method_fields(reply)
            slot = self._slot_of_reply()
            if reply.name == "basic.get-ok" and slot is not None:
                slot.tags.append(reply.fields["delivery_tag"])
                slot.steps.append((len(slot.tags), len(slot.tags), False))
                fields["delivery_tag"] = len(slot.tags)
            record["reply"] = [reply.name, fields, content(reply)]
        if self._events:
            record["events"] = list(self._events)
        for index, slot in sorted(self.slots.items()):
            observed = self._observed(slot)
            if observed:
                record[f"channel {index}"] = observed
        if self._counts:
            record["queues"] = dict(sorted(self._counts.items()))
        return self._masked(record)

    def _slot_of_reply(self) -> Slot | None:
        step = self._program[len(self._run.records)]
        return self.slots.get(step["on"])

    def _observed(self, slot: Slot) -> list[Any]:
        """What came on a channel in this step; deliveries by queue, since only a queue keeps an order."""
        observed: list[Any] = []
        real = [received.fields["delivery_tag"] for _, received in slot.deliveries]
        if real != sorted(real):
            observed.append(f"delivery tags out of order: {real}")
        queues = sorted(dict.fromkeys(queue for queue, _ in slot.deliveries), key=self._mask)
        if slot.deliveries:
            slot.steps.append((len(slot.tags) + 1, len(slot.tags) + len(real), len(queues) > 1))
        for queue in queues:
            for name, received in slot.deliveries:
                if name == queue:
                    slot.tags.append(received.fields["delivery_tag"])
                    fields = {**method_fields(received), "delivery_tag": len(slot.tags)}
                    observed.append(["basic.deliver", fields, content(received), f"from {queue}"])
        # Of one message the return comes before the confirm; of several, the broker may gather the confirms.
        one = len(slot.acks) + len(slot.nacks) == 1
        observed += [other for other in slot.others if one or other != ["confirm"]]
        if slot.acks or slot.nacks:
            observed.append({"ack": sorted(slot.acks), "nack": sorted(slot.nacks)})
        slot.deliveries, slot.others, slot.acks, slot.nacks = [], [], {}, {}
        return observed

    def _mask(self, text: str) -> str:
        return GENERATED.sub(self._masked_name, text)

    def _masked_name(self, match: re.Match[str]) -> str:
        """Names that the broker made are numbered in the order in which they came up."""
        kind = match[0].partition("-")[0]
        return self._generated.setdefault(match[0], f"{kind}-{len(self._generated) + 1}")

    def _masked(self, value: Any) -> Any:
        match value:
            case str():
                return self._mask(value)
            case list() | tuple():
                return [self._masked(item) for item in value]
            case dict():
                return {self._masked(name): self._masked(item) for name, item in value.items()}
            case _:
                return value


def reserved(exchange: str) -> bool:
    """Whether nobody can make, or has to take away, the exchange of that name."""
    return exchange == "" or exchange.startswith("amq.")


def count_of(received: Received | None) -> Any:
    """What a passive declaration tells of a queue: ready messages and consumers, "gone", or "locked"."""
    if received is None:
        return "unknown"
    if received.name == "queue.declare-ok":
        return [received.fields["message_count"], received.fields["consumer_count"]]
    return "gone" if received.fields["reply_code"] == 404 else received.fields["reply_text"]


def method_index(received: Received) -> int:
    """The class and method that a close names, as NAMES lists them."""
    return received.fields["class_id"] << 16 | received.fields["method_id"]


def closing(received: Received, slot: Slot | None) -> str:
    """A close in one line."""
    fields = received.fields
    text = fields["reply_text"]
    if slot is not None:
        text = UNKNOWN_TAG.sub(lambda found: f"unknown delivery tag {slot.own_tag(int(found[1]))}", text)
    return f"{received.name} {fields['reply_code']} {text!r} in {fields['class_id']}.{fields['method_id']}"


def method_fields(received: Received) -> dict[str, Any]:
    """The fields of a method."""
    return dict(received.fields)


NOT_IMITATED = ("consumer_priorities", "direct_reply_to")
"""Capabilities of RabbitMQ that the embedded broker does not have, and does not claim to have."""


def handshake_fields(received: Received) -> dict[str, Any]:
    """The fields of a method of the handshake, without what names the product."""
    fields = dict(received.fields)
    if received.name == "connection.start":
        _, capabilities = fields["server_properties"]["capabilities"]
        shared = {name: value for name, value in capabilities.items() if name not in NOT_IMITATED}
        fields["server_properties"] = {"capabilities": shared}
        fields["mechanisms"] = sorted(fields["mechanisms"].split())
    return fields


def content(received: Received) -> Any:
    """Properties and body of a message, None for a method without one."""
    return None if received.body is None else [received.properties, received.body.decode("latin-1")]
