"""What a load run takes from a scenario: `python -m phrasim.scenario.parameters FILE` prints it as JSON.

Of the hand-off that the scenario plays these are the sizes of its files and the form data of its commit, beside its
profile and mode. What else the scenario says, faults and expectations, is for one hand-off at a time.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec

from phrasim.documents.yaml_text import DocumentError
from phrasim.scenario.files import FileError
from phrasim.scenario.loader import load_scenario
from phrasim.scenario.model import Call, Scenario
from phrasim.scenario.runner import own_files


def parameters(scenario: Scenario) -> dict[str, Any]:
    """The parameters as a value for JSON. Raises `FileError`, or ValueError where nothing is committed."""
    commits = [one for one in scenario.steps if isinstance(one, Call) and one.operation_id == "commitAssets"]
    if not commits or not scenario.given.files:
        raise ValueError(f"{scenario.file}: no files are committed in this scenario; a load run takes them from there")
    body = commits[0].body if isinstance(commits[0].body, dict) else {}
    files = own_files(scenario, seed=1)
    return {
        "profile": scenario.profile,
        "mode": scenario.mode,
        "sizes": [file.size for file in files],
        "formData": body.get("formData") or {},
    }


def main(arguments: list[str]) -> int:
    """Print them; 2 and a line on standard error where there are none."""
    try:
        told = parameters(load_scenario(Path(arguments[0])))
    except (DocumentError, FileError, OSError, ValueError) as error:
        print(error, file=sys.stderr)  # noqa: T201 - this is a command
        return 2
    sys.stdout.buffer.write(msgspec.json.encode(told))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
