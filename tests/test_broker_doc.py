"""docs/broker.md says what is true: its rows are held to a running connection, its numbers to the settings."""

import random
import re
import struct
import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from pamqp.commands import Basic, Channel, Confirm, Connection, Exchange, Queue, Tx

sys.path.insert(0, str(Path(__file__).parent))

from broker.amqp.conftest import CAPABILITIES, Landscape, Wire, message, start_ok
from broker.amqp.fuzzing import raw_frame
from phrasim.broker import AmqpError
from phrasim.broker.amqp import settings as settings_
from phrasim.broker.amqp.frames import FRAME_MAX_MIN
from phrasim.broker.amqp.settings import Settings
from phrasim.broker.amqp.tables import TABLE_BYTES_MAX, TABLE_DEPTH_MAX, MalformedTableError, decode_table
from phrasim.broker.amqp.url import PORT
from phrasim.broker.arguments import COMPARED, read_queue_arguments
from phrasim.broker.queue import MESSAGE_BYTES
from phrasim.cli.serve import serve
from phrasim.contract.broker.wire import METHODS, encode_method
from phrasim.documents import documents_root

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "broker.md").read_text(encoding="utf-8")
HEADER = b"AMQP\0\0\x09\x01"
ACCESS = {"access.request", "access.request-ok"}

pytestmark = pytest.mark.skipif(documents_root() != ROOT, reason="the pages are those of the checkout")


def section(title: str) -> str:
    return PAGE.split(f"## {title}\n")[1].split("\n## ")[0]


