"""The sections of a document and the arrows that they draw, in either notation."""

import pytest

from phrasim.documents import DocumentError, contract, documents_root
from phrasim.journal.document import section, sections
from phrasim.journal.sequence import bind

CONTRACT = contract("documented")

TWO_ASSETS = [
    ("user", "upload", "Upload asset"),
    ("user", "upload", "Upload asset"),
    ("user", "upload", "Commit"),
    ("upload", "phraseanet", "Notify there is a new asset"),
    ("phraseanet", "broker", "Produce message"),
    ("broker", "phraseanet", "Consume message"),
    ("phraseanet", "auth", "Get publisher info (User email, Name ...)"),
    ("phraseanet", "upload", "Download asset #0"),
    ("upload", "phraseanet", "Get contents"),
    ("phraseanet", "upload", "Download asset #1"),
    ("upload", "phraseanet", "Get contents"),
    ("phraseanet", "upload", "Acknowledge of upload commit"),
]
"""The twelve arrows of push mode, as the given document has them."""

POLL = ("phraseanet", "upload", "fetch new commit assets")


def fenced(info, *lines):
    return "\n".join(["# Drawing", f"```{info}", *lines, "```"])


def arrows(info, *lines):
    (one,) = sections(fenced(info, *lines), "page.md")
    return one.arrows


def refused(info, *lines):
    with pytest.raises(DocumentError) as caught:
        sections(fenced(info, *lines), "page.md")
    return caught.value


@pytest.mark.parametrize(("mode", "fourth"), [("push", TWO_ASSETS[3]), ("pull", POLL)])
def test_the_given_document_draws_exactly_the_twelve_arrows_of_a_mode(drawn, mode, fourth):
    found = [(arrow.sender, arrow.receiver, arrow.label) for arrow in drawn(mode).arrows]
    assert found == [*TWO_ASSETS[:3], fourth, *TWO_ASSETS[4:]]


@pytest.mark.parametrize("mode", ["push", "pull"])
def test_the_projects_page_draws_what_the_given_document_draws(drawn, mode):
    page = (documents_root() / "docs" / "request-flow.md").read_text()
    assert bind(section(page, f"{mode}-mode"), CONTRACT).groups == bind(drawn(mode), CONTRACT).groups


def test_notes_belong_to_the_arrow_before_them(drawn):
    notes = [arrow.note for arrow in drawn("push").arrows]
    assert notes[0] == "Media is locally stored"
    assert notes[3] == "POST /api/v1/upload/enqueue"
    assert notes[4].splitlines()[2] == '\\{"id": ..., "hash": "..."}]'
    assert notes[8] == ""


def test_an_arrow_knows_its_line(drawn):
    assert drawn("push").arrows[0].line == 10
    assert drawn("pull").line == 38


def test_sections_without_a_drawing_have_no_arrows(drawn):
    text = "before\n\n# One\n\n```bash\n# no heading\n```\n\n## Two  ##\n\n# One\n"
    assert [(one.title, one.anchor, one.line, one.arrows) for one in sections(text)] == [
        ("One", "one", 3, None),
        ("Two", "two", 9, None),
        ("One", "one-1", 11, None),
    ]


@pytest.mark.parametrize("info", ["sequence", " sequence", " Sequence  "])
def test_a_fence_whose_info_string_is_sequence_is_read(info):
    assert len(arrows(info, "User->Upload: Commit")) == 1


def test_a_fence_without_info_string_is_read_if_it_begins_with_a_title():
    assert len(arrows("", "title Anything", "User->Upload: Commit")) == 1
    assert arrows("", "User->Upload: Commit") is None


def test_a_fence_in_another_language_is_not_read():
    assert arrows("text", "title Anything", "User->Upload: Commit") is None
    assert arrows("mermaid", "flowchart LR", "A-->B") is None


def test_all_that_sequence_text_may_hold_is_understood():
    found = arrows(
        "sequence",
        "title: Anything",
        "# a comment",
        "participant Uploader",
        "participant A as Auth_service",
        "note over User: before every arrow",
        "User -> Uploader: Commit",
        "Note right of User: one",
        "note over User, Uploader",
        "  two",
        "end note",
        "A-->Uploader: (an aside)",
        "RabbitMQ->>Phraseanet: Consume message",
    )
    assert [(one.sender, one.receiver, one.label, one.note) for one in found] == [
        ("user", "upload", "Commit", "one\ntwo"),
        ("broker", "phraseanet", "Consume message", ""),
    ]


