"""A request as a curl command that sends it again: one line for a POSIX shell, with a variable for each secret.

It makes the same request, byte for byte, but for what curl itself makes of a connection: `Host`, `Content-Length` and
the like, and the boundary of a form with files.
"""

import re
import shlex
from base64 import b64decode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import msgspec

from phrasim.contract.finding import HttpExchange
from phrasim.journal.events import Body, Request
from phrasim.journal.redaction import REDACTED
from phrasim.report.concealment import Concealment, Marked, Part, told_length
from phrasim.report.form_parts import FormPart, form_parts
from phrasim.report.secret_places import first

WRITTEN_BYTES_MAX = 8192
"""Bytes of a body that are written into the command; a longer one is taken from a file, which a remark describes."""

SECRET_VARIABLE = "PHRASIM_TOKEN"
"""The shell variable in the place of the first secret; that of the second has `_2` at its end, and so on.

It is to hold the secret as the request has it: percent-encoded in a URL or form, escaped in JSON.
"""

_MADE_BY_CURL = frozenset(
    {
        "host",
        "content-length",
        "transfer-encoding",
        "user-agent",
        "accept-encoding",
        "connection",
        "traceparent",
    }
)
_WITH_BODY = ("POST", "PUT", "PATCH")
_GLOBS = frozenset("[]{}")
_SPECIAL_IN_QUOTES = frozenset('"\\$`!')
_ESCAPES = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t", 0x25: "%%", 0x5C: "\\\\"}
_ORIGIN = re.compile("[^:]*://[^/?]*")
_MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+(; charset=[\w-]+)?", re.ASCII)
_MAY_HOLD_A_SECRET = "not written here, since it may hold a secret"


