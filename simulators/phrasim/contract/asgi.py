"""A participant in this process as the ASGI application that schemathesis asks.

Schemathesis runs an application on a loop and thread of its own, and a simulator's objects belong to one loop: so each
request is handed over to the landscape's, by a thread that waits for the answer.
"""

import asyncio

import httpx
from starlette.types import ASGIApp, Receive, Scope, Send

from phrasim.contract.subject import Subject


def bridge(subject: Subject) -> ASGIApp:
    """The participant that is judged; what its landscape raises is raised to who asks."""
    base = httpx.URL(subject.url(subject.participant))

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(f"the landscape has begun already, and takes no {scope['type']}")
        content = b""
        more = True
        while more:
            message = await receive()
            content += message.get("body", b"")
            more = message.get("more_body", False)
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        headers = [(name, value) for name, value in scope["headers"] if name.lower() != b"host"]
        request = httpx.Request(scope["method"], base.copy_with(raw_path=target), headers=headers, content=content)
        response = await asyncio.to_thread(subject.exchange, request)
        head = [(name, value) for name, value in response.headers.raw if name.lower() != b"transfer-encoding"]
        await send({"type": "http.response.start", "status": response.status_code, "headers": head})
        await send({"type": "http.response.body", "body": response.content})

    return application
