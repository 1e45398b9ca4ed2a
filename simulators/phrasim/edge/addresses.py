"""Who answers where: the base URLs of a run's participants, and whose a URL is."""

from collections.abc import Iterable, Mapping

import httpx

from phrasim.journal.events import Participant


class Addresses:
    """The base URLs at which participants answer; one may have several, and several may share a host.

    A URL belongs to the longest base that it begins with; ports that the scheme implies may be written or not. All
    other URLs are those of `elsewhere`: a real upload service keeps its files at a store of its own.
    """

    def __init__(self, bases: Iterable[tuple[Participant, str]], elsewhere: Participant | None = None) -> None:
        self._elsewhere = elsewhere
        self._bases: dict[bytes, list[tuple[str, Participant]]] = {}
        for participant, base in bases:
            url = httpx.URL(base)
            known = self._bases.setdefault(url.netloc, [])
            known.append((url.path.rstrip("/"), participant))
            known.sort(key=lambda one: len(one[0]), reverse=True)

    @classmethod
    def of(cls, urls: Mapping[Participant, str]) -> "Addresses":
        """One base URL each."""
        return cls(urls.items())

    def at(self, url: httpx.URL) -> tuple[Participant, str] | None:
        """Whose URL that is, and its path below the base; None where nobody of the run answers."""
        path = url.path
        for base, participant in self._bases.get(url.netloc, ()):
            if not base:
                return participant, path
            if path.startswith(base) and path[len(base) :].startswith("/"):
                return participant, path[len(base) :]
        return None if self._elsewhere is None else (self._elsewhere, path)

    def __str__(self) -> str:
        return ", ".join(f"{netloc.decode()}{path}" for netloc, paths in self._bases.items() for path, _ in paths)
