"""A drawn sequence bound to the operations of openapi/, and what it asks for of a commit of n assets.

An arrow is bound by the request line in its label or note (`GET /assets/ID#0/download` is
`GET /assets/{id}/download`), else by its label, which is that of an `x-sequence`. Only what can be told apart commit by
commit can be an arrow: a message from which one sees the commit or the asset that it is about.
"""

import difflib
import re
from collections.abc import Sequence as Many
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Literal, cast

from phrasim.documents import Arrow as Label
from phrasim.documents import Contract, DocumentError
from phrasim.journal.document import Section
from phrasim.journal.drawing import DrawnArrow
from phrasim.journal.events import Participant

Part = Literal["request", "response", "publish", "delivery"]

_REQUEST_LINE = re.compile(r"\b(GET|PUT|POST|DELETE|OPTIONS|HEAD|PATCH)\s+(\S*/\S*)", re.IGNORECASE)
_PARENTHESIS = re.compile(r"\([^()]*\)")
_NUMBER = re.compile(r"#\s*\d+")
_PARAMETER = re.compile(r"\{\w+\}")
ABOUT_AN_ASSET = ("getAsset", "downloadAsset", "downloadFile", "acknowledgeAsset")
"""The operations in whose path an asset stands."""
_OF_ONE_ASSET = ("uploadAsset", *ABOUT_AN_ASSET)
_OF_ONE_COMMIT = ("commitAssets", "listCommits", "acknowledgeCommit", "enqueueAssets", "getPublisherInfo")


@dataclass(frozen=True, slots=True)
class Kind:
    """What an arrow is on the wire: the request or the `status` response of an operation, a publish or a delivery.

    `sender` is None in the list of what can be drawn, where anybody may send the request; `wire` is its request line,
    or the queue.
    """

    operation_id: str
    part: Part
    status: int | None
    sender: Participant | None
    receiver: Participant | None
    label: str
    each: Literal["asset", "commit"]
    wire: str

    @property
    def is_labelled(self) -> bool:
        """Whether the specification gives it a label of its own, as an arrow that is always walked."""
        return self.label != self.operation_id

    def about(self, subject: str | None) -> str:
        """The wire with the id of what it is about, where that is known."""
        return _PARAMETER.sub(subject, self.wire) if subject else self.wire

    def __str__(self) -> str:
        if self.part == "response":
            return f"{self.label!r} ({self.status} to {self.wire})"
        return f"{self.label!r} ({self.wire})"


@dataclass(frozen=True, slots=True)
class Group:
    """Arrows that are drawn as often as there are assets, each asset's in this order; or a single one."""

    kinds: tuple[Kind, ...]
    each: Literal["asset", "commit"]
    drawn: int
    """How many assets the document draws."""


@dataclass(frozen=True, slots=True)
class Arrow:
    """One arrow that a commit has to walk. `number` counts from 1; `asset` is None where it is about the whole commit.

    `group` and `place` say where in the order it stands.
    """

    number: int
    kind: Kind
    group: int
    place: int
    asset: str | None
    label: str

    def precedes(self, other: "Arrow") -> bool:
        """Whether the document wants this one first; arrows of different assets in one group are free."""
        if self.group != other.group:
            return self.group < other.group
        return self.asset == other.asset and self.place < other.place


@dataclass(frozen=True, slots=True)
class BoundSequence:
    """The sequence of one section, as groups in the order of the drawing."""

    title: str
    groups: tuple[Group, ...]

    def arrows(self, assets: Many[str]) -> tuple[Arrow, ...]:
        """What a commit of these assets has to walk (A35: 3n + 6 arrows for either drawing of the document)."""
        found: list[Arrow] = []
        for index, group in enumerate(self.groups):
            subjects: list[str | None] = [None] if group.each == "commit" else list(assets)
            for number, asset in enumerate(subjects):
                for place, kind in enumerate(group.kinds):
                    label = kind.label if asset is None else f"{kind.label} #{number}"
                    found.append(Arrow(len(found) + 1, kind, index, place, asset, label))
        return tuple(found)

    def drawn_assets(self) -> int:
        """How many assets the drawing shows: what to ask for when a run has no commit to count."""
        return max((group.drawn for group in self.groups if group.each == "asset"), default=0)


@cache
def kinds(contract: Contract) -> tuple[Kind, ...]:
    """All that can be drawn, in the order of the documents."""
    found: list[Kind] = []
    for one in contract.operations.values():
        if one.operation_id not in (*_OF_ONE_ASSET, *_OF_ONE_COMMIT):
            continue
        answerer = cast("Participant", one.participant)
        usual: Literal["asset", "commit"] = "asset" if one.operation_id in _OF_ONE_ASSET else "commit"
        wire = f"{one.method} {one.path}"
        for arrow in one.sequences or (Label(one.operation_id, usual),):
            asked = Kind(one.operation_id, "request", None, None, answerer, arrow.label, arrow.each, wire)
            found.append(asked)
        for status, sequence in one.response_sequences.items():
            reply = Kind(one.operation_id, "response", status, answerer, None, sequence.label, sequence.each, wire)
            found.append(reply)
    document = contract.messages
    client = cast("Participant", document.document["info"]["x-participant"])
    for operation in document.operations.values():
        if operation.sequence:
            sends = operation.action == "send"
            found.append(
                Kind(
                    operation_id=operation.operation_id,
                    part="publish" if sends else "delivery",
                    status=None,
                    sender=client if sends else "broker",
                    receiver="broker" if sends else client,
                    label=operation.sequence.label,
                    each=operation.sequence.each,
                    wire=f"queue {document.channels[operation.channel].queue}",
                )
            )
    return tuple(found)


