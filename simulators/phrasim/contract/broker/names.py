"""Names on the broker, as a record shows them: without the prefix of the run, and the broker's own ones numbered."""

import re
from typing import Any

GENERATED = re.compile(r"amq\.(?:gen|ctag)-[\w-]{22}")
"""RabbitMQ's; another broker's are known from its answers."""

_BYTES_MIN = 6
"""What is shorter is taken for no name that nobody else would choose."""


class Names:
    """Names that the broker made are numbered in the order in which they came up: `amq.gen-1`, `amq.ctag-2`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._generated: dict[str, str] = {}

    def made(self, name: str, kind: str) -> None:
        """The broker made this name; `kind` is `amq.gen` or `amq.ctag`."""
        if len(name) >= _BYTES_MIN:
            self._generated.setdefault(name, f"{kind}-{len(self._generated) + 1}")

    def shown(self, text: str) -> str:
        """The text with the names in it as a record shows them."""
        for name, number in self._generated.items():
            text = text.replace(name, number)
        text = GENERATED.sub(self._numbered, text)
        return text.replace(self._prefix, "") if self._prefix else text

    def _numbered(self, found: re.Match[str]) -> str:
        self.made(found[0], found[0].partition("-")[0])
        return self._generated[found[0]]

    def shown_in(self, value: Any) -> Any:
        """The same for every text in a value, and for every key."""
        match value:
            case str():
                return self.shown(value)
            case list() | tuple():
                return [self.shown_in(item) for item in value]
            case dict():
                return {self.shown(name): self.shown_in(item) for name, item in value.items()}
            case _:
                return value
