"""What an arrow is bound to, and how often it has to be walked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.documents import DocumentError, contract
from phrasim.journal.document import section
from phrasim.journal.sequence import bears, bind, label_key

CONTRACT = contract("documented")


def bound(*lines):
    text = "\n".join(["# Drawing", "``` sequence", *lines, "```"])
    return bind(section(text, None, "page.md"), CONTRACT)


def refused(*lines):
    with pytest.raises(DocumentError) as caught:
        bound(*lines)
    return caught.value


def kinds_of(sequence):
    return [(kind.operation_id, kind.part, kind.status) for group in sequence.groups for kind in group.kinds]


PUSH = [
    ("uploadAsset", "request", None),
    ("commitAssets", "request", None),
    ("enqueueAssets", "request", None),
    ("produceMessage", "publish", None),
    ("consumeMessage", "delivery", None),
    ("getPublisherInfo", "request", None),
    ("downloadAsset", "request", None),
    ("downloadAsset", "response", 200),
    ("acknowledgeCommit", "request", None),
]


def test_the_given_drawings_are_bound_to_the_operations_of_the_hand_off(drawn):
    assert kinds_of(bind(drawn("push"), CONTRACT)) == PUSH
    assert kinds_of(bind(drawn("pull"), CONTRACT)) == [*PUSH[:2], ("listCommits", "request", None), *PUSH[3:]]


def test_two_assets_are_the_twelve_arrows_of_the_drawing(drawn):
    assert [arrow.label for arrow in bind(drawn("push"), CONTRACT).arrows(["a", "b"])] == [
        "Upload asset #0",
        "Upload asset #1",
        "Commit",
        "Notify there is a new asset",
        "Produce message",
        "Consume message",
        "Get publisher info",
        "Download asset #0",
        "Get contents #0",
        "Download asset #1",
        "Get contents #1",
        "Acknowledge of upload commit",
    ]


@given(st.sampled_from(["push", "pull"]), st.integers(0, 20))
def test_n_assets_are_3n_plus_6_arrows_numbered_from_one(drawn, mode, n):
    arrows = bind(drawn(mode), CONTRACT).arrows([f"asset {index}" for index in range(n)])
    assert [arrow.number for arrow in arrows] == list(range(1, 3 * n + 7))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_drawing_of_any_number_of_assets_asks_for_the_same(n):
    uploads = ["User->Upload: Upload asset"] * n
    downloads = [
        line
        for index in range(n)
        for line in (f"Phraseanet->Upload: Download asset #{index}", "Upload->Phraseanet: Get contents")
    ]
    sequence = bound(*uploads, "User->Upload: Commit", *downloads)
    assert kinds_of(sequence) == [*PUSH[:2], *PUSH[6:8]]
    assert sequence.drawn_assets() == n


def test_downloads_may_be_drawn_interleaved():
    request, answer = "Phraseanet->Upload: Download asset", "Upload->Phraseanet: Get contents"
    assert kinds_of(bound(request, request, answer, answer)) == PUSH[6:8]


def test_only_arrows_of_different_assets_in_one_group_are_free(drawn):
    arrows = bind(drawn("push"), CONTRACT).arrows(["a", "b"])
    by_label = {arrow.label: arrow for arrow in arrows}
    first, second = by_label["Download asset #0"], by_label["Download asset #1"]
    assert not first.precedes(second)
    assert not second.precedes(first)
    assert first.precedes(by_label["Get contents #0"])
    assert not first.precedes(by_label["Get contents #1"])
    assert by_label["Upload asset #1"].precedes(by_label["Commit"])


@pytest.mark.parametrize(
    "note",
    [
        "GET /assets/ID#0/download",
        "get assets/7/download",
        "GET https://upload.example/assets/<ID>/download?x=y",
        "first some words, then GET /assets/{id}/download",
    ],
)
def test_a_request_line_in_a_note_binds_whatever_the_label_says(note):
    sequence = bound("Phraseanet->Upload: fetch the file", f"note over Upload: {note}")
    assert kinds_of(sequence) == [("downloadAsset", "request", None)]


def test_a_request_line_in_the_label_binds():
    assert kinds_of(bound("Phraseanet->Upload: GET /commits")) == [("listCommits", "request", None)]


def test_a_label_that_only_begins_like_a_request_line_is_a_label():
    assert kinds_of(bound("Upload->Phraseanet: get  Contents #3 (the file)")) == [("downloadAsset", "response", 200)]


def test_metadata_may_be_drawn_although_the_given_document_does_not():
    note = "note over Upload: GET /assets/ID"
    sequence = bound("Phraseanet->Upload: Look", note, "Phraseanet->Upload: Download asset")
    assert [kind.operation_id for group in sequence.groups for kind in group.kinds] == ["getAsset", "downloadAsset"]


@pytest.mark.parametrize(
    ("lines", "line", "parts"),
    [
        (
            ["User->Upload: Uplod asset"],
            3,
            ["the arrow 'Uplod asset' from user to upload is bound to nothing", "what would bind: 'Upload asset'"],
        ),
        (
            ["Upload->User: Commit"],
            3,
            ["'Commit' (POST /commit) is known, but it does not go from upload to user"],
        ),
        (
            ["Phraseanet->Upload: Download asset", "note over Upload: GET /asset/ID/download"],
            3,
            ["no operation is 'GET /asset/ID/download'", "what would bind: 'Download asset'"],
        ),
        (
            ["Phraseanet->Upload: Commit", "note over Upload: GET /commits"],
            3,
            ["the label 'Commit' is that of 'Commit' (POST /commit), and the request line that of"],
        ),
        (["Upload->Upload: Commit"], 3, ["does not go from upload to upload"]),
        (
            ["Upload->Auth: look whose token it is", "note over Auth: GET /token-info"],
            3,
            ["no operation is 'GET /token-info'"],
        ),
        (
            ["User->Upload: Commit", "Upload->Phraseanet: Notify there is a new asset", "User->Upload: Commit"],
            5,
            ["'Commit' (POST /commit) is drawn at two places"],
        ),
        (
            [
                "Phraseanet->Upload: Download asset #0",
                "Phraseanet->Upload: Download asset #1",
                "Upload->Phraseanet: Get contents",
            ],
            3,
            ["'Download asset' 2 times, 'Get contents' 1 times; right would be once each asset"],
        ),
    ],
)
def test_an_arrow_that_nothing_can_be_held_to_is_an_error(lines, line, parts):
    error = refused(*lines)
    assert (error.file, error.line) == ("page.md", line)
    for part in parts:
        assert part in error.problem


def test_a_section_without_a_drawing_cannot_be_bound(drawn):
    with pytest.raises(DocumentError, match="draws no sequence"):
        bound("title nothing")


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/assets/7/download", {"id": "7"}),
        ("/assets/7/download/", {"id": "7"}),
        ("/behind/a/proxy/assets/7/download", {"id": "7"}),
        ("/assets//download", None),
        ("/assets/7", None),
        ("/asset/7/download", None),
        ("/", None),
    ],
)
def test_a_path_bears_out_a_template(path, parameters):
    assert bears("/assets/{id}/download", path) == parameters


@given(st.integers(0, 99), st.text(alphabet="abc DEF", max_size=5), st.booleans())
def test_the_key_of_a_label_knows_no_number_no_parenthesis_and_no_case(number, inner, upper):
    label = f"Download  asset #{number} ({inner})"
    assert label_key(label.upper() if upper else label) == "download asset"
