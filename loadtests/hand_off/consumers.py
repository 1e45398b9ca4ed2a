"""Phraseanet's side against an upload service: it is notified or polls, reads, downloads, and acknowledges."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIServer
from locust import task
from locust.env import Environment

from hand_off.callers import Caller, Failed, address_of
from hand_off.run import decoded, run_of
from phrasim.load.landscape import Landscape

WATCH_SECONDS = 0.2
EXECUTIONS = 3
"""How often a commit is worked on whose requests fail (A34)."""
RETRY_SECONDS = 1.0


class Consumer(Caller):
    """Works on so many commits at once as the options say. There is one of it, in one process."""

    abstract = True
    fixed_count = 1

    def __init__(self, environment: Environment) -> None:
        self.concurrency = run_of(environment).settings.consumers + 1  # Connections: one to poll with, too.
        super().__init__(environment)
        self._pool = Pool(self.load.settings.consumers)

    def on_stop(self) -> None:
        """What is being worked on ends first."""
        self._pool.join(timeout=RETRY_SECONDS * EXECUTIONS)

    def hand_on(self, commit: Mapping[str, Any], base_url: str) -> None:
        """Work on a commit `{id, token, assets}` as soon as there is room."""
        self._pool.start(gevent.Greenlet(self._executed, commit, base_url))

    def _executed(self, commit: Mapping[str, Any], base_url: str) -> None:
        for _ in range(EXECUTIONS):
            try:
                self._work(commit, base_url)
            except Failed:
                gevent.sleep(RETRY_SECONDS)
            else:
                return

    def _work(self, commit: Mapping[str, Any], base_url: str) -> None:
        protocol, load = self.load.protocol, self.load
        token, commit_id, assets = str(commit["token"]), commit.get("id"), [str(one) for one in commit["assets"]]
        headers = {"authorization": f"AssetToken {token}"}
        digests: dict[str, str] = {}
        for asset in assets:
            metadata = self.asked_for_json("getAsset", base_url + protocol.path("getAsset", id=asset), headers=headers)
            digests[asset] = self.downloaded(protocol.file_address(metadata, base_url), protocol.file_headers(token))
            load.see("downloaded", {asset: digests[asset]}, commit_id)
        self._acknowledge(commit_id, assets, base_url, headers)

    def _acknowledge(
        self, commit_id: str | None, assets: Sequence[str], base_url: str, headers: Mapping[str, str]
    ) -> None:
        for operation_id, path, about in self.load.protocol.acknowledgements(commit_id, assets):
            body = {"acknowledged": True}
            with self.asked(operation_id, base_url + path, json=body, headers=dict(headers)):
                self.load.see("acknowledged", dict.fromkeys(about), commit_id)


class PushConsumer(Consumer):
    """Listens where the upload service expects Phraseanet, and takes every notification."""

    def on_start(self) -> None:
        """Listen from now on."""
        settings = self.load.settings
        self._server = WSGIServer((settings.consumer_host, settings.consumer_port), self._answer, log=None)
        try:
            self._server.start()
        except OSError as error:
            address = f"{settings.consumer_host}:{settings.consumer_port}"
            self.load.refuse(
                f"notifications cannot be taken at {address}: {error.strerror}; name another --consumer-port"
            )

    def on_stop(self) -> None:
        """Nobody is let in any more."""
        self._server.stop(timeout=1)
        super().on_stop()

    @task
    def listen(self) -> None:
        """The server works by itself."""
        gevent.sleep(WATCH_SECONDS)

    def _answer(
        self, environ: Mapping[str, Any], start_response: Callable[[str, list[tuple[str, str]]], object]
    ) -> Iterable[bytes]:
        told = decoded(environ["wsgi.input"].read())
        if not isinstance(told, dict) or not isinstance(told.get("assets"), list) or "token" not in told:
            start_response("400 Bad Request", [("content-type", "text/plain")])
            return [b"this is no notification\n"]
        commit = {"id": told.get("commit_id"), "token": told["token"], "assets": told["assets"]}
        self.load.see("notified", dict.fromkeys(map(str, told["assets"])), commit["id"])
        base_url = str(told.get("base_url") or address_of(self.load.landscapes[0].upload)).rstrip("/")
        gevent.spawn(self.hand_on, commit, base_url)  # The answer does not wait for room.
        start_response("200 OK", [("content-type", "application/json")])
        return [b"true"]


class PullConsumer(Consumer):
    """Polls each landscape, and works on what it had not seen yet."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._known: set[str] = set()

    @task
    def poll(self) -> None:
        """One round, and the time until the next."""
        for landscape in self.load.landscapes:
            try:
                self._poll(landscape)
            except Failed:
                continue
        gevent.sleep(self.load.settings.interval)

    def _poll(self, landscape: Landscape) -> None:
        for commit in self.listed(landscape):
            if commit["id"] not in self._known:
                self._known.add(commit["id"])
                self.load.see("notified", dict.fromkeys(commit["assets"]), commit["id"])
                self.hand_on(commit, address_of(landscape.upload))


class Lister(Caller):
    """Lists what is new when all is over: nothing that was acknowledged."""

    abstract = True

    def look(self) -> None:
        """At every landscape whose clients are known."""
        for landscape in self.load.landscapes:
            if landscape.upload is None or not landscape.clients:
                continue
            try:
                commits = self.listed(landscape)
            except Failed:
                self.load.blind.append("what is new could not be listed in the end")
                continue
            for commit in commits:
                self.load.see("listed", dict.fromkeys(commit["assets"]), commit["id"])
