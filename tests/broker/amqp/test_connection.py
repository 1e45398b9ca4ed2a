"""The connection, state by state, from byte strings: the handshake, the end, heartbeats, limits."""

import struct
from typing import Any

import pytest
from pamqp import commands, frame, heartbeat
from pamqp.commands import Channel, Connection

from phrasim.broker.amqp.states import CHANNEL, CONNECTION, CONTENT
from phrasim.broker.errors import AmqpError

HEADER = b"AMQP\0\0\x09\x01"
STATES = ("new", "starting", "tuning", "opening", "running", "closing", "silent", "closed")
INPUTS: dict[str, bytes] = {
    "start-ok": frame.marshal(
        commands.Connection.StartOk(
            {"capabilities": {"authentication_failure_close": True}}, "PLAIN", "\0guest\0guest", "en_US"
        ),
        0,
    ),
    "refuse": frame.marshal(
        commands.Connection.StartOk(
            {"capabilities": {"authentication_failure_close": True}}, "PLAIN", "\0guest\0wrong", "en_US"
        ),
        0,
    ),
    "tune-ok": frame.marshal(Connection.TuneOk(2047, 131072, 0), 0),
    "open": frame.marshal(Connection.Open("/"), 0),
    "close": frame.marshal(Connection.Close(0, "", 0, 0), 0),
    "close-ok": frame.marshal(Connection.CloseOk(), 0),
    "fail": frame.marshal(Channel.Open(), 0),
    "garbled": b"\x01\0\0\0\0\0\x04\0\x0a\0\x1f\x00",
    "lost": b"\x01\0\0\0\0\0\x04\x03\xe7\0\x01\xce",
    "header": HEADER,
}


def brought_to(landscape: Any, state: str) -> Any:
    wire = landscape.stranger()
    way = {
        "new": [],
        "starting": ["header"],
        "tuning": ["header", "start-ok"],
        "opening": ["header", "start-ok", "tune-ok"],
        "running": ["header", "start-ok", "tune-ok", "open"],
        "closing": ["header", "start-ok", "tune-ok", "open", "fail"],
        "silent": ["header", "start-ok", "fail"],
        "closed": ["header", "start-ok", "tune-ok", "open", "close"],
    }[state]
    for step in way:
        wire.send(INPUTS[step])
    assert wire.connection.state == state
    return wire


@pytest.mark.parametrize("given", INPUTS)
@pytest.mark.parametrize("state", STATES)
def test_every_input_leads_where_the_table_says_or_fails(landscape: Any, state: str, given: str) -> None:
    wire = brought_to(landscape, state)
    try:
        wire.send(INPUTS[given])
    except ValueError:
        assert (state, given) != ("new", "header")  # pamqp does not read the protocol header of a refusal
    table = CONNECTION[state]
    if state == "new" and given != "header":
        # What is no protocol header is not looked at as frames.
        expected = "new" if len(INPUTS[given]) < 8 else table["fail"]
    elif state == "silent":
        expected = "silent"
    elif given == "header" and state not in {"new", "closed"}:
        # As frames these eight bytes announce a frame of kind 65 that is too large.
        expected = table["garbled"]
    elif state == "closing":
        expected = table.get(given, "closing")
    else:
        expected = table.get(given, table.get("fail", "closed"))
    assert wire.connection.state == expected
    assert wire.connection.closed == (expected == "closed")


def test_every_state_of_the_tables_is_led_to_and_every_way_ends_in_a_state() -> None:
    for table in (CONNECTION, CHANNEL, CONTENT):
        first = next(iter(table))
        ends = {following for moves in table.values() for following in moves.values()}
        assert ends | {first} == set(table)


def test_the_broker_presents_itself_as_rabbitmq(landscape: Any) -> None:
    ((channel, start),) = landscape.stranger().send(HEADER)
    assert (channel, start.version_major, start.version_minor) == (0, 0, 9)
    assert start.mechanisms.split() == ["AMQPLAIN", "PLAIN"]
    assert start.locales == "en_US"
    assert (start.server_properties["product"], start.server_properties["version"]) == ("RabbitMQ", "3.13.7")
    assert start.server_properties["capabilities"]["publisher_confirms"] is True


@pytest.mark.parametrize("header", [b"AMQP\x01\x01\x08\x00", b"AMQP\0\x01\0\0", b"GET / HTTP/1.1\r\n"])
def test_another_protocol_is_told_which_one_is_spoken(landscape: Any, header: bytes) -> None:
    connection = landscape.stranger().connection
    connection.receive(header)
    assert connection.data_to_send() == HEADER
    assert connection.closed


