"""Where torch.compile keeps compiled programs: in a folder of one process, or in one shared by this user's
later runs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.errors import MissingError
from bench.files import private_folder, user_cache


def kept_folder() -> Path:
    """The shared folder, which only this user can write to, because its content is executed.

    Raises `MissingError` if it cannot be created.
    """
    try:
        return private_folder(user_cache() / "compiled")
    except (OSError, RuntimeError) as error:  # no home at all
        raise MissingError(f"--keep-compiled: no folder to keep programs in: {error}; set XDG_CACHE_HOME") from None


@contextmanager
def cached(kept: bool) -> Iterator[None]:
    """Make torch.compile, in this process and its children, load and store its programs here.

    Unless they are `kept`, the folder is new and removed after the run. Otherwise the first of several runs would
    compile for all of them, and the later ones would look faster than they are.
    """
    with nullcontext(kept_folder()) if kept else TemporaryDirectory(prefix="compiled-") as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
        # Inductor would put it below its own folder, unless the user's environment names another.
        os.environ["TRITON_CACHE_DIR"] = str(Path(folder) / "triton")
        yield
