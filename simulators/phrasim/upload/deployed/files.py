"""Files as the file store gives them out: not in the formats of the service, and refused in the words of S3 (§2.4)."""

from starlette.responses import Response

from phrasim.upload.deployed.state import Asset
from phrasim.upload.file_answer import FileAnswer, content_disposition
from phrasim.upload.storage import Storage


def file_answer(storage: Storage, asset: Asset) -> FileAnswer:
    """An asset's file. One that was deleted is 404."""
    headers = {
        "content-type": asset.file.mime_type,
        "content-length": str(asset.file.size),
        "content-disposition": content_disposition(asset.original_name),
    }
    return FileAnswer(storage, asset.file, headers, no_such_file)


def no_such_file() -> Response:
    """404: the file was deleted, or never was."""
    return store_refusal(404, "NoSuchKey", "The specified key does not exist.")


def store_refusal(status: int, code: str, message: str) -> Response:
    """A refusal of the file store; `code` is S3's word for it (not verified)."""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(text, status, media_type="application/xml")
