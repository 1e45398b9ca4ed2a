"""Every refusal that openapi/ shows as an example is what the simulated services answer, word for word.

Nothing is replaced before the comparison. What varies from run to run is set to what the examples say: the upload
service is handed the examples' ids as the next ones that it gives out (`give_out`), and a limit of 1000 bytes.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from phrasim.documents import contract, openapi_folder
from phrasim.documents.store import Store
from phrasim.edge.faults import Fault, Refuse
from phrasim.journal.events import Participant
from phrasim.service.operations import REQUEST_BYTES_MAX
from phrasim.testbed import Testbed

ASSET = "4c097077-a26b-4af4-9a5d-b13fd4c77b3d"
OTHER_ASSET = "a134145e-9461-4f0a-8bd8-7025d31a6b8e"
COMMIT = "8f6a1c52-3c0e-4f0b-9d0a-5b1a7c9d2e41"
PUBLISHER = "d03fc9f6-3c6b-4428-8d6f-ba07c7c6e856"

FORM = {"content-type": "multipart/form-data; boundary=a-boundary"}
JSON = {"content-type": "application/json"}
FILE = (
    b'--a-boundary\r\nContent-Disposition: form-data; name="file"; filename="test.png"\r\n\r\n%s\r\n--a-boundary--\r\n'
)
FIELD = b'--a-boundary\r\nContent-Disposition: form-data; name="field"\r\n\r\nx\r\n'

Answer = httpx.Response
Provoke = Callable[[Testbed, Any], Awaitable[Answer]]
Row = tuple[str, int, str]
REQUESTS: dict[str, tuple[Participant, str, str]] = {
    "uploadAsset": ("upload", "POST", "/assets"),
    "commitAssets": ("upload", "POST", "/commit"),
    "listCommits": ("upload", "GET", "/commits"),
    "getAsset": ("upload", "GET", f"/assets/{ASSET}"),
    "downloadAsset": ("upload", "GET", f"/assets/{ASSET}/download"),
    "acknowledgeCommit": ("upload", "POST", f"/commits/{COMMIT}/ack"),
    "enqueueAssets": ("phraseanet", "POST", "/api/v1/upload/enqueue"),
    "issueToken": ("auth", "POST", "/oauth/v2/token"),
    "getTokenInfo": ("auth", "GET", "/token-info"),
    "getPublisherInfo": ("auth", "GET", f"/users/info/{PUBLISHER}"),
}


async def ask(bed: Testbed, operation_id: str, headers: dict[str, str] | None = None, **body: Any) -> Answer:
    """Make the request that the examples of an operation are about."""
    participant, method, path = REQUESTS[operation_id]
    return await bed.client("user", participant).request(method, path, headers=headers, **body)


def give_out(bed: Testbed, *ids: str) -> None:
    """Make these the next ids of assets and commits."""
    bed.upload.new_id = iter(ids).__next__  # type: ignore[method-assign]


async def committed(bed: Testbed, act: Any, asset: str = ASSET) -> dict[str, str]:
    """Commit one asset of that id; the header of the user who did."""
    headers: dict[str, str] = await act.bearer(bed)
    give_out(bed, asset, COMMIT)
    await act.post_commit(bed, headers, await act.assets(bed, headers, act.png))
    return headers


def sending(operation_id: str, who: str | None, headers: dict[str, str] | None = None, **body: Any) -> Provoke:
    """Ask as the publisher, Phraseanet's client or nobody; `authorization` among the headers is sent as it is."""

    async def provoke(bed: Testbed, act: Any) -> Answer:
        bearer = await act.bearer(bed, who) if who else {}
        return await ask(bed, operation_id, bearer | (headers or {}), **body)

    return provoke


def once_committed(operation_id: str, authorization: str) -> Provoke:
    async def provoke(bed: Testbed, act: Any) -> Answer:
        await committed(bed, act)
        return await ask(bed, operation_id, {"authorization": authorization})

    return provoke


def granting(client: str, **fields: str) -> Provoke:
    """Ask for a token with the right credentials of a client and of the publisher, save where `fields` differ."""

    async def provoke(bed: Testbed, _act: Any) -> Answer:
        known = getattr(bed.accounts, client)
        user = bed.accounts.publisher
        right = {"client_id": known.id, "client_secret": known.secret, "username": user.email}
        given = right | {"password": user.password} | fields
        return await ask(bed, "issueToken", data={name: value for name, value in given.items() if value != "left out"})

    return provoke


