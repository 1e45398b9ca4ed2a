"""Annotations and summaries: what GitHub's runner reads is what was meant, and no server writes markup."""

import html
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.documents import documents_root
from phrasim.report.github import ANNOTATIONS_MAX, SUMMARY_BYTES_MAX, annotations, line_of, summary
from report.verifications import exchange, finding, mixed, suite, verification, warning

COMMAND = re.compile(r"::(error|warning) ([^:]*)::(.*)")


def read(command: str) -> tuple[str, dict[str, str], str]:
    """A workflow command as GitHub's runner reads it."""
    found = COMMAND.fullmatch(command)
    assert found, command
    properties = dict(pair.split("=", 1) for pair in found[2].split(","))
    return found[1], {key: unescaped(value) for key, value in properties.items()}, unescaped(found[3])


def unescaped(text: str) -> str:
    for escape, sign in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
        text = text.replace(escape, sign)
    return text


def test_findings_are_annotations_at_the_lines_of_the_contract() -> None:
    unjudged, status, body, warned = map(read, annotations(mixed()))
    assert unjudged[:2] == ("error", {"title": "hand-off: not judged"})
    assert status[1]["title"] == "operations: commitAssets: status, 3 times"
    assert body[2].splitlines()[:3] == ["asked: POST /assets with a file", "came: 201 without an id:", "{'size': 3}"]
    assert warned[0] == "warning"
    for _, properties, _ in (status, body, warned):
        lines = (documents_root() / properties["file"]).read_text().splitlines()
        assert re.match(r' *(responses|"201"|CommitAssets):', lines[int(properties["line"]) - 1])


@pytest.mark.parametrize(
    ("pointer", "line"),
    [
        ("", "openapi: 3.1"),
        ("/paths/~1assets/post", "    post:"),
        ("/paths/~1assets~1%7Bid%7D", "  /assets/{id}:"),
        ("/paths/~1assets/post/responses/201", '        "201":'),
        ("/paths/~1assets/post/no/such/place", "    post:"),
        ("/servers/0/url", None),
        ("/nowhere", "openapi: 3.1"),
    ],
)
def test_a_pointer_leads_to_its_line_or_to_the_nearest_above(pointer: str, line: str | None) -> None:
    file, number = line_of(f"openapi/upload.yaml#{pointer}")
    assert file == "openapi/upload.yaml"
    assert number is not None
    written = (documents_root() / file).read_text().splitlines()[number - 1]
    assert line is None or written.startswith(line)


@pytest.mark.parametrize("place", ["", "docs/request-flow.md", "openapi/none.yaml#/a", "/etc/passwd", "../a.yaml"])
def test_a_place_in_no_document_has_no_line(place: str) -> None:
    assert line_of(place) == (place.partition("#")[0], None)
    ((_, properties, _),) = map(read, annotations(verification(suite("a", finding(place=place)))))
    assert properties.get("file", "") == place.partition("#")[0]
    assert "line" not in properties


def test_what_is_beyond_githubs_limit_is_summed_up() -> None:
    findings = [finding(rule=f"rule {number}") for number in range(30)]
    warned = [warning(rule=f"rule {number}") for number in range(ANNOTATIONS_MAX)]
    found = list(map(read, annotations(verification(suite("a", *findings, *warned)))))
    errors = [one for one in found if one[0] == "error"]
    assert len(errors) == ANNOTATIONS_MAX
    assert errors[-1][1:] == ({"title": "phrasim verify"}, "21 more of this kind: the report has them all")
    assert len(found) == 2 * ANNOTATIONS_MAX
    assert found[-1][1]["title"].endswith("rule 9")


@given(st.text(st.characters(), max_size=30), st.text(st.characters(), max_size=30))
def test_no_text_makes_another_command(came: str, rule: str) -> None:
    (command,) = annotations(verification(suite("a", finding(came=came, rule=rule, exchange=None))))
    assert command.isprintable()
    kind, properties, message = read(command)
    assert (kind, set(properties)) == ("error", {"file", "line", "title"})
    if rule.isprintable():
        assert properties["title"] == f"operations: commitAssets: {rule}"
    if came.isprintable() and came:
        assert f"\ncame: {came}\n" in message


def test_the_summary_has_a_table_and_a_block_for_each_finding() -> None:
    text = summary(mixed())
    plain = html.unescape(text)
    assert plain.startswith("## upload, documented: broken (4 findings in 1 of 3 suites)\n")
    assert "\n| operations | broken | 412 | 12.3 | 4 | 1 |  |\n" in plain
    assert (
        "\n| access | kept | 96 | 1.2 | 0 | 0 | nobody was given who may administrate: 12 cases left out |\n" in plain
    )
    assert re.findall("<summary>(.*)</summary>", plain) == [
        "operations: commitAssets: status, 3 times",
        "operations: uploadAsset: body",
        "operations: listCommits: reader",
    ]
    assert "```sh\ncurl -sS -i -X POST http://127.0.0.1:8081/assets " in text
    assert "### Created, and still there\n\n```text\nasset 4c097077" in text


def test_a_verification_without_findings_is_a_table() -> None:
    text = summary(verification(preflight=()))
    assert "<details>" not in text
    assert text.endswith(
        "```sh\nphrasim verify upload --url https://uploader.example --profile documented --seed 7 --budget 60s\n```\n"
    )


def outside_of_fences(text: str) -> list[str]:
    """The lines of a Markdown text that are no code."""
    fence, left = "", []
    for line in text.split("\n"):
        opened = re.match("(`{3,})", line)
        if fence:
            fence = "" if line == fence else fence
        elif opened:
            fence = opened[1]
        else:
            left.append(line)
    assert not fence, "a fence is open at the end"
    return left


MARKUP = st.text("`~<>&|*_#[]()!\\\n\r -=\u2028a", max_size=30) | st.sampled_from(
    ["```\n# up\n```", "</details><script>", "`" * 9, "| a |\n| - |", "![a](http://h)", "&lt;b>", "</summary>\n\n# a"]
)


@given(MARKUP, MARKUP)
def test_no_server_writes_markup(one: str, other: str) -> None:
    def judged(said: str, more: str) -> Any:
        sent = exchange(method="A", request_body=said.encode() or b" ", url="http://h/")
        found = finding(suite=said, rule=more, asked=said, came=more, expected=said, place="", exchange=sent)
        return verification(
            suite(said, found, notes=(more,), unjudged=more), preflight=(said,), created=(more,), url="http://h/"
        )

    harmless = outside_of_fences(summary(judged("a", "a")))
    lines = outside_of_fences(summary(judged(one, other)))
    assert len(lines) == len(harmless)
    for line, expected in zip(lines, harmless, strict=True):
        # Where texts stand outside of code, there is no sign of Markdown or HTML but those of the summary itself.
        signs = [re.sub(r"&#\d+;|[^!-/:-@\[-`{-~]", "", text) for text in (line, expected)]
        assert signs[0] == signs[1]


def test_a_long_summary_is_cut_with_a_sentence() -> None:
    findings = [finding(rule=f"rule {number}", came="x" * 5000) for number in range(400)]
    text = summary(verification(suite("a", *findings)))
    assert SUMMARY_BYTES_MAX * 0.95 < len(text.encode()) <= SUMMARY_BYTES_MAX
    left = len(findings) - text.count("<details>")
    assert text.endswith(f"</details>\n\n{left} blocks of this summary left out: GitHub takes 1 MiB.\n")
