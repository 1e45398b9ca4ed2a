"""Every expectation can be broken, and then says what was expected and what was found."""

from collections.abc import Callable

import msgspec
import pytest

from phrasim.documents import contract, scenarios_folder
from phrasim.journal.events import Body, Delivery, Noted, Publish, Request, Response, Sent
from phrasim.scenario.checks import messages_as_specified
from phrasim.scenario.events import Outcome, Verdict
from phrasim.scenario.loader import parse_scenario
from phrasim.scenario.runner import Play, play_in_process

Changed = Callable[..., str]
Played = Callable[..., Outcome]
FIELDS = "notificationFields: [assets, publisher, token]"

CONTRACT = contract("documented")


def verdict(outcome: Outcome, start: str) -> Verdict:
    """The one verdict whose expectation begins like that."""
    (found,) = [one for one in outcome.verdicts if one.expectation.startswith(start)]
    return found


def test_the_scenario_that_is_spoilt_here_holds(push: str, played: Played) -> None:
    outcome = played(push)
    assert [(one.judgement, one.because) for one in outcome.verdicts] == [("held", ())] * 7
    assert outcome.held


@pytest.mark.parametrize(
    ("old", "new", "expectation", "because"),
    [
        ("count: 1", "count: 2", "commits: count 2", "count: expected 2, found 1"),
        ("acknowledged: 1", "acknowledged: 0", "commits: count 1, acknowledged 0", "acknowledged: expected 0, found 1"),
        ("executions: 1", "executions: 3", "executions of the work: 3", "expected 3, found 1"),
        ("assetsIngest: 0", "assetsIngest: 2", "queues: assetsIngest 2", "assetsIngest: expected 2, found 0"),
        (
            "downloadAsset: []",
            "downloadAsset: [500]",
            "refusals: downloadAsset 500",
            "downloadAsset: expected 500, found none",
        ),
        ("one for each file, same bytes", "none", "records: none", "not expected: 'one.txt', 40 bytes, SHA-256"),
    ],
)
def test_a_wrong_number_is_broken(
    old: str, new: str, expectation: str, because: str, changed: Changed, played: Played
) -> None:
    outcome = played(changed((old, new)))
    found = verdict(outcome, expectation)
    assert found.judgement == "broken"
    assert any(line.startswith(because) for line in found.because)
    assert [one.judgement for one in outcome.verdicts].count("broken") == 1
    assert not outcome.held


def test_refusals_are_told_in_the_order_of_the_calls(changed: Changed, played: Played) -> None:
    faults = "faults:\n  - {operationId: downloadAsset, occurrences: [1], answer: {status: 503}}\nsteps:"
    outcome = played(changed(("steps:", faults), ("downloadAsset: []", "downloadAsset: [500, 503]")))
    found = verdict(outcome, "refusals: downloadAsset 500, 503")
    assert found.because == ("downloadAsset: expected 500, 503, found 503",)


def test_a_run_without_the_commits_id_does_not_walk_the_sequence(changed: Changed, played: Played) -> None:
    """The notification's three literal fields: what is not acknowledged is not walked, and the account says why."""
    handed_over = (
        "    waitFor: {operationId: acknowledgeCommit, within: 30 s}\n    outputs: {commit: $request.path.id}\n"
    )
    outcome = played(changed(("given:", f"given:\n  {FIELDS}"), (handed_over, "    wait: 5 s\n")))
    found = verdict(outcome, "sequence: walked (11 of 12 arrows)")
    assert found.judgement == "broken"
    assert any("unreachable" in line and "Acknowledge of upload commit" in line for line in found.because)
    assert any("a commit_id beside the token would have" in line for line in found.because)
    assert verdict(outcome, "commits").because == ("acknowledged: expected 1, found 0",)
    assert verdict(outcome, "records").judgement == "held"


@pytest.mark.parametrize(
    "exceptions",
    [
        "{unreachable: [Acknowledge of upload commit]}",
        "{missing: [Get contents]}",
        "{repeated: [Notify there is a new asset]}",
    ],
)
def test_an_exception_that_does_not_befall_is_broken(exceptions: str, changed: Changed, played: Played) -> None:
    found = verdict(played(changed(("sequence: walked", f"sequence: {exceptions}"))), "sequence")
    assert found.judgement == "broken"
    assert (
        found.expectation
        == f"sequence: walked, {exceptions.strip('{}').replace('[', '').replace(']', '')} (12 of 12 arrows)"
    )
    assert "12 of 12 arrows walked" in found.because


