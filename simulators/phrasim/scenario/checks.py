"""What must hold when the steps are done: one function for each expectation, each giving a verdict."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from phrasim.broker.client import Depth
from phrasim.documents import Contract, Messages
from phrasim.documents.specification import Operation, essence
from phrasim.journal.account import account
from phrasim.journal.commits import Commit, commits_of
from phrasim.journal.conformance import conform
from phrasim.journal.document import Section
from phrasim.journal.events import (
    Delivery,
    Event,
    Message,
    Noted,
    Participant,
    Publish,
    Received,
    Request,
    Response,
    Sent,
)
from phrasim.journal.sequence import label_key
from phrasim.journal.sightings import Trace, json_of
from phrasim.journal.verdict import CommitVerdict
from phrasim.scenario.agreement import disagreements
from phrasim.scenario.document import drawn_section
from phrasim.scenario.events import Verdict
from phrasim.scenario.exchanges import Exchanges
from phrasim.scenario.files import RunFile
from phrasim.scenario.model import Scenario
from phrasim.testbed import Testbed


def judge(
    scenario: Scenario, testbed: Testbed, files: Sequence[RunFile], depths: Mapping[str, Depth] | str
) -> Iterable[Verdict]:
    """The verdict on each expectation of the scenario, and on what is expected of every run.

    `depths` are those of the broker's queues at the end, or why it does not tell. With external participants some
    expectations are `unobserved`; others are judged by what passed the edges. Raises `DocumentError` where the
    scenario's document cannot be read.
    """
    expect, events, external = scenario.expect, testbed.journal.events, testbed.network.external
    yield messages_as_specified(events, testbed.network.contract)
    if external:
        wrong = disagreements(scenario, testbed.accounts, events, external)
        yield Verdict("messages agree with each other", "broken" if wrong else "held", tuple(wrong))
    if scenario.faults:
        idle = [f"{fault.operation_id}: {fault.effect!r} met no call" for fault in testbed.faults.idle()]
        yield Verdict(f"faults struck ({len(scenario.faults)})", "broken" if idle else "held", tuple(idle))
    if expect.sequence is not None:
        assert scenario.document is not None, "the loader holds a sequence to its document"
        section = drawn_section(scenario.document, Path(scenario.file).parent)
        yield from sequence(events, section, expect.sequence, testbed.network.contract, external)
    if expect.records is not None:
        yield records(testbed, files if expect.records != "none" else ())
    if expect.commits:
        yield commits(testbed, expect.commits)
    if expect.executions is not None:
        yield executions(testbed, expect.executions)
    if expect.queues:
        yield queues(testbed, expect.queues, depths)
    if expect.counts:
        yield counts(testbed, expect.counts)
    if expect.notes:
        yield notes(events, expect.notes, external)
    if expect.refusals:
        yield from refusals(events, expect.refusals, testbed.network.contract, external)


def messages_as_specified(events: Iterable[Event], contract: Contract) -> Verdict:
    """Every message of a service is as openapi/ says; a user may say what they like, and so may a fault."""
    spoiled = spoiled_requests(events)
    wrong: list[str] = []
    count = 0
    for message in seen_messages(events):
        if isinstance(message, Response) and message.reply_to in spoiled:
            continue
        found = violations(message, contract)
        if found is not None:
            count += 1
            wrong += [f"{message.id} ({message.operation_id}): {violation}" for violation in found]
    return Verdict(f"messages as specified ({count})", "broken" if wrong else "held", tuple(wrong))


def spoiled_requests(events: Iterable[Event]) -> set[str]:
    """The ids of the requests that a fault struck: what is answered to them is the fault's."""
    notes = (event for event in events if isinstance(event, Noted) and event.note == "fault")
    return {note.details["request"] for note in notes if "request" in note.details}


def seen_messages(events: Iterable[Event]) -> Iterable[Message]:
    """Each message that was sent, or received of an external participant, whose sending nobody sees."""
    for event in events:
        if isinstance(event, Sent | Received) and not isinstance(event.message, str):
            yield event.message


def sequence(
    events: Sequence[Event],
    section: Section,
    exceptions: Mapping[str, tuple[str, ...]],
    contract: Contract,
    external: tuple[Participant, ...] = (),
) -> Iterable[Verdict]:
    """The run walks the arrows of the section in their order, with the exceptions that are expected.

    An arrow between two external participants is a verdict of its own: unobserved.
    """
    verdicts = conform(section, events, contract, external=frozenset(external))
    lines: list[str] = []
    for verdict in verdicts:
        if not _as_expected(verdict, exceptions):
            lines += account(verdict)
    walked = "; ".join(_walked(verdict) for verdict in verdicts)
    expected = "sequence: walked" + "".join(f", {mark}: {', '.join(labels)}" for mark, labels in exceptions.items())
    yield Verdict(f"{expected} ({walked})", "broken" if lines else "held", tuple(lines))
    for one in (one for verdict in verdicts for one in verdict.unobserved):
        kind = one.arrow.kind
        why = f"{kind.sender} and {kind.receiver} are external"
        yield Verdict(f"arrow {one.arrow.number}, {one.arrow.label}", "unobserved", (why,))


