"""Phraseanet's side of the hand-off: it is told of commits, and everything that it then asks for is watched.

The upload service and Auth around it are simulated; what is judged is what reaches them (PROTOCOL §1.1, §4.5, §4.6).
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, seed
from hypothesis import strategies as st

from phrasim.contract.drawn import run_drawn
from phrasim.contract.inquiry import Inquiry, answered, place_of
from phrasim.contract.sequences import exchange_of
from phrasim.contract.subject import Subject
from phrasim.edge.faults import Answer, CutBody, Fault
from phrasim.journal.events import Publish, Request
from phrasim.journal.sightings import json_of, path_of
from phrasim.scenario.checks import seen_messages
from phrasim.scenario.exchanges import Exchange, Exchanges
from phrasim.testbed.seed import SeedCommit, SeedFile
from phrasim.testbed.seeding import seed_commits
from phrasim.testbed.services import HeldCommit

WITHIN_SECONDS = 20.0
"""How long Phraseanet may take for a commit when nothing goes wrong."""

RETRIED_WITHIN_SECONDS = 45.0
"""The same where an execution failed: three executions, 10 s apart (A34, §4.3)."""

_PAUSE_SECONDS = 0.2
_REFUSED_SECONDS = 5.0
"""For so long a commit is watched whose assets nobody may read."""

_REPEAT_SECONDS = 1.0
"""For so long a commit is watched after its acknowledgement, for a second one."""

CONTENTS = st.binary(min_size=1, max_size=200)
TROUBLES = st.sampled_from(["", "", "notified twice", "wrong token", "download fails", "download breaks off"])

CALM = st.sampled_from(["", "notified twice"])
"""Troubles over which nothing has to be tried again."""

_DOWNLOADS = ("downloadAsset", "downloadFile")
_ACKNOWLEDGEMENTS = ("acknowledgeCommit", "acknowledgeAsset")


@dataclass(slots=True)
class Watched:
    """What reached the simulated services of one commit."""

    commit: HeldCommit
    contents: dict[str, bytes]
    trouble: str
    exchanges: list[Exchange] = field(default_factory=list)
    published: list[Publish] = field(default_factory=list)

    def of(self, *operations: str) -> Iterator[Exchange]:
        """The exchanges of those operations, in their order, that are about this commit."""
        ids = (self.commit.id, *self.contents)
        for one in self.exchanges:
            if one.request.operation_id in operations and any(part in ids for part in _parts(one.request)):
                yield one


class Work:
    """Hands commits to Phraseanet; `notifies` is whether it is told of each, else it has to find it by polling."""

    def __init__(self, subject: Subject, inquiry: Inquiry, *, notifies: bool) -> None:
        self.subject = subject
        self.inquiry = inquiry
        self.notifies = notifies
        self.documented = "downloadAsset" in inquiry.contract.operations
        self._number = 0

    def hand_over(self, contents: list[bytes], form_data: dict[str, Any], trouble: str) -> None:
        """Commit those files, let Phraseanet know, and judge what it does."""
        self.inquiry.case()
        if trouble in ("notified twice", "wrong token") and not self.notifies:
            trouble = ""
        since = self.subject.look(lambda: self.subject.bed.journal.next)
        fault = self._fault(trouble)
        commit = self.subject.look(lambda: self._made(contents, form_data))
        watched = Watched(commit, dict(zip(commit.asset_ids, contents, strict=True)), trouble)
        if self.notifies:
            self._notify(commit, trouble)
        elif self.subject.wire == "in-process":
            self.subject.run(self.subject.bed.services.poll())
        self._watch(watched, since)
        if fault is not None:
            self.subject.look(lambda: self.subject.bed.faults.remove(fault))
        self._judge(watched)

    def _made(self, contents: list[bytes], form_data: dict[str, Any]) -> HeldCommit:
        bed = self.subject.bed
        files = []
        for content in contents:
            # Else the deployed Phraseanet would find that it has these bytes already (§4.6, step 7).
            self._number += 1
            files.append(SeedFile(f"asset-{self._number}.bin", None, len(content), "", content))
        return seed_commits(bed, [SeedCommit(bed.accounts.publisher.email, tuple(files), form_data)])[0]

    def _fault(self, trouble: str) -> int | None:
        effects: dict[str, Answer | CutBody] = {"download fails": Answer(503), "download breaks off": CutBody(0)}
        if trouble not in effects:
            return None
        operation = "downloadAsset" if self.documented else "downloadFile"
        return self.subject.look(lambda: self.subject.bed.faults.add(Fault(operation, effects[trouble], (1,))))

    def _notify(self, commit: HeldCommit, trouble: str) -> None:
        token = commit.token[::-1] if trouble == "wrong token" else commit.token
        body: dict[str, Any] = {
            "assets": list(commit.asset_ids),
            "publisher": commit.user_id,
            "token": token,
            "commit_id": commit.id,
            "base_url": self.subject.bed.network.addressing.public_url("upload"),
        }
        if self.documented and trouble == "":
            held = {asset.id: asset.file.sha256 for asset in self.subject.look(lambda: self.subject.bed.upload.assets)}
            body["hashes"] = {asset: held[asset] for asset in commit.asset_ids}
        shown = None if self.documented else f"OAuth {self.subject.bed.stage.phraseanet_token}"
        for _ in range(2 if trouble == "notified twice" else 1):
            exchange = self.subject.call("upload", "enqueueAssets", shown, json=body)
            self.inquiry.examine(exchange)
            if exchange.status != 200:
                self.inquiry.object(
                    "notification",
                    exchange,
                    answered(exchange),
                    "200: the commit is taken",
                    status=200,
                    asked="a complete notification was sent",
                )

    def _watch(self, watched: Watched, since: int) -> None:
        """Wait until all is acknowledged, and some time more; or until the time for it is over."""
        within = WITHIN_SECONDS if watched.trouble in ("", "notified twice") else RETRIED_WITHIN_SECONDS
        if watched.trouble == "wrong token":
            within = _REFUSED_SECONDS
        waited = 0.0
        while waited < within and not self.inquiry.over:
            events = self.subject.look(lambda: list(self.subject.bed.journal.since(since)))
            watched.exchanges = Exchanges(events).all
            if self._is_acknowledged(watched):
                self.subject.wait(_REPEAT_SECONDS)
                break
            self.subject.wait(_PAUSE_SECONDS)
            waited += _PAUSE_SECONDS
        events = self.subject.look(lambda: list(self.subject.bed.journal.since(since)))
        watched.exchanges = Exchanges(events).all
        watched.published = [one for one in seen_messages(events) if isinstance(one, Publish)]

    def _is_acknowledged(self, watched: Watched) -> bool:
        done = {part for one in watched.of(*_ACKNOWLEDGEMENTS) if one.succeeded for part in _parts(one.request)}
        return watched.commit.id in done or set(watched.contents) <= done

    def _judge(self, watched: Watched) -> None:
        if self.inquiry.over:
            return
        self._hold_credentials(watched)
        self._hold_order(watched)
        if watched.trouble == "wrong token":
            for one in watched.of(*_ACKNOWLEDGEMENTS):
                self._find("order", one, "an acknowledgement", "none: nothing could be downloaded (A19)")
            return
        acknowledgements = [one for one in watched.of("acknowledgeCommit") if one.succeeded]
        if not self._is_acknowledged(watched):
            last = [one for one in watched.exchanges if one.request.sender == "phraseanet"]
            self._find(
                "acknowledgement",
                last[-1] if last else None,
                f"no acknowledgement of the commit within its time{self._despite(watched)}",
                "an acknowledgement, once every file is there",
            )
        elif self.documented and len(acknowledgements) > 1:
            self._find(
                "acknowledgement",
                acknowledgements[1],
                f"{len(acknowledgements)} acknowledgements{self._despite(watched)}",
                "one: a commit that is known already is handed over once (A30)",
            )
        if self.documented:
            self._hold_publisher(watched)
            self._hold_message(watched)
        if not self.subject.is_real:
            self._hold_records(watched)

    def _hold_credentials(self, watched: Watched) -> None:
        """Assets are asked for with the commit's AssetToken (A17, §2.4)."""
        expected = watched.commit.token[::-1] if watched.trouble == "wrong token" else watched.commit.token
        guarded = ("getAsset", "downloadAsset", *_ACKNOWLEDGEMENTS)
        for one in watched.of(*guarded):
            shown = dict(one.request.headers).get("authorization", "")
            if one.request.sender == "phraseanet" and shown != f"AssetToken {expected}":
                scheme = shown.partition(" ")[0] or "no authorization"
                self._find("credentials", one, f"{scheme} with another token", "the commit's AssetToken (A17)")

    def _hold_order(self, watched: Watched) -> None:
        """Nothing is acknowledged that was not downloaded, whole (A19; §4.6, steps 3 to 9)."""
        downloaded: set[str] = set()
        for one in watched.exchanges:
            operation = one.request.operation_id
            if operation in _DOWNLOADS and one.succeeded:
                downloaded |= self._assets_of(one.request, watched)
            elif operation in _ACKNOWLEDGEMENTS and one.request.sender == "phraseanet":
                parts = _parts(one.request)
                wanted = set(watched.contents) if watched.commit.id in parts else set(watched.contents) & set(parts)
                missing = sorted(wanted - downloaded)
                if missing:
                    self._find(
                        "order",
                        one,
                        f"an acknowledgement before {missing[0]} was downloaded{self._despite(watched)}",
                        "the files first, all of them (A19)",
                    )
                    return

    def _assets_of(self, request: Request, watched: Watched) -> set[str]:
        """The assets whose file a request asks for; in `deployed` its path bears the asset's id."""
        path = path_of(request)
        return {asset for asset in watched.contents if asset in path}

    def _hold_publisher(self, watched: Watched) -> None:
        """Auth is asked who published (A9, P7), before the commit is acknowledged."""
        asked = [one for one in watched.exchanges if one.request.operation_id == "getPublisherInfo"]
        if self._is_acknowledged(watched) and not any(
            path_of(one.request).endswith(f"/{watched.commit.user_id}") for one in asked
        ):
            came = "no question to Auth" if not asked else f"a question about {path_of(asked[0].request)}"
            self._find(
                "publisher",
                asked[0] if asked else None,
                came,
                f"one about {watched.commit.user_id} (A9)",
                "getPublisherInfo",
            )

    def _hold_message(self, watched: Watched) -> None:
        """The message of P5 has all that is known of the commit, and its assets in their order (A5 to A7, A25)."""
        commit = watched.commit
        hashed = (self.notifies and watched.trouble == "") or not self.notifies
        held = {asset.id: asset.file.sha256 for asset in self.subject.look(lambda: self.subject.bed.upload.assets)}
        expected = [
            {
                "publisher": commit.user_id,
                "id": commit.user_id,
                "commit_id": commit.id,
                "token": commit.token,
                "base_url": self.subject.bed.network.addressing.public_url("upload"),
            },
            *({"id": asset} | ({"hash": held[asset]} if hashed else {}) for asset in commit.asset_ids),
        ]
        for message in watched.published[:1]:
            found = json_of(message)
            if found != expected:
                self.inquiry.find(
                    "produced message",
                    None,
                    asked="a commit was handed over",
                    came=_difference(found, expected),
                    expected="the publisher, what is known of the commit, and its assets (A5 to A7, A25)",
                    place=f"openapi/{self.inquiry.contract.messages.file}#/components/schemas/HandOff",
                )

    def _hold_records(self, watched: Watched) -> None:
        """The simulated Phraseanet shows what it has made of the files."""
        state = self.subject.bed.phraseanet
        made = {one.asset_id: one.sha256 for one in (*state.records, *getattr(state, "quarantine", ()))}
        for asset, content in watched.contents.items():
            if self._is_acknowledged(watched) and made.get(asset) != hashlib.sha256(content).hexdigest():
                came = "no record" if asset not in made else "a record of other bytes"
                self._find("record", None, f"{came} of {asset}", "a record of the bytes that were committed")

    @staticmethod
    def _despite(watched: Watched) -> str:
        return (
            f", where the {watched.trouble} once"
            if watched.trouble.startswith("download")
            else (f", where it was {watched.trouble}" if watched.trouble == "notified twice" else "")
        )

    def _find(self, rule: str, one: Exchange | None, came: str, expected: str, operation_id: str = "") -> None:
        named = operation_id or (one.request.operation_id if one is not None else None) or "acknowledgeCommit"
        operation = self.inquiry.contract.operations[named]
        self.inquiry.find(
            rule,
            named,
            asked="a commit was handed over",
            came=came,
            expected=expected,
            place=place_of(operation),
            exchange=None if one is None else exchange_of(one),
        )


