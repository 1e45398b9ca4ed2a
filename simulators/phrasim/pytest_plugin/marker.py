"""What `@pytest.mark.phrasim(...)` asks for, as a value."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, get_args

import msgspec

from phrasim.documents.nearest import nearest
from phrasim.testbed import Mode, ProfileName, Setting
from phrasim.upload.documented.outbound import ALL_FIELDS

Plays = Literal["upload", "phraseanet"]
"""The services whose part the code under test can play."""

_Seconds = Annotated[float, msgspec.Meta(gt=0)]
_Field = Literal[*ALL_FIELDS]  # type: ignore[valid-type]  # the names are listed there


class MarkerError(ValueError):
    """A marker that cannot be followed; the message says what would be right."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The keywords of the marker, which are those of `Setting`: times in seconds, sizes in bytes.

    `plays` says whose part the code under test plays: phrasim then leaves it alone.
    """

    profile: ProfileName = "documented"
    mode: Mode | None = None
    seed: int = 1
    plays: Plays | None = None
    poll_interval: _Seconds | None = None
    token_lifetime: Annotated[int, msgspec.Meta(gt=0)] | None = None
    upload_size_max: Annotated[int, msgspec.Meta(ge=0)] | None = None
    retention: Annotated[float, msgspec.Meta(ge=0)] | None = None
    notification_fields: tuple[_Field, ...] | None = None
    publisher_email: str | None = None
    publisher_name: str | None = None

    @property
    def setting(self) -> Setting:
        """The testbed that is asked for. Who plays Phraseanet is expected to poll, unless the marker says more."""
        given = {name: value for name in self.__struct_fields__ if (value := getattr(self, name)) is not None}
        given.setdefault("mode", "pull" if given.pop("plays", None) == "phraseanet" else "push")
        return Setting(**given)


def read_markers(markers: Sequence[tuple[Sequence[Any], Mapping[str, Any]]]) -> Asked:
    """What the markers ask for, given as positional arguments and keywords, the nearest marker first.

    Raises `MarkerError`.
    """
    keywords: dict[str, Any] = {}
    for positional, named in markers:
        if positional:
            raise MarkerError(
                f"@pytest.mark.phrasim takes keywords; found {positional[0]!r}, such as mode='pull' is right"
            )
        keywords = {**named, **keywords}
    for name in keywords:
        if name not in Asked.__struct_fields__:
            raise MarkerError(f"@pytest.mark.phrasim: there is no {name!r}; {nearest(name, Asked.__struct_fields__)}")
    for name, known in (("profile", get_args(ProfileName)), ("mode", get_args(Mode)), ("plays", get_args(Plays))):
        if keywords.get(name) not in (None, *known):
            right = " or ".join(map(repr, known))
            raise MarkerError(f"@pytest.mark.phrasim: {name}={keywords[name]!r}; right would be {right}")
    try:
        return msgspec.convert(keywords, Asked)
    except msgspec.ValidationError as error:
        raise MarkerError(f"@pytest.mark.phrasim: {error}") from error
