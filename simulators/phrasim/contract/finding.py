"""What a verification found, as values; `report/` puts them into words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from phrasim.journal.events import Participant
from phrasim.testbed import ProfileName

Headers = tuple[tuple[str, str], ...]
"""Names and values in their order, as on the wire; names are in lower case."""

Weight = Literal["broken", "warning"]
"""Whether a finding breaks the contract, or is kept by the letter and will trouble somebody all the same."""


@dataclass(frozen=True, slots=True)
class HttpExchange:
    """One HTTP request and its answer, as they were on the wire, secrets included.

    `operation_id` is None for a request that is no operation of the contract. `began_at` is in Unix seconds, `seconds`
    is how long the answer took. Without an answer `status` is None, and `failure` says what happened.
    """

    sender: Participant
    receiver: Participant
    operation_id: str | None
    method: str
    url: str
    request_headers: Headers
    request_body: bytes
    status: int | None
    response_headers: Headers
    response_body: bytes
    began_at: float
    seconds: float
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as the contract says.

    `rule` is what was broken, in a few words that stay the same from run to run (“status”, “access”, “body”).
    `operation_id` is the operation at fault; None where it is no operation's. `asked`, `came` and `expected` are
    sentences, or beginnings of sentences, for people. `place` is where the contract says it, such as
    `openapi/upload.yaml#/paths/~1assets/post/responses/201`. `exchange` is the request that showed it, if it was one.
    """

    suite: str
    rule: str
    operation_id: str | None
    asked: str
    came: str
    expected: str
    place: str
    exchange: HttpExchange | None = None
    weight: Weight = "broken"


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """What one suite found: `cases` counts what it tried. `unjudged` says why it could judge nothing, else it is empty.

    `notes` are lines that a reader should know, such as what was left out.
    """

    name: str
    cases: int
    seconds: float
    findings: tuple[Finding, ...] = ()
    unjudged: str = ""
    notes: tuple[str, ...] = ()

    @property
    def broken(self) -> tuple[Finding, ...]:
        """The findings that break the contract."""
        return tuple(one for one in self.findings if one.weight == "broken")

    @property
    def left_out(self) -> bool:
        """Whether it tried nothing, as it was asked to."""
        return not self.cases and not self.findings and not self.unjudged


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """All that a verification found. `url` is None for the simulated participant, without a password in it else.

    `asked` are the options that reproduce it, as they stand on the command line (`--seed 7 --budget 60s`).
    `created` are lines that name what was made and is still there; `exchanges` are the last ones, in their order.
    """

    participant: Participant
    profile: ProfileName
    url: str | None
    seed: int
    asked: str
    suites: tuple[SuiteResult, ...]
    preflight: tuple[str, ...] = ()
    created: tuple[str, ...] = ()
    exchanges: tuple[HttpExchange, ...] = ()
    answers: Mapping[str, int] = field(default_factory=dict)
    """How often each operation was answered, by its operationId."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of all suites."""
        return tuple(one for suite in self.suites for one in suite.findings)

    @property
    def exit_code(self) -> int:
        """0 kept, 1 broken, 2 where it could not be judged."""
        if any(suite.broken for suite in self.suites):
            return 1
        unjudged = any(suite.unjudged for suite in self.suites)
        return 2 if unjudged or all(suite.left_out for suite in self.suites) else 0
