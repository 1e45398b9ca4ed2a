"""The table of PROTOCOL §2.4, column *now*, cell by cell on the wire, and §2.1's principals for the rest."""

from typing import Any

import pytest

pytestmark = pytest.mark.unmeasured

PRINCIPALS = (
    None,
    "unreadable",
    "invalid.bearer.token",
    "user",
    "admin",
    "uploader-admin",
    "AssetToken of the commit",
    "AssetToken of another commit",
    "AssetToken in other letters",
    "AssetToken x",
    "assettoken of the commit",
    "lister",
    "client",
)

TABLE: dict[str, tuple[int, ...]] = {
    # in the order of the principals
    "GET /assets/{fresh}": (401, 401, 401, 403, 403, 403, 403, 403, 403, 403, 401, 403, 403),
    "GET /assets/{waiting}": (401, 401, 401, 403, 200, 200, 200, 403, 403, 403, 401, 403, 403),
    "GET /assets/{done}": (401, 401, 401, 403, 200, 200, 403, 403, 403, 403, 401, 403, 403),
    "GET /assets/{unknown}": (401, 401, 401, 404, 404, 404, 404, 404, 404, 404, 401, 404, 404),
    "GET /assets/no-uuid": (401, 401, 401, 404, 404, 404, 404, 404, 404, 404, 401, 404, 404),
    "POST /assets/{fresh}/ack": (401, 401, 401, 403, 403, 403, 403, 403, 403, 403, 401, 403, 403),
    "POST /assets/{waiting}/ack": (401, 401, 401, 403, 200, 200, 200, 403, 403, 403, 401, 403, 403),
    "POST /assets/{unknown}/ack": (401, 401, 401, 404, 404, 404, 404, 404, 404, 404, 401, 404, 404),
    "GET /commits": (401, 401, 401, 403, 200, 200, 403, 403, 403, 403, 401, 200, 403),
    "GET /commits/{commit}": (401, 401, 401, 403, 200, 200, 200, 403, 403, 403, 401, 200, 403),
    "GET /commits/{unknown}": (401, 401, 401, 404, 404, 404, 404, 404, 404, 404, 401, 404, 404),
    "POST /commits/{commit}/ack": (401, 401, 401, 403, 200, 200, 200, 403, 403, 403, 401, 403, 403),
    "POST /commits/{unknown}/ack": (401, 401, 401, 404, 404, 404, 404, 404, 404, 404, 401, 404, 404),
    "GET /targets": (401, 401, 401, 200, 200, 200, 200, 200, 200, 200, 401, 200, 200),
    "GET /me": (401, 401, 401, 200, 200, 200, 500, 500, 500, 500, 401, 500, 500),
    "GET /_healthcheck": (200,) * 13,
    "GET /assets/{waiting}/download": (404,) * 13,
    "upload": (401, 401, 401, 201, 201, 201, 500, 500, 500, 500, 401, 500, 500),
    "commit": (401, 401, 401, 200, 200, 200, 500, 500, 500, 500, 401, 500, 500),
}
NO_ID = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize("request_line", TABLE)
def test_each_principal_is_answered_as_the_table_says(play_upload: Any, request_line: str) -> None:
    """§2.4, §2.1, §2.2 (500 for who has no user id)."""

    async def main(upload: Any) -> dict[str | None, int]:
        found = {}
        (fresh,) = await upload.assets(b"fresh")
        done = await upload.committed(b"done")
        await upload.post(f"/commits/{done.id}/ack", "admin")
        other = await upload.committed(b"other")
        for principal in PRINCIPALS:
            commit = await upload.committed(b"waiting", b"another")
            who = {
                "AssetToken of the commit": f"AssetToken {commit.token}",
                "AssetToken of another commit": f"AssetToken {other.token}",
                "AssetToken in other letters": f"AssetToken {commit.token.upper()}",
                "assettoken of the commit": f"assettoken {commit.token}",
            }.get(str(principal), principal)
            ids = {
                "fresh": fresh,
                "waiting": next(iter(commit.assets)),
                "done": next(iter(done.assets)),
                "commit": commit.id,
                "unknown": NO_ID,
            }
            if request_line == "upload":
                answer = await upload.post_file(who=who)
            elif request_line == "commit":
                answer = await upload.post_commit([], who=who)
            else:
                method, path = request_line.format(**ids).split(" ")
                answer = await (upload.get if method == "GET" else upload.post)(path, who)
            found[principal] = answer.status_code
            await upload.settle()
        return found

    assert play_upload(main) == dict(zip(PRINCIPALS, TABLE[request_line], strict=True))
