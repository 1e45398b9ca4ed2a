"""How a connection, a channel and the content of a publish move on: three small state machines, as tables.

After AMQP 0-9-1 §2.2.4 and §2.3, as RabbitMQ's `rabbit_reader`, `rabbit_channel` and `rabbit_command_assembler` walk
it. What a table does not list is refused; what the refusal is, and what is sent, is `connection.py`'s business.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

ConnectionState: TypeAlias = Literal["new", "starting", "tuning", "opening", "running", "closing", "closed"]
"""`closing`: the broker has sent `connection.close` and waits for the answer. `closed`: no byte is read any more."""

ConnectionEvent: TypeAlias = Literal[
    "header", "start-ok", "refuse", "tune-ok", "open", "close", "close-ok", "fail", "lost"
]
"""Methods of the client, and `refuse`: its login is refused with a close; `fail`: the connection ends by an error.

`lost`: the client cannot be understood or reached any more, or has taken too long.
"""

ChannelState: TypeAlias = Literal["unopened", "open", "closing"]
"""`closing`: the broker has sent `channel.close`; until the answer, what the client sends on the channel is dropped."""

ChannelEvent: TypeAlias = Literal["open", "close", "close-ok", "fail", "method"]
"""Methods of the client, and `fail`: the channel ends by an error; `method`: any other method."""

ContentState: TypeAlias = Literal["method", "header", "body"]
"""What the channel waits for next."""

ContentEvent: TypeAlias = Literal["method", "publish", "empty", "header", "part", "last", "close"]
"""A method without content, one with; a header of an empty body, of another one; a part of it, the last part.

`close` is `channel.close`, which may interrupt a content.
"""

# A client that has not said who it is, or that cannot agree on the limits, learns nothing: the socket is closed.
CONNECTION: Mapping[ConnectionState, Mapping[ConnectionEvent, ConnectionState]] = {
    "new": {"header": "starting", "fail": "closed", "lost": "closed"},
    "starting": {"start-ok": "tuning", "refuse": "closing", "fail": "closed", "lost": "closed"},
    "tuning": {"tune-ok": "opening", "fail": "closed", "lost": "closed"},
    "opening": {"open": "running", "fail": "closing", "lost": "closed"},
    "running": {"close": "closed", "fail": "closing", "lost": "closed"},
    "closing": {"close": "closing", "close-ok": "closed", "fail": "closing", "lost": "closed"},
    "closed": {},
}

CHANNEL: Mapping[ChannelState, Mapping[ChannelEvent, ChannelState]] = {
    "unopened": {"open": "open"},
    "open": {"method": "open", "close": "unopened", "fail": "closing"},
    "closing": {"method": "closing", "open": "closing", "close": "closing", "close-ok": "unopened"},
}

CONTENT: Mapping[ContentState, Mapping[ContentEvent, ContentState]] = {
    "method": {"method": "method", "close": "method", "publish": "header"},
    "header": {"empty": "method", "header": "body", "close": "method"},
    "body": {"part": "body", "last": "method", "close": "method"},
}
