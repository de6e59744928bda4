"""Standard output and error that never raise, so that a lost output neither ends a run nor changes its exit code.

Characters that an encoding lacks are replaced. A reader that ends early (`| head`) is not an error. If output is lost
in another way, such as a full disk, the command says so on stderr, and exits with 3 if printing was its only purpose.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import Any, TextIO

from bench.errors import MissingError

# The reader has ended, or the terminal was closed.
READER_GONE = (errno.EPIPE, errno.EIO)


class Outlet(io.RawIOBase):
    """A file descriptor for writing. After a write has failed, it discards everything, and `failure` has the error."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.failure: OSError | None = None
        # Whether the command's work is useful even if nobody reads what it prints.
        self.outlasted = False
        self._number = number

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def write(self, data: Any) -> int:
        while self.failure is None:
            try:
                return os.write(self._number, data)
            except BlockingIOError:
                select.select([], [self._number], [])
            except OSError as error:
                self.failure = error
                if self._number == 1:
                    self._say_why(error)
        return len(data)

    def _say_why(self, error: OSError) -> None:
        if error.errno not in READER_GONE:
            goes_on = "; the work goes on" if self.outlasted else ""
            sys.stderr.write(f"bench: the output cannot be written: {error.strerror}{goes_on}\n")
        elif self.outlasted:
            sys.stderr.write("bench: nobody reads the output any more; the work goes on, and Ctrl-C stops it\n")


def protect() -> None:
    """Make the three standard streams of this process safe to use, closed ones included.

    Call it before any file is opened, because a new file would get the number of a closed stream.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            os.set_inheritable(number, True)
    if sys.stdin is None:
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = _protected(sys.stdout, 1, "replace")
    sys.stderr = _protected(sys.stderr, 2, "backslashreplace")


def work_outlasts_output() -> None:
    """Declare that this command's work is useful, and its exit code valid, even if its output is lost."""
    if (outlet := _outlet()) is not None:
        outlet.outlasted = True


def exit_code(code: Any) -> Any:
    """The exit code of a command that would end with `code`: 3 if it failed to write the output that was its only
    purpose."""
    sys.stdout.flush()
    outlet = _outlet()
    if outlet is None or outlet.failure is None or outlet.outlasted or outlet.failure.errno in READER_GONE:
        return code
    return code or MissingError.exit_code


def _protected(stream: TextIO | None, number: int, errors: str) -> TextIO:
    """The same stream over an `Outlet`; a stream that is not a file, as in tests, is returned unchanged."""
    if stream is not None:
        try:
            if stream.fileno() != number:
                return stream
        except (AttributeError, OSError):
            return stream
        stream.flush()
    at_once = stream is None or number == 2 or getattr(stream, "write_through", False) or stream.isatty()
    encoding = "utf-8" if stream is None else stream.encoding
    buffer = io.BufferedWriter(Outlet(number))
    return io.TextIOWrapper(buffer, encoding=encoding, errors=errors, line_buffering=at_once)


def _outlet() -> Outlet | None:
    """The `Outlet` of standard output, if it has one."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw if isinstance(raw, Outlet) else None