class _Variables:
    """The shell variables of a command: secrets that are written alike share one, but for those that were redacted."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def name(self, written: str) -> str:
        number = len(self._names) + 1
        if written == REDACTED:
            written = f"{written}{number}"  # nobody knows whether it is the one that stood there before
        return self._names.setdefault(written, SECRET_VARIABLE if number == 1 else f"{SECRET_VARIABLE}_{number}")


@dataclass(frozen=True, slots=True)
class _Sent:
    """How a command sends a body: by its words, by what is piped to it; and remarks for who runs it."""

    words: tuple[str, ...] = ()
    piped: str = ""
    remarks: tuple[str, ...] = ()
    is_form: bool = False


def journal_curl(request: Request, base_url: str) -> str:
    """A command that sends a request of a journal again, to the service at `base_url`.

    A body that the journal did not keep is taken from a file, which a remark describes.
    """
    body = request.body
    exchange = HttpExchange(
        sender=request.sender,
        receiver=request.receiver,
        operation_id=request.operation_id,
        method=request.method,
        url=base_url + request.target,
        request_headers=request.headers,
        request_body=content_of(body),
        status=None,
        response_headers=(),
        response_body=b"",
        began_at=0.0,
        seconds=0.0,
    )
    return curl_command(exchange, unkept=body if body.sha256 is not None else None)


def content_of(body: Body) -> bytes:
    """The bytes of a body; none where the journal did not keep them. JSON is written anew, in the same order."""
    if body.json is not msgspec.UNSET:
        return msgspec.json.encode(body.json)
    if isinstance(body.base64, str):
        return b64decode(body.base64)
    return body.text.encode() if isinstance(body.text, str) else b""


def curl_command(exchange: HttpExchange, concealment: Concealment | None = None, *, unkept: Body | None = None) -> str:
    """A command that sends the request of `exchange` again, and shows the answer with its headers.

    `concealment` may know the secrets of other exchanges, too, that stand in this one; else it knows those of this one.
    `unkept` is what is known of a body that `exchange` lacks.
    """
    hide = concealment or Concealment((exchange,))
    variables = _Variables()
    headers = [(name, _header(name, hide.header(name, value), variables)) for name, value in exchange.request_headers]
    url = _url(hide.url(exchange.url), variables)
    sent = _body(exchange, hide, variables) if unkept is None else _unkept(unkept, exchange)
    said = [
        word
        for (name, value), (_, written) in zip(exchange.request_headers, headers, strict=True)
        if not _is_made_by_curl(name, value, sent)
        for word in ("-H", written)
    ]
    unsaid = {"accept"} if not sent.words or sent.is_form else {"accept", "content-type"}
    silenced = [word for name in sorted(unsaid - {name for name, _ in headers}) for word in ("-H", f"{name}:")]
    words = ["curl", "-sS", *_method(exchange.method, sent), *url, *said, *silenced, *sent.words]
    piped = f"{sent.piped} | " if sent.piped else ""
    remarks = f"  # {'; '.join(sent.remarks)}" if sent.remarks else ""
    return f"{piped}{' '.join(words)}{remarks}"


def _is_made_by_curl(name: str, value: str, sent: _Sent) -> bool:
    """Whether curl sends that header of its own accord."""
    return name in _MADE_BY_CURL or (name, value) == ("accept", "*/*") or (sent.is_form and name == "content-type")


def _method(method: str, sent: _Sent) -> tuple[str, ...]:
    if method == "HEAD" and not sent.words:
        return ("-I",)  # with -X HEAD curl would wait for a body
    return ("-i",) if method == "GET" and not sent.words else ("-i", "-X", shlex.quote(method))


def _url(url: Marked, variables: _Variables) -> list[str]:
    words = ["-g"] if _GLOBS.intersection(url.text) else []
    words.append(_word(list(url.parts()), variables))
    origin = _ORIGIN.match(url.text)
    at = origin.end() if origin else 0
    if "/." in url.text[at:].partition("?")[0]:
        # curl would follow `..` itself and ask for another path.
        words += ["--request-target", _word(list(url.parts(at)), variables)]
    return words


def _header(name: str, value: Marked, variables: _Variables) -> str:
    """A header as curl takes it; one without a value ends in a semicolon, since a colon would silence it."""
    return _word([f"{name}: ", *value.parts()] if value.text else [f"{name};"], variables)


def _body(exchange: HttpExchange, hide: Concealment, variables: _Variables) -> _Sent:
    content, headers = exchange.request_body, exchange.request_headers
    if not content:
        is_said = exchange.method in _WITH_BODY or any(name == "content-length" for name, _ in headers)
        return _Sent(("--data-raw", "''")) if is_said else _Sent()
    form = _form(exchange, hide, variables)
    if form is not None:
        return form
    shown = hide.body(content, headers)
    if shown is None or len(content) > WRITTEN_BYTES_MAX:
        why = f", {_MAY_HOLD_A_SECRET}" if shown is None else ""
        return _Sent(("--data-binary", "@body.bin"), remarks=(f"body.bin: {told_length(content)}{why}",))
    if isinstance(shown, bytes):
        return _Sent(("--data-binary", "@-"), _printf([shown.decode("latin-1")], variables, "latin-1"))
    parts = list(shown.parts())
    if shown.text.isprintable():
        return _Sent(("--data-raw", _word(parts, variables)))
    return _Sent(("--data-binary", "@-"), _printf(parts, variables))


def _unkept(body: Body, exchange: HttpExchange) -> _Sent:
    """A body that nobody kept comes from a file: the one of a form, where it is one, or all of it."""
    content_type = first(exchange.request_headers, "content-type")
    if content_type.startswith("multipart/form-data"):
        of_file = f"the file, SHA-256 {body.sha256}" if body.digest == "stored" else "the file"
        remark = f"file.bin: {of_file}; the form was of {body.length} bytes"
        return _Sent(("-F", "file=@file.bin"), remarks=(remark,), is_form=True)
    remark = f"body.bin: {body.length} bytes, SHA-256 {body.sha256}"
    return _Sent(("--data-binary", "@body.bin"), remarks=(remark,))


def _form(exchange: HttpExchange, hide: Concealment, variables: _Variables) -> _Sent | None:
    """How curl is told to make the same form with files; None if the body is none that curl would make."""
    content_type = next((value for name, value in exchange.request_headers if name == "content-type"), "")
    parts = form_parts(exchange.request_body.decode("latin-1"), content_type)
    if parts is None:
        return None
    words: list[str] = []
    piped: list[str] = []
    remarks: list[str] = []
    for number, part in enumerate(parts, start=1):
        content = part.content.encode("latin-1")
        named = _named(part)
        if named is None:
            return None
        text = _utf8(part.content)
        marked = hide.part(replace(named, content=part.content if text is None else text))
        if marked is None or len(content) > WRITTEN_BYTES_MAX:
            why = f", {_MAY_HOLD_A_SECRET}" if marked is None else ""
            words += _source(named, f"part-{number}.bin")
            remarks.append(f"part-{number}.bin: {told_length(content)}{why}")
        elif text is None or not text.isprintable() or _breaks_quotes(marked):
            words += _source(named, "-")
            piped.append(_printf(list(marked.parts()), variables, "latin-1" if text is None else "utf-8"))
        elif named.filename is None and named.media_type is None:
            words += ("--form-string", _word([f"{named.name}=", *marked.parts()], variables))
        else:
            quoted = [
                one.replace("\\", "\\\\").replace('"', '\\"') if isinstance(one, str) else one for one in marked.parts()
            ]
            words += ("-F", _word([f'{named.name}="', *quoted, f'"{_said_of(named)}'], variables))
    # Only one part can be read from what is piped.
    return _Sent(tuple(words), "".join(piped), tuple(remarks), is_form=True) if len(piped) < 2 else None


def _breaks_quotes(content: Marked) -> bool:
    """Whether a secret holds what would have to be escaped in quotes, which cannot be done to a variable."""
    return any('"' in part[1] or "\\" in part[1] for part in content.parts() if not isinstance(part, str))


def _named(part: FormPart) -> FormPart | None:
    """A part of a body in Latin-1 with its names as they are meant; None if curl would write its head otherwise."""
    name, filename = _utf8(part.name), None if part.filename is None else _utf8(part.filename)
    if not name or not name.isprintable() or "=" in name:
        return None
    if part.filename is not None and (not filename or not filename.isprintable() or part.media_type is None):
        return None
    if part.media_type is not None and not _MEDIA_TYPE.fullmatch(part.media_type):
        return None
    return replace(part, name=name, filename=filename)


def _source(part: FormPart, path: str) -> tuple[str, str]:
    """The words for a part whose content is read from a file; what has no file name is no file to the receiver."""
    mark = "<" if part.filename is None else "@"
    return "-F", shlex.quote(f"{part.name}={mark}{path}{_said_of(part)}")


def _said_of(part: FormPart) -> str:
    filename = "" if part.filename is None else f';filename="{part.filename}"'
    return filename + ("" if part.media_type is None else f";type={part.media_type}")


def _utf8(latin: str) -> str | None:
    """What stands in bytes, given as Latin-1, if they are UTF-8."""
    try:
        return latin.encode("latin-1").decode()
    except UnicodeDecodeError:
        return None


def _word(parts: Sequence[Part], variables: _Variables) -> str:
    """One word of a command line; a text that no terminal shows as it is, is printed by a command of its own."""
    literal = "".join(part for part in parts if isinstance(part, str))
    if not literal.isprintable():
        return f'"$({_printf(parts, variables)})"'
    named: list[str | tuple[str]] = []
    for part in parts:
        if isinstance(part, str) and named and isinstance(named[-1], str):
            named[-1] += part
        else:
            named.append(part if isinstance(part, str) else (variables.name(part[1]),))
    if len(named) == 1 and isinstance(named[0], str):
        return shlex.quote(literal)
    if _SPECIAL_IN_QUOTES.isdisjoint(literal):
        return f'"{"".join(_in_quotes(named))}"'
    return "".join(shlex.quote(part) if isinstance(part, str) else f'"${part[0]}"' for part in named)


def _in_quotes(named: Sequence[str | tuple[str]]) -> Iterable[str]:
    """Texts and variables as they stand in one pair of double quotes."""
    for part, after in zip(named, (*named[1:], ""), strict=True):
        if isinstance(part, str):
            yield part
        else:
            runs_on = isinstance(after, str) and re.match(r"\w", after, re.ASCII)
            yield f"${{{part[0]}}}" if runs_on else f"${part[0]}"


def _printf(parts: Sequence[Part], variables: _Variables, encoding: str = "utf-8") -> str:
    """The command that prints these bytes, whichever they are, by the escapes that POSIX has for `printf`."""
    form = "".join(_escaped(part.encode(encoding, "replace")) if isinstance(part, str) else "%s" for part in parts)
    if form.startswith("-"):
        form = f"\\055{form[1:]}"  # else it would be an option
    given = (f' "${variables.name(part[1])}"' for part in parts if not isinstance(part, str))
    return f"printf {shlex.quote(form)}{''.join(given)}"


def _escaped(content: bytes) -> str:
    return "".join(_ESCAPES.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}") for byte in content)
