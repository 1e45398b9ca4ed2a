"""The run as a diagram, and that a run walks its own diagram."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.documents import contract
from phrasim.journal.conformance import conform
from phrasim.journal.diagram import mermaid, text
from phrasim.journal.document import section
from phrasim.journal.events import Lost, Received
from phrasim.journal.sequence import bind

pytestmark = pytest.mark.unmeasured

CONTRACT = contract("documented")

modes = st.sampled_from(["push", "pull"])
NOTATIONS = {"mermaid": mermaid, "sequence": text}
notations = st.sampled_from(sorted(NOTATIONS))


def read_back(notation, events, **chosen):
    """The diagram as the document reader has it."""
    return section(f"# Run\n```{notation}\n{NOTATIONS[notation](events, CONTRACT, **chosen)}```\n", None)


def walk(build, data, stages):
    messages = []
    for stage in stages:
        turns = [index for index, chain in enumerate(stage) for _ in chain]
        messages += build.merged(stage, data.draw(st.permutations(turns)) if len(stage) > 1 else turns)
    return messages


@given(modes, notations, st.integers(0, 6), st.data())
def test_a_run_walks_its_own_diagram(build, drawn, mode, notation, n, data):
    run = build.Run(mode, n)
    messages = walk(build, data, run.stages)
    extras = [
        *run.poll("tick", empty=True),
        *build.exchange("refused", "user", "upload", "uploadAsset", "POST /assets", status=413),
        *build.exchange("strange", "user", "upload", None, "GET /a;b#c<br/>&%%\u2028end", status=404),
    ]
    events = build.events([*extras[:2], *messages, *extras[2:]])
    own = read_back(notation, events)
    (verdict,) = conform(own, events, CONTRACT)
    assert verdict.conforms
    assert [one.message.message.id for one in verdict.arrows] == run.arrows()
    assert [group.kinds for group in bind(own, CONTRACT).groups] == [
        group.kinds for group in bind(drawn(mode), CONTRACT).groups if n or group.each == "commit"
    ]


@given(modes, notations, st.integers(1, 3), st.integers(0, 8), st.data())
def test_a_run_with_a_second_attempt_walks_its_own_diagram(build, mode, notation, n, reached, data):
    run = build.Run(mode, n)
    until_delivery = walk(build, data, run.stages[:-3])
    failed = walk(build, data, run.stages[-3:])[:reached]
    again = walk(build, data, [[run.consume("consume2", redelivered=True)], *run.work("2")])
    events = build.events([*until_delivery, *failed, *again])
    (verdict,) = conform(read_back(notation, events), events, CONTRACT)
    assert verdict.conforms
    assert len(verdict.arrows) == 3 * n + 6


@pytest.mark.parametrize("notation", sorted(NOTATIONS))
def test_one_of_several_commits_can_be_drawn_and_read_back(build, notation):
    messages = [*build.Run("push", 2, "a").messages(), *build.Run("pull", 1, "b").messages()]
    events = build.events(messages)
    own = read_back(notation, events, commit="b-commit")
    (verdict,) = conform(own, events, CONTRACT, commit="b-commit")
    assert verdict.conforms
    assert len(verdict.arrows) == 9


def test_text_is_in_the_style_of_the_given_document(build):
    lines = text(build.events(build.Run("push", 1).messages()), CONTRACT, title="A run").splitlines()
    assert lines[:7] == [
        "title A run",
        "",
        "User->Upload: Upload asset #0",
        "note over Upload: POST /assets",
        "User->Upload: Commit",
        "note over Upload: POST /commit",
        "Upload->Phraseanet: Notify there is a new asset",
    ]
    assert "note left of Phraseanet: POST /api/v1/upload/enqueue" in lines
    note = lines.index("note over RabbitMQ")
    assert lines[note + 1 : note + 4] == [
        '    [ {"publisher": "a-publisher", "id": "a-publisher", "commit_id": "a-commit"},',
        '    {"id": "a-asset-0", "hash": "hash of a-asset-0"} ]',
        "end note",
    ]


def test_mermaid_declares_who_takes_part_and_puts_request_lines_below_labels(build):
    lines = mermaid(build.events(build.Run("pull", 1).messages()), CONTRACT, title="A run").splitlines()
    assert lines[:2] == ["sequenceDiagram", "    title A run"]
    assert lines[2:7] == [
        f"    participant {name}" for name in ("User", "Upload", "Phraseanet", "RabbitMQ", "Auth_service")
    ]
    assert "    Phraseanet->>Upload: fetch new commit assets<br/>GET /commits" in lines
    assert "    Upload-->>Phraseanet: Get contents #0" in lines
    assert "    RabbitMQ-)Phraseanet: Consume message" in lines


def test_a_participant_that_took_no_part_has_no_lifeline(build):
    drawing = mermaid(build.events(build.exchange("t", "upload", "auth", "getTokenInfo", "GET /token-info")), CONTRACT)
    assert drawing.count("participant") == 2
    assert "    Upload->>Auth_service: (GET /token-info)" in drawing.splitlines()


def test_a_refusal_is_drawn_and_the_other_answers_are_not(build):
    run = build.Run("push", 1)
    drawing = text(build.events([*run.messages(), *run.fetch(0, "-again", status=503), *run.metadata(0)]), CONTRACT)
    assert "Phraseanet->Upload: (GET /assets/a-asset-0/download)" in drawing
    assert "Upload-->Phraseanet: (503 to GET /assets/a-asset-0/download)" in drawing
    assert "Phraseanet->Upload: (GET /assets/a-asset-0)" in drawing
    assert "200 to" not in drawing


def test_a_lost_message_is_visible_as_such(build):
    events = [
        Lost(at=event.at, message=event.message, reason="the wire was cut")
        if isinstance(event, Received) and event.message in ("a.notify", "a.commit.answer")
        else event
        for event in build.events(build.Run("push", 1).messages())
    ]
    lines = mermaid(events, CONTRACT).splitlines()
    assert "    Upload-xPhraseanet: (lost: POST /api/v1/upload/enqueue, the wire was cut)" in lines
    assert "    Upload--xUser: (lost: 200 to POST /commit, the wire was cut)" in lines
    assert "Upload->Phraseanet: (lost: POST /api/v1/upload/enqueue, the wire was cut)" in text(events, CONTRACT)


@pytest.mark.parametrize("notation", sorted(NOTATIONS))
def test_a_pause_of_a_second_or_more_is_noted(build, notation):
    events = build.events(build.Run("push", 1).messages())
    late = [msgspec.structs.replace(one, at=one.at + 5_000_000_000 * (index >= 8)) for index, one in enumerate(events)]
    drawing = NOTATIONS[notation](late, CONTRACT)
    assert drawing.casefold().count("note over user,auth_service: 5.020 s later") == 1
    assert drawing.count("later") == 1
    assert "later" not in NOTATIONS[notation](events, CONTRACT)
    assert conform(read_back(notation, late), late, CONTRACT)[0].conforms


@pytest.mark.parametrize("draw", NOTATIONS.values())
def test_no_diagram_shows_a_token_or_a_query(build, draw):
    run = build.Run("push", 2)
    asked = build.exchange("q", "user", "upload", "getAsset", "GET /assets/x?access_token=a-token")
    drawing = draw(build.events([*run.messages(), *asked]), CONTRACT)
    assert "token" not in drawing


@pytest.mark.parametrize("draw", NOTATIONS.values())
def test_a_run_in_which_nothing_happened_is_an_empty_diagram(draw):
    assert len(draw([], CONTRACT).splitlines()) == 2