def test_all_that_mermaid_may_hold_is_understood():
    found = arrows(
        "mermaid",
        "%% a comment",
        "sequenceDiagram",
        "autonumber",
        "title: Anything",
        "actor U as User",
        "participant S as Upload service<br/>(the real one)",
        "participant Broker",
        "box Aqua Anything",
        "end",
        "U->>+S: Commit<br/>POST /commit;",
        "activate S",
        "Note over U,S: by id",
        "deactivate S",
        "par one",
        "Phraseanet-)Broker: Produce message",
        "and another",
        "Broker--)Phraseanet: Consume message",
        "end",
        "loop each asset",
        "S-->>-Phraseanet: Get contents",
        "end",
    )
    assert [(one.sender, one.receiver, one.label, one.note) for one in found] == [
        ("user", "upload", "Commit", "POST /commit\nby id"),
        ("phraseanet", "broker", "Produce message", ""),
        ("broker", "phraseanet", "Consume message", ""),
        ("upload", "phraseanet", "Get contents", ""),
    ]


def test_what_is_optional_or_lost_or_in_parentheses_is_no_arrow():
    found = arrows(
        "mermaid",
        "sequenceDiagram",
        "alt accepted",
        "User->>Upload: Commit",
        "else refused",
        "Upload-->>User: Anything",
        "loop again",
        "Upload-->>User: Anything",
        "end",
        "end",
        "opt perhaps",
        "User->>Upload: Anything",
        "end",
        "User-xUpload: Anything",
        "User->>Upload: (Anything)",
        "User->>Upload: Upload asset (anything)",
    )
    assert [one.label for one in found] == ["Commit", "Upload asset (anything)"]


@pytest.mark.parametrize(
    ("info", "lines", "line", "part"),
    [
        ("sequence", ["User->Upload: Commit", "Upload=>User: back"], 4, "'Upload=>User: back' is no line of one"),
        ("sequence", ["User->Uplaod: Commit"], 3, "the lifeline 'Uplaod' is unknown; phrasim knows User, Upload"),
        ("sequence", ["note over Nobody: text"], 3, "the lifeline 'Nobody' is unknown"),
        ("sequence", ["User->Upload: Commit", "note over Upload", "text"], 4, "never closed with 'end note'"),
        ("mermaid", ["sequenceDiagram", "User=>Upload: Commit"], 4, "'User=>Upload: Commit' is no line of one"),
        ("mermaid", ["sequenceDiagram", "User->>Other: Commit"], 4, "the lifeline 'Other' is unknown"),
        ("mermaid", ["sequenceDiagram", "loop x", "User->>Upload: Commit"], 4, "'loop' is never closed by 'end'"),
        ("mermaid", ["sequenceDiagram", "else x"], 4, "'else x' stands outside of any block"),
    ],
)
def test_a_line_that_is_not_understood_is_an_error_with_file_and_line(info, lines, line, part):
    error = refused(info, *lines)
    assert (error.file, error.line) == ("page.md", line)
    assert part in error.problem


def test_a_drawing_that_is_never_closed_is_an_error_where_it_opens():
    with pytest.raises(DocumentError, match=r"^page.md:2: this drawing is never closed; right would be a line '~~~~'"):
        sections("# Drawing\n~~~~ sequence\nUser->Upload: Commit\n~~~\n", "page.md")


def test_a_section_draws_one_sequence():
    drawing = "``` sequence\nUser->Upload: Commit\n```\n"
    with pytest.raises(DocumentError, match=r"^page.md:5: the section 'One' draws a second sequence"):
        sections(f"# One\n{drawing}{drawing}", "page.md")


def test_a_section_is_found_by_its_anchor():
    text = "# One\n``` sequence\nUser->Upload: Commit\n```\n# Two\n"
    assert section(text, "one").title == "One"
    assert section(text, None).title == "One"
    with pytest.raises(DocumentError, match=r"looking for the sequence of #two: the document has #one"):
        section(text, "two")
