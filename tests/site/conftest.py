"""Contents of the site from a handful of runs, which are as good as all of them and take a fraction of a second."""

import pytest
import typer
from typer.core import TyperGroup

from built_site import site
from phrasim.cli import app
from phrasim.documents.store import installed_store
from phrasim.site.contents import Contents, contents
from phrasim.site.runs import Run, play_shipped

__all__ = ["site"]


@pytest.fixture(scope="session")
def root() -> TyperGroup:
    """The command."""
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    return command


@pytest.fixture(scope="session")
def runs() -> list[Run]:
    """Those that the pages name, and one in which a message is lost."""
    files = (
        "scenarios/push.yaml",
        "scenarios/pull.yaml",
        "scenarios/push-wrong-token.yaml",
        "scenarios/deployed/push.yaml",
        "scenarios/deployed/pull.yaml",
        "scenarios/deployed/notification-without-answer-is-repeated.yaml",
    )
    return [play_shipped(file) for file in files]


@pytest.fixture(scope="session")
def few(runs: list[Run], root: TyperGroup) -> Contents:
    """The contents of a site with those runs."""
    return contents(installed_store(), runs, root)