@lru_cache(maxsize=16)
def bind(section: Section, contract: Contract) -> BoundSequence:
    """The sequence that a section draws, bound to the operations of a contract.

    Raises `DocumentError` where an arrow is none that phrasim can follow.
    """
    if not section.arrows:
        raise DocumentError(section.file, max(section.line, 1), f"the section {section.title!r} draws no sequence")
    bound = [(arrow, _kind(arrow, section.file, contract)) for arrow in section.arrows]
    groups: list[Group] = []
    start = 0
    while start < len(bound):
        end = start + 1
        if bound[start][1].each == "asset":
            while end < len(bound) and bound[end][1].each == "asset":
                end += 1
        groups.append(_group(bound[start:end], section.file))
        start = end
    _refuse_repeated(groups, bound, section.file)
    return BoundSequence(section.title, tuple(groups))


def label_key(label: str) -> str:
    """What of a label counts: no asset number, no parenthesis, no case, no blanks to spare."""
    return " ".join(_NUMBER.sub(" ", _PARENTHESIS.sub(" ", label)).casefold().split())


def bears(template: str, path: str) -> dict[str, str] | None:
    """The parameters of `path` if it is one that `template` describes, else None.

    A parameter takes any one segment. What comes before, as the path of a base URL, and a slash at the end are passed
    over: the routes of real deployments have either.
    """
    wanted = template.strip("/").split("/")
    given = path.strip("/").split("/")[-len(wanted) :]
    if len(given) != len(wanted):
        return None
    parameters = {}
    for want, have in zip(wanted, given, strict=True):
        if want.startswith("{"):
            parameters[want[1:-1]] = have
        elif want != have:
            return None
    return parameters if all(parameters.values()) else None


def _group(drawn: Many[tuple[DrawnArrow, Kind]], file: str) -> Group:
    counts: dict[Kind, int] = {}
    for _, kind in drawn:
        counts[kind] = counts.get(kind, 0) + 1
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{kind.label!r} {count} times" for kind, count in counts.items())
        raise DocumentError(
            file, drawn[0][0].line, f"reading a sequence: from here on are drawn {said}; right would be once each asset"
        )
    first = drawn[0][1]
    return Group(tuple(counts), first.each, counts[first])


def _refuse_repeated(groups: Many[Group], bound: Many[tuple[DrawnArrow, Kind]], file: str) -> None:
    seen: dict[Kind, int] = {}
    for index, group in enumerate(groups):
        for kind in group.kinds:
            if kind in seen:
                last = [arrow for arrow, one in bound if one == kind][-1]
                problem = f"reading a sequence: {kind} is drawn at two places; a run could not be held to both"
                raise DocumentError(file, last.line, problem)
            seen[kind] = index


def _kind(arrow: DrawnArrow, file: str, contract: Contract) -> Kind:
    by_request_line = [kind for line in _request_lines(arrow) for kind in _by_request_line(*line, contract)]
    by_label = [kind for kind in kinds(contract) if label_key(kind.label) == label_key(arrow.label)]
    if by_request_line:
        named = [kind for kind in by_label if kind in by_request_line] or by_request_line
        other = [kind for kind in by_label if kind.operation_id not in {one.operation_id for one in named}]
        if other:
            problem = f"the label {arrow.label!r} is that of {other[0]}, and the request line that of {named[0]}"
            raise DocumentError(file, arrow.line, f"reading a sequence: {problem}; one of them is wrong")
    elif _request_lines(arrow):
        raise _unbound(arrow, file, contract, f"no operation is {' '.join(_request_lines(arrow)[0])!r}")
    else:
        named = by_label
        if not named:
            raise _unbound(arrow, file, contract, "nothing is known by that label, and no note gives a request line")
    fitting = [kind for kind in named if _fits(kind, arrow)]
    if not fitting:
        between = f"it does not go from {arrow.sender} to {arrow.receiver}"
        raise _unbound(arrow, file, contract, f"{named[0]} is known, but {between}")
    return replace(fitting[0], sender=arrow.sender, receiver=arrow.receiver)


def _request_lines(arrow: DrawnArrow) -> list[tuple[str, str]]:
    """Methods and paths that stand in the label and the note; the host and the query of a URL are left out."""
    found = []
    for method, target in _REQUEST_LINE.findall(f"{arrow.label}\n{arrow.note}"):
        path = re.sub(r"^https?://[^/]*", "", target).partition("?")[0]
        found.append((method.upper(), path))
    return found


def _by_request_line(method: str, path: str, contract: Contract) -> list[Kind]:
    segments = path.strip("/").count("/")
    return [
        kind
        for kind in kinds(contract)
        if kind.part in ("request", "response")
        and kind.wire.startswith(f"{method} ")
        and kind.wire.partition(" ")[2].strip("/").count("/") == segments
        and bears(kind.wire.partition(" ")[2], path) is not None
    ]


def _fits(kind: Kind, arrow: DrawnArrow) -> bool:
    if arrow.sender == arrow.receiver:
        return False
    return kind.sender in (None, arrow.sender) and kind.receiver in (None, arrow.receiver)


def _unbound(arrow: DrawnArrow, file: str, contract: Contract, why: str) -> DocumentError:
    candidates = {label_key(kind.label): kind for kind in kinds(contract) if _fits(kind, arrow)} or {
        label_key(kind.label): kind for kind in kinds(contract)
    }
    close = difflib.get_close_matches(label_key(arrow.label), candidates, n=1, cutoff=0.5)
    would = "; ".join(str(candidates[key]) for key in close) or ", ".join(map(str, candidates.values()))
    return DocumentError(
        file,
        arrow.line,
        f"reading a sequence: the arrow {arrow.label!r} from {arrow.sender} to {arrow.receiver} is bound to nothing: "
        f"{why}; what would bind: {would}",
    )
