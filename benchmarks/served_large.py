"""An asset of 1 GiB through `phrasim serve` raises its peak memory by at most 64 MiB, and so does its download.

The server is a process of its own and this one a plain client with blocking sockets, as curl is. A small asset goes
first, so that everything is imported. Peak memory is Linux's VmHWM. The asides give the speed each way, and its ratio
to that of a plain copy of as many bytes between two processes over loopback, which neither hashes nor stores.
"""

import http.client
import json
import multiprocessing
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from figure import Figure
from served import Served, served

MIB = 1024 * 1024
PART_BYTES = 256 * 1024
ASSET_BYTES = 1024 * MIB
WARM_UP_BYTES = 8 * MIB
BAR_MIB = 64

_BEGIN = b'--b\r\nContent-Disposition: form-data; name="file"; filename="large.bin"\r\n\r\n'
_END = b"\r\n--b--\r\n"


def figures() -> list[Figure]:
    plain = _plain_mib_per_second(ASSET_BYTES)
    # Nobody takes the commit up: the worker would download the file too.
    with served("--mode", "off") as server:
        small, _ = _upload(server, WARM_UP_BYTES)
        _download(server, small, WARM_UP_BYTES)
        peaks = [server.peak_mib()]
        large, upload_seconds = _upload(server, ASSET_BYTES)
        peaks.append(server.peak_mib())
        download_seconds = _download(server, large, ASSET_BYTES)
        peaks.append(server.peak_mib())
    return [
        Figure(what, peak - peaks[0], BAR_MIB, "MiB", _aside(peaks[0], peak, ASSET_BYTES / MIB / seconds, plain))
        for what, peak, seconds in (
            (f"upload of {ASSET_BYTES // MIB} MiB to `phrasim serve`, growth of peak memory", peaks[1], upload_seconds),
            ("the same and its download", peaks[2], download_seconds),
        )
    ]


def _aside(before: float, after: float, speed: float, plain: float) -> str:
    return (
        f"peak {before:.1f} MiB before, {after:.1f} MiB after; {speed:.0f} MiB/s, "
        f"{speed / plain:.2f} of the {plain:.0f} MiB/s of a plain copy"
    )


def _upload(server: Served, size: int) -> tuple[str, float]:
    """Upload a file of that size and commit it; the asset's id, and the seconds that the upload took."""
    connection = http.client.HTTPConnection(urlsplit(server.landscape["upload"]["url"]).netloc)
    authorization = {"Authorization": f"Bearer {server.landscape['users'][0]['token']}"}
    headers = {
        **authorization,
        "Content-Type": "multipart/form-data; boundary=b",
        "Content-Length": str(len(_BEGIN) + size + len(_END)),
    }
    begin = time.perf_counter()
    connection.request("POST", "/assets", _form(size), headers)
    asset: str = json.loads(_answer(connection, 201))["id"]
    seconds = time.perf_counter() - begin
    body = json.dumps({"files": [asset], "formData": {}})
    connection.request("POST", "/commit", body, {**authorization, "Content-Type": "application/json"})
    _answer(connection, 200)
    connection.close()
    return asset, seconds


def _download(server: Served, asset: str, size: int) -> float:
    """The seconds that the download of an asset took."""
    connection = http.client.HTTPConnection(urlsplit(server.landscape["upload"]["url"]).netloc)
    begin = time.perf_counter()
    connection.request(
        "GET", f"/assets/{asset}/download", headers={"Authorization": f"Bearer {server.landscape['users'][1]['token']}"}
    )
    answer = connection.getresponse()
    buffer = bytearray(PART_BYTES)
    received = 0
    while count := answer.readinto(buffer):
        received += count
    seconds = time.perf_counter() - begin
    connection.close()
    if (answer.status, received) != (200, size):
        raise RuntimeError(f"downloading {asset}: expected 200 and {size} bytes, found {answer.status} and {received}")
    return seconds


def _form(size: int) -> Iterator[bytes]:
    yield _BEGIN
    part = bytes(range(256)) * (PART_BYTES // 256)
    for _ in range(size // PART_BYTES):
        yield part
    yield _END


def _answer(connection: http.client.HTTPConnection, status: int) -> bytes:
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != status:
        raise RuntimeError(f"asking the server: expected {status}, found {answer.status}: {content[:200]!r}")
    return content


def _plain_mib_per_second(size: int) -> float:
    """What a socket of loopback carries from one process to another."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        sender = multiprocessing.get_context("fork").Process(target=_send, args=(listener.getsockname(), size))
        sender.start()
        receiving, _ = listener.accept()
        buffer = bytearray(PART_BYTES)
        begin = time.perf_counter()
        with receiving:
            while receiving.recv_into(buffer):
                pass
        seconds = time.perf_counter() - begin
        sender.join()
    return size / MIB / seconds


def _send(address: tuple[str, int], size: int) -> None:
    with socket.create_connection(address) as sending:
        part = bytes(PART_BYTES)
        for _ in range(size // PART_BYTES):
            sending.sendall(part)
