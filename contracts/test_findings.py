"""What is found of a service that breaks one rule: which suite finds it, which rule and operation it names, and how."""

import time

import pytest
from mutation.mutant import Applied
from mutation.run import BUDGET_SECONDS, mutants

from phrasim.contract.finding import Finding
from phrasim.contract.hand_off import hold_hand_off
from phrasim.contract.in_process import in_process
from phrasim.contract.inquiry import Asked, Inquiry
from phrasim.contract.principals import principals
from phrasim.contract.suites import Extent
from phrasim.contract.verify import verify_simulated
from phrasim.testbed import Setting

pytestmark = pytest.mark.long

FOUND = {
    "field dropped: getAsset: 200 size": ("access", "answer", "getAsset", "size: this field is missing"),
    "status changed: uploadAsset: 415 to 400": ("refusals", "refusal", "uploadAsset", "400"),
    "status changed: getAsset: 503 to 418": ("refusals", "status", "getAsset", "the status 418 is not declared"),
    "status changed: enqueueAssets: 503 to 418": ("refusals", "status", "enqueueAssets", "418"),
    "header lost: listCommits: 401 www-authenticate": ("access", "answer", "listCommits", "this header is missing"),
    "access cell flipped: getAsset: ordinary user, asset committed": ("access", "access", "getAsset", "200"),
    "access cell flipped: acknowledgeCommit: AssetToken of the commit, commit ack": (
        "access",
        "status",
        "acknowledgeCommit",
        "403",
    ),
    "transition removed: uploadAsset: an asset is not kept": ("access", "status", "commitAssets", "files: unknown"),
    "transition removed: commitAssets: a commit is not kept": (
        "access",
        "status",
        "acknowledgeCommit",
        "404",
    ),
    "transition removed: commitAssets: a repeated asset is no reason to refuse": (
        "hand-off",
        "commit",
        "commitAssets",
        "200",
    ),
    "transition removed: commitAssets: the form data are not kept": ("hand-off", "form data", "listCommits", "None"),
    "transition removed: acknowledgeCommit: an acknowledgement does nothing": (
        "hand-off",
        "acknowledgement",
        "acknowledgeCommit",
        "is listed 10 s after",
    ),
    "transition removed: enqueueAssets: nobody is notified": (
        "hand-off",
        "notification",
        "enqueueAssets",
        "no notification of a commit within 10 s",
    ),
    "transition removed: enqueueAssets: a notification that was taken is repeated": (
        "scenarios",
        "sequence",
        "enqueueAssets",
        "repeated",
    ),
    "transition removed: phraseanet: a delivery is not settled": (
        "work",
        "acknowledgement",
        "acknowledgeCommit",
        "within its time",
    ),
    "transition removed: phraseanet: failed work is not tried again": (
        "work",
        "acknowledgement",
        "downloadAsset",
        "where the download",
    ),
    "transition removed: phraseanet: work is given up without a trace": (
        "scenarios",
        "queues",
        None,
        "assetsIngest_failed: expected 1, found 0",
    ),
    "transition removed: getPublisherInfo: nobody asks who published": (
        "work",
        "publisher",
        "getPublisherInfo",
        "no question to Auth",
    ),
    "transition removed: phraseanet: no record is kept": ("work", "record", "acknowledgeCommit", "no record of"),
    "transition removed: issueToken: any password is right": ("refusals", "grant", "issueToken", "200"),
    "message field dropped: phraseanet: to_message without 0.token": (
        "work",
        "credentials",
        "getAsset",
        "another token",
    ),
    "message field dropped: phraseanet: to_message without *.hash": (
        "work",
        "produced message",
        None,
        "element 1 with another hash, or without",
    ),
    "message field dropped: enqueueAssets: notification without token": (
        "access",
        "notification",
        "enqueueAssets",
        "a notification with token: this field is missing",
    ),
    "lie: downloadAsset: another commit's file": ("hand-off", "file", "downloadAsset", "bytes with the SHA-256"),
    "lie: listCommits: a commit listed twice": ("access", "listing", "listCommits", "stands there twice"),
    "lie: getAsset: a size that is one too many": ("access", "size", "uploadAsset", "size 8"),
    "lie: getPublisherInfo: another user": ("access", "publisher", "getPublisherInfo", "the user"),
    "lie: acknowledgeCommit: an acknowledgement before the download": (
        "work",
        "order",
        "acknowledgeCommit",
        "was downloaded",
    ),
    "lie: acknowledgeCommit: a second acknowledgement": (
        "work",
        "acknowledgement",
        "acknowledgeCommit",
        "2 acknowledgements",
    ),
    "header lost: listCommits: request authorization": ("scenarios", "step nothing-new", "listCommits", "waited 120 s"),
}
"""By the mutant of the documented services: suite, rule, operation, and what is in the sentence."""

MUTANTS = {one.id.removeprefix("documented: "): one for one in mutants("documented")}


@pytest.mark.parametrize("name", FOUND)
def test_a_broken_rule_is_found_and_named(name: str) -> None:
    suite, rule, operation, came = FOUND[name]
    finding = first_finding(name)
    assert (finding.suite, finding.rule, finding.operation_id) == (suite, rule, operation)
    assert came in finding.came
    assert finding.asked
    assert finding.expected
    assert finding.place.partition("#")[0].removeprefix("openapi/")


def first_finding(name: str) -> Finding:
    mutant = MUTANTS[name]
    asked = Asked(seed=1, budget=BUDGET_SECONDS, stop_at_first=True)
    with mutant.apply(Applied()):
        verdicts = verify_simulated(mutant.participant, mutant.profile, asked, Extent(fills_time=False))
    (finding,) = [one for suite in verdicts.suites for one in suite.broken]
    return finding


FOUND_BY_THE_HAND_OFF = {
    "lie: uploadAsset: an id that was given before": {"id"},
    "lie: listCommits: a token of another commit": {"token", "access"},
    "lie: listCommits: a commit listed twice": {"listing"},
    "lie: listCommits: a commit never listed": {"commit"},
    "lie: listCommits: acknowledged commits listed, too": {"acknowledgement"},
    "lie: listCommits: a total size that is one too many": {"listing"},
    "lie: listCommits: the assets of all commits": {"commit"},
    "lie: getAsset: the id of another asset": {"status"},
    "lie: getAsset: a size that is one too many": {"size", "metadata"},
    "lie: getAsset: the form data of another commit": {"form data"},
    "lie: downloadAsset: another commit's file": {"file"},
    "status changed: downloadAsset: 200 to 201": {"file"},
    "status changed: acknowledgeCommit: 200 to 201": {"access"},
    "status changed: commitAssets: 400 to 401": {"commit"},
    "transition removed: commitAssets: assets are not committed": {"status"},
    "transition removed: uploadAsset: an asset is not kept": {"status"},
}
"""What the hand-off in any order finds of them, among other things; it goes on after a finding."""


MEASURED = 4
"""So many of them cover what the others do; the tracing that tells so takes four times as long."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if number < MEASURED else [pytest.mark.unmeasured])
        for number, name in enumerate(FOUND_BY_THE_HAND_OFF)
    ],
)
def test_the_hand_off_in_any_order_finds_what_is_wrong_and_goes_on(name: str) -> None:
    with MUTANTS[name].apply(Applied()), in_process("upload", Setting(mode="off")) as subject:
        inquiry = Inquiry("hand-off", subject.contract, Asked(), time.monotonic() + 600)
        hold_hand_off(subject, inquiry, principals(subject), 8)
    assert {finding.rule for finding in inquiry.findings} >= FOUND_BY_THE_HAND_OFF[name]
    assert inquiry.cases > 8
