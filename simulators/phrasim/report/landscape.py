"""What a server says of itself when it is ready: URLs, users, clients and tokens."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from phrasim.testbed import SERVICES, Setting

if TYPE_CHECKING:
    from phrasim.report.terminal import Line


def landscape_json(description: Mapping[str, Any]) -> str:
    """One line for scripts."""
    return msgspec.json.encode(description).decode()


def landscape_lines(description: Mapping[str, Any], setting: Setting) -> "Iterator[Line]":
    """The same for people."""
    yield "heading", f"phrasim serves: {setting.mode} mode, {setting.profile}"
    for name in (*SERVICES, "broker", "control"):
        found = description[name]
        yield "plain", f"  {name:12}{found['url'] if found else 'nobody'}"
    targets = (description["upload"] or {}).get("targets", ())
    if targets:
        yield "heading", "targets of the upload service"
    for target in targets:
        yield "plain", f"  {target['slug']}  id {target['id']}"
    token = (description["phraseanet"] or {}).get("token")
    if targets and token:  # where there are targets, Phraseanet asks for its token
        yield "heading", "Phraseanet's token, as Authorization: OAuth …"
        yield "plain", f"  {token}"
    if description["users"]:
        yield "heading", "users"
    for user in description["users"]:
        yield "plain", f"  {user['email']}  password {user['password']}  id {user['id']}  {', '.join(user['roles'])}"
        yield "plain", f"    token {user['token']}"
    if description["clients"]:
        yield "heading", "clients"
    for client in description["clients"]:
        scopes = f"  scopes {' '.join(client['scopes'])}" if client["scopes"] else ""
        yield "plain", f"  {client['client_id']}  secret {client['client_secret']}{scopes}"
    if description["control"]:
        yield "aside", "In a browser the control URL shows what happens."
    yield "aside", "Ctrl-C ends it."
