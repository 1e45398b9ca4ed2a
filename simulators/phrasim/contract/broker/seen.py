"""What is written down of what a broker sends: methods, closes, messages, counts of queues."""

import hashlib
import re
from typing import Any

from phrasim.contract.broker.wire import Received

UNKNOWN_TAG = re.compile(r"unknown delivery tag (\d+)")
CLOSING = frozenset({"channel.close", "connection.close"})
BODY_SHOWN_MAX = 300
"""Of a longer body its length and digest are written down, so that what is recorded can be read."""

NOT_IMITATED = ("consumer_priorities", "direct_reply_to")
"""Capabilities of RabbitMQ that the embedded broker does not have, and does not claim to have."""


def count_of(received: Received) -> Any:
    """What a passive declaration tells of a queue: ready messages and consumers, "gone", or why it is not told."""
    if received.name == "queue.declare-ok":
        return [received.fields["message_count"], received.fields["consumer_count"]]
    if received.name not in CLOSING:
        return received.name
    code = received.fields["reply_code"]
    return "gone" if code == 404 else {"reply_code": code, "reply_text": received.fields["reply_text"]}


def method_index(received: Received) -> int:
    """The class and method that a close names, as `wire.NAMES` lists them."""
    index: int = received.fields["class_id"] << 16 | received.fields["method_id"]
    return index


def closing(received: Received, tags: list[int]) -> dict[str, Any]:
    """The fields of a close; a delivery tag in its text is the program's own where `tags` has it."""

    def own(found: re.Match[str]) -> str:
        real = int(found[1])
        return f"unknown delivery tag {tags.index(real) + 1 if real in tags else real}"

    return {**received.fields, "reply_text": UNKNOWN_TAG.sub(own, received.fields["reply_text"])}


def handshake_fields(received: Received) -> dict[str, Any]:
    """The fields of a method of the handshake, without what names the product."""
    fields = dict(received.fields)
    if received.name == "connection.start":
        capabilities = fields["server_properties"].get("capabilities", [None, {}])[1]
        told = capabilities if isinstance(capabilities, dict) else {}
        shared = {name: value for name, value in told.items() if name not in NOT_IMITATED}
        fields["server_properties"] = {"capabilities": shared}
        fields["mechanisms"] = sorted(fields["mechanisms"].split())
    return fields


def content(received: Received, user: str) -> Any:
    """Properties and body of a message, None for a method without one. The name of the account is `{user}`."""
    if received.body is None:
        return None
    properties = dict(received.properties or {})
    if properties.get("user_id") == user:
        properties["user_id"] = "{user}"
    if len(received.body) > BODY_SHOWN_MAX:
        digest = hashlib.sha256(received.body).hexdigest()
        return [properties, f"{len(received.body)} bytes, SHA-256 {digest[:16]}…"]
    return [properties, received.body.decode("latin-1")]
