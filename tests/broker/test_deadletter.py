"""RabbitMQ "Dead Letter Exchanges", and PROTOCOL §4.1 and §4.3 for how Phraseanet uses them."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from phrasim.broker import Broker, Channel, DeadLettered, Dropped, Properties
from phrasim.broker.amqp.tables import Int8, Timestamp, encode_table
from phrasim.broker.core import LETTERS_MAX
from phrasim.broker.deadletter import is_cycle, record_death

EPOCH = datetime.fromtimestamp(1_760_000_000, UTC)


def declare_base_and_retry(channel: Channel, retry_ms: int = 10_000) -> None:
    """PROTOCOL §4.1: `assetsIngest` and its retry queue, each the other's dead-letter target."""
    channel.exchange_declare("alchemy-exchange", "direct", durable=True)
    channel.exchange_declare("retry-alchemy-exchange", "direct", durable=True)
    for queue, exchange, dead_letter_exchange, dead_letter_key, ttl in (
        ("assetsIngest", "alchemy-exchange", "retry-alchemy-exchange", "assetsIngest_retry", None),
        ("assetsIngest_retry", "retry-alchemy-exchange", "alchemy-exchange", "assetsIngest", retry_ms),
    ):
        arguments: dict = {
            "x-dead-letter-exchange": dead_letter_exchange,
            "x-dead-letter-routing-key": dead_letter_key,
        }
        if ttl is not None:
            arguments["x-message-ttl"] = ttl
        channel.queue_declare(queue, durable=True, arguments=arguments)
        channel.queue_bind(queue, exchange, queue)


def test_a_rejected_message_goes_round_the_retry_queue_and_is_counted(broker: Broker, channel: Channel, clock) -> None:
    declare_base_and_retry(channel)
    channel.basic_publish("alchemy-exchange", "assetsIngest", b"{}", Properties(delivery_mode=2, message_id="m"))
    for round_ in (1, 2, 3):
        fetched = channel.basic_get("assetsIngest")
        assert fetched is not None
        channel.basic_nack(fetched.delivery_tag, requeue=False)
        assert channel.queue_declare("assetsIngest_retry", passive=True).message_count == 1
        clock.advance_ms(9_999)
        assert channel.basic_get("assetsIngest") is None
        clock.advance_ms(1)
        broker.expire()
        letter = broker.queues["assetsIngest"]
        assert letter.ready_count == 1, round_
    fetched = channel.basic_get("assetsIngest")
    assert fetched is not None
    assert fetched.redelivered is False
    properties = fetched.message.properties
    assert (properties.delivery_mode, properties.message_id) == (2, "m")
    assert properties.headers == {
        "x-death": [
            {
                "count": 3,
                "exchange": "retry-alchemy-exchange",
                "queue": "assetsIngest_retry",
                "reason": "expired",
                "routing-keys": ["assetsIngest_retry"],
                "time": EPOCH + timedelta(seconds=10),
            },
            {
                "count": 3,
                "exchange": "alchemy-exchange",
                "queue": "assetsIngest",
                "reason": "rejected",
                "routing-keys": ["assetsIngest"],
                "time": EPOCH,
            },
        ],
        "x-first-death-exchange": "alchemy-exchange",
        "x-first-death-queue": "assetsIngest",
        "x-first-death-reason": "rejected",
    }


def test_an_x_death_that_a_publisher_sent_is_continued(broker: Broker, channel: Channel, clock) -> None:
    """PROTOCOL §4.3: the worker asks for a retry by publishing to the retry queue with its own x-death."""
    declare_base_and_retry(channel)
    sent = {"count": 2, "exchange": "alchemy-exchange", "queue": "assetsIngest", "reason": "rejected"}
    channel.basic_publish(
        "retry-alchemy-exchange",
        "assetsIngest_retry",
        b"{}",
        Properties(headers={"x-death": [sent], "worker-message": "m"}),
    )
    clock.advance_ms(10_000)
    fetched = channel.basic_get("assetsIngest")
    assert fetched is not None
    headers = fetched.message.properties.headers
    assert headers is not None
    assert [(death["queue"], death["count"]) for death in headers["x-death"]] == [
        ("assetsIngest_retry", 1),
        ("assetsIngest", 2),
    ]
    assert "x-first-death-queue" not in headers
    assert headers["worker-message"] == "m"
    channel.basic_nack(fetched.delivery_tag, requeue=False)
    clock.advance_ms(10_000)
    headers = channel.basic_get("assetsIngest").message.properties.headers
    assert [(death["queue"], death["count"]) for death in headers["x-death"]] == [
        ("assetsIngest_retry", 2),
        ("assetsIngest", 3),
    ]


