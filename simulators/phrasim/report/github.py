"""A verification as GitHub Actions show it: annotations at the lines of the contract, and the summary of a step.

Texts that a server chose stand where nothing is read as markup: in fenced blocks, or with every sign escaped.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Literal
from urllib.parse import unquote

from phrasim.contract.finding import Verification
from phrasim.documents import Location, documents_root, load_with_lines
from phrasim.documents.yaml_text import read_text
from phrasim.report.concealment import Concealment, concealment_of
from phrasim.report.curl import curl_command
from phrasim.report.findings import (
    Alike,
    again_command,
    alike,
    broken,
    counted,
    rows,
    suite_verdict,
    verdict_text,
    warnings,
    whom,
)
from phrasim.report.terminal import visible
from phrasim.report.verification import WARNINGS_HEADING

ANNOTATIONS_MAX = 10
"""Annotations of one kind that GitHub shows of one step."""

SUMMARY_BYTES_MAX = 1024 * 1024
"""Bytes that the summary of a step may have; GitHub shows nothing of a longer one."""

Kind = Literal["error", "warning"]

_CUT_BYTES = 1024
"""Bytes that are kept free for what is said where a summary is cut."""

_MARKUP = re.compile(r"[!-/:-@\[-`{-~]")
"""Every sign that may mean something in Markdown or HTML."""


def annotations(verification: Verification) -> list[str]:
    """The workflow commands, a line each: errors, then warnings; what is beyond GitHub's limit is summed up in one."""
    hide = concealment_of(verification)
    unjudged = [
        _command("error", {"title": hide.text(f"{suite.name}: not judged")}, hide.text(suite.unjudged))
        for suite in verification.suites
        if suite.unjudged
    ]
    errors = unjudged + [_annotation("error", group, hide) for group in alike(broken(verification))]
    warned = [_annotation("warning", group, hide) for group in alike(warnings(verification))]
    return [*_limited("error", errors), *_limited("warning", warned)]


def summary(verification: Verification) -> str:
    """The Markdown for `$GITHUB_STEP_SUMMARY`: the suites as a table, then each finding, to be unfolded."""
    hide = concealment_of(verification)
    head = "\n".join(_head(verification, hide)) + "\n"
    left = SUMMARY_BYTES_MAX - _CUT_BYTES - len(head.encode())
    blocks = list(_blocks(verification, hide))
    kept: list[str] = []
    for block in blocks:
        left -= len(block.encode())
        if left < 0:
            kept.append(
                f"\n{counted(len(blocks) - len(kept), 'block')} of this summary left out: GitHub takes 1 MiB.\n"
            )
            break
        kept.append(block)
    return head + "".join(kept)


def line_of(place: str) -> tuple[str, int | None]:
    """The file of a place in the contract, and the line (from 1) of what its JSON pointer leads to, or is nearest to.

    The line is None where there is no such document.
    """
    file, _, pointer = place.partition("#")
    lines = _lines_of(file)
    if not lines:
        return file, None
    location: Location = ()
    for token in unquote(pointer).split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        # A status may be written as a number, and an item of a list has one.
        longer = ((*location, one) for one in (key, int(key) if key.isdecimal() else key))
        deeper = next((one for one in longer if one in lines), None)
        if deeper is None:
            break
        location = deeper
    return file, lines[location]


@cache
def _lines_of(file: str) -> Mapping[Location, int]:
    """The lines of a document of this installation; empty if it has none of that name."""
    path = documents_root() / file
    if not (file.startswith("openapi/") and path.suffix == ".yaml" and path.is_file()):
        return {}
    return load_with_lines(read_text(path), file)[1]


def _annotation(kind: Kind, group: Alike, hide: Concealment) -> str:
    file, line = line_of(group.first.place)
    properties = {"file": file} if file else {}
    if line is not None:
        properties["line"] = str(line)
    properties["title"] = f"{group.first.suite}: {group.name}{group.times}"
    said = [f"{word}: {hide.text(text)}" for word, text in rows(group.first)]
    return _command(kind, {key: hide.text(value) for key, value in properties.items()}, "\n".join(said))


def _command(kind: Kind, properties: Mapping[str, str], message: str) -> str:
    said = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    lines = "\n".join(visible(line) for line in message.splitlines())
    return f"::{kind} {said}::{_message(lines)}"


def _message(text: str) -> str:
    """A text as GitHub's runner reads it back."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(visible(text)).replace(":", "%3A").replace(",", "%2C")


def _limited(kind: Kind, commands: list[str]) -> list[str]:
    """As many as GitHub shows; the last says how many more there are."""
    if len(commands) <= ANNOTATIONS_MAX:
        return commands
    shown = commands[: ANNOTATIONS_MAX - 1]
    more = f"{len(commands) - len(shown)} more of this kind: the report has them all"
    return [*shown, _command(kind, {"title": "phrasim verify"}, more)]


def _head(verification: Verification, hide: Concealment) -> Iterator[str]:
    yield f"## {_escaped(hide.text(verdict_text(verification)))}"
    yield ""
    yield _escaped(hide.text(whom(verification)))
    yield ""
    yield "| suite | | cases | seconds | findings | warnings | |"
    yield "| --- | --- | ---: | ---: | ---: | ---: | --- |"
    for suite in verification.suites:
        cells = [
            suite.name,
            suite_verdict(suite),
            str(suite.cases),
            f"{suite.seconds:.1f}",
            str(len(suite.broken)),
            str(len(suite.findings) - len(suite.broken)),
            " ".join((suite.unjudged, *suite.notes)).strip(),
        ]
        yield f"| {' | '.join(_escaped(hide.text(cell)) for cell in cells)} |"
    yield ""
    yield _fenced([again_command(verification)], hide, "sh")


def _blocks(verification: Verification, hide: Concealment) -> Iterator[str]:
    """What follows the table, in parts of which any may be left out."""
    if verification.preflight:
        yield f"\n{_fenced(verification.preflight, hide)}\n"
    for group in alike(broken(verification)):
        yield _details(group, hide)
    for number, group in enumerate(alike(warnings(verification))):
        if number == 0:
            yield f"\n### {_escaped(WARNINGS_HEADING)}\n"
        yield _details(group, hide)
    if verification.created:
        yield f"\n### Created, and still there\n\n{_fenced(verification.created, hide)}\n"


def _details(group: Alike, hide: Concealment) -> str:
    name = _escaped(hide.text(f"{group.first.suite}: {group.name}{group.times}"))
    said = [f"{word}: {hide.text(text)}" for word, text in rows(group.first)]
    blocks = [_fenced(said, hide)]
    if group.first.exchange is not None:
        blocks.append(_fenced([curl_command(group.first.exchange, hide)], hide, "sh"))
    inside = "\n\n".join(blocks)
    return f"\n<details><summary>{name}</summary>\n\n{inside}\n\n</details>\n"


def _fenced(texts: Iterable[str], hide: Concealment, language: str = "text") -> str:
    """A block in which nothing is markup: its fence is longer than any that stands inside."""
    lines = [visible(line) for text in texts for line in hide.text(text).splitlines()]
    longest = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join([f"{fence}{language}", *lines, fence])


def _escaped(text: str) -> str:
    """A text in one line of Markdown or HTML, each of whose signs stands for itself."""
    return _MARKUP.sub(lambda match: f"&#{ord(match[0])};", visible(text))
