"""What stands for a secret, and where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.journal.redaction import fingerprint, redacted_field, redacted_form, redacted_headers, redacted_json

SECRETS = frozenset({"token", "password", "client_secret"})


def test_a_fingerprint_tells_tokens_apart_and_gives_none_away() -> None:
    assert fingerprint("abc") == "‹ba7816bf›"
    assert fingerprint("abc") == fingerprint("abc")
    assert fingerprint("abd") != fingerprint("abc")


@pytest.mark.parametrize("name", ["password", "client_secret"])
def test_what_people_choose_has_no_fingerprint(name: str) -> None:
    assert redacted_field(name, "abc") == redacted_field(name, "xyz") == "‹redacted›"


def test_secrets_are_replaced_at_any_depth() -> None:
    value = {"token": "abc", "a": [{"password": "abc"}, "abc", 3], "token_type": "bearer"}
    assert redacted_json(value, SECRETS) == {
        "token": fingerprint("abc"),
        "a": [{"password": "‹redacted›"}, "abc", 3],
        "token_type": "bearer",
    }


def test_a_secret_field_that_holds_no_text_is_searched_as_any_other() -> None:
    assert redacted_json({"token": {"token": "abc"}, "password": None}, SECRETS) == {
        "token": {"token": fingerprint("abc")},
        "password": None,
    }


def test_a_form_keeps_what_is_no_secret() -> None:
    assert redacted_form("a=1&password=abc&b=&token=abc", SECRETS) == (
        "a=1&password=%E2%80%B9redacted%E2%80%BA&b=&token=%E2%80%B9ba7816bf%E2%80%BA"
    )


def test_the_scheme_of_credentials_stays() -> None:
    headers = (("authorization", "AssetToken abc"), ("x-authorization", "abc"), ("authorization", "abc"))
    assert redacted_headers(headers) == (
        ("authorization", f"AssetToken {fingerprint('abc')}"),
        ("x-authorization", "abc"),
        ("authorization", fingerprint("abc")),
    )


@given(
    st.recursive(
        st.just("s3cret-value"), lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["a", "token"]), inner)
    )
)
def test_no_secret_text_survives_under_its_name(value: object) -> None:
    def under_token(found: object) -> list[object]:
        if isinstance(found, dict):
            return [inner for key, inner in found.items() if key == "token" and isinstance(inner, str)] + [
                one for inner in found.values() for one in under_token(inner)
            ]
        return [one for inner in found for one in under_token(inner)] if isinstance(found, list) else []

    assert all(one == fingerprint("s3cret-value") for one in under_token(redacted_json(value, SECRETS)))
