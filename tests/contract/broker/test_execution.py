"""How one program is run: every kind of step, and brokers that answer a step as no broker may."""

import re
from typing import Any

import pytest

from contract.broker.conftest import RECORDED, Watched
from contract.broker.proxy import Change, door, scripted
from phrasim.broker import Broker
from phrasim.broker.amqp.url import BrokerUrl
from phrasim.broker.errors import access_refused
from phrasim.contract.broker import execution, verify
from phrasim.contract.broker.client import Client
from phrasim.contract.broker.driver import Driver
from phrasim.contract.broker.execution import Blocked, Run
from phrasim.contract.broker.verify import verify_broker
from phrasim.contract.broker.wire import METHOD, encode_method, frame
from phrasim.contract.finding import SuiteResult

NOTHING = b"\x08\0\0\0\0\0\0\xce"
"""A heartbeat."""

BLOCKED = frame(METHOD, 0, encode_method("connection.blocked", {"reason": "low on memory"}))


def call(name: str, on: int = 0, **fields: Any) -> dict[str, Any]:
    return {"on": on, "do": name, "with": fields}


DECLARE = call("queue.declare", queue="q0", arguments={})
PUBLISH = {**call("basic.publish", exchange="", routing_key="q0"), "body": "m"}
GET = call("basic.get", queue="q0", no_ack=True)


def run(url: BrokerUrl, *program: dict[str, Any], prefix: str = "") -> Run:
    driver = Driver(url, prefix=prefix)
    try:
        return driver.run(list(program))
    finally:
        driver.close()


def at_a_door(embedded: BrokerUrl, change: Change, *program: dict[str, Any]) -> Run:
    with door((embedded.host, embedded.port), change) as address:
        return run(BrokerUrl(*address), *program)


def verified(url: BrokerUrl) -> SuiteResult:
    return verify_broker(url, 1, 100, False, programs=[RECORDED["unknown-tags"]])


def test_a_connection_that_is_dropped_is_opened_anew_when_it_is_needed(embedded: BrokerUrl) -> None:
    drop = {"on": 0, "do": "drop"}
    exclusive = call("queue.declare", queue="q1", exclusive=True, arguments={})
    records = run(embedded, drop, exclusive, drop, call("basic.get", queue="q1")).records
    assert [record.get("queues") for record in records] == [None, {"q1": [0, 0]}, None, None]
    assert records[3]["events"][0][2]["reply_code"] == 404


def test_a_method_may_be_sent_on_a_channel_that_is_not_open_and_bytes_as_well(embedded: BrokerUrl) -> None:
    raw = {"on": 0, "do": "raw", "channel": 7}
    method = {**raw, "method": "basic.get", "with": {"queue": "q0"}}
    records = run(embedded, method, {**raw, "bytes": "0032", "framed": True}, {**raw, "bytes": "00", "kind": 9}).records
    assert records[0]["events"][0][2]["reply_code"] == 504
    assert all(record["events"] for record in records)


def test_a_step_on_a_connection_of_its_own_says_what_came_and_how_it_ended(embedded: BrokerUrl) -> None:
    send = [{"method": "basic.get", "with": {"queue": "absent"}}, {"kind": 8, "channel": 0, "payload": ["", ""]}]
    (record,) = run(embedded, {"do": "alone", "send": send}).records
    assert [name for _, name, *_ in record["transcript"]] == ["channel.close"]
    assert record["the broker closed the socket"] is False


@pytest.mark.parametrize("handshake", [b"", b"AMQP\0\0\x09\x01"])
def test_a_broker_that_hangs_up_on_a_step_of_its_own_ends_the_program(handshake: bytes) -> None:
    with scripted(handshake) as address:
        driver = Driver(BrokerUrl(*address))
        found = driver.run([{"do": "alone", "send": [{"method": "queue.declare", "with": {"queue": "q9"}}]}, GET])
    (record,) = found.records
    assert "the broker does not open a connection" in record["events"][0]
    assert driver.left == {("queue", "q9"): None, ("exchange", "q9"): None}


def test_a_broker_that_opens_no_channel_ends_the_program() -> None:
    names = ("connection.start", "connection.tune", "connection.open-ok")
    greeting = b"".join(frame(METHOD, 0, encode_method(name, {})) for name in names)
    with scripted(greeting) as address:
        (record,) = run(BrokerUrl(*address), {"do": "alone", "send": []}).records
        assert record["events"] == ["the broker does not open a channel: it closed the socket"]
        (record,) = run(BrokerUrl(*address), GET).records
        assert record["events"] == ["the broker does not open channel 99: it closed the socket"]


def test_a_handshake_that_is_answered_by_nothing_is_written_down() -> None:
    with scripted(b"") as address:
        (record,) = run(BrokerUrl(*address), {"do": "handshake", "with": {}}).records
    assert record == {"transcript": []}


def test_a_time_to_live_that_passes_within_the_steps_makes_a_run_slow(embedded: BrokerUrl) -> None:
    short = call("queue.declare", queue="q0", arguments={"x-message-ttl": ["I", 1]})
    assert run(embedded, short, PUBLISH, {"do": "wait"}, GET).slow
    assert not run(embedded, DECLARE, {**PUBLISH, "properties": {"expiration": "soon"}}).slow


