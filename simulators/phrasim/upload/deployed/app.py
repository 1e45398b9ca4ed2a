"""The deployed upload service as an application."""

from collections.abc import Callable

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from phrasim.documents import Specification
from phrasim.service.operations import service
from phrasim.upload.deployed.access import Identify
from phrasim.upload.deployed.errors import negotiated, nothing_there, unforeseen
from phrasim.upload.deployed.routes import UploadRoutes
from phrasim.upload.deployed.signing import SignedUrls
from phrasim.upload.deployed.state import UploadState
from phrasim.upload.deployed.work import Work
from phrasim.upload.storage import Storage


def upload_app(
    specification: Specification,
    state: UploadState,
    storage: Storage,
    work: Work,
    *,
    identify: Identify,
    urls: SignedUrls,
    auth: httpx.AsyncClient,
    token_url: str,
    note: Callable[..., None],
    embed_assets: bool = False,
) -> Starlette:
    """The operations of `deployed/upload.yaml`.

    `token_url` is that of Auth's token endpoint, absolute or below the base URL of `auth`. `embed_assets` writes the
    assets of a commit as objects, as since January 2026, which Phraseanet's puller cannot read (H25). `note` is told
    what an answer 500 does not say.
    """
    routes = UploadRoutes(
        state,
        storage,
        work,
        identify=identify,
        urls=urls,
        auth=auth,
        token_url=token_url,
        embed_assets=embed_assets,
        note=note,
    )
    handlers = {
        "uploadAsset": routes.upload_asset,
        "getAsset": routes.get_asset,
        "acknowledgeAsset": routes.acknowledge_asset,
        "downloadFile": routes.download_file,
        "commitAssets": routes.commit_assets,
        "listCommits": routes.list_commits,
        "getCommit": routes.get_commit,
        "acknowledgeCommit": routes.acknowledge_commit,
        "issueClientToken": routes.issue_client_token,
        "getMe": routes.get_me,
        "listTargets": routes.list_targets,
        "getHealth": routes.get_health,
    }
    app = service(
        specification,
        {name: negotiated(handler) for name, handler in handlers.items()},
        {"downloadFile": routes.download_file_at_once},
    )
    app.add_exception_handler(HTTPException, nothing_there)
    app.add_exception_handler(Exception, unforeseen)
    return app
