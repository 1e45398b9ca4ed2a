"""Playing a scenario: its steps, its waits on simulated time, and what becomes of a step that fails."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from phrasim.documents import contract
from phrasim.journal.events import Request, Sent
from phrasim.scenario.events import Ended, Happened, Judged, Outcome, RunEvent, Started, StepEnded
from phrasim.scenario.files import FileError, user_files
from phrasim.scenario.loader import parse_scenario
from phrasim.scenario.runner import Play, play_in_process
from phrasim.scenario.user import User

Changed = Callable[..., str]
Played = Callable[..., Outcome]
SECOND = 1_000_000_000
HEAD = "scenario: test\nsummary: A test.\nmode: off\n"
EXPECT = "expect: {records: none}\n"
EFFECTS = (
    "refuse: true",
    "duplicate: true",
    "delay: 40 s",
    "answer: {status: 502}",
    "dropReply: true",
    "cutBody: {after: 0 B}",
)


def calls(outcome: Outcome, operation_id: str) -> list[Request]:
    return [
        event.message
        for event in outcome.events
        if isinstance(event, Sent) and isinstance(event.message, Request) and event.message.operation_id == operation_id
    ]


def broken(outcome: Outcome) -> list[tuple[str, tuple[str, ...]]]:
    return [(one.expectation, one.because) for one in outcome.verdicts if one.judgement == "broken"]


def test_a_run_is_told_as_it_happens(push: str, played: Played) -> None:
    told: list[RunEvent] = []
    outcome = played(push, listen=told.append)
    assert isinstance(told[0], Started)
    assert isinstance(told[-1], Ended)
    assert told[-1].outcome == outcome
    assert [one.event for one in told if isinstance(one, Happened)] == list(outcome.events[-len(outcome.events) :])
    assert [(one.step_id, one.failure) for one in told if isinstance(one, StepEnded)] == [
        ("upload", None),
        ("commit", None),
        ("handed-over", None),
    ]
    assert [one.verdict for one in told if isinstance(one, Judged)] == list(outcome.verdicts)
    kinds = [type(one) for one in told if not isinstance(one, StepEnded)]
    assert kinds == sorted(kinds, key=[Started, Happened, Judged, Ended].index)


def test_a_run_that_is_not_judged_goes_the_same_way_without_verdicts(push: str, played: Played) -> None:
    judged, unjudged = played(push), played(push, Play(judged=False))
    assert unjudged.events == judged.events
    assert unjudged.verdicts == ()


def test_waiting_costs_protocol_time_only(changed: Changed, played: Played) -> None:
    outcome = played(changed(("  - stepId: commit\n", "  - {stepId: pause, wait: 99 d}\n  - stepId: commit\n")))
    assert outcome.duration_ns >= 99 * 86_400 * SECOND
    expectation, because = broken(outcome)[0]
    assert expectation == "step commit"
    assert because[0].startswith("commitAssets: expected a 2xx answer, found 401: {'type': 'about:blank'")


@pytest.mark.parametrize(
    ("occurrence", "said"),
    [
        ("", "waited 30 s for acknowledgeCommit to be answered with 2xx once; it was met 0 times"),
        ("occurrence: 2, ", "waited 30 s for acknowledgeCommit to be answered with 2xx 2 times; it was met 0 times"),
    ],
)
def test_a_wait_that_is_in_vain_ends_after_its_time_and_takes_no_further_step(
    occurrence: str, said: str, changed: Changed, played: Played
) -> None:
    told: list[RunEvent] = []
    text = changed(
        ("mode: push", "mode: off"),
        ("{operationId: acknowledgeCommit,", f"{{{occurrence}operationId: acknowledgeCommit,"),
        ("expect:", "  - {stepId: after, operationId: listCommits, as: client}\nexpect:"),
    )
    outcome = played(text, listen=told.append)
    assert 30 * SECOND <= outcome.duration_ns < 31 * SECOND
    said = said.replace("met ", "")
    assert broken(outcome)[0] == ("step handed-over", (said,))
    assert [one.step_id for one in told if isinstance(one, StepEnded)] == ["upload", "commit", "handed-over"]
    assert calls(outcome, "listCommits") == []


def test_what_was_met_before_the_wait_counts(changed: Changed, played: Played) -> None:
    text = changed(
        ("expect:", "  - {stepId: still, waitFor: {operationId: uploadAsset, occurrence: 2, within: 1 s}}\nexpect:")
    )
    assert played(text).held


def test_the_expectations_are_judged_after_a_step_has_failed(changed: Changed, played: Played) -> None:
    outcome = played(changed(("formData: {title: Test document}", "formData: 3")))
    expectations = [expectation for expectation, _ in broken(outcome)]
    assert expectations[0] == "step commit"
    assert any(expectation.startswith("commits") for expectation in expectations)
    assert calls(outcome, "enqueueAssets") == []


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("$statusCode == 404", "commitAssets: expected $statusCode == 404, found 200"),
        ("$statusCode != 200", "commitAssets: expected $statusCode != 200, found 200"),
        ("$response.body#/nothing == 1", "$response.body#/nothing: nothing lies at 'nothing' there"),
        ("$response.header.etag == 1", "$response.header.etag: there is no 'etag'; there is "),
    ],
)
def test_a_criterion_that_is_not_met_fails_the_step(
    condition: str, said: str, changed: Changed, played: Played
) -> None:
    criteria = f"    successCriteria: [{{condition: '{condition}'}}]\n  - stepId: handed-over"
    outcome = played(changed(("  - stepId: handed-over", criteria)))
    expectation, because = broken(outcome)[0]
    assert expectation == "step commit"
    assert because[0].startswith(said)


def test_a_refusal_that_is_expected_is_no_failure(played: Played) -> None:
    criteria = "successCriteria: [{condition: $statusCode == 401}]"
    steps = f"steps: [{{stepId: a, operationId: listCommits, as: nobody, {criteria}}}]\n"
    assert played(HEAD + steps + EXPECT).held


def test_a_step_for_each_file_names_the_file_that_failed(changed: Changed, played: Played) -> None:
    fault = "faults:\n  - {operationId: uploadAsset, occurrences: [2], answer: {status: 507}}\nsteps:"
    outcome = played(changed(("steps:", fault)))
    expectation, because = broken(outcome)[0]
    assert expectation == "step upload"
    assert because[0].startswith("uploadAsset of 'two.bin': expected a 2xx answer, found 507")


@pytest.mark.parametrize(
    ("effect", "said"),
    [("refuse: true", "ConnectError"), ("dropReply: true", "Read"), ("cutBody: {after: 3 B}", "RemoteProtocolError")],
)
def test_a_connection_that_fails_the_user_fails_the_step(
    effect: str, said: str, changed: Changed, played: Played
) -> None:
    outcome = played(changed(("steps:", f"faults:\n  - {{operationId: commitAssets, {effect}}}\nsteps:")))
    expectation, because = broken(outcome)[0]
    assert expectation == "step commit"
    assert said in because[0]
    assert not because[0].endswith(": ")


@pytest.mark.parametrize("operation_id", contract("documented").operations)
@pytest.mark.parametrize("mode", ["push", "both"])
def test_no_fault_of_any_operation_ends_a_run_before_its_verdicts(
    operation_id: str, mode: str, changed: Changed, played: Played
) -> None:
    for effect in EFFECTS:
        fault = f"faults:\n  - {{operationId: {operation_id}, {effect}}}\nsteps:"
        outcome = played(changed(("steps:", fault), ("mode: push", f"mode: {mode}")))
        assert not [one for one in outcome.verdicts if one.expectation == "the run goes on to its end"], effect
        assert len(outcome.verdicts) >= 7, effect


@pytest.mark.parametrize("account", ["publisher", "administrator", "client"])
def test_a_login_that_is_refused_fails_the_step(account: str, played: Played) -> None:
    faults = "faults: [{operationId: issueToken, answer: {status: 503}}]\n"
    steps = f"steps: [{{stepId: a, operationId: listCommits, as: {account}}}]\n"
    outcome = played(HEAD + faults + steps + EXPECT)
    assert broken(outcome)[0] == ("step a", (f"logging in as the {account}: Auth answered 503, not 200",))


def test_each_account_logs_in_once(played: Played) -> None:
    steps = "steps:\n" + "".join(
        f"  - {{stepId: {account}-{number}, operationId: listCommits, as: {account}, "
        "successCriteria: [{condition: $statusCode != 500}]}\n"
        for number in (1, 2)
        for account in ("publisher", "administrator", "client", "nobody")
    )
    outcome = played(HEAD + steps + EXPECT)
    assert outcome.held
    assert len([call for call in calls(outcome, "issueToken") if call.sender == "user"]) == 3


@pytest.mark.parametrize("token", ["naïve", "two\\nlines", ""])
def test_a_token_that_no_header_can_bear_fails_the_step(token: str, played: Played) -> None:
    steps = f'steps: [{{stepId: a, operationId: listCommits, as: {{bearer: "{token}"}}}}]\n'
    outcome = played(HEAD + steps + EXPECT)
    assert broken(outcome)
    assert broken(outcome)[0][0] == "step a"


def test_a_parameter_is_one_segment_of_the_path_whatever_is_in_it(played: Played) -> None:
    steps = (
        'steps: [{stepId: a, operationId: acknowledgeCommit, as: nobody, parameters: {id: "../a b?c#d/é"}, '
        "successCriteria: [{condition: $statusCode == 404}]}]\n"
    )
    outcome = played(HEAD + steps + EXPECT)
    targets = [
        event.message.target
        for event in outcome.events
        if isinstance(event, Sent) and isinstance(event.message, Request)
    ]
    assert targets == ["/commits/..%2Fa%20b%3Fc%23d%2F%C3%A9/ack"]


def test_expressions_reach_what_earlier_steps_kept(push: str, played: Played) -> None:
    steps = """
  - stepId: read
    operationId: getAsset
    as: administrator
    parameters: {id: $steps.upload.outputs.asset#/1}
    outputs: {name: $response.body#/originalName, status: $statusCode}
    successCriteria:
      - condition: $response.body#/id == $steps.upload.outputs.asset#/1
      - condition: $request.path.id != $steps.upload.outputs.asset#/0
      - condition: $steps.handed-over.outputs.commit != $given.publisher.email
expect:"""
    outcome = played(push.replace("expect:", steps.lstrip("\n")))
    assert outcome.held, broken(outcome)


def test_an_answer_that_is_no_json_is_read_to_its_end(push: str, played: Played) -> None:
    steps = """
  - stepId: download
    operationId: downloadAsset
    as: administrator
    parameters: {id: $steps.upload.outputs.asset#/1}
    outputs: {body: $response.body, length: $response.header.content-length}
    successCriteria:
      - condition: $response.header.content-length == "70"
      - condition: $response.body == null
expect:"""
    outcome = played(push.replace("expect:", steps.lstrip("\n")))
    assert outcome.held, broken(outcome)


def test_the_accounts_of_the_run_can_be_named(played: Played) -> None:
    steps = """\
steps:
  - stepId: log-in
    operationId: issueToken
    as: nobody
    body:
      grant_type: password
      client_id: $given.frontEnd.id
      client_secret: $given.frontEnd.secret
      username: $given.publisher.email
      password: $given.publisher.password
    outputs: {token: $response.body#/access_token}
  - stepId: commits
    operationId: listCommits
    as: {bearer: $steps.log-in.outputs.token}
    successCriteria: [{condition: $statusCode == 403}]
"""
    outcome = played(HEAD + steps + EXPECT)
    assert outcome.held, broken(outcome)


def test_a_run_that_can_never_go_on_is_a_broken_verdict(
    push: str, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object, **__: object) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(User, "call", never)
    told: list[RunEvent] = []
    outcome = played(push, listen=told.append)
    ((expectation, because),) = broken(outcome)
    assert expectation == "the run goes on to its end"
    assert because[0].startswith("nobody is ready and no timer is set at 0.000000000 s")
    assert any("Task" in line or "phraseanet's worker" in line for line in because)
    assert isinstance(told[-1], Ended)
    assert not outcome.held


def test_a_scenario_file_that_is_missing_ends_the_run_before_it_begins(changed: Changed, played: Played) -> None:
    told: list[RunEvent] = []
    with pytest.raises(FileError, match=r"the file 'two.bin' of the scenario is not there"):
        played(changed(("two.bin: {size: 70 B}", "two.bin: {path: media/nothing}")), listen=told.append)
    assert told == []


def test_the_files_of_the_user_stand_in_the_header(push: str, tmp_path: Path, played: Played) -> None:
    path = tmp_path / 'a "quoted" name.txt'
    path.write_bytes(b"x" * 200_000)
    outcome = played(push, Play(files=user_files([path]), given=True))
    assert outcome.held, broken(outcome)
    assert [(file.name, file.size) for file in outcome.header.files] == [('a "quoted" name.txt', 200_000)]
    assert outcome.header.given


@pytest.mark.parametrize(
    ("given", "operation_id", "status"),
    [("uploadSizeMax: 50 B", "uploadAsset", 413), ("uploadSizeMax: 0 B", "uploadAsset", 413)],
)
def test_what_is_given_is_in_force(
    given: str, operation_id: str, status: int, changed: Changed, played: Played
) -> None:
    outcome = played(changed(("given:", f"given:\n  {given}")))
    assert f"found {status}" in broken(outcome)[0][1][0]


def test_a_testbed_takes_the_publisher_of_the_scenario(changed: Changed, played: Played) -> None:
    outcome = played(
        changed(("given:", "given:\n  publisher: {email: zoe@example.org, name: Zoë}")), Play(show_tokens=True)
    )
    assert outcome.held
    text = parse_scenario(outcome.header.scenario, "again").given
    assert text.publisher_email == "zoe@example.org"
    assert any("zoe@example.org" in str(event) for event in outcome.events)


def test_the_same_play_gives_the_same_events(push: str, played: Played) -> None:
    assert played(push).events == played(push).events
    scenario = parse_scenario(push, "elsewhere/s.yaml")
    assert play_in_process(scenario, Play(judged=False)).events == played(push).events
