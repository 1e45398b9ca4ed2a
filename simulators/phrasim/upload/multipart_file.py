"""The file in a `multipart/form-data` request, written to storage as its bytes arrive."""

from collections.abc import AsyncIterator

from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from phrasim.service.refusal import Refusal
from phrasim.upload.storage import IncomingFile

PART = "file"
"""The name of the part that holds the file (§2.2)."""

PARTS_MAX = 32
"""Parts that a request may have; only `file` is kept, and the text fields where they are asked for."""

FIELDS_BYTES_MAX = 64 * 1024
"""Bytes of all the text fields of a form that are kept; more of them are refused with 413."""


async def receive_file(
    content_type: str,
    body: AsyncIterator[bytes],
    incoming: IncomingFile,
    size_max: int | None,
    fields: dict[str, str] | None = None,
) -> str | None:
    """Write the part `file` of `body` to `incoming` and return its file name; None if the request has no such part.

    `fields` is filled with the text of the parts that are no files, by their names; of two the last counts.

    However the stream is cut, the result is the same. Raises `Refusal`: 400 for what is not multipart, breaks off or
    has the part twice, 413 above `size_max` bytes (None: no limit). What follows the last boundary is ignored
    (RFC 2046, §5.1.1); nothing may stand before the first, though that section allows it: no form does so.
    """
    form = _Form(content_type, incoming, size_max, fields)
    async for chunk in body:
        form.feed(chunk)
    return form.end()


def read_file(content_type: str, body: bytes, incoming: IncomingFile, size_max: int | None) -> str | None:
    """As `receive_file`, of a body that is at hand."""
    form = _Form(content_type, incoming, size_max, None)
    form.feed(body)
    return form.end()


class _Form:
    """Reads a form as its bytes come."""

    def __init__(
        self, content_type: str, incoming: IncomingFile, size_max: int | None, fields: dict[str, str] | None
    ) -> None:
        self._boundary = _boundary(content_type)
        self._opening = b"--" + self._boundary.encode()
        self._seen = b""
        # Not strict: strictly, the parser judges a preamble and an epilogue by how the stream is cut.
        self._parser = PushMultipartParser(self._boundary, max_segment_count=PARTS_MAX)
        self._writer = _PartWriter(incoming, size_max, fields)

    def feed(self, chunk: bytes) -> None:
        """The next part of the body."""
        self._seen += chunk[: len(self._opening) - len(self._seen)]
        if not self._opening.startswith(self._seen):
            raise Refusal(400, f"the body does not begin with its boundary, {self._boundary!r}")
        if not chunk:
            return
        try:
            for event in self._parser.parse(chunk):
                self._writer.take(event)
        except MultipartError as error:
            raise _not_well_formed(error) from error

    def end(self) -> str | None:
        """The body ends here; the name of the file, None without one."""
        try:
            self._parser.close()
        except MultipartError as error:
            raise _not_well_formed(error) from error
        return self._writer.file_name


def _not_well_formed(error: MultipartError) -> Refusal:
    return Refusal(400, f"the body is not well-formed multipart/form-data: {error}")


class _PartWriter:
    """Takes the parser's events and writes the bytes of the part that is wanted."""

    def __init__(self, incoming: IncomingFile, size_max: int | None, fields: dict[str, str] | None) -> None:
        self.file_name: str | None = None
        self._incoming = incoming
        self._size_max = size_max
        self._wanted = False
        self._fields = fields
        self._field: str | None = None
        self._text = bytearray()
        self._fields_bytes = 0

    def take(self, event: MultipartSegment | bytearray | bytes | None) -> None:
        if isinstance(event, MultipartSegment):
            if any("\n" in value for _, value in event.headerlist):
                # The parser takes a bare line feed for the end of a header or not, by how the stream is cut.
                raise Refusal(400, "a header of a part has a line feed in it")
            self._wanted = event.name == PART and event.filename is not None
            if self._wanted and self.file_name is not None:
                raise Refusal(400, f"the part {PART!r} is there more than once; one file is one request")
            if self._wanted:
                self.file_name = event.filename
            if self._fields is not None and event.filename is None:
                self._field = event.name or None
        elif self._field is not None:
            self._take_text(self._field, event)
        elif event is not None and self._wanted:
            self._incoming.write(event)
            if self._size_max is not None and self._incoming.size > self._size_max:
                raise Refusal(413, f"the file is larger than {self._size_max} bytes")

    def _take_text(self, name: str, part: bytearray | bytes | None) -> None:
        """The next part of a text field, or its end (None)."""
        if part is not None:
            self._text += part
            self._fields_bytes += len(part)
            if self._fields_bytes > FIELDS_BYTES_MAX:
                raise Refusal(413, f"the fields of the form are longer than {FIELDS_BYTES_MAX} bytes")
            return
        assert self._fields is not None, "only then is a field read"
        self._fields[name] = self._text.decode("utf-8", "replace")
        self._field, self._text = None, bytearray()


def _boundary(content_type: str) -> str:
    boundary: str | None = parse_options_header(content_type)[1].get("boundary")
    if not boundary:
        raise Refusal(400, "the Content-Type multipart/form-data has no boundary")
    return boundary
