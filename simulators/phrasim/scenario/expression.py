"""Runtime expressions, as Arazzo 1.0 writes them, as far as scenarios need them; nothing is ever evaluated as code.

$statusCode                        the status of the answer
$request.body#/a/b                 a value in the JSON body of the request, by JSON Pointer
$request.path.id                   a path parameter of the request
$response.body#/0/id               a value in the JSON body of the answer
$response.header.content-type      a header of the answer
$steps.<stepId>.outputs.<name>     what an earlier step kept; of a forEach, the list of all turns
$given.publisher.email             the publisher's e-mail address; .id, .name and .password likewise
$given.frontEnd.id                 the users' client of Auth; .secret likewise
$given.target.id                   deployed: the first target; .slug likewise
$given.client.id                   deployed: Phraseanet's client of Auth; .secret likewise
$given.phraseanet.token            deployed: an OAuth token of Phraseanet; .expiredToken and .revokedToken likewise
$given.upload.url                  deployed: where the upload service says that it is
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

_GIVEN = ("publisher.email", "publisher.id", "publisher.name", "publisher.password", "frontEnd.id", "frontEnd.secret")
_GIVEN_DEPLOYED = (
    *("target.id", "target.slug", "client.id", "client.secret", "upload.url"),
    *("phraseanet.token", "phraseanet.expiredToken", "phraseanet.revokedToken"),
)
_STEP = re.compile(r"\$steps\.([A-Za-z0-9_-]+)\.outputs\.([A-Za-z0-9_-]+)(#/.*)?")
_BODY = re.compile(r"\$(request|response)\.body(#(?:/.*)?)?")
_PATH = re.compile(r"\$request\.path\.([A-Za-z]+)")
_HEADER = re.compile(r"\$response\.header\.([A-Za-z0-9-]+)")
_CONDITION = re.compile(r"(\$\S+) (==|!=) (.+)")


class ExpressionError(ValueError):
    """An expression that nobody understands, or that leads to nothing."""


class Values:
    """What expressions refer to, as far as it is known; `lookup` gives the value of one."""

    def __init__(self, given: Mapping[str, Any], steps: Mapping[str, Mapping[str, Any]]) -> None:
        self._given = given
        self._steps = steps

    def resolved(self, written: Any, exchange: "ExchangeValues | None" = None) -> Any:
        """`written` with every expression in it, at any depth, replaced by its value."""
        if isinstance(written, str) and written.startswith("$"):
            return self.lookup(written, exchange)
        if isinstance(written, Mapping):
            return {key: self.resolved(value, exchange) for key, value in written.items()}
        if isinstance(written, list):
            return [self.resolved(value, exchange) for value in written]
        return written

    def lookup(self, expression: str, exchange: "ExchangeValues | None" = None) -> Any:
        """The value of an expression; `ExpressionError` if it leads to nothing."""
        step = _STEP.fullmatch(expression)
        if step:
            outputs = self._steps.get(step[1], {})
            if step[2] not in outputs:
                raise ExpressionError(f"{expression}: the step {step[1]!r} has kept no output {step[2]!r}")
            return _pointed(expression, outputs[step[2]], (step[3] or "#")[1:])
        if expression.startswith("$given."):
            return self._given[expression.removeprefix("$given.")]
        if exchange is None:
            raise ExpressionError(f"{expression}: there is no exchange here that it could refer to")
        return exchange.lookup(expression)

    def holds(self, condition: str, exchange: "ExchangeValues") -> tuple[bool, Any]:
        """Whether a condition holds, and the value that was found for its left side."""
        match = _CONDITION.fullmatch(condition)
        assert match, "the loader has checked the form of conditions"
        found = self.lookup(match[1], exchange)
        wanted = self.lookup(match[3], exchange) if match[3].startswith("$") else literal(match[3])
        return (found == wanted) == (match[2] == "=="), found


class ExchangeValues:
    """One request and its answer, for the expressions that refer to them."""

    def __init__(
        self,
        *,
        status: int,
        request_path: Mapping[str, str],
        request_body: Any,
        response_headers: Mapping[str, str],
        response_body: Any,
    ) -> None:
        self._status = status
        self._request_path = request_path
        self._bodies = {"request": request_body, "response": response_body}
        self._response_headers = response_headers

    def lookup(self, expression: str) -> Any:
        """The value of an expression of the exchange; `ExpressionError` if it leads to nothing."""
        if expression == "$statusCode":
            return self._status
        if match := _BODY.fullmatch(expression):
            return _pointed(expression, self._bodies[match[1]], (match[2] or "#")[1:])
        if match := _PATH.fullmatch(expression):
            named, name = self._request_path, match[1]
        elif match := _HEADER.fullmatch(expression):
            named, name = self._response_headers, match[1].lower()
        else:
            raise ExpressionError(f"{expression}: this is no expression that is known here")
        if name not in named:
            raise ExpressionError(f"{expression}: there is no {name!r}; there is {', '.join(named) or 'nothing'}")
        return named[name]


def literal(written: str) -> Any:
    """What stands on the right of a condition: JSON, or plain text."""
    try:
        return msgspec.json.decode(written)
    except msgspec.DecodeError:
        return written


def expressions_in(written: Any) -> Iterator[str]:
    """Every expression in a value, at any depth."""
    if isinstance(written, str):
        if written.startswith("$"):
            yield written
    elif isinstance(written, Mapping):
        for value in written.values():
            yield from expressions_in(value)
    elif isinstance(written, list):
        for value in written:
            yield from expressions_in(value)


def given_names(profile: str) -> tuple[str, ...]:
    """What stands after `$given.` in a scenario of that profile."""
    return (*_GIVEN, *_GIVEN_DEPLOYED) if profile == "deployed" else _GIVEN


def check_expression(
    written: str, steps: Mapping[str, Collection[str]], given: Collection[str] = _GIVEN, *, answered: bool = True
) -> None:
    """Raise `ExpressionError` for an expression that no run can resolve.

    `steps` are the earlier steps by id, each with the names of what it keeps; `answered` says whether the exchange of
    the step itself is there to be referred to. `given` are the names that may follow `$given.`.
    """
    if match := _STEP.fullmatch(written):
        if match[1] not in steps:
            known = ", ".join(steps) or "none"
            raise ExpressionError(f"{written}: there is no earlier step {match[1]!r} (earlier steps: {known})")
        if match[2] not in steps[match[1]]:
            known = ", ".join(steps[match[1]]) or "nothing"
            raise ExpressionError(f"{written}: the step {match[1]!r} keeps no {match[2]!r} (it keeps {known})")
        return
    if written.startswith("$given."):
        if written.removeprefix("$given.") not in given:
            raise ExpressionError(f"{written}: given has {', '.join(given)}")
        return
    if written == "$statusCode" or any(form.fullmatch(written) for form in (_BODY, _PATH, _HEADER)):
        if not answered:
            raise ExpressionError(f"{written}: the call is not made yet here; $steps… and $given… are known")
        return
    raise ExpressionError(
        f"{written}: this is no expression; there are $steps.<stepId>.outputs.<name>, $given.<name>, $statusCode, "
        "$request.body#/…, $request.path.<name>, $response.body#/…, $response.header.<name>"
    )


def check_condition(written: str, steps: Mapping[str, Collection[str]], given: Collection[str] = _GIVEN) -> None:
    """Raise `ExpressionError` for what is no condition."""
    match = _CONDITION.fullmatch(written)
    if not match:
        raise ExpressionError(f"{written!r} is no condition; write an expression, == or !=, and a value")
    check_expression(match[1], steps, given)
    if match[3].startswith("$"):
        check_expression(match[3], steps, given)


def _pointed(expression: str, value: Any, pointer: str) -> Any:
    """The value at a JSON Pointer (RFC 6901)."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise ExpressionError(f"{expression}: nothing lies at {key!r} there")
    return value
