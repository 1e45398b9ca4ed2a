"""Where the documents lie that phrasim reads: the specifications, the scenarios and the request-flow document.

In a checkout they lie at its root; in an installed wheel the build maps them to `phrasim/_data/`. Nothing is
searched for in the working directory, so that the same command reads the same documents everywhere.
"""

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def find_root(package: Path) -> Path:
    """The folder that holds `openapi/`, for the import package that lies in `package`.

    Raises FileNotFoundError, naming both places, when neither layout is there: the installation is damaged.
    """
    installed = package / "_data"
    checkout = package.parents[1]
    for candidate in (installed, checkout):
        if (candidate / "openapi").is_dir():
            return candidate
    raise FileNotFoundError(
        f"looking for phrasim's documents: there is no openapi/ folder in {str(installed)!r} (an installed package) "
        f"nor in {str(checkout)!r} (a checkout); reinstall phrasim"
    )


_SCENARIOS = {"documented": "", "deployed": "deployed"}
_FLOWS = {"documented": "request-flow.md", "deployed": "deployed-flow.md"}


@cache
def documents_root() -> Path:
    """The folder that holds `openapi/`, `scenarios/` and `docs/` for this installation."""
    return find_root(_PACKAGE)


def openapi_folder() -> Path:
    """The folder of the specifications."""
    return documents_root() / "openapi"


def scenarios_folder() -> Path:
    """The folder of the scenarios that come with phrasim."""
    return documents_root() / "scenarios"


def scenarios_of(profile: str) -> Path:
    """The folder of the scenarios of a profile that come with phrasim. Raises KeyError for no profile."""
    return scenarios_folder() / _SCENARIOS[profile]


def flow_document(profile: str) -> Path:
    """The document whose sequence diagrams a run of that profile is held to. Raises KeyError where there is none."""
    return documents_root() / "docs" / _FLOWS[profile]


def broker_programs_folder() -> Path:
    """The folder of the programs that brokers are held to."""
    return documents_root() / "contracts" / "broker"


def locustfile() -> Path:
    """The Locust file that comes with phrasim."""
    return documents_root() / "loadtests" / "locustfile.py"
