"""Imports the used parts of ffcv without letting it change torch's number of threads.

`import ffcv` sets torch to one thread, and each loader and epoch sets torch to the loader's number of workers. Only
numba, which runs ffcv's compiled code, should use that number.
"""

from __future__ import annotations

from typing import Any

import torch

from bench.pipelines.errors import PartMissing

_threads = torch.get_num_threads()
try:
    from ffcv.fields import IntField, NDArrayField
    from ffcv.fields.basics import IntDecoder
    from ffcv.fields.ndarray import NDArrayDecoder
    from ffcv.loader.epoch_iterator import EpochIterator
    from ffcv.loader.loader import Loader as BetonLoader
    from ffcv.memory_allocator import MemoryAllocator
    from ffcv.pipeline import compiler
    from ffcv.reader import Reader
    from ffcv.transforms import ToTensor
    from ffcv.types import ALLOC_TABLE_TYPE
    from ffcv.writer import DatasetWriter
except (ImportError, OSError) as error:  # OSError: a shared library that it was built against is missing
    raise PartMissing(
        f"The ffcv loader needs ffcv, which does not load here ({error}). "
        "Install it with `make setup`, or choose the loader 'resident', which needs nothing and is faster."
    ) from error
finally:
    torch.set_num_threads(_threads)


def _set_numba_threads(cls: Any, count: int) -> None:
    cls.num_threads = count
    compiler.set_num_threads(count)


compiler.Compiler.set_num_threads = classmethod(_set_numba_threads)

__all__ = [
    "ALLOC_TABLE_TYPE",
    "BetonLoader",
    "DatasetWriter",
    "EpochIterator",
    "IntDecoder",
    "IntField",
    "MemoryAllocator",
    "NDArrayDecoder",
    "NDArrayField",
    "Reader",
    "ToTensor",
]
