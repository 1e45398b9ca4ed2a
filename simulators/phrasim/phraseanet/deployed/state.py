"""What Phraseanet knows and decides: tokens, users, collections, records, quarantine, stories, jobs, pull targets."""

import random
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Any, Literal

from phrasim.phraseanet.deployed.form_data import form_data, is_truthy, metadata_fields, status_bits
from phrasim.phraseanet.deployed.jobs import AUTO_CANCEL_SECONDS, Jobs


class WorkerDied(Exception):
    """An error that the real worker does not catch: its process ends, and its message was acknowledged already (H2)."""


@dataclass(frozen=True, slots=True)
class OAuthToken:
    """A token of a Phraseanet user or application; it is good for ever where `expires` is None."""

    token: str
    expires: datetime | None = None
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class User:
    """A user of Phraseanet; `may_modify` are the collections (base ids) whose records the user may change."""

    id: int
    email: str
    may_modify: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection by its base id, and the databox that it lies in, which has these metadata fields."""

    base_id: int
    databox_id: int = 1
    fields: tuple[str, ...] = ("Title", "Keywords")


@dataclass(frozen=True, slots=True)
class PullTarget:
    """A target that is pulled; `pullmode_uri` has to hold a query already (H23)."""

    name: str
    pullmode_uri: str
    client_id: str
    client_secret: str
    verify_ssl: bool = True


@dataclass(frozen=True, slots=True)
class Download:
    """A file that was downloaded: size in bytes, SHA-256, and the UUID that it bears inside, if it does."""

    size: int
    sha256: str
    uuid: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """An asset as Phraseanet keeps it; `status` are 32 bits, `submitter` is a user's e-mail address."""

    record_id: int
    databox_id: int
    base_id: int
    uuid: str
    asset_id: str
    commit_id: str
    publisher: str
    original_name: str
    mime_type: str
    form_data: dict[str, Any]
    metadata: dict[str, list[Any]]
    status: int
    submitter: str | None
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A file that border control kept back; for the protocol it is a success. `reasons`: `sha256`, `uuid` or both."""

    asset_id: str
    commit_id: str
    base_id: int
    original_name: str
    submitter: str | None
    size: int
    sha256: str
    uuid: str
    reasons: tuple[Literal["sha256", "uuid"], ...]


@dataclass(slots=True)
class Story:
    """A story, which is a record itself; `children` are record ids. The first child gives it its metadata."""

    story_id: int
    databox_id: int
    base_id: int
    owner: str
    children: list[int] = field(default_factory=list)
    metadata: dict[str, list[Any]] = field(default_factory=dict)


class PhraseanetState:
    """Everything that outlives one message. `now` gives the time, `chance` makes the UUIDs of records."""

    def __init__(
        self,
        now: Callable[[], datetime],
        chance: random.Random,
        *,
        tokens: Iterable[OAuthToken] = (),
        users: Iterable[User] = (),
        collections: Iterable[Collection] = (Collection(1),),
        targets: Iterable[PullTarget] = (),
    ) -> None:
        self._now = now
        self._chance = chance
        self._tokens = {token.token: token for token in tokens}
        self._users = tuple(users)
        self._collections = {str(collection.base_id): collection for collection in collections}
        self._records: dict[int, Record] = {}
        self._files: set[tuple[int, str]] = set()
        """Databox and SHA-256 of the file of each record, and databox and UUID."""
        self._quarantine: list[Quarantined] = []
        self._stories: dict[tuple[int, int], Story] = {}
        """By databox and id."""
        self._record_ids = count(1)
        self.jobs = Jobs(now)
        self.targets = tuple(targets)
        self.target_tokens: dict[str, str] = {}
        """The access tokens of the targets by their names, kept as the configuration keeps `assetToken` (§4.4)."""

    @property
    def records(self) -> tuple[Record, ...]:
        """All records but stories, in the order in which they were made."""
        return tuple(self._records.values())

    @property
    def quarantine(self) -> tuple[Quarantined, ...]:
        """What border control kept back."""
        return tuple(self._quarantine)

    @property
    def stories(self) -> tuple[Story, ...]:
        """All stories."""
        return tuple(self._stories.values())

    def token_error(self, token: str) -> Literal["invalid_token", "expired_token"] | None:
        """What is wrong with a token (§3); None if it is good."""
        found = self._tokens.get(token)
        if found is None or found.revoked:
            return "invalid_token"
        return "expired_token" if found.expires is not None and self._now() > found.expires else None

    def submitter(self, form: Mapping[str, Any]) -> User | None:
        """The user that form data name, by e-mail address or else by id (§4.6, step 4); the publisher plays no part."""
        email, number = form.get("phraseanet_submiter_email"), form.get("phraseanet_user_submiter_id")
        by_email = [user for user in self._users if is_truthy(email) and user.email == email]
        by_id = [user for user in self._users if is_truthy(number) and str(user.id) == str(number)]
        return next(iter(by_email + by_id), None)

    def create_story(self, metadata: Mapping[str, Any]) -> int | None:
        """The id of a story, if the first asset's form data ask for one and name a user (§4.5, step 3).

        Raises `WorkerDied` where they name no collection.
        """
        form = form_data(metadata)
        user = self.submitter(form)
        if not is_truthy(form.get("is_story")) or user is None:
            return None
        collection = self._collection(form.get("collection_destination"))
        story = Story(next(self._record_ids), collection.databox_id, collection.base_id, user.email)
        self._stories[story.databox_id, story.story_id] = story
        return story.story_id

    def add(
        self, asset_id: str, commit_id: str, publisher: str, metadata: Mapping[str, Any], download: Download
    ) -> Record | Quarantined:
        """Make a record of a file, or put it into quarantine (§4.6, steps 4 to 7).

        Raises `WorkerDied` for a collection or a metadata field that is not there.
        """
        form = form_data(metadata)
        user = self.submitter(form)
        collection = self._collection(form.get("collection_destination"))
        fields = metadata_fields(form)
        unknown = [name for name in fields if name not in collection.fields]
        if unknown:
            raise WorkerDied(f"the databox has no field {unknown[0]!r}; it has {', '.join(collection.fields)}")
        submitter = user.email if user else None
        own_uuid = download.uuid or str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        reasons = self._kept_back(collection, download)
        original_name = str(metadata.get("originalName"))
        if reasons:
            kept = Quarantined(
                asset_id=asset_id,
                commit_id=commit_id,
                base_id=collection.base_id,
                original_name=original_name,
                submitter=submitter,
                size=download.size,
                sha256=download.sha256,
                uuid=own_uuid,
                reasons=reasons,
            )
            self._quarantine.append(kept)
            return kept
        record = Record(
            record_id=next(self._record_ids),
            databox_id=collection.databox_id,
            base_id=collection.base_id,
            uuid=own_uuid,
            asset_id=asset_id,
            commit_id=commit_id,
            publisher=publisher,
            original_name=original_name,
            mime_type=str(metadata.get("mimeType")),
            form_data=form,
            metadata=fields,
            status=status_bits(form),
            submitter=submitter,
            size=download.size,
            sha256=download.sha256,
        )
        self._records[record.record_id] = record
        self._files.update(_marks(record))
        return record

    def append_to_story(self, story_id: int, record: Record) -> None:
        """Make a record a child of a story (§4.6, step 8). Raises `WorkerDied`; the record stays where it is."""
        user = self.submitter(record.form_data)
        story = self._stories.get((record.databox_id, story_id))
        if story is None:
            raise WorkerDied(f"databox {record.databox_id} has no story {story_id}")
        if user is None or story.base_id not in user.may_modify:
            who = user.email if user else "nobody"
            raise WorkerDied(f"{who} may not add to story {story_id} of collection {story.base_id}")
        if not story.children:
            story.metadata = record.metadata
        story.children.append(record.record_id)

    def main_queue_processed(self) -> None:
        """Phraseanet's main queue has done something: only then are job rows that ran for a day cancelled (§4.6).

        What goes there (edits, deletions, subtitles) is no part of the hand-off, so somebody else has to say when.
        """
        self.jobs.cancel_older_than(AUTO_CANCEL_SECONDS)

    def _collection(self, base_id: Any) -> Collection:
        collection = self._collections.get(str(base_id))
        if collection is None:
            raise WorkerDied(f"there is no collection {base_id!r}; there are {', '.join(self._collections)}")
        return collection

    def _kept_back(self, collection: Collection, download: Download) -> tuple[Literal["sha256", "uuid"], ...]:
        """Which of the two default checkers find the file in the same databox."""
        reasons: list[Literal["sha256", "uuid"]] = []
        if (collection.databox_id, download.sha256) in self._files:
            reasons.append("sha256")
        if download.uuid is not None and (collection.databox_id, download.uuid) in self._files:
            reasons.append("uuid")
        return tuple(reasons)

    def forget_finished(self, before: datetime) -> None:
        """Forget the commits all of whose work ended well before that moment: their rows, records and quarantine."""
        gone = self.jobs.forget_finished(before)
        if not gone:
            return
        for record in [record for record in self._records.values() if record.commit_id in gone]:
            del self._records[record.record_id]
            self._files.difference_update(_marks(record))
        self._quarantine = [kept for kept in self._quarantine if kept.commit_id not in gone]


def _marks(record: Record) -> tuple[tuple[int, str], tuple[int, str]]:
    """What border control knows a record by: no other record of its databox has one of them."""
    return (record.databox_id, record.sha256), (record.databox_id, record.uuid)
