"""What the user of a browser does: uploads files and commits them, as the publisher whom the landscape knows."""

import hashlib
import tempfile
from collections.abc import AsyncIterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx

from phrasim.scenario.files import RunFile
from phrasim.scenario.user import Asked, StepFailed, User
from phrasim.service.refusal import Refusal
from phrasim.testbed import Testbed

_UNAUTHORIZED = 401


class Publisher:
    """The publisher of a testbed, who logs in once, and again when the token is good no more.

    What is asked gives `status` and `answer` of the upload service, whichever they are. Raises `Refusal` where that
    could not be asked.
    """

    def __init__(self, testbed: Testbed) -> None:
        self.testbed = testbed
        self._user = User(testbed)

    async def upload(self, name: str, content: AsyncIterable[bytes]) -> dict[str, Any]:
        """Upload a file under that name; it goes by way of the disk, since its length comes before it."""
        with tempfile.TemporaryDirectory(prefix="phrasim-") as folder:
            path, size, digest = Path(folder) / "file", 0, hashlib.sha256()
            with path.open("wb") as file:
                async for part in content:
                    file.write(part)
                    digest.update(part)
                    size += len(part)
            if not size:
                raise Refusal(400, f"{name!r} is empty, and the upload service refuses empty files")
            slug = self._target_slug
            form = None if slug is None else {"targetSlug": slug}
            uploaded = RunFile(name, size, digest.hexdigest(), path, None)
            return await self._call("uploadAsset", Asked(file=uploaded, form=form))

    async def commit(self, assets: list[str], title: str) -> dict[str, Any]:
        """Commit assets by their ids, with that title in the form data."""
        if not assets:
            raise Refusal(400, "query/asset: a commit is of one asset at the least")
        slug = self._target_slug
        target = {} if slug is None else {"targetSlug": slug}
        body = {"files": assets, **target, "formData": {"title": title} if title else {}}
        return await self._call("commitAssets", Asked(json=body, has_json=True))

    async def _call(self, operation_id: str, asked: Asked) -> dict[str, Any]:
        try:
            told = await self._called(operation_id, asked)
            if told["status"] == _UNAUTHORIZED:
                self._user = User(self.testbed)
                told = await self._called(operation_id, asked)
        except (StepFailed, httpx.HTTPError) as error:
            raise Refusal(502, f"{operation_id}: {str(error) or type(error).__name__}") from error
        return told

    async def _called(self, operation_id: str, asked: Asked) -> dict[str, Any]:
        headers = await self._user.authorization("publisher")
        response, values = await self._user.call(operation_id, replace(asked, headers=headers))
        return {"status": response.status_code, "answer": values.lookup("$response.body")}

    @property
    def _target_slug(self) -> str | None:
        """The target that a user names, in a profile whose upload service has targets."""
        return self.testbed.stage.given.get("target.slug")
