"""The parameters of a hand-off: from options, or from a scenario file."""

import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from hand_off.options import Settings
from phrasim.load.sizes import Sizes


class ScenarioUnusable(ValueError):
    """A scenario from which no load can be made; the message says why."""


@dataclass(frozen=True, slots=True)
class HandOffParameters:
    """How many files a commit has and of which sizes, and its form data."""

    drawn: tuple[int, Sizes] | None
    given: Sequence[int] = ()
    form_data: Mapping[str, Any] = field(default_factory=lambda: {"title": "Load"})

    def sizes(self, chance: random.Random) -> list[int]:
        """The sizes of the files of one hand-off, in bytes."""
        if self.drawn is None:
            return list(self.given)
        files, sizes = self.drawn
        return [sizes.draw(chance) for _ in range(files)]


def hand_off_parameters(settings: Settings, profile: str) -> HandOffParameters:
    """What the options say, for a landscape of that profile. Raises `ScenarioUnusable`."""
    if settings.scenario is None:
        return HandOffParameters((settings.assets, settings.sizes))
    return _of_scenario(settings.scenario, profile)


def _of_scenario(path: Path, profile: str) -> HandOffParameters:
    # In a process of its own: what reads scenarios stands on asyncio.
    reader = subprocess.run(  # noqa: S603 - this Python, and a module of ours
        [sys.executable, "-m", "phrasim.scenario.parameters", path], capture_output=True, text=True, check=False
    )
    if reader.returncode != 0:
        raise ScenarioUnusable(reader.stderr.strip())
    told = msgspec.json.decode(reader.stdout)
    if told["profile"] != profile:
        raise ScenarioUnusable(f"{path} has the profile {told['profile']}, and the landscape {profile}")
    return HandOffParameters(None, told["sizes"], told["formData"])
