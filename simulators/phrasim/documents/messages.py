"""The AsyncAPI document as what the rooms ask of it: exchanges, queues, and what is wrong with a message's body."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from phrasim.documents.specification import Arrow, arrow
from phrasim.documents.store import Store
from phrasim.documents.violations import Schemas, Violation


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """One queue, the exchange and routing key that lead to it, and what its messages are.

    `queue_arguments` are those of the queue's declaration. `bodies` lead to the schemas that the body of a
    message may have, by file and pointer, in the order of the document; there is at least one.
    """

    name: str
    exchange: str
    exchange_type: str
    exchange_durable: bool
    routing_key: str
    queue: str
    queue_durable: bool
    queue_arguments: Mapping[str, str | int]
    content_type: str
    bodies: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class MessageOperation:
    """What Phraseanet does with a channel: it sends to it, or receives from it.

    `persistent` tells whether what it sends outlives the broker's restart (delivery mode 2).
    """

    operation_id: str
    action: Literal["send", "receive"]
    channel: str
    persistent: bool
    sequence: Arrow | None


class Messages:
    """The channels that the participants share through the broker, and the operations on them."""

    def __init__(self, store: Store, schemas: Schemas, file: str) -> None:
        self.file = file
        self.document = store.document(file)
        self._schemas = schemas
        self._store = store
        self.channels: dict[str, Channel] = {
            name: self._channel(name, written) for name, written in self.document["channels"].items()
        }
        self.operations: dict[str, MessageOperation] = {
            name: self._operation(name, written) for name, written in self.document["operations"].items()
        }
        self._by_routing_key = {(channel.exchange, channel.routing_key): channel for channel in self.channels.values()}

    def for_routing_key(self, exchange: str, routing_key: str) -> Channel | None:
        """The channel that a message published with these reaches, or None if the document has no such channel."""
        return self._by_routing_key.get((exchange, routing_key))

    def for_queue(self, queue: str) -> Channel | None:
        """The channel whose messages wait in that queue, or None."""
        return next((channel for channel in self.channels.values() if channel.queue == queue), None)

    def sequence(self, action: Literal["send", "receive"], channel: str) -> Arrow | None:
        """The arrow that sending to a channel, or receiving from it, is."""
        for operation in self.operations.values():
            if operation.action == action and operation.channel == channel and operation.sequence:
                return operation.sequence
        return None

    def message_violations(self, channel: str, value: Any, content_type: str | None = None) -> list[Violation]:
        """What is wrong with the body of a message on that channel, and with its content type if one is given.

        Where the channel carries several kinds of message, the body is held to the kind that it breaks the least, the
        first of them if there are more. `value` is the decoded JSON. Raises KeyError for a channel that the document
        has not.
        """
        declared = self.channels[channel]
        judged = (self._schemas.violations(file, pointer, value) for file, pointer in declared.bodies)
        violations = min(judged, key=len)
        if content_type is not None and content_type != declared.content_type:
            violations.insert(0, Violation("", f"the content type {content_type!r} is not {declared.content_type}"))
        return violations

    def _channel(self, name: str, written: Mapping[str, Any]) -> Channel:
        _, _, bindings = self._store.resolve(self.file, written["bindings"])
        binding = bindings["amqp"]
        kinds = [self._store.resolve(self.file, message) for message in written["messages"].values()]
        (content_type,) = {message["contentType"] for _, _, message in kinds}
        return Channel(
            name=name,
            exchange=binding["exchange"]["name"],
            exchange_type=binding["exchange"]["type"],
            exchange_durable=binding["exchange"]["durable"],
            routing_key=written["address"],
            queue=binding["x-queue"]["name"],
            queue_durable=binding["x-queue"]["durable"],
            queue_arguments=binding["x-queue"]["arguments"],
            content_type=content_type,
            bodies=tuple(dict.fromkeys(self._body(file, message["payload"]) for file, _, message in kinds)),
        )

    def _body(self, file: str, payload: Mapping[str, Any]) -> tuple[str, str]:
        """File and pointer of the schema that a message's payload, which stands in `file`, leads to."""
        found_in, pointer, _ = self._store.resolve(file, payload)
        return found_in, f"{pointer}/schema"

    def _operation(self, name: str, written: Mapping[str, Any]) -> MessageOperation:
        _, _, bindings = self._store.resolve(self.file, written["bindings"])
        channel = written["channel"]["$ref"].rpartition("/")[2]
        persistent = bindings["amqp"].get("deliveryMode") == 2
        return MessageOperation(name, written["action"], channel, persistent, arrow(written))
