"""`POST /assets` (§2.2, column *now*): targets, the order of the checks, the exact texts, and what a refusal leaves."""

from dataclasses import replace
from typing import Any

import pytest

from phrasim.upload.deployed.target import Target

PRESS = Target(id="6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e15", slug="press", name="Press pictures")
OTHER = replace(PRESS, id="6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e16", slug="other", hidden=True)
CLOSED = replace(PRESS, id="6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e17", slug="closed", enabled=False)
TARGETS = (PRESS, OTHER, CLOSED)
NO_ID = "00000000-0000-4000-8000-000000000000"


def test_an_upload_is_answered_with_the_asset_uncommitted(play_upload: Any) -> None:
    """§2.2: the asset object has neither token nor path."""

    async def main(upload: Any) -> None:
        answer = await upload.post_file()
        (asset,) = upload.state.assets
        assert answer.status_code == 201
        assert answer.headers["content-type"] == "application/json; charset=utf-8"
        body = answer.json()
        assert body.pop("url").startswith(f"https://upload.test/files/{asset.id}?expires=")
        assert body == {
            "id": asset.id,
            "size": len(upload.png),
            "formData": None,
            "originalName": "test.png",
            "mimeType": "image/png",
            "createdAt": "2019-05-15T14:13:54+00:00",
            "data": [],
            "formLocale": None,
            "acknowledged": False,
        }
        assert asset.user_id == "d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856"

    play_upload(main)


def test_without_an_accept_the_asset_is_json_ld(play_upload: Any) -> None:
    """§2.1."""

    async def main(upload: Any) -> None:
        files = {"file": ("a.txt", b"hello")}
        form = {"content-type": "multipart/form-data; boundary=b"}
        headers = upload.as_("user") | form
        answer = await upload.client.post("/assets", headers=headers, files=files, data={"targetSlug": "press"})
        assert answer.headers["content-type"] == "application/ld+json; charset=utf-8"
        (asset,) = upload.state.assets
        marks = {key: answer.json()[key] for key in ("@context", "@id", "@type", "mimeType")}
        assert marks == {
            "@context": "/contexts/asset",
            "@id": f"/assets/{asset.id}",
            "@type": "asset",
            "mimeType": "text/plain",
        }

    play_upload(main)


@pytest.mark.parametrize(
    ("fields", "slug"),
    [
        ({"targetSlug": "press"}, "press"),
        ({"targetId": OTHER.id}, "other"),
        ({"targetSlug": "press", "targetId": OTHER.id}, "press"),
        ({"targetSlug": "press", "targetId": NO_ID}, "press"),
        ({"targetSlug": "", "targetId": OTHER.id}, "other"),
    ],
)
def test_the_target_is_named_by_slug_or_id_and_the_slug_wins(
    play_upload: Any, fields: dict[str, str], slug: str
) -> None:
    """§2.2. A target that is hidden takes uploads like any other."""

    async def main(upload: Any) -> None:
        assert (await upload.post_file(**fields)).status_code == 201
        assert upload.state.assets[0].target.slug == slug

    play_upload(main, targets=TARGETS)


REFUSED = [
    # who, fields, content, status, text
    (None, {"targetSlug": "x"}, b"", 401, "Full authentication is required to access this resource."),
    ("user", {"else": "x"}, b"", 400, '"targetId" or "targetSlug" is required'),
    ("user", {"targetSlug": "x"}, b"", 400, 'Target "x" does not exist'),
    ("user", {"targetId": NO_ID}, b"", 400, f'Target "{NO_ID}" does not exist'),
    ("user", {"targetSlug": "x", "targetId": PRESS.id}, b"a", 400, 'Target "x" does not exist'),
    ("user", {"targetSlug": "closed"}, b"", 403, "Access Denied."),
    ("admin", {"targetSlug": "closed"}, b"a", 403, "Access Denied."),
    ("user", {"targetSlug": "press"}, None, 400, '"file" is required'),
    ("user", {"targetSlug": "press", "file": "text"}, None, 400, '"file" is required'),
    ("user", {"targetSlug": "press"}, b"", 400, "Empty file"),
    ("AssetToken x", {"targetSlug": "press"}, b"", 400, "Empty file"),
    ("AssetToken x", {"targetSlug": "press"}, b"a", 500, "Internal Server Error"),
    ("client", {"targetSlug": "press"}, b"a", 500, "Internal Server Error"),
]


@pytest.mark.parametrize(("who", "fields", "content", "status", "text"), REFUSED)
def test_checks_come_in_their_order_and_a_refused_file_leaves_nothing(
    play_upload: Any, who: str | None, fields: dict[str, str], content: bytes | None, status: int, text: str
) -> None:
    """§2.2: who calls, the target, the right to upload to it, the file."""

    async def main(upload: Any) -> None:
        form = {"content-type": "multipart/form-data; boundary=b", "accept": "application/json"}
        parts = dict.fromkeys(fields, None) | {key: (None, value) for key, value in fields.items()}
        if content is not None:
            parts["file"] = ("a.png", content)
        answer = await upload.client.post("/assets", headers=upload.as_(who) | form, files=parts)
        assert (answer.status_code, answer.json()["detail"]) == (status, text)
        assert upload.state.assets == ()
        assert not upload.storage.folder.exists() or list(upload.storage.folder.iterdir()) == []

    play_upload(main, targets=TARGETS)


def test_the_reason_of_a_500_is_noted(play_upload: Any) -> None:
    async def main(upload: Any) -> None:
        await upload.post_file(who="AssetToken x")
        reason = {"operation": "uploadAsset", "reason": "the caller has no user id"}
        assert upload.notes == [("internal server error", reason)]

    play_upload(main)


def test_the_map_data_is_kept_with_the_asset(play_upload: Any) -> None:
    """§2.2; a part whose name is no plain key of the map is passed over."""

    async def main(upload: Any) -> None:
        fields = {"data[source]": "camera 2", "data[é]": "ü", "data": "x", "data[a][b]": "x", "x[a]": "x"}
        answer = await upload.post_file(targetSlug="press", **fields)
        assert answer.json()["data"] == {"source": "camera 2", "é": "ü"}

    play_upload(main)


def test_a_file_of_any_size_is_taken_but_not_fields_of_any_size(play_upload: Any) -> None:
    """§2.2: `max_upload_file_size` is never enforced by the API."""

    async def main(upload: Any) -> None:
        assert (await upload.post_file(b"x" * 3_000_000)).status_code == 201
        answer = await upload.post_file(targetSlug="press", note="x" * 65_536)
        assert answer.status_code == 413
        assert len(upload.state.assets) == 1

    play_upload(main)


def test_a_body_that_is_no_form_is_415(play_upload: Any) -> None:
    async def main(upload: Any) -> None:
        answer = await upload.client.post("/assets", headers=upload.as_("user"), json={"targetSlug": "press"})
        assert answer.status_code == 415
        assert "takes multipart/form-data" in answer.json()["hydra:description"]

    play_upload(main)