def test_the_header_of_0_9_is_taken_too(landscape: Any, amqp: Any) -> None:
    assert amqp.names(landscape.stranger().send(b"AMQP\x01\x01\x00\x09")) == ["Connection.Start"]


def test_the_bytes_of_a_session_may_be_cut_anywhere(landscape: Any, amqp: Any) -> None:
    session = HEADER + b"".join(INPUTS[step] for step in ("start-ok", "tune-ok", "open"))
    session += frame.marshal(Channel.Open(), 1) + frame.marshal(commands.Queue.Declare(queue="q"), 1)
    session += amqp.message("q", b"abc") + frame.marshal(commands.Basic.Get(queue="q"), 1)
    whole = landscape.stranger().send(session)
    assert amqp.names(whole)[-3:] == ["Basic.GetOk", "ContentHeader", "body"]
    for cut in range(1, len(session)):
        wire = landscape.stranger()
        wire.send(session[:cut], session[cut:])
        assert wire.connection.state == "running"
    wire = landscape.stranger()
    for octet in session:
        wire.connection.receive(bytes((octet,)))
    assert amqp.names(wire.take())[-1] == "body"


def test_amqplain_is_a_table_without_its_length(landscape: Any) -> None:
    fields = b"\x05LOGINS\0\0\0\x05guest\x08PASSWORDx\0\0\0\x05guest"
    wire = landscape.stranger()
    wire.send(HEADER)
    ((_, tune),) = wire.send(commands.Connection.StartOk({}, "AMQPLAIN", fields.decode(), "en_US"))
    assert (tune.channel_max, tune.frame_max, tune.heartbeat) == (2047, 131072, 60)
    assert wire.connection.user == "guest"


@pytest.mark.parametrize(("user", "password"), [("guest", "Guest"), ("nobody", "guest"), ("nobody", ""), ("", "")])
def test_a_wrong_login_is_refused_with_403(landscape: Any, amqp: Any, user: str, password: str) -> None:
    wire = landscape.stranger()
    wire.send(HEADER)
    ((_, close),) = wire.send(amqp.start_ok(user, password))
    assert (close.reply_code, close.class_id, close.method_id) == (403, 0, 0)
    assert close.reply_text == (
        "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile."
    )
    wire.send(Connection.CloseOk())
    assert wire.connection.closed


def test_a_client_without_the_capability_is_sent_away_without_a_word(landscape: Any, amqp: Any) -> None:
    wire = landscape.stranger()
    wire.send(HEADER)
    assert wire.send(amqp.start_ok("guest", "wrong", {})) == []
    assert wire.connection.state == "silent"
    assert isinstance(wire.connection.failure, AmqpError)


def test_who_is_not_to_be_trusted_waits_three_seconds_for_the_end(landscape: Any, amqp: Any, clock: Any) -> None:
    refused, garbled, impatient = landscape.stranger(), landscape.client(heartbeat=1), landscape.stranger()
    for wire, password in ((refused, "wrong"), (impatient, "guest")):
        wire.send(HEADER, amqp.start_ok("guest", password))
    impatient.send(INPUTS["open"])
    assert amqp.names(garbled.send(INPUTS["garbled"])) == ["Connection.Close"]
    clock.advance_ms(2_999)
    for wire in (refused, garbled, impatient):
        wire.connection.on_timer()
        assert not wire.connection.closed
        assert wire.connection.next_timer() == 3_000_000_000
    assert garbled.send(INPUTS["close-ok"], INPUTS["lost"]) == []
    clock.advance_ms(1)
    for wire in (refused, garbled, impatient):
        wire.connection.on_timer()
        assert wire.connection.closed


@pytest.mark.parametrize(
    "payload",
    [
        b"\x03\xe7\0\x01",
        b"\0\x32\0\x0a\0\0\x01q\0\0\0\0\x03\x01k?",
        b"\0\x32\0\x14\0\0\x01q\0\0\0\0\0\0\x04\x01kd\0",
    ],
    ids=["unknown method", "unknown type", "cut off"],
)
def test_what_the_reader_dies_of_is_not_answered(landscape: Any, payload: bytes) -> None:
    wire = landscape.client()
    assert wire.send(struct.pack(">BHI", 1, 1, len(payload)) + payload + b"\xce") == []
    assert wire.connection.closed
    assert wire.connection.failure.reply_code in {502, 540}
    assert not landscape.broker.connections