async def commit_what_is_committed(bed: Testbed, act: Any) -> Answer:
    headers = await committed(bed, act, OTHER_ASSET)
    return await ask(bed, "commitAssets", headers, json={"files": [OTHER_ASSET]})


async def commit_one_twice(bed: Testbed, act: Any) -> Answer:
    headers = await act.bearer(bed)
    give_out(bed, ASSET)
    await act.assets(bed, headers, act.png)
    return await ask(bed, "commitAssets", headers, json={"files": [ASSET, ASSET]})


async def download_what_was_deleted(bed: Testbed, act: Any) -> Answer:
    await committed(bed, act)
    asset = bed.upload.asset(ASSET)
    assert asset is not None
    assert asset.commit is not None
    token = {"authorization": f"AssetToken {asset.commit.token}"}
    assert (await ask(bed, "acknowledgeCommit", token)).status_code == 200
    assert (await ask(bed, "downloadAsset", token)).status_code == 200
    await bed.clock.sleep(11)
    assert (await ask(bed, "getAsset", token)).status_code == 200
    return await ask(bed, "downloadAsset", token)


async def notify_without_a_queue(bed: Testbed, _act: Any) -> Answer:
    channel = bed.broker.core.open_connection().open_channel()
    channel.queue_unbind("assetsIngest", "alchemy-exchange", "assetsIngest")
    return await ask(bed, "enqueueAssets", json={"assets": [ASSET], "publisher": PUBLISHER, "token": "f87...700b7cd"})


UPLOAD = ("uploadAsset", "commitAssets", "listCommits", "getAsset", "downloadAsset", "acknowledgeCommit")
TOO_LONG = b" " * (REQUEST_BYTES_MAX + 1)
UNKNOWN = {"authorization": "Bearer NjM0ZGE1YmE4ZTY4ZDY4ZmEwYzI0ZTk3"}
OTHER_TOKEN = "AssetToken f87a1c3e5b7d9f0214365870a9cbed0f214700b7cd"

TABLE: dict[Row, Provoke] = {
    **{
        (operation_id, 401, "noCredentials"): sending(operation_id, None)
        for operation_id in (*UPLOAD, "getTokenInfo", "getPublisherInfo")
    },
    **{
        (operation_id, 401, "unknownToken"): sending(operation_id, None, UNKNOWN)
        for operation_id in (*UPLOAD, "getTokenInfo", "getPublisherInfo")
    },
    **{(operation_id, 503, "refused"): sending(operation_id, None, UNKNOWN) for operation_id in UPLOAD},
    ("uploadAsset", 400, "missing"): sending("uploadAsset", "publisher", FORM, content=FIELD + b"--a-boundary--\r\n"),
    ("uploadAsset", 400, "empty"): sending("uploadAsset", "publisher", FORM, content=FILE % b""),
    ("uploadAsset", 400, "twice"): sending(
        "uploadAsset", "publisher", FORM, content=(FILE % b"x").replace(b"--a-boundary--\r\n", FILE % b"x")
    ),
    ("uploadAsset", 400, "preamble"): sending("uploadAsset", "publisher", FORM, content=b"Hello\r\n" + FILE % b"x"),
    ("uploadAsset", 400, "tooManyParts"): sending("uploadAsset", "publisher", FORM, content=FIELD * 32 + FILE % b"x"),
    ("uploadAsset", 403, "client"): sending("uploadAsset", "phraseanet", FORM, content=FILE % b"x"),
    ("uploadAsset", 413, "tooLarge"): sending("uploadAsset", "publisher", FORM, content=FILE % (b"x" * 1001)),
    ("uploadAsset", 415, "otherType"): sending("uploadAsset", "publisher", {"content-type": "image/png"}, content=b"x"),
    ("commitAssets", 400, "empty"): sending("commitAssets", "publisher", json={"files": []}),
    ("commitAssets", 400, "unknown"): sending("commitAssets", "publisher", json={"files": [ASSET]}),
    ("commitAssets", 400, "committed"): commit_what_is_committed,
    ("commitAssets", 400, "repeated"): commit_one_twice,
    ("commitAssets", 403, "client"): sending("commitAssets", "phraseanet", json={"files": [ASSET]}),
    ("commitAssets", 413, "tooLarge"): sending("commitAssets", "publisher", JSON, content=TOO_LONG),
    ("commitAssets", 415, "otherType"): sending(
        "commitAssets", "publisher", {"content-type": "text/plain"}, content=b"{}"
    ),
    ("listCommits", 403, "user"): sending("listCommits", "publisher"),
    ("getAsset", 403, "otherToken"): once_committed("getAsset", OTHER_TOKEN),
    ("getAsset", 404, "unknown"): sending("getAsset", "administrator"),
    ("downloadAsset", 403, "otherToken"): once_committed("downloadAsset", OTHER_TOKEN),
    ("downloadAsset", 404, "unknown"): sending("downloadAsset", "administrator"),
    ("downloadAsset", 404, "deleted"): download_what_was_deleted,
    ("acknowledgeCommit", 403, "otherToken"): once_committed("acknowledgeCommit", OTHER_TOKEN),
    ("acknowledgeCommit", 404, "unknown"): sending("acknowledgeCommit", "administrator"),
    ("enqueueAssets", 400, "noToken"): sending(
        "enqueueAssets", None, json={"assets": [ASSET, OTHER_ASSET], "publisher": PUBLISHER}
    ),
    ("enqueueAssets", 413, "tooLarge"): sending("enqueueAssets", None, JSON, content=TOO_LONG),
    ("enqueueAssets", 415, "otherType"): sending("enqueueAssets", None, {"content-type": "text/plain"}, content=b"{}"),
    ("enqueueAssets", 503, "noQueue"): notify_without_a_queue,
    ("issueToken", 400, "invalidRequest"): granting("front_end", grant_type="refresh_token"),
    ("issueToken", 400, "missingField"): granting("front_end", grant_type="password", client_secret="left out"),
    ("issueToken", 400, "invalidClient"): granting("front_end", grant_type="password", client_secret="wrong"),
    ("issueToken", 400, "invalidGrant"): granting("front_end", grant_type="password", password="wrong"),
    ("issueToken", 400, "unauthorizedClient"): granting("phraseanet", grant_type="password"),
    ("issueToken", 400, "invalidScope"): granting("phraseanet", grant_type="client_credentials", scope="commit:delete"),
    ("issueToken", 400, "invalidScopeForUser"): granting("front_end", grant_type="password", scope="commit:list"),
    ("issueToken", 413, "tooLarge"): sending("issueToken", None, JSON, content=TOO_LONG),
    ("issueToken", 415, "otherType"): sending("issueToken", None, {"content-type": "text/plain"}, content=b"{}"),
    ("getPublisherInfo", 403, "user"): sending("getPublisherInfo", "publisher"),
    ("getPublisherInfo", 403, "assetToken"): sending("getPublisherInfo", None, {"authorization": OTHER_TOKEN}),
    ("getPublisherInfo", 404, "unknown"): sending("getPublisherInfo", "phraseanet"),
}

