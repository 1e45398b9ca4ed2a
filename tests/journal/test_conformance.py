"""Holding traces to the sequence: what passes, and that whatever is changed is reported at the arrow it was."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.documents import contract, secret_fields
from phrasim.journal.account import account
from phrasim.journal.conformance import conform
from phrasim.journal.events import Event, Header, Lost, Noted, Received, Request, Response, Sent
from phrasim.journal.lines import trace_bytes
from phrasim.journal.sightings import Trace

CONTRACT = contract("documented")

modes = st.sampled_from(["push", "pull"])
numbers_of_assets = st.integers(1, 6)


def interleaved(build, data, chains):
    turns = [index for index, chain in enumerate(chains) for _ in chain]
    return build.merged(chains, data.draw(st.permutations(turns)) if len(chains) > 1 else turns)


def walk(build, data, run):
    """The messages of a run, each stage's chains interleaved in any way that is legal."""
    return [message for stage in run.stages for message in interleaved(build, data, stage)]


def verdict_of(build, drawn, run, messages):
    (verdict,) = conform(drawn(run.mode), build.events(messages), CONTRACT)
    return verdict


def marks(verdict):
    return {one.arrow.number: one.mark for one in verdict.broken}


# --- what passes


@given(modes, numbers_of_assets, st.booleans(), st.data())
def test_every_legal_interleaving_of_n_assets_walks_3n_plus_6_arrows(build, drawn, mode, n, causes, data):
    run = build.Run(mode, n, causes=causes)
    verdict = verdict_of(build, drawn, run, walk(build, data, run))
    assert verdict.conforms
    assert [one.message.message.id for one in verdict.arrows] == run.arrows()
    assert len(verdict.arrows) == 3 * n + 6


@given(modes, numbers_of_assets, st.data())
def test_what_the_document_does_not_draw_may_happen_anywhere(build, drawn, mode, n, data):
    run = build.Run(mode, n)
    token = build.exchange("t", "phraseanet", "auth", "issueToken", "POST /oauth/v2/token", answer={})
    refused = build.exchange("r", "user", "upload", "uploadAsset", "POST /assets", answer={}, status=413)
    unknown = build.exchange("u", "user", "upload", None, "GET /favicon.ico", answer={}, status=404)
    extras = [run.metadata(0), run.metadata(n - 1, "again"), run.poll("tick", empty=True), token, refused, unknown]
    verdict = verdict_of(build, drawn, run, interleaved(build, data, [walk(build, data, run), *extras]))
    assert verdict.conforms
    assert {one.what: one.count for one in verdict.apart} == {
        "answers that no arrow draws": 2 * n + 4 + 4 - n,
        "not drawn: phraseanet -> upload getAsset": 2,
        "polls: phraseanet -> upload listCommits": 1,
        "not drawn: phraseanet -> auth issueToken": 1,
        "refused with 413: user -> upload uploadAsset": 1,
        "refused with 404: user -> upload GET /favicon.ico": 1,
    }


@given(modes, st.integers(1, 3), st.integers(2, 3), st.booleans(), st.data())
def test_interleaved_commits_are_judged_apart(build, drawn, mode, n, count, causes, data):
    publisher = "one" if causes else None
    runs = [build.Run(mode, n, name, publisher=publisher, causes=causes) for name in "abc"[:count]]
    messages = interleaved(build, data, [walk(build, data, run) for run in runs])
    verdicts = {one.commit_id: one for one in conform(drawn(mode), build.events(messages), CONTRACT)}
    assert set(verdicts) == {run.commit_id for run in runs}
    for run in runs:
        assert verdicts[run.commit_id].conforms
        assert [one.message.message.id for one in verdicts[run.commit_id].arrows] == run.arrows()
    (chosen,) = conform(drawn(mode), build.events(messages), CONTRACT, commit="b-commit")
    assert chosen.commit_id == "b-commit"


@given(modes, st.integers(1, 3), st.data())
def test_one_publishers_commits_without_causes_are_told_apart_by_their_deliveries(build, drawn, mode, n, data):
    runs = [build.Run(mode, n, name, publisher="one") for name in "ab"]
    a, b = (walk(build, data, run) for run in runs)
    asked = next(index for index, message in enumerate(a) if message.id == "a.publisher")
    delivered = next(index for index, message in enumerate(b) if message.id == "b.consume")
    messages = [*interleaved(build, data, [a[:asked], b[:delivered]]), *a[asked:], *b[delivered:]]
    for verdict in conform(drawn(mode), build.events(messages), CONTRACT):
        assert verdict.conforms


