"""The upload service's operations: requests into calls of the state, results into answers."""

from collections.abc import Callable
from functools import cache
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp

from phrasim.documents import Operation
from phrasim.service.credentials import Bearer
from phrasim.service.operations import Call, json_answer
from phrasim.service.refusal import Refusal
from phrasim.upload.documented.access import Principal, User, may_list_commits, may_upload, may_use
from phrasim.upload.documented.identity import Identity
from phrasim.upload.documented.outbound import hashes
from phrasim.upload.documented.state import Asset, Commit, CommitRefused, UploadState
from phrasim.upload.file_answer import FileAnswer, content_disposition
from phrasim.upload.multipart_file import PART, read_file, receive_file
from phrasim.upload.storage import IncomingFile, Storage
from phrasim.upload.timestamp import timestamp


class UploadRoutes:
    """The handlers of `upload.yaml`; `committed` and `acknowledged` are told of a commit once each."""

    def __init__(
        self,
        state: UploadState,
        storage: Storage,
        identity: Identity,
        *,
        committed: Callable[[Commit], None],
        acknowledged: Callable[[Commit], None],
        upload_size_max: int | None,
    ) -> None:
        self._state = state
        self._storage = storage
        self._identity = identity
        self._committed = committed
        self._acknowledged = acknowledged
        self._upload_size_max = upload_size_max

    async def upload_asset(self, call: Call) -> ASGIApp:
        """`POST /assets`: the file goes to disk as it arrives; a refused one leaves nothing there."""
        user = _user(await self._principal(call), "upload assets")
        content_type = _content_type(call)
        with self._storage.incoming() as incoming:
            name = await receive_file(content_type, call.request.stream(), incoming, self._upload_size_max)
            return self._taken(user, name, incoming)

    def upload_asset_at_once(self, call: Call) -> Response | None:
        """The same where Auth need not be asked, and the file has come already."""
        principal = self._presented(call)
        if isinstance(principal, Bearer):
            return None
        user = _user(principal, "upload assets")
        content_type = _content_type(call)
        with self._storage.incoming() as incoming:
            name = read_file(content_type, call.content_at_once(), incoming, self._upload_size_max)
            return self._taken(user, name, incoming)

    def _taken(self, user: User, name: str | None, incoming: IncomingFile) -> Response:
        if name is None:
            raise Refusal(400, f'"{PART}" is required: a part of that name with a file in it')
        if incoming.size == 0:
            raise Refusal(400, f"{PART}: Empty file")
        asset = self._state.add_asset(user.id, name, self._storage.store(incoming))
        return json_answer(asset_object(asset), 201)

    async def commit_assets(self, call: Call) -> ASGIApp:
        """`POST /commit`: the answer is `true`, never the commit's id (§2.3)."""
        user = _user(await self._principal(call), "commit assets")
        return self._commit(user, await call.body())

    def commit_assets_at_once(self, call: Call) -> Response | None:
        """The same where Auth need not be asked."""
        principal = self._presented(call)
        if isinstance(principal, Bearer):
            return None
        return self._commit(_user(principal, "commit assets"), call.body_at_once())

    def _commit(self, user: User, body: Any) -> Response:
        try:
            commit = self._state.commit(user.id, body["files"], body.get("formData") or {})
        except CommitRefused as refused:
            raise Refusal(400, str(refused)) from refused
        self._committed(commit)
        return json_answer(True)

    async def list_commits(self, call: Call) -> ASGIApp:
        """`GET /commits`: what nobody acknowledged yet (A10, A12)."""
        if not may_list_commits(await self._principal(call)):
            raise Refusal(403, "only an administrator or a client with the scope commit:list may list commits")
        return json_answer([commit_object(commit) for commit in self._state.unacknowledged()])

    async def get_asset(self, call: Call) -> ASGIApp:
        """`GET /assets/{id}`: its metadata."""
        return json_answer(asset_object(self._asset(call, await self._principal(call))))

    def get_asset_at_once(self, call: Call) -> Response | None:
        """The same where Auth need not be asked."""
        principal = self._presented(call)
        return None if isinstance(principal, Bearer) else json_answer(asset_object(self._asset(call, principal)))

    async def download_asset(self, call: Call) -> ASGIApp:
        """`GET /assets/{id}/download`: its file (P8, P9)."""
        return self._file(self._asset(call, await self._principal(call)))

    def download_asset_at_once(self, call: Call) -> FileAnswer | None:
        """The same where Auth need not be asked."""
        principal = self._presented(call)
        return None if isinstance(principal, Bearer) else self._file(self._asset(call, principal))

    def _file(self, asset: Asset) -> FileAnswer:
        headers = {
            "content-type": asset.file.mime_type,
            "content-length": str(asset.file.size),
            "content-size": str(asset.file.size),
            "content-disposition": content_disposition(asset.original_name),
        }
        # A file that was deleted is 404 (A31).
        gone = Refusal(404, f"the file of asset {asset.id!r} is no longer here")
        return FileAnswer(self._storage, asset.file, headers, gone.response)

    async def acknowledge_commit(self, call: Call) -> ASGIApp:
        """`POST /commits/{id}/ack`: `true`, the first time and ever after; the body is ignored (A16)."""
        return self._acknowledge(call, await self._principal(call))

    def acknowledge_commit_at_once(self, call: Call) -> Response | None:
        """The same where Auth need not be asked."""
        principal = self._presented(call)
        return None if isinstance(principal, Bearer) else self._acknowledge(call, principal)

    def _acknowledge(self, call: Call, principal: Principal) -> Response:
        commit = self._state.find_commit(call.path["id"])
        if commit is None:
            raise Refusal(404, "Commit not found")
        if not may_use(principal, commit):
            raise Refusal(403, "only an administrator or the commit's own AssetToken may acknowledge it")
        if self._state.acknowledge(commit):
            self._acknowledged(commit)
        return json_answer(True)

    async def _principal(self, call: Call) -> Principal:
        return await self._identity.principal(call.authorization, _schemes(call.operation))

    def _presented(self, call: Call) -> Principal | Bearer:
        """Who calls, or the Bearer about which Auth has to be asked."""
        return self._identity.presented(call.authorization, _schemes(call.operation))

    def _asset(self, call: Call, principal: Principal) -> Asset:
        asset = self._state.asset(call.path["id"])
        if asset is None:
            raise Refusal(404, f"there is no asset {call.path['id']!r}")
        if not may_use(principal, asset.commit):
            raise Refusal(403, "only an administrator or its commit's AssetToken opens an asset, once it is committed")
        return asset


