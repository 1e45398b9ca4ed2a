"""What stands for a secret, and where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.journal.redaction import (
    fingerprint,
    redacted_field,
    redacted_form,
    redacted_headers,
    redacted_json,
    urls_in,
)

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


def test_a_secret_field_that_holds_no_text_is_redacted_whole_and_an_empty_one_says_so() -> None:
    assert redacted_json({"token": {"a": "abc"}, "client_secret": ["abc", 9], "password": None}, SECRETS) == {
        "token": "‹redacted›",
        "client_secret": "‹redacted›",
        "password": None,
    }


def test_of_a_url_that_bears_its_own_permission_the_address_stays() -> None:
    value = {"url": "https://files.example/a.png?signature=s", "next": "https://files.example/?page=2"}
    assert redacted_json({"assets": [value]}, frozenset({"url?"})) == {
        "assets": [{"url": f"https://files.example/a.png?{fingerprint('signature=s')}", "next": value["next"]}]
    }
    assert redacted_json({"url": "https://files.example/a.png"}, frozenset({"url?"})) == {
        "url": "https://files.example/a.png"
    }
    assert list(urls_in([{"assets": [value]}], frozenset({"url?"}))) == [value["url"]]


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
        st.just("s3cret-value") | st.integers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.just("token"), inner),
    )
)
def test_nothing_survives_under_the_name_of_a_secret(value: object) -> None:
    redacted = redacted_json({"token": value, "kept": 1}, SECRETS)
    assert redacted["kept"] == 1
    assert redacted["token"] == (fingerprint(value) if isinstance(value, str) else "‹redacted›")