@given(modes, st.integers(1, 3), st.integers(0, 12), st.booleans(), st.booleans(), st.data())
def test_a_redelivery_opens_an_attempt_and_the_last_one_is_judged(build, drawn, mode, n, reached, causes, again, data):
    run = build.Run(mode, n, causes=causes)
    failed = walk(build, data, run)
    end = next(index for index, message in enumerate(failed) if message.id == "a.consume")
    failed = failed[: end + 1 + reached]
    second = [*run.consume("consume2", redelivered=again, dead_lettered=not again)]
    work = [message for stage in run.work("2") for message in interleaved(build, data, stage)]
    verdict = verdict_of(build, drawn, run, [*failed, *second, *work])
    assert verdict.conforms
    (attempt,) = verdict.attempts
    walked = [arrow for arrow in run.arrows() if arrow in {message.id for message in failed}]
    assert [arrow.number for arrow in attempt.reached] == [run.arrows().index(one) + 1 for one in walked[n + 3 :]]
    assert verdict.arrows[-1].message.message.id == "a.ack2"


def test_a_refused_request_stops_an_attempt_and_walks_nothing(build, drawn):
    run = build.Run("push", 1)
    until_delivery = [message for stage in run.stages[:-3] for chain in stage for message in chain]
    stopped = [*run.ask(), *run.fetch(0, "1", status=503)]
    again = [message for stage in [[run.consume("consume2", redelivered=True)], *run.work("2")] for message in stage[0]]
    verdict = verdict_of(build, drawn, run, [*until_delivery, *stopped, *again])
    assert verdict.conforms
    (attempt,) = verdict.attempts
    assert [arrow.label for arrow in attempt.reached] == ["Consume message", "Get publisher info"]
    assert [(one.message.id, one.status) for one in attempt.stopped_by] == [("a.download1.0", 503)]


@pytest.mark.parametrize(("causes", "expected"), [(True, {}), (False, {6: "repeated"})])
def test_a_straggler_belongs_to_the_attempt_that_caused_it(build, drawn, causes, expected):
    run = build.Run("push", 1, causes=causes)
    messages = [message for stage in run.stages[:-3] for chain in stage for message in chain]
    straggler = run.ask("straggler")
    again = [*run.consume("consume2", redelivered=True), *(m for stage in run.work("2") for m in stage[0])]
    verdict = verdict_of(build, drawn, run, [*messages, *again, *straggler])
    assert marks(verdict) == expected
    assert len(verdict.attempts[0].reached) == (2 if causes else 1)


def test_what_came_closest_is_sought_in_the_last_attempt(build, drawn):
    run = build.Run("push", 1)
    messages = [message for stage in run.stages[:-3] for chain in stage for message in chain]
    messages += [
        *run.fetch(0, "1", status=503),
        *run.consume("consume2", dead_lettered=True),
        *run.fetch(0, "2", status=500),
    ]
    verdict = verdict_of(build, drawn, run, messages)
    assert marks(verdict) == dict.fromkeys((6, 7, 8, 9), "missing")
    assert verdict.arrows[6].closest.message.id == "a.download2.0"
    assert verdict.arrows[7].closest.status == 500


def test_a_request_without_an_answer_is_walked_and_only_its_missing_answer_is_not(build, drawn):
    run = build.Run("push", 2)
    unanswered = [message for message in run.messages() if not isinstance(message, Response)]
    assert marks(verdict_of(build, drawn, run, unanswered)) == {9: "missing", 11: "missing"}


@given(numbers_of_assets, st.integers(0, 3), st.integers(0, 3))
def test_polls_that_do_not_list_the_commit_or_follow_its_publish_are_ticks(build, drawn, n, before, after):
    run = build.Run("pull", n)
    messages = run.messages()
    ticks = [message for index in range(before) for message in run.poll(f"before{index}", empty=True)]
    late = [message for index in range(after) for message in run.poll(f"after{index}")]
    verdict = verdict_of(build, drawn, run, [*ticks, *messages[:-2], *late, *messages[-2:]])
    assert verdict.conforms
    assert sum(one.count for one in verdict.apart if one.what.startswith("polls")) == before + after


