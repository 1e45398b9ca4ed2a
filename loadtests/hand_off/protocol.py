"""How the two profiles ask for the same thing: addresses from openapi/, bodies, and what stands in the answers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from phrasim.documents import contract
from phrasim.load.landscape import Landscape

REALM = "phrasea"


class Protocol:
    """The documented profile; paths are below the URL of the service that an operation belongs to."""

    profile = "documented"
    download_operation = "downloadAsset"
    client_token_operation = "issueToken"
    client_token_service = "auth"

    def __init__(self) -> None:
        self.operations = contract(self.profile).operations

    def method(self, operation_id: str) -> str:
        """GET or POST."""
        return self.operations[operation_id].method

    def path(self, operation_id: str, **parameters: str) -> str:
        """The path of an operation with its parameters in their places."""
        path = self.operations[operation_id].path
        for name, value in ({"realm": REALM} | parameters).items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        return path

    def upload_fields(self, landscape: Landscape) -> Mapping[str, str]:
        """The fields of an upload's form beside the file."""
        return {}

    def commit_body(self, landscape: Landscape, assets: Sequence[str], form_data: Mapping[str, Any]) -> dict[str, Any]:
        """What a commit of these assets says."""
        return {"files": list(assets), "formData": dict(form_data)}

    def notification_headers(self, landscape: Landscape) -> Mapping[str, str]:
        """What a notification bears besides its body."""
        return {}

    def notification(self, landscape: Landscape, commit: Mapping[str, Any], publisher: str) -> dict[str, Any]:
        """What tells Phraseanet of a commit, which is `{id, token, assets}`."""
        assert landscape.upload is not None
        return {
            "assets": list(commit["assets"]),
            "publisher": publisher,
            "token": commit["token"],
            "commit_id": commit["id"],
            "base_url": landscape.upload.url,
        }

    def file_address(self, metadata: Mapping[str, Any], base_url: str) -> str:
        """Where the file of an asset is."""
        return base_url + self.path("downloadAsset", id=str(metadata["id"]))

    def file_headers(self, token: str) -> Mapping[str, str]:
        """What a download bears."""
        return {"authorization": f"AssetToken {token}"}

    def acknowledgements(self, commit: str | None, assets: Sequence[str]) -> Iterator[tuple[str, str, Sequence[str]]]:
        """The requests by which a commit is acknowledged: operation, path, the assets that it is about."""
        if commit is not None:
            yield "acknowledgeCommit", self.path("acknowledgeCommit", id=commit), assets

    def listing_query(self, landscape: Landscape) -> str:
        """The query of a listing of new commits."""
        return ""

    def listed(self, listing: Any) -> list[dict[str, Any]]:
        """The commits of a listing, each as `{id, token, assets}` with the ids of its assets."""
        return [item for item in listing if isinstance(item, dict)] if isinstance(listing, list) else []


class Deployed(Protocol):
    """The services as they are (§2.3 to §2.6)."""

    profile = "deployed"
    download_operation = "downloadFile"
    client_token_operation = "issueClientToken"
    client_token_service = "upload"

    def upload_fields(self, landscape: Landscape) -> Mapping[str, str]:
        """The target, which the form of an upload names."""
        return {"targetSlug": _slug(landscape)}

    def commit_body(self, landscape: Landscape, assets: Sequence[str], form_data: Mapping[str, Any]) -> dict[str, Any]:
        """With the target."""
        return super().commit_body(landscape, assets, form_data) | {"targetSlug": _slug(landscape)}

    def notification_headers(self, landscape: Landscape) -> Mapping[str, str]:
        """The target's token."""
        token = landscape.phraseanet and landscape.phraseanet.token
        return {"authorization": f"OAuth {token}"} if token else {}

    def file_address(self, metadata: Mapping[str, Any], base_url: str) -> str:
        """The signed URL in the metadata."""
        return str(metadata["url"])

    def file_headers(self, token: str) -> Mapping[str, str]:
        """None: the address bears its own right (§2.4)."""
        return {}

    def acknowledgements(self, commit: str | None, assets: Sequence[str]) -> Iterator[tuple[str, str, Sequence[str]]]:
        """One for each asset; the last one acknowledges the commit (§4.6)."""
        for asset in assets:
            yield "acknowledgeAsset", self.path("acknowledgeAsset", id=asset), [asset]

    def listing_query(self, landscape: Landscape) -> str:
        """New ones of the target."""
        targets = landscape.upload.targets if landscape.upload is not None else ()
        return "?" + urlencode({"acknowledged": "false"} | ({"target": targets[0].id} if targets else {}))

    def listed(self, listing: Any) -> list[dict[str, Any]]:
        """Of a collection (JSON-LD) or of a list (JSON); assets are IRIs, or objects (§2.5, H25)."""
        members = super().listed(listing.get("hydra:member") if isinstance(listing, dict) else listing)
        return [one | {"assets": [_asset_id(asset) for asset in one.get("assets", [])]} for one in members]


PROTOCOLS: Mapping[str, type[Protocol]] = {one.profile: one for one in (Protocol, Deployed)}


def _slug(landscape: Landscape) -> str:
    assert landscape.upload is not None
    return landscape.upload.targets[0].slug if landscape.upload.targets else ""


def _asset_id(asset: Any) -> str:
    return str(asset["id"] if isinstance(asset, dict) else asset).rpartition("/")[2]
