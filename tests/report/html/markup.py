"""A page as html5lib reads it, which nobody here wrote: by the rules of WHATWG's HTML, as a browser does."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import html5lib


@dataclass(frozen=True, slots=True)
class Markup:
    """What was read, and what the rules say is wrong with it."""

    root: Element
    errors: tuple[str, ...]

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """The elements of that name with those attributes; `class_` is one of several classes."""
        return [
            one
            for one in self.root.iter(tag)
            if all(value in one.get(name.rstrip("_"), "").split(" ") for name, value in attributes.items())
        ]

    def one(self, tag: str, **attributes: str) -> Element:
        """The only such element."""
        (found,) = self.all(tag, **attributes)
        return found

    def tags(self) -> Counter[str]:
        """How many elements there are of each name."""
        return Counter(str(one.tag) for one in self.root.iter() if isinstance(one.tag, str))

    def references(self) -> Iterator[str]:
        """Whatever an attribute leads to, on the page or beyond it."""
        for element in self.root.iter():
            for name in ("href", "src", "action", "data", "poster", "srcset"):
                if element.get(name) is not None:
                    yield element.get(name, "")

    def dangling(self) -> list[str]:
        """The ids that the page refers to and does not have, and those that it has more than once."""
        ids = Counter(one.get("id", "") for one in self.root.iter() if one.get("id") is not None)
        named = [reference[1:] for reference in self.references() if reference.startswith("#")]
        for element in self.root.iter():
            for name in ("aria-labelledby", "aria-describedby", "for"):
                named += element.get(name, "").split()
            for name in ("marker-end", "marker-start"):
                named += [element.get(name, "").removeprefix("url(#").removesuffix(")")] if element.get(name) else []
        return [one for one in named if not ids[one]] + [one for one, count in ids.items() if count > 1]


def read(page: bytes) -> Markup:
    """The page as a browser would have it."""
    parser = html5lib.HTMLParser(tree=html5lib.getTreeBuilder("etree"), namespaceHTMLElements=False)
    root = parser.parse(page)
    return Markup(root, tuple(f"{place}: {error} {details or ''}" for place, error, details in parser.errors))


def text_of(element: Element) -> str:
    """All the text in an element."""
    return "".join(element.itertext())