def test_a_poll_that_is_answered_after_the_publish_is_not_the_one_it_followed(build, drawn):
    run = build.Run("pull", 1)
    messages = run.messages()
    publish = next(index for index, message in enumerate(messages) if message.id == "a.produce")
    asked, answered = run.poll("late")
    verdict = verdict_of(
        build, drawn, run, [*messages[:publish], asked, messages[publish], answered, *messages[publish + 1 :]]
    )
    assert verdict.conforms
    assert verdict.arrows[2].message.message.id == "a.poll"


def test_a_poll_may_be_asked_for_before_the_commit_that_its_answer_lists_is_made(build, drawn):
    run = build.Run("pull", 1)
    messages = run.messages()
    asked = next(message for message in messages if message.id == "a.poll")
    others = [message for message in messages if message is not asked]
    for place in range(3):
        assert verdict_of(build, drawn, run, [*others[:place], asked, *others[place:]]).conforms
    exchange = [asked, next(message for message in messages if getattr(message, "reply_to", "") == "a.poll")]
    others = [message for message in messages if message not in exchange]
    assert marks(verdict_of(build, drawn, run, [*exchange, *others])) == {3: "out of order"}


# --- what does not


@given(modes, numbers_of_assets, st.data())
def test_a_dropped_arrow_is_missing_there_and_nowhere_else(build, drawn, mode, n, data):
    run = build.Run(mode, n)
    number, dropped = data.draw(st.sampled_from(list(enumerate(run.arrows(), start=1))))
    messages = [message for message in walk(build, data, run) if message.id != dropped]
    verdict = verdict_of(build, drawn, run, messages)
    assert not verdict.conforms
    assert marks(verdict) == {number: "missing"}


@given(modes, numbers_of_assets, st.data())
def test_a_lost_message_walks_nothing_and_is_named_with_its_reason(build, drawn, mode, n, data):
    run = build.Run(mode, n)
    number, lost = data.draw(st.sampled_from(list(enumerate(run.arrows(), start=1))))
    events = [
        Lost(at=event.at, message=lost, reason="the wire was cut")
        if isinstance(event, Received) and event.message == lost
        else event
        for event in build.events(walk(build, data, run))
    ]
    (verdict,) = conform(drawn(mode), events, CONTRACT)
    assert marks(verdict) == {number: "missing"}
    assert verdict.arrows[number - 1].closest.lost == "the wire was cut"


def renamed(message, how):
    """The message with another path or queue, another operation, or another participant at one end."""
    if how == "participant":
        other = "auth" if message.sender != "auth" else "user"
        return msgspec.structs.replace(message, sender=other)
    if isinstance(message, Request):
        path = f"/elsewhere{message.target}x" if how == "path" else message.target
        operation_id = "getTokenInfo" if how == "operation" else None
        return msgspec.structs.replace(message, target=path, operation_id=operation_id)
    if isinstance(message, Response):
        return msgspec.structs.replace(message, status=206)
    if how == "path":
        changes = {"routing_key": "other", "operation_id": None}
        if not hasattr(message, "publish"):
            return msgspec.structs.replace(message, **changes)
        return msgspec.structs.replace(message, queue="other", **changes)
    return msgspec.structs.replace(message, operation_id="giveUpMessage")


@given(modes, numbers_of_assets, st.sampled_from(["path", "operation", "participant"]), st.data())
def test_a_renamed_arrow_is_missing_there_and_nowhere_else(build, drawn, mode, n, how, data):
    run = build.Run(mode, n)
    number, changed = data.draw(st.sampled_from(list(enumerate(run.arrows(), start=1))))
    messages = [renamed(one, how) if one.id == changed else one for one in walk(build, data, run)]
    verdict = verdict_of(build, drawn, run, messages)
    assert number in marks(verdict)
    assert {number, number + 1} >= set(marks(verdict))
    assert verdict.arrows[number - 1].mark == "missing"
    if isinstance(messages[0], Request) and how == "participant":
        assert verdict.arrows[number - 1].closest.message.id == changed


