"""Where torch.compile keeps what it has compiled: a folder of one process, or one that this user's later runs share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.errors import MissingError
from bench.files import private_folder, user_cache


def kept_folder() -> Path:
    """The folder that is kept, which nobody but this user can write to, because what lies in it is run.

    Raises `MissingError` where it cannot be.
    """
    try:
        return private_folder(user_cache() / "compiled")
    except (OSError, RuntimeError) as error:  # no home at all
        raise MissingError(f"--keep-compiled: no folder to keep programs in: {error}; set XDG_CACHE_HOME") from None


@contextmanager
def cached(kept: bool) -> Iterator[None]:
    """Let torch.compile, in this process and those that it starts, look for its programs here and leave them here.

    Where they are not `kept` the folder is new, and goes with the run: else the first run of several compiles for all
    of them, and each later one looks faster than it is.
    """
    with nullcontext(kept_folder()) if kept else TemporaryDirectory(prefix="compiled-") as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
        # Which Inductor would put below its own, unless the user's environment names another.
        os.environ["TRITON_CACHE_DIR"] = str(Path(folder) / "triton")
        yield
