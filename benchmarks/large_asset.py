"""An asset of 1 GiB through the upload application raises peak memory by at most 64 MiB, and so does its download.

A process of its own plays a testbed on the in-process wire: the user uploads, commits and downloads a small asset, so
that everything is imported and compiled, then one of 1 GiB, whose content is made block by block. The upload route
writes it to a temporary folder, which is removed. Peak memory is Linux's VmHWM: `ru_maxrss` begins at what the parent
process held when it forked, and would hide the growth.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from figure import Figure

from phrasim.clock import run_simulated
from phrasim.scenario.files import MadeContent, RunFile, scenario_files
from phrasim.scenario.model import GivenFile
from phrasim.scenario.user import Asked, User
from phrasim.testbed import Setting, open_testbed

MIB = 1024 * 1024
ASSET_BYTES = 1024 * MIB
WARM_UP_BYTES = 8 * MIB
BAR_MIB = 64


def figures() -> list[Figure]:
    child = subprocess.run([sys.executable, __file__], stdout=subprocess.PIPE, check=True)
    before, uploaded, downloaded = (kib / 1024 for kib in json.loads(child.stdout))
    return [
        Figure(what, after - before, BAR_MIB, "MiB", f"peak {before:.1f} MiB before, {after:.1f} MiB after")
        for what, after in (
            (f"upload of {ASSET_BYTES // MIB} MiB, growth of peak memory", uploaded),
            ("the same and its download", downloaded),
        )
    ]


async def _peaks(storage: Path) -> list[int]:
    """Peak memory in KiB after the warm-up, after the upload of the large asset, and after its download."""
    async with open_testbed(Setting(mode="off"), storage) as testbed:
        user = User(testbed)
        await _download(user, await _upload(user, _made("small.bin", WARM_UP_BYTES)), WARM_UP_BYTES)
        large = _made("large.bin", ASSET_BYTES)
        peaks = [_peak_kib()]
        asset = await _upload(user, large)
        peaks.append(_peak_kib())
        await _download(user, asset, ASSET_BYTES)
        return [*peaks, _peak_kib()]


class _FreshContent(MadeContent):
    """Made content of which every part is memory of its own: who keeps the same block again and again keeps nothing."""

    def parts(self) -> Iterator[bytes]:
        for part in super().parts():
            yield bytes(bytearray(part))


def _made(name: str, size: int) -> RunFile:
    (file,) = scenario_files([GivenFile(name, None, size, "application/octet-stream")], [], seed=1)
    assert file.made is not None
    return replace(file, made=_FreshContent(file.made.seed, size, file.made.mime_type))


async def _upload(user: User, file: RunFile) -> str:
    """Upload a file and commit it, so that it may be downloaded; returns the asset's id."""
    publisher = await user.authorization("publisher")
    response, exchange = await user.call("uploadAsset", Asked(headers=publisher, file=file))
    response.raise_for_status()
    asset: str = exchange.lookup("$response.body#/id")
    body = {"files": [asset], "formData": {}}
    response, _ = await user.call("commitAssets", Asked(headers=publisher, json=body, has_json=True))
    response.raise_for_status()
    return asset


async def _download(user: User, asset: str, size: int) -> None:
    administrator = await user.authorization("administrator")
    response, _ = await user.call("downloadAsset", Asked({"id": asset}, headers=administrator))
    response.raise_for_status()
    if response.num_bytes_downloaded != size:
        raise RuntimeError(f"downloading {asset}: expected {size} bytes, found {response.num_bytes_downloaded}")


def _peak_kib() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise RuntimeError("reading /proc/self/status: there is no VmHWM in it; peak memory is measured on Linux only")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="phrasim-benchmark-") as folder:
        print(json.dumps(run_simulated(_peaks(Path(folder)))))
