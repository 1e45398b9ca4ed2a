"""What a load run knows in one process of Locust: its options, and what it has seen so far.

Sightings go to the account, which the master has, or the one process where there are no workers. Workers send theirs
along with Locust's own reports.
"""

import random
import sys
import time
from collections.abc import Sequence
from itertools import count
from typing import Any

import msgspec
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from hand_off.options import settings_of
from hand_off.protocol import PROTOCOLS, Protocol
from hand_off.scenario import hand_off_parameters
from phrasim.load.account import AFTERWARDS, Account, Kind, Sighting
from phrasim.load.contents import Content
from phrasim.load.landscape import Landscape, read_landscapes
from phrasim.load.objectives import Objective, read_objectives

STAGE_TYPE = "hand-off"
"""The type of the stages in Locust's tables, where requests have their method."""


class Run:
    """The load run of an environment: see `run_of`. Raises as `begin` does."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.started = False
        self.wrong = ""
        """Why nothing can be loaded: what the user of this command has to change."""
        self.interrupted = False
        self.users_max = 1
        """How many users begin hand-offs, in all processes, when there are the most of them."""
        self._numbers = count()
        self._begun = count()
        self.begin()

    def begin(self) -> None:
        """Read the options, which Locust's page may have changed, and begin anew, with nothing seen.

        Raises ValueError, OSError where they cannot be followed.
        """
        self.settings = settings_of(self.environment.parsed_options)
        self.landscapes: Sequence[Landscape] = read_landscapes(self.settings.landscape)
        self.profile, self.mode = self.landscapes[0].profile, self.landscapes[0].mode
        if not self.settings.consume and not all(landscape.control for landscape in self.landscapes):
            raise ValueError("nobody would see what becomes of a commit: say --consume, or name a control port")
        self.protocol: Protocol = PROTOCOLS[self.profile]()
        self.parameters = hand_off_parameters(self.settings, self.profile)
        self.objectives: list[Objective] = (
            read_objectives(self.settings.slo, list(self.protocol.operations)) if self.settings.slo else []
        )
        self._tell_users()
        self.has_users = False
        """Whether a user of this process begins hand-offs already."""
        self.beginning = 0
        """How many hand-offs users of this process are about to commit."""
        self.beginning_elsewhere: dict[str, int] = {}
        self.last_commit = time.time()
        self.draining = False
        self.over = False
        """Whether it came to its end: all was acknowledged, or patience ended."""
        self.began = time.time()
        self.last_seen = self.began
        self.outbox: list[Sighting] = []
        self.account = Account(notified_once=self.mode == "push")
        self.downloaded_bytes = 0
        self.queues: list[tuple[float, dict[str, int]]] = []
        self.blind: list[str] = []
        """Why some of what happened was not seen."""

    def _tell_users(self) -> None:
        """Workers hear of it: Locust tells each only of its own users."""
        if not self.is_worker:
            options = self.environment.parsed_options
            self.users_max = (options and options.num_users) or 1
        if isinstance(self.environment.runner, MasterRunner):
            self.environment.runner.send_message("users", self.users_max)

    @property
    def is_worker(self) -> bool:
        """Whether another process keeps the account."""
        return isinstance(self.environment.runner, WorkerRunner)

    @property
    def is_master(self) -> bool:
        """Whether sightings come from other processes."""
        return isinstance(self.environment.runner, MasterRunner)

    @property
    def process(self) -> str:
        """What tells this process from the others."""
        return getattr(self.environment.runner, "client_id", "alone")

    def see(
        self, kind: Kind, assets: dict[str, str | None], commit: str | None = None, at: float | None = None
    ) -> None:
        """Something was seen, now unless `at` says when (seconds of `time.time`)."""
        self.take(Sighting(kind, time.time() if at is None else at, assets, commit))

    def refuse(self, why: str) -> None:
        """Say what is wrong with the call; the run ends at the next tick of its shape."""
        self.wrong = why
        sys.stderr.write(f"phrasim: {why}\n")

    @property
    def under_way(self) -> int:
        """How many hand-offs are begun and not acknowledged, committed or not."""
        return self.account.open + self.beginning + sum(self.beginning_elsewhere.values())

    def drain(self) -> None:
        """Begin nothing more, here and in the workers."""
        self.draining = True
        if isinstance(self.environment.runner, MasterRunner):
            self.environment.runner.send_message("drain")

    def take(self, sighting: Sighting) -> None:
        """A sighting of this process or of another one; where it ends a stage, Locust counts that like a request."""
        if self.is_worker:
            self.outbox.append(sighting)
            return
        if sighting.kind == "committing":
            self.last_commit = max(self.last_commit, sighting.at)
        if sighting.kind not in AFTERWARDS:
            self.last_seen = max(self.last_seen, sighting.at)
        for stage, seconds in self.account.take(sighting):
            self.environment.events.request.fire(
                request_type=STAGE_TYPE,
                name=stage,
                response_time=max(0.0, seconds) * 1000,
                response_length=0,
                exception=None,
                context={},
            )

    def next_landscape(self) -> Landscape:
        """Commits go round the landscapes, one to each."""
        return self.landscapes[next(self._begun) % len(self.landscapes)]

    def next_contents(self) -> list[Content]:
        """The files of the next hand-off. No two of a run have the same content."""
        number = next(self._numbers)
        process = self.process
        chance = random.Random(f"{self.settings.seed}/{process}/{number}")
        return [
            Content(f"{self.settings.seed}/{process}/{self.began}/{number}/{at} ", size)
            for at, size in enumerate(self.parameters.sizes(chance))
        ]


def run_of(environment: Environment) -> Run:
    """The load run of an environment, which has one from its start."""
    run: Run = environment.phrasim  # type: ignore[attr-defined]
    return run


def decoded(content: bytes | None) -> Any:
    """JSON as a value; None for what is none."""
    try:
        return msgspec.json.decode(content or b"")
    except msgspec.DecodeError:
        return None
