"""How many users there are, and when the run is over: when the last commits are acknowledged, or patience ends."""

import time

from locust import LoadTestShape
from locust.runners import WORKER_REPORT_INTERVAL

from hand_off.run import run_of
from phrasim.load.shapes import SHAPES

SPAWN_RATE_MAX = 100
"""Users that are started in a second; Locust warns of more."""
QUIET_SECONDS = 1.0
"""So long a run goes on behind its last acknowledgement, for what might come twice."""


class HandOffShape(LoadTestShape):
    """Users by the shape that is asked for; then the run drains."""

    use_common_options = True

    def __init__(self) -> None:
        super().__init__()
        self._settled: float | None = None

    def tick(self) -> tuple[int, float] | None:
        """How many users there should be, and how many to start in a second; None ends the run."""
        assert self.runner is not None
        run, now = run_of(self.runner.environment), self.get_run_time()
        settings, users = run.settings, run.users_max
        if run.wrong or run.blind or run.interrupted:
            return None
        if now < settings.duration:
            run.draining = False
            count = self._with_consumer(SHAPES[settings.shape](users, now / settings.duration))
            return count, min(count, SPAWN_RATE_MAX)
        if not run.draining:
            self._settled = None
            run.drain()
        if run.under_way:
            self._settled = None
            over = time.time() > max(run.last_commit, run.began + settings.duration) + settings.patience
        else:
            self._settled = now if self._settled is None else self._settled
            # What workers have seen comes with their reports.
            over = now > self._settled + (QUIET_SECONDS if not run.is_master else 2 * WORKER_REPORT_INTERVAL)
        if over:
            run.over = True
            return None
        return self.get_current_user_count(), SPAWN_RATE_MAX

    def _with_consumer(self, users: int) -> int:
        """Consumers of a fixed number count as users with Locust."""
        assert self.runner is not None
        return users + sum(one.fixed_count for one in self.runner.user_classes)
