"""What the suites of one verification share: the time that is left, what was found, and what was asked."""

import json
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from phrasim.contract.finding import Finding, HttpExchange
from phrasim.documents import Contract
from phrasim.documents.specification import Operation, essence
from phrasim.documents.violations import Violation, pointer_of

EXCHANGES_MAX = 200
"""How many exchanges are kept for the report; those that showed a finding are kept by it."""

FINDINGS_PER_KIND_MAX = 5
"""How many findings of one suite, rule, operation and place are kept."""


class Over(BaseException):
    """There is nothing more to try: the time is over, or one finding was enough.

    It is no `Exception`, so that neither Hypothesis nor a service takes it for a failure of theirs.
    """


class CutShort(Over):
    """The time was over while an answer was waited for, which had had some time to come."""


class NotJudged(Exception):
    """A suite can judge nothing; the message says why."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit, as the upload service tells of it to who lists or is notified."""

    id: str
    token: str
    assets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a verification was asked for: chance, how many seconds it has, and whether the first finding ends it.

    `began` is when it began, by `time.monotonic`; None is when its first suite does. `stretch` is how many times longer
    than its work this process takes, since others use the machine as well: so much longer takes what comes last.
    """

    seed: int = 1
    budget: float = 60.0
    began: float | None = None
    stretch: float = 1.0
    stop_at_first: bool = False
    read_only: bool = False


class Inquiry:
    """The findings of one suite, and what it may still do. `until` is when its time is over, by `clock`."""

    def __init__(
        self,
        suite: str,
        contract: Contract,
        asked: Asked,
        until: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.suite = suite
        self.contract = contract
        self.asked = asked
        self.until = until
        self.clock = clock
        self.cases = 0
        self.findings: list[Finding] = []
        self.remarks: list[str] = []
        self.assets: set[str] = set()
        """The ids of the assets that were uploaded."""
        self.commits: dict[str, Commit] = {}
        """The commits that were made, by id."""
        self.answers: Counter[str] = Counter()
        self.exchanges: deque[HttpExchange] = deque(maxlen=EXCHANGES_MAX)
        self._kinds: Counter[tuple[str, str | None, str]] = Counter()

    @property
    def over(self) -> bool:
        """Whether the time is over."""
        return self.clock() >= self.until

    @property
    def ended(self) -> bool:
        """Whether nothing more is tried: the time is over, or one finding was enough."""
        return self.over or (self.asked.stop_at_first and any(one.weight == "broken" for one in self.findings))

    def case(self) -> None:
        """One thing more is tried. Raises `Over` where there is no time for it."""
        if self.over:
            raise Over
        self.cases += 1

    def find(
        self,
        rule: str,
        operation_id: str | None,
        *,
        asked: str,
        came: str,
        expected: str,
        place: str,
        exchange: HttpExchange | None = None,
        warning: bool = False,
    ) -> None:
        """Something is not as the contract says; see `Finding`. Raises `Over` where the first is enough."""
        weight = "warning" if warning else "broken"
        finding = Finding(self.suite, rule, operation_id, asked, came, expected, place, exchange, weight)  # type: ignore[arg-type]
        self._kinds[rule, operation_id, place] += 1
        if self._kinds[rule, operation_id, place] <= FINDINGS_PER_KIND_MAX:
            self.findings.append(finding)
        if self.asked.stop_at_first and not warning:
            raise Over

    def object(
        self, rule: str, exchange: HttpExchange, came: str, expected: str, *, status: int | None = None, asked: str = ""
    ) -> None:
        """An exchange is not as the contract says of its operation, at the answer of `status`, or of its own.

        Without `asked` it is the request that is told.
        """
        operation = self.contract.operations.get(exchange.operation_id or "")
        self.find(
            rule,
            exchange.operation_id,
            asked=asked or said(exchange),
            came=came,
            expected=expected,
            place="" if operation is None else place_of(operation, status or exchange.status),
            exchange=exchange,
        )

    def remark(self, line: str) -> None:
        """Something that a reader should know; once."""
        if line not in self.remarks:
            self.remarks.append(line)

    def keep(self, exchange: HttpExchange) -> None:
        """Keep an exchange for the report."""
        self.exchanges.append(exchange)
        if exchange.operation_id is not None and exchange.status is not None:
            self.answers[exchange.operation_id] += 1

    def examine(self, exchange: HttpExchange) -> bool:
        """Hold an answer to its operation: status, media type, body, headers. Whether nothing was found."""
        self.keep(exchange)
        operation = self.contract.operations.get(exchange.operation_id or "")
        if operation is None:
            return True
        before = sum(self._kinds.values())
        if exchange.status is None:
            declared = ", ".join(map(str, operation.answers))
            self.object("answer", exchange, f"no answer: {exchange.failure}", f"an answer of {declared}")
            return False
        for violation in answer_violations(operation, exchange):
            rule = "status" if exchange.status not in operation.answers else "answer"
            came = f"{exchange.status} with {violation}"
            self.object(rule, exchange, came, violation.right or "what is declared there")
        return sum(self._kinds.values()) == before


def answer_violations(operation: Operation, exchange: HttpExchange) -> list[Violation]:
    """What is wrong with an answer by the operation's declaration."""
    assert exchange.status is not None, "who asks has an answer"
    headers = dict(exchange.response_headers)
    media_type = headers.get("content-type")
    if media_type is None and not exchange.response_body:
        found = operation.response_violations(exchange.status, None, None)
    else:
        value = json_body(exchange) if _is_described(operation, exchange.status, media_type) else None
        if value is NO_JSON:
            return [Violation("", "the body is not the JSON that its Content-Type says")]
        found = operation.response_violations(exchange.status, media_type, value)
    return [*found, *operation.header_violations(exchange.status, headers)]


def _is_described(operation: Operation, status: int, media_type: str | None) -> bool:
    """Whether a body of that type is JSON of which the contract says what is in it; a file may be JSON, too."""
    declared = operation.answers.get(status)
    body = None if declared is None else declared.bodies.get(essence(media_type or ""))
    return body is not None and body.pointer is not None and "json" in body.media_type


NO_JSON = object()
"""What a body is that is no JSON."""


def json_body(exchange: HttpExchange) -> Any:
    """The JSON value of an answer; `NO_JSON` where it is none."""
    try:
        return json.loads(exchange.response_body)
    except (ValueError, RecursionError):
        return NO_JSON


def said(exchange: HttpExchange) -> str:
    """A request in a few words: who sent it, and its request line without the query, which may be secret."""
    path = exchange.url.partition("://")[2].partition("?")[0]
    return f"{exchange.sender} sent {exchange.method} /{path.partition('/')[2]}"


def answered(exchange: HttpExchange) -> str:
    """The status of an answer, or that there was none."""
    return "no answer" if exchange.status is None else str(exchange.status)


def place_of(operation: Operation, status: int | None = None) -> str:
    """Where the contract speaks of an operation, or of one of its answers, as `openapi/upload.yaml#/paths/…`."""
    path = ("paths", operation.path, operation.method.lower())
    declared = status in operation.answers
    more = ("responses", str(status)) if declared else ("responses",) if status is not None else ()
    return f"openapi/{operation.file}#{pointer_of((*path, *more))}"
