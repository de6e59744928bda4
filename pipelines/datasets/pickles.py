"""Reads the pickles of CIFAR's Python version, and nothing else."""

from __future__ import annotations

import io
import pickle
import pickletools
from typing import Any

import numpy as np

from bench.pipelines.errors import DataCorrupt

# numpy gives the function under its present module name; files contain older ones.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no data set needs") from None


def _check_memo(content: bytes) -> None:
    """Raise UnpicklingError for a place of the memo beyond the number of operations.

    Unpickling makes room for all places up to it, so that one damaged byte would take gigabytes.
    """
    for count, (operation, argument, _) in enumerate(pickletools.genops(content)):
        if operation.name.endswith("PUT") and argument is not None and argument > count:
            raise pickle.UnpicklingError(f"it uses place {argument} of the memo after {count} operations")


def load_arrays(content: bytes, where: str) -> dict[str, Any]:
    """A dictionary of numpy arrays and plain containers; Python 2 strings become text by latin-1.

    Raises DataCorrupt, naming `where`, for anything else; no other code is ever looked up or called.
    """
    try:
        _check_memo(content)
        loaded = _ArrayUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a damaged pickle may raise anything
        raise DataCorrupt(f"{where} was refused as a pickle of arrays: {error}.") from error
    if not isinstance(loaded, dict):
        raise DataCorrupt(f"{where} holds a {type(loaded).__name__}, not a dictionary of arrays.")
    return loaded