def test_a_broker_that_ignores_a_publishers_x_death_begins_its_own(clock) -> None:
    """PROTOCOL H14: the counter that the worker sent is never seen again."""
    broker = Broker(clock, random.Random(1), honours_client_x_death=False)
    channel = broker.open_connection().open_channel()
    declare_base_and_retry(channel)
    sent = {"count": 2, "exchange": "alchemy-exchange", "queue": "assetsIngest", "reason": "rejected"}
    channel.basic_publish(
        "retry-alchemy-exchange", "assetsIngest_retry", b"{}", Properties(headers={"x-death": [sent]})
    )
    clock.advance_ms(10_000)
    fetched = channel.basic_get("assetsIngest")
    headers = fetched.message.properties.headers
    assert [(death["queue"], death["count"]) for death in headers["x-death"]] == [("assetsIngest_retry", 1)]
    assert headers["x-first-death-queue"] == "assetsIngest_retry"
    assert headers["x-last-death-queue"] == "assetsIngest_retry"
    channel.basic_nack(fetched.delivery_tag, requeue=False)
    clock.advance_ms(10_000)
    headers = channel.basic_get("assetsIngest").message.properties.headers
    assert [(death["queue"], death["count"]) for death in headers["x-death"]] == [
        ("assetsIngest_retry", 2),
        ("assetsIngest", 1),
    ]


def test_rabbitmq_4_tells_of_the_first_and_the_last_death(clock) -> None:
    broker = Broker(clock, random.Random(1), honours_client_x_death=False)
    channel = broker.open_connection().open_channel()
    declare_base_and_retry(channel)
    channel.basic_publish("", "assetsIngest", b"{}", Properties(headers={"x-last-death-queue": "a publisher's"}))
    channel.basic_nack(channel.basic_get("assetsIngest").delivery_tag, requeue=False)
    clock.advance_ms(10_000)
    headers = channel.basic_get("assetsIngest").message.properties.headers
    told = {name: value for name, value in headers.items() if name.startswith(("x-first", "x-last"))}
    assert told == {
        "x-first-death-exchange": "",
        "x-first-death-queue": "assetsIngest",
        "x-first-death-reason": "rejected",
        "x-last-death-exchange": "retry-alchemy-exchange",
        "x-last-death-queue": "assetsIngest_retry",
        "x-last-death-reason": "expired",
    }
    assert list(headers) == sorted(headers)


