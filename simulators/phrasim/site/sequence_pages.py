"""The sequences of a profile, as runs of its scenarios `push` and `pull` walked them when the site was made."""

from collections.abc import Mapping

from phrasim.site.page import Page, link
from phrasim.site.runs import Run
from phrasim.site.svg import figure

FLOWS = {"documented": "docs/request-flow.md", "deployed": "docs/deployed-flow.md"}
_MODES = ("push", "pull")


def sequence_path(profile: str) -> str:
    """Where the page of a profile's sequences is."""
    return f"sequences/{profile}.md"


def sequence_page(profile: str, runs: Mapping[str, Run]) -> Page:
    """The page of a profile; `runs` are those of its scenarios, by name."""
    path = sequence_path(profile)
    introduction = (
        "Both diagrams were drawn from runs of the simulated services when this page was made, and the runs were held "
        f"to {link('the document', FLOWS[profile], path)}, which also tells what the arrows mean. What stands in "
        "parentheses is no arrow of the document: requests for tokens and metadata, which may happen at any time. Ids "
        "are cut to their first eight signs."
    )
    parts = [introduction]
    for mode in _MODES:
        run = runs[mode]
        (walked,) = (one for one in run.outcome.verdicts if one.expectation.startswith("sequence"))
        parts += [
            f"## {mode.capitalize()} mode",
            f"{walked.judgement.capitalize()}: `{walked.expectation}`. {link('The scenario', run.page, path)}.",
            figure(run.drawing),
        ]
    made_from = (*(runs[mode].file for mode in _MODES), FLOWS[profile])
    return Page(path, f"Sequences, {profile}", "\n\n".join(parts), made_from, wide=True)
