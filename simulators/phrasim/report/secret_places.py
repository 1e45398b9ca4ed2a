"""Where secrets stand in what was on the wire, by their places.

Credentials in a header, a field that openapi/ marks `x-secret`, the query of a URL that bears its own permission. What
is told is a part of the text as it stands, so that all around it can be shown as it was.
"""

import re
from base64 import b64decode
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from urllib.parse import unquote_plus

import msgspec

from phrasim.contract.finding import Headers, HttpExchange
from phrasim.journal.redaction import REDACTED, fingerprint, mentions, redacted_field
from phrasim.report.form_parts import FormPart, form_parts

_CREDENTIALS = frozenset({"authorization", "proxy-authorization"})
_SCHEMES = frozenset({"assettoken", "basic", "bearer", "oauth"})
"""The words that credentials begin with; one of them alone, without a token, is no secret."""

_COOKIES = frozenset({"cookie", "set-cookie"})
_FORM = "application/x-www-form-urlencoded"
_JSON_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_LIKE_A_FORM = re.compile(r"[\w.%+\[\]-]+=[\w.%+*-]*(&[\w.%+\[\]-]+=[\w.%+*-]*)*", re.ASCII)
_USER = re.compile(r"(?<=://)[^/?#]*@")


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret in a text: from `start` up to `end`, `value` once decoded, and `stand_in`, which may be shown."""

    start: int
    end: int
    value: str
    stand_in: str


def secrets_of(exchange: HttpExchange, names: AbstractSet[str]) -> Iterator[tuple[Secret, str]]:
    """The secrets of an exchange by their places, each with its text as it stands there."""
    url = exchange.url
    user = _USER.search(url)
    if user is not None:
        password = user[0].removesuffix("@").partition(":")[2]
        yield Secret(0, 0, unquote_plus(password), REDACTED), password
    yield from ((secret, url[secret.start : secret.end]) for secret in in_url(url, names))
    for headers, body in (
        (exchange.request_headers, exchange.request_body),
        (exchange.response_headers, exchange.response_body),
    ):
        for name, value in headers:
            for secret in in_header(name, value, names):
                yield secret, value[secret.start : secret.end]
            if name in _CREDENTIALS:
                yield from ((one, one.value) for one in _in_basic(value))
        try:
            text = body.decode()
        except UnicodeDecodeError:
            text = body.decode("latin-1")  # a character for each byte, so that the parts of a form are found
        for secret in in_body(text, first(headers, "content-type"), names) or ():
            yield secret, text[secret.start : secret.end]


def without_user(url: str) -> str:
    """A URL without the `user:password@` in it."""
    return _USER.sub("", url, count=1)


def first(headers: Headers, name: str) -> str:
    """The value of the first header of that name; empty if there is none."""
    return next((value.strip() for known, value in headers if known == name), "")


def in_url(url: str, names: AbstractSet[str]) -> list[Secret]:
    """The secret parameters of a URL's query; `names` are those of all secret fields here and below."""
    address, mark, query = url.partition("?")
    return [_moved(secret, len(address) + 1) for secret in _in_form(query, names)] if mark else []


def in_header(name: str, value: str, names: AbstractSet[str]) -> list[Secret]:
    """The secrets in the value of a header, whose name is in lower case; the scheme of credentials is none."""
    if name in _CREDENTIALS:
        scheme, space, _ = value.partition(" ")
        start = len(scheme) + len(space) if space or scheme.lower() in _SCHEMES else 0
        token = value[start:]
        return [Secret(start, len(value), token, fingerprint(token))] if token else []
    if name in _COOKIES or name in names:
        return [Secret(0, len(value), value, fingerprint(value))] if value else []
    return in_url(value, names)


def _in_basic(value: str) -> list[Secret]:
    """The password in credentials of the scheme Basic (RFC 7617)."""
    scheme, _, token = value.partition(" ")
    if scheme.lower() != "basic":
        return []
    try:
        password = b64decode(token, validate=True).decode().partition(":")[2]
    except ValueError:
        return []
    return [Secret(0, 0, password, REDACTED)]


def in_body(text: str, content_type: str, names: AbstractSet[str]) -> list[Secret] | None:
    """The secrets of a body that is a text; None where it may hold one that nobody can place."""
    essence = content_type.partition(";")[0].strip().lower()
    parts = form_parts(text, content_type)
    if parts is not None:
        return _in_parts(parts, names)
    # What says that it is a form may be JSON: an error of the client that the request is there to try.
    if essence == _FORM and _is_form(text, names):
        return _in_form(text, names)
    return _in_text(text, names)


