"""Which form an answer has (§2.1), and the forms of refusals (§2.10)."""

from typing import Any

import pytest

from phrasim.upload.deployed.formats import format_asked

LD, PLAIN = "application/ld+json", "application/json"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, LD),
        ("", LD),
        ("*/*", LD),
        ("application/*", LD),
        (LD, LD),
        (PLAIN, PLAIN),
        ("Application/JSON; charset=utf-8", PLAIN),
        ("application/json, text/plain;q=0.9", PLAIN),
        ("application/json, text/plain, */*", LD),
        ("application/json, */*;q=0.1", PLAIN),
        ("application/json;q=0.1, */*", LD),
        ("application/ld+json;q=0, */*", PLAIN),
        ("application/json;q=x", LD),
        ("text/html", LD),
        (",;", LD),
    ],
)
def test_plain_json_is_for_those_who_would_rather_have_it(accept: str | None, form: str) -> None:
    """§2.1."""
    assert format_asked(accept) == form


@pytest.mark.parametrize(
    ("method", "path", "who", "status", "detail"),
    [
        ("GET", "/commits", None, 401, "Full authentication is required to access this resource."),
        ("GET", "/commits", "unreadable", 401, "Full authentication is required to access this resource."),
        ("GET", "/commits", "user", 403, "Access Denied."),
        ("GET", "/assets/x", "user", 404, "Not Found"),
        ("POST", "/commits/x/ack", "user", 404, "Commit not found"),
        ("GET", "/x", None, 404, 'No route found for "GET https://upload.test/x"'),
        (
            "PUT",
            "/assets",
            None,
            405,
            'No route found for "PUT https://upload.test/assets": Method Not Allowed (Allow: POST)',
        ),
        (
            "POST",
            "/commit",
            "AssetToken x",
            415,
            "the request has no Content-Type; commitAssets takes application/json",
        ),
    ],
)
def test_a_refusal_is_a_hydra_error_or_a_problem(
    play_upload: Any, method: str, path: str, who: str | None, status: int, detail: str
) -> None:
    """§2.10."""

    async def main(upload: Any) -> None:
        headers = upload.as_(who)
        answer = await upload.client.request(method, path, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (status, f"{LD}; charset=utf-8")
        assert answer.json() == {
            "@context": "/contexts/Error",
            "@type": "hydra:Error",
            "hydra:title": "An error occurred",
            "hydra:description": detail,
        }
        answer = await upload.client.request(method, path, headers=headers | {"accept": PLAIN})
        assert (answer.status_code, answer.headers["content-type"]) == (
            status,
            "application/problem+json; charset=utf-8",
        )
        assert answer.json() == {
            "type": "https://tools.ietf.org/html/rfc2616#section-10",
            "title": "An error occurred",
            "status": status,
            "detail": detail,
        }
        assert answer.headers.get("allow") == ("POST" if status == 405 else None)

    play_upload(main)


def test_the_methods_of_a_path_are_told_in_one_order(play_upload: Any) -> None:
    async def main(upload: Any) -> None:
        answer = await upload.client.put("/commits")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")

    play_upload(main)


@pytest.mark.parametrize("accept", [LD, PLAIN])
def test_a_bearer_that_can_be_read_and_does_not_hold_has_a_message_only(play_upload: Any, accept: str) -> None:
    """§2.10, row "bad Bearer"."""

    async def main(upload: Any) -> None:
        answer = await upload.client.get("/commits", headers=upload.as_("a.b.c") | {"accept": accept})
        assert (answer.status_code, answer.headers["content-type"]) == (401, PLAIN)
        assert answer.json() == {"message": "Invalid token"}

    play_upload(main)


@pytest.mark.parametrize("accept", [LD, PLAIN])
def test_what_no_rule_foresees_is_500(play_upload: Any, accept: str) -> None:
    async def main(upload: Any) -> None:
        upload.state.listed = None
        answer = await upload.client.get("/commits", headers=upload.as_("admin") | {"accept": accept})
        said = answer.json().get("detail") or answer.json().get("hydra:description")
        assert (answer.status_code, said) == (500, "Internal Server Error")

    with pytest.raises(AssertionError, match="the status 500 is not declared"):
        play_upload(main)
