"""Downloads one file: resumes, retries, verifies, and moves it into place only when it is complete."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from filelock import FileLock

from bench.pipelines.datasets.address import Address
from bench.pipelines.errors import DataCorrupt, DataMissing, PipelineError

TIMEOUT_S = 20.0  # for connecting, and for each wait for more bytes
RETRY_DELAYS_S: Sequence[float] = (0.5, 1.0, 2.0)
_CHUNK_BYTES = 1 << 16
_TRANSIENT_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


class _InterruptedError(Exception):
    """The transfer stopped for a reason that may be temporary."""


def fetch(
    address: Address | str,
    target: Path,
    *,
    md5: str,
    size_bytes: int | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
    timeout_s: float = TIMEOUT_S,
    retry_delays_s: Sequence[float] | None = None,
) -> None:
    """Fetch `address` into `target`, which appears only with the right MD5.

    Received bytes are kept in a .part file with the MD5 in its name, so that a later call resumes only the same
    content. `progress` gets a description, bytes so far and bytes in all (None: unknown). Attempts without progress are
    repeated after each of `retry_delays_s` (default RETRY_DELAYS_S).

    Raises DataMissing if the server cannot be reached or does not have the file, DataCorrupt if it sends other bytes,
    and PipelineError if they cannot be written.
    """
    part = target.with_name(f"{target.name}.{md5}.part")
    delays_s = RETRY_DELAYS_S if retry_delays_s is None else retry_delays_s
    if isinstance(address, str):
        address = Address.of(address, "The address")
    transfer = _Transfer(address, part, size_bytes, timeout_s, delays_s, progress)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(target.with_name(f".{target.name}.lock")):
            if target.exists():  # another process fetched it in the meantime
                return
            carried_over = part.exists()
            transfer.run()
            if carried_over and _md5(part) != md5:
                # The old part may be damaged: this time everything comes from the server.
                part.unlink()
                transfer.run()
            found = _md5(part)
            if found != md5:
                received_bytes = part.stat().st_size
                part.unlink()
                raise DataCorrupt(
                    f"{address} sent {received_bytes:,} bytes with MD5 {found}, expected {md5}. "
                    "Nothing was kept. The file is damaged or another one, or a proxy answered in its place."
                )
            part.replace(target)
    except OSError as error:
        raise PipelineError(
            f"Cannot write {error.filename or target}: {error.strerror or error}. "
            "Choose a folder with room that can be written, by --data or $BENCH_DATA."
        ) from error


@dataclass(frozen=True)
class _Transfer:
    """Transfers bytes from a server to the end of a .part file. Its OSErrors are about the disk."""

    address: Address
    part: Path
    size_bytes: int | None
    timeout_s: float
    retry_delays_s: Sequence[float]
    progress: Callable[[str, int, int | None], None] | None

    def run(self) -> None:
        """Repeat attempts until the server has no more; only attempts without new bytes use up the delays."""
        failures = 0
        most_bytes = _size(self.part)
        while True:
            try:
                return self._attempt()
            except _InterruptedError as error:
                failures = 1 if _size(self.part) > most_bytes else failures + 1
                most_bytes = max(most_bytes, _size(self.part))
                if failures > len(self.retry_delays_s):
                    raise DataMissing(f"Downloading {self.address} failed: {error}.") from error
                time.sleep(self.retry_delays_s[failures - 1])

    def _attempt(self) -> None:
        """Append the missing bytes; start over if the server cannot resume."""
        offset = _size(self.part)
        response = self._open(offset)
        if response is None:
            return
        with response:
            if response.status != HTTPStatus.PARTIAL_CONTENT:
                offset = 0
            elif not response.headers.get("Content-Range", "").startswith(f"bytes {offset}-"):
                self.part.unlink()
                raise _InterruptedError("the server resumed at another place than it was asked to")
            length = response.headers.get("Content-Length", "")
            end_bytes = offset + int(length) if length.isdecimal() else None
            _require_room(self.part.parent, (end_bytes or self.size_bytes or offset) - offset)
            with self.part.open("ab" if offset else "wb") as file:
                while True:
                    if self.progress:
                        self.progress(
                            f"downloading {str(self.address).rpartition('/')[2]}", offset, end_bytes or self.size_bytes
                        )
                    try:
                        chunk = response.read1(_CHUNK_BYTES)
                    except (OSError, http.client.HTTPException) as error:
                        raise _InterruptedError(_reason(error)) from error
                    if not chunk:
                        break
                    file.write(chunk)
                    offset += len(chunk)
                    if self.size_bytes is not None and offset > self.size_bytes:
                        return  # a longer file is a different one, which its checksum will show
                file.flush()
                os.fsync(file.fileno())
        if end_bytes is not None and offset < end_bytes:
            raise _InterruptedError(f"the connection closed after {offset:,} of {end_bytes:,} bytes")

    def _open(self, offset: int) -> http.client.HTTPResponse | None:
        """The server's answer; None if it has nothing beyond `offset` (the checksum decides)."""
        request = urllib.request.Request(self.address.url, headers={"User-Agent": "bench-to-accuracy"})
        if self.address.authorization:
            # Not sent to the target of a redirection.
            request.add_unredirected_header("Authorization", self.address.authorization)
        if offset:
            request.add_header("Range", f"bytes={offset}-")
        try:
            response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=self.timeout_s)
        except urllib.error.HTTPError as error:
            with error:
                if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and offset:
                    return None
                answer = f"the server answered {error.code} {error.reason}"
                if error.code in _TRANSIENT_STATUS:
                    raise _InterruptedError(answer) from error
                raise DataMissing(f"Downloading {self.address} failed: {answer}.") from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, socket.gaierror):  # probably no network: waiting does not help
                raise DataMissing(f"Downloading {self.address} failed: {_reason(error.reason)}.") from error
            raise _InterruptedError(_reason(error.reason)) from error
        except (OSError, http.client.HTTPException) as error:
            raise _InterruptedError(_reason(error)) from error
        except ValueError:
            raise DataMissing(f"{self.address} is not a usable address.") from None
        return response


def _require_room(folder: Path, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if needed_bytes > free_bytes:
        raise PipelineError(
            f"{folder} has {free_bytes / 1e6:,.0f} MB free; the download needs "
            f"{needed_bytes / 1e6:,.0f} MB. Make room, or choose another folder by --data or $BENCH_DATA."
        )


def _reason(error: object) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
