"""Seed data into a running testbed."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from phrasim.testbed import SeedData, Testbed
from phrasim.testbed.seed import SeedClient, SeedCommit, SeedFile, SeedUser
from phrasim.testbed.seeding import SeedError, hold_to_landscape, hold_to_profile, seed_commits

PUBLISHER = "publisher@example.org"


def commit(*files: SeedFile, publisher: str = PUBLISHER) -> SeedCommit:
    return SeedCommit(publisher, files, {"title": "Seeded"})


def test_a_seeded_commit_is_listed_and_fetched_as_any_other(play: Any, tmp_path: Path) -> None:
    on_disk = tmp_path / "on-disk.txt"
    on_disk.write_text("from disk\n")
    files = (
        SeedFile("made.png", None, 2000, "image/png"),
        SeedFile("disk.txt", on_disk, 10, ""),
        SeedFile("given.bin", None, 3, "", content=b"\x00\x01\x02"),
    )

    async def main(bed: Testbed) -> None:
        (made,) = seed_commits(bed, [commit(*files)])
        await bed.clock.sleep(30)
        assert made.acknowledged
        records = {record.original_name: record for record in bed.phraseanet.records}
        assert list(records) == ["made.png", "disk.txt", "given.bin"]
        assert (records["made.png"].size, records["made.png"].mime_type) == (2000, "image/png")
        assert records["disk.txt"].sha256 == hashlib.sha256(b"from disk\n").hexdigest()
        assert records["given.bin"].size == 3
        assert records["given.bin"].form_data == {"title": "Seeded"}
        assert {record.publisher for record in records.values()} == {bed.accounts.publisher.id}

    play(main, mode="pull")


def test_nobody_is_notified_of_a_seeded_commit(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> None:
        seed_commits(bed, [commit(SeedFile("a", None, 5, "text/plain"))])
        await bed.clock.sleep(30)
        assert act.seen(bed).asked("enqueueAssets") == []
        assert [one.acknowledged for one in bed.upload.commits] == [False]

    play(main, mode="push")


@pytest.mark.parametrize(
    ("profile", "user", "said"),
    [
        (
            "documented",
            SeedUser("x@example.org", roles=("admin",)),
            "the role 'admin' of 'x@example.org' is none",
        ),
        ("deployed", SeedUser("x@example.org", roles=("user", "ROLE_USER")), "write user or admin or uploader-admin"),
        ("deployed", SeedUser("x@example.org", token="a-token"), "the token of 'x@example.org' cannot be chosen"),
    ],
)
def test_a_role_or_a_token_that_the_profile_has_not_is_refused(
    play: Any, profile: str, user: SeedUser, said: str
) -> None:
    async def main(bed: Testbed) -> None:
        with pytest.raises(SeedError) as exc_info:
            hold_to_profile(bed, [user])
        assert said in str(exc_info.value)
        hold_to_profile(bed, [replace(user, roles=(), token=None)])

    play(main, profile=profile)


@pytest.mark.parametrize(
    ("seed", "said"),
    [
        (SeedData(users=(SeedUser(PUBLISHER),)), f"there is a user '{PUBLISHER}' already"),
        (SeedData(commits=(commit(publisher="x@example.org"),)), "there is no user 'x@example.org', the publisher"),
    ],
)
def test_seed_data_that_does_not_fit_is_refused(play: Any, seed: SeedData, said: str) -> None:
    async def main(bed: Testbed) -> None:
        with pytest.raises(SeedError) as refused:
            hold_to_landscape(bed, seed)
        assert said in str(refused.value)

    play(main)


def test_a_commit_may_be_that_of_a_user_of_the_same_seed(play: Any) -> None:
    async def main(bed: Testbed) -> None:
        new = SeedUser("new@example.org")
        seed = SeedData((new,), (SeedClient("new"),), (commit(publisher=new.email),))
        hold_to_landscape(bed, seed)
        assert bed.upload.commits == ()

    play(main)
