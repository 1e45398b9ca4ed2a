"""What `phrasim serve` is measured beside: the least that a Starlette application does for the same requests.

`GET /assets/{id}` looks at the Authorization header and answers a constant through the standard library's JSON;
`POST /assets` parses the form and throws it away. Nothing is decided, stored or recorded.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

TOKEN = "AssetToken x"
ASSET = {
    "id": "00000000-0000-4000-8000-000000000000",
    "size": 1048576,
    "formData": {"title": "A title"},
    "originalName": "asset.bin",
    "mimeType": "application/octet-stream",
    "createdAt": "2026-01-01T00:00:00Z",
}


async def get_asset(request: Request) -> JSONResponse:
    if request.headers.get("authorization") != TOKEN:
        return JSONResponse({"error": "unauthorized"}, 401)
    return JSONResponse({**ASSET, "id": request.path_params["id"]})


async def upload_asset(request: Request) -> JSONResponse:
    async with request.form() as form:
        size = form["file"].size
    return JSONResponse({**ASSET, "size": size}, 201)


app = Starlette(routes=[Route("/assets/{id}", get_asset), Route("/assets", upload_asset, methods=["POST"])])
