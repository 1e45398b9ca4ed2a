"""The documents of a profile, as one value: what any room asks that needs to know what an operation or a message is."""

from collections.abc import Mapping
from functools import cache, cached_property

from phrasim.documents.messages import Messages
from phrasim.documents.nearest import nearest
from phrasim.documents.specification import Operation, Specification, installed_schemas, specification
from phrasim.documents.store import installed_store

CONTRACTS: Mapping[str, Mapping[str, str]] = {
    "documented": {
        "upload": "upload.yaml",
        "phraseanet": "phraseanet.yaml",
        "auth": "auth.yaml",
        "messages": "messages.yaml",
    },
    "deployed": {
        "upload": "deployed/upload.yaml",
        "phraseanet": "deployed/phraseanet.yaml",
        "auth": "deployed/auth.yaml",
        "messages": "deployed/messages.yaml",
    },
}
"""The files in openapi/ by profile, and by the service that they describe or `messages`; all profiles have the same."""


class Contract:
    """The OpenAPI documents of the services and the AsyncAPI document of the messages, of one profile.

    Use `contract`, which makes each once. Nothing is read before it is asked for.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._services = {service: file for service, file in CONTRACTS[name].items() if service != "messages"}

    def specification(self, participant: str) -> Specification:
        """What `participant`, one of the services, answers by."""
        return specification(self._services[participant])

    @cached_property
    def messages(self) -> Messages:
        """The messages that go through the broker."""
        return Messages(installed_store(), installed_schemas(), CONTRACTS[self.name]["messages"])

    @cached_property
    def operations(self) -> Mapping[str, Operation]:
        """Every operation of the services by its operationId, in the order of the documents."""
        return {
            operation_id: operation
            for service in self._services
            for operation_id, operation in self.specification(service).operations.items()
        }

    def match(self, participant: str, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """The operation that a request to `participant` is, with its path parameters; None if it is none.

        `path` has no query.
        """
        file = self._services.get(participant)
        return None if file is None else specification(file).match(method, path)

    def operation(self, participant: str, method: str, path: str) -> Operation | None:
        """The operation that a request to `participant` is; None if it is none."""
        matched = self.match(participant, method, path)
        return matched[0] if matched else None

    def unknown_operation(self, operation_id: str) -> str | None:
        """What is wrong with that operationId, and the nearest that would be right; None if nothing is."""
        if operation_id in self.operations:
            return None
        return f"the profile {self.name} has no operation {operation_id!r}; {nearest(operation_id, self.operations)}"


@cache
def contract(name: str) -> Contract:
    """The contract of the profile of that name. Raises KeyError where there is none."""
    return Contract(name)
