"""C++ beside Python: compiled for this machine when it is first wanted, and kept for the next process."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from bench.errors import MissingError
from bench.files import open_regular, private_folder, replacing, user_cache
from bench.host import fingerprint

COMPILERS = ("c++", "g++", "clang++")
FLAGS = ("-O3", "-std=c++17", "-march=native", "-fopenmp", "-shared", "-fPIC")
# By the name of its source, what this process has loaded: code that ran and that no commit holds.
SHA256_OF_LOADED: dict[str, str] = {}


@functools.cache
def load(source: Path) -> ctypes.CDLL:
    """The library that this C++ file makes. Load torch first, so that both share one pool of OpenMP threads.

    Compiled by $CXX, else the first of `COMPILERS`, in a second or so; later processes on the same kind of machine find
    it in $XDG_CACHE_HOME, else ~/.cache, in a folder that is this user's alone. One that is not what was compiled
    is compiled again. Raises `MissingError` where there is no compiler, or it cannot do it.
    """
    compiler = _compiler()
    made_by = (compiler, _output(compiler, "--version"), FLAGS, fingerprint.instruction_set())
    name = f"{source.stem}-{hashlib.sha256(source.read_bytes() + repr(made_by).encode()).hexdigest()[:16]}.so"
    try:
        library = private_folder(user_cache() / "native") / name
        if not _is_whole(library):
            _compile(compiler, source, library)
        loaded = ctypes.CDLL(str(library))
        SHA256_OF_LOADED[source.name] = _sha256(library)
        return loaded
    except (OSError, RuntimeError) as error:  # no folder to keep it in; no home at all
        raise MissingError(f"{source.name} could not be compiled or loaded: {error}") from None


def _is_whole(library: Path) -> bool:
    """Whether it is there as it was compiled: loading a truncated one kills the process, an empty one never works."""
    try:
        return _sha256(library) == _checksum(library).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return False


def _compile(compiler: str, source: Path, library: Path) -> None:
    # First the checksum goes, so that a stop at any moment leaves a library that is compiled again.
    _checksum(library).unlink(missing_ok=True)
    with replacing(library) as draft:
        _output(compiler, *FLAGS, "-o", str(draft), str(source))
    with replacing(_checksum(library)) as draft:
        draft.write_text(_sha256(library), encoding="ascii")


def _checksum(library: Path) -> Path:
    return library.with_suffix(".sha256")


def _sha256(path: Path) -> str:
    with open(open_regular(path), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compiler() -> str:
    asked = os.environ.get("CXX")
    for name in (asked,) if asked else COMPILERS:
        if found := shutil.which(name):
            return found
    raise MissingError(f"no C++ compiler: {asked or ', '.join(COMPILERS)} not found")


def _output(*command: str) -> bytes:
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise MissingError(f"{command[0]} failed: {said[0] if said else f'exit code {done.returncode}'}")
    return done.stdout
