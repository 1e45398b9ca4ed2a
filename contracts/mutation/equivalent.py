"""Mutants that break no rule that can be seen, each with the reason."""

from collections.abc import Mapping

_UNHANDLED = "500 is for what the program did not foresee, and nothing that may be asked makes it fail"
_NO_SUCH_TARGET = "it takes a target that a user may not upload to; the scenario that has one asks for the other form"
_LEFT_OUT = "the field is optional, and the simulated service leaves it out"

EQUIVALENT: Mapping[str, str] = {
    "documented: transition removed: commitAssets: no asset is no reason to refuse": (
        "a request without an asset is refused by its schema, before the state is asked"
    ),
    "documented: transition removed: commitAssets: instructions of the client are kept": (
        "only of the deployed service is it known that it keeps none (§2.3)"
    ),
    "documented: transition removed: enqueueAssets: a notification is not repeated": (
        "neither the document nor a ruling says that a notification is repeated"
    ),
    "documented: message field dropped: enqueueAssets: notification without base_url": "the field is optional (A2)",
    "documented: message field dropped: enqueueAssets: notification without hashes": "the field is optional (A5)",
    **{
        f"deployed: field mistyped: {operation}: 200 {field}": _LEFT_OUT
        for operation, fields in {
            "getCommit": ("target.description", "target.createdAt"),
            "listCommits": (
                "hydra:member.*.@context",
                *("hydra:member.*.target.description", "hydra:member.*.target.createdAt"),
                *("*.target.description", "*.target.createdAt"),
            ),
            "listTargets": (
                "hydra:member.*.@context",
                *("hydra:member.*.description", "hydra:member.*.createdAt", "*.description", "*.createdAt"),
            ),
            "issueClientToken": ("refresh_token", "session_state"),
            "issueToken": ("refresh_token", "session_state"),
        }.items()
        for field in fields
    },
    **{
        f"deployed: field {how}: uploadAsset: 403 {field}": _NO_SUCH_TARGET
        for how in ("dropped", "mistyped")
        for field in ("type", "title", "status", "detail")
    },
    "deployed: field mistyped: issueToken: 404 error_description": _LEFT_OUT,
    "deployed: field mistyped: getKeys: 404 error_description": _LEFT_OUT,
    "deployed: field mistyped: enqueueAssets: 400 error_description": _LEFT_OUT,
    "deployed: field dropped: enqueueAssets: 500 ": _UNHANDLED,
    "deployed: field mistyped: enqueueAssets: 500 ": _UNHANDLED,
    "deployed: status changed: enqueueAssets: 500 ": _UNHANDLED,
    "deployed: header lost: enqueueAssets: 500 ": _UNHANDLED,
}
"""By what the mutants' ids begin with."""


def why_equivalent(mutant: str) -> str | None:
    """The reason for which nobody can see that mutant; None where it is to be caught."""
    return next((reason for beginning, reason in EQUIVALENT.items() if mutant.startswith(beginning)), None)
