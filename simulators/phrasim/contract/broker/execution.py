"""Runs one program on one broker, and writes down what a client can see of it.

After every step the broker is let come to rest: it is asked for every queue's counts and once round every open
channel, until nothing new comes any more. So that all brokers are asked the same, what a step refers to (a delivery
tag, a generated name) is the program's own numbering, translated here.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from phrasim.broker.client import BrokerError
from phrasim.contract.broker.access import WATCH, Access, open_watch, told, unanswered
from phrasim.contract.broker.client import Account, Client
from phrasim.contract.broker.compare import apart
from phrasim.contract.broker.names import Names
from phrasim.contract.broker.programs import Program, Record, Step, made_by, placed, with_prefix
from phrasim.contract.broker.seen import CLOSING, closing, content, count_of, handshake_fields, method_index
from phrasim.contract.broker.slot import SLOTS, Event, Slot
from phrasim.contract.broker.wire import INTEGERS, NAMES, Received, Strange, encode_method, frame, replies, short

GREETINGS = {
    "connection.start": "connection.start-ok",
    "connection.tune": "connection.tune-ok",
    "connection.open-ok": "connection.open",
}
"""What a client sends that has been sent the other: `open` tells of itself only by its answer."""

BARRIER = "barrier"
"""A consumer tag that nobody uses: cancelling it changes nothing and is answered behind all that came before."""

ROUNDS_MAX = 40
REST_WITHIN_S = 2.0
"""How long rest is waited for, at least: what is confirmed must be safe, which on a disk takes its time."""

PATIENCE_MS = 60
"""How much later than it says an expiry may be noticed."""

SHORT_MS = 1000
"""Up to here a time to live is one that a step `wait` is to pass."""

SILENCE_S = 0.15
"""How long nothing comes before it is taken that nothing will."""

HOPED_S = 1.5
"""The same where something should come: a broker may be far or busy. Where nothing should, the silence can be short."""

SOCKET_CLOSED = "the broker closed the socket"
DROP_NOTICED_S = 0.03
"""No answer tells when the broker has noticed that a socket is closed."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a broker is given: a far or busy one needs more than one beside us.

    It is at rest when `rounds_min` looks at it, `pause_s` apart, tell the same.
    """

    rounds_min: int = 2
    pause_s: float = 0.0


DEFAULT = Pace()


@dataclass(slots=True)
class Run:
    """What came of a program: a record for each step, and how often each method and reply code was met.

    There are fewer records than steps where the broker did what it must not, and the program could not go on. A run
    is `slow` when what it tells of a time to live says nothing, since the machine or the network took longer.
    """

    records: list[Record] = field(default_factory=list)
    met: dict[str, int] = field(default_factory=dict)
    slow: bool = False

    def count(self, what: str) -> None:
        """A method or a reply code was met once more."""
        self.met[what] = self.met.get(what, 0) + 1


class Blocked(Exception):
    """The broker takes no messages from anybody now, so nothing can be said of it."""


class Execution:
    """One program on one broker. `made` are the queues and exchanges that may be there because of it, by their kind.

    With `expected` it ends behind the first step that came to something else, and waits for what should come.
    """

    def __init__(self, access: Access, program: Program, pace: Pace, expected: Sequence[Record] = ()) -> None:
        self._access = access
        self._program = program
        self._expected = expected
        self._pace = pace
        self._run = Run()
        self._names = Names(access.prefix)
        self.clients: dict[int, Client] = {}
        self.slots: dict[int, Slot] = {}
        self.made: dict[tuple[str, str], None] = {}
        self._queues: dict[str, int | None] = {}
        self._known_queues: dict[str, None] = {}
        self._events: list[Event] = []
        self._counts: dict[str, Any] = {}
        self._reply: Received | None = None
        self._timers: list[int] = []
        self._stopped = False

    def run(self) -> Run:
        """Run it. What the broker must not do is the last record's, and the end. Raises `Blocked`."""
        prefix = self._access.prefix
        for step in self._program:
            for kind, name in made_by(step):
                self.made[kind, with_prefix(name, prefix)] = None
            try:
                record = self._step(placed(step, prefix, self._access.url))
            except Strange as error:
                record = self._stop(str(error))
            except BrokerError as error:
                record = self._stop(f"no further connection: {error}")
            except OSError as error:
                record = self._stop(unanswered(error))
            self._run.records.append(record)
            number = len(self._run.records) - 1
            if self._stopped or apart(self._expected[number : number + 1], [record], time.time()):
                break
        return self._run

    def _stop(self, reason: str) -> Record:
        self._stopped = True
        self._events.append(reason)
        record: Record = self._names.shown_in({"events": self._events})
        return record

    # One step.

    def _step(self, step: Step) -> Record:
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
        return self._record(step)

    def _handshake(self, step: Step) -> Record:
        """Open a connection as `with` has it, and close it: all that the broker sends."""
        client = self._access.dial()
        try:
            transcript = client.open(Account(**{**self._account_fields(), **step["with"]}))
            for received in transcript:
                self._count(received)
                if received.name in GREETINGS:
                    self._run.count("> " + GREETINGS[received.name])
            if transcript and transcript[-1].name == "connection.open-ok":
                client.send(0, "connection.close", {"reply_code": 200, "reply_text": "bye"})
                answer = client.receive()
                if answer is not None:
                    self._count(answer)
                    transcript.append(answer)
        finally:
            client.drop()
        return {"transcript": [[received.name, handshake_fields(received)] for received in transcript]}

    def _alone(self, step: Step) -> Record:
        """On a connection for this step only, send what need not be AMQP; write down what comes, and how it ends.

        `after` is the method of the handshake behind which it begins, or "channel.open-ok", or nothing.
        """
        client = self._access.dial()
        try:
            self._begin_alone(client, step.get("after", "channel.open-ok"))
            for sent in step["send"]:
                client.write(self._raw_bytes(sent))
            transcript = self._heard(client)
            ended = client.closed
        finally:
            client.drop()
        for received in transcript:
            self._count(received)
        record: Record = self._names.shown_in(
            {
                "transcript": [
                    [received.channel, received.name, handshake_fields(received), content(received, self._user)]
                    for received in transcript
                ],
                SOCKET_CLOSED: ended,
            }
        )
        return record

    def _heard(self, client: Client) -> list[Received]:
        if not self._expected:
            return client.hear_out(SILENCE_S)
        hope = self._expected[len(self._run.records)]
        silence_s = SILENCE_S / 3 + 4 * self._access.round_trip_s
        return client.hear_out(silence_s, len(hope["transcript"]), hope[SOCKET_CLOSED], HOPED_S)

    def _begin_alone(self, client: Client, after: str) -> None:
        if not after:
            return
        opened = client.open(Account(**self._account_fields()), after)
        if not opened or opened[-1].name not in {after, "connection.open-ok", "connection.tune"}:
            raise Strange(f"the broker does not open a connection: {told(opened[-1] if opened else None)}")
        if after == "channel.open-ok":
            client.send(1, "channel.open", {})
            received = client.receive()
            if received is None or received.name != after:
                raise Strange(f"the broker does not open a channel: {told(received)}")

    def _raw_bytes(self, sent: dict[str, Any]) -> bytes:
        """A method by its name, a frame of any kind by its payload, or bytes.

        A payload is in hexadecimal, `payload_times` of it one behind the other, or a list of such pieces and of names.
        """
        if "method" in sent:
            self._run.count("> " + sent["method"])
            return frame(1, sent.get("channel", 1), encode_method(sent["method"], sent.get("with", {})))
        if "kind" in sent:
            pieces = sent["payload"] if isinstance(sent["payload"], list) else [sent["payload"]]
            payload = b"".join(short(one["name"]) if isinstance(one, dict) else bytes.fromhex(one) for one in pieces)
            return frame(sent["kind"], sent.get("channel", 1), payload * sent.get("payload_times", 1))
        return bytes.fromhex(sent["bytes"]) * int(sent.get("times", 1))

    @property
    def _user(self) -> str:
        return self._access.account.user

    def _account_fields(self) -> dict[str, str]:
        account = self._access.account
        return {"user": account.user, "password": account.password, "vhost": account.vhost}

    def _drop(self, step: Step) -> None:
        connection, _ = SLOTS[step["on"]]
        client = self.clients.get(connection)
        if client is not None:
            client.drop()
            self._forget_connection(connection)
            time.sleep(DROP_NOTICED_S)

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
        if slot is None:
            return
        name, fields = step["do"], dict(step["with"])
        client = self.clients[slot.connection]
        self._run.count("> " + name)
        if "delivery_tag" in fields:
            fields["delivery_tag"] = slot.real_tag(fields["delivery_tag"], multiple=fields.get("multiple", False))
        if name == "basic.publish":
            self._publish(slot, client, step, fields)
            return
        self._expect_effects(slot, name, fields)
        channel = 0 if name.startswith("connection.") else slot.number
        client.send(channel, name, fields)
        if replies(name) and not fields.get("nowait"):
            self._await(slot.connection, channel, replies(name))
        self._note_effects(slot, name, fields)

    def _publish(self, slot: Slot, client: Client, step: Step, fields: dict[str, Any]) -> None:
        """Publish; `times` messages at once, `body_times` of the body in each."""
        properties, times = step.get("properties", {}), step.get("times", 1)
        self._note_expiry(properties.get("expiration"))
        if slot.confirming:
            slot.published += times
        client.publish(
            slot.number, fields, properties, step.get("body", "").encode() * step.get("body_times", 1), times
        )

    def _expect_effects(self, slot: Slot, name: str, fields: dict[str, Any]) -> None:
        """Note what the broker may have made, so that it is looked at, even if no answer comes."""
        if name == "queue.declare" and fields["queue"] and not fields.get("passive"):
            self._expect_queue(fields["queue"], slot, fields)
        if name == "basic.consume":
            slot.queue_of[fields["consumer_tag"]] = fields["queue"] or slot.last_queue

    def _expect_queue(self, name: str, slot: Slot, fields: dict[str, Any]) -> None:
        if name not in self._known_queues:
            self._known_queues[name] = None
            self._queues[name] = None
        self._queues.setdefault(name, None)
        if fields.get("exclusive") and name not in self._counts:
            self._queues[name] = slot.connection
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
        if 0 < number <= SHORT_MS:
            self._timers.append(number)

    def _note_effects(self, slot: Slot, name: str, fields: dict[str, Any]) -> None:
        reply = self._reply
        answer = reply.fields if reply is not None and reply.name.endswith("-ok") else None
        match name:
            case "queue.declare" if answer is not None:
                slot.last_queue = answer["queue"]
                if not fields.get("passive"):
                    if not fields["queue"]:
                        self._names.made(slot.last_queue, "amq.gen")
                        self.made["queue", slot.last_queue] = None
                    self._expect_queue(slot.last_queue, slot, fields)
            case "queue.declare" if fields.get("nowait"):
                slot.last_queue = fields["queue"]
            case "basic.consume" if answer is not None:
                if not fields["consumer_tag"]:
                    self._names.made(answer["consumer_tag"], "amq.ctag")
                slot.queue_of[answer["consumer_tag"]] = fields["queue"] or slot.last_queue
            case "confirm.select" if (answer is not None or fields.get("nowait")) and not slot.confirming:
                slot.confirming = True
            case "channel.close" if answer is not None:
                self._forget_slot(slot)
            case "connection.close":
                self._forget_connection(slot.connection)

    # Connections and channels.

    def _client(self, connection: int) -> Client:
        client = self.clients.get(connection)
        if client is None:
            client = self.clients[connection] = self._access.connect()
            open_watch(client)
        return client

    def _slot(self, index: int) -> Slot | None:
        """The channel, opened when it is not; None when the broker does not open it, which is an event then."""
        connection, number = SLOTS[index]
        client = self._client(connection)
        slot = self.slots.get(index)
        if slot is None:
            slot = self.slots[index] = Slot(connection, number, self._user)
            client.send(number, "channel.open", {})
            self._await(connection, number, ["channel.open-ok"])
            self._reply = None
            return self.slots.get(index)
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
                self._stopped = True
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
        if received.name == "connection.blocked":
            raise Blocked(received.fields["reason"])
        client = self.clients[connection]
        if received.channel != WATCH:
            self._count(received)
        slot = self._slot_at(connection, received.channel)
        place = f"connection {connection} channel {received.channel}"
        if received.name == "connection.close":
            self._events.append([f"connection {connection}", received.name, closing(received, [])])
            client.send(0, "connection.close-ok", {})
            self._forget_connection(connection)
        elif received.channel == WATCH:
            if received.name == "channel.close":
                open_watch(client, again=True)
        elif received.name == "channel.close":
            self._events.append([place, received.name, closing(received, slot.tags if slot is not None else [])])
            client.send(received.channel, "channel.close-ok", {})
            if slot is not None:
                self._close(slot)
        elif slot is None:
            self._events.append(f"{place}: {received.name} out of place")
        else:
            self._events += slot.take(received)

    def _close(self, slot: Slot) -> None:
        """The channel is closed; what came before it still belongs in this step's record."""
        self._events += [["before the close", event] for event in slot.observed(self._names.shown)]
        self._forget_slot(slot)

    def _count(self, received: Received) -> None:
        self._run.count("< " + received.name)
        if received.name in CLOSING:
            method = NAMES.get(method_index(received), "no method")
            self._run.count(f"{received.name} {received.fields['reply_code']} in {method}")
        if received.name == "basic.return":
            self._run.count(f"basic.return {received.fields['reply_code']}")

    # Rest.

    def _settle(self) -> None:
        """Let the broker come to rest: go round until the counts repeat, nothing comes, and all is confirmed."""
        last: Any = None
        # A short time to live must not pass meanwhile.
        pace = DEFAULT if self._timers else self._pace
        began = time.monotonic()
        rounds = 0
        while rounds < ROUNDS_MAX or time.monotonic() - began < REST_WITHIN_S:
            rounds += 1
            before = self._volume()
            self._go_round_channels()
            self._counts = self._look_at_queues()
            waiting = [slot for slot in self.slots.values() if len(slot.settled) < slot.published]
            state = (self._counts, self._volume())
            if self._stopped or (rounds >= pace.rounds_min and state == last and state[1] == before and not waiting):
                return
            if waiting:
                time.sleep(0.001 * min(rounds, 20))
            time.sleep(pace.pause_s)
            last = state
        self._events.append("no rest: " + ", ".join(f"{slot.published} published" for slot in self.slots.values()))

    def _volume(self) -> int:
        return len(self._events) + sum(slot.volume for slot in self.slots.values())

    def _look_at_queues(self) -> dict[str, Any]:
        counts: dict[str, Any] = {}
        for name in list(self._queues):
            connection = self._queues[name]
            if connection is None or connection not in self.clients:
                found = self._look(self._access.watcher(), name)
            else:
                self.clients[connection].send(WATCH, "queue.declare", {"queue": name, "passive": True})
                received = self._await(connection, WATCH, ["queue.declare-ok"])
                found = "unknown" if received is None else count_of(received)
            if found == "gone":
                del self._queues[name]
            else:
                counts[self._names.shown(name)] = found
        return counts

    def _look(self, client: Client, name: str) -> Any:
        client.send(WATCH, "queue.declare", {"queue": name, "passive": True})
        received = client.receive()
        if received is None:
            raise Strange("the broker closed the socket of a connection that only looks at queues")
        if received.name == "connection.blocked":
            raise Blocked(received.fields["reason"])
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

    def _record(self, step: Step) -> Record:
        record: Record = {}
        if self._reply is not None:
            reply = self._reply
            fields = dict(reply.fields)
            slot = self.slots.get(step["on"])
            if reply.name == "basic.get-ok" and slot is not None:
                fields["delivery_tag"] = slot.got(reply)
            record["reply"] = [reply.name, fields, content(reply, self._user)]
        if self._events:
            record["events"] = list(self._events)
        for index, slot in sorted(self.slots.items()):
            observed = slot.observed(self._names.shown)
            if observed:
                record[f"channel {index}"] = observed
        if self._counts:
            record["queues"] = dict(sorted(self._counts.items()))
        shown: Record = self._names.shown_in(record)
        return shown
