"""Whether a trace walks the arrows that a document draws, judged commit by commit.

A request is the arrow if it was sent, or received where its sender is not observed, and not refused; its missing answer
is another arrow's business. A message that was lost walks nothing. The order is partial: the stages as drawn, uploads
free among each other, the downloads of different assets too.

A redelivery opens a new attempt: what follows the delivery, of the asset that it is about if it is about one, is judged
on the last one. Where nobody saw the deliveries, since both their ends are external, what follows may come again. A
poll counts only if its answer lists the commit and the commit's message was published after it: the others are ticks
of a timer.
"""

import bisect
import difflib
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet

from phrasim.documents import Contract
from phrasim.journal.commits import Commit, commits_of, owners
from phrasim.journal.document import Section
from phrasim.journal.events import Event, Participant, Request, Response
from phrasim.journal.sequence import Arrow, BoundSequence, bind
from phrasim.journal.sightings import Sighting, Trace, wire_text
from phrasim.journal.verdict import Apart, ArrowVerdict, Attempt, CommitVerdict, Mark

_NOBODY: frozenset[Participant] = frozenset()
_SIMILAR = 0.7
"""How similar two lines must be for one to be called close to the other, if nothing else speaks for it."""
_COMPARED_MAX = 500
"""How many messages are looked at for the one that came closest to a missing arrow."""


def conform(
    section: Section,
    events: Iterable[Event],
    contract: Contract,
    commit: str | None = None,
    external: AbstractSet[Participant] = _NOBODY,
) -> list[CommitVerdict]:
    """Hold each commit of a trace, or the one with the id `commit`, to the sequence of a section.

    Without any such commit there is one verdict, no arrow of which is walked. `contract` is that of the trace,
    `external` are the participants that phrasim did not play. Raises `DocumentError` where the section's drawing
    cannot be bound.
    """
    sequence = bind(section, contract)
    trace = Trace(events, contract)
    chosen = [verdict for verdict in judge(sequence, trace, external) if commit in (None, verdict.commit_id)]
    return chosen or [_nothing(sequence, trace, commit, external)]


def judge(sequence: BoundSequence, trace: Trace, external: AbstractSet[Participant] = _NOBODY) -> list[CommitVerdict]:
    """Hold each commit of a trace to a sequence that is bound already; an empty list if there is no commit."""
    commits = commits_of(trace)
    pool = _Pool(trace, commits)
    return [_Judge(sequence, trace, one, pool, external).verdict() for one in commits]


def _nothing(
    sequence: BoundSequence, trace: Trace, commit: str | None, external: AbstractSet[Participant]
) -> CommitVerdict:
    arrows = sequence.arrows([""] * sequence.drawn_assets())
    missing = tuple(
        ArrowVerdict(arrow, "unobserved" if _unobserved(arrow, external) else "missing", _expected(arrow, None))
        for arrow in arrows
    )
    apart = tuple(_apart(trace.sightings, frozenset()))
    return CommitVerdict(sequence.title, False, commit, (), missing, (), apart)


