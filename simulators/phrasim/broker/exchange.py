"""Exchanges: which destinations a routing key and headers lead to.

Matching after AMQP 0-9-1 §3.1.3 and RabbitMQ's `rabbit_exchange_type_*` modules. An exchange knows its own bindings;
following a binding to another exchange is the broker's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, Union

from phrasim.broker.errors import precondition_failed
from phrasim.broker.message import FieldValue, Table, type_word

if TYPE_CHECKING:
    from phrasim.broker.queue import Queue

ExchangeType: TypeAlias = Literal["direct", "fanout", "topic", "headers"]
EXCHANGE_TYPES: tuple[ExchangeType, ...] = ("direct", "fanout", "topic", "headers")
Destination: TypeAlias = Union["Queue", "Exchange"]

ROUTES_MAX = 4096
"""Routing keys whose queues an exchange remembers; beyond, it forgets all and begins anew."""


@dataclass(frozen=True, slots=True, eq=False)
class Binding:
    """From the exchange that holds it to `destination`."""

    destination: Destination
    routing_key: str
    arguments: Table


class Exchange:
    """One exchange and the bindings that start at it.

    `routes` remembers, for each routing key, the queues it leads to; it holds good while `routes_generation` is the
    broker's. `incoming` are the exchanges with bindings that end here.
    """

    __slots__ = (
        "_bindings",
        "_trie",
        "alternate",
        "arguments",
        "auto_delete",
        "durable",
        "incoming",
        "internal",
        "name",
        "routes",
        "routes_generation",
        "type",
    )

    def __init__(
        self,
        name: str,
        exchange_type: ExchangeType,
        *,
        durable: bool,
        auto_delete: bool,
        internal: bool,
        arguments: Table,
    ) -> None:
        self.name = name
        self.type = exchange_type
        self.durable = durable
        self.auto_delete = auto_delete
        self.internal = internal
        self.arguments = arguments
        alternate = arguments.get("alternate-exchange")
        self.alternate = alternate if isinstance(alternate, str) else None
        self.incoming: dict[Exchange, None] = {}
        self.routes: dict[str, tuple[Queue, ...]] = {}
        self.routes_generation = -1
        self._bindings: dict[str, dict[tuple[Destination, str], Binding]] = {}
        self._trie = _TopicNode()

    @property
    def bound(self) -> bool:
        """Whether any binding starts here."""
        return bool(self._bindings)

    def bindings(self) -> Iterator[Binding]:
        """Every binding that starts here, grouped by routing key, in the order of binding."""
        for same_key in self._bindings.values():
            yield from same_key.values()

    def bind(self, destination: Destination, routing_key: str, arguments: Table) -> None:
        """Add a binding; one that is there already stays as it is. Raises 406 for a wrong `x-match`."""
        if self.type == "headers":
            _check_x_match(arguments)
        same_key = self._bindings.setdefault(routing_key, {})
        if not same_key and self.type == "topic":
            self._trie.add(routing_key)
        same_key.setdefault((destination, _identity(arguments)), Binding(destination, routing_key, arguments))

    def unbind(self, destination: Destination, routing_key: str, arguments: Table) -> bool:
        """Remove a binding; tells whether it was there."""
        same_key = self._bindings.get(routing_key, {})
        if same_key.pop((destination, _identity(arguments)), None) is None:
            return False
        self._forget_empty(routing_key)
        return True

    def unbind_all(self, destination: Destination) -> bool:
        """Remove every binding to a destination that goes away; tells whether there was one."""
        found = False
        for routing_key in list(self._bindings):
            same_key = self._bindings[routing_key]
            for identity in [identity for identity in same_key if identity[0] is destination]:
                del same_key[identity]
                found = True
            self._forget_empty(routing_key)
        return found

    def leads_to(self, destination: Destination) -> bool:
        """Whether any binding from here ends at `destination`."""
        return any(binding.destination is destination for binding in self.bindings())

    def match(self, routing_key: str, headers: Table | None) -> Iterator[Destination]:
        """The destinations for a message; one that several bindings lead to comes up several times."""
        match self.type:
            case "direct":
                yield from _destinations(self._bindings.get(routing_key))
            case "fanout":
                for binding in self.bindings():
                    yield binding.destination
            case "topic":
                for pattern in self._trie.match(routing_key):
                    yield from _destinations(self._bindings.get(pattern))
            case "headers":
                for binding in self.bindings():
                    if headers_match(binding.arguments, headers or {}):
                        yield binding.destination

    def _forget_empty(self, routing_key: str) -> None:
        if routing_key in self._bindings and not self._bindings[routing_key]:
            del self._bindings[routing_key]
            if self.type == "topic":
                self._trie.remove(routing_key)


def _destinations(same_key: dict[tuple[Destination, str], Binding] | None) -> Iterable[Destination]:
    return () if same_key is None else [binding.destination for binding in same_key.values()]


def _identity(arguments: Table) -> str:
    return repr(sorted(arguments.items())) if arguments else ""


class _TopicNode:
    """A trie of the words of topic patterns; `pattern` is set where one ends, `is_hash` behind a `#`."""

    __slots__ = ("children", "is_hash", "pattern")

    def __init__(self, *, is_hash: bool = False) -> None:
        self.children: dict[str, _TopicNode] = {}
        self.is_hash = is_hash
        self.pattern: str | None = None

    def add(self, pattern: str) -> None:
        node = self
        for word in _words(pattern):
            child = node.children.get(word)
            if child is None:
                child = node.children[word] = _TopicNode(is_hash=word == "#")
            node = child
        node.pattern = pattern

    def remove(self, pattern: str) -> None:
        words = _words(pattern)
        path = [self]
        for word in words:
            path.append(path[-1].children[word])
        path[-1].pattern = None
        for parent, word in zip(reversed(path[:-1]), reversed(words), strict=True):
            child = parent.children[word]
            if child.children or child.pattern is not None:
                return
            del parent.children[word]

    def match(self, routing_key: str) -> list[str]:
        """The patterns that match: `*` stands for one word, `#` for any number of words, also none.

        All places of the trie where the words so far can have led are followed at once, so the work is bounded by
        words × nodes, however many `#` there are.
        """
        places: dict[_TopicNode, None] = {}
        self.stand_on(places)
        for word in _words(routing_key):
            reached: dict[_TopicNode, None] = {}
            for node in places:
                if node.is_hash:
                    node.stand_on(reached)
                for step in ("*",) if word == "#" else (word, "*"):
                    child = node.children.get(step)
                    if child is not None:
                        child.stand_on(reached)
            places = reached
        return [node.pattern for node in places if node.pattern is not None]

    def stand_on(self, places: "dict[_TopicNode, None]") -> None:
        """Stand here, and behind every `#` from here, which may take no word at all.

        Where somebody stands already, somebody stands behind every `#` from there.
        """
        node: _TopicNode | None = self
        while node is not None and node not in places:
            places[node] = None
            node = node.children.get("#")


def _words(key: str) -> list[str]:
    """The words of a key; RabbitMQ counts none in the empty key."""
    return key.split(".") if key else []


def _check_x_match(arguments: Table) -> None:
    x_match = arguments.get("x-match", "all")
    if not isinstance(x_match, str):
        raise precondition_failed(
            f"Invalid x-match field type {type_word(x_match)} (value {x_match}); expected longstr"
        )
    if x_match not in {"all", "any", "all-with-x", "any-with-x"}:
        raise precondition_failed(
            f'Invalid x-match field value <<"{x_match}">>; expected all, any, all-with-x, or any-with-x'
        )


def headers_match(pattern: Table, headers: Table) -> bool:
    """Whether `headers` satisfy the arguments of a binding to a headers exchange.

    A pattern value of None asks only that the header is there; names with `x-` count only in the `-with-x` modes;
    `all` of nothing holds and `any` of nothing does not.
    """
    mode = pattern.get("x-match", "all")
    with_x = mode in {"all-with-x", "any-with-x"}
    found = (
        name in headers and (wanted is None or _same_value(wanted, headers[name]))
        for name, wanted in pattern.items()
        if name != "x-match" and (with_x or not name.startswith("x-"))
    )
    return any(found) if mode in {"any", "any-with-x"} else all(found)


def _same_value(wanted: FieldValue, given: FieldValue) -> bool:
    return wanted == given and isinstance(wanted, bool) == isinstance(given, bool)