@pytest.mark.parametrize(
    "arguments", [b"", b"\0\0\0\x32\x01k", b"\0\0\0\x03\x01k?\x05PLAIN\0\0\0\0\0"], ids=["none", "cut", "type"]
)
def test_arguments_on_channel_0_that_cannot_be_read_are_541(landscape: Any, arguments: bytes) -> None:
    wire = landscape.client()
    ((channel, close),) = wire.send(
        struct.pack(">BHI", 1, 0, 4 + len(arguments)) + b"\0\x0a\0\x0b" + arguments + b"\xce"
    )
    assert (channel, close.reply_code, close.reply_text) == (0, 541, "INTERNAL_ERROR")
    assert (close.class_id, close.method_id) == (0, 0)


@pytest.mark.parametrize(
    ("mechanism", "response", "text"),
    [
        ("EXTERNAL", "", "COMMAND_INVALID - unknown authentication mechanism 'EXTERNAL'"),
        ("PLAIN", "guest", "SYNTAX_ERROR - response b'guest' invalid"),
        ("PLAIN", "guest\0guest\0guest", "SYNTAX_ERROR - response b'guest\\x00guest\\x00guest' invalid"),
        ("AMQPLAIN", "\x05LOGIN?", "SYNTAX_ERROR - a field has the unknown type '?'"),
        ("AMQPLAIN", "\x05LOGINS\0\0\0\x05guest", "SYNTAX_ERROR - AMQPLAIN auth info with ['LOGIN'] is missing"),
    ],
)
def test_a_login_of_no_known_form_ends_the_connection(landscape: Any, mechanism: str, response: str, text: str) -> None:
    wire = landscape.stranger()
    wire.send(HEADER)
    assert wire.send(commands.Connection.StartOk({}, mechanism, response, "en_US")) == []
    assert wire.connection.state == "silent"
    assert wire.connection.failure.reply_text.startswith(text)


@pytest.mark.parametrize(
    ("channel_max", "frame_max", "text"),
    [
        (2048, 131072, "negotiated channel_max = 2048 is higher than the maximum allowed value (2047)"),
        (0, 131072, "negotiated channel_max = 0 (no limit) is higher than the maximum allowed value (2047)"),
        (2047, 4095, "negotiated frame_max = 4095 is lower than the minimum allowed value (4096)"),
        (2047, 131073, "negotiated frame_max = 131073 is higher than the maximum allowed value (131072)"),
    ],
)
def test_limits_beyond_what_was_offered_end_the_connection(
    landscape: Any, channel_max: int, frame_max: int, text: str
) -> None:
    wire = brought_to(landscape, "tuning")
    assert wire.send(Connection.TuneOk(channel_max, frame_max, 0)) == []
    assert wire.connection.state == "silent"
    assert wire.connection.failure.reply_text == f"NOT_ALLOWED - {text}"


def test_a_server_without_limits_takes_a_client_without(landscape: Any, amqp: Any) -> None:
    landscape.with_settings(amqp.Settings(channel_max=0, frame_max=0))
    wire = brought_to(landscape, "tuning")
    wire.send(Connection.TuneOk(0, 0, 0), Connection.Open("/"), frame.marshal(Channel.Open(), 65535))
    wire.send(commands.Queue.Declare(queue="q"), amqp.message("q", bytes(200_000), channel=65535), channel=65535)
    answers = wire.send(commands.Basic.Get(queue="q"), channel=65535)
    assert [number for number, _ in answers] == [65535] * 3
    assert answers[-1][1] == bytes(200_000)


def test_an_unknown_virtual_host_is_530(landscape: Any) -> None:
    wire = brought_to(landscape, "opening")
    ((_, close),) = wire.send(Connection.Open("nowhere"))
    assert (close.reply_code, close.reply_text) == (530, "NOT_ALLOWED - vhost nowhere not found")
    assert (close.class_id, close.method_id) == (10, 40)


def test_a_method_at_the_wrong_time_is_504_and_after_it_all_but_a_close_is_ignored(landscape: Any, amqp: Any) -> None:
    wire = brought_to(landscape, "running")
    ((_, close),) = wire.send(INPUTS["tune-ok"])
    assert (close.reply_code, close.class_id, close.method_id) == (504, 10, 31)
    assert close.reply_text == "CHANNEL_ERROR - unexpected method in connection state running"
    assert wire.send(frame.marshal(Channel.Open(), 1), INPUTS["open"], heartbeat.Heartbeat().marshal()) == []
    assert amqp.names(wire.send(INPUTS["close"])) == ["Connection.CloseOk"]
    assert not wire.connection.closed
    wire.send(INPUTS["close-ok"])
    assert wire.connection.closed


