"""`phrasim verify upload`, against real upload services."""

import re
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from cli.verified import FIXED, PORTS, Call, around, cases, hanging, real
from phrasim.contract.subject import PATIENCE_SECONDS
from phrasim.journal.events import Received, Request
from phrasim.serve.seed_data import read_seed_data
from phrasim.testbed import ProfileName, Testbed
from phrasim.upload.documented import routes

COMMIT = """
commits:
  - {publisher: publisher@example.org, files: {a.txt: {base64: dGhlaXJz}}, formData: {title: Somebody else's}}
"""


@pytest.mark.unmeasured
@pytest.mark.parametrize("profile", ["documented", "deployed"])
def test_a_real_upload_service_that_keeps_its_contract(phrasim: Call, profile: ProfileName) -> None:
    with real("upload", profile, token="secret-of-the-target") as ports:
        told = ["--credential", "phraseanet.token=secret-of-the-target", "--credential", "target.slug=phraseanet"]
        result = phrasim("verify", "upload", "--profile", profile, *around(ports, "upload"), *told, *FIXED)
    assert result.exit_code == 0, result.output
    assert cases(result.output).keys() == {"access", "refusals", "hand-off", "scenarios", "http"}
    assert all(cases(result.output).values())
    assert re.search(r"(\d+) commits were made; \1 are acknowledged", result.output)
    assert "secret" not in result.output


def test_a_real_upload_service_that_is_read_only_is_only_read(phrasim: Call) -> None:
    asked: set[str] = set()

    def look(bed: Testbed) -> None:
        messages = [event.message for event in bed.journal.since(0) if isinstance(event, Received)]
        asked.update(one.method for one in messages if isinstance(one, Request) and one.receiver == "upload")

    with real("upload", look=look) as ports:
        result = phrasim("verify", "upload", *around(ports, "upload"), *FIXED, "--read-only")
    assert result.exit_code == 0, result.output
    assert cases(result.output)["http"] > 0
    assert [name for name, count in cases(result.output).items() if count] == ["http"]
    assert result.output.count("left out, since it would write (--read-only)") == 4
    assert "were uploaded" not in result.output
    assert "GET" in asked
    assert asked <= {"GET", "HEAD", "OPTIONS"}


@pytest.mark.turn
def test_commits_of_others_are_not_pulled(phrasim: Call) -> None:
    """They stay listed, and the scenarios, which would have been disturbed by them, are not judged."""
    Path("seed.yaml").write_text(COMMIT)
    left: list[bool] = []

    def look(bed: Testbed) -> None:
        left.extend(one.acknowledged for one in bed.upload.commits if one.form_data.get("title") == "Somebody else's")

    with real("upload", mode="pull", seed=read_seed_data(Path("seed.yaml")), look=look) as ports:
        result = phrasim("verify", "upload", "--mode", "pull", *around(ports, "upload"), "--budget", "9s")
    assert result.exit_code == 2, result.output
    assert "scenarios" not in cases(result.output)
    assert "could not be judged: 1 commit is listed that is not of this verification" in result.output
    assert left == [False]


@pytest.mark.turn
def test_nothing_is_pulled_where_the_listing_cannot_be_read(phrasim: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose commits are in it nobody can say."""
    monkeypatch.setattr(routes, "may_list_commits", lambda principal: False)
    with real("upload", mode="pull") as ports:
        result = phrasim("verify", "upload", "--mode", "pull", *around(ports, "upload"), "--budget", "9s")
    assert result.exit_code == 1
    assert "the listing cannot be read, and may have commits that are not of this verification" in result.output


@pytest.mark.turn
def test_a_real_upload_service_that_is_polled_keeps_its_contract(phrasim: Call) -> None:
    """Phraseanet finds nothing in the scenarios that the suites before have left."""
    with real("upload", mode="pull") as ports:
        result = phrasim("verify", "upload", "--mode", "pull", *around(ports, "upload"), "--budget", "25s")
    assert result.exit_code == 0, result.output
    assert cases(result.output)["scenarios"] > 0


@pytest.mark.turn
def test_a_real_upload_service_that_notifies_is_not_blamed_for_the_wrong_mode(phrasim: Call) -> None:
    with real("upload") as ports:
        result = phrasim("verify", "upload", "--mode", "pull", *around(ports, "upload"), "--budget", "9s")
    assert result.exit_code == 2, result.output
    assert (
        "the upload service notifies Phraseanet of commits, which does not poll then; say --mode push" in result.output
    )


def test_a_service_that_never_answers_takes_no_more_than_the_time(phrasim: Call) -> None:
    """That it is judged by nothing is said."""
    with hanging() as port:
        began = time.monotonic()
        result = phrasim("verify", "upload", "--url", f"http://127.0.0.1:{port}", *PORTS, "--budget", "3s")
    assert result.exit_code == 2
    assert "upload cannot be judged: it gave no answer in the time that there was" in result.output
    assert time.monotonic() - began < 2 * PATIENCE_SECONDS


@pytest.mark.turn
def test_a_real_upload_service_that_lies_is_told_with_its_place_and_a_command(
    phrasim: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a workflow of GitHub's it is annotated, too."""
    truthful = routes.asset_object
    monkeypatch.setattr(routes, "asset_object", lambda asset: {**truthful(asset), "createdAt": "lately"})
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    with real("upload") as ports:
        result = phrasim("verify", "upload", *around(ports, "upload"), *FIXED, "--junit", "report.xml")
    assert result.exit_code == 1
    assert "access: uploadAsset: answer" in result.output
    assert "createdAt: 'lately' is not an RFC 3339 date and time" in result.output
    assert "openapi/upload.yaml#/paths/~1assets/post/responses/201" in result.output
    assert re.search(r"again +curl .*Bearer \$PHRASIM_TOKEN", result.output)
    assert re.search(r"^::error file=openapi/upload.yaml,line=\d+", result.output, re.MULTILINE)
    assert "uploadAsset" in (tmp_path / "summary.md").read_text()
    assert int(ET.parse("report.xml").getroot().get("failures", "0")) > 0