@given(modes, st.integers(1, 4), st.booleans(), st.data())
def test_of_two_arrows_that_changed_places_no_third_is_blamed(build, drawn, mode, n, causes, data):
    run = build.Run(mode, n, causes=causes)
    messages = walk(build, data, run)
    walked = verdict_of(build, drawn, run, messages).arrows
    # A poll may be asked for before what its answer, which stays where it is, tells of.
    later = [one for one in walked if one.arrow.kind.operation_id != "listCommits"]
    related = [(a, b) for a in walked for b in later if a.arrow.precedes(b.arrow)]
    one, other = data.draw(st.sampled_from(related))
    first = next(i for i, message in enumerate(messages) if message is one.message.message)
    second = next(i for i, message in enumerate(messages) if message is other.message.message)
    messages[first], messages[second] = messages[second], messages[first]
    verdict = verdict_of(build, drawn, run, messages)
    broken = marks(verdict)
    assert broken
    assert set(broken) <= {one.arrow.number, other.arrow.number}
    assert set(broken.values()) == {"out of order"}


@given(modes, numbers_of_assets, st.data())
def test_an_arrow_that_comes_again_is_reported_there(build, drawn, mode, n, data):
    run = build.Run(mode, n)
    messages = walk(build, data, run)
    number, repeated = data.draw(st.sampled_from(list(enumerate(run.arrows(), start=1))))
    original = next(message for message in messages if message.id == repeated)
    again = [msgspec.structs.replace(original, id="again")]
    if isinstance(original, Request):
        answer = next(one for one in messages if isinstance(one, Response) and one.reply_to == repeated)
        again.append(msgspec.structs.replace(answer, id="again.answer", reply_to="again"))
    place = messages.index(original) + (2 if isinstance(original, Request) else 1)
    if repeated == "a.poll":
        place = next(index for index, one in enumerate(messages) if one.id == "a.produce")
    verdict = verdict_of(build, drawn, run, [*messages[:place], *again, *messages[place:]])
    assert not verdict.conforms
    assert number in marks(verdict)
    assert set(marks(verdict).values()) <= {"repeated", "out of order"}
    assert set(marks(verdict)) <= {number, number + 1}


@pytest.mark.parametrize(("before", "blamed"), [("a.contents.1", 12), ("a.download.1", 12), ("a.commit", 12)])
def test_an_arrow_that_came_too_early_is_blamed_alone_and_told_what_it_should_follow(build, drawn, before, blamed):
    run = build.Run("push", 2)
    *messages, ack, answer = run.messages()
    place = next(index for index, message in enumerate(messages) if message.id == before)
    verdict = verdict_of(build, drawn, run, [*messages[:place], ack, answer, *messages[place:]])
    assert marks(verdict) == {blamed: "out of order"}
    assert verdict.arrows[-1].should_follow.label == "Get contents #1"
    assert verdict.arrows[-1].should_precede is None


def test_an_arrow_that_came_too_late_is_told_what_should_follow_it(build, drawn):
    run = build.Run("push", 2)
    messages = run.messages()
    verdict = verdict_of(build, drawn, run, [*messages[:4], *messages[6:], *messages[4:6]])
    assert marks(verdict) == {3: "out of order"}
    assert verdict.arrows[2].should_precede.label == "Notify there is a new asset"


def test_a_delivery_that_comes_again_without_being_redelivered_repeats_all_that_follows(build, drawn):
    run = build.Run("push", 1, causes=True)
    again = [*run.produce("produce2"), *run.consume("consume2"), *(m for stage in run.work("2") for m in stage[0])]
    verdict = verdict_of(build, drawn, run, [*run.messages(), *again])
    assert marks(verdict) == dict.fromkeys(range(4, 10), "repeated")
    assert not verdict.attempts


def test_an_upload_that_is_never_answered_and_sent_again_is_a_repetition(build, drawn):
    run = build.Run("push", 2)
    messages = run.messages()
    again = msgspec.structs.replace(messages[2], id="again")
    verdict = verdict_of(build, drawn, run, [*messages[:2], again, *messages[2:]])
    assert marks(verdict) == {1: "repeated"}


# --- commits that are told apart by little


