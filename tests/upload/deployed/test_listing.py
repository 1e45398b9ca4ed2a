"""`GET /commits` and `GET /commits/{id}` (§2.5, column *now*; H24, H25), and `GET /targets`."""

from dataclasses import replace
from typing import Any

import pytest

from phrasim.upload.deployed.target import Target

PRESS = Target(id="6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e15", slug="press", name="Press pictures")
OTHER = replace(PRESS, id="6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e16", slug="other")


async def ids(upload: Any, query: str = "") -> list[str]:
    answer = await upload.get(f"/commits{query}", "lister")
    assert answer.status_code == 200
    return [commit["id"] for commit in answer.json()]


def test_an_empty_list_is_an_array_or_an_empty_collection(play_upload: Any) -> None:
    """§2.5."""

    async def main(upload: Any) -> None:
        assert (await upload.get("/commits", "admin")).json() == []
        answer = await upload.client.get("/commits", headers=upload.as_("admin"))
        assert answer.headers["content-type"] == "application/ld+json; charset=utf-8"
        assert answer.json() == {
            "@context": "/contexts/commit",
            "@id": "/commits",
            "@type": "hydra:Collection",
            "hydra:totalItems": 0,
            "hydra:member": [],
        }

    play_upload(main)


def test_an_item_has_all_its_fields(play_upload: Any) -> None:
    """§2.5; H25 for the two forms of `assets`."""

    async def main(upload: Any) -> Any:
        commit = await upload.committed(b"12345", formData={"title": "x", "__notify": True}, options={"a": 1})
        (asset_id,) = commit.assets
        plain = {
            "id": commit.id,
            "userId": "d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856",
            "token": commit.token,
            "formData": {"title": "x"},
            "totalSize": 5,
            "acknowledged": False,
            "acknowledgedAt": None,
            "createdAt": "2019-05-15T14:13:54+00:00",
            "locale": "en",
            "formLocale": None,
            "options": {"a": 1},
            "notify": True,
            "target": {"id": PRESS.id, "slug": "press", "name": "Press pictures"},
            "assets": [f"/assets/{asset_id}"],
        }
        target = {"@id": f"/targets/{PRESS.id}", "@type": "target", **plain["target"]}
        linked = {"@id": f"/commits/{commit.id}", "@type": "commit", **plain, "target": target}
        assert (await upload.get("/commits", "lister")).json() == [plain]
        assert (await upload.get(f"/commits/{commit.id}", "lister")).json() == plain
        listed = (await upload.client.get("/commits", headers=upload.as_("lister"))).json()
        assert (listed["hydra:totalItems"], listed["hydra:member"]) == (1, [linked])
        one = (await upload.client.get(f"/commits/{commit.id}", headers=upload.as_("lister"))).json()
        assert one == {"@context": "/contexts/commit", **linked}

    play_upload(main, targets=(PRESS,))


def test_assets_are_embedded_where_that_is_on(play_upload: Any) -> None:
    """§2.5, H25: since January 2026."""

    async def main(upload: Any) -> None:
        commit = await upload.committed(b"one", b"two")
        plain = [{"id": asset_id} for asset_id in commit.assets]
        linked = [{"@id": f"/assets/{one['id']}", "@type": "asset", **one} for one in plain]
        for path in ("/commits", f"/commits/{commit.id}"):
            answer = (await upload.get(path, "admin")).json()
            assert (answer[0] if path == "/commits" else answer)["assets"] == plain
            answer = (await upload.client.get(path, headers=upload.as_("admin"))).json()
            assert answer.get("hydra:member", [answer])[0]["assets"] == linked

    play_upload(main, embed_assets=True)


def test_those_not_acknowledged_come_first_and_then_the_oldest(play_upload: Any) -> None:
    """§2.5."""

    async def main(upload: Any) -> None:
        made = []
        for content in (b"1", b"2", b"3", b"4"):
            made.append((await upload.committed(content)).id)
            await upload.clock.sleep(1)
        one, two, three, four = made
        for done in (three, one):
            await upload.post(f"/commits/{done}/ack", "admin")
            await upload.settle()
        assert await ids(upload) == [two, four, one, three]
        for true, false in (("true", "false"), ("1", "0")):
            assert await ids(upload, f"?acknowledged={true}") == [one, three]
            assert await ids(upload, f"?acknowledged={false}") == [two, four]
        assert await ids(upload, "?acknowledged=x") == [two, four, one, three]
        done_at = (await upload.get(f"/commits/{one}", "admin")).json()["acknowledgedAt"]
        assert done_at.startswith("2019-05-15T14:13:58")

    play_upload(main)


def test_the_target_filters_by_id_or_iri(play_upload: Any) -> None:
    """§2.5."""

    async def main(upload: Any) -> None:
        one = await upload.committed(b"1", targetSlug="press")
        two = await upload.committed(b"2", targetSlug="other")
        assert await ids(upload, f"?target={PRESS.id}") == [one.id]
        assert await ids(upload, f"?target=/targets/{OTHER.id}&acknowledged=false") == [two.id]
        assert await ids(upload, "?target=x") == []

    play_upload(main, targets=(PRESS, OTHER))


def test_thirty_are_on_a_page(play_upload: Any) -> None:
    """§2.5, H24: whoever reads one page only sees the oldest thirty."""

    async def main(upload: Any) -> None:
        for _ in range(61):
            await upload.post_commit([])
        await upload.settle()
        made = [commit.id for commit in upload.state.commits]
        assert await ids(upload) == made[:30]
        assert await ids(upload, "?page=2") == made[30:60]
        assert await ids(upload, "?page=3") == made[60:]
        assert await ids(upload, "?page=4") == []
        listed = (await upload.client.get("/commits?page=3", headers=upload.as_("admin"))).json()
        assert (listed["hydra:totalItems"], len(listed["hydra:member"])) == (61, 1)

    play_upload(main, targets=(replace(PRESS, key="avoid"),))


@pytest.mark.parametrize("page", ["0", "-1", "x", "", "1" * 5000])
def test_a_page_that_cannot_be_is_400(play_upload: Any, page: str) -> None:
    async def main(upload: Any) -> None:
        answer = await upload.get(f"/commits?page={page}", "admin")
        assert (answer.status_code, answer.json()["detail"]) == (400, "Page should not be less than 1")

    play_upload(main)


def test_a_path_with_the_query_glued_on_is_no_listing(play_upload: Any) -> None:
    """H23, A13."""

    async def main(upload: Any) -> None:
        for path in ("/commits&acknowledged=false", "/commits/"):
            assert (await upload.get(path, "lister")).status_code == 404

    play_upload(main)


def test_targets_are_listed_unless_disabled_or_hidden_and_their_keys_never_show(play_upload: Any) -> None:
    """§2.1."""
    targets = (
        replace(PRESS, url="https://phraseanet.test/", key="key"),
        replace(OTHER, enabled=False),
        replace(OTHER, id="6b1f7d0e-52c4-4e0a-9f63-0d2b8c7a4e17", slug="hidden", hidden=True),
    )

    async def main(upload: Any) -> None:
        plain = {"id": PRESS.id, "slug": "press", "name": "Press pictures"}
        assert (await upload.get("/targets", "user")).json() == [plain]
        listed = (await upload.client.get("/targets", headers=upload.as_("user"))).json()
        assert listed["hydra:member"] == [{"@id": f"/targets/{PRESS.id}", "@type": "target", **plain}]
        assert (listed["@context"], listed["hydra:totalItems"]) == ("/contexts/target", 1)

    play_upload(main, targets=targets)
