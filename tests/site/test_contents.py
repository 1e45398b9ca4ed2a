"""What is on the site, and on the pages of runs."""

from phrasim.documents import documents_root
from phrasim.site.contents import Contents
from phrasim.site.runs import Run, shipped_scenarios
from phrasim.site.scenario_pages import scenario_page


def page_of(few: Contents, path: str) -> str:
    return next(page.text for page in few.pages if page.path == path)


def test_every_document_has_a_page_and_every_page_a_path_of_its_own(few: Contents) -> None:
    paths = [page.path for page in few.pages]
    assert len(paths) == len(set(paths))
    assert {f"docs/{one.name}" for one in (documents_root() / "docs").glob("*.md")} <= set(paths)


def test_every_page_says_of_what_in_the_repository_it_was_made(few: Contents) -> None:
    root = documents_root()
    for page in few.pages:
        assert page.made_from, page.path
        in_package = [one for one in page.made_from if one.startswith("simulators/")]
        assert [one for one in page.made_from if one not in in_package and not (root / one).exists()] == []


def test_all_scenarios_that_are_shipped_are_played() -> None:
    there = (documents_root() / "scenarios").rglob("*.yaml")
    assert set(shipped_scenarios()) == {one.relative_to(documents_root()).as_posix() for one in there}


def test_a_scenario_is_on_its_page_with_its_verdicts_its_refusals_and_its_command(runs: list[Run]) -> None:
    run = next(run for run in runs if run.name == "push-wrong-token")
    text = scenario_page(run).text
    assert run.outcome.scenario.text.rstrip() in text
    document = "docs/request-flow.md#push-mode"
    assert f"**Held** when this page was made. Held to [`{document}`](../{document})." in text
    assert [one.expectation for one in run.outcome.verdicts if f"| held | `{one.expectation}`" not in text] == []
    assert text.count("gets **403**:\n") == 3
    assert "opens an asset, once it is committed" in text
    assert "phrasim run push-wrong-token\n" in text


def test_the_command_of_a_deployed_scenario_names_its_profile(runs: list[Run]) -> None:
    run = next(run for run in runs if run.file == "scenarios/deployed/push.yaml")
    assert "phrasim run push --profile deployed\n" in scenario_page(run).text


def test_no_token_is_on_a_page(runs: list[Run]) -> None:
    for run in runs:
        page = scenario_page(run).text.partition("## Scenario")[0]
        tokens = [
            value.partition(" ")[2]
            for event in run.outcome.events
            for name, value in getattr(getattr(event, "message", None), "headers", ())
            if name == "authorization"
        ]
        assert [token for token in tokens if token in page] == []


def test_the_sequences_of_a_profile_are_those_of_its_runs(few: Contents) -> None:
    assert page_of(few, "sequences/documented.md").count("Held: `sequence: walked (12 of 12 arrows)`") == 2
    assert page_of(few, "sequences/deployed.md").count("Held: `sequence: walked (19 of 19 arrows)`") == 2


def test_what_is_looked_for_most_is_on_the_start_page(few: Contents) -> None:
    for words in (
        "The push diagram",
        "The body of the notification",
        "What a wrong AssetToken gets",
        "How to run in CI",
    ):
        assert f"- [{words}](" in few.start.text
