"""The account of a load run: what became of each commit, told by whoever saw something of it, in any order.

A hand-off is known by its assets, since a commit is answered with no id (§2.3): the id comes with the notification or
the listing. Sightings of one hand-off may come from several processes, and before that of its commit.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal["committing", "committed", "refused", "notified", "downloaded", "acknowledged", "recorded", "listed"]
AFTERWARDS = ("recorded", "listed")
"""What is looked up in the end, whenever it came to be."""

NOTIFIED = "commit → notified"
DOWNLOADED = "commit → downloaded"
ACKNOWLEDGED = "commit → acknowledged"
STAGES = (NOTIFIED, DOWNLOADED, ACKNOWLEDGED)
"""What is measured from the moment in which a user sends the commit: `downloaded` for each file."""


class Sighting(NamedTuple):
    """Something that was seen of a hand-off.

    `at` is in seconds of a clock that all who see share. `assets` are those of which it was seen, all of `commit` where
    there are none, each with the SHA-256 of its content where that is known: at `committing` of what was uploaded, at
    `downloaded` of what came, at `recorded` of what Phraseanet says that it has. What is `listed` the upload service
    still shows as new.
    """

    kind: Kind
    at: float
    assets: Mapping[str, str | None]
    commit: str | None = None


class Duration(NamedTuple):
    """How long a stage of a hand-off took, in seconds; `stage` is one of `STAGES`."""

    stage: str
    seconds: float


@dataclass(slots=True)
class _HandOff:
    """What is known of one commit."""

    began: float
    digests: Mapping[str, str | None]
    commit: str | None = None
    answer: Literal["none", "committed", "refused"] = "none"
    notified: int = 0
    downloads: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    wrong: dict[str, str] = field(default_factory=dict)
    acknowledgements: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    listed: bool = False

    @property
    def name(self) -> str:
        """What to call it: by its id, where that was seen."""
        return f"commit {self.commit}" if self.commit else f"the commit of the assets {', '.join(self.digests)}"

    @property
    def acknowledged(self) -> bool:
        return self.acknowledgements.keys() >= self.digests.keys()

    @property
    def downloaded(self) -> bool:
        return self.downloads.keys() >= self.digests.keys()

    @property
    def seen(self) -> bool:
        """Whether anybody was seen to do something for it."""
        return bool(self.notified or self.downloads or self.acknowledgements)


class Account:
    """Takes sightings, and says what is wrong in the end.

    `notified_once` tells that each commit is notified one time (push); a listing shows a commit until it is
    acknowledged. `sees_downloads` tells that downloads are seen at all.
    """

    def __init__(self, *, notified_once: bool, sees_downloads: bool = True) -> None:
        self._notified_once = notified_once
        self._sees_downloads = sees_downloads
        self._hand_offs: list[_HandOff] = []
        self._by_asset: dict[str, _HandOff] = {}
        self._by_commit: dict[str, _HandOff] = {}
        self._early: dict[str | None, list[Sighting]] = defaultdict(list)
        self._acknowledged = 0
        self._open = 0

    def take(self, sighting: Sighting) -> list[Duration]:
        """Add a sighting; the stages that it ends. What belongs to commits of others is set aside."""
        if sighting.kind == "committing":
            return self._begin(sighting)
        hand_off = self._hand_off_of(sighting)
        if hand_off is None:
            self._early[next(iter(sighting.assets), sighting.commit)].append(sighting)
            return []
        return [*self._seen(hand_off, sighting), *self._named(hand_off, sighting.commit)]

    def _begin(self, sighting: Sighting) -> list[Duration]:
        hand_off = _HandOff(sighting.at, sighting.assets)
        self._hand_offs.append(hand_off)
        self._open += 1
        self._by_asset.update(dict.fromkeys(sighting.assets, hand_off))
        waiting = [one for asset in sighting.assets for one in self._early.pop(asset, ())]
        return [*self._named(hand_off, sighting.commit), *(duration for one in waiting for duration in self.take(one))]

    def _named(self, hand_off: _HandOff, commit: str | None) -> list[Duration]:
        """The id of a commit is known, if it was not; what was seen of it by its id alone counts now."""
        if commit is None or hand_off.commit is not None:
            return []
        hand_off.commit = commit
        self._by_commit[commit] = hand_off
        return [duration for one in self._early.pop(commit, ()) for duration in self.take(one)]

    def _hand_off_of(self, sighting: Sighting) -> _HandOff | None:
        for asset in sighting.assets:
            return self._by_asset.get(asset)
        return None if sighting.commit is None else self._by_commit.get(sighting.commit)

    def _seen(self, hand_off: _HandOff, sighting: Sighting) -> Iterator[Duration]:
        took = sighting.at - hand_off.began
        match sighting.kind:
            case "committed" | "refused":
                hand_off.answer = sighting.kind
                if sighting.kind == "refused":
                    self._open -= not hand_off.acknowledged
            case "notified":
                hand_off.notified += 1
                if hand_off.notified == 1:
                    yield Duration(NOTIFIED, took)
            case "downloaded" | "recorded":
                for asset, digest in sighting.assets.items():
                    if sighting.kind == "downloaded":
                        hand_off.downloads[asset] += 1
                        yield Duration(DOWNLOADED, took)
                    if digest is not None and digest != hand_off.digests.get(asset):
                        hand_off.wrong[asset] = digest
            case "listed":
                hand_off.listed = True
            case "acknowledged":
                before = hand_off.acknowledged
                for asset in sighting.assets or hand_off.digests:
                    hand_off.acknowledgements[asset] += 1
                if hand_off.acknowledged and not before:
                    self._acknowledged += 1
                    self._open -= hand_off.answer != "refused"
                    yield Duration(ACKNOWLEDGED, took)

    @property
    def committed(self) -> int:
        """How many hand-offs were begun and not refused."""
        return len(self._hand_offs) - sum(one.answer == "refused" for one in self._hand_offs)

    @property
    def acknowledged(self) -> int:
        """How many of them are acknowledged."""
        return self._acknowledged

    @property
    def open(self) -> int:
        """How many are begun, not refused, and not acknowledged."""
        return self._open

    def counts(self) -> dict[str, int]:
        """The figures of the account, for people."""
        return {
            "commits": self.committed,
            "assets": sum(len(one.digests) for one in self._hand_offs if one.answer != "refused"),
            "notified": sum(bool(one.notified) for one in self._hand_offs),
            "downloaded": sum(one.downloaded for one in self._hand_offs),
            "acknowledged": self._acknowledged,
            "refused": sum(one.answer == "refused" for one in self._hand_offs),
            "unanswered": sum(one.answer == "none" for one in self._hand_offs),
        }

    def violations(self) -> list[str]:
        """A sentence for each thing that must not be, which names the commit; in the order of the commits."""
        return [sentence for one in self._hand_offs for sentence in self._wrong(one)]

    def _wrong(self, one: _HandOff) -> Iterator[str]:
        if one.answer == "refused":
            if one.seen:
                yield f"{one.name} was refused, and handed over all the same"
            return
        if one.answer == "none" and not one.seen:
            return  # The request may never have arrived: that is a failure of the request, and nothing is lost.
        if not one.acknowledged:
            missing = [asset for asset in one.digests if asset not in one.acknowledgements]
            told = "" if len(missing) == len(one.digests) else f" (asset {', '.join(missing)})"
            yield f"{one.name} is lost: it was committed, and not acknowledged by the end{told}"
        elif one.listed:
            yield f"{one.name} is listed as new, though its acknowledgement was answered with 200"
        if self._notified_once and one.notified > 1:
            yield f"{one.name} was handed over {one.notified} times: by so many notifications"
        for asset in one.digests:
            times = one.downloads.get(asset, 0)
            if times > 1:
                yield f"{one.name}: asset {asset} was downloaded {times} times, not once"
            elif self._sees_downloads and not times and asset in one.acknowledgements:
                yield f"{one.name}: asset {asset} was acknowledged, and never downloaded"
            acknowledgements = one.acknowledgements.get(asset, 0)
            if acknowledgements > 1:
                yield f"{one.name}: asset {asset} was acknowledged {acknowledgements} times, not once"
        for asset, digest in one.wrong.items():
            yield f"{one.name}: asset {asset} came with the SHA-256 {digest}; {one.digests[asset]} was uploaded"
