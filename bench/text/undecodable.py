"""Bytes in file names and arguments that are not UTF-8; Python keeps each as a lone surrogate (PEP 383)."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

_called: ContextVar[str | None] = ContextVar("_called", default=None)


@contextmanager
def called_from_python(call: str) -> Iterator[None]:
    """Until this ends, `command_line` is a Python that makes this `call`, such as `bench.run('digits')`."""
    token = _called.set(f"python -c {_quoted(f'import bench; {call}')}")
    try:
        yield
    finally:
        _called.reset(token)


def command_line() -> str:
    """The command that started this process, as `bench …`, quoted so that a shell reproduces the same bytes."""
    return _called.get() or " ".join(_quoted(argument) for argument in ["bench", *sys.argv[1:]])


def readable(value: Any) -> Any:
    """The JSON value with text that can be encoded: each byte that is not UTF-8 is written out, as `\\xe9`."""
    if isinstance(value, str):
        return _written_out(value)
    if isinstance(value, dict):
        return {readable(key): readable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [readable(item) for item in value]
    return value


def _quoted(argument: str) -> str:
    try:
        argument.encode()
        return shlex.quote(argument)
    except UnicodeEncodeError:
        # The quoting of Bash and zsh: ASCII is kept, everything else is written byte by byte.
        bytes_ = os.fsencode(argument)
        return "$'" + "".join(chr(b) if 32 <= b < 127 and b not in b"'\\" else f"\\x{b:02x}" for b in bytes_) + "'"


def _written_out(text: str) -> str:
    try:
        text.encode()
        return text
    except UnicodeEncodeError:
        try:
            return text.encode(errors="surrogateescape").decode(errors="backslashreplace")
        except UnicodeEncodeError:  # a surrogate that does not represent a byte
            return text.encode(errors="backslashreplace").decode()