def rows(title: str) -> list[list[str]]:
    """The cells of the table in a section, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def names_in(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


METHOD_ROWS = [(names_in(cell)[0], names_in(cell)[1:], by, here) for cell, by, here, _ in rows("Methods")]


@pytest.fixture
def clock() -> Callable[[], int]:
    return lambda: 0


@pytest.fixture
def landscape(clock: Callable[[], int]) -> Landscape:
    return Landscape(clock)


def heard(frames: list[Any]) -> list[str]:
    """The names of methods, as the page writes them."""
    names = {command.name: name for name, command in METHODS.items()}
    return [names[value.name] for _, value in frames if getattr(value, "name", "") in names]


def code(frames: list[Any]) -> int | None:
    """The reply code with which a channel or connection was closed."""
    codes = [value.reply_code for _, value in frames if isinstance(value, Channel.Close | Connection.Close)]
    return codes[0] if codes else None


# What a client that is connected sends: the commands before it, and the method itself.
PREPARED: dict[str, tuple[list[Any], Any]] = {
    "channel.flow": ([], Channel.Flow(True)),
    "exchange.declare": ([], Exchange.Declare(exchange="new")),
    "exchange.delete": ([], Exchange.Delete(exchange="x")),
    "exchange.bind": ([], Exchange.Bind(destination="x", source="amq.topic")),
    "exchange.unbind": ([], Exchange.Unbind(destination="x", source="amq.topic")),
    "queue.declare": ([], Queue.Declare(queue="new")),
    "queue.bind": ([], Queue.Bind(queue="q", exchange="x")),
    "queue.unbind": ([], Queue.Unbind(queue="q", exchange="x")),
    "queue.purge": ([], Queue.Purge(queue="q")),
    "queue.delete": ([], Queue.Delete(queue="q")),
    "basic.qos": ([], Basic.Qos(prefetch_count=1)),
    "basic.consume": ([], Basic.Consume(queue="empty")),
    "basic.cancel": ([Basic.Consume(queue="empty", consumer_tag="c")], Basic.Cancel("c")),
    "basic.get": ([], Basic.Get(queue="q")),
    "basic.recover": ([Basic.Get(queue="q")], Basic.Recover(True)),
    "basic.ack": ([Basic.Get(queue="q")], Basic.Ack(1)),
    "basic.reject": ([Basic.Get(queue="q")], Basic.Reject(1, False)),
    "basic.nack": ([Basic.Get(queue="q")], Basic.Nack(1, False, False)),
    "basic.recover-async": ([Basic.Get(queue="q")], raw_frame(1, 1, b"\0\x3c\0\x64\1")),
    "basic.publish": ([], message("q")),
    "confirm.select": ([], Confirm.Select()),
    "tx.select": ([], Tx.Select()),
    "tx.commit": ([], Tx.Commit()),
    "tx.rollback": ([], Tx.Rollback()),
    "channel.close": ([], Channel.Close(0, "", 0, 0)),
}
READY_AND_UNACKED = {
    "basic.ack": (0, 0),
    "basic.reject": (0, 0),
    "basic.nack": (0, 0),
    "basic.recover-async": (1, 0),
    "basic.publish": (2, 0),
}
"""What the methods without an answer leave in a queue that had one message."""


def served(landscape: Landscape, name: str) -> list[Any]:
    """Have a client send the method where it belongs; gives what it is answered."""
    if name.startswith("connection."):
        return served_by_the_connection(landscape, name)
    wire = landscape.stranger()
    wire.log_in()
    if name == "channel.open":
        return wire.send(Channel.Open(), channel=1)
    wire.open()
    before, method = PREPARED[name]
    prepare(wire)
    wire.send(*before, channel=1)
    return wire.send(method, channel=1)


def prepare(wire: Wire) -> None:
    """An exchange, a queue with a message, and one without."""
    wire.send(Exchange.Declare(exchange="x"), Queue.Declare(queue="empty"), Queue.Declare(queue="q"), channel=1)
    wire.send(message("q"))


def served_by_the_connection(landscape: Landscape, name: str) -> list[Any]:
    wire = landscape.stranger()
    steps = {
        "connection.start-ok": start_ok(),
        "connection.tune-ok": Connection.TuneOk(2047, 131072, 0),
        "connection.open": Connection.Open("/"),
        "connection.update-secret": Connection.UpdateSecret("new", "renewal"),
        "connection.secure-ok": Connection.SecureOk("x"),
        "connection.close": Connection.Close(0, "", 0, 0),
    }
    wire.send(HEADER)
    for step, command in steps.items():
        if step == name:
            answers = wire.send(command)
            # What follows start-ok is the broker's own; tune-ok is not answered, but open is taken then.
            return wire.send(steps["connection.open"]) if step == "connection.tune-ok" else answers
        if step in {"connection.start-ok", "connection.tune-ok", "connection.open"}:
            wire.send(command)
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("name", "answers", "here"),
    [(name, answers, here) for name, answers, by, here in METHOD_ROWS if by != "broker" and name not in ACCESS],
)
def test_a_method_is_served_as_its_row_says(landscape: Landscape, name: str, answers: list[str], here: str) -> None:
    frames = served(landscape, name)
    if here.startswith("refused "):
        assert code(frames) == int(here.removeprefix("refused "))
        return
    assert here in {"spoken", "ignored"}
    if name in READY_AND_UNACKED:
        assert frames == []
        queue = landscape.broker.queues["q"]
        assert (queue.ready_count, queue.unacked_count) == READY_AND_UNACKED[name]
    elif name in {"connection.start-ok", "connection.tune-ok"}:
        assert heard(frames) == ["connection.tune" if name == "connection.start-ok" else "connection.open-ok"]
    else:
        assert heard(frames)[0] in answers


def test_access_is_answered_as_its_row_says(landscape: Landscape) -> None:
    """By the bytes, since pamqp does not have the class."""
    assert [row for row in METHOD_ROWS if row[0] in ACCESS] == [
        ("access.request", ["access.request-ok"], "client", "ignored")
    ]
    connection = landscape.client().connection
    connection.receive(raw_frame(1, 1, b"\0\x1e\0\x0a\x05/data\x1f"))
    assert connection.data_to_send() == raw_frame(1, 1, b"\0\x1e\0\x0b\0\1")


def test_what_the_broker_sends_by_itself_is_what_the_rows_say(landscape: Landscape) -> None:
    landscape.with_settings(Settings(held_bytes_max=2_000))
    sent: list[str] = []
    wire = landscape.stranger()
    for step in (HEADER, start_ok(), Connection.TuneOk(2047, 131072, 0), Connection.Open("/")):
        sent += heard(wire.send(step))
    wire.open()
    prepare(wire)
    wire.send(Confirm.Select(), Queue.Delete(queue="q"), channel=1)
    wire.send(
        Queue.Declare(queue="full", arguments={"x-max-length": 0, "x-overflow": "reject-publish"}),
        Basic.Consume(queue="empty", no_ack=True),
        channel=1,
    )
    sent += heard(wire.send(message("empty"), message("full"), message("nowhere", mandatory=True)))
    sent += heard(wire.send(Queue.Delete(queue="empty"), channel=1))
    wire.send(Queue.Declare(queue="q"), channel=1)
    sent += heard(wire.send(message("q", bytes(3_000)), message("q")))
    landscape.broker.queues["q"].purge("purged")
    wire.connection.outlet.pump()
    sent += heard(wire.take())
    sent += heard(wire.send(Queue.Purge(queue="nothing"), channel=1))
    sent += heard(wire.send(Connection.TuneOk(2047, 131072, 0)))
    spoken = {name for name, _, by, here in METHOD_ROWS if by in {"broker", "both"} and here == "spoken"}
    assert set(sent) >= spoken
    assert "connection.secure" not in sent
    assert [(name, here) for name, _, by, here in METHOD_ROWS if by == "broker" and here != "spoken"] == [
        ("connection.secure", "never sent")
    ]


def test_the_table_has_every_method_once() -> None:
    told = [name for cell, *_ in rows("Methods") for name in names_in(cell)]
    assert len(told) == len(set(told))
    assert set(told) == {*METHODS, *ACCESS}


def only_brokers_send() -> list[str]:
    by_client = {name for name, _, by, _ in METHOD_ROWS if by in {"client", "both"}}
    closing = {"connection.close-ok", "channel.close-ok"}
    return sorted(set(METHODS) - by_client - closing)


@pytest.mark.parametrize("name", only_brokers_send())
def test_what_only_the_broker_sends_is_refused_from_a_client(landscape: Landscape, name: str) -> None:
    wire = landscape.client()
    values = {"table": {}, "shortstr": "", "longstr": "", "bit": False}
    command = METHODS[name]
    fields = {field: values.get(command.amqp_type(field), 1) for field in command.__slots__}
    of_connection = name.startswith("connection.")
    frames = wire.send(raw_frame(1, 0 if of_connection else 1, encode_method(name, fields)))
    if not frames:  # its content is waited for
        frames = wire.send(raw_frame(2, 1, struct.pack(">HHQH", 60, 0, 0, 0)))
    assert code(frames) == (504 if of_connection else 503)


def test_a_method_that_nobody_knows_is_refused_as_the_page_says(landscape: Landscape) -> None:
    assert "One that nobody knows ends the connection without a word" in section("Methods").replace("\n", " ")
    wire = landscape.client()
    assert wire.send(raw_frame(1, 1, struct.pack(">HH", 60, 99))) == []
    assert wire.connection.closed


def test_what_the_remarks_call_refused_is(landscape: Landscape) -> None:
    for method in (
        Channel.Flow(False),
        Basic.Qos(prefetch_size=1),
        Basic.Recover(False),
        raw_frame(1, 1, b"\0\x3c\0\x64\0"),
    ):
        assert code(landscape.client().send(method, channel=1)) == 540
    publish = message("q")
    at = publish.index(b"\xce") - 1
    assert code(landscape.client().send(publish[:at] + b"\2" + publish[at + 1 :])) == 540
    assert code(landscape.client().send(Exchange.Declare(exchange="x", exchange_type="other"), channel=1)) == 503
    stranger = landscape.stranger()
    stranger.send(HEADER)
    assert code(stranger.send(start_ok(password="wrong"))) == 403
    stranger = landscape.stranger()
    stranger.send(HEADER, start_ok(), Connection.TuneOk(2047, 131072, 0))
    assert code(stranger.send(Connection.Open("other"))) == 530
    remarks = " ".join(cell for *_, cell in rows("Methods"))
    assert set(names_in(remarks)) >= set(CAPABILITIES)


VALUES: dict[str, Any] = {
    "x-message-ttl": 1, "x-expires": 1, "x-dead-letter-exchange": "x", "x-dead-letter-routing-key": "k",
    "x-max-length": 1, "x-max-length-bytes": 1, "x-overflow": "reject-publish", "x-queue-mode": "lazy",
    "x-queue-type": "quorum", "x-max-priority": 1, "x-single-active-consumer": True,
}  # fmt: skip


@pytest.mark.parametrize(("cell", "here"), [(cell, here) for cell, here, _ in rows("Arguments of queues")])
def test_an_argument_of_a_queue_is_read_as_its_row_says(landscape: Landscape, cell: str, here: str) -> None:
    (name,) = names_in(cell)
    beside = {"x-dead-letter-exchange": "x"} if name == "x-dead-letter-routing-key" else {}
    arguments = {**beside, name: VALUES[name]}
    frames = landscape.client().send(Queue.Declare(queue="q", arguments=arguments), channel=1)
    if here.startswith("refused "):
        assert code(frames) == int(here.removeprefix("refused "))
        return
    assert code(frames) is None
    read = read_queue_arguments(arguments, "q")
    assert (read != read_queue_arguments(beside, "q")) == (here == "taken")
    assert here in {"taken", "ignored"}


def test_the_arguments_of_the_page_are_those_that_are_compared() -> None:
    assert sorted(names_in(" ".join(cell for cell, *_ in rows("Arguments of queues")))) == sorted(COMPARED)
    assert read_queue_arguments({"x-anything": 1}, "q") == read_queue_arguments({}, "q")
    with pytest.raises(AmqpError) as exc_info:
        read_queue_arguments({"x-max-length": "many"}, "q")
    assert exc_info.value.reply_code == 406
    for harmless in ({"x-queue-type": "classic"}, {"x-single-active-consumer": False}):
        assert read_queue_arguments(harmless, "q") == read_queue_arguments({}, "q")


def test_the_arguments_of_others_are_read_as_their_rows_say(landscape: Landscape) -> None:
    told = {names_in(cell)[0]: here for cell, _, here, _ in rows("Arguments of others")}
    assert told == {"alternate-exchange": "taken", "x-match": "taken", "x-priority": "refused 540"}
    wire = landscape.client()
    prepare(wire)
    wire.send(Exchange.Declare(exchange="a", arguments={"alternate-exchange": "amq.fanout", "x": 1}), channel=1)
    wire.send(Queue.Bind(queue="empty", exchange="amq.fanout"), message("k", exchange="a"), channel=1)
    assert landscape.broker.queues["empty"].ready_count == 1
    assert code(wire.send(Exchange.Declare(exchange="a"), channel=1)) == 406
    for match, expected in (*((mode, None) for mode in ("all", "any", "all-with-x", "any-with-x")), ("some", 406)):
        wire = landscape.client()
        bind = Queue.Bind(queue="q", exchange="amq.headers", arguments={"x-match": match})
        assert code(wire.send(bind, channel=1)) == expected
    for priority, expected in ((0, None), (1, 540)):
        consume = Basic.Consume(queue="q", arguments={"x-priority": priority, "other": 1})
        assert code(landscape.client().send(consume, channel=1)) == expected


def test_the_types_of_the_page_are_those_that_are_read() -> None:
    told = section("Types in tables").split(": those")[0]
    assert sorted(names_in(told)) == [chr(tag) for tag in range(256) if is_read(tag)]


def is_read(tag: int) -> bool:
    """Whether a table may have a field of that type: some number of zeros is a value of it."""
    for octets in range(10):
        try:
            decode_table(struct.pack(">IBBB", 3 + octets, 1, 97, tag) + bytes(octets))
        except MalformedTableError:
            continue
        return True
    return False


def test_another_type_ends_the_connection_as_the_page_says(landscape: Landscape) -> None:
    told = section("Types in tables").replace("\n", " ")
    assert "Any other type ends the connection: in a message with 541, in a method without a word" in told
    table = b"\0\0\0\3\1a?"
    wire = landscape.client()
    assert wire.send(raw_frame(1, 1, struct.pack(">HHHBB", 50, 10, 0, 0, 0) + table)) == []
    assert wire.connection.closed
    publish = message("q").split(b"\xce")[0] + b"\xce"
    frames = landscape.client().send(publish, raw_frame(2, 1, struct.pack(">HHQH", 60, 0, 0, 0x2000) + table))
    assert code(frames) == 541


def size(octets: int) -> str:
    mib, rest = divmod(octets, settings_.MIB)
    return f"{octets:,} bytes" if rest else f"{mib} MiB"


def test_the_limits_of_the_page_are_those_of_the_code() -> None:
    settings = Settings()
    told = {name: number for name, number, _ in rows("Limits")}
    assert told == {
        "channels of a connection": f"{settings.channel_max:,}",
        "a frame": size(settings.frame_max),
        "a frame during the handshake": size(FRAME_MAX_MIN),
        "the body of a message": size(settings.body_bytes_max),
        "unfinished bodies of a connection": size(settings.arriving_bytes_max),
        "unfinished bodies of all connections": size(settings.held_bytes_max),
        f"all messages of the virtual host, {MESSAGE_BYTES} bytes for each counted in": size(settings.held_bytes_max),
        "what waits to be sent to a client": size(settings.unsent_bytes_max),
        "a table": size(TABLE_BYTES_MAX),
        "tables and arrays in each other": str(TABLE_DEPTH_MAX),
        "the handshake": f"{settings_.HANDSHAKE_S} s",
        "the answer to `connection.close`": f"{settings_.CLOSING_S} s, or the heartbeat if that is shorter",
        "the heartbeat that is proposed": f"{settings.heartbeat_s} s",
    }


def nested(depth: int) -> bytes:
    value = b"V"
    for _ in range(depth):
        value = b"A" + struct.pack(">I", len(value)) + value
    return value


def test_what_is_beyond_a_limit_is_refused_as_its_row_says(landscape: Landscape) -> None:
    refused = {name: int(beyond) for name, _, beyond in rows("Limits") if beyond.isdigit()}
    huge = raw_frame(2, 1, struct.pack(">HHQH", 60, 0, Settings().body_bytes_max + 1, 0))
    publish = message("q").split(b"\xce")[0] + b"\xce"
    header = raw_frame(2, 1, struct.pack(">HHQH", 60, 0, 8_000, 0))
    declare = struct.pack(">HHHBB", 50, 10, 0, 0, 0)
    content = b"\1a" + nested(TABLE_DEPTH_MAX)
    found: dict[str, int | None] = {
        "a frame": code(landscape.client().send(struct.pack(">BHI", 3, 1, Settings().frame_max + 1))),
        "the body of a message": code(landscape.client().send(publish + huge)),
        "tables and arrays in each other": code(
            landscape.client().send(raw_frame(1, 1, declare + struct.pack(">I", len(content)) + content))
        ),
    }
    landscape.with_settings(Settings(frame_max=0))
    table = struct.pack(">I", TABLE_BYTES_MAX + 1) + bytes(TABLE_BYTES_MAX + 1)
    wire = landscape.stranger()
    wire.log_in(frame_max=0)
    wire.open()
    found["a table"] = code(wire.send(raw_frame(1, 1, declare + table)))
    landscape.with_settings(Settings(arriving_bytes_max=5_000))
    found["unfinished bodies of a connection"] = code(
        landscape.client().send(publish + header + raw_frame(3, 1, bytes(6_000)))
    )
    landscape.with_settings(Settings(held_bytes_max=5_000))
    half = publish + header + raw_frame(3, 1, bytes(3_000))
    assert landscape.client().send(half) == []
    found["unfinished bodies of all connections"] = code(landscape.client().send(half))
    landscape.with_settings(Settings(channel_max=2047))
    wire = landscape.client()
    for number in range(2, Settings().channel_max + 1):
        wire.open(number)
    found["channels of a connection"] = code(wire.send(Channel.Open(), channel=Settings().channel_max + 1))
    assert found == refused
    stranger = landscape.stranger()
    stranger.send(HEADER)
    assert stranger.send(struct.pack(">BHI", 1, 0, FRAME_MAX_MIN + 1)) == []
    assert stranger.connection.failure.reply_code == refused["a frame"]


def test_what_the_page_calls_missing_is_missing(landscape: Landscape) -> None:
    frames = landscape.client().send(Basic.Consume(queue="amq.rabbitmq.reply-to", no_ack=True), channel=1)
    assert code(frames) == 404
    for kind in ("quorum", "stream"):
        assert (
            code(landscape.client().send(Queue.Declare(queue=kind, arguments={"x-queue-type": kind}), channel=1)) == 540
        )
    priority = message("q", priority=random.Random(1).randrange(1, 9))
    wire = landscape.client()
    wire.send(Queue.Declare(queue="q"), channel=1)
    wire.send(message("q", b"first"), priority)
    assert wire.send(Basic.Get(queue="q"), channel=1)[-1][1] == b"first"


def test_the_options_of_the_page_are_those_of_serve() -> None:
    parameters = signature(serve).parameters
    options = re.findall(r"--([a-z][a-z-]+)", PAGE)
    assert {"amqp-port", "amqp-login", "amqp-vhost", "broker", "broker-version", "only"} == set(options)
    assert [option for option in options if option.replace("-", "_") not in parameters] == []
    assert (parameters["amqp_login"].default, parameters["amqp_vhost"].default) == ("guest:guest", "/")
    assert "User and password are `guest`, the virtual host is `/`" in PAGE.replace("\n", " ")
    assert f"It listens at port {PORT}," in PAGE
    assert f"it is {Settings().version.rpartition('.')[0]}, or, with `--broker-version 4`" in PAGE.replace("\n", " ")
