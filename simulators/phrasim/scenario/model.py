"""A scenario as values. Its YAML keys and their meaning stand in `scenarios/scenario.schema.json`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from phrasim.edge.faults import Fault
from phrasim.testbed import Mode, ProfileName
from phrasim.testbed.deployed_setting import DeployedSetting
from phrasim.testbed.setting import BrokerVersion

Account = Literal["publisher", "administrator", "client", "nobody"]
WireName = Literal["in-process", "loopback"]


@dataclass(frozen=True, slots=True)
class GivenFile:
    """A file beside the scenario (`path`), or one that is made from the seed (`size` in bytes)."""

    name: str
    path: str | None
    size: int
    mime_type: str


@dataclass(frozen=True, slots=True)
class Given:
    """What is there before the first step. Times are in seconds, sizes in bytes; None leaves the default."""

    publisher_email: str | None
    publisher_name: str | None
    files: tuple[GivenFile, ...]
    token_lifetime: float | None
    poll_interval: float | None
    upload_size_max: int | None
    retention: float | None
    notification_fields: tuple[str, ...] | None
    broker_version: BrokerVersion | None
    deployed: DeployedSetting


Scheme = Literal["Bearer", "AssetToken", "OAuth", "ApiKey"]


@dataclass(frozen=True, slots=True)
class TokenBearer:
    """A caller with the token that an expression gives, under that scheme."""

    scheme: Scheme
    expression: str


@dataclass(frozen=True, slots=True)
class Call:
    """A step that calls an operation as the user's client; `content` is a media type and the text of a body."""

    step_id: str
    operation_id: str
    for_each_file: bool
    caller: Account | TokenBearer
    parameters: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    url: str | None
    form: Mapping[str, str] | None
    body: Any
    has_body: bool
    content: tuple[str, str] | None
    outputs: Mapping[str, str]
    conditions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WaitFor:
    """A step that waits until an operation was answered with 2xx that many times, `within` seconds from its start.

    An `occurrence` of None is as often as there are files.
    """

    step_id: str
    operation_id: str
    occurrence: int | None
    within: float
    outputs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Wait:
    """A step that lets `seconds` of protocol time pass."""

    step_id: str
    seconds: float


Step = Call | WaitFor | Wait


@dataclass(frozen=True, slots=True)
class Expect:
    """What must hold when the steps are done; None expects nothing of that.

    `sequence` gives the arrows that are not walked, or walked more than once, by what befell them; all others are.
    """

    sequence: Mapping[str, tuple[str, ...]] | None
    records: Literal["one for each file, same bytes", "none"] | None
    commits: Mapping[str, int]
    executions: int | Mapping[str, int] | None
    queues: Mapping[str, int]
    counts: Mapping[str, int]
    notes: Mapping[str, int]
    refusals: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario; `text` is the YAML that it was read from, `file` its name for messages."""

    name: str
    summary: str
    file: str
    text: str
    document: str | None
    profile: ProfileName
    wires: tuple[WireName, ...]
    why: str | None
    mode: Mode
    given: Given
    faults: tuple[Fault, ...]
    steps: tuple[Step, ...]
    expect: Expect
