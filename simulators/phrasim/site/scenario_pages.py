"""A page for each scenario: what it shows, how its run ended, its diagram, and its YAML."""

import json
from collections.abc import Iterator, Sequence

from phrasim.documents import contract, secret_fields
from phrasim.journal.events import Response
from phrasim.journal.redaction import redacted_json
from phrasim.journal.sightings import Trace, json_of, path_of
from phrasim.site.page import Page, fence, link, table
from phrasim.site.runs import Run
from phrasim.site.svg import figure

INDEX = "scenarios/index.md"


def scenario_page(run: Run) -> Page:
    """The page of one scenario."""
    scenario = run.outcome.scenario
    profile = "" if scenario.profile == "documented" else f" --profile {scenario.profile}"
    held = "Held" if run.outcome.held else "Broken"
    drawn = ""
    if scenario.document:
        file, _, anchor = scenario.document.partition("#")
        drawn = f"Held to {link(f'`{scenario.document}`', f'{file}#{anchor}', run.page)}. "
    parts = [
        scenario.summary,
        f"**{held}** when this page was made. {drawn}{link('All scenarios', INDEX, run.page)}.",
        "## Verdict",
        table(
            ("", "What is expected"),
            [(f"{one.judgement}", _expectation(one.expectation, one.because)) for one in run.outcome.verdicts],
        ),
        *_refusals(run),
        "## Diagram",
        "What stands in parentheses is no arrow of the document. Ids are cut to their first eight signs.",
        figure(run.drawing),
        "## Scenario",
        fence("sh", f"phrasim run {run.name}{profile}"),
        fence("yaml", scenario.text),
    ]
    return Page(run.page, scenario.name, "\n\n".join(parts), (run.file,), wide=True)


def scenario_index(runs: Sequence[Run]) -> Page:
    """The list of all scenarios, by profile."""
    introduction = (
        f"{len(runs)} scenarios come with phrasim, one behaviour each. All were played when this site was made, and "
        f"each page has the diagram of its run. {link('How scenarios are written', 'docs/scenarios.md', INDEX)}."
    )
    parts = [introduction]
    for profile in dict.fromkeys(run.outcome.scenario.profile for run in runs):
        own = [run for run in runs if run.outcome.scenario.profile == profile]
        parts += [
            f"## Profile {profile}",
            table(
                ("Scenario", "What it shows", "Mode", "Verdict"),
                [
                    (
                        link(run.outcome.scenario.name, run.page, INDEX),
                        run.outcome.scenario.summary,
                        run.outcome.scenario.mode,
                        "held" if run.outcome.held else "broken",
                    )
                    for run in own
                ],
            ),
        ]
    folders = dict.fromkeys(run.file.rpartition("/")[0] + "/" for run in runs)
    return Page(INDEX, "Scenarios", "\n\n".join(parts), tuple(folders), wide=True)


def _expectation(expectation: str, because: Sequence[str]) -> str:
    return " ".join([f"`{expectation}`", *because])


def _refusals(run: Run) -> Iterator[str]:
    """What was refused in the run and with which body, each kind once."""
    seen: dict[tuple[str | None, int], tuple[str, str]] = {}
    scenario = run.outcome.scenario
    for sighting in Trace(run.outcome.events, contract(scenario.profile)).sightings:
        answer = sighting.message
        if isinstance(answer, Response) and sighting.refused and sighting.request is not None:
            value = redacted_json(json_of(answer), secret_fields())
            body = "" if value is None else json.dumps(value, indent=2, ensure_ascii=False)
            line = f"{sighting.request.method} {path_of(sighting.request)}"
            seen.setdefault((answer.operation_id, answer.status), (line, body))
    if seen:
        yield "## What was refused"
    for (_, status), (line, body) in seen.items():
        yield f"`{line}` gets **{status}**{':' if body else ', without a body in JSON.'}"
        if body:
            yield fence("json", body)
