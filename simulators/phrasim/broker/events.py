"""What the broker reports: deliveries and answers for clients, and a record of what became of messages.

A `queue` here is a queue's name. Delivery and Confirmed are made for every message: they are not frozen, because
making a frozen instance costs four times as much; nobody changes one after it is made.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from phrasim.broker.message import Message

if TYPE_CHECKING:
    from phrasim.broker.channel import Channel

DeathReason: TypeAlias = Literal["rejected", "expired", "maxlen"]
DropReason: TypeAlias = Literal[
    "unroutable", "expired", "maxlen", "rejected", "purged", "queue deleted", "dead-letter cycle"
]


@dataclass(slots=True)
class Delivery:
    """`basic.deliver`: a message for the consumer `consumer_tag` of `channel`."""

    channel: "Channel"
    consumer_tag: str
    delivery_tag: int
    redelivered: bool
    message: Message
    queue: str


@dataclass(slots=True)
class Confirmed:
    """`basic.ack` or, when `ack` is false, `basic.nack` to a publisher.

    `delivery_tag` counts the channel's publishes from 1, from `confirm.select` on.
    """

    channel: "Channel"
    delivery_tag: int
    ack: bool


@dataclass(frozen=True, slots=True)
class Returned:
    """`basic.return`: a mandatory message that no queue took; it comes before the message's confirm."""

    channel: "Channel"
    reply_code: int
    reply_text: str
    message: Message


@dataclass(frozen=True, slots=True)
class ConsumerCancelled:
    """`basic.cancel` from the broker: the consumer's queue is gone."""

    channel: "Channel"
    consumer_tag: str


@dataclass(frozen=True, slots=True)
class DeadLettered:
    """`message` left `queue` for `exchange` with `routing_key`, as the new message `letter`.

    What became of the letter, its copies in other queues or a Dropped of the letter tell.
    """

    message: Message
    queue: str
    reason: DeathReason
    exchange: str
    routing_key: str
    letter: Message


@dataclass(frozen=True, slots=True)
class Dropped:
    """A message, or its copy in `queue`, is gone without having been acknowledged.

    `queue` is None for an unroutable message; one that was mandatory is a Returned instead.
    """

    message: Message
    queue: str | None
    reason: DropReason


Event: TypeAlias = Delivery | Confirmed | Returned | ConsumerCancelled | DeadLettered | Dropped
