"""Texts without the secrets of some exchanges: those in their places, and the same ones wherever else they stand.

So a server that repeats a token in an error message does not bring it into a report.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from html import escape
from urllib.parse import quote, quote_plus

from phrasim.contract.finding import Headers, HttpExchange, Verification
from phrasim.documents import secret_fields
from phrasim.journal.redaction import REDACTED, mentions
from phrasim.report.form_parts import FormPart
from phrasim.report.secret_places import Secret, first, in_body, in_header, in_part, in_url, secrets_of, without_user

SECRET_CHARACTERS_MIN = 8
"""Characters of a secret that is hidden wherever it stands; a shorter one, which may be a word, in its own places."""

BEGINNING_CHARACTERS_MIN = 12
"""Characters of the beginning of a secret that are hidden, too, where a text was cut in the middle of it."""

_QUOTES = "'\""
_ELLIPSES = ("…", "...")
_GIVEN_CREDENTIAL = re.compile(
    r"""(?<=--credential[ =])(?:'[^']*(?:'|$)|"(?:\\.|[^"\\])*(?:"|$)|\\.|[^\s'"\\])+""", re.DOTALL
)
"""`NAME=VALUE` after its option: one word of a command line, of which parts may be quoted."""


Part = str | tuple[Secret, str]
"""A part of a text: what is no secret, or a secret with its text as it stands there."""


@dataclass(frozen=True, slots=True)
class Marked:
    """A text and the secrets in it, in their order; they do not overlap."""

    text: str
    secrets: tuple[Secret, ...] = ()

    @property
    def concealed(self) -> str:
        """The text with what may be shown in the place of each secret."""
        return "".join(part if isinstance(part, str) else part[0].stand_in for part in self.parts())

    def parts(self, start: int = 0) -> Iterator[Part]:
        """The text from `start` on, where no secret is cut, in parts that are not empty."""
        at = start
        for secret in self.secrets:
            if secret.start > at:
                yield self.text[at : secret.start]
            if secret.start >= at:
                yield secret, self.text[secret.start : secret.end]
                at = secret.end
        if at < len(self.text):
            yield self.text[at:]


class Concealment:
    """Knows the secrets of some exchanges, and hides them in texts, in further exchanges' parts too."""

    def __init__(self, exchanges: Iterable[HttpExchange] = ()) -> None:
        self._names = secret_fields()
        self._known: dict[str, str] = {}
        for exchange in exchanges:
            for secret, written in secrets_of(exchange, self._names):
                self._learn(secret, written)
        self._beginning_alike: dict[str, list[str]] = {}
        for known in self._known:
            self._beginning_alike.setdefault(known[:SECRET_CHARACTERS_MIN], []).append(known)

    def text(self, text: str) -> str:
        """A text of any kind without the secrets that are known, nor values of `--credential`."""
        concealed = _GIVEN_CREDENTIAL.sub(_redacted_credential, text)
        return self._marked(concealed, ()).concealed

    def url(self, url: str) -> Marked:
        """A URL; who it is for, `user:password@`, is left out of it."""
        url = without_user(url)
        return self._marked(url, in_url(url, self._names))

    def header(self, name: str, value: str) -> Marked:
        """The value of a header, whose name is in lower case."""
        return self._marked(value, in_header(name, value, self._names))

    def body(self, content: bytes, headers: Headers) -> Marked | bytes | None:
        """A body: a text; bytes that are no text and hold no secret; None where it may hold one that nobody can place.

        Those are bodies that are compressed, JSON that is malformed, bytes in which a secret field is named.
        """
        if content and first(headers, "content-encoding").lower() not in ("", "identity"):
            return None
        try:
            text = content.decode()
        except UnicodeDecodeError:
            return None if self._suspicious(content) else content
        placed = in_body(text, first(headers, "content-type"), self._names)
        return None if placed is None else self._marked(text, placed)

    def part(self, part: FormPart) -> Marked | None:
        """The content of one part of a form, as `body` has it; None where it may hold a secret that nobody can place.

        A part that is no text is given as Latin-1, a character for each byte.
        """
        placed = in_part(part, self._names)
        return None if placed is None else self._marked(part.content, placed)

    def _suspicious(self, content: bytes) -> bool:
        """Whether bytes may hold a secret; the second look is for text that has two bytes for each character."""
        for looked_at in (content, content.replace(b"\0", b"")):
            if mentions(looked_at, self._names):
                return True
            if any(known.encode() in looked_at for known in self._known):
                return True
        return False

    def _learn(self, secret: Secret, written: str) -> None:
        """Know a secret in the ways in which others may write it."""
        value = secret.value
        for form in (
            value,
            written,
            quote(value, safe=""),
            quote_plus(value),
            escape(value),
            json.dumps(value)[1:-1],
            json.dumps(value, ensure_ascii=False)[1:-1],
            repr(value)[1:-1],
        ):
            if len(form) >= SECRET_CHARACTERS_MIN:
                self._known.setdefault(form, secret.stand_in.strip('"'))

    def _marked(self, text: str, placed: Sequence[Secret]) -> Marked:
        return Marked(text, tuple(_apart(text, [*placed, *self._known_in(text)])))

    def _known_in(self, text: str) -> Iterator[Secret]:
        for start in range(len(text) - SECRET_CHARACTERS_MIN + 1):
            for known in self._beginning_alike.get(text[start : start + SECRET_CHARACTERS_MIN], ()):
                end = start + _common(known, text[start : start + len(known)])
                if end - start == len(known) or (end - start >= BEGINNING_CHARACTERS_MIN and _is_cut(text, end)):
                    yield Secret(start, end, text[start:end], self._known[known])


@lru_cache(maxsize=1)
def concealment_of(verification: Verification) -> Concealment:
    """What hides the secrets of all exchanges of a verification, those of its findings included.

    All reports of one verification ask for it, and to look through every body takes a second.
    """
    return Concealment(every_exchange(verification))


def every_exchange(verification: Verification) -> list[HttpExchange]:
    """The exchanges of a verification and those of its findings, each once, in the order in which they began."""
    shown = (one.exchange for one in verification.findings if one.exchange is not None)
    every = dict.fromkeys((*verification.exchanges, *shown))
    return sorted(every, key=lambda exchange: exchange.began_at)


def told_length(content: bytes) -> str:
    """A body that is not shown, in words: how long it is, and its digest."""
    return f"{len(content)} bytes, SHA-256 {sha256(content).hexdigest()}"


def _redacted_credential(match: re.Match[str]) -> str:
    """A credential with its name only; what says that something is to be put there stays as it is."""
    name, _, value = match[0].partition("=")
    return match[0] if value in ("", "…") else f"{name.lstrip(_QUOTES)}={REDACTED}"


def _apart(text: str, secrets: Iterable[Secret]) -> Iterator[Secret]:
    """Secrets in their order, those joined that overlap."""
    waiting: Secret | None = None
    for secret in sorted(secrets, key=lambda one: (one.start, -one.end)):
        if waiting is None or secret.start >= waiting.end:
            if waiting is not None:
                yield waiting
            waiting = secret
        elif secret.end > waiting.end:
            waiting = replace(waiting, end=secret.end, value=text[waiting.start : secret.end])
    if waiting is not None:
        yield waiting


def _common(one: str, other: str) -> int:
    """How many characters both begin with."""
    return next((at for at, (left, right) in enumerate(zip(one, other, strict=False)) if left != right), len(other))


def _is_cut(text: str, end: int) -> bool:
    """Whether a text was cut there: it ends, its line does, or it goes on with an ellipsis."""
    return end == len(text) or text[end] == "\n" or text.startswith(_ELLIPSES, end)