class _Pool:
    """The messages of a trace by whose they are; those that do not say so go to one commit at most."""

    def __init__(self, trace: Trace, commits: list[Commit]) -> None:
        self.owners = owners(commits, trace)
        self._unowned = [one for one in trace.sightings if one.message.id not in self.owners]
        self._owned = [one for one in trace.sightings if one.message.id in self.owners]
        self._owned_by: dict[Commit, list[Sighting]] = {}
        for one in self._owned:
            for owner in self.owners[one.message.id]:
                self._owned_by.setdefault(owner, []).append(one)
        self._uploads = [
            one
            for one in trace.sightings
            if one.operation_id == "uploadAsset" and one.part == "request" and not one.answer and not one.lost
        ]
        self._contents = [
            one
            for one in trace.sightings
            if one.part == "response" and one.request is None and not one.lost and not one.refused
        ]
        self._commit_lines = sorted(
            request.line for commit in commits for request in commit.about(("commitAssets", "request", None))
        )

    def take(self, arrow: Arrow, after: int) -> Sighting | None:
        """A message that may well have walked a missing arrow: an upload without an answer, an answer without request.

        It comes after the line `after`.
        """
        candidates = self._uploads if arrow.kind.part == "request" else self._contents
        for one in candidates:
            if _walks(one, arrow) and one.line > after:
                candidates.remove(one)
                return one
        return None

    def apart(self, commit: Commit, used: AbstractSet[str]) -> tuple[Apart, ...]:
        """What is left of a commit's messages and of nobody's, by what it is; then those of other commits."""
        own = self._owned_by.get(commit, [])
        left = _apart(sorted((*own, *self._unowned), key=lambda one: one.line), used)
        if len(own) < len(self._owned):
            first = next(one for one in self._owned if commit not in self.owners[one.message.id])
            left.append(Apart("messages of other commits", len(self._owned) - len(own), first.at))
        return tuple(left)

    def surplus_uploads(self, commit: Commit) -> list[Sighting]:
        """Uploads without an answer that nothing took and that precede this commit's request, but no earlier one's."""
        (*_, own) = [0, *(request.line for request in commit.about(("commitAssets", "request", None)))]
        before = bisect.bisect_left(self._commit_lines, own)
        since = self._commit_lines[before - 1] if before else 0
        return [one for one in self._uploads if since < one.line < own]


class _Executions:
    """The deliveries that walk one arrow of a delivery; `openers` are those of which each opened another attempt."""

    def __init__(self, delivery: Arrow, deliveries: list[Sighting]) -> None:
        self.delivery = delivery
        self.ids = frozenset(one.message.id for one in deliveries)
        self.openers = [one for index, one in enumerate(deliveries) if index == 0 or one.delivered_again]

    def cover(self, arrow: Arrow) -> bool:
        """Whether that arrow, of the same asset or of the whole commit's, is the delivery or comes behind it."""
        return arrow == self.delivery or self.delivery.precedes(arrow)


