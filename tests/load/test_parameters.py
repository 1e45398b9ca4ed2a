"""How much a load run hands over, and when: sizes, contents, shapes, landscapes."""

import hashlib
import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phrasim.documents.quantity import typed_seconds
from phrasim.load.contents import BLOCK_BYTES, Content
from phrasim.load.landscape import LandscapeError, read_landscapes
from phrasim.load.shapes import SHAPES
from phrasim.load.sizes import SizesError, read_sizes

KIB = 1024


def test_one_size_is_that_of_every_file() -> None:
    assert {read_sizes("64 KiB").draw(random.Random(seed)) for seed in range(50)} == {64 * KIB}


def test_sizes_are_distributed_by_their_percentiles() -> None:
    sizes = read_sizes("p0=1KiB, p50=64 KiB, p90 = 1 MiB, p100=16MiB")
    chance = random.Random(1)
    drawn = sorted(sizes.draw(chance) for _ in range(4000))
    assert drawn[0] >= KIB
    assert drawn[-1] <= 16 * KIB * KIB
    assert 55 * KIB < drawn[2000] < 75 * KIB
    assert 0.85 * KIB * KIB < drawn[3600] < 1.2 * KIB * KIB


def test_what_lies_beyond_the_outer_percentiles_has_their_sizes() -> None:
    sizes = read_sizes("p50=8 KiB,p90=16 KiB")
    drawn = [sizes.draw(random.Random(seed)) for seed in range(300)]
    assert (min(drawn), max(drawn)) == (8 * KIB, 16 * KIB)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("large", "'large' is no size above 0"),
        ("0 B", "'0 B' is no size above 0"),
        ("", "'' is no size above 0"),
        ("1 KiB, 2 KiB", "a percentile before each"),
        ("p50=1 KiB, 2 KiB", "a percentile before each"),
        ("p90=1 KiB, p50=2 KiB", "grow from left to right"),
        ("p50=2 KiB, p90=1 KiB", "grow from left to right"),
        ("p101=1 KiB", "is no size above 0"),
    ],
)
def test_what_is_no_distribution_is_told_with_one_that_is(written: str, said: str) -> None:
    with pytest.raises(SizesError) as error:
        read_sizes(written)
    assert said in str(error.value)
    assert "p50" in str(error.value)


@given(
    size=st.integers(1, 3 * BLOCK_BYTES), name=st.text(st.characters(codec="ascii"), max_size=40), seed=st.integers()
)
def test_a_content_is_the_same_in_whatever_parts_it_is_read(size: int, name: str, seed: int) -> None:
    content, chance, read = Content(name, size), random.Random(seed), b""
    while part := content.part(len(read), chance.randint(1, 2 * BLOCK_BYTES)):
        read += part
    assert len(read) == size
    assert read.startswith(name.encode()[:size])
    assert hashlib.sha256(read).hexdigest() == content.sha256()


def test_contents_of_two_names_differ() -> None:
    assert Content("1", 100).sha256() != Content("2", 100).sha256()


@given(shape=st.sampled_from(sorted(SHAPES)), users=st.integers(1, 1000), share=st.floats(0, 1, exclude_max=True))
def test_a_shape_has_from_one_to_all_of_the_users(shape: str, users: int, share: float) -> None:
    assert 1 <= SHAPES[shape](users, share) <= users


def test_shapes_go_as_their_names_say() -> None:
    times = [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.999]
    told = {name: [shape(100, share) for share in times] for name, shape in SHAPES.items()}
    assert told == {
        "soak": [100] * 7,
        "ramp": [1, 10, 30, 50, 70, 90, 100],
        "steps": [20, 20, 40, 60, 80, 100, 100],
        "spike": [20, 20, 20, 100, 20, 20, 20],
    }


@pytest.mark.parametrize(
    ("written", "expected"), [("5s", 5), ("5 s", 5), ("500ms", 0.5), ("1.5 min", 90), ("2h", 7200)]
)
def test_a_time_may_be_typed_with_and_without_a_space(written: str, expected: float) -> None:
    assert typed_seconds(written) == expected


@pytest.mark.parametrize("written", ["", "5", "s", "5 x", "-1 s", "1e3 s", "5  s"])
def test_what_is_no_time_is_told(written: str) -> None:
    with pytest.raises(ValueError, match="write a number and its unit"):
        typed_seconds(written)


def test_a_landscape_is_read_with_what_a_run_does_not_need(tmp_path: Path) -> None:
    line = {
        "profile": "deployed",
        "mode": "pull",
        "upload": {"url": "http://u"},
        "broker": {"url": "amqp://b"},
        "id": 3,
    }
    file = tmp_path / "landscape.json"
    file.write_text(f"{json.dumps(line)}\n\n{json.dumps(line | {'upload': {'url': 'http://v'}})}\n")
    read = read_landscapes(file)
    assert [one.upload and one.upload.url for one in read] == ["http://u", "http://v"]
    assert {(one.profile, one.mode, one.users) for one in read} == {("deployed", "pull", ())}


def test_a_landscape_that_is_written_by_hand_may_have_several_lines(tmp_path: Path) -> None:
    file = tmp_path / "landscape.json"
    file.write_text(json.dumps({"profile": "deployed", "upload": {"url": "http://u"}}, indent=2))
    (read,) = read_landscapes(file)
    assert read.upload is not None
    assert (read.profile, read.upload.url) == ("deployed", "http://u")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("{", "landscape.json:1: this is no landscape"),
        ('{"mode": "sideways"}', "landscape.json: this is no landscape"),
        ('{"mode": "push"}\n[]', "landscape.json:2: this is no landscape"),
        ('{"mode": "push"}\n{"mode": "pull"}', "several profiles or modes"),
    ],
)
def test_what_is_no_landscape_is_told_with_its_place(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "landscape.json"
    file.write_text(text)
    with pytest.raises(LandscapeError, match=said):
        read_landscapes(file)
