"""Where commits are handed over to: the targets that an administrator of the upload service has set up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

AVOID = "avoid"
"""The key of a target that is never notified (A21)."""


@dataclass(frozen=True, slots=True)
class Target:
    """One consumer of commits.

    A notification goes to `url` with `scheme` and `key` in its `Authorization`. `params` are the operator's form data
    and win over the user's; `default_destination` is the `collection_destination` where neither says one (§2.3).
    `form_schema` is LiForm's JSON; None judges no form. A deployed target without a schema has the empty one, `{}`,
    which refuses every field (§2.3, not verified).
    """

    id: str
    slug: str
    name: str
    url: str | None = None
    key: str = ""
    scheme: str = "ApiKey"
    default_destination: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    form_schema: Mapping[str, Any] | None = None
    enabled: bool = True
    hidden: bool = False

    @property
    def is_notified(self) -> bool:
        """Whether push is on (A21)."""
        return bool(self.url) and self.key != AVOID

    @property
    def is_listed(self) -> bool:
        """Whether it stands in `GET /targets` (§2.1)."""
        return self.enabled and not self.hidden