class _Judge:
    """Judges one commit. `_used` are the ids of the messages that an arrow, or an earlier attempt, accounts for."""

    def __init__(
        self,
        sequence: BoundSequence,
        trace: Trace,
        commit: Commit,
        pool: _Pool,
        external: AbstractSet[Participant],
    ) -> None:
        self._trace = trace
        self._commit = commit
        self._pool = pool
        self._external = external
        self._title = sequence.title
        self._assets = tuple(commit.assets)
        self._arrows = sequence.arrows(self._assets)
        self._used: set[str] = set()
        self._executions = [
            _Executions(arrow, self._candidates(arrow)) for arrow in self._arrows if arrow.kind.part == "delivery"
        ]
        self._executions_of: dict[str | None, list[_Executions]] = {}
        self._opened_by: dict[str, _Executions] = {}
        for one in self._executions:
            self._executions_of.setdefault(one.delivery.asset, []).append(one)
            self._opened_by.update(dict.fromkeys(one.ids, one))

    def verdict(self) -> CommitVerdict:
        """The verdict on this commit."""
        walked = {arrow.number: self._walked(arrow) for arrow in self._arrows}
        self._fill(walked)
        lines = [(arrow, _place(walked[arrow.number][0])) for arrow in self._arrows if walked[arrow.number]]
        blamed = _out_of_order(lines)
        for sightings in walked.values():
            self._used.update(one.message.id for one in sightings)
        attempts = [
            self._attempt(one, number)
            for one in reversed(self._executions)  # those of one asset before those that brought them about
            for number in range(len(one.openers) - 1)
        ]
        attempts.sort(key=lambda attempt: attempt.delivery.line)
        verdicts = tuple(self._verdict(arrow, walked, blamed) for arrow in self._arrows)
        return CommitVerdict(
            title=self._title,
            found=True,
            commit_id=self._commit.commit_id,
            assets=self._assets,
            arrows=verdicts,
            attempts=tuple(attempts),
            apart=self._pool.apart(self._commit, self._used),
        )

    def _candidates(self, arrow: Arrow) -> list[Sighting]:
        """The messages that walk an arrow, in whichever attempt."""
        about = self._commit.about((arrow.kind.operation_id, arrow.kind.part, arrow.asset))
        return [one for one in about if _walks(one, arrow)]

    def _walked(self, arrow: Arrow) -> list[Sighting]:
        """The message that walked an arrow, and those that did so again."""
        candidates = self._candidates(arrow)
        executions = self._behind(arrow)
        if executions is not None:
            last = len(executions.openers) - 1
            candidates = [one for one in candidates if self._attempt_of(one, executions) == last]
        return self._poll(candidates) if arrow.kind.operation_id == "listCommits" else candidates

    def _fill(self, walked: dict[int, list[Sighting]]) -> None:
        """Let messages that do not say which asset they are about stand for the arrows that nothing else walked."""
        for arrow in self._arrows:
            if arrow.asset is None or walked[arrow.number]:
                continue
            if arrow.kind.operation_id == "uploadAsset" or arrow.kind.part == "response":
                executions = self._behind(arrow)
                taken = self._pool.take(arrow, executions.openers[-1].line if executions else 0)
                if taken is not None:
                    walked[arrow.number] = [taken]
        uploads = [arrow for arrow in self._arrows if arrow.kind.operation_id == "uploadAsset" and walked[arrow.number]]
        for surplus in self._pool.surplus_uploads(self._commit) if uploads else ():
            before = [arrow for arrow in uploads if walked[arrow.number][0].line < surplus.line]
            again = max(before or uploads[:1], key=lambda arrow: walked[arrow.number][0].line)
            if _walks(surplus, again):
                walked[again.number].append(surplus)

    def _poll(self, listings: list[Sighting]) -> list[Sighting]:
        """The poll that the publish followed, then those that had listed the commit before it.

        A publish without a cause follows the last listing that was answered before it.
        """
        publishes = [arrow for arrow in self._arrows if arrow.kind.part == "publish"]
        published = [one for arrow in publishes for one in self._candidates(arrow)][:1]
        if not published or not listings:
            return listings[:1]
        publish = published[0]
        before = [one for one in listings if one.answer_line is not None and one.answer_line < publish.line]
        caused = [
            one for one in listings if publish.message.cause in (one.message.id, one.answer.id if one.answer else "")
        ]
        followed = (caused or before[-1:] or listings[:1])[0]
        return [followed, *(one for one in before if one is not followed)]

    def _behind(self, arrow: Arrow) -> _Executions | None:
        """The executions in which an arrow is walked, the innermost; None where nothing was delivered before it."""
        found = [one for one in self._covering(arrow) if one.openers]
        return max(found, key=lambda one: (one.delivery.group, one.delivery.place), default=None)

    def _covering(self, arrow: Arrow) -> list[_Executions]:
        subjects = dict.fromkeys((None, arrow.asset))
        return [one for subject in subjects for one in self._executions_of.get(subject, ()) if one.cover(arrow)]

    def _attempt_of(self, sighting: Sighting, executions: _Executions) -> int:
        """The number from 0 of the attempt that a message belongs to: by its cause, else by its place."""
        delivery = self._trace.delivery_behind(sighting)
        known = delivery is not None and delivery.message.id in executions.ids
        line = delivery.line if delivery is not None and known else sighting.line
        return max(sum(opener.line <= line for opener in executions.openers) - 1, 0)

    def _attempt(self, executions: _Executions, number: int) -> Attempt:
        """An earlier attempt, whose messages are thereby accounted for."""
        since, asset = executions.openers[0].line, executions.delivery.asset
        everything = [
            one
            for (_, _, subject), about in self._commit.messages.items()
            if asset in (None, subject)
            for one in about
            if one.line >= since and one.message.id not in self._used and not self._is_of_others(one, executions)
        ]
        own = [one for one in everything if self._attempt_of(one, executions) == number]
        reached: list[Arrow] = []
        for arrow in self._arrows:
            if self._behind(arrow) is executions:
                walkers = [one for one in self._candidates(arrow) if one in own]
                if walkers:
                    reached.append(arrow)
                    self._used.update(one.message.id for one in walkers)
        stopped = sorted((one for one in own if one.lost or _is_refused_request(one)), key=lambda one: one.line)
        self._used.update(one.message.id for one in stopped)
        self._used.update(one.answer.id for one in stopped if one.answer is not None)
        return Attempt(
            number + 1,
            of=len(executions.openers),
            asset=asset,
            delivery=executions.openers[number],
            reached=tuple(reached),
            stopped_by=tuple(stopped),
        )

    def _is_of_others(self, sighting: Sighting, executions: _Executions) -> bool:
        """Whether a message was caused by the delivery of another arrow."""
        delivery = self._trace.delivery_behind(sighting)
        opened = None if delivery is None else self._opened_by.get(delivery.message.id)
        return opened is not None and opened is not executions

    def _verdict(
        self,
        arrow: Arrow,
        walked: Mapping[int, list[Sighting]],
        blamed: Mapping[int, tuple[Arrow | None, Arrow | None]],
    ) -> ArrowVerdict:
        sightings = walked[arrow.number]
        expected = _expected(arrow, self._commit)
        if not sightings:
            return ArrowVerdict(arrow, self._why_missing(arrow), expected, closest=self._closest(arrow, expected))
        mark: Mark = "repeated" if len(sightings) > 1 and not self._may_come_again(arrow) else "walked"
        follow, precede = None, None
        if arrow.number in blamed:
            mark = "out of order"
            follow, precede = blamed[arrow.number]
        return ArrowVerdict(arrow, mark, expected, sightings[0], tuple(sightings[1:]), None, follow, precede)

    def _may_come_again(self, arrow: Arrow) -> bool:
        """Whether a redelivery that nobody could see may be behind a repetition."""
        behind = [one.delivery for one in self._covering(arrow) if one.delivery != arrow]
        return any(_unobserved(delivery, self._external) for delivery in behind)

    def _why_missing(self, arrow: Arrow) -> Mark:
        if _unobserved(arrow, self._external):
            return "unobserved"
        if arrow.kind.operation_id == "acknowledgeCommit" and not self._commit.id_was_told:
            return "unreachable"
        return "missing"

    def _closest(self, arrow: Arrow, expected: str) -> Sighting | None:
        """The message, of those that no arrow accounts for, that is most like what the arrow asks for."""
        best: tuple[float, Sighting] | None = None
        compared = 0
        for one in self._trace.sightings:
            if one.message.id in self._used or one.part != arrow.kind.part or compared == _COMPARED_MAX:
                continue
            others = self._pool.owners.get(one.message.id)
            if others and self._commit not in others:
                continue
            compared += 1
            same = one.operation_id == arrow.kind.operation_id
            beside = same + _joins(one, arrow) / 2
            matcher = difflib.SequenceMatcher(None, expected, wire_text(one), autojunk=False)
            at_most = matcher.quick_ratio()  # which takes a tenth of the time
            if not (same or at_most >= _SIMILAR) or (best is not None and at_most + beside <= best[0]):
                continue
            likeness = matcher.ratio()
            if (same or likeness >= _SIMILAR) and (best is None or likeness + beside > best[0]):
                best = likeness + beside, one
        return best[1] if best else None


