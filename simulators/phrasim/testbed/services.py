"""What a testbed asks of the services of a profile, whichever profile it is."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from starlette.types import ASGIApp

from phrasim.auth.accounts import Client, User
from phrasim.broker.client import AnyBroker
from phrasim.journal.events import Participant
from phrasim.testbed.spawn import Spawn
from phrasim.upload.storage import Storage
from phrasim.upload.stored_file import StoredFile


class HeldCommit(Protocol):
    """A commit as the upload service has it."""

    @property
    def id(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def token(self) -> str: ...
    @property
    def form_data(self) -> dict[str, Any]: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def acknowledged(self) -> bool: ...
    @property
    def asset_ids(self) -> tuple[str, ...]: ...


class HeldAsset(Protocol):
    """An asset as the upload service has it; `commit` is None until it is committed."""

    @property
    def id(self) -> str: ...
    @property
    def user_id(self) -> str: ...
    @property
    def original_name(self) -> str: ...
    @property
    def file(self) -> StoredFile: ...
    @property
    def created_at(self) -> datetime: ...
    @property
    def commit(self) -> HeldCommit | None: ...


class UploadHeld(Protocol):
    """What the upload service holds."""

    @property
    def assets(self) -> Sequence[HeldAsset]:
        """All assets, oldest first."""
        ...

    @property
    def commits(self) -> Sequence[HeldCommit]:
        """All commits, oldest first."""
        ...


class HeldRecord(Protocol):
    """What Phraseanet has made of an asset."""

    @property
    def asset_id(self) -> str: ...
    @property
    def commit_id(self) -> str | None: ...
    @property
    def publisher(self) -> str: ...
    @property
    def original_name(self) -> str: ...
    @property
    def mime_type(self) -> str: ...
    @property
    def form_data(self) -> dict[str, Any]: ...
    @property
    def size(self) -> int: ...
    @property
    def sha256(self) -> str: ...


class PhraseanetHeld(Protocol):
    """What Phraseanet holds."""

    @property
    def records(self) -> Sequence[HeldRecord]:
        """What it has made of assets, oldest first."""
        ...


class AuthHeld(Protocol):
    """Who is registered with Auth, and the tokens that it gives out without being asked by HTTP.

    `token_lifetime` is for how many seconds a token is good that it gives out from now on.
    """

    token_lifetime: int

    @property
    def users(self) -> Sequence[User]:
        """All users, in the order in which they were registered."""
        ...

    def user(self, user_id: str) -> User | None:
        """The user of that id."""
        ...

    def add_user(self, user: User) -> None:
        """Register a user; one of the same id is replaced."""
        ...

    def add_client(self, client: Client) -> None:
        """Register a client; one of the same id is replaced."""
        ...

    def token_problem(self, token: str) -> str | None:
        """What is wrong with giving a user this token, as the end of a sentence; None if nothing is."""
        ...

    def user_token(self, user: User, token: str | None = None) -> str:
        """A token of that user that is good from now on; `token` if that is given."""
        ...

    def client_token(self, client: Client, token: str | None = None) -> str:
        """A token of that client's own, for all of its scopes; `token` if that is given."""
        ...


class Services(Protocol):
    """The services from one beginning to the next, and what Phraseanet does besides answering.

    The state of a service that is not played stays empty, and its application is not called.
    """

    @property
    def apps(self) -> Mapping[Participant, ASGIApp]: ...
    @property
    def storage(self) -> Storage: ...
    @property
    def auth(self) -> AuthHeld: ...
    @property
    def upload(self) -> UploadHeld: ...
    @property
    def phraseanet(self) -> PhraseanetHeld: ...

    def add_commit(
        self, user_id: str, files: Sequence[tuple[str, StoredFile]], form_data: Mapping[str, Any]
    ) -> HeldCommit:
        """Make a commit of files, each with its name, as that user would have; nobody is notified of it."""
        ...

    def counts(self) -> Mapping[str, int]:
        """What else there is to count, by the words of `expect.counts` in a scenario."""
        ...

    async def start(self) -> None:
        """Declare the topology and start the workers, which is Phraseanet's. Raises `BrokerError`."""
        ...

    async def start_polling(self) -> None:
        """Let Phraseanet poll, where the mode says so. Raises `BrokerError`."""
        ...

    async def poll(self) -> int:
        """Let Phraseanet poll at once; how many commits it found to hand to itself. Raises `PollFailed`."""
        ...

    def forget(self, before: datetime) -> None:
        """Forget what was acknowledged before that moment: commits, assets and files; records, rows and what is known.

        No service does that of which PROTOCOL tells: it keeps a long run in the memory that there is.
        """
        ...

    async def wind_up(self, seconds: float) -> None:
        """End polling, and let the workers end the work at hand; after `seconds` it is broken off."""
        ...

    async def leave(self) -> None:
        """Leave the broker; what nobody has acknowledged goes back to its queue."""
        ...


class Stage(Protocol):
    """What stays of a landscape's services when they begin anew: targets, keys, Phraseanet's token."""

    @property
    def phraseanet_token(self) -> str:
        """What a caller may present to Phraseanet, as `Authorization: OAuth <token>`."""
        ...

    @property
    def targets(self) -> Sequence[Mapping[str, str]] | None:
        """The upload service's targets, each with `id` and `slug`; None in a profile without targets."""
        ...

    @property
    def given(self) -> Mapping[str, str]:
        """What a scenario may refer to besides the accounts, by its name after `$given.`."""
        ...

    @property
    def log_in_parameters(self) -> Mapping[str, str]:
        """The path parameters of Auth's `issueToken`."""
        ...

    @property
    def client_scope(self) -> str | None:
        """The scope for which Phraseanet's client asks; None where it need not ask for one."""
        ...

    def begin(self, storage: Path, broker: AnyBroker, spawn: Spawn) -> Services:
        """The services at their beginning; `storage` is a folder for files."""
        ...
