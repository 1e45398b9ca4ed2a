"""What a journal holds: messages, and the events that befall them. These types are the trace format.

A message is one HTTP request, one HTTP response, one AMQP publish or one AMQP delivery. An event says that a message
was sent, received or lost, or that something was noted. A message stands in full in the first event that knows it,
and is named by its id afterwards. On disk each event is one line of JSON, its keys in camelCase, its `event` and the
message's `kind` telling which type it is; times are whole nanoseconds from the run's start.
"""

from typing import Any, Literal

import msgspec

Participant = Literal["user", "upload", "phraseanet", "broker", "auth"]
PARTICIPANTS: tuple[Participant, ...] = ("user", "upload", "phraseanet", "broker", "auth")
"""The lifelines of the documented diagrams, in the order in which they are drawn."""

TRACE_VERSION = 1
"""The version of the trace format, which the first line of a trace bears."""


class _Value(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel", kw_only=True):
    """What all of them are: immutable, compared by value, absent fields left out."""


class Body(_Value, frozen=True, kw_only=True):
    """The body of a message: at most one of `json`, `text` and `base64` holds it.

    None of them: it was empty, or longer than the journal keeps; then `sha256` is the digest of what `digest` says:
    `computed` from the body itself, or `stored`, of the file in it, as the storage of a participant has it.
    """

    length: int
    json: Any = msgspec.UNSET
    text: str | msgspec.UnsetType = msgspec.UNSET
    base64: str | msgspec.UnsetType = msgspec.UNSET
    sha256: str | None = None
    digest: Literal["computed", "stored"] | None = None


class _Message(_Value, tag_field="kind", frozen=True, kw_only=True):
    id: str
    sender: Participant
    receiver: Participant
    operation_id: str | None = None
    """The operation of openapi/ that the message belongs to; None where the specifications know none."""
    cause: str | None = None
    """The id of the message that the sender was working on when it sent this one, where that is known."""


class Request(_Message, tag="request", frozen=True, kw_only=True):
    """An HTTP request; `target` is its path and query, `headers` have lower-case names, in the order sent."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: Body


class Response(_Message, tag="response", frozen=True, kw_only=True):
    """An HTTP response to the request whose id is `reply_to`."""

    reply_to: str
    status: int
    headers: tuple[tuple[str, str], ...]
    body: Body


class Publish(_Message, tag="publish", frozen=True, kw_only=True):
    """A message that a client of the broker published; `properties` are AMQP's, absent ones left out."""

    exchange: str
    routing_key: str
    properties: dict[str, Any]
    body: Body


class Delivery(_Message, tag="delivery", frozen=True, kw_only=True):
    """A message that the broker delivered from `queue`; `publish` is the id of the publish it stems from, if known."""

    publish: str | None = None
    queue: str
    exchange: str
    routing_key: str
    redelivered: bool
    properties: dict[str, Any]
    body: Body


Message = Request | Response | Publish | Delivery


class _Event(_Value, tag_field="event", frozen=True, kw_only=True):
    at: int


class Sent(_Event, tag="sent", frozen=True, kw_only=True):
    """The sender has handed the whole message to the wire."""

    message: Message


class Received(_Event, tag="received", frozen=True, kw_only=True):
    """The receiver has the whole message; it stands here in full where the sender is not observed."""

    message: str | Message


class Lost(_Event, tag="lost", frozen=True, kw_only=True):
    """The message did not arrive, or not whole, and why; it stands here in full where no event knew it before."""

    message: str | Message
    reason: str


class Noted(_Event, tag="noted", frozen=True, kw_only=True):
    """Something that is no message: what a participant decided, a fault that struck, what a broker did inside."""

    by: Participant
    note: str
    details: dict[str, Any] = {}


Event = Sent | Received | Lost | Noted


class File(_Value, frozen=True, kw_only=True):
    """A file of the run: the name that the user gives it, its size in bytes, its digest."""

    name: str
    size: int
    sha256: str


class Header(_Value, frozen=True, kw_only=True, omit_defaults=False):
    """The first line of a trace: all that is needed to run it again, but for the bytes of the user's own files."""

    trace: int = TRACE_VERSION
    version: str
    """The version of phrasim that made the trace."""
    wire: Literal["in-process", "loopback"]
    external: tuple[Participant, ...] = ()
    """The participants that phrasim did not play, real ones that it reached by URL or was called by."""
    profile: str
    seed: int
    tokens: Literal["redacted", "shown"]
    scenario: str
    """The text of the scenario; empty where none was played."""
    given: bool = False
    """Whether the files are the user's own, in the place of the scenario's."""
    files: tuple[File, ...]
