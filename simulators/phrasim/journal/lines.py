"""A trace on disk: JSON Lines, the header first, then one event a line.

Writing goes to a temporary file beside the target, which takes its name when all is written: an interrupted run
leaves no half trace.
"""

import contextlib
import os
from base64 import b64decode
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from phrasim.documents.contract import CONTRACTS
from phrasim.journal.events import TRACE_VERSION, Body, Event, Header, Message, Noted, Request, Sent
from phrasim.journal.redaction import mentions, redacted_form, redacted_headers, redacted_json, redacted_url, urls_in
from phrasim.journal.target import target_of

_FORM = "application/x-www-form-urlencoded"
_header_decoder = msgspec.json.Decoder(Header)
_event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder(order=None)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises: for what is no JSON or no event, for bytes that are not UTF-8, for too many brackets."""


class TraceError(ValueError):
    """A file that is no trace, or not one that can be read; the message says where and why."""


class TraceCut(TraceError):
    """A trace whose last line is not whole; `header` and `events` are what stands before it."""

    def __init__(self, problem: str, header: Header, events: list[Event]) -> None:
        super().__init__(problem)
        self.header = header
        self.events = events


class LineWriter:
    """Turns a header and events into lines of bytes, with secrets redacted unless the header says `shown`."""

    def __init__(self, header: Header, secret_fields: AbstractSet[str]) -> None:
        self._header = header
        self._secret_fields = secret_fields
        self._given_out: set[str] = set()
        """The targets of URLs that bear their own permission, as far as answers have given them out."""

    def header(self) -> bytes:
        """The first line of the trace; where nobody was external it does not say so."""
        line = msgspec.to_builtins(self._header)
        if not self._header.external:
            del line["external"]
        return _encoder.encode(line) + b"\n"

    def line(self, event: Event) -> bytes:
        """One event as a line."""
        return _encoder.encode(event if self._header.tokens == "shown" else self.redacted(event)) + b"\n"

    def redacted(self, event: Event) -> Event:
        """`event` without its secrets."""
        if isinstance(event, Noted):
            return msgspec.structs.replace(event, details=redacted_json(event.details, self._secret_fields))
        if isinstance(event.message, str):
            return event
        return msgspec.structs.replace(event, message=self._redacted_message(event.message))

    def _redacted_message(self, message: Message) -> Message:
        headers = getattr(message, "headers", None)
        form = any(name == "content-type" and value.startswith(_FORM) for name, value in headers or ())
        changes: dict[str, Any] = {"body": self._redacted_body(message.body, form=form)}
        if headers is not None:
            changes["headers"] = redacted_headers(headers)
        if isinstance(message, Request) and "?" in message.target:
            path, _, query = message.target.partition("?")
            changes["target"] = f"{path}?{redacted_form(query, self._secret_fields)}"
            if message.target in self._given_out:
                changes["target"] = redacted_url(message.target)
        return msgspec.structs.replace(message, **changes)

    def _redacted_body(self, body: Body, *, form: bool) -> Body:
        if body.json is not msgspec.UNSET:
            self._given_out.update(target_of(url) for url in urls_in(body.json, self._secret_fields))
            return msgspec.structs.replace(body, json=redacted_json(body.json, self._secret_fields))
        if form and isinstance(body.text, str):
            return msgspec.structs.replace(body, text=redacted_form(body.text, self._secret_fields))
        if isinstance(body.base64, str):
            content = b64decode(body.base64)
        else:
            content = body.text.encode() if isinstance(body.text, str) else b""
        if mentions(content, self._secret_fields):
            # Where a secret begins and ends in it nobody can tell: malformed JSON, JSON under another name.
            return Body(length=body.length, sha256=sha256(content).hexdigest(), digest="computed")
        return body


def trace_bytes(header: Header, events: Iterable[Event], secret_fields: AbstractSet[str]) -> bytes:
    """A whole trace."""
    writer = LineWriter(header, secret_fields)
    return writer.header() + b"".join(writer.line(event) for event in events)


def write_trace(path: Path, content: bytes) -> None:
    """Put `content` at `path`, whole or not at all; a link stays, and the file that it leads to is replaced.

    What is there and can be no file's place is written to as it is: a device, a FIFO, or the file that standard output
    goes to, to whose end the trace is added. Raises OSError where the folder cannot be written to.
    """
    target = Path(os.path.realpath(path))
    if target.is_symlink() or (path.exists() and not path.is_file()):  # a link is left only of a circle of links
        path.write_bytes(content)
        return
    if is_standard_output(path):
        with path.open("ab") as file:
            file.write(content)
        return
    partial = target.with_name(f".{target.name}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, target)  # noqa: PTH105 - the path of a file that is in place the moment it has its name
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def is_standard_output(path: Path) -> bool:
    """Whether `path` is the very file that the process prints to, as `/dev/stdout` is under a redirection."""
    try:
        return os.path.samestat(path.stat(), os.fstat(1))
    except OSError:
        return False


def read_trace(path: Path, *, ordered: bool = True) -> tuple[Header, list[Event]]:
    """The header and the events of a trace file; `TraceError` names the line that cannot be read.

    Nor can one, where `ordered` is asked for, whose time goes back, or that sends a message twice under one id. It is a
    `TraceCut` where all is well but for the end of the last line.
    """
    events: list[Event] = []
    try:
        with path.open("rb") as file:
            header = _read_header(path, file)
            cut = _read_events(path, file, events)
    except OSError as error:
        raise TraceError(f"reading the trace {str(path)!r}: {error.strerror}") from error
    if ordered:
        _hold_to_order(path, events)
    if cut:
        problem = f"{path}:{len(events) + 2}: this line has no end, as where the writing of a trace was broken off"
        raise TraceCut(problem, header, events)
    return header, events


def _read_header(path: Path, file: BinaryIO) -> Header:
    line = file.readline()
    if not line.strip():
        found = "this line is blank" if line else "the file is empty"
        raise TraceError(f"{path}:1: {found}; the first line of a trace is its header")
    try:
        header = msgspec.json.decode(line)
        version = header.get("trace") if isinstance(header, dict) else None
        if version != TRACE_VERSION:
            raise TraceError(
                f"{path}:1: the trace format is {version!r}; this phrasim reads {TRACE_VERSION}"
                if version is not None
                else f"{path}:1: the first line is no header of a trace (it has no field 'trace')"
            )
        read = _header_decoder.decode(line)
    except _UNREADABLE as error:
        raise TraceError(f"{path}:1: the first line is no header of a trace: {error}") from error
    if read.profile not in CONTRACTS:
        known = " and ".join(map(repr, CONTRACTS))
        raise TraceError(f"{path}:1: the profile is {read.profile!r}; this phrasim knows {known}")
    return read


def _read_events(path: Path, lines: Iterable[bytes], events: list[Event]) -> bool:
    """Add to the events; whether the last line is cut."""
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            raise TraceError(f"{path}:{number}: this line is blank; every line of a trace after the first is an event")
        try:
            events.append(_event_decoder.decode(line))
        except _UNREADABLE as error:
            whole = line.endswith(b"\n") or isinstance(error, msgspec.ValidationError | RecursionError)
            if not whole:
                return True
            raise TraceError(f"{path}:{number}: this line is no event of a trace: {error}") from error
    return False


def _hold_to_order(path: Path, events: Iterable[Event]) -> None:
    sent: dict[str, int] = {}
    at = 0
    for number, event in enumerate(events, start=2):
        if event.at < at:
            raise TraceError(f"{path}:{number}: this event is at {event.at} ns, and the one before it at {at} ns")
        at = event.at
        if isinstance(event, Sent):
            earlier = sent.setdefault(event.message.id, number)
            if earlier != number:
                said = f"the message {event.message.id!r} was sent already, on line {earlier}"
                raise TraceError(f"{path}:{number}: {said}")
