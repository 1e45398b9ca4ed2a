"""Programs of broker operations, as Hypothesis draws them: lists of plain dictionaries that JSON can hold.

Everything is drawn from small pools, so that names meet, arguments contradict each other and tags are unknown. A
short time to live is 200 ms: longer than the steps of a program take, so it passes in a "wait" and nowhere else.
"""

from typing import Any

from hypothesis import strategies as st

SHORT_MS = 200

QUEUES = ("q0", "q1", "q2")
QUEUE_NAMES = ("q0", "q1") * 8 + ("q2", "q2", "q2", "", "", "absent", "amq.q")
EXCHANGES = ("x0", "x1")
SYSTEM_EXCHANGES = ("amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match")
EXCHANGE_NAMES = ("x0", "x0", "x1", *SYSTEM_EXCHANGES) * 3 + ("", "amq.rabbitmq.trace", "absent", "amq.x")
EXCHANGE_TYPES = ("direct", "fanout", "topic", "headers")
KEYS = ("q0", "q1", "q2", "a", "a.b", "a.b.c", "")
PATTERNS = (*KEYS, "#", "*", "a.*", "*.b", "#.c", "a.#.c")
CONSUMERS = ("c0", "c1", "c2", "")
TAGS = (-1, -1, -1, 0, 1, 2, 3, 7)
BODIES = ("", "a", "bb", "ccc", "x" * 200)

pick = st.sampled_from
on = pick([0, 0, 1, 2])
seldom = pick([False, False, False, True])
flag = st.booleans()


