"""`phrasim diff`: two profiles compared."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result

from phrasim.documents.contract import CONTRACTS

Call = Callable[..., Result]


def test_a_profile_does_not_differ_from_itself(phrasim: Call) -> None:
    result = phrasim("diff", "documented", "documented")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "upload: documented -> documented",
        "  the same: 7 of 7 operations",
        "",
        "phraseanet: documented -> documented",
        "  the same: 1 of 1 operations",
        "",
        "auth: documented -> documented",
        "  the same: 3 of 3 operations",
        "",
        "messages: documented -> documented",
        "  the same: 3 of 3 channels, 3 of 3 operations",
    ]


def test_profiles_that_differ_are_no_failure(phrasim: Call) -> None:
    result = phrasim("diff")
    assert (result.exit_code, result.stderr) == (0, "")
    assert [line.split(":")[0] for line in result.stdout.splitlines() if line[:1].isalpha()] == list(
        CONTRACTS["documented"]
    )
    assert "\n~ enqueueAssets  POST /api/v1/upload/enqueue\n" in result.stdout


@pytest.mark.parametrize("service", CONTRACTS["documented"])
def test_one_service_can_be_asked_for(service: str, phrasim: Call) -> None:
    told = json.loads(phrasim("diff", "--service", service, "--json").stdout)
    assert (told["before"], told["after"], list(told["services"])) == ("documented", "deployed", [service])


@pytest.mark.parametrize(
    ("name", "service"), [("commitAssets", "upload"), ("issueToken", "upload auth"), ("assetsIngest", "messages")]
)
def test_one_operation_or_channel_can_be_asked_for(name: str, service: str, phrasim: Call) -> None:
    told = json.loads(phrasim("diff", "--operation", name, "--json").stdout)["services"]
    assert set(told) <= set(service.split())
    for found in told.values():
        assert [*found["same"], *(entry["name"] for entry in found["different"])] == [name]


def test_what_one_profile_alone_has_is_shown_from_both_sides(phrasim: Call) -> None:
    forth = phrasim("diff", "--operation", "downloadAsset").stdout
    back = phrasim("diff", "deployed", "documented", "--operation", "downloadAsset").stdout
    assert "\n- downloadAsset  GET /assets/{id}/download\n" in forth
    assert "\n+ downloadAsset  GET /assets/{id}/download\n" in back


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["documentd"], "there is no profile 'documentd'; did you mean 'documented'?"),
        (["documented", "x"], "there is no profile 'x'; known are documented, deployed"),
        (["--service", "uplod"], "there is no service 'uplod'; did you mean 'upload'?"),
        (["--service", ""], "there is no service ''; known are upload, phraseanet, auth, messages"),
        (["--operation", "CommitAsets"], "there is no operation 'CommitAsets'; did you mean 'commitAssets'?"),
        (
            ["documented", "documented", "--service", "phraseanet", "--operation", "commitAssets"],
            "there is no operation 'commitAssets'; known are enqueueAssets",
        ),
    ],
)
def test_a_name_that_is_not_known_is_told(words: list[str], said: str, phrasim: Call) -> None:
    result = phrasim("diff", *words)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"phrasim: {said}\n")


def test_the_help_shows_an_example_and_says_that_differing_is_no_failure(phrasim: Call) -> None:
    said = phrasim("diff", "--help").stdout
    assert "Examples:\n    phrasim diff\n" in said
    assert "Exit code: 0 where the profiles could be compared, however much they differ" in said