def records(testbed: Testbed, files: Sequence[RunFile]) -> Verdict:
    """Phraseanet has one record for each file, of the same size and digest, and no other."""
    expected = f"records: one for each file, same bytes ({len(files)})" if files else "records: none"
    if "phraseanet" in testbed.network.external:
        return _unobserved(expected, "Phraseanet is external: what it makes of the files cannot be seen")
    wanted = Counter((file.name, file.size, file.sha256) for file in files)
    found = Counter((one.original_name, one.size, one.sha256) for one in testbed.phraseanet.records)
    lines = [f"missing: {_file_text(*one)}" for one in (wanted - found).elements()]
    lines += [f"not expected: {_file_text(*one)}" for one in (found - wanted).elements()]
    return Verdict(expected, "broken" if lines else "held", tuple(lines))


def commits(testbed: Testbed, expected: Mapping[str, int]) -> Verdict:
    """How many commits there are, and how many of them are acknowledged.

    An external upload service is not asked: what it answered to those who commit and acknowledge is counted.
    """
    if "upload" not in testbed.network.external:
        held = testbed.upload.commits
        found = {"count": len(held), "acknowledged": sum(commit.acknowledged for commit in held)}
        return _counts("commits", expected, found)
    made = [one for one in Exchanges(testbed.journal.events).all if one.request.operation_id == "commitAssets"]
    known = commits_of(Trace(testbed.journal.events, testbed.network.contract))
    found = {
        "count": sum(one.succeeded for one in made),
        "acknowledged": sum(_is_acknowledged(commit) for commit in known),
    }
    if "phraseanet" in testbed.network.external and "acknowledged" in expected:
        return _unobserved(
            f"commits: {_told(expected)}", "the upload service and Phraseanet are external: nobody here sees it"
        )
    return _counts("commits", expected, found)


def _is_acknowledged(commit: Commit) -> bool:
    """Whether its acknowledgement, or that of each of its assets, was taken."""

    def taken(operation_id: str, asset: str | None) -> bool:
        asked = commit.about((operation_id, "request", asset))
        return any(one.status is not None and not one.refused and not one.answer_lost for one in asked)

    each = [taken("acknowledgeAsset", asset) for asset in commit.assets]
    return taken("acknowledgeCommit", None) or (bool(each) and all(each))


def executions(testbed: Testbed, expected: int | Mapping[str, int]) -> Verdict:
    """How often the work was begun: once for each delivery, in all or by queue."""
    told = expected if isinstance(expected, int) else _told(expected)
    if {"phraseanet", "broker"} <= set(testbed.network.external):
        return _unobserved(f"executions of the work: {told}", "Phraseanet and its broker are external")
    deliveries = [one.queue for one in seen_messages(testbed.journal.events) if isinstance(one, Delivery)]
    if isinstance(expected, int):
        return _equal("executions of the work", expected, len(deliveries))
    return _counts("executions of the work", expected, {name: deliveries.count(name) for name in expected})


def counts(testbed: Testbed, expected: Mapping[str, int]) -> Verdict:
    """What the participants hold besides commits and records; that of external ones cannot be seen."""
    who = [name for name in ("upload", "phraseanet") if name in testbed.network.external]
    if who:
        return _unobserved(f"counts: {_told(expected)}", f"{_and(who)} external")
    return _counts("counts", expected, testbed.services.counts())


def notes(events: Iterable[Event], expected: Mapping[str, int], external: tuple[Participant, ...] = ()) -> Verdict:
    """How often the simulated participants noted something; external ones, save a broker, may have had cause to."""
    who = [name for name in external if name != "broker"]
    if who:
        return _unobserved(f"notes: {_told(expected)}", f"{_and(who)} external, and note nothing here")
    noted = Counter(event.note for event in events if isinstance(event, Noted))
    return _counts("notes", expected, {name: noted[name] for name in expected})


def queues(testbed: Testbed, expected: Mapping[str, int], depths: Mapping[str, Depth] | str) -> Verdict:
    """How many messages lie in each queue, those that somebody works on included; `depths` may say why nobody knows."""
    told = _told(expected)
    if {"phraseanet", "broker"} <= set(testbed.network.external):
        return _unobserved(f"queues: {told}", "the broker is Phraseanet's, which is external")
    if isinstance(depths, str):
        return Verdict(f"queues: {told}", "broken", (f"the broker does not tell: {depths}",))
    # A queue that nobody has declared yet holds nothing: failed queues are declared with the first message in them.
    found = dict.fromkeys(expected, 0) | {name: depth.ready + depth.unacknowledged for name, depth in depths.items()}
    return _counts("queues", expected, found)