def test_a_letter_keeps_its_keys_unless_the_queue_names_one(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q", arguments={"x-dead-letter-exchange": "amq.topic"})
    channel.queue_declare("dead")
    channel.queue_bind("dead", "amq.topic", "#")
    channel.queue_bind("q", "amq.direct", "k")
    channel.basic_publish("amq.direct", "k", b"x", Properties(headers={"CC": ["copy"]}))
    channel.basic_get("q")
    channel.basic_reject(1, requeue=False)
    (event,) = broker.drain()
    assert isinstance(event, DeadLettered)
    assert (event.queue, event.reason, event.exchange, event.routing_key) == ("q", "rejected", "amq.topic", "k")
    letter = channel.basic_get("dead").message
    assert letter is event.letter
    assert letter.seq > event.message.seq
    assert letter.properties.headers["CC"] == ["copy"]
    assert letter.properties.headers["x-death"][0]["routing-keys"] == ["k", "copy"]


def test_a_key_of_the_queue_replaces_all_keys_and_the_cc_header(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q", arguments={"x-dead-letter-exchange": "amq.direct", "x-dead-letter-routing-key": "new"})
    for key in ("q", "copy", "new"):
        channel.queue_declare(f"dead {key}")
        channel.queue_bind(f"dead {key}", "amq.direct", key)
    channel.basic_publish("", "q", b"x", Properties(headers={"CC": ["copy"]}))
    channel.basic_get("q")
    channel.basic_reject(1, requeue=False)
    assert channel.basic_get("dead q") is None
    assert channel.basic_get("dead copy") is None
    letter = channel.basic_get("dead new").message
    assert "CC" not in letter.properties.headers
    assert letter.properties.headers["x-death"][0]["routing-keys"] == ["q", "copy"]


@pytest.mark.parametrize("reason", ["expired", "rejected"])
def test_the_expiration_of_a_letter_is_taken_off_and_noted(
    broker: Broker, channel: Channel, clock, reason: str
) -> None:
    channel.queue_declare("q", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    channel.queue_declare("dead")
    channel.basic_publish("", "q", b"x", Properties(expiration="100"))
    if reason == "rejected":
        channel.basic_get("q")
        channel.basic_reject(1, requeue=False)
    clock.advance_ms(5_000)
    letter = channel.basic_get("dead").message
    assert letter.expiration_ms is None
    assert letter.properties.expiration is None
    assert letter.properties.headers["x-death"][0]["original-expiration"] == "100"
    assert letter.properties.headers["x-death"][0]["reason"] == reason


def test_a_missing_dead_letter_exchange_drops_the_message(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q", arguments={"x-dead-letter-exchange": "later", "x-max-length": 0})
    first = channel.basic_publish("", "q", b"1")
    assert broker.drain() == [Dropped(first, "q", "maxlen")]
    channel.exchange_declare("later", internal=True)
    second = channel.basic_publish("", "q", b"2")
    death, drop = broker.drain()
    assert isinstance(death, DeadLettered)
    assert death.message is second
    assert drop == Dropped(death.letter, None, "unroutable")


def test_a_fully_automatic_cycle_is_cut(broker: Broker, channel: Channel, clock) -> None:
    for queue, target in (("a", "b"), ("b", "a")):
        channel.queue_declare(
            queue,
            arguments={
                "x-message-ttl": 10,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": target,
            },
        )
    channel.basic_publish("", "a", b"x")
    clock.advance_ms(10)
    broker.expire()
    clock.advance_ms(10)
    broker.expire()
    first, second, drop = broker.drain()
    assert isinstance(first, DeadLettered)
    assert isinstance(second, DeadLettered)
    assert drop == Dropped(second.letter, "a", "dead-letter cycle")
    assert broker.next_deadline() is None


def test_a_queue_that_dead_letters_to_itself_drops_what_expires_and_takes_back_what_is_rejected(
    broker: Broker, channel: Channel, clock
) -> None:
    channel.queue_declare(
        "q",
        arguments={"x-message-ttl": 10, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"},
    )
    channel.basic_publish("", "q", b"x")
    channel.basic_get("q")
    channel.basic_reject(1, requeue=False)
    assert channel.queue_declare("q", passive=True).message_count == 1
    clock.advance_ms(10)
    broker.expire()
    assert isinstance(broker.drain()[-1], Dropped)


def test_a_letter_does_not_overtake_ready_messages(broker: Broker, channel: Channel) -> None:
    """A rejection gives the consumer room and sends a letter to the same queue, behind those that wait."""
    channel.queue_declare("q", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"})
    channel.basic_qos(1)
    channel.basic_consume("q", "c")
    for body in (b"1", b"2"):
        channel.basic_publish("", "q", body)
    broker.drain()
    channel.basic_reject(1, requeue=False)
    assert [event.message.body for event in broker.drain() if not isinstance(event, DeadLettered)] == [b"2"]


def test_a_long_chain_of_queues_needs_no_deep_stack(broker: Broker, channel: Channel) -> None:
    length = 2_000
    for number in range(length):
        channel.queue_declare(
            f"q{number}",
            arguments={
                "x-message-ttl": 0,
                "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": f"q{number + 1}" if number < length - 1 else "end",
            },
        )
    channel.queue_declare("end")
    # The last queues only: each x-death grows with the way, so the whole way would take its square.
    channel.basic_publish("", f"q{length - 600}", b"x")
    letter = channel.basic_get("end").message
    assert len(letter.properties.headers["x-death"]) == 600


def dead_lettering_at_once(queue: str) -> dict:
    return {"x-message-ttl": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": queue}


def test_a_round_that_never_ends_is_cut(clock) -> None:
    """RabbitMQ 3.10 passes this letter on for ever: the rejection always stands before the queue it comes back to."""
    broker = Broker(clock, random.Random(1), turns_x_death=True)
    channel = broker.open_connection().open_channel()
    channel.queue_declare("r", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "a"})
    channel.queue_declare("a", arguments=dead_lettering_at_once("b"))
    channel.queue_declare("b", arguments=dead_lettering_at_once("a"))
    for _ in range(2):
        channel.basic_publish("", "r", b"x")
        channel.basic_reject(channel.basic_get("r").delivery_tag, requeue=False)
        events = broker.drain()
        letter = events[-2].letter
        assert events[-1] == Dropped(letter, "b", "dead-letter cycle")
        assert len(events) == LETTERS_MAX + 1
    assert [queue.ready_count for queue in broker.queues.values()] == [0, 0, 0]
    assert broker.held_bytes == 0


def test_a_letter_by_every_way_through_many_queues_is_cut(broker: Broker, channel: Channel) -> None:
    """Eight queues that all lead to each other have more than thirteen thousand ways through them."""
    for name in "abcdefgh":
        channel.queue_declare(name, arguments={"x-message-ttl": 0, "x-dead-letter-exchange": "amq.fanout"})
        channel.queue_bind(name, "amq.fanout")
    channel.basic_publish("", "a", b"x")
    events = broker.drain()
    assert len([event for event in events if isinstance(event, DeadLettered)]) == LETTERS_MAX
    assert broker.held_bytes == 0


def test_each_death_may_lead_to_as_many_letters(broker: Broker, channel: Channel) -> None:
    """One message that dies in many queues at once has died many times."""
    number = LETTERS_MAX // 2 + 1
    channel.queue_declare("dead")
    channel.queue_declare("late", arguments=dead_lettering_at_once("dead"))
    for queue in range(number):
        channel.queue_declare(f"q{queue}", arguments=dead_lettering_at_once("late"))
        channel.queue_bind(f"q{queue}", "amq.fanout")
    channel.basic_publish("amq.fanout", "", b"x")
    assert channel.queue_declare("dead", passive=True).message_count == number


def test_deaths_stand_newest_first_and_a_repeated_one_moves_to_the_front() -> None:
    def death(queue: str, reason: str = "rejected") -> dict:
        return {"queue": queue, "reason": reason}

    deaths = record_death((), death("a"))
    deaths = record_death(deaths, death("b"))
    deaths = record_death(deaths, death("c"))
    assert [entry["queue"] for entry in deaths] == ["c", "b", "a"]
    deaths = record_death(deaths, death("a"))
    assert [(entry["queue"], entry["count"]) for entry in deaths] == [("a", 2), ("c", 1), ("b", 1)]
    deaths = record_death(deaths, death("a", "expired"))
    assert [(entry["queue"], entry["reason"], entry["count"]) for entry in deaths[:2]] == [
        ("a", "expired", 1),
        ("a", "rejected", 2),
    ]


def test_rabbitmq_up_to_3_12_turns_the_recorded_deaths_round() -> None:
    recorded = [{"queue": name, "reason": "rejected", "count": 1} for name in ("b", "a")]
    deaths = record_death(recorded, {"queue": "c", "reason": "rejected"}, turned=True)
    assert [entry["queue"] for entry in deaths] == ["c", "a", "b"]


def test_a_letter_reaches_a_queue_after_the_message_that_it_was_made_of(broker: Broker, channel: Channel) -> None:
    full = {"x-max-length": 0, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"}
    channel.queue_declare("full", arguments=full)
    channel.queue_declare("q")
    for name in ("full", "q"):
        channel.queue_bind(name, "amq.fanout")
    channel.basic_publish("amq.fanout", "k", b"x")
    assert [channel.basic_get("q").message.exchange for _ in range(2)] == ["amq.fanout", ""]


@pytest.mark.parametrize(
    ("recorded", "counts"),
    [
        ([{"queue": "q", "reason": "rejected"}], [1]),
        ([{"queue": "q", "reason": "rejected"}] * 3, [4]),
        ([{"queue": "q", "reason": "rejected", "count": "many"}], [1]),
        ([{"queue": "other", "reason": "rejected"}, {"queue": "third", "reason": "rejected"}], [1, 1, 1]),
        (["text", {"queue": "other", "reason": "rejected", "count": 5}], [1, 5]),
    ],
)
def test_what_a_publisher_put_into_x_death_is_brought_into_order(recorded: list, counts: list) -> None:
    deaths = record_death(recorded, {"queue": "q", "reason": "rejected"})
    assert [entry["count"] for entry in deaths] == counts


def recorded_plainly(recorded: list, death: dict, turned: bool) -> list:
    """`record_death` in as few words as it takes, comparing every entry with all before it."""
    entries = [entry for entry in recorded if isinstance(entry, dict)]
    keys = [(entry.get("queue"), entry.get("reason")) for entry in entries]
    own = (death["queue"], death["reason"])
    same = None
    others = []
    for place, (entry, key) in enumerate(zip(entries, keys, strict=True)):
        if key in keys[:place]:
            continue
        if len(entries) > 1 and "count" not in entry:
            entry = dict(sorted({**entry, "count": keys.count(key)}.items()))
        if key == own:
            same = entry
        else:
            others.append(entry)
    if turned:
        others.reverse()
    if same is None:
        return [{"count": 1, **death}, *others]
    count = same.get("count", 0)
    grown = {**same, "count": count + 1 if isinstance(count, int) else 1}
    return [dict(sorted(grown.items())), *others]


NAMES = st.sampled_from(["q", "r", "expired"])
ANYTHING = st.recursive(
    st.one_of(NAMES, st.sampled_from([None, True, 1, 1.0, Int8(1), Decimal(1), 0, -0.0, b"q", EPOCH, Timestamp(1)])),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(NAMES, inner, max_size=2)),
    max_leaves=4,
)
ENTRIES = st.one_of(
    st.fixed_dictionaries(
        {"queue": NAMES, "reason": NAMES}, optional={"count": st.one_of(ANYTHING, st.integers(0, 9))}
    ),
    st.fixed_dictionaries({}, optional={"queue": ANYTHING, "reason": ANYTHING, "count": ANYTHING, "time": ANYTHING}),
    ANYTHING,
)


@given(recorded=st.lists(ENTRIES, max_size=8), queue=NAMES, reason=NAMES, turned=st.booleans())
@example(recorded=[{"queue": []}, {"queue": {}}, {"queue": [[]]}, {"queue": []}], queue="q", reason="r", turned=False)
@example(recorded=[{"queue": 1}, {"queue": True}, {"queue": [1.0]}, {"queue": [1]}], queue="q", reason="r", turned=True)
@example(recorded=[{"queue": {"q": 1, "r": [2]}}, {"queue": {"r": [2], "q": 1}}], queue="q", reason="r", turned=False)
def test_deaths_are_recorded_as_the_plain_definition_does_it(
    recorded: list, queue: str, reason: str, turned: bool
) -> None:
    death = {"queue": queue, "reason": reason, "exchange": "x"}
    found = record_death(recorded, death, turned=turned)
    # As text the types of numbers show, and the order of fields, which the wire keeps.
    assert repr(found) == repr(recorded_plainly(recorded, death, turned))


class Compared:
    """Counts how often a name is compared, for all names together."""

    times = 0

    def __init__(self, name: int) -> None:
        self.name = name

    def __hash__(self) -> int:
        return self.name

    def __eq__(self, other: object) -> bool:
        Compared.times += 1
        return isinstance(other, Compared) and self.name == other.name


def test_a_long_x_death_is_not_compared_entry_by_entry() -> None:
    recorded: list = [{"queue": Compared(number), "reason": "expired"} for number in range(2_000)] * 2
    Compared.times = 0
    deaths = record_death(recorded, {"queue": "q", "reason": "expired"})
    assert [deaths[1]["count"], len(deaths)] == [2, 2_001]
    assert Compared.times < 10 * len(recorded)


@pytest.mark.parametrize("count", [2**63 - 1, Timestamp(2**64 - 1), -1, 7])
def test_a_count_stays_within_64_bits_as_rabbitmq_writes_it(count: int) -> None:
    recorded = [{"queue": "q", "reason": "expired", "count": count}]
    (death,) = record_death(recorded, {"queue": "q", "reason": "expired"})
    assert death["count"] == {2**63 - 1: -(2**63), 2**64 - 1: 0, -1: 0, 7: 8}[count]
    assert type(death["count"]) is int
    encode_table(death)


def test_an_x_death_that_is_no_array_is_replaced(broker: Broker, channel: Channel) -> None:
    channel.queue_declare("q", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"})
    channel.queue_declare("dead")
    channel.basic_publish("", "q", b"x", Properties(headers={"x-death": "twice"}))
    channel.basic_get("q")
    channel.basic_reject(1, requeue=False)
    headers = channel.basic_get("dead").message.properties.headers
    assert [death["queue"] for death in headers["x-death"]] == ["q"]
    assert "x-first-death-queue" not in headers


@pytest.mark.parametrize(
    ("deaths", "cycle"),
    [
        (None, False),
        ([], False),
        ([{"queue": "q", "reason": "expired"}], True),
        ([{"queue": "q", "reason": "rejected"}], False),
        ([{"queue": "p", "reason": "maxlen"}, {"queue": "q", "reason": "expired"}], True),
        ([{"queue": "p", "reason": "rejected"}, {"queue": "q", "reason": "expired"}], False),
        ([{"queue": "q", "reason": "expired"}, {"queue": "p", "reason": "rejected"}], True),
        (["text", {"queue": "q", "reason": "expired"}], False),
    ],
)
def test_a_cycle_needs_the_queue_again_and_no_rejection_since(deaths: list | None, cycle: bool) -> None:
    assert is_cycle("q", deaths) is cycle
