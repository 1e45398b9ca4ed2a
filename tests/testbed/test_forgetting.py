"""With `retain` all is forgotten in time that was acknowledged, in either profile, and nothing else."""

import gc

import pytest

from phrasim.contract.in_process import InProcessSubject, in_process
from phrasim.testbed import ProfileName, Setting
from phrasim.testbed.seed import SeedCommit, SeedFile
from phrasim.testbed.seeding import seed_commits
from phrasim.testbed.services import HeldCommit

RETAIN = 60.0
PROFILES = ("documented", "deployed")


def setting(profile: ProfileName, retain: float | None = RETAIN) -> Setting:
    return Setting(profile=profile, mode="off", retain=retain)


def committed(subject: InProcessSubject, name: str) -> HeldCommit:
    """A commit of two files, of which Phraseanet will hear when it polls."""
    files = tuple(SeedFile(f"{name}-{number}.txt", None, 5, "", f"{name}{number}".encode()) for number in range(2))
    return seed_commits(subject.bed, [SeedCommit(subject.bed.accounts.publisher.email, files, {})])[0]


def handed_over(subject: InProcessSubject, name: str) -> HeldCommit:
    commit = committed(subject, name)
    subject.run(subject.bed.services.poll())
    while not commit.acknowledged:
        subject.wait(0.1)
    return commit


def held(subject: InProcessSubject) -> dict[str, int]:
    """How much of everything is there."""
    bed = subject.bed
    kept = {
        "commits": len(bed.upload.commits),
        "assets": len(bed.upload.assets),
        "files on disk": len(list(bed.storage.folder.iterdir())),
        "records": len(bed.phraseanet.records),
    }
    counts = bed.services.counts()
    rows = {name: counts[name] for name in ("finishedJobs", "runningJobs", "quarantined") if name in counts}
    return kept | {name: count for name, count in rows.items() if count}


def acknowledged_again(subject: InProcessSubject, commit: HeldCommit) -> int | None:
    return subject.call("phraseanet", "acknowledgeCommit", f"AssetToken {commit.token}", {"id": commit.id}).status


@pytest.mark.parametrize("profile", PROFILES)
def test_what_was_acknowledged_longer_ago_is_forgotten_by_everybody(profile: ProfileName) -> None:
    with in_process("upload", setting(profile)) as subject:
        commit = handed_over(subject, "first")
        before = held(subject)
        assert (before["commits"], before["assets"], before["files on disk"], before["records"]) == (1, 2, 1, 2)
        subject.wait(RETAIN * 0.8)
        assert held(subject) == before
        assert acknowledged_again(subject, commit) == 200
        subject.wait(RETAIN * 0.4)
        assert held(subject) == {"commits": 0, "assets": 0, "files on disk": 0, "records": 0}
        assert acknowledged_again(subject, commit) == 404


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_forgotten_takes_no_memory_even_before_the_collector_comes(profile: ProfileName) -> None:
    def left() -> int:
        """Commits and assets that somebody, or each other, still keeps."""
        return sum(type(one) in kinds for one in gc.get_objects())

    with in_process("upload", setting(profile)) as subject:
        kinds = {type(handed_over(subject, "first")), type(subject.bed.upload.assets[0])}
        gc.collect()
        before = left()
        gc.disable()
        try:
            subject.wait(RETAIN * 1.2)
            assert before - left() == 3
        finally:
            gc.enable()


@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_else_is_forgotten(profile: ProfileName) -> None:
    """Neither what nobody acknowledged, nor what was acknowledged later."""
    with in_process("upload", setting(profile)) as subject:
        handed_over(subject, "first")
        subject.wait(RETAIN * 0.6)
        later = handed_over(subject, "later")
        waiting = committed(subject, "waiting")
        subject.wait(RETAIN * 0.6)
        assert {one.id for one in subject.bed.upload.commits} == {later.id, waiting.id}
        assert held(subject)["assets"] == 4
        assert {record.commit_id for record in subject.bed.phraseanet.records} == {later.id}
        assert acknowledged_again(subject, later) == 200


@pytest.mark.parametrize("profile", PROFILES)
def test_after_that_a_hand_off_goes_on_as_ever(profile: ProfileName) -> None:
    with in_process("upload", setting(profile)) as subject:
        for number in range(3):
            handed_over(subject, f"number {number}")
            subject.wait(RETAIN * 1.2)
        ids = {record.asset_id for record in subject.bed.phraseanet.records}
        last = handed_over(subject, "last")
        assert {record.asset_id for record in subject.bed.phraseanet.records} - ids == set(last.asset_ids)


@pytest.mark.parametrize("profile", PROFILES)
def test_unless_it_is_said_nothing_is_forgotten(profile: ProfileName) -> None:
    with in_process("upload", setting(profile, None)) as subject:
        commit = handed_over(subject, "first")
        subject.wait(3 * 86_400)
        assert held(subject)["commits"] == 1
        assert acknowledged_again(subject, commit) == 200
