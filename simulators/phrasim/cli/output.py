"""What the verbs print with: styled lines on a terminal, plain ones elsewhere, errors on standard error."""

import os
import sys
from typing import NoReturn

from phrasim.report.terminal import Style

_CODES: dict[Style, str] = {"heading": "1", "aside": "2", "bad": "31", "good": "32"}


def print_line(style: Style, text: str) -> None:
    """Print a line, in colour where a person looks at it (and `NO_COLOR` is not set)."""
    code = _CODES.get(style) if sys.stdout.isatty() and not os.environ.get("NO_COLOR") else None
    print(f"\x1b[{code}m{text}\x1b[0m" if code else text)


def fail(problem: str) -> NoReturn:
    """Say what is wrong with the call and end with exit code 2."""
    sys.stdout.flush()
    print(f"phrasim: {problem}", file=sys.stderr)
    sys.exit(2)
