"""The words for verdicts: each case's whole text lies in golden/, so that a worse message shows in review."""

from pathlib import Path

import msgspec
import pytest

from phrasim.documents import contract
from phrasim.journal.account import account, seconds
from phrasim.journal.conformance import conform
from phrasim.journal.events import Lost, Received

CONTRACT = contract("documented")

GOLDEN = Path(__file__).parent / "golden"


def without(messages, *ids):
    return [message for message in messages if message.id not in ids]


def changed(messages, message_id, **changes):
    return [msgspec.structs.replace(one, **changes) if one.id == message_id else one for one in messages]


def place(messages, message_id):
    return next(index for index, message in enumerate(messages) if message.id == message_id)


def walked(build):
    run = build.Run("push", 2)
    return "push", build.events([*run.messages()[:-2], *run.metadata(0), *run.metadata(1), *run.messages()[-2:]])


def missing_notification(build):
    messages = build.Run("push", 2).messages()
    request, answer = place(messages, "a.notify"), place(messages, "a.notify.answer")
    messages[request] = msgspec.structs.replace(messages[request], target="/api/v1/upload/enqueu", operation_id=None)
    messages[answer] = msgspec.structs.replace(messages[answer], status=404, operation_id=None)
    return "push", build.events(messages)


def lost_contents(build):
    events = build.events(build.Run("push", 1).messages())
    return "push", [
        Lost(at=event.at, message=event.message, reason="the body was cut after 1 KiB of 3 KiB")
        if isinstance(event, Received) and event.message == "a.contents.0"
        else event
        for event in events
    ]


def acknowledged_too_early(build):
    messages = build.Run("pull", 2).messages()
    ack, contents = place(messages, "a.ack"), place(messages, "a.download.1")
    messages[ack], messages[contents] = messages[contents], messages[ack]
    return "pull", build.events(messages)


def notified_twice(build):
    run = build.Run("push", 1)
    messages = run.messages()
    produce = place(messages, "a.produce")
    again = [msgspec.structs.replace(one, id=f"again.{index}") for index, one in enumerate(run.notify())]
    again[1] = msgspec.structs.replace(again[1], reply_to="again.0")
    return "push", build.events([*messages[:produce], *again, *messages[produce:]])


def without_commit_id(build):
    run = build.Run("push", 2, tells_id=False)
    return "push", build.events(without(run.messages(), "a.ack", "a.ack.answer"))


def second_attempt(build):
    run = build.Run("push", 2)
    messages = run.messages()
    failed = [*messages[: place(messages, "a.download.1")], *run.fetch(1, "-failed", status=503)]
    delivery = run.consume("consume2", dead_lettered=True)
    work = [message for stage in run.work("2") for chain in stage for message in chain]
    return "push", build.events([*failed, *delivery, *work])


def two_commits(build):
    a, b = build.Run("push", 1, "a").messages(), build.Run("push", 1, "b").messages()
    turns = [0, 1] * len(a)
    return "push", build.events(build.merged([a, without(b, "b.ack", "b.ack.answer")], [*turns[:-3], 0]))


def no_commit(build):
    return "push", build.events(build.exchange("t", "upload", "auth", "getTokenInfo", "GET /token-info", status=401))


CASES = [
    walked,
    missing_notification,
    lost_contents,
    acknowledged_too_early,
    notified_twice,
    without_commit_id,
    second_attempt,
    two_commits,
    no_commit,
]


def text_of(build, drawn, case):
    mode, events = case(build)
    return "\n\n".join("\n".join(account(verdict)) for verdict in conform(drawn(mode), events, CONTRACT)) + "\n"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_the_account_of_a_run_is_the_golden_one(build, drawn, case):
    assert text_of(build, drawn, case) == (GOLDEN / f"{case.__name__}.txt").read_text()


def test_every_golden_text_has_its_case():
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {case.__name__ for case in CASES}


def test_an_arrow_between_external_participants_says_that_nobody_looked(build, drawn):
    run = build.Run("push", 1)
    external = frozenset({"upload", "phraseanet"})
    seen = [message for message in run.messages() if not {message.sender, message.receiver} <= external]
    lines = account(conform(drawn("push"), build.events(seen), CONTRACT, external=external)[0])
    assert "      both ends are external: nobody looked" in lines
    assert "5 of 9 arrows walked, 4 unobserved (3, 7, 8, 9)" in lines


def test_times_are_cut_to_milliseconds():
    assert [seconds(at) for at in (0, 999_999, 1_000_000, 12_345_678_901)] == [
        "0.000 s",
        "0.000 s",
        "0.001 s",
        "12.345 s",
    ]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_no_account_shows_a_token(build, drawn, case):
    assert "-token" not in text_of(build, drawn, case)
