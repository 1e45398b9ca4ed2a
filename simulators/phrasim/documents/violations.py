"""What is wrong with a value, in sentences: schemas compiled on first use, and their errors reworded.

jsonschema-rs is imported on first use, since many commands validate nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urljoin

from phrasim.documents.nearest import meant, nearest
from phrasim.documents.store import Store, at_pointer

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator, Registry, ValidationError

_BASE = "file:///openapi/"
"""Where the folder of a store lies as far as the validator knows, which reads nothing there."""
_SHOWN_CHARACTERS_MAX = 60
_MISSING = "this field is missing"
_FORMATS = {
    "uuid": "a UUID",
    "date-time": "an RFC 3339 date and time",
    "uri": "an absolute URI",
    "email": "an e-mail address",
}
_TYPES = {
    "array": "an array",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "an object",
    "string": "a string",
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing that is wrong with a message: a JSON pointer to the place ("" is the whole) and what is wrong.

    `right` says how a text that is written by a rule (a pattern) is to be written, where the schema describes it.
    """

    pointer: str
    message: str
    right: str = field(default="", compare=False)

    def __str__(self) -> str:
        """Name the field, then the violation: `assets/0: 'x' is not a UUID`."""
        return f"{self.pointer[1:]}: {self.message}" if self.pointer else self.message


def pointer_of(tokens: Iterable[str | int]) -> str:
    """The JSON pointer (RFC 6901) that these keys and indexes make."""
    return "".join("/" + str(token).replace("~", "~0").replace("/", "~1") for token in tokens)


class Schemas:
    """The schemas of one store, each compiled (JSON Schema 2020-12, formats checked) when first asked for."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._documents: dict[str, Any] = {}
        self._registries: dict[str, Registry] = {}
        self._validators: dict[tuple[str, str], Draft202012Validator] = {}

    def violations(self, file: str, pointer: str, value: Any, at: tuple[str | int, ...] = ()) -> list[Violation]:
        """What the schema at `pointer` in `file` finds wrong with a JSON value; `at` is where the value lies.

        A value that JSON cannot hold is a violation, too: the standard library's decoder lets half a surrogate pair
        pass, and nesting of any depth.
        """
        validator = self._validators.get((file, pointer))
        if validator is None:
            validator = self._validators[file, pointer] = self._compile(file, pointer)
        try:
            if validator.is_valid(value):
                return []
            secrets = self.store.secret_fields()
            violations = [
                violation
                for error in validator.iter_errors(value)
                for violation in reworded(error, at, secrets, self._broken_part(error))
            ]
        except ValueError as error:
            return [Violation(pointer_of(at), f"this is not JSON that can be checked: {error}")]
        return sorted(violations, key=lambda violation: violation.pointer)

    def _compile(self, file: str, pointer: str) -> "Draft202012Validator":
        from jsonschema_rs import Draft202012Validator, Registry

        registry = self._registries.get(file)
        if registry is None:
            reached = self.store.reached_from(file)
            documents = {urljoin(_BASE, name): document for name, document in reached.items()}
            registry = self._registries[file] = Registry(list(documents.items()))
            self._documents.update(documents)
        return Draft202012Validator(
            {"$ref": f"{urljoin(_BASE, file)}#{quote(pointer)}"}, validate_formats=True, registry=registry, offline=True
        )

    def _broken_part(self, error: "ValidationError") -> Any:
        """The part of a schema that holds the keyword which an error broke."""
        location = error.absolute_keyword_location
        assert location is not None, "every schema is reached by a reference to a document of the registry"
        uri, _, pointer = location.partition("#")
        return at_pointer(self._documents[uri], unquote(pointer).rpartition("/")[0], location)


def reworded(
    error: "ValidationError", at: tuple[str | int, ...], secrets: frozenset[str], part: Mapping[str, Any]
) -> list[Violation]:
    """The violations that one error of the validator is; a missing or unknown field is named by its own pointer.

    `part` is the part of the schema that holds the broken keyword.
    """
    place = (*at, *error.instance_path)
    kind = error.kind.as_dict()
    match error.kind.name:
        case "required":
            return [Violation(pointer_of((*place, kind["property"])), _MISSING)]
        case "additionalProperties":
            known = part["properties"]
            return [
                Violation(pointer_of((*place, key)), f"this field is not known here; {nearest(key, known)}")
                for key in kind["unexpected"]
            ]
        case "falseSchema":
            return [Violation(pointer_of(place), "this field must not be here")]
        case "propertyNames":
            return [Violation(pointer_of(place), f"a key is wrong: {_said(kind['error'], secrets, place)}")]
        case "anyOf" if all(one.kind.name == "required" for branch in kind["context"] for one in branch):
            names = (one.kind.as_dict()["property"] for branch in kind["context"] for one in branch)
            return [Violation(pointer_of(place), f"one of {', '.join(names)} must be here")]
        case "oneOf" if all(list(branch) == ["required"] for branch in part.get("oneOf", ({},))):
            names = (name for branch in part["oneOf"] for name in branch["required"])
            return [Violation(pointer_of(place), f"exactly one of {', '.join(names)} must be here")]
        case _:
            return [Violation(pointer_of(place), _said(error, secrets, place), _right(error, part))]


def _right(error: "ValidationError", part: Mapping[str, Any]) -> str:
    """How a text that is written by a rule is to be written, as the schema describes it."""
    described = error.kind.name in ("const", "pattern", "type", "uniqueItems") and "description" in part
    if not described or ("pattern" not in part and error.kind.name in ("pattern", "type")):
        return ""
    description: str = part["description"]
    return description[0].lower() + description[1:].rstrip().rstrip(".")


def _said(error: "ValidationError", secrets: frozenset[str], place: tuple[str | int, ...]) -> str:
    """What is wrong with the value at `place`, in a sentence that shows no secret and no long value."""
    value = "the secret value" if secrets.intersection(map(str, place)) else _shown(error.instance)
    kind = error.kind.as_dict()
    match error.kind.name:
        case "format":
            return f"{value} is not {_FORMATS.get(kind['format'], kind['format'])}"
        case "type":
            return f"{value} is not {' or '.join(_TYPES[name] for name in kind['types'])}"
        case "enum":
            close = meant(error.instance, kind["options"]) if isinstance(error.instance, str) else None
            known = ", ".join(map(repr, kind["options"]))
            return f"{value} is not one of {known}" + (f"; did you mean {close!r}?" if close else "")
        case "const":
            return f"{value} is not {_shown(kind['expected_value'])}"
        case "minLength":
            return (
                "the text is empty" if error.instance == "" else f"{value} is shorter than {kind['limit']} characters"
            )
        case "minItems":
            return "the list is empty" if error.instance == [] else f"the list has fewer than {kind['limit']} items"
        case "minimum":
            return f"{value} is less than {kind['limit']}"
        case "maximum":
            return f"{value} is more than {kind['limit']}"
        case "pattern":
            return f"{value} does not match {kind['pattern']!r}"
        case name:
            return f"{value} breaks the rule {name!r}"


def _shown(value: Any) -> str:
    """A value as an error message shows it: containers by kind, long text cut."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case dict():
            return "an object"
        case list() | tuple():
            return "an array"
        case _:
            text = repr(value)
            return text if len(text) <= _SHOWN_CHARACTERS_MAX else f"{text[:_SHOWN_CHARACTERS_MAX]}…"
