"""Whose a URL is, by the base URLs of a run."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.edge.addresses import Addresses

BASES = Addresses(
    [
        ("upload", "https://media.example/upload"),
        ("upload", "http://127.0.0.1:8081"),
        ("phraseanet", "https://media.example"),
        ("auth", "https://media.example/upload/auth/"),
    ]
)


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://127.0.0.1:8081/assets?x=1", ("upload", "/assets")),
        ("https://media.example/upload/assets", ("upload", "/assets")),
        ("https://media.example:443/upload/assets", ("upload", "/assets")),
        ("https://media.example/upload/auth/token-info", ("auth", "/token-info")),
        ("https://media.example/uploads", ("phraseanet", "/uploads")),
        ("https://media.example/", ("phraseanet", "/")),
        ("http://127.0.0.1:8082/assets", None),
        ("https://elsewhere.example/upload/assets", None),
    ],
)
def test_a_url_belongs_to_the_longest_base_that_it_begins_with(url: str, found: tuple[str, str] | None) -> None:
    assert BASES.at(httpx.URL(url)) == found


def test_a_base_with_a_path_has_nothing_beside_it() -> None:
    assert Addresses.of({"upload": "http://host/base"}).at(httpx.URL("http://host/basement")) is None


@given(st.from_regex(r"(/[a-z]{1,5}){0,3}", fullmatch=True), st.from_regex(r"(/[a-z]{1,5}){1,3}", fullmatch=True))
def test_what_is_appended_to_a_base_is_the_path_below_it(base: str, path: str) -> None:
    assert Addresses.of({"auth": f"http://host{base}"}).at(httpx.URL(f"http://host{base}{path}")) == ("auth", path)


def test_the_bases_can_be_told_to_a_user() -> None:
    assert str(Addresses.of({"auth": "http://host:81/base", "upload": "http://other"})) == "host:81/base, other"
