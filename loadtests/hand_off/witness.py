"""Looks on at simulated services through their control port: who was notified, downloaded, acknowledged, and when.

What a real Phraseanet, or the simulated one, does at the simulated upload service stands in the journal of that
landscape. Its times are of another clock; the smallest lead with which an event was ever heard of sets it.
"""

import time
from collections.abc import Iterator, Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, urlsplit

import gevent
import msgspec
from geventhttpclient import HTTPClient

from hand_off.run import Run
from phrasim.load.landscape import Landscape

OPERATIONS: Mapping[str, str] = {
    "documented": "enqueueAssets,listCommits,downloadAsset,acknowledgeCommit",
    "deployed": "enqueueAssets,listCommits,downloadFile,acknowledgeAsset",
}
"""By profile the operations whose messages are looked at."""
SAMPLE_SECONDS = 1.0
"""How often queues and records are read."""
RETAINED_SHARE = 0.3
"""How often they are at least, as a share of the time after which records are forgotten."""


class Witness:
    """Looks on at one landscape until it is told to end."""

    def __init__(self, run: Run, landscape: Landscape) -> None:
        assert landscape.control is not None
        self._run = run
        self._url = landscape.control.url
        self._lead = float("inf")
        self._messages: dict[str, dict[str, Any]] = {}
        self._commits: set[str] = set()
        self._recorded: str | None = None
        """The asset of the record that was read last."""
        try:
            state = self._asked("/_phrasim/state")
        except OSError as error:
            raise ValueError(f"the control port at {self._url} cannot be reached: {error.strerror or error}") from error
        # What arrives at a real Phraseanet stands in no journal: there an answer counts when it is sent.
        self._counts = "received" if state["participants"]["phraseanet"]["role"] == "played" else "sent"
        after = state["events"]["next"] - 1
        path = f"/_phrasim/journal?follow=true&after={after}&operation={OPERATIONS[run.profile]}"
        retain = run.settings.retain
        every = SAMPLE_SECONDS if retain is None else min(SAMPLE_SECONDS, retain * RETAINED_SHARE)
        self._greenlets = [gevent.spawn(self._follow, path), gevent.spawn(self._sample, every)]

    def end(self) -> None:
        """Look no more; what Phraseanet has recorded is read a last time."""
        gevent.killall(self._greenlets)
        try:
            self._read_records()
        except (OSError, ValueError) as error:
            self._run.blind.append(f"the records at {self._url} could not be read: {error}")

    # The journal.

    def _follow(self, path: str) -> None:
        try:
            for line in self._lines(path):
                self._heard(msgspec.json.decode(line))
            why = "it was read too slowly, or the landscape ended"
        except (OSError, ValueError, HTTPException) as error:
            why = str(error)
        self._run.blind.append(f"the journal at {self._url} was not read to its end: {why}")

    def _lines(self, path: str) -> Iterator[bytes]:
        """The lines of an answer that stays open, without the first, which is the header."""
        answer = self._client(network_timeout=None).get(path)
        if answer.status_code != 200:
            raise ValueError(f"the status is {answer.status_code}")
        answer.readline(b"\n")
        while line := answer.readline(b"\n"):
            yield bytes(line)

    def _heard(self, event: Mapping[str, Any]) -> None:
        at = event["at"] / 1e9
        self._lead = min(self._lead, time.time() - at)
        kind, message = event["event"], event["message"]
        if isinstance(message, dict):
            self._messages[message["id"]] = message
        name = message["id"] if isinstance(message, dict) else message
        told = self._messages.get(name)
        if told is None:
            return
        if told["kind"] == "request":
            if kind == "received":
                self._asked_for(told, at + self._lead)
            elif kind == "lost":
                del self._messages[name]
            return  # It is needed until its answer.
        if kind == "sent" and self._counts == "received":
            return
        request = self._messages.pop(told["replyTo"], None)
        del self._messages[name]
        if kind == self._counts and told["status"] == 200 and request is not None:
            self._answered(request, told, at + self._lead)

    def _asked_for(self, request: Mapping[str, Any], at: float) -> None:
        # What a Notifier sends it has seen itself.
        if request["operationId"] == "enqueueAssets" and request["sender"] == "upload":
            told = request["body"].get("json") or {}
            self._notified(told.get("commit_id"), told.get("assets", []), at)

    def _notified(self, commit: str | None, assets: list[str], at: float) -> None:
        if commit is not None:
            self._commits.add(commit)
        self._run.see("notified", dict.fromkeys(assets), commit, at)

    def _answered(self, request: Mapping[str, Any], answer: Mapping[str, Any], at: float) -> None:
        """200 arrived at who asked."""
        words = request["target"].partition("?")[0].split("/")
        match request["operationId"]:
            case "listCommits":
                for commit in self._run.protocol.listed(answer["body"].get("json")):
                    if commit["id"] not in self._commits:
                        self._notified(commit["id"], commit["assets"], at)
            case "downloadAsset" | "downloadFile":
                self._run.see("downloaded", {words[2]: None}, None, at)
                self._run.downloaded_bytes += answer["body"]["length"]
            case "acknowledgeAsset":
                self._run.see("acknowledged", {words[2]: None}, None, at)
            case "acknowledgeCommit":
                self._run.see("acknowledged", {}, words[2], at)

    # What is read every now and then.

    def _sample(self, seconds: float) -> None:
        """The depths of the queues, and what Phraseanet has recorded since."""
        while True:
            try:
                queues = self._asked("/_phrasim/queues")
                self._read_records()
            except (OSError, ValueError):
                pass  # The journal's end tells of it, or what is read last.
            else:
                depths = {one["name"]: one["ready"] + one["unacknowledged"] for one in queues}
                self._run.queues.append((time.time() - self._run.began, depths))
            gevent.sleep(seconds)

    def _read_records(self) -> None:
        """What Phraseanet has recorded since the last look, by the digest of what it downloaded."""
        path = "/_phrasim/records"
        records = None
        if self._recorded is not None:
            records = self._asked(f"{path}?after={quote(self._recorded, safe='')}", unless=404)
        if records is None:  # Nothing was read yet, or it is forgotten: what there is is new.
            records = self._asked(path)
        for record in records:
            self._run.see("recorded", {record["assetId"]: record["sha256"]}, record["commitId"])
            self._recorded = record["assetId"]

    def _asked(self, path: str, unless: int | None = None) -> Any:
        """What is answered; None for that status."""
        client = self._client(network_timeout=30)
        try:
            answer = client.get(path)
            if answer.status_code == unless:
                return None
            if answer.status_code != 200:
                raise ValueError(f"{path}: the status is {answer.status_code}")
            return msgspec.json.decode(answer.read())
        finally:
            client.close()

    def _client(self, network_timeout: float | None) -> HTTPClient:
        address = urlsplit(self._url)
        assert address.hostname is not None
        return HTTPClient(address.hostname, address.port, network_timeout=network_timeout, connection_timeout=10)