def refusals(
    events: Iterable[Event],
    expected: Mapping[str, tuple[int, ...]],
    contract: Contract,
    external: tuple[Participant, ...] = (),
) -> Iterable[Verdict]:
    """The refusals that the calls of each operation got, in the order of the calls."""
    exchanges = Exchanges(events).all
    lines = []
    seen = {name: statuses for name, statuses in expected.items() if not _ends(name, contract) <= frozenset(external)}
    for operation_id, statuses in seen.items():
        found = tuple(
            exchange.response.status
            for exchange in exchanges
            if exchange.request.operation_id == operation_id and exchange.response and exchange.response.status >= 400
        )
        if found != statuses:
            lines.append(f"{operation_id}: expected {_statuses(statuses)}, found {_statuses(found)}")
    if seen:
        told = "; ".join(f"{operation_id} {_statuses(statuses)}" for operation_id, statuses in seen.items())
        yield Verdict(f"refusals: {told}", "broken" if lines else "held", tuple(lines))
    for operation_id in (name for name in expected if name not in seen):
        told = f"refusals: {operation_id} {_statuses(expected[operation_id])}"
        yield _unobserved(told, f"{' and '.join(sorted(_ends(operation_id, contract)))} are external")


def _and(names: Sequence[str]) -> str:
    return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"


def _unobserved(expectation: str, why: str) -> Verdict:
    return Verdict(expectation, "unobserved", (why,))


def _ends(operation_id: str, contract: Contract) -> frozenset[str]:
    """Who calls an operation, and who answers it."""
    operation = contract.operations[operation_id]
    return frozenset(end for end in (operation.participant, operation.caller) if end is not None)


def violations(message: object, contract: Contract) -> list[str] | None:
    """What is wrong with a message; None for one that no document describes, and for what a user says."""
    if isinstance(message, Publish | Delivery):
        return _message_violations(message, contract.messages)
    if not isinstance(message, Request | Response) or message.operation_id is None:
        return None
    participant = message.receiver if isinstance(message, Request) else message.sender
    operation = contract.specification(participant).operations[message.operation_id]
    headers = dict(message.headers)
    media_type = headers.get("content-type")
    if isinstance(message, Response):
        found = operation.response_violations(message.status, media_type, json_of(message))
        return [str(one) for one in (*found, *operation.header_violations(message.status, headers))]
    if message.sender == "user" or not _is_judged(operation, media_type):
        return None
    return [str(one) for one in operation.request_violations(media_type, json_of(message))]


def _is_judged(operation: Operation, media_type: str | None) -> bool:
    """Whether a request's body is JSON, or is not what the operation asks for; a form is its receiver's to judge."""
    if "json" in (media_type or ""):
        return True
    return operation.request_required and essence(media_type or "") not in operation.request_media_types


def _message_violations(message: Publish | Delivery, document: Messages) -> list[str] | None:
    channel = (
        document.for_queue(message.queue)
        if isinstance(message, Delivery)
        else document.for_routing_key(message.exchange, message.routing_key)
    )
    if channel is None:
        return [f"no channel of messages.yaml is reached by {message.exchange!r}, {message.routing_key!r}"]
    content_type = message.properties.get("content-type")
    return [str(one) for one in document.message_violations(channel.name, json_of(message), content_type)]


def _as_expected(verdict: CommitVerdict, exceptions: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether the arrows that are not simply walked are those that the scenario names, each in the way it names."""
    expected = {(mark, label_key(label)) for mark, labels in exceptions.items() for label in labels}
    expected -= {(mark, label_key(one.arrow.kind.label)) for one in verdict.unobserved for mark, _ in expected}
    found = {(one.mark, label_key(one.arrow.kind.label)) for one in verdict.broken}
    return found == expected and (verdict.found or bool(exceptions))


def _walked(verdict: CommitVerdict) -> str:
    walked = sum(one.mark == "walked" for one in verdict.arrows)
    return f"{walked} of {len(verdict.arrows)} arrows"


def _counts(what: str, expected: Mapping[str, int], found: Mapping[str, int]) -> Verdict:
    lines = tuple(
        f"{name}: expected {number}, found {found.get(name)}"
        for name, number in expected.items()
        if found.get(name) != number
    )
    return Verdict(f"{what}: {_told(expected)}", "broken" if lines else "held", lines)


def _told(numbers: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in numbers.items())


def _equal(what: str, expected: int, found: int) -> Verdict:
    if expected == found:
        return Verdict(f"{what}: {expected}", "held")
    return Verdict(f"{what}: {expected}", "broken", (f"expected {expected}, found {found}",))


def _file_text(name: str, size: int, sha256: str) -> str:
    return f"{name!r}, {size} bytes, SHA-256 {sha256[:12]}…"


def _statuses(statuses: tuple[int, ...]) -> str:
    return ", ".join(map(str, statuses)) or "none"
