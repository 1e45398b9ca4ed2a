"""The table of PROTOCOL §2.4 and rulings A11, A27 and A32, cell by cell, on the wire."""

from typing import Any

import httpx
import pytest

from phrasim.testbed import Testbed

pytestmark = pytest.mark.unmeasured

PRINCIPALS = (
    "nobody",
    "invalid Bearer",
    "user",
    "administrator",
    "AssetToken of the commit",
    "AssetToken of another commit",
    "AssetToken in other letters",
    "any AssetToken",
    "client with commit:list",
    "client without scope",
)

TABLE: dict[str, tuple[int, ...]] = {
    # in the order of the principals
    "GET asset, not committed": (401, 401, 403, 403, 403, 403, 403, 403, 403, 403),
    "GET asset, committed": (401, 401, 403, 200, 200, 403, 403, 403, 403, 403),
    "GET asset, acknowledged": (401, 401, 403, 200, 200, 403, 403, 403, 403, 403),
    "GET asset, unknown": (401, 401, 404, 404, 404, 404, 404, 404, 404, 404),
    "GET asset, no UUID": (401, 401, 404, 404, 404, 404, 404, 404, 404, 404),
    "download, not committed": (401, 401, 403, 403, 403, 403, 403, 403, 403, 403),
    "download, committed": (401, 401, 403, 200, 200, 403, 403, 403, 403, 403),
    "download, acknowledged": (401, 401, 403, 200, 200, 403, 403, 403, 403, 403),
    "download, unknown": (401, 401, 404, 404, 404, 404, 404, 404, 404, 404),
    "ack, waiting": (401, 401, 403, 200, 200, 403, 403, 403, 403, 403),
    "ack, acknowledged": (401, 401, 403, 200, 200, 403, 403, 403, 403, 403),
    "ack, unknown": (401, 401, 404, 404, 404, 404, 404, 404, 404, 404),
    "list commits": (401, 401, 403, 200, 403, 403, 403, 403, 200, 403),
    "upload": (401, 401, 201, 201, 403, 403, 403, 403, 403, 403),
    "commit": (401, 401, 200, 200, 403, 403, 403, 403, 403, 403),
    "token info": (401, 401, 200, 200, 401, 401, 401, 401, 200, 200),
    "publisher info": (401, 401, 403, 403, 403, 403, 403, 403, 200, 200),
    "publisher info, unknown": (401, 401, 403, 403, 403, 403, 403, 403, 404, 404),
}
NO_ID = "00000000-0000-4000-8000-000000000000"


class Landscape:
    """An asset in each of its states, and the credentials of everybody."""

    def __init__(self, bed: Testbed, act: Any) -> None:
        self.bed = bed
        self.act = act

    async def prepare(self) -> None:
        act, bed = self.act, self.bed
        self.user: dict[str, str] = await act.bearer(bed)
        self.fresh, self.spare, *others = await act.assets(bed, self.user, b"a", b"b", b"c", b"d", b"e")
        for asset in others:
            await act.post_commit(bed, self.user, [asset])
        self.waiting, self.done, self.other = bed.upload.commits
        bed.upload.acknowledge(self.done)

    async def credentials(self, principal: str, resource: str) -> dict[str, str]:
        token = (self.done if resource == "acknowledged" else self.waiting).token
        match principal:
            case "nobody":
                return {}
            case "invalid Bearer":
                return {"authorization": "Bearer of-nobody"}
            case "user":
                bearer = self.user
            case "administrator" | "client with commit:list":
                bearer = await self.act.bearer(self.bed, principal.replace("client with commit:list", "phraseanet"))
            case "client without scope":
                token = self.bed.auth.issue(self.bed.accounts.phraseanet, None, ()).value
                return {"authorization": f"Bearer {token}"}
            case "AssetToken of the commit":
                return {"authorization": f"AssetToken {token}"}
            case "AssetToken of another commit":
                return {"authorization": f"AssetToken {self.other.token}"}
            case "AssetToken in other letters":
                return {"authorization": f"AssetToken {token.upper()}"}
            case _:
                return {"authorization": "AssetToken x"}
        return bearer

    async def ask(self, operation: str, resource: str, headers: dict[str, str]) -> httpx.Response:
        upload, auth = self.bed.client("user", "upload"), self.bed.client("user", "auth")
        asset = {
            "not committed": self.fresh,
            "committed": self.waiting.assets[0].id,
            "acknowledged": self.done.assets[0].id,
            "no UUID": "an asset",
        }.get(resource, NO_ID)
        commit = {"waiting": self.waiting.id, "acknowledged": self.done.id}.get(resource, NO_ID)
        match operation:
            case "GET asset":
                return await upload.get(f"/assets/{asset}", headers=headers)
            case "download":
                return await upload.get(f"/assets/{asset}/download", headers=headers)
            case "ack":
                return await upload.post(f"/commits/{commit}/ack", headers=headers)
            case "list commits":
                return await upload.get("/commits", headers=headers)
            case "upload":
                answer: httpx.Response = await self.act.post_file(self.bed, headers)
                return answer
            case "commit":
                return await upload.post("/commit", headers=headers, json={"files": [self.spare]})
            case "token info":
                return await auth.get("/token-info", headers=headers)
            case _:
                publisher = NO_ID if resource else self.bed.accounts.publisher.id
                return await auth.get(f"/users/info/{publisher}", headers=headers)


CELLS = [
    pytest.param(act, principal, status, id=f"{act} - {principal} - {status}")
    for act, statuses in TABLE.items()
    for principal, status in zip(PRINCIPALS, statuses, strict=True)
]


@pytest.mark.parametrize(("row", "principal", "status"), CELLS)
def test_who_may_do_what(play: Any, act: Any, row: str, principal: str, status: int) -> None:
    async def main(bed: Testbed) -> httpx.Response:
        landscape = Landscape(bed, act)
        await landscape.prepare()
        operation, _, resource = row.partition(", ")
        return await landscape.ask(operation, resource, await landscape.credentials(principal, resource))

    answer = play(main, mode="off")
    assert answer.status_code == status
    if status == 401:
        with_token = ", AssetToken" if row.partition(", ")[0] in ("GET asset", "download", "ack") else ""
        bearer = 'Bearer error="invalid_token"' if principal == "invalid Bearer" else "Bearer"
        assert answer.headers["www-authenticate"] == bearer + with_token


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "assettoken x",
        "AssetToken",
        "AssetToken ",
        "OAuth x",
        "Bearer \xe9",
    ],
)
def test_what_is_no_credential_is_401(play: Any, act: Any, authorization: str) -> None:
    async def main(bed: Testbed) -> int:
        headers = [(b"authorization", authorization.encode("latin-1"))]
        return (await bed.client("user", "upload").get("/commits", headers=headers)).status_code

    assert play(main, mode="off") == 401


def test_the_word_bearer_is_read_without_case(play: Any, act: Any) -> None:
    async def main(bed: Testbed) -> int:
        token = (await act.bearer(bed, "administrator"))["authorization"].partition(" ")[2]
        headers = {"authorization": f"bEaReR {token}"}
        return (await bed.client("user", "upload").get("/commits", headers=headers)).status_code

    assert play(main, mode="off") == 200
