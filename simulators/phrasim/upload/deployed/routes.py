"""The deployed upload service's operations: requests into calls of the state, results into answers."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

import httpx
from starlette.responses import Response
from starlette.types import ASGIApp

from phrasim.service.credentials import AssetToken, credentials
from phrasim.service.operations import FORM, Call, json_answer
from phrasim.service.refusal import Refusal
from phrasim.upload.deployed.access import Caller, Identify, Principal, may
from phrasim.upload.deployed.body import commit_fields, json_object
from phrasim.upload.deployed.errors import DENIED, FAILED, NOBODY, InvalidBearer
from phrasim.upload.deployed.files import file_answer, no_such_file, store_refusal
from phrasim.upload.deployed.formats import Format, answer, collection, format_asked, identity_of
from phrasim.upload.deployed.objects import asset_object, commit_object, target_object
from phrasim.upload.deployed.signing import SignedUrls, UrlRefused
from phrasim.upload.deployed.state import (
    Asset,
    Commit,
    CommitRefused,
    CommitRequest,
    UploadState,
    asks_for_notice,
    kept_fields,
)
from phrasim.upload.deployed.target import Target
from phrasim.upload.deployed.work import Work
from phrasim.upload.file_answer import FileAnswer
from phrasim.upload.multipart_file import PART, receive_file
from phrasim.upload.storage import Storage

PAGE_SIZE = 30
"""Commits on a page of the listing (§2.5)."""

LOCALE = "en"
"""The language of every request: other ones are not simulated."""

_DATA = re.compile(r"data\[([^\[\]]+)\]")
_PAGE = re.compile("[1-9][0-9]{0,17}")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class UploadRoutes:
    """The handlers of `deployed/upload.yaml`; `token_url` is where Auth issues tokens, asked through `auth`."""

    def __init__(
        self,
        state: UploadState,
        storage: Storage,
        work: Work,
        *,
        identify: Identify,
        urls: SignedUrls,
        auth: httpx.AsyncClient,
        token_url: str,
        embed_assets: bool,
        note: Callable[..., None],
    ) -> None:
        self._state = state
        self._storage = storage
        self._work = work
        self._identify = identify
        self._urls = urls
        self._auth = auth
        self._token_url = token_url
        self._embed_assets = embed_assets
        self._note = note

    async def upload_asset(self, call: Call) -> ASGIApp:
        """`POST /assets`: the file goes to disk as it arrives; a refused one leaves nothing there (§2.2)."""
        caller = await self._caller(call)
        call.check_media_type()
        fields: dict[str, str] = {}
        with self._storage.incoming() as incoming:
            content_type = call.request.headers["content-type"]
            name = await receive_file(content_type, call.request.stream(), incoming, None, fields)
            target = self._upload_target(fields)
            if not target.enabled:
                raise Refusal(403, DENIED)
            if name is None:
                raise Refusal(400, f'"{PART}" is required')
            if incoming.size == 0:
                raise Refusal(400, "Empty file")
            user_id, _ = self._user(call, caller)
            data = {found[1]: value for key, value in fields.items() if (found := _DATA.fullmatch(key))}
            asset = self._state.add_asset(user_id, target, name, self._storage.store(incoming), data)
        return self._asset_answer(call, asset, 201)

    async def get_asset(self, call: Call) -> ASGIApp:
        """`GET /assets/{id}`: its metadata, with a fresh URL for its file."""
        return self._asset_answer(call, await self._asset(call))

    async def acknowledge_asset(self, call: Call) -> ASGIApp:
        """`POST /assets/{id}/ack`: `true`, the first time and ever after; the body is read and ignored (§2.4)."""
        await call.content()
        self._work.acknowledge_asset(await self._asset(call))
        return json_answer(True)

    async def download_file(self, call: Call) -> ASGIApp:
        """`GET /files/{path}`: the file, for whoever has a URL that was given out (§2.4)."""
        return self.download_file_at_once(call)

    def download_file_at_once(self, call: Call) -> Response | FileAnswer:
        """The same: nobody need be asked."""
        name = call.path["path"]
        try:
            self._urls.check(name, call.request.query_params)
        except UrlRefused as refused:
            return store_refusal(403, refused.code, str(refused))
        asset = self._state.asset(name)
        return no_such_file() if asset is None else file_answer(self._storage, asset)

    async def commit_assets(self, call: Call) -> ASGIApp:
        """`POST /commit`: `true`; the commit is made afterwards (§2.3)."""
        caller = await self._caller(call)
        call.check_media_type()
        body = commit_fields(json_object(await call.content()))
        target = self._commit_target(call, body)
        files, form_data = tuple(map(str, body.get("files", ()))), body.get("formData") or {}
        kept = kept_fields(form_data)
        try:
            self._state.check(target, files, kept)
        except CommitRefused as refused:
            raise Refusal(400, str(refused)) from refused
        user_id, _ = self._user(call, caller)
        notify = body.get("notify", False) or asks_for_notice(form_data)
        self._work.commit(CommitRequest(user_id, target, files, kept, body.get("options") or {}, notify, LOCALE))
        return json_answer(True)

    async def list_commits(self, call: Call) -> ASGIApp:
        """`GET /commits`: a page of them (§2.5)."""
        if not may("list commits", await self._caller(call)):
            raise Refusal(403, DENIED)
        query = call.request.query_params
        target_id = identity_of("target", query["target"]) if "target" in query else None
        found = self._state.listed(acknowledged=_BOOLEANS.get(query.get("acknowledged", "")), target_id=target_id)
        start = (_page(query.get("page", "1")) - 1) * PAGE_SIZE
        form = _form(call)
        shown = [
            commit_object(form, commit, embed_assets=self._embed_assets) for commit in found[start : start + PAGE_SIZE]
        ]
        return answer(form, collection(form, "commit", shown, len(found)))

    async def get_commit(self, call: Call) -> ASGIApp:
        """`GET /commits/{id}`: one of them."""
        form, caller = _form(call), await self._caller(call)
        commit = self._commit(call)
        if not may("read a commit", caller, commit):
            raise Refusal(403, DENIED)
        return answer(form, commit_object(form, commit, embed_assets=self._embed_assets, whole=True))

    async def acknowledge_commit(self, call: Call) -> ASGIApp:
        """`POST /commits/{id}/ack`: `true`, the first time and ever after; the body is read and ignored (§2.4)."""
        await call.content()
        caller = await self._caller(call)
        commit = self._commit(call)
        if not may("acknowledge a commit", caller, commit):
            raise Refusal(403, DENIED)
        if not commit.acknowledged:
            self._work.acknowledge(commit)
        return json_answer(True)

    async def issue_client_token(self, call: Call) -> ASGIApp:
        """`POST /oauth/v2/token`: Auth's answer to the same fields, whatever it is (§5)."""
        content = await call.content()
        fields = dict(parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True))
        if call.media_type != FORM:
            fields = json_object(content)
        try:
            relayed = await self._auth.post(self._token_url, data=fields)
        except httpx.HTTPError as error:
            raise self._failed(call, f"Auth cannot be asked for a token: {type(error).__name__}") from error
        return Response(relayed.content, relayed.status_code, media_type=relayed.headers.get("content-type"))

    async def get_me(self, call: Call) -> ASGIApp:
        """`GET /me`: who the caller is; the names of the permissions are not verified (§2.1)."""
        user_id, user = self._user(call, await self._caller(call))
        permissions = dict.fromkeys(("form_schema", "target_data"), user.is_administrator)
        return json_answer(
            {"user_id": user_id, "email": user.email, "username": user.username, "permissions": permissions}
        )

    async def list_targets(self, call: Call) -> ASGIApp:
        """`GET /targets`: those that are enabled and not hidden, for anybody who is known (§2.1)."""
        await self._caller(call)
        form = _form(call)
        shown = [target_object(form, target) for target in self._state.targets if target.is_listed]
        return answer(form, collection(form, "target", shown, len(shown)))

    async def get_health(self, _call: Call) -> ASGIApp:
        """`GET /_healthcheck`: the body is not verified (§2.1)."""
        return json_answer({"ok": True})

    async def _caller(self, call: Call) -> Caller:
        """Who calls. Any AssetToken is let in: whether it opens anything is decided per commit (§2.4)."""
        presented = credentials(call.authorization)
        if presented is None:
            raise Refusal(401, NOBODY)
        if isinstance(presented, AssetToken):
            return presented
        principal = await self._identify(presented.token)
        if principal is None:
            # A JWT has two dots. What has not cannot be read, and is refused in another form (§2.10).
            raise InvalidBearer() if presented.token.count(".") == 2 else Refusal(401, NOBODY)
        return principal

    def _user(self, call: Call, caller: Caller) -> tuple[str, Principal]:
        """The user behind a caller; the deployed service fails over one who has no user id (§2.2)."""
        if isinstance(caller, AssetToken) or caller.user_id is None:
            raise self._failed(call, "the caller has no user id")
        return caller.user_id, caller

    def _failed(self, call: Call, reason: str) -> Refusal:
        """500; what failed is for the journal, since the answer does not tell."""
        self._note("internal server error", operation=call.operation.operation_id, reason=reason)
        return Refusal(500, FAILED)

    async def _asset(self, call: Call) -> Asset:
        caller = await self._caller(call)
        asset = self._state.asset(call.path["id"])
        if asset is None:
            raise Refusal(404, "Not Found")
        if not may("open an asset", caller, asset.commit):
            raise Refusal(403, DENIED)
        return asset

    def _asset_answer(self, call: Call, asset: Asset, status: int = 200) -> ASGIApp:
        form = _form(call)
        return answer(form, asset_object(form, asset, self._urls.url(asset.id)), status)

    def _commit(self, call: Call) -> Commit:
        commit = self._state.find_commit(call.path["id"])
        if commit is None:
            raise Refusal(404, "Commit not found")
        return commit

    def _upload_target(self, fields: Mapping[str, str]) -> Target:
        slug, target_id = fields.get("targetSlug"), fields.get("targetId")
        if slug:
            target = self._state.target_of_slug(slug)
        elif target_id:
            target = self._state.target(target_id)
        else:
            raise Refusal(400, '"targetId" or "targetSlug" is required')
        if target is None:
            raise Refusal(400, f'Target "{slug or target_id}" does not exist')
        return target

    def _commit_target(self, call: Call, body: Mapping[str, Any]) -> Target:
        slug, name = body.get("targetSlug"), body.get("target")
        if slug:
            target = self._state.target_of_slug(slug)
        elif name:
            target = self._state.target(identity_of("target", name))
        else:
            raise self._failed(call, "neither target nor targetSlug is given")
        if target is None:
            raise Refusal(400, f'Target "{slug}" does not exist' if slug else f'Item not found for "{name}".')
        return target


def _form(call: Call) -> Format:
    return format_asked(call.request.headers.get("accept"))


def _page(written: str) -> int:
    if not _PAGE.fullmatch(written):
        raise Refusal(400, "Page should not be less than 1")
    return int(written)