def test_an_exception_of_another_kind_is_broken(changed: Changed, played: Played) -> None:
    repeated = "faults:\n  - {operationId: enqueueAssets, duplicate: true}\nsteps:"
    wrong = "sequence: {missing: [Notify there is a new asset]}"
    found = verdict(played(changed(("steps:", repeated), ("sequence: walked", wrong))), "sequence")
    assert found.judgement == "broken"
    right = "sequence: {repeated: [Notify there is a new asset]}"
    assert verdict(played(changed(("steps:", repeated), ("sequence: walked", right))), "sequence").judgement == "held"


def test_a_run_without_a_commit_walks_nothing(changed: Changed, played: Played) -> None:
    steps = "steps:\n  - {stepId: pause, wait: 1 s}\n"
    text = changed()
    text = text[: text.index("steps:")] + steps + text[text.index("expect:") :]
    found = verdict(played(text), "sequence")
    assert found.judgement == "broken"
    assert found.because[0] == "Push mode: there is no commit in this trace"


@pytest.mark.parametrize("after", ["0 B", "1 B", "39 B"])
def test_a_download_that_breaks_off_for_good_leaves_no_record(after: str, changed: Changed, played: Played) -> None:
    fault = f"faults:\n  - {{operationId: downloadAsset, cutBody: {{after: {after}}}}}\nsteps:"
    handed_over = (
        "    waitFor: {operationId: acknowledgeCommit, within: 30 s}\n    outputs: {commit: $request.path.id}\n"
    )
    outcome = played(changed(("steps:", fault), (handed_over, "    wait: 1 min\n")))
    found = verdict(outcome, "records: one for each file, same bytes (2)")
    assert found.judgement == "broken"
    assert [line.partition(",")[0] for line in found.because] == ["missing: 'one.txt'", "missing: 'two.bin'"]
    assert verdict(outcome, "executions").because == ("expected 1, found 3",)
    assert verdict(outcome, "queues").because == ("assetsIngest_failed: expected 0, found 1",)


def test_an_answer_that_breaks_its_specification_is_told_with_its_place() -> None:
    body = Body(length=2, json={"id": "not a UUID"})
    answer = Response(
        id="upload-1",
        sender="upload",
        receiver="user",
        operation_id="uploadAsset",
        reply_to="user-1",
        status=201,
        headers=(("content-type", "application/json"),),
        body=body,
    )
    found = messages_as_specified([Sent(at=0, message=answer)], CONTRACT)
    assert found.judgement == "broken"
    assert found.expectation == "messages as specified (1)"
    assert all(line.startswith("upload-1 (uploadAsset): ") for line in found.because)
    assert any("id" in line and "UUID" in line for line in found.because)


def test_an_answer_that_a_fault_made_may_say_anything() -> None:
    answer = Response(
        id="upload-1",
        sender="upload",
        receiver="user",
        operation_id="uploadAsset",
        reply_to="user-1",
        status=418,
        headers=(),
        body=Body(length=0),
    )
    fault = Noted(at=0, by="upload", note="fault", details={"request": "user-1"})
    assert messages_as_specified([Sent(at=0, message=answer)], CONTRACT).judgement == "broken"
    assert messages_as_specified([fault, Sent(at=0, message=answer)], CONTRACT).judgement == "held"


def test_what_a_user_sends_is_theirs_and_what_a_service_sends_is_held_to_the_specification() -> None:
    request = Request(
        id="user-1",
        sender="user",
        receiver="phraseanet",
        operation_id="enqueueAssets",
        method="POST",
        target="/api/v1/upload/enqueue",
        headers=(("content-type", "application/json"),),
        body=Body(length=2, json={}),
    )
    assert messages_as_specified([Sent(at=0, message=request)], CONTRACT).expectation == "messages as specified (0)"
    of_service = msgspec.structs.replace(request, id="upload-1", sender="upload")
    assert messages_as_specified([Sent(at=0, message=of_service)], CONTRACT).judgement == "broken"
    elsewhere = msgspec.structs.replace(of_service, operation_id=None)
    assert messages_as_specified([Sent(at=0, message=elsewhere)], CONTRACT).expectation.endswith("(0)")