SETTINGS: dict[Row, dict[str, Any]] = {
    ("uploadAsset", 413, "tooLarge"): {"upload_size_max": 1000},
    ("downloadAsset", 404, "deleted"): {"retention": 10.0},
    **{row: {"faults": (Fault("getTokenInfo", Refuse()),)} for row in TABLE if row[1:] == (503, "refused")},
}


def refusals() -> dict[Row, Any]:
    """Every example of a refusal by operation, status and name."""
    store = Store(openapi_folder())
    found: dict[Row, Any] = {}
    for operation in contract("documented").operations.values():
        file = f"{operation.participant}.yaml"
        written = store.document(file)["paths"][operation.path][operation.method.lower()]["responses"]
        for status in (status for status in operation.answers if status >= 400):
            found_in, _, response = store.resolve(file, written[str(status)])
            for content in response["content"].values():
                for name, example in content["examples"].items():
                    found[operation.operation_id, status, name] = store.resolve(found_in, example)[2]["value"]
    return found


EXAMPLES = refusals()


def test_every_refusal_example_is_provoked_and_nothing_else() -> None:
    assert EXAMPLES.keys() == TABLE.keys()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: " ".join(map(str, row)))
def test_a_refusal_is_what_its_example_shows(play: Any, act: Any, row: Row) -> None:
    operation_id, status, _ = row

    async def main(bed: Testbed) -> Answer:
        return await TABLE[row](bed, act)

    answer = play(main, mode="off", **SETTINGS.get(row, {}))
    assert (answer.status_code, answer.json()) == (status, EXAMPLES[row])
    if status == 401:
        takes_asset_tokens = "AssetToken" in contract("documented").operations[operation_id].security
        schemes = re.sub(r'(?<=Bearer) error="invalid_token"', "", answer.headers["www-authenticate"])
        assert schemes == ("Bearer, AssetToken" if takes_asset_tokens else "Bearer")
        assert ("invalid_token" in answer.headers["www-authenticate"]) == (row[2] == "unknownToken")
