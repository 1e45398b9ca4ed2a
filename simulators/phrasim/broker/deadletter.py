"""Dead letters: the message that goes to the dead-letter exchange, its x-death record, and cycles.

After RabbitMQ's "Dead Letter Exchanges" page and `rabbit_dead_letter.erl` of 3.12. The entries stand newest first,
as that page has it; 3.12 and older turn recorded entries round whenever there are two or more, if asked for.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from datetime import datetime

from phrasim.broker.events import DeathReason
from phrasim.broker.message import FieldValue, Message, Table


def make_letter(
    message: Message,
    queue: str,
    reason: DeathReason,
    exchange: str,
    routing_key: str | None,
    time: datetime,
    seq: int,
    *,
    honours_client_x_death: bool,
    turns_x_death: bool,
) -> Message:
    """The message to publish to `exchange` when `message` died in `queue` at `time` (UTC, whole seconds).

    `routing_key` is the queue's x-dead-letter-routing-key; when None the message keeps all its keys. The x-death
    that the publisher sent is continued, or, with `honours_client_x_death` off, replaced by the broker's own. Such a
    broker keeps a record of its own (`mc.erl` of 3.13 and 4), and tells of the last death in three headers more.
    """
    properties = message.properties
    headers = dict(properties.headers or {})
    sent = headers.get("x-death")
    recorded = sent if honours_client_x_death else message.deaths
    if recorded is None or (not recorded and not honours_client_x_death):
        headers["x-first-death-exchange"] = message.exchange
        headers["x-first-death-queue"] = queue
        headers["x-first-death-reason"] = reason
    if not honours_client_x_death:
        headers["x-last-death-exchange"] = message.exchange
        headers["x-last-death-queue"] = queue
        headers["x-last-death-reason"] = reason
    carbon = headers.get("CC")
    routing_keys = [message.routing_key, *(carbon if isinstance(carbon, list | tuple) else ())]
    death: dict[str, FieldValue] = {
        "reason": reason,
        "queue": queue,
        "time": time,
        "exchange": message.exchange,
        "routing-keys": routing_keys,
    }
    if properties.expiration is not None:
        death["original-expiration"] = properties.expiration
    # Something else than an array under this name is thrown away, as RabbitMQ does since 3.6 (its issue 767).
    deaths = record_death(recorded if isinstance(recorded, list | tuple) else (), death, turned=turns_x_death)
    headers["x-death"] = deaths
    if routing_key is not None:
        headers.pop("CC", None)
    return Message(
        message.body,
        properties.with_headers(dict(sorted(headers.items())), expiration=None),
        exchange,
        message.routing_key if routing_key is None else routing_key,
        seq,
        carbon_keys=message.carbon_keys if routing_key is None else (),
        deaths=() if honours_client_x_death else tuple(deaths),
    )


def record_death(recorded: Sequence[FieldValue], death: Table, *, turned: bool = False) -> list[Table]:
    """The x-death entries after `death`, newest first: one for each queue and reason, with a `count`.

    An entry that is there already keeps its time and keys; only its count grows, and it moves to the front.
    A count takes 64 bits with a sign, and beyond the highest the lowest follows, as RabbitMQ writes it.
    Entries that are not tables cannot be the broker's and are left out (RabbitMQ's queue process dies of them). With
    `turned` the recorded entries come out in the opposite order, as RabbitMQ up to 3.12 has it.
    """
    entries = [entry for entry in recorded if isinstance(entry, Mapping)]
    keys = [_key(entry) for entry in entries]
    times: Counter[Hashable] | None = None
    found: dict[Hashable, Table] = {}
    for entry, key in zip(entries, keys, strict=True):
        if key in found:
            continue
        if len(entries) > 1 and "count" not in entry:
            # RabbitMQ brings entries together, and counts those that are not counted yet; one alone it leaves as it is.
            times = Counter(keys) if times is None else times
            entry = dict(sorted({**entry, "count": times[key]}.items()))
        found[key] = entry
    same = found.pop(_key(death), None)
    others = list(found.values())
    if turned:
        others.reverse()
    if same is None:
        return [{"count": 1, **death}, *others]
    count = same.get("count", 0)
    grown = {**same, "count": _as_long(count + 1) if isinstance(count, int) else 1}
    return [dict(sorted(grown.items())), *others]


def _key(entry: Table) -> Hashable:
    """What tells entries apart: queue and reason, which are strings unless a publisher wrote them."""
    queue, reason = entry.get("queue"), entry.get("reason")
    if type(queue) is str and type(reason) is str:
        return queue, reason
    return _hashable(queue), _hashable(reason)


def _hashable(value: FieldValue) -> Hashable:
    """Something that is equal for equal values and for no others: a publisher may have put anything there."""
    match value:
        case str() | bytes():
            return value
        case Mapping():
            return "table", frozenset((name, _hashable(item)) for name, item in value.items())
        case Sequence():
            return type(value).__name__, tuple(map(_hashable, value))
        case _:
            return value


def _as_long(number: int) -> int:
    """The number that AMQP's `l` makes of the last 64 bits of `number`."""
    return (number + 2**63) % 2**64 - 2**63


def is_cycle(queue: str, deaths: FieldValue) -> bool:
    """Whether a letter with these x-death entries must not enter `queue`, where it has been before.

    A way round is stopped only if it was "fully automatic": with a rejection in it, a client took part.
    """
    if not isinstance(deaths, list | tuple):
        return False
    for death in deaths:
        if not isinstance(death, Mapping) or death.get("reason") == "rejected":
            return False
        if death.get("queue") == queue:
            return True
    return False
