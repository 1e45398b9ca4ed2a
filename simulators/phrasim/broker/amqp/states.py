"""How a connection, a channel and the content of a publish move on: three small state machines, as tables.

After AMQP 0-9-1 §2.2.4 and §2.3, as RabbitMQ's `rabbit_reader`, `rabbit_channel` and `rabbit_command_assembler` walk
it. What a table does not list is refused; what the refusal is, and what is sent, is `connection.py`'s business.
"""

from collections.abc import Mapping
from typing import Literal, TypeAlias

ConnectionState: TypeAlias = Literal["new", "starting", "tuning", "opening", "running", "closing", "silent", "closed"]
"""`closing`: the broker has sent `connection.close` and waits for the answer. `closed`: no byte is read any more.

`silent`: it is over, but whoever is not to be trusted has to wait for the end, and is neither read nor answered.
"""

ConnectionEvent: TypeAlias = Literal[
    "header", "start-ok", "refuse", "tune-ok", "open", "close", "close-ok", "fail", "garbled", "lost"
]
"""Methods of the client, and `refuse`: its login is refused with a close; `fail`: the connection ends by an error.

`garbled`: what comes are no frames. `lost`: the client cannot be reached any more, has taken too long, or sent what
RabbitMQ's reader dies of.
"""

ChannelState: TypeAlias = Literal["unopened", "open", "closing"]
"""`closing`: the broker has sent `channel.close`; until the answer, what the client sends on the channel is dropped."""

ChannelEvent: TypeAlias = Literal["open", "close", "close-ok", "fail", "method"]
"""Methods of the client, and `fail`: the channel ends by an error; `method`: any other method."""

ContentState: TypeAlias = Literal["method", "header", "body"]
"""What the channel waits for next."""

ContentEvent: TypeAlias = Literal["method", "publish", "empty", "header", "part", "last"]
"""A method without content, one with; a header of an empty body, of another one; a part of it, the last part.

A body that becomes longer than its header says has no last part: RabbitMQ waits for one for ever.
"""

# A client that has not said who it is, or that cannot agree on the limits, learns nothing.
CONNECTION: Mapping[ConnectionState, Mapping[ConnectionEvent, ConnectionState]] = {
    "new": {"header": "starting", "fail": "closed", "lost": "closed"},
    "starting": {"start-ok": "tuning", "refuse": "closing", "fail": "silent", "garbled": "silent", "lost": "closed"},
    "tuning": {"tune-ok": "opening", "fail": "silent", "garbled": "silent", "lost": "closed"},
    "opening": {"open": "running", "fail": "closing", "garbled": "silent", "lost": "closed"},
    "running": {"close": "closed", "fail": "closing", "garbled": "silent", "lost": "closed"},
    "closing": {"close": "closing", "close-ok": "closed", "fail": "closing", "garbled": "silent", "lost": "closed"},
    "silent": {"lost": "closed"},
    "closed": {},
}

# A channel that was never opened can fail by a soft error too: RabbitMQ looks first for the queue declared last.
CHANNEL: Mapping[ChannelState, Mapping[ChannelEvent, ChannelState]] = {
    "unopened": {"open": "open", "fail": "closing"},
    "open": {"method": "open", "close": "unopened", "fail": "closing"},
    "closing": {"method": "closing", "close": "closing", "close-ok": "unopened", "fail": "closing"},
}

CONTENT: Mapping[ContentState, Mapping[ContentEvent, ContentState]] = {
    "method": {"method": "method", "publish": "header"},
    "header": {"empty": "method", "header": "body"},
    "body": {"part": "body", "last": "method"},
}
