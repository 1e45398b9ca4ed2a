"""Users who begin hand-offs: one who uploads and commits, and one who tells Phraseanet of commits."""

import random
import time

import gevent
from locust import task
from locust.env import Environment

from hand_off.callers import Caller, Failed, address_of
from hand_off.run import decoded
from phrasim.load.landscape import Landscape

IDLE_SECONDS = 0.2
USUAL_PAUSE_SECONDS = 1.0


class Beginner(Caller):
    """Begins hand-offs one after the other, in the pace that is asked for, until the run drains."""

    abstract = True

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._next = 0.0

    def on_start(self) -> None:
        """Begin at a moment of its own, so that all of them together keep the pace; the first one at once."""
        self._next = time.time() + (random.random() * self._pause() if self.load.has_users else 0)
        self.load.has_users = True

    def _pause(self) -> float:
        """Seconds from the beginning of one hand-off of this user to that of the next."""
        settings = self.load.settings
        if settings.rate is None:
            return USUAL_PAUSE_SECONDS
        return self.load.users_max / settings.rate if settings.rate else 0.0

    @task
    def hand_over(self) -> None:
        """One hand-off; a request that fails ends it."""
        if self.load.draining:
            gevent.sleep(IDLE_SECONDS)
            return
        wait = self._next - time.time()
        if wait > 0:
            gevent.sleep(min(wait, IDLE_SECONDS))
            return
        self._next = max(self._next, time.time() - self._pause()) + self._pause()
        self.load.beginning += 1
        try:
            self.begin(self.load.next_landscape())
        except Failed:
            gevent.sleep(IDLE_SECONDS)
        finally:
            self.load.beginning -= 1

    def begin(self, landscape: Landscape) -> None:
        """Begin one hand-off. Raises `Failed`."""
        raise NotImplementedError


class Uploader(Beginner):
    """Uploads the files of a commit, and commits them."""

    def begin(self, landscape: Landscape) -> None:
        """What is done with it is seen by others."""
        load = self.load
        bearer = self.bearer(landscape)
        assets: dict[str, str | None] = dict(
            self.uploaded(landscape, content, bearer) for content in load.next_contents()
        )
        body = load.protocol.commit_body(landscape, list(assets), load.parameters.form_data)
        headers = {"authorization": f"Bearer {bearer}", "accept": "application/json"}
        url = address_of(landscape.upload) + load.protocol.path("commitAssets")
        load.see("committing", assets)
        with self.client.post(url, name="commitAssets", json=body, headers=headers, catch_response=True) as answer:
            if answer.status_code == 200 and decoded(answer.content) is True:
                load.see("committed", assets)
            elif answer.status_code:
                load.see("refused", assets)
                answer.failure(f"the status is {answer.status_code}, not 200")
            else:
                answer.failure(str(answer.error))  # It may have arrived, and may not.


class Notifier(Beginner):
    """Tells a Phraseanet of commits that the simulated upload service beside it has.

    The commits are made by the control port, which tells their ids and tokens: `commitAssets` tells neither (§2.3).
    """

    def begin(self, landscape: Landscape) -> None:
        """Two requests: one makes the commit, the other is the notification."""
        load = self.load
        files = {f"load-{at}.bin": {"size": f"{content.size} B"} for at, content in enumerate(load.next_contents())}
        publisher = landscape.users[0]
        seed = {"commits": [{"publisher": publisher.email, "files": files}]}
        with self.client.post(
            address_of(landscape.control) + "/_phrasim/seed-data", name="addSeedData", json=seed, catch_response=True
        ) as answer:
            made = decoded(answer.content)
            if answer.status_code != 200 or not isinstance(made, dict):
                answer.failure(f"the status is {answer.status_code}, not 200")
                raise Failed("addSeedData")
            commit = made["commits"][0]
        assets: dict[str, str | None] = dict.fromkeys(commit["assets"])
        url = address_of(landscape.phraseanet) + load.protocol.path("enqueueAssets")
        body = load.protocol.notification(landscape, commit, publisher.id)
        load.see("committing", assets, commit["id"])
        try:
            with self.asked(
                "enqueueAssets", url, json=body, headers=dict(load.protocol.notification_headers(landscape))
            ):
                load.see("committed", assets, commit["id"])
                load.see("notified", assets, commit["id"])
        except Failed:
            load.see("refused", assets, commit["id"])
            raise