@given(modes, numbers_of_assets, st.data())
def test_without_a_commit_id_the_acknowledgement_is_unreachable(build, drawn, mode, n, data):
    if mode == "pull":
        return
    run = build.Run(mode, n, tells_id=False)
    messages = [message for message in walk(build, data, run) if not message.id.startswith("a.ack")]
    verdict = verdict_of(build, drawn, run, messages)
    assert marks(verdict) == {3 * n + 6: "unreachable"}
    assert verdict.commit_id is None


def test_an_id_that_only_a_refused_notification_named_does_not_make_the_acknowledgement_reachable(build, drawn):
    run, telling = build.Run("push", 1, tells_id=False), build.Run("push", 1)
    request, answer = telling.notify()
    refused = [
        msgspec.structs.replace(request, id="refused"),
        msgspec.structs.replace(answer, id="refusal", reply_to="refused", status=500),
    ]
    messages = run.messages()
    verdict = verdict_of(build, drawn, run, [*messages[:4], *refused, *messages[4:-2]])
    assert marks(verdict) == {9: "unreachable"}
    assert verdict.commit_id == "a-commit"


def test_commits_of_the_same_assets_are_told_apart_by_their_tokens(build, drawn):
    first, second = build.Run("push", 1, "a", tells_id=False), build.Run("push", 1, "b", tells_id=False)
    second.assets = first.assets
    again = [[second.commit()], [second.notify()], [second.produce()], [second.consume()], *second.work()]
    messages = [*first.messages(), *(message for stage in again for message in stage[0])]
    assert [verdict.conforms for verdict in conform(drawn("push"), build.events(messages), CONTRACT)] == [True, True]


def test_an_acknowledgement_with_the_commits_token_tells_its_id(build, drawn):
    run = build.Run("push", 2, tells_id=False)
    verdict = verdict_of(build, drawn, run, run.messages())
    assert verdict.conforms
    assert verdict.commit_id == "a-commit"


def test_a_commit_that_nobody_was_told_of_is_found_by_its_files(build, drawn):
    run = build.Run("push", 2)
    only_uploaded = [message for stage in run.stages[:2] for chain in stage for message in chain]
    verdict = verdict_of(build, drawn, run, only_uploaded)
    assert verdict.found
    assert verdict.assets == ("a-asset-0", "a-asset-1")
    assert list(marks(verdict)) == [4, 5, 6, 7, 8, 9, 10, 11, 12]


def test_a_notification_that_is_always_refused_still_names_the_commit(build, drawn):
    run = build.Run("push", 1)
    request, answer = run.notify()
    refused = [request, msgspec.structs.replace(answer, status=500)]
    messages = [*(message for stage in run.stages[:2] for chain in stage for message in chain), *refused]
    verdict = verdict_of(build, drawn, run, messages)
    assert verdict.commit_id == "a-commit"
    assert verdict.arrows[2].closest.message.id == "a.notify"
    assert "refused with 500: upload -> phraseanet enqueueAssets" in {one.what for one in verdict.apart}


def test_an_asset_that_the_notification_forgets_is_missing_from_the_downloads(build, drawn):
    run = build.Run("push", 2)
    forgetful = build.Run("push", 2)
    forgetful.assets = run.assets[:1]
    messages = [message for stage in run.stages[:2] for chain in stage for message in chain]
    forgetful.n = 1
    rest = [[forgetful.notify()], [forgetful.produce()], [forgetful.consume()], *forgetful.work()]
    verdict = verdict_of(build, drawn, run, [*messages, *(one for stage in rest for chain in stage for one in chain)])
    assert marks(verdict) == {10: "missing", 11: "missing"}


def test_a_trace_without_a_commit_says_so_and_has_every_arrow_missing(build, drawn):
    (verdict,) = conform(drawn("push"), build.events([]), CONTRACT)
    assert not verdict.found
    assert not verdict.conforms
    assert [one.mark for one in verdict.arrows] == ["missing"] * 12


def test_a_commit_that_the_trace_does_not_have_is_not_found(build, drawn):
    (verdict,) = conform(drawn("push"), build.events(build.Run("push", 1).messages()), CONTRACT, commit="other")
    assert not verdict.found
    assert verdict.commit_id == "other"


