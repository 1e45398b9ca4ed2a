"""A trace on disk: JSON Lines, the header first, then one event a line.

Writing goes to a temporary file beside the target, which takes its name when all is written: an interrupted run
leaves no half trace.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from phrasim.journal.events import TRACE_VERSION, Body, Event, Header, Lost, Message, Noted, Received, Request, Sent
from phrasim.journal.redaction import redacted_form, redacted_headers, redacted_json

_header_decoder = msgspec.json.Decoder(Header)
_event_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_encoder = msgspec.json.Encoder(order=None)
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises: for what is no JSON or no event, for bytes that are not UTF-8, for too many brackets."""


class TraceError(ValueError):
    """A file that is no trace, or not one that can be read; the message says where and why."""


class LineWriter:
    """Turns a header and events into lines of bytes, with secrets redacted unless the header says `shown`."""

    def __init__(self, header: Header, secret_fields: AbstractSet[str]) -> None:
        self._header = header
        self._secret_fields = secret_fields

    def header(self) -> bytes:
        """The first line of the trace."""
        return _encoder.encode(self._header) + b"\n"

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
        changes: dict[str, Any] = {"body": self._redacted_body(message.body)}
        headers = getattr(message, "headers", None)
        if headers is not None:
            changes["headers"] = redacted_headers(headers)
        if isinstance(message, Request) and "?" in message.target:
            path, _, query = message.target.partition("?")
            changes["target"] = f"{path}?{redacted_form(query, self._secret_fields)}"
        return msgspec.structs.replace(message, **changes)

    def _redacted_body(self, body: Body) -> Body:
        if body.json is not msgspec.UNSET:
            return msgspec.structs.replace(body, json=redacted_json(body.json, self._secret_fields))
        if isinstance(body.text, str) and any(f"{field}=" in body.text for field in self._secret_fields):
            return msgspec.structs.replace(body, text=redacted_form(body.text, self._secret_fields))
        return body


def trace_bytes(header: Header, events: Iterable[Event], secret_fields: AbstractSet[str]) -> bytes:
    """A whole trace."""
    writer = LineWriter(header, secret_fields)
    return writer.header() + b"".join(writer.line(event) for event in events)


def write_trace(path: Path, content: bytes) -> None:
    """Put `content` at `path`, whole or not at all. Raises OSError where the folder cannot be written to."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)  # noqa: PTH105 - the path of a file that is in place the moment it has its name
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def read_trace(path: Path) -> tuple[Header, list[Event]]:
    """The header and the events of a trace file; `TraceError` names the line that cannot be read."""
    try:
        with path.open("rb") as file:
            header = _read_header(path, file)
            return header, list(_read_events(path, file))
    except OSError as error:
        raise TraceError(f"reading the trace {str(path)!r}: {error.strerror}") from error


def _read_header(path: Path, file: BinaryIO) -> Header:
    line = file.readline()
    try:
        header = msgspec.json.decode(line)
        version = header.get("trace") if isinstance(header, dict) else None
        if version != TRACE_VERSION:
            raise TraceError(
                f"{path}:1: the trace format is {version!r}; this phrasim reads {TRACE_VERSION}"
                if version is not None
                else f"{path}:1: the first line is no header of a trace (it has no field 'trace')"
            )
        return _header_decoder.decode(line)
    except _UNREADABLE as error:
        raise TraceError(f"{path}:1: the first line is no header of a trace: {error}") from error


def _read_events(path: Path, lines: Iterable[bytes]) -> Iterator[Event]:
    for number, line in enumerate(lines, start=2):
        try:
            yield _event_decoder.decode(line)
        except _UNREADABLE as error:
            raise TraceError(f"{path}:{number}: this line is no event of a trace: {error}") from error


def message_of(event: Sent | Received | Lost) -> str:
    """The id of the message that an event is about."""
    return event.message if isinstance(event.message, str) else event.message.id