def _unobserved(arrow: Arrow, external: AbstractSet[Participant]) -> bool:
    """Whether an arrow goes from one external participant to another, where nobody looks."""
    return arrow.kind.sender in external and arrow.kind.receiver in external


def _walks(sighting: Sighting, arrow: Arrow) -> bool:
    """Whether a message is what an arrow asks for, apart from what it is about and when."""
    kind = arrow.kind
    return (
        sighting.part == kind.part
        and sighting.operation_id == kind.operation_id
        and _joins(sighting, arrow)
        and sighting.lost is None
        and not sighting.refused
        and (kind.status is None or sighting.status == kind.status)
    )


def _place(sighting: Sighting) -> int:
    """The line by which a message is put in order: a poll's is its answer's, which alone knows of the commit.

    It may have been asked for before the commit was made, and be answered behind it.
    """
    if sighting.operation_id == "listCommits" and sighting.answer_line is not None:
        return sighting.answer_line
    return sighting.line


def _joins(sighting: Sighting, arrow: Arrow) -> bool:
    """Whether a message goes where the arrow goes; an end that is None may be anybody."""
    kind, (sender, receiver) = arrow.kind, sighting.ends()
    return kind.sender in (None, sender) and kind.receiver in (None, receiver)


def _is_refused_request(sighting: Sighting) -> bool:
    return isinstance(sighting.message, Request) and sighting.refused