def test_an_asset_that_two_commits_hold_counts_for_the_one_whose_token_or_cause_the_request_bears(build, drawn):
    for causes in (False, True):
        first, second = build.Run("push", 2, "a", causes=causes), build.Run("push", 2, "b", causes=causes)
        second.assets = first.assets
        second.token = "b-token" if not causes else first.token
        shared = [build.Run.upload(first, index) for index in range(2)]
        stages = [
            shared,
            *first.stages[1:],
            [second.commit()],
            [second.notify()],
            [second.produce()],
            [second.consume()],
        ]
        messages = [message for stage in [*stages, *second.work()] for chain in stage for message in chain]
        a, b = conform(drawn("push"), build.events(messages), CONTRACT)
        assert a.conforms
        assert b.conforms
        assert b.arrows[7].message.message.id == "b.download.0"


def test_the_place_of_a_message_is_where_it_was_sent_whenever_it_was_noted_as_received(build):
    sent, received, *_ = build.events(build.Run("push", 1).messages())
    (sighting,) = Trace([received, Noted(at=1, by="user", note="anything"), sent], CONTRACT).sightings
    assert (sighting.line, sighting.at) == (4, sent.at)


def test_what_the_address_says_goes_before_the_operation_that_a_message_names(build, drawn):
    run = build.Run("push", 1)
    unnamed = [msgspec.structs.replace(message, operation_id=None) for message in run.messages()]
    assert verdict_of(build, drawn, run, unnamed).conforms
    elsewhere = [
        msgspec.structs.replace(message, target="/elsewhere") if message.id == "a.commit" else message
        for message in run.messages()
    ]
    assert marks(verdict_of(build, drawn, run, elsewhere)) == {2: "missing"}


@pytest.mark.parametrize("listed", [lambda asset: f"/assets/{asset}", lambda asset: {"@id": asset, "id": asset}])
def test_a_listing_in_the_shapes_of_real_services_is_understood(build, drawn, listed):
    run = build.Run("pull", 2)
    messages = run.messages()
    place = next(index for index, message in enumerate(messages) if message.id == "a.poll.answer")
    item = {**messages[place].body.json[0], "assets": [listed(asset) for asset in run.assets]}
    body = msgspec.structs.replace(messages[place].body, json={"hydra:member": [item], "hydra:totalItems": 1})
    messages[place] = msgspec.structs.replace(messages[place], body=body)
    verdict = verdict_of(build, drawn, run, messages)
    assert verdict.conforms
    assert verdict.assets == ("a-asset-0", "a-asset-1")


@given(modes, st.integers(1, 3), st.booleans())
def test_a_trace_from_disk_with_its_tokens_redacted_gives_the_same_verdict(build, drawn, mode, n, tells_id):
    run = build.Run(mode, n, tells_id=tells_id)
    events = [Noted(at=0, by="user", note="begins"), *build.events(run.messages())]
    header = Header(
        version="0", wire="in-process", profile="documented", seed=1, tokens="redacted", scenario="", files=()
    )
    lines = trace_bytes(header, events, secret_fields()).splitlines()
    assert not any(run.token.encode() in line for line in lines)
    read = [msgspec.json.decode(line, type=Event) for line in lines[1:]]
    (verdict,) = conform(drawn(mode), read, CONTRACT)
    assert [account(one) for one in conform(drawn(mode), events, CONTRACT)] == [account(verdict)]
    assert all(f'"id":"{one.message.message.id}"'.encode() in lines[one.message.line - 1] for one in verdict.arrows)


# --- external participants


def test_an_arrow_between_two_external_participants_is_neither_held_nor_broken(build, drawn):
    run = build.Run("push", 1)
    external = frozenset({"upload", "phraseanet"})
    seen = [message for message in run.messages() if not {message.sender, message.receiver} <= external]
    (verdict,) = conform(drawn("push"), build.events(seen), CONTRACT, external=external)
    assert [one.arrow.label for one in verdict.unobserved] == [
        "Notify there is a new asset",
        "Download asset #0",
        "Get contents #0",
        "Acknowledge of upload commit",
    ]
    assert not verdict.broken
    assert verdict.conforms


@pytest.mark.parametrize("mode", ["push", "pull"])
def test_a_message_that_is_only_received_walks_its_arrow(build, drawn, mode):
    run = build.Run(mode, 2)
    events = [
        Received(at=event.at, message=event.message)
        for event in build.events(run.messages())
        if isinstance(event, Sent)
    ]
    (verdict,) = conform(drawn(mode), events, CONTRACT)
    assert verdict.conforms