def _user(principal: Principal, act: str) -> User:
    if not may_upload(principal):
        raise Refusal(403, f"only a user may {act}, with a Bearer of their own")
    assert isinstance(principal, User)
    return principal


def _content_type(call: Call) -> str:
    """The Content-Type of an upload, with its boundary."""
    call.check_media_type()
    content_type = call.content_type
    assert content_type is not None, "the operation takes nothing without one"
    return content_type


@cache
def _schemes(operation: Operation) -> tuple[str, ...]:
    """The schemes by which the operation lets a caller in."""
    return tuple(scheme for scheme in ("Bearer", "AssetToken") if scheme in operation.security)


def asset_object(asset: Asset) -> dict[str, Any]:
    """The Asset of `upload.yaml`; its form data is null until it is committed (§2.2)."""
    return {
        "id": asset.id,
        "size": asset.file.size,
        "formData": asset.commit.form_data if asset.commit else None,
        "originalName": asset.original_name,
        "mimeType": asset.file.mime_type,
        "createdAt": timestamp(asset.created_at),
    }


def commit_object(commit: Commit) -> dict[str, Any]:
    """The Commit of `upload.yaml`."""
    return {
        "id": commit.id,
        "userId": commit.user_id,
        "token": commit.token,
        "formData": commit.form_data,
        "totalSize": commit.total_size,
        "acknowledged": commit.acknowledged,
        "createdAt": timestamp(commit.created_at),
        "locale": commit.locale,
        "assets": [asset.id for asset in commit.assets],
        "hashes": hashes(commit),
    }
