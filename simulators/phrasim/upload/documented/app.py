"""The upload service as an application."""

from collections.abc import Callable

from starlette.applications import Starlette

from phrasim.documents import Specification
from phrasim.service.operations import service
from phrasim.upload.documented.identity import Identity
from phrasim.upload.documented.routes import UploadRoutes
from phrasim.upload.documented.state import Commit, UploadState
from phrasim.upload.storage import Storage


def upload_app(
    specification: Specification,
    state: UploadState,
    storage: Storage,
    identity: Identity,
    *,
    committed: Callable[[Commit], None],
    acknowledged: Callable[[Commit], None],
    upload_size_max: int | None = None,
) -> Starlette:
    """The operations of `upload.yaml`.

    `committed` and `acknowledged` are told of each commit once; `upload_size_max` is in bytes (A29).
    """
    routes = UploadRoutes(
        state,
        storage,
        identity,
        committed=committed,
        acknowledged=acknowledged,
        upload_size_max=upload_size_max,
    )
    return service(
        specification,
        {
            "uploadAsset": routes.upload_asset,
            "commitAssets": routes.commit_assets,
            "listCommits": routes.list_commits,
            "getAsset": routes.get_asset,
            "downloadAsset": routes.download_asset,
            "acknowledgeCommit": routes.acknowledge_commit,
        },
        {
            "uploadAsset": routes.upload_asset_at_once,
            "commitAssets": routes.commit_assets_at_once,
            "getAsset": routes.get_asset_at_once,
            "downloadAsset": routes.download_asset_at_once,
            "acknowledgeCommit": routes.acknowledge_commit_at_once,
        },
    )