def _expected(arrow: Arrow, commit: Commit | None) -> str:
    """The line that a message would have that walks an arrow, as far as the trace tells its ids."""
    kind = arrow.kind
    if kind.part == "publish":
        return f"publish to {kind.wire}"
    if kind.part == "delivery":
        return f"delivery from {kind.wire}"
    subject = arrow.asset
    if commit is not None and kind.operation_id == "getPublisherInfo":
        subject = commit.publisher
    if commit is not None and kind.operation_id == "acknowledgeCommit":
        subject = commit.commit_id
    wire = kind.about(subject)
    return wire if kind.status is None else f"{kind.status} to {wire}"


def _out_of_order(walked: list[tuple[Arrow, int]]) -> dict[int, tuple[Arrow | None, Arrow | None]]:
    """The fewest arrows to blame for the order, by number, each with what it should have followed or preceded.

    Blames the arrow with most conflicts until there is none. Where several have as many, the one that had most at
    first, then the one that lies farthest from those it conflicts with: of two that changed places, these are the
    two, and not what stands between them. Of two that only conflict with each other it is the one drawn later, which
    came too early.
    """
    ranked = sorted(range(len(walked)), key=lambda index: walked[index][1])
    rank = {index: place for place, index in enumerate(ranked)}
    conflicts: dict[int, dict[int, None]] = {index: {} for index in range(len(walked))}
    for first, (arrow, line) in enumerate(walked):
        for second in range(first + 1, len(walked)):
            other, other_line = walked[second]
            if (arrow.precedes(other) and line > other_line) or (other.precedes(arrow) and other_line > line):
                conflicts[first][second] = None
                conflicts[second][first] = None
    initial = {
        index: (len(others), sum(abs(rank[index] - rank[other]) for other in others))
        for index, others in conflicts.items()
    }
    blamed: dict[int, tuple[Arrow | None, Arrow | None]] = {}
    while any(conflicts.values()):
        worst = max(conflicts, key=lambda index: (len(conflicts[index]), *initial[index], index))
        arrow = walked[worst][0]
        others = [walked[other][0] for other in conflicts.pop(worst)]
        earlier = [other for other in others if other.precedes(arrow)]
        later = [other for other in others if arrow.precedes(other)]
        blamed[arrow.number] = (earlier[-1] if earlier else None, later[0] if later else None)
        for remaining in conflicts.values():
            remaining.pop(worst, None)
    return blamed


def _apart(sightings: Iterable[Sighting], used: AbstractSet[str]) -> list[Apart]:
    """What nothing accounts for, grouped by what it is, in the order of first appearance."""
    groups: dict[str, tuple[int, int]] = {}
    for one in sightings:
        what = None if one.message.id in used else _sort(one)
        if what is not None:
            count, first_at = groups.get(what, (0, one.at))
            groups[what] = (count + 1, first_at)
    return [Apart(what, count, first_at) for what, (count, first_at) in groups.items()]


def _sort(sighting: Sighting) -> str | None:
    """What sort of message this is; None for the answer to a refused request, which is told with the request."""
    message = sighting.message
    if sighting.lost:
        return f"lost: {_route(sighting)} ({sighting.lost})"
    if isinstance(message, Response):
        if sighting.refused:
            return None if sighting.request else f"refusals without a request: {message.status}"
        return "answers that no arrow draws"
    if sighting.refused:
        return f"refused with {sighting.status}: {_route(sighting)}"
    if sighting.operation_id == "listCommits":
        return f"polls: {_route(sighting)}"
    return f"not drawn: {_route(sighting)}"


def _route(sighting: Sighting) -> str:
    """Who sends what to whom, the same for all messages of a sort."""
    sender, receiver = sighting.ends()
    return f"{sender} -> {receiver} {sighting.operation_id or wire_text(sighting)}"