@pytest.mark.parametrize("by", [b"\0\x32\0\x0b", b"\0\x3c\0\x1f"])
def test_a_broker_that_is_blocked_stops_everything(embedded: BrokerUrl, by: bytes) -> None:
    with pytest.raises(Blocked, match="low on memory"):
        at_a_door(embedded, lambda said: BLOCKED + said if by in said else said, DECLARE, GET)


def test_a_blocked_broker_is_not_judged(embedded: BrokerUrl, watched: Watched) -> None:
    def blocking(said: bytes) -> bytes:
        return BLOCKED + said if b"\0\x3c\0\x1f" in said else said

    with door((embedded.host, embedded.port), blocking) as address:
        result = verified(BrokerUrl(*address))
    assert result.unjudged == "the broker takes no messages now, from nobody: low on memory"
    assert watched.left() == set()


def test_an_account_that_may_not_declare_cannot_judge(embedded: BrokerUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise access_refused("configure access refused for user 'guest'")

    monkeypatch.setattr(Broker, "declare_exchange", refused)
    result = verified(embedded)
    assert result.cases == 0
    assert result.unjudged.startswith("the account may not do what the programs do: exchange.declare was answered ACC")


def test_a_broker_that_is_silent_to_who_enters_is_an_error(
    embedded: BrokerUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client.receive, "__defaults__", (0.05,))
    with (
        door((embedded.host, embedded.port), lambda said: NOTHING if b"\0\x14\0\x0b" in said else said) as address,
        pytest.raises(verify.BrokerError, match="did not answer"),
    ):
        verified(BrokerUrl(*address))


def test_a_confirm_that_never_comes_is_told(embedded: BrokerUrl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "REST_WITHIN_S", 0.0)
    monkeypatch.setattr(execution, "ROUNDS_MAX", 4)
    ack = re.compile(b"\x01\0.\0\0\0\x0d\0\x3c\0\x50.{9}\xce", re.DOTALL)
    records = at_a_door(embedded, lambda said: ack.sub(NOTHING, said), DECLARE, call("confirm.select"), PUBLISH).records
    assert records[2]["events"] == ["no rest: 1 published"]


def test_what_comes_on_a_channel_that_is_not_open_is_told(embedded: BrokerUrl) -> None:
    stray = frame(METHOD, 50, encode_method("basic.cancel", {"consumer_tag": "c"}))
    records = at_a_door(embedded, lambda said: stray + said if b"\0\x3c\0\x48" in said else said, DECLARE, GET).records
    assert records[1]["events"] == ["connection 0 channel 50: basic.cancel out of place"]


def test_a_broker_that_does_not_tell_of_queues_ends_the_program(
    embedded: BrokerUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Client.receive, "__defaults__", (0.1,))
    told_of_queues = b"\x01\0\x63"

    def silent(said: bytes) -> bytes:
        return NOTHING if told_of_queues in said and b"\0\x32\0\x0b" in said else said

    (record,) = at_a_door(embedded, silent, DECLARE, GET).records
    assert record["events"] == ["the broker did not answer within 10 s"]


def test_a_broker_that_hangs_up_on_who_looks_ends_the_program(embedded: BrokerUrl) -> None:
    def hanging_up(said: bytes) -> bytes:
        return b"" if b"\x01\0\x63" in said and b"\0\x32\0\x0b" in said else said

    (record,) = at_a_door(embedded, hanging_up, DECLARE, GET).records
    assert record["events"] == ["the broker closed the socket of a connection that only looks at queues"]


@pytest.mark.parametrize("instead", [b"\0\x32\0\x1f", None])
def test_a_broker_that_does_not_delete_is_told_of(
    embedded: BrokerUrl, monkeypatch: pytest.MonkeyPatch, instead: bytes | None
) -> None:
    locked = {"reply_code": 405, "reply_text": "LOCKED", "class_id": 50, "method_id": 40}
    refusal = frame(METHOD, 99, encode_method("channel.close", locked))
    monkeypatch.setattr("phrasim.contract.broker.driver.DELETIONS_MAX", 2)

    def keeping(said: bytes) -> bytes:
        if b"\0\x32\0\x29" not in said:
            return said
        return refusal if instead is None else said.replace(b"\0\x32\0\x29", instead)

    with door((embedded.host, embedded.port), keeping) as address:
        driver = Driver(BrokerUrl(*address))
        driver.run([DECLARE])
        driver.close()
    assert driver.left == {("queue", "q0"): None}


def test_up_to_a_delivery_of_two_queues_is_all_of_them_or_none(embedded: BrokerUrl) -> None:
    consumers = [call("basic.consume", queue=queue, consumer_tag=queue, no_ack=False) for queue in ("q0", "q1")]
    bound = [call("queue.bind", queue=queue, exchange="x0", routing_key="") for queue in ("q0", "q1")]
    records = run(
        embedded,
        DECLARE,
        call("queue.declare", queue="q1", arguments={}),
        call("exchange.declare", exchange="x0", exchange_type="fanout"),
        *bound,
        *consumers,
        call("basic.publish", exchange="x0", routing_key=""),
        call("basic.ack", delivery_tag=1, multiple=True),
        call("channel.close", reply_code=200),
        call("queue.purge", queue="q0"),
    ).records
    assert len(records[7]["channel 0"]) == 2
    assert records[10]["reply"] == ["queue.purge-ok", {"message_count": 0}, None]
