"""C++ code that is compiled for this machine when first used, and cached for later processes."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from bench.errors import MissingError
from bench.files import open_regular, private_folder, replacing, user_cache
from bench.host import fingerprint

COMPILERS = ("c++", "g++", "clang++")
FLAGS = ("-O3", "-std=c++17", "-march=native", "-fopenmp", "-shared", "-fPIC")
# The libraries that this process has loaded, by the name of their source: code that ran and is in no commit.
SHA256_OF_LOADED: dict[str, str] = {}


@functools.cache
def load(source: Path) -> ctypes.CDLL:
    """The compiled library of a C++ file. Load torch first, so that both share one pool of OpenMP threads.

    It may include the headers beside it. $CXX, which may have several words (`ccache g++`), else the first of
    `COMPILERS`, compiles it in a few seconds. Later processes on the same kind of machine find it in $XDG_CACHE_HOME,
    else ~/.cache, in a private folder; a damaged file is compiled again. Raises `MissingError` if there is no compiler
    or it fails.
    """
    compiler = _compiler()
    made_by = (" ".join(compiler), _output(*compiler, "--version"), FLAGS, fingerprint.instruction_set())
    name = f"{source.stem}-{hashlib.sha256(_text(source) + repr(made_by).encode()).hexdigest()[:16]}.so"
    try:
        library = private_folder(user_cache() / "native") / name
        if not _is_whole(library):
            _compile(compiler, source, library)
        loaded = ctypes.CDLL(str(library))
        SHA256_OF_LOADED[source.name] = _sha256(library)
        return loaded
    except (OSError, RuntimeError) as error:  # no folder for the cache, or no home
        raise MissingError(f"{source.name} could not be compiled or loaded: {error}") from None


def _text(source: Path) -> bytes:
    """The file and the headers that it may include."""
    return b"".join(file.read_bytes() for file in (source, *sorted(source.parent.glob("*.h"))))


def _is_whole(library: Path) -> bool:
    """Whether the file is unchanged since it was compiled: loading a truncated library kills the process."""
    try:
        return _sha256(library) == _checksum(library).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return False


def _compile(compiler: Sequence[str], source: Path, library: Path) -> None:
    # The checksum is removed first, so that an interruption at any moment leaves a library that is compiled again.
    _checksum(library).unlink(missing_ok=True)
    with replacing(library) as draft:
        _output(*compiler, *FLAGS, "-o", str(draft), str(source))
    with replacing(_checksum(library)) as draft:
        draft.write_text(_sha256(library), encoding="ascii")


def _checksum(library: Path) -> Path:
    return library.with_suffix(".sha256")


def _sha256(path: Path) -> str:
    with open(open_regular(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compiler() -> tuple[str, ...]:
    """The compiler, and words that belong to it."""
    asked = os.environ.get("CXX", "").strip()
    for name in (asked,) if asked else COMPILERS:
        if found := shutil.which(name):
            return (found,)
    program, *words = asked.split() or [""]
    if found := shutil.which(program):
        return (found, *words)
    raise MissingError(f"no C++ compiler: {asked or ', '.join(COMPILERS)} not found")


def _output(*command: str) -> bytes:
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise MissingError(f"{command[0]} failed: {said[0] if said else f'exit code {done.returncode}'}")
    return done.stdout
