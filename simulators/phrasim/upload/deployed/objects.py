"""Assets, commits and targets as the deployed service writes them (§2.2, §2.5)."""

from collections.abc import Mapping
from typing import Any

from phrasim.upload.deployed.formats import Format, iri, resource
from phrasim.upload.deployed.state import Asset, Commit
from phrasim.upload.deployed.target import Target
from phrasim.upload.timestamp import timestamp


def asset_object(form: Format, asset: Asset, url: str) -> dict[str, Any]:
    """An asset as a whole answer; `url` is a fresh one. Neither the commit's token nor the file's place shows."""
    fields = {
        "id": asset.id,
        "size": asset.file.size,
        "formData": asset.commit.form_data if asset.commit else None,
        "originalName": asset.original_name,
        "mimeType": asset.file.mime_type,
        "createdAt": timestamp(asset.created_at),
        "url": url,
        "data": _keyed(asset.data),
        "formLocale": None,
        "acknowledged": asset.acknowledged,
    }
    return resource(form, "asset", asset.id, fields, whole=True)


def commit_object(form: Format, commit: Commit, *, embed_assets: bool, whole: bool = False) -> dict[str, Any]:
    """A commit; its assets are IRIs, or objects where `embed_assets` says so (H25)."""
    assets: list[Any] = [iri("asset", asset_id) for asset_id in commit.assets]
    if embed_assets:
        assets = [resource(form, "asset", asset_id, {"id": asset_id}) for asset_id in commit.assets]
    fields = {
        "id": commit.id,
        "userId": commit.user_id,
        "token": commit.token,
        "formData": _keyed(commit.form_data),
        "totalSize": commit.total_size,
        "acknowledged": commit.acknowledged,
        "acknowledgedAt": timestamp(commit.acknowledged_at) if commit.acknowledged_at else None,
        "createdAt": timestamp(commit.created_at),
        "locale": commit.locale,
        "formLocale": None,
        "options": _keyed(commit.options),
        "notify": commit.notify,
        "target": target_object(form, commit.target),
        "assets": assets,
    }
    return resource(form, "commit", commit.id, fields, whole=whole)


def target_object(form: Format, target: Target) -> dict[str, Any]:
    """A target within a commit or a list; its URL and its key do not show."""
    return resource(form, "target", target.id, {"id": target.id, "slug": target.slug, "name": target.name})


def _keyed(values: Mapping[str, Any]) -> Any:
    """Values by key as PHP writes them: an empty map is an empty list there (not verified)."""
    return values or []