def test_a_message_of_the_broker_is_held_to_its_channel() -> None:
    publish = Publish(
        id="phraseanet-1",
        sender="phraseanet",
        receiver="broker",
        exchange="alchemy-exchange",
        routing_key="assetsIngest",
        properties={"content-type": "application/json"},
        body=Body(length=2, json=[]),
    )
    found = messages_as_specified([Sent(at=0, message=publish)], CONTRACT)
    assert found.judgement == "broken"
    lost = msgspec.structs.replace(publish, routing_key="nowhere")
    found = messages_as_specified([Sent(at=0, message=lost)], CONTRACT)
    assert found.because == (
        "phraseanet-1 (None): no channel of messages.yaml is reached by 'alchemy-exchange', 'nowhere'",
    )
    delivery = Delivery(
        id="broker-1",
        sender="broker",
        receiver="phraseanet",
        queue="assetsIngest",
        exchange="alchemy-exchange",
        routing_key="assetsIngest",
        redelivered=False,
        properties={"content-type": "application/json"},
        body=Body(length=2, json=[]),
    )
    assert messages_as_specified([Sent(at=0, message=delivery)], CONTRACT).judgement == "broken"


@pytest.mark.parametrize(
    ("name", "old", "new", "broken"),
    [
        ("push-download-fails-twice", "downloadAsset: [500, 500]", "downloadAsset: [500]", "refusals"),
        ("push-download-fails-twice", "executions: 3", "executions: 2", "executions"),
        ("push-download-fails-twice", "occurrences: [1, 2]", "occurrences: [1]", "executions"),
        ("push-download-fails-for-good", "assetsIngest_failed: 1", "assetsIngest_failed: 0", "queues"),
        (
            "push-download-fails-for-good",
            "  - {operationId: downloadAsset, answer: {status: 500}}\n",
            "  - {operationId: listCommits, refuse: true}\n",
            "records",
        ),
        (
            "push-documented-fields-only",
            "notificationFields: [assets, publisher, token]",
            "notificationFields: [assets, publisher, token, commit_id]",
            "sequence",
        ),
        ("push-documented-fields-only", "acknowledged: 0", "acknowledged: 1", "commits"),
        (
            "push-notified-twice",
            "  - {operationId: enqueueAssets, duplicate: true}\n",
            "  - {operationId: listCommits, refuse: true}\n",
            "sequence",
        ),
        ("push-wrong-token", "getAsset: [403]", "getAsset: []", "refusals"),
        ("expired-token", "getTokenInfo: [401]", "getTokenInfo: []", "refusals"),
        ("expired-token", "wait: 2 min", "wait: 30 s", "step too-late"),
        ("uncommitted-asset", "commits: {count: 0}", "commits: {count: 1}", "commits"),
        ("unknown-commit", "[401, 404, 404]", "[404, 401, 404]", "refusals"),
        ("acknowledged-twice", "$response.body == true", "$response.body == false", "step again"),
        ("pull-new-commit-between-polls", "occurrence: 3", "occurrence: 300", "step nothing-left"),
        ("pull", "document: docs/request-flow.md#pull-mode", "document: docs/request-flow.md#push-mode", "sequence"),
        ("push", "document: docs/request-flow.md#push-mode", "document: docs/request-flow.md#pull-mode", "sequence"),
    ],
)
def test_a_scenario_that_comes_with_phrasim_can_be_broken(name: str, old: str, new: str, broken: str) -> None:
    path = scenarios_folder() / f"{name}.yaml"
    text = path.read_text()
    assert text.count(old) == 1
    outcome = play_in_process(parse_scenario(text.replace(old, new), str(path), path.parent), Play())
    assert not outcome.held
    wrong = [one for one in outcome.verdicts if one.judgement == "broken"]
    assert any(one.expectation.startswith(broken) for one in wrong), wrong
    assert all(one.because for one in wrong)


@pytest.mark.parametrize(("occurrence", "judgement"), [(1, "held"), (99, "broken")])
def test_a_fault_that_meets_no_call_is_broken(
    occurrence: int, judgement: str, changed: Changed, played: Played
) -> None:
    fault = f"faults: [{{operationId: downloadAsset, occurrences: [{occurrence}], delay: 1 s}}]\nsteps:"
    found = verdict(played(changed(("steps:", fault))), "faults struck (1)")
    assert found.judgement == judgement
    assert found.because == (() if judgement == "held" else ("downloadAsset: Delay(seconds=1.0) met no call",))
