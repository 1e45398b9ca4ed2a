"""What the marker asks for."""

from typing import Any

import pytest

from phrasim.pytest_plugin.marker import Asked, MarkerError, read_markers
from phrasim.testbed import Setting


def read(*markers: dict[str, Any]) -> Asked:
    return read_markers([((), keywords) for keywords in markers])


def test_without_a_marker_the_setting_is_the_usual_one() -> None:
    assert read().setting == Setting()


def test_every_keyword_is_one_of_the_setting() -> None:
    given: dict[str, Any] = {
        "mode": "both",
        "seed": 3,
        "poll_interval": 60,
        "token_lifetime": 90,
        "upload_size_max": 1000,
        "retention": 0.5,
        "notification_fields": ["assets", "token"],
        "publisher_email": "ann@example.org",
        "publisher_name": "Ann",
    }
    assert read(given).setting == Setting(**{**given, "notification_fields": ("assets", "token")})


def test_the_nearest_marker_counts_keyword_by_keyword() -> None:
    asked = read({"seed": 2}, {"seed": 1, "mode": "pull"})
    assert (asked.seed, asked.mode) == (2, "pull")


@pytest.mark.parametrize(
    ("asked", "mode"), [({"plays": "phraseanet"}, "pull"), ({"plays": "upload"}, "push"), ({"mode": "off"}, "off")]
)
def test_whoever_plays_phraseanet_is_expected_to_poll(asked: dict[str, Any], mode: str) -> None:
    assert read(asked).setting.mode == mode


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"pol_interval": 1}, "there is no 'pol_interval'; did you mean 'poll_interval'?"),
        ({"mode": "poll"}, "mode='poll'; right would be 'push' or 'pull' or 'both' or 'off'"),
        ({"plays": "auth"}, "plays='auth'; right would be 'upload' or 'phraseanet'"),
        ({"seed": "1"}, "Expected `int`, got `str` - at `$.seed`"),
        ({"poll_interval": 0}, "> 0.0 - at `$.poll_interval`"),
        ({"notification_fields": ["tokens"]}, "Invalid enum value 'tokens'"),
    ],
)
def test_what_cannot_be_followed_is_refused_with_what_would_be_right(keywords: dict[str, Any], said: str) -> None:
    with pytest.raises(MarkerError) as caught:
        read(keywords)
    assert said in str(caught.value)


def test_a_positional_argument_is_refused() -> None:
    with pytest.raises(MarkerError, match=r"takes keywords; found 'pull'"):
        read_markers([(("pull",), {})])
