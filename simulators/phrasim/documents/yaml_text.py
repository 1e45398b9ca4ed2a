"""The one YAML loader of the project: YAML 1.2's core types, duplicate keys refused, line numbers kept.

PyYAML reads YAML 1.1, where `mode: off` is False, `1:30` is ninety and `2019-05-15` is a date. Here libyaml
scans and composes the text, and this module decides what a plain scalar means (YAML 1.2.2, §10.3.2), so that a
scenario says what its reader sees. Only data comes out: every tag but `!!str` is refused. What is left of YAML
1.1 is libyaml's: U+2028 breaks a line, and an escaped surrogate pair is not understood.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from yaml._yaml import CParser

Location = tuple[str | int, ...]
"""Where a value lies in a document: the keys and indexes that lead to it from the top."""

_TEXT = "tag:yaml.org,2002:str"
_LIST = "tag:yaml.org,2002:seq"
_MAPPING = "tag:yaml.org,2002:map"
_NAMED = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_DEPTH_MAX = 100
"""Levels of nesting that a document may have; a person writes ten."""
_TEXT_BYTES_MAX = 16 * 1024**2
"""Bytes that a text may have; the largest document has a hundredth of that, and some files never end."""
_VALUES_MAX = 200_000
"""Values that a document may hold once its aliases are followed; the largest specification has two thousand."""


class DocumentError(ValueError):
    """A document cannot be read: `file` and the 1-based `line` say where, `problem` says what is wrong there."""

    def __init__(self, file: str, line: int, problem: str) -> None:
        super().__init__(f"{file}:{line}: {problem}")
        self.file = file
        self.line = line
        self.problem = problem


class _Composer(CParser):
    """libyaml's composer, which leaves the meaning of plain scalars to `_Reader`. It is called from C, in this way."""

    def descend_resolver(self, _node: object, _index: object) -> None:
        """Keep no path: nothing here depends on it, and the walk costs time."""

    def ascend_resolver(self) -> None:
        """Keep no path here either."""

    def resolve(self, kind: type[yaml.Node], _text: str | None, implicit: tuple[bool, bool]) -> str:
        """The tag of an untagged node. A plain scalar gets the tag `?`: its text decides later."""
        if kind is yaml.ScalarNode:
            return "?" if implicit[0] else _TEXT
        return _LIST if kind is yaml.SequenceNode else _MAPPING


class _Reader:
    """Turns the composed nodes of one document into Python values, and notes lines when asked."""

    def __init__(self, name: str, lines: dict[Location, int] | None) -> None:
        self.name = name
        self.lines = lines
        self.values_left = _VALUES_MAX

    def value(self, node: yaml.Node, location: Location) -> Any:
        self.values_left -= 1
        if self.values_left < 0:
            raise self.error(node, f"its aliases unfold to more than {_VALUES_MAX} values")
        if self.lines is not None:
            self.lines.setdefault(location, node.start_mark.line + 1)
        if isinstance(node, yaml.ScalarNode):
            return self.scalar(node)
        if len(location) >= _DEPTH_MAX:
            raise self.error(node, f"the nesting is deeper than {_DEPTH_MAX} levels")
        if isinstance(node, yaml.MappingNode) and node.tag == _MAPPING:
            return self.mapping(node, location)
        if node.tag == _LIST:
            return [self.value(item, (*location, index)) for index, item in enumerate(node.value)]
        raise self.unknown_tag(node)

    def scalar(self, node: yaml.ScalarNode) -> Any:
        if node.tag == _TEXT:
            return node.value
        if node.tag != "?":
            raise self.unknown_tag(node)
        try:
            return _plain(node.value)
        except ValueError as error:
            raise self.error(node, f"this number has too many digits: {error}") from error

    def mapping(self, node: yaml.MappingNode, location: Location) -> dict[Any, Any]:
        values: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self.error(key_node, "a key must be a plain word, not a list or a mapping")
            key = self.scalar(key_node)
            if key in values:
                raise self.error(key_node, f"the key {key!r} stands here a second time; a key may stand once")
            if self.lines is not None:
                self.lines[(*location, key)] = key_node.start_mark.line + 1
            values[key] = self.value(value_node, (*location, key))
        return values

    def unknown_tag(self, node: yaml.Node) -> DocumentError:
        return self.error(node, f"the tag {node.tag!r} is not known here; write plain data")

    def error(self, node: yaml.Node, problem: str) -> DocumentError:
        return DocumentError(self.name, node.start_mark.line + 1, problem)


def load(text: str, name: str) -> Any:
    """The value that a YAML text holds; `name` stands in the DocumentError that a violation in it raises."""
    return _read(text, name, None)


def load_with_lines(text: str, name: str) -> tuple[Any, dict[Location, int]]:
    """The value that a YAML text holds, and the 1-based line of each part of it.

    The line of a mapping's entry is that of its key; the line of a list's item that of its first character.
    The location of the whole document is the empty tuple.
    """
    lines: dict[Location, int] = {}
    return _read(text, name, lines), lines


def load_file(path: Path) -> Any:
    """The value that a YAML file holds. Raises DocumentError, or OSError when there is no such file."""
    return load(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a file in UTF-8. Raises OSError as `open` does.

    Raises DocumentError when the file is in another encoding, or has more bytes than any text that is read here.
    """
    with path.open("rb") as file:
        content = file.read(_TEXT_BYTES_MAX + 1)
    if len(content) > _TEXT_BYTES_MAX:
        raise DocumentError(str(path), 1, f"the file is larger than {_TEXT_BYTES_MAX // 1024**2} MiB; this is no text")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"the byte 0x{content[error.start]:02x} is not UTF-8; save the file in that encoding"
        raise DocumentError(str(path), line, problem) from error


def _read(text: str, name: str, lines: dict[Location, int] | None) -> Any:
    try:
        composer = _Composer(text)
        try:
            node = composer.get_single_node()
        finally:
            composer.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = 1 if mark is None else mark.line + 1
        problem = ", ".join(said for said in (error.context, error.problem) if said)
        raise DocumentError(name, line, f"this is not YAML: {problem}") from error
    except yaml.reader.ReaderError as error:
        line = text.encode().count(b"\n", 0, error.position) + 1
        raise DocumentError(name, line, f"this is not YAML: {error.reason}") from error
    if node is None:
        if lines is not None:
            lines[()] = 1
        return None
    return _Reader(name, lines).value(node, ())


def _plain(text: str) -> Any:
    """What a plain scalar means in the core schema: null, a boolean, a number or, mostly, its own text."""
    if text in _NAMED:
        return _NAMED[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEXADECIMAL.fullmatch(text):
        return int(text[2:], 16)
    return text
