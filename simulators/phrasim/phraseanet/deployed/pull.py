"""Pull mode (§4.4): a message that goes round, and at each round asks the configured targets for new commits."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from typing import Any

import httpx
import msgspec

from phrasim.phraseanet.deployed.ingest import PULL
from phrasim.phraseanet.deployed.payload import as_text
from phrasim.phraseanet.deployed.publisher import Publisher
from phrasim.phraseanet.deployed.queues import ASSETS_INGEST, PULL_ASSETS
from phrasim.phraseanet.deployed.state import PhraseanetState, PullTarget, WorkerDied
from phrasim.phraseanet.deployed.uploader import RequestFailed, Uploader, shown
from phrasim.phraseanet.poll_failed import PollFailed
from phrasim.service.credentials import LIST_COMMITS, fits_a_header


class PullAssets:
    """Works on the message of `pullAssets`."""

    def __init__(
        self, state: PhraseanetState, publisher: Publisher, uploader: Uploader, note: Callable[..., None]
    ) -> None:
        self._state = state
        self._publisher = publisher
        self._uploader = uploader
        self._note = note

    async def work(self, _payload: dict[str, Any]) -> None:
        """One round, of whose failure nobody hears."""
        with suppress(PollFailed):
            await self.round()

    async def round(self) -> int:
        """Ask one target after the other; how many commits were handed on.

        The first target that fails ends the round for those behind it (H24): it is noted, and `PollFailed` raised.
        """
        handed_on = 0
        for target in self._state.targets:
            try:
                listing = await self._listing(target)
            except (PollFailed, RequestFailed) as failed:
                self._note("pull failed", target=target.name, reason=str(failed))
                raise PollFailed(f"{target.name}: {failed}") from failed
            for commit in listing:
                handed_on += await self._enqueue(target, commit)
        return handed_on

    async def _enqueue(self, target: PullTarget, commit: Any) -> bool:
        """Hand a commit on that is neither acknowledged nor, as far as the job rows tell, at work (H8, H9)."""
        try:
            if commit["acknowledged"] or self._state.jobs.is_running(commit["id"]):
                return False
            payload = {
                "assets": [_without_path(item) for item in commit["assets"]],
                "publisher": commit["userId"],
                "commit_id": commit["id"],
                "token": commit["token"],
                "base_url": base_of(target.pullmode_uri),
                "type": PULL,
                "verify_ssl": target.verify_ssl,
            }
        except (KeyError, TypeError) as error:
            raise WorkerDied(f"a commit of {target.name} cannot be read: {type(error).__name__}: {error}") from error
        await self._publisher.publish(ASSETS_INGEST, payload)
        return True

    async def _listing(self, target: PullTarget) -> list[Any]:
        """The first page, and no other. Without a token, or after a 401 to one, a new one is asked for, once."""
        token = self._state.target_tokens.get(target.name)
        had_token = token is not None
        # The address has to hold a query already: without one this is another path (H23).
        address = f"{target.pullmode_uri}&acknowledged=false"
        answer = await self._uploader.commits(address, token or await self._new_token(target))
        if answer.status_code == 401 and had_token:
            answer = await self._uploader.commits(address, await self._new_token(target))
        if answer.status_code != 200:
            raise PollFailed(f"{shown('GET', address)} was answered {answer.status_code}")
        members = _json(answer).get("hydra:member")
        return members if isinstance(members, list) else []

    async def _new_token(self, target: PullTarget) -> str:
        fields = {
            "client_id": target.client_id,
            "client_secret": target.client_secret,
            "grant_type": "client_credentials",
            "scope": LIST_COMMITS,
        }
        answer = await self._uploader.token(f"{base_of(target.pullmode_uri)}/oauth/v2/token", fields)
        token = _json(answer).get("access_token")
        # One that no header can hold would be kept for ever: no request could be made that refuses it.
        if answer.status_code != 200 or not isinstance(token, str) or not fits_a_header(token):
            raise PollFailed(f"the request for a token was answered {answer.status_code}, without one")
        self._state.target_tokens[target.name] = token
        return token


class PullAdministration:
    """What an administrator does with pull mode. A message that is just being worked on escapes each purge (H26)."""

    def __init__(self, state: PhraseanetState, publisher: Publisher, now: Callable[[], datetime]) -> None:
        self._state = state
        self._publisher = publisher
        self._now = now

    async def start(self) -> None:
        """Purge, and send the message that goes round from then on. Raises `BrokerError`."""
        await self._publisher.purge(PULL_ASSETS)
        stamp = {"date": self._now().strftime("%Y-%m-%d %H:%M:%S.%f"), "timezone_type": 3, "timezone": "UTC"}
        await self._publisher.publish(PULL_ASSETS, {"initTimestamp": stamp})

    async def stop(self) -> None:
        """Purge: nothing goes round any more. Raises `BrokerError`."""
        await self._publisher.purge(PULL_ASSETS)

    async def save(self, targets: Iterable[PullTarget]) -> None:
        """Change the targets; this purges too, so that pull mode is off until it is started. Raises `BrokerError`."""
        self._state.targets = tuple(targets)
        await self._publisher.purge(PULL_ASSETS)


def base_of(uri: str) -> str:
    """Scheme and host of a target's address; its port and path are dropped (H22)."""
    try:
        url = httpx.URL(uri)
        scheme, host = url.scheme, url.host
    except (httpx.InvalidURL, UnicodeError) as error:
        raise PollFailed(f"the address {uri!r} is no URL: {error}") from error
    return f"{scheme}://{host}"


def _without_path(item: Any) -> Any:
    """An item of a commit's assets as an id. An embedded object stays one, which nobody can ingest (H25)."""
    if isinstance(item, dict):
        return {name: _cut(value) for name, value in item.items()}
    return _cut(item)


def _cut(value: Any) -> Any:
    return value if isinstance(value, list | dict) else as_text(value).replace("/assets/", "")


def _json(answer: httpx.Response) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(answer.content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
