"""C++ beside Python: compiled for this machine when it is first wanted, and kept for the next process."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from bench import machine
from bench.errors import MissingError
from pipelines.files import replacing

COMPILERS = ("c++", "g++", "clang++")
FLAGS = ("-O3", "-std=c++17", "-march=native", "-fopenmp", "-shared", "-fPIC")


@functools.cache
def load(source: Path) -> ctypes.CDLL:
    """The library that this C++ file makes. Load torch first, so that both share one pool of OpenMP threads.

    Compiled by $CXX, else the first of `COMPILERS`, in a second or so; later processes on the same kind of machine find
    it in $XDG_CACHE_HOME, else ~/.cache. Raises `MissingError` where there is no compiler, or it cannot do it.
    """
    compiler = _compiler()
    made_by = (compiler, _output(compiler, "--version"), FLAGS, machine.instruction_set())
    name = f"{source.stem}-{hashlib.sha256(source.read_bytes() + repr(made_by).encode()).hexdigest()[:16]}.so"
    try:
        library = _cache() / name
        if not library.exists():
            library.parent.mkdir(parents=True, exist_ok=True)
            with replacing(library) as draft:
                _output(compiler, *FLAGS, "-o", str(draft), str(source))
        return ctypes.CDLL(str(library))
    except (OSError, RuntimeError) as error:  # no folder to keep it in; no home at all
        raise MissingError(f"{source.name} could not be compiled or loaded: {error}") from None


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


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bench-to-accuracy"