def fields(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(strategies)


def call(name: str, **strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A step that calls the method on one of the channels."""
    return st.fixed_dictionaries({"on": on, "do": st.just(name), "with": fields(**strategies)})


def either(*strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """One of the strategies, each as likely as the others: `one_of` would count those inside it as its own."""
    return pick(strategies).flatmap(lambda strategy: strategy)


def typed(kind: str, *values: Any) -> st.SearchStrategy[list[Any]]:
    return pick([[kind, value] for value in values])


# Arguments of queues, exchanges, bindings and consumers.

whole = pick(["b", "B", "s", "u", "I", "i", "l"])
lengths = st.tuples(whole, pick([0, 1, 2, 3])).map(list)

GOOD_ARGUMENTS = {
    "x-message-ttl": typed("I", 0, SHORT_MS, 60_000) | typed("l", 0, 60_000),
    "x-expires": typed("I", 60_000, SHORT_MS),
    "x-max-length": lengths,
    "x-max-length-bytes": typed("I", 0, 3, 5),
    "x-overflow": typed("S", "drop-head", "reject-publish", "reject-publish-dlx"),
    "x-dead-letter-exchange": typed("S", "", "", "x0", "amq.fanout", "absent"),
    "x-dead-letter-routing-key": typed("S", "q0", "q1", "a"),
    "x-queue-mode": typed("S", "default", "lazy"),
    "x-queue-type": typed("S", "classic"),
    "x-other": typed("S", "whatever"),
}
wrong_value = pick(
    [
        ["S", "5"],
        ["I", -1],
        ["T", 5],
        ["f", 0.5],
        ["x", "ab"],
        ["I", 0],
        ["l", 315_360_000_001],
        ["t", True],
        ["V", None],
        ["d", 1.5],
        ["F", {}],
        ["A", []],
    ]
)
WRONG_ARGUMENTS = dict.fromkeys(sorted(set(GOOD_ARGUMENTS) - {"x-queue-type", "x-other"}), wrong_value)


def some_of(named: dict[str, st.SearchStrategy[Any]], most: int) -> st.SearchStrategy[dict[str, Any]]:
    """A table with up to `most` of the named values."""
    return st.lists(pick(sorted(named)), max_size=most, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: named[name] for name in names})
    )


limits = st.fixed_dictionaries(
    {"x-max-length": lengths, "x-overflow": GOOD_ARGUMENTS["x-overflow"]},
    optional={"x-dead-letter-exchange": typed("S", ""), "x-dead-letter-routing-key": typed("S", "q0", "q1")},
)
dead_lettering = st.fixed_dictionaries(
    {"x-dead-letter-exchange": GOOD_ARGUMENTS["x-dead-letter-exchange"]},
    optional={name: GOOD_ARGUMENTS[name] for name in ("x-dead-letter-routing-key", "x-message-ttl", "x-max-length")},
)
good_arguments = either(st.just({}), limits, dead_lettering, some_of(GOOD_ARGUMENTS, 2))
queue_arguments = either(
    st.just({}),
    limits,
    dead_lettering,
    some_of(GOOD_ARGUMENTS, 3),
    some_of(GOOD_ARGUMENTS, 2),
    st.one_of(st.just({}), some_of(WRONG_ARGUMENTS, 1)),
)
exchange_arguments = st.one_of(
    st.just({}),
    st.just({}),
    st.fixed_dictionaries({"alternate-exchange": typed("S", "x1", "amq.fanout", "absent") | typed("I", 5)}),
)
header_value = st.one_of(
    typed("S", "v", "w"),
    typed("I", 1, 2),
    typed("l", 1),
    typed("b", 1),
    typed("t", True),
    typed("V", None),
    typed("d", 1.0),
)
header_names = pick(["h", "k", "x-h"])
headers = st.dictionaries(header_names, header_value, max_size=3)
x_match = typed("S", "all", "any", "all-with-x", "any-with-x", "none") | typed("I", 1)
binding_arguments = st.one_of(
    st.just({}),
    st.just({}),
    st.builds(lambda mode, more: {"x-match": mode, **more}, x_match, headers),
    headers,
)

# Properties of messages.

death = st.fixed_dictionaries(
    {"queue": typed("S", "q0", "q1"), "reason": typed("S", "rejected", "expired")},
    optional={"count": typed("l", 1, 5) | typed("I", 3), "exchange": typed("S", "x"), "time": typed("T", 1_000)},
)
deaths = st.lists(death.map(lambda entry: ["F", entry]), max_size=3).map(lambda entries: ["A", entries])
carbon = pick([["A", [["S", "q1"]]], ["A", [["S", "q1"], ["S", "q2"]]], ["A", []], ["S", "q1"], ["A", [["I", 1]]]])
message_headers = either(
    headers,
    st.builds(lambda table, key, value: {**table, key: value}, headers, pick(["CC", "BCC"]), carbon),
    st.builds(lambda table, value: {**table, "x-death": value}, headers, deaths | typed("S", "mine")),
    st.dictionaries(
        pick(["n", "m"]),
        st.one_of(
            typed("D", [2, 314]),
            typed("T", 1_700_000_000),
            typed("f", 0.5),
            typed("x", "\u00ff\u0000"),
            typed("s", -3),
            typed("i", 4_000_000_000),
            st.just(["F", {"deep": ["A", [["u", 9], ["V", None]]]}]),
        ),
        max_size=2,
    ),
)
expiration = pick(
    ["0", str(SHORT_MS), "60000", "60001", "0", "abc", "-1", "5x", "", "315360000000", "315360000001", "+7"]
)
properties = either(
    st.just({}),
    st.just({}),
    st.just({"delivery_mode": 2}),
    st.fixed_dictionaries({"headers": message_headers}),
    st.fixed_dictionaries({"expiration": expiration}, optional={"headers": message_headers}),
    st.fixed_dictionaries(
        {},
        optional={
            "content_type": pick(["text/plain", ""]),
            "content_encoding": st.just("gzip"),
            "priority": pick([0, 9]),
            "correlation_id": st.just("korrelation"),
            "reply_to": pick(["q0", "ünï"]),
            "message_id": st.just("m1"),
            "timestamp": st.just(1_700_000_000),
            "message_type": st.just("t"),
            "app_id": st.just("app"),
            "user_id": st.just("guest"),
            "cluster_id": st.just("c"),
        },
    ),
)

# Steps.

declare_queue = call(
    "queue.declare",
    queue=pick(QUEUE_NAMES),
    passive=pick([False] * 7 + [True]),
    durable=flag,
    exclusive=pick([False] * 5 + [True]),
    auto_delete=pick([False] * 5 + [True]),
    nowait=pick([False] * 9 + [True]),
    arguments=queue_arguments,
)


def some_queue(name: str) -> st.SearchStrategy[dict[str, Any]]:
    return call("queue.declare", queue=st.just(name), arguments=good_arguments)


some_exchange = call(
    "exchange.declare",
    exchange=pick(EXCHANGES),
    exchange_type=pick(EXCHANGE_TYPES),
    auto_delete=seldom,
    arguments=exchange_arguments,
)
some_binding = call(
    "queue.bind",
    queue=pick(QUEUES[:2]),
    exchange=pick((*EXCHANGES, *SYSTEM_EXCHANGES)),
    routing_key=pick(PATTERNS),
    arguments=binding_arguments,
)
some_consumer = call("basic.consume", queue=pick(QUEUES[:2]), consumer_tag=pick(CONSUMERS), no_ack=st.just(False))
declare_exchange = call(
    "exchange.declare",
    exchange=pick(EXCHANGE_NAMES),
    exchange_type=pick([*EXCHANGE_TYPES, *EXCHANGE_TYPES, "x-unknown"]),
    passive=pick([False] * 7 + [True]),
    durable=flag,
    auto_delete=seldom,
    internal=pick([False] * 7 + [True]),
    nowait=pick([False] * 9 + [True]),
    arguments=exchange_arguments,
)
bind = call(
    "queue.bind",
    queue=pick(QUEUE_NAMES),
    exchange=pick(EXCHANGE_NAMES),
    routing_key=pick(PATTERNS),
    nowait=pick([False] * 9 + [True]),
    arguments=binding_arguments,
)
with_acks = call(
    "basic.consume",
    queue=pick(QUEUE_NAMES),
    consumer_tag=pick(CONSUMERS),
    no_ack=st.just(False),
    exclusive=pick([False] * 7 + [True]),
    arguments=pick([{}, {}, {}, {"x-priority": ["I", 0]}, {"x-priority": ["S", "high"]}]),
)
# Only on the connection with one channel: when a connection goes, RabbitMQ ends its channels one after the other, and
# what one gives back is lost to a consumer without acknowledgements on another that is still to go.
without_acks = st.fixed_dictionaries(
    {
        "on": st.just(2),
        "do": st.just("basic.consume"),
        "with": fields(queue=pick(QUEUE_NAMES), consumer_tag=pick(CONSUMERS), no_ack=st.just(True)),
    }
)
consume = either(with_acks, with_acks, with_acks, without_acks)
publish = st.fixed_dictionaries(
    {
        "on": on,
        "do": st.just("basic.publish"),
        "with": fields(
            exchange=pick(("", "", "", *EXCHANGE_NAMES)),
            routing_key=pick((*QUEUES, *KEYS)),
            mandatory=seldom,
            immediate=pick([False] * 39 + [True]),
        ),
        "properties": properties,
        "body": pick(BODIES),
    }
)
to_a_queue = st.fixed_dictionaries(
    {
        "on": on,
        "do": st.just("basic.publish"),
        "with": fields(exchange=st.just(""), routing_key=pick(QUEUES), mandatory=seldom),
        "properties": properties,
        "body": pick(BODIES),
    }
)
# Several at once go to one queue only: otherwise a letter of the first may or may not come before the second message.
several_to_a_queue = st.fixed_dictionaries(
    {
        "on": on,
        "do": st.just("basic.publish"),
        "with": fields(exchange=st.just(""), routing_key=pick(QUEUES), mandatory=seldom),
        "properties": pick([{}, {"delivery_mode": 2}]),
        "body": pick(BODIES),
        "times": pick([2, 3]),
    }
)
settle = either(
    call("basic.ack", delivery_tag=pick(TAGS), multiple=flag),
    call("basic.nack", delivery_tag=pick(TAGS), multiple=flag, requeue=flag),
    call("basic.nack", delivery_tag=pick(TAGS), multiple=flag, requeue=st.just(False)),
    call("basic.reject", delivery_tag=pick(TAGS), requeue=flag),
)
get = call("basic.get", queue=pick(QUEUE_NAMES), no_ack=seldom)
qos = call("basic.qos", prefetch_count=pick([0, 1, 1, 2]), global_=seldom, prefetch_size=pick([0] * 19 + [1]))
confirm = call("confirm.select", nowait=seldom)
rest = either(
    call(
        "queue.unbind",
        queue=pick(QUEUE_NAMES),
        exchange=pick(EXCHANGE_NAMES),
        routing_key=pick(PATTERNS),
        arguments=binding_arguments,
    ),
    call("queue.purge", queue=pick(QUEUE_NAMES), nowait=seldom),
    call("queue.delete", queue=pick(QUEUE_NAMES), if_unused=seldom, if_empty=seldom, nowait=seldom),
    call("exchange.delete", exchange=pick(EXCHANGE_NAMES), if_unused=seldom, nowait=seldom),
    call(
        "exchange.bind",
        destination=pick(EXCHANGE_NAMES),
        source=pick(EXCHANGE_NAMES),
        routing_key=pick(PATTERNS),
        nowait=seldom,
        arguments=binding_arguments,
    ),
    call(
        "exchange.unbind",
        destination=pick(EXCHANGE_NAMES),
        source=pick(EXCHANGE_NAMES),
        routing_key=pick(PATTERNS),
        nowait=seldom,
        arguments=binding_arguments,
    ),
    call("basic.cancel", consumer_tag=pick(CONSUMERS[:3]), nowait=seldom),
    call("basic.recover", requeue=pick([True] * 7 + [False])),
    call("basic.recover-async", requeue=pick([True] * 7 + [False])),
    call(
        "channel.close",
        reply_code=pick([0, 200]),
        reply_text=st.just("done"),
        class_id=st.just(0),
        method_id=st.just(0),
    ),
)
ends = either(
    call("channel.open"),
    call("channel.flow", active=flag),
    call(
        "connection.close",
        reply_code=pick([0, 200]),
        reply_text=st.just("bye"),
        class_id=st.just(0),
        method_id=st.just(0),
    ),
    st.fixed_dictionaries({"on": on, "do": st.just("drop")}),
    st.fixed_dictionaries(
        {
            "on": on,
            "do": st.just("raw"),
            "channel": st.just(7),
            "method": pick(["queue.declare", "basic.get", "basic.consume"]),
            "with": st.just({"queue": "q0"}),
        }
    ),
)
wait = st.just({"do": "wait"})

beginnings = st.tuples(
    some_queue("q0"),
    some_queue("q1"),
    either(some_exchange, some_queue("q2")),
    some_binding,
    either(confirm, qos, to_a_queue),
    either(some_consumer, to_a_queue),
    either(some_consumer, to_a_queue),
).map(list)
steps = either(
    *[declare_queue, declare_exchange, bind, bind, qos, confirm] * 2,
    *[consume, get, rest] * 4,
    *[publish, publish, to_a_queue, several_to_a_queue, settle, settle] * 3,
    ends,
    wait,
)
programs = st.tuples(beginnings, st.lists(steps, min_size=8, max_size=20)).map(lambda parts: [*parts[0], *parts[1]])
"""Programs of 15 to 27 steps: something to work on first, then anything."""