def hold_work(subject: Subject, inquiry: Inquiry, rounds: int, *, notifies: bool = True, calm: bool = False) -> None:
    """Hand over commits, with all sorts of trouble unless it is `calm`; `rounds` times at most."""
    work = Work(subject, inquiry, notifies=notifies)

    def hold(contents: list[bytes], title: str, trouble: str) -> None:
        work.hand_over(contents, {"title": title}, trouble)

    drawn = given(
        contents=st.lists(CONTENTS, min_size=1, max_size=3, unique=True),
        title=st.text(max_size=20),
        trouble=CALM if calm else TROUBLES,
    )
    run_drawn(inquiry, lambda chance, known: seed(chance)(known(drawn(hold)))(), rounds)


def _difference(found: Any, expected: list[dict[str, str]]) -> str:
    """The first element in which a message is another one; no value is shown, which may be secret."""
    if not isinstance(found, list) or len(found) != len(expected):
        return "a message of another length, or none"
    for number, (one, other) in enumerate(zip(found, expected, strict=True)):
        names = sorted({*(one if isinstance(one, dict) else ()), *other})
        wrong = [name for name in names if not isinstance(one, dict) or one.get(name) != other.get(name)]
        if wrong:
            return f"element {number} with another {', '.join(wrong)}, or without"
    return "another message"


def _parts(request: Request) -> list[str]:
    return path_of(request).split("/")
