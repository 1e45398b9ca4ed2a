"""What a verification has made at an upload service, and what becomes of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from phrasim.contract.inquiry import Commit, Inquiry
from phrasim.contract.subject import Subject

_SHOWN = 20
"""How many ids are shown of what is left."""


@dataclass(slots=True)
class Made:
    """The assets that were uploaded, by id; the commits that were made, and which of them are acknowledged."""

    assets: set[str] = field(default_factory=set)
    commits: dict[str, Commit] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)

    def note(self, inquiry: Inquiry) -> None:
        """Take over what a suite has made."""
        self.assets |= inquiry.assets
        self.commits |= inquiry.commits

    def acknowledge(self, subject: Subject) -> None:
        """Acknowledge what was committed, so that the service may delete the files, and nobody pulls it any more."""
        for commit in self.commits.values():
            if commit.id not in self.acknowledged:
                shown = f"AssetToken {commit.token}"
                answer = subject.call("phraseanet", "acknowledgeCommit", shown, {"id": commit.id}, json={})
                if answer.status in (200, 404):  # where it is gone, somebody has acknowledged it (§2.7)
                    self.acknowledged.add(commit.id)

    def others(self, listed: Iterable[Commit]) -> list[Commit]:
        """Those of the commits that somebody else has made; of ours that nobody has noted yet note is taken."""
        unknown = [one for one in listed if one.id not in self.commits]
        self.commits |= {one.id: one for one in unknown if one.assets and self.assets.issuperset(one.assets)}
        return [one for one in unknown if one.id not in self.commits]

    def told(self) -> list[str]:
        """What is there still, as lines for people."""
        if not self.assets:
            return []
        lines = [
            f"{len(self.assets)} assets were uploaded",
            f"{len(self.commits)} commits were made; {len(self.acknowledged)} are acknowledged, and their files may go",
        ]
        loose = sorted(self.assets.difference(*(one.assets for one in self.commits.values())))
        if loose:
            shown = ", ".join(loose[:_SHOWN]) + (f" and {len(loose) - _SHOWN} more" if len(loose) > _SHOWN else "")
            lines.append(f"in no commit, and nothing removes them before their time: {shown}")
        return lines