@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        (b"\x02\0\0\0\0\0\x0c" + bytes(12) + b"\xce", 505, "UNEXPECTED_FRAME - type 2, all octets = <<0,0,"),
        (b"\x08\0\x01\0\0\0\0\xce", 505, "UNEXPECTED_FRAME - type 8, all octets = <<>>"),
        (b"\x09\0\0\0\0\0\0\xce", 501, "FRAME_ERROR - type 9, all octets = <<>>: unknown_frame"),
        (b"\x01\0\x01\0\x02\0\x01", 501, "FRAME_ERROR - type 1, all octets = <<>>: {frame_too_large,131073,131064}"),
        (b"\x01\0\0\0\0\0\x04\0\x0a\0\x32\xcd", 501, "FRAME_ERROR - type 1, all octets = <<0,10,0,50>>: "),
        (b"\x01\0\0\0\0\0\x04\0\x0a\0\x32\xce", 541, "INTERNAL_ERROR"),
    ],
)
def test_frames_that_cannot_be_are_refused_with_their_code(landscape: Any, data: bytes, code: int, text: str) -> None:
    wire = brought_to(landscape, "running")
    ((channel, close),) = wire.send(data)
    assert (channel, close.reply_code) == (0, code)
    assert close.reply_text.startswith(text)


def test_channels_beyond_channel_max_are_530(landscape: Any, amqp: Any) -> None:
    wire = brought_to(landscape, "tuning")
    wire.send(Connection.TuneOk(2, 131072, 0), Connection.Open("/"))
    wire.open(1)
    wire.open(9)
    ((_, close),) = wire.send(Channel.Open(), channel=2)
    assert close.reply_code == 530
    assert close.reply_text == (
        "NOT_ALLOWED - number of channels opened (2) has reached the negotiated channel_max (2)"
    )


def test_a_new_secret_is_taken_as_it_is(landscape: Any, amqp: Any) -> None:
    wire = brought_to(landscape, "running")
    assert amqp.names(wire.send(Connection.UpdateSecret("new", "renewal"))) == ["Connection.UpdateSecretOk"]


def test_a_closed_connection_gives_back_what_it_had(landscape: Any, amqp: Any) -> None:
    one, other = landscape.client(), landscape.client()
    one.call(commands.Queue.Declare(queue="q"))
    one.send(amqp.message("q"), commands.Basic.Get(queue="q"), channel=1)
    assert amqp.names(one.send(Connection.Close(200, "bye", 0, 0))) == ["Connection.CloseOk"]
    assert one.connection.closed
    answers = other.send(commands.Basic.Get(queue="q"), channel=1)
    assert answers[0][1].redelivered
    assert len(landscape.broker.connections) == 1


def test_a_lost_client_gives_back_what_it_had(landscape: Any) -> None:
    wire = landscape.client()
    wire.call(commands.Queue.Declare(queue="mine", exclusive=True))
    wire.connection.lose()
    wire.connection.lose()
    assert not landscape.broker.queues
    assert not landscape.broker.connections


def test_the_end_of_the_server_is_320_for_who_is_connected(landscape: Any) -> None:
    wire, stranger = landscape.client(), landscape.stranger()
    wire.connection.shut_down("shutdown")
    wire.connection.shut_down("shutdown")
    ((_, close),) = wire.take()
    assert close.reply_code == 320
    assert close.reply_text == "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"
    stranger.connection.shut_down("shutdown")
    assert stranger.connection.closed


def test_heartbeats_are_sent_after_half_the_interval_of_silence(landscape: Any, clock: Any) -> None:
    wire = landscape.stranger()
    wire.log_in(heartbeat=10)
    assert wire.connection.next_timer() == 5_000_000_000
    clock.advance_ms(4_000)
    wire.open()
    assert wire.connection.next_timer() == 9_000_000_000
    wire.connection.on_timer()
    assert wire.take() == []
    clock.advance_ms(5_000)
    wire.connection.on_timer()
    assert [type(value) for _, value in wire.take()] == [heartbeat.Heartbeat]


def test_two_intervals_without_a_byte_end_the_connection(landscape: Any, clock: Any) -> None:
    wire = landscape.stranger()
    wire.log_in(heartbeat=10)
    clock.advance_ms(19_000)
    wire.connection.on_timer()
    wire.send(b"\x08\0\0\0\0\0\0")
    clock.advance_ms(19_999)
    wire.connection.on_timer()
    assert not wire.connection.closed
    clock.advance_ms(1)
    wire.connection.on_timer()
    assert wire.connection.closed
    assert wire.connection.next_timer() is None
    wire.connection.on_timer()


def test_without_heartbeats_silence_lasts(landscape: Any, clock: Any) -> None:
    wire = landscape.client()
    clock.advance_ms(10**9)
    wire.connection.on_timer()
    assert wire.connection.next_timer() is None
    assert wire.connection.state == "running"