def _in_parts(parts: Iterable[FormPart], names: AbstractSet[str]) -> list[Secret] | None:
    found: list[Secret] = []
    for part in parts:
        inside = in_part(part, names)
        if inside is None:
            return None
        found += [_moved(secret, part.start) for secret in inside]
    return found


def in_part(part: FormPart, names: AbstractSet[str]) -> list[Secret] | None:
    """The secrets in the content of a part, all of which is one where the part is a secret field."""
    name = _secret_name(part.name, names)
    if name is None:
        return _in_text(part.content, names)
    return [Secret(0, len(part.content), part.content, _stand_in(name, part.content))] if part.content else []


def _in_text(text: str, names: AbstractSet[str]) -> list[Secret] | None:
    """The secrets of JSON or of a form, under whatever name; None for another text in which a secret field is named."""
    try:
        return _in_json(text, names)
    except (ValueError, RecursionError):
        if not mentions(text.encode(), names):
            return []
    return _in_form(text, names) if _LIKE_A_FORM.fullmatch(text) and _is_form(text, names) else None


def _is_form(text: str, names: AbstractSet[str]) -> bool:
    """Whether secrets stand nowhere in a form but in fields of their own.

    A value may be the name of a field, as `grant_type=password` has it, but not name one in passing.
    """
    for pair in text.split("&"):
        name, _, value = pair.partition("=")
        if not _secret_name(name, names):
            said = {unquote_plus(name), unquote_plus(value)} - names
            if any(mentions(one.encode(), names) for one in said):
                return False
    return True


def _secret_name(name: str, names: AbstractSet[str]) -> str | None:
    """The secret field that a pair of a form or query is, which may be in another: `user[password]`."""
    inner = (part for part in re.split(r"[\[\]]+", unquote_plus(name)) if part in names)
    return next(inner, None)


def _in_form(text: str, names: AbstractSet[str]) -> list[Secret]:
    found = []
    for match in re.finditer("[^&#]+", text):
        name, _, written = match[0].partition("=")
        secret_name = _secret_name(name, names)
        if secret_name is not None and written:
            value = unquote_plus(written)
            found.append(Secret(match.end() - len(written), match.end(), value, _stand_in(secret_name, value)))
    return found


@dataclass(slots=True)
class _Open:
    """An object or array that is not closed yet; `secret` is the secret field that it is in, if it is in one."""

    is_object: bool
    secret: str | None
    key: str = ""


def _in_json(text: str, names: AbstractSet[str]) -> list[Secret]:
    """The secrets of a JSON text; in a secret field that is no text, all texts and numbers are. Raises ValueError."""
    msgspec.json.decode(text)
    found: list[Secret] = []
    opened = [_Open(is_object=False, secret=None)]
    before = ""
    for match in _JSON_TOKEN.finditer(text):
        token = match[0]
        holder = opened[-1]
        secret = holder.secret or (holder.key if holder.is_object and holder.key in names else None)
        if token in ("{", "["):
            opened.append(_Open(token == "{", secret))
        elif token in ("}", "]"):
            opened.pop()
        elif holder.is_object and before in ("{", ","):
            holder.key = msgspec.json.decode(token)
        elif token[0] == '"':
            is_url = holder.is_object and f"{holder.key}?" in names
            found += _in_json_text(token, secret, match.start(), is_url=is_url)
        elif secret is not None and token not in (",", ":", "true", "false", "null"):
            found.append(Secret(match.start(), match.end(), token, f'"{REDACTED}"'))
        before = token
    return found


def _in_json_text(token: str, secret: str | None, at: int, *, is_url: bool) -> list[Secret]:
    """The secret that a JSON text is, or the query of one that is a URL."""
    value: str = msgspec.json.decode(token)
    start, end = at + 1, at + len(token) - 1
    if secret is not None:
        return [Secret(start, end, value, _stand_in(secret, value))] if value else []
    query = value.partition("?")[2]
    if not (is_url and query):
        return []
    # An escaped question mark is found in the value only; then nothing of the URL is shown.
    start += token.find("?") if "?" in token else 0
    return [Secret(start, end, query, fingerprint(query))]


def _stand_in(name: str, value: str) -> str:
    shown = redacted_field(name, value)
    assert shown is not None, "only a field that holds nothing has nothing in its place"
    return shown


def _moved(secret: Secret, by: int) -> Secret:
    return replace(secret, start=secret.start + by, end=secret.end + by)
