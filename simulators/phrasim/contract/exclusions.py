"""What schemathesis holds against the APIs, and the contract wants nevertheless, each with the row that says so."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from schemathesis import Case, Response
from schemathesis.core.failures import AcceptedNegativeData, Failure, ServerError
from schemathesis.openapi.checks import (
    IgnoredAuth,
    RejectedPositiveData,
    UndefinedStatusCode,
)

from phrasim.testbed import ProfileName

Answer = Response | httpx.Response

When = Callable[[Failure, Case[Any], Answer], bool]


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A failure that schemathesis finds and the contract wants: `row` of the table of facts says that it is so.

    No `operations` are all of them. `when` narrows it to the answers that the row speaks of; all others count.
    """

    profile: ProfileName
    operations: tuple[str, ...]
    failure: type[Failure]
    row: str
    reason: str
    when: When
    seldom: bool = False
    """Whether only long runs meet it."""

    def covers(self, profile: ProfileName, failure: Failure, case: Case[Any], response: Answer) -> bool:
        """Whether that failure is excluded."""
        return (
            self.profile == profile
            and (not self.operations or operation_id(case) in self.operations)
            and isinstance(failure, self.failure)
            and self.when(failure, case, response)
        )


def _answered(status: int, *texts: str) -> When:
    """Answered with that status, and with one of the texts in the body, where some are given."""

    def answered(_failure: Failure, _case: Case[Any], response: Answer) -> bool:
        body = response.content.decode("utf-8", "replace")
        return response.status_code == status and (not texts or any(text in body for text in texts))

    return answered


def _told(*texts: str) -> When:
    """Schemathesis says one of the texts of it: which part of the request was wrong, or what else it tried."""
    return lambda failure, _case, _response: any(text in failure.message for text in texts)


def _names_no_target(_failure: Failure, case: Case[Any], response: Answer) -> bool:
    fields = case.body.keys() if isinstance(case.body, Mapping) else ()
    return response.status_code == 500 and not {"target", "targetSlug"} & set(fields)


def _jsonp(_failure: Failure, _case: Case[Any], response: Answer) -> bool:
    return response.status_code == 200 and "callback" in parse_qs(urlsplit(str(response.request.url)).query)


def _no_json(_failure: Failure, case: Case[Any], response: Answer) -> bool:
    return response.status_code == 422 and case.media_type != "application/json"


_PROFILES: tuple[ProfileName, ...] = ("documented", "deployed")

# fmt: off
EXCLUSIONS: tuple[Exclusion, ...] = (
    Exclusion(
        "documented",
        ("commitAssets",),
        RejectedPositiveData,
        "A24",
        "what the schema cannot say: ids have to be those of assets that are not committed, each once",
        _answered(400, "files: "),
    ),
    Exclusion(
        "documented",
        ("uploadAsset",),
        RejectedPositiveData,
        "A29",
        "what the schema does not say: a file has at least one byte",
        _answered(400, "Empty file"),
        seldom=True,
    ),
    Exclusion(
        "documented",
        ("issueToken",),
        RejectedPositiveData,
        "§5",
        "made-up credentials are 400, as with the former Auth, where schemathesis expects 401",
        _answered(400, "invalid_client", "invalid_grant", "invalid_scope", "unauthorized_client"),
    ),
    Exclusion(
        "deployed", ("uploadAsset",), RejectedPositiveData, "§2.2",
        "what the schema cannot say: the target has to exist, and a file has at least one byte",
        _answered(400, "does not exist", "Empty file"),
    ),
    Exclusion(
        "deployed", ("uploadAsset",), AcceptedNegativeData, "§2.2",
        "of two targets one is not looked at",
        _told("in body - targetId: ", "in body - targetSlug: "),
    ),
    Exclusion(
        "deployed", ("commitAssets",), RejectedPositiveData, "§2.3",
        "what the schema cannot say: the target has to exist, and the form has to be its form",
        _answered(400, "does not exist", "Item not found for ", "Form errors: "),
    ),
    Exclusion(
        "deployed", ("commitAssets",), ServerError, "§2.3",
        "without a target the program fails, and the document declares that",
        _names_no_target,
    ),
    Exclusion(
        "deployed", ("commitAssets",), AcceptedNegativeData, "§2.3",
        "fields that the server overwrites, or keeps without a look",
        _told("in body - userId", "in body - locale", "in body - schemaId"),
    ),
    Exclusion(
        "deployed", ("commitAssets",), AcceptedNegativeData, "§2.3",
        "of two targets one is not looked at",
        _told("in body - target: ", "in body - targetSlug: "),
    ),
    Exclusion(
        "deployed", ("commitAssets",), AcceptedNegativeData, "§2.3, H18",
        "ids are not checked at all; what no ids are is not known, and is taken for an empty list",
        _told("in body - files", "Missing required property: files"),
    ),
    Exclusion(
        "deployed", ("listCommits",), AcceptedNegativeData, "§2.5",
        "a filter is not held to a form: one that is no boolean filters nothing, no target has no commits",
        _told("`acknowledged`", "`target`"),
    ),
    Exclusion(
        "deployed", ("listCommits",), UndefinedStatusCode, "§2.5",
        "pages are the framework's, and so is its refusal of what is no page; no fact tells of it",
        _answered(400, "Page should not be less than 1"),
    ),
    Exclusion(
        "deployed", ("listCommits",), RejectedPositiveData, "§2.5",
        "the same, for a number of a page that no machine integer can hold",
        _answered(400, "Page should not be less than 1"),
        seldom=True,
    ),
    Exclusion(
        "deployed", ("uploadAsset", "commitAssets", "issueClientToken", "issueToken"), UndefinedStatusCode, "§2.10",
        "no fact tells of 415, and the documents say that it may come nevertheless",
        _answered(415),
    ),
    Exclusion(
        "deployed", ("issueClientToken", "issueToken"), RejectedPositiveData, "§5",
        "what the schema cannot say: which scopes and grants a client has, and that OAuth allows no field twice",
        _answered(400, "invalid_scope", "unauthorized_client", "duplicated parameter"),
        seldom=True,
    ),
    Exclusion(
        "deployed", ("enqueueAssets",), IgnoredAuth, "§3, H34",
        "a request without a token, or with another scheme than OAuth, is 400; see the strangers for wrong tokens",
        _told("got `400 Bad Request`"),
    ),
    Exclusion(
        "deployed", ("enqueueAssets",), RejectedPositiveData, "§3",
        "the Content-Type is not looked at, and a body that is no JSON is 422 whatever it calls itself",
        _no_json,
        seldom=True,
    ),
    Exclusion(
        "deployed", ("enqueueAssets",), AcceptedNegativeData, "§3",
        "JSONP is 200, also around a refusal",
        _jsonp,
        seldom=True,
    ),
    *(
        Exclusion(
            profile, (), Failure, "RFC 9112 §6.1",
            "the HTTP server refuses a made-up Transfer-Encoding in its own words, and no service sees the request",
            _answered(400, "Invalid HTTP request received."),
            seldom=True,
        )
        for profile in _PROFILES
    ),
)
# fmt: on


def operation_id(case: Case[Any]) -> str:
    """The `operationId` of what a request asks for."""
    return str(case.operation.definition.raw["operationId"])