def test_ten_seconds_are_there_for_the_handshake_and_thirty_for_the_end(landscape: Any, clock: Any) -> None:
    slow, silent = landscape.stranger(), brought_to(landscape, "closing")
    clock.advance_ms(10_000)
    slow.connection.on_timer()
    assert slow.connection.closed
    clock.advance_ms(19_999)
    silent.connection.on_timer()
    assert not silent.connection.closed
    clock.advance_ms(1)
    silent.connection.on_timer()
    assert silent.connection.closed


def test_a_publisher_waits_while_the_broker_holds_too_much(landscape: Any, amqp: Any, clock: Any) -> None:
    landscape.with_settings(amqp.Settings(held_bytes_max=10_000))
    publisher, consumer = landscape.client(heartbeat=10), landscape.client()
    publisher.call(commands.Queue.Declare(queue="q"))
    assert publisher.send(amqp.message("q", bytes(10_000))) == []
    # It is blocked by its next publish, which is taken; what comes behind that has to wait.
    ((_, blocked),) = publisher.send(amqp.message("q") + frame.marshal(commands.Queue.Declare(queue="r"), 1))
    assert (blocked.name, blocked.reason) == ("Connection.Blocked", "low on memory")
    assert publisher.connection.stalled
    clock.advance_ms(60_000)
    publisher.connection.on_timer()
    assert publisher.connection.state == "running"
    assert amqp.names(publisher.take()) == ["Heartbeat"]
    wakes = publisher.wakes
    consumer.send(commands.Basic.Get(queue="q", no_ack=True), channel=1)
    assert publisher.wakes > wakes
    publisher.connection.go_on()
    assert amqp.names(publisher.take()) == ["Connection.Unblocked", "Queue.DeclareOk"]


def test_who_does_not_know_blocking_is_blocked_silently(landscape: Any, amqp: Any) -> None:
    landscape.with_settings(amqp.Settings(held_bytes_max=100))
    publisher = landscape.client(capabilities={})
    publisher.call(commands.Queue.Declare(queue="q"))
    assert publisher.send(amqp.message("q"), amqp.message("q"), amqp.message("q")) == []
    assert publisher.connection.stalled
    landscape.broker.queues["q"].purge("purged")
    landscape.outlets["/"].pump()
    publisher.connection.go_on()
    assert publisher.take() == []
    assert landscape.broker.held_bytes > 0


def test_deliveries_stop_while_nobody_takes_the_bytes(landscape: Any, amqp: Any) -> None:
    landscape.with_settings(amqp.Settings(unsent_bytes_max=10_000))
    publisher, consumer = landscape.client(), landscape.client()
    publisher.call(commands.Queue.Declare(queue="q"))
    for _ in range(100):
        publisher.send(amqp.message("q", bytes(1_000)))
    consumer.connection.receive(frame.marshal(commands.Basic.Consume(queue="q", no_ack=True), 1))
    first = consumer.connection.data_to_send()
    assert 5_000 < len(first) < 15_000
    assert landscape.broker.queues["q"].ready_count > 80
    bodies = [value for _, value in consumer.frames() if isinstance(value, bytes)]
    assert 85 < len(bodies) < 100
    assert landscape.broker.queues["q"].ready_count == 0
    assert landscape.broker.held_bytes == 0


def test_requests_wait_while_nobody_takes_the_answers(landscape: Any, amqp: Any) -> None:
    landscape.with_settings(amqp.Settings(unsent_bytes_max=10_000))
    wire = landscape.client()
    wire.call(commands.Queue.Declare(queue="q"))
    wire.send(*[amqp.message("q", bytes(6_000))] * 10)
    wire.connection.receive(frame.marshal(commands.Basic.Get(queue="q"), 1) * 10)
    assert wire.connection.stalled
    assert landscape.broker.queues["q"].ready_count == 8
    wire.take()
    assert landscape.broker.queues["q"].ready_count == 0


def test_unfinished_bodies_of_a_connection_are_bounded(landscape: Any, amqp: Any) -> None:
    landscape.with_settings(amqp.Settings(arriving_bytes_max=10_000))
    wire = landscape.client()
    for number in range(2, 5):
        wire.open(number)
    for number in (1, 2, 3):
        head = frame.marshal(commands.Basic.Publish(routing_key="q"), number)
        size = struct.pack(">HHQH", 60, 0, 5_000, 0)
        head += struct.pack(">BHI", 2, number, len(size)) + size + b"\xce"
        answers = wire.send(head + struct.pack(">BHI", 3, number, 4_000) + bytes(4_000) + b"\xce")
    assert answers[0][1].reply_code == 506
