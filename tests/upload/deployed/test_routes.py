"""The token endpoint, `GET /me` and `GET /_healthcheck` (§2.1, §5)."""

from typing import Any
from urllib.parse import parse_qs

import pytest

FIELDS = {"grant_type": "client_credentials", "client_id": "phraseanet", "scope": "commit:list"}


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(("secret", "status"), [("right", 200), ("wrong", 401)])
def test_a_token_request_is_relayed_and_so_is_its_answer(
    play_upload: Any, as_json: bool, secret: str, status: int
) -> None:
    """§5: the fields are forwarded, status and body come back; nobody need be known."""

    async def main(upload: Any) -> None:
        fields = FIELDS | {"client_secret": secret, "extra": "x y"}
        body: dict[str, Any] = {"json": fields} if as_json else {"data": fields}
        answer = await upload.client.post("/oauth/v2/token", **body)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
        assert answer.json().get("access_token", answer.json().get("error")) in ("a.b.c", "invalid_client")
        (asked,) = upload.token_requests
        assert parse_qs(asked.decode()) == {name: [value] for name, value in fields.items()}

    play_upload(main)


def test_a_token_request_that_is_no_json_is_400(play_upload: Any) -> None:
    async def main(upload: Any) -> None:
        answer = await upload.client.post("/oauth/v2/token", content=b"{", headers={"content-type": "application/json"})
        assert (answer.status_code, upload.token_requests) == (400, [])

    play_upload(main)


def test_without_auth_a_token_request_fails_and_the_reason_is_noted(play_upload: Any) -> None:
    async def main(upload: Any) -> None:
        del upload._apps["auth.test"]
        assert (await upload.client.post("/oauth/v2/token", data=FIELDS)).status_code == 500
        reason = "Auth cannot be asked for a token: ConnectError"
        assert upload.notes == [("internal server error", {"operation": "issueClientToken", "reason": reason})]

    play_upload(main)


@pytest.mark.parametrize(
    ("who", "name", "email", "may_edit"),
    [
        ("user", "publisher", "publisher@example.org", False),
        ("admin", "root", "root@example.org", True),
        ("uploader-admin", "keeper", None, True),
    ],
)
def test_me_tells_who_one_is(play_upload: Any, who: str, name: str, email: str | None, may_edit: bool) -> None:
    """§2.1."""

    async def main(upload: Any) -> None:
        answer = await upload.client.get("/me", headers=upload.as_(who))
        assert answer.headers["content-type"] == "application/json"
        body = answer.json()
        assert body.pop("user_id").startswith(("d03fc9f6", "00000000"))
        permissions = {"form_schema": may_edit, "target_data": may_edit}
        assert body == {"email": email, "username": name, "permissions": permissions}

    play_upload(main)


def test_anybody_may_ask_whether_the_service_is_up(play_upload: Any) -> None:
    """§2.1."""

    async def main(upload: Any) -> None:
        assert (await upload.client.get("/_healthcheck")).json() == {"ok": True}

    play_upload(main)
