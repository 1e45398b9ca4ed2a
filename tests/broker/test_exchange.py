"""AMQP 0-9-1 §3.1.3 (exchange types) and RabbitMQ "Exchange to Exchange Bindings", "Alternate Exchanges"."""

import re
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from phrasim.broker import AmqpChannelError, Broker, Channel, Delivery, Dropped, Properties
from phrasim.broker.exchange import Exchange, _TopicNode, headers_match


def reached(
    broker: Broker, channel: Channel, exchange: str, routing_key: str, headers: dict | None = None
) -> list[str]:
    """The queues that get a copy of one published message."""
    channel.basic_publish(exchange, routing_key, b"", Properties(headers=headers))
    return [name for name in broker.queues if channel.basic_get(name, no_ack=True) is not None]


def matches(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    """Topic matching the naive way, straight from the words of the specification."""

    @cache
    def from_here(i: int, j: int) -> bool:
        if i == len(pattern):
            return j == len(words)
        if pattern[i] == "#":
            return any(from_here(i + 1, k) for k in range(j, len(words) + 1))
        return j < len(words) and pattern[i] in ("*", words[j]) and from_here(i + 1, j + 1)

    return from_here(0, 0)


WORDS = st.lists(st.sampled_from(["a", "b", "", "*", "#"]), max_size=6)


@given(patterns=st.lists(WORDS, max_size=6), removed=st.lists(st.integers(0, 5), max_size=3), key=WORDS)
@example(patterns=[["#", "a", "#"]], removed=[], key=["a", "a"])
@example(patterns=[["#", "#"], ["*", "#"]], removed=[], key=[])
@example(patterns=[["#"] * 6, ["#", "*"] * 3, ["*", "#"] * 3, ["#", "a"] * 3], removed=[], key=["a"] * 6)
def test_a_topic_exchange_matches_as_a_naive_matcher_does(patterns: list, removed: list, key: list) -> None:
    def text(words: list[str]) -> str:
        return ".".join(words)

    def split(key: str) -> tuple[str, ...]:
        return tuple(key.split(".")) if key else ()

    exchange = Exchange("t", "topic", durable=False, auto_delete=False, internal=False, arguments={})
    bound: dict[str, Exchange] = {}
    for words in patterns:
        pattern = text(words)
        destination = bound.setdefault(
            pattern, Exchange(pattern, "fanout", durable=False, auto_delete=False, internal=False, arguments={})
        )
        exchange.bind(destination, pattern, {})
    for index in removed:
        if index < len(bound):
            pattern = list(bound)[index]
            assert exchange.unbind(bound.pop(pattern), pattern, {})
    found = [destination.name for destination in exchange.match(text(key), None)]
    wanted = [pattern for pattern in bound if matches(split(pattern), split(text(key)))]
    assert sorted(found) == sorted(wanted)


def test_many_hashes_cost_no_backtracking() -> None:
    exchange = Exchange("t", "topic", durable=False, auto_delete=False, internal=False, arguments={})
    exchange.bind(exchange, ".".join(["#", "a"] * 30), {})
    assert not list(exchange.match(".".join(["a"] * 200) + ".b", None))


def test_a_hard_pattern_takes_steps_by_words_and_nodes_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0
    stand_on = _TopicNode.stand_on

    def counted(node: _TopicNode, places: dict) -> None:
        nonlocal steps
        steps += 1
        stand_on(node, places)

    monkeypatch.setattr(_TopicNode, "stand_on", counted)
    exchange = Exchange("t", "topic", durable=False, auto_delete=False, internal=False, arguments={})
    nodes = 0
    for words in (["#", "*"] * 60, ["*", "#"] * 60, ["#", "#", "a"] * 40, ["#", "a", "*"] * 40):
        exchange.bind(exchange, ".".join(words), {})
        nodes += len(words)
    assert len(list(exchange.match(".".join(["a"] * 120), None))) == 4
    # From each node a word leads at most to the node itself and to two others.
    assert steps <= 3 * 120 * nodes


class Noted(dict):
    """A dict that counts what is put into it."""

    puts = 0

    def __setitem__(self, key: object, value: object) -> None:
        self.puts += 1
        super().__setitem__(key, value)


def test_a_row_of_hashes_is_walked_once_for_each_word() -> None:
    root = node = _TopicNode()
    root.add(".".join(["#"] * 100))
    places = Noted()
    for _ in range(101):
        node.stand_on(places)
        node = node.children.get("#", root)
    assert (len(places), places.puts) == (101, 101)


def test_equal_keys_in_cc_and_bcc_are_matched_once(
    broker: Broker, channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    match = Exchange.match

    def noted(exchange: Exchange, routing_key: str, headers: Any) -> Any:
        asked.append(routing_key)
        return match(exchange, routing_key, headers)

    monkeypatch.setattr(Exchange, "match", noted)
    channel.queue_declare("q")
    channel.queue_bind("q", "amq.topic", "#.b")
    headers = {"CC": ["k", "b", "b", "c"] * 50, "BCC": ["b", "d"] * 50}
    assert reached(broker, channel, "amq.topic", "k", headers) == ["q"]
    assert asked == ["k", "b", "c", "d"]


def test_a_direct_exchange_matches_the_whole_key_only(broker: Broker, channel: Channel) -> None:
    for name, key in (("q1", "a"), ("q2", "a.b"), ("q3", "a")):
        channel.queue_declare(name)
        channel.queue_bind(name, "amq.direct", key)
    assert reached(broker, channel, "amq.direct", "a") == ["q1", "q3"]


def test_a_queue_gets_one_copy_however_many_bindings_match(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    for exchange, keys in (("amq.fanout", ("", "k")), ("amq.topic", ("#", "a.*", "a.b"))):
        for key in keys:
            channel.queue_bind("q", exchange, key)
        channel.basic_publish(exchange, "a.b", b"")
        assert channel.queue_declare("q", passive=True).message_count == 1
        channel.queue_purge("q")


def test_a_route_is_forgotten_when_a_binding_is_added_or_removed(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q1")
    channel.queue_declare("q2")
    channel.queue_bind("q1", "amq.direct", "k")
    assert reached(broker, channel, "amq.direct", "k") == ["q1"]
    channel.queue_bind("q2", "amq.direct", "k")
    assert reached(broker, channel, "amq.direct", "k") == ["q1", "q2"]
    channel.queue_unbind("q1", "amq.direct", "k")
    assert reached(broker, channel, "amq.direct", "k") == ["q2"]
    channel.queue_delete("q2")
    assert reached(broker, channel, "amq.direct", "k") == []


@pytest.mark.parametrize(
    ("pattern", "headers", "holds"),
    [
        ({"a": 1, "b": "x"}, {"a": 1, "b": "x", "c": 2}, True),
        ({"a": 1, "b": "x"}, {"a": 1}, False),
        ({"x-match": "any", "a": 1, "b": "x"}, {"a": 1}, True),
        ({"x-match": "any", "a": 1}, {"a": 2}, False),
        ({"x-match": "any"}, {"a": 2}, False),
        ({}, {}, True),
        ({"a": None}, {"a": "anything"}, True),
        ({"a": None}, {}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"x-trace": 1}, {}, True),
        ({"x-match": "all-with-x", "x-trace": 1}, {}, False),
        ({"x-match": "any-with-x", "x-trace": 1}, {"x-trace": 1}, True),
    ],
)
def test_headers_match_by_all_or_any(pattern: dict, headers: dict, holds: bool) -> None:
    assert headers_match(pattern, headers) is holds


def test_a_headers_exchange_looks_at_each_message(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    channel.queue_bind("q", "amq.headers", "", {"a": 1})
    assert reached(broker, channel, "amq.headers", "k", {"a": 1}) == ["q"]
    assert reached(broker, channel, "amq.headers", "k", {"a": 2}) == []
    assert reached(broker, channel, "amq.headers", "k") == []


def test_a_headers_exchange_behind_another_exchange_is_asked_for_each_message(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    channel.queue_bind("q", "amq.headers", "", {"a": 1})
    channel.exchange_bind("amq.headers", "amq.fanout")
    assert reached(broker, channel, "amq.fanout", "k", {"a": 2}) == []
    assert reached(broker, channel, "amq.fanout", "k", {"a": 1}) == ["q"]


def test_a_wrong_x_match_is_refused(channel: Channel) -> None:
    channel.queue_declare("q")
    with pytest.raises(AmqpChannelError, match=re.escape("Invalid x-match field value")) as exc_info:
        channel.queue_bind("q", "amq.headers", "", {"x-match": "some"})
    assert exc_info.value.reply_code == 406


def test_exchanges_bound_in_a_ring_pass_a_message_round_once(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    for name in ("x1", "x2", "x3"):
        channel.exchange_declare(name, "fanout")
    channel.exchange_bind("x2", "x1")
    channel.exchange_bind("x3", "x2")
    channel.exchange_bind("x1", "x3")
    channel.queue_bind("q", "x3")
    channel.basic_publish("x1", "k", b"")
    assert channel.queue_declare("q", passive=True).message_count == 1


def test_what_an_exchange_cannot_route_goes_to_its_alternate_exchange(broker: Broker, channel: Channel) -> None:
    channel.exchange_declare("x", arguments={"alternate-exchange": "amq.fanout"})
    channel.queue_declare("routed")
    channel.queue_declare("rest")
    channel.queue_bind("routed", "x", "k")
    channel.queue_bind("rest", "amq.fanout")
    assert reached(broker, channel, "x", "k") == ["routed"]
    assert reached(broker, channel, "x", "other") == ["rest"]


def test_an_alternate_exchange_may_be_the_default_one_and_may_come_later(broker: Broker, channel: Channel) -> None:
    channel.exchange_declare("x", arguments={"alternate-exchange": ""})
    channel.exchange_declare("y", arguments={"alternate-exchange": "late"})
    assert reached(broker, channel, "x", "q") == []
    channel.queue_declare("q")
    assert reached(broker, channel, "x", "q") == ["q"]
    assert reached(broker, channel, "y", "k") == []
    channel.exchange_declare("late", "fanout")
    channel.queue_bind("q", "late")
    assert reached(broker, channel, "y", "k") == ["q"]


def test_two_exchanges_that_are_each_others_alternate_drop_the_message(broker: Broker, channel: Channel) -> None:
    channel.exchange_declare("x", arguments={"alternate-exchange": "y"})
    channel.exchange_declare("y", arguments={"alternate-exchange": "x"})
    message = channel.basic_publish("x", "k", b"")
    assert broker.drain() == [Dropped(message, None, "unroutable")]


def test_a_binding_counts_its_arguments_too(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    channel.queue_bind("q", "amq.fanout", "", {"n": 1})
    channel.queue_bind("q", "amq.fanout", "", {"n": 1})
    channel.queue_bind("q", "amq.fanout", "", {"n": 2})
    channel.queue_unbind("q", "amq.fanout", "", {"n": 1})
    assert reached(broker, channel, "amq.fanout", "") == ["q"]
    channel.queue_unbind("q", "amq.fanout", "", {"n": 2})
    assert reached(broker, channel, "amq.fanout", "") == []


def test_deliveries_carry_the_publishers_exchange_and_key(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q")
    channel.exchange_bind("amq.topic", "amq.fanout", "")
    channel.queue_bind("q", "amq.topic", "a.#")
    channel.basic_consume("q")
    channel.basic_publish("amq.fanout", "a.b", b"x")
    (delivery,) = broker.drain()
    assert isinstance(delivery, Delivery)
    assert (delivery.message.exchange, delivery.message.routing_key) == ("amq.fanout", "a.b")
