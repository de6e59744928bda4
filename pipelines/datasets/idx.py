"""The idx format of MNIST: a magic number, big-endian sizes, bytes."""

from __future__ import annotations

import struct
from math import prod

import numpy as np
import numpy.typing as npt

from bench.pipelines.errors import DataCorrupt

_UINT8 = 0x08


def parse_idx(content: bytes, where: str) -> npt.NDArray[np.uint8]:
    """The array in an idx file of unsigned bytes, of as many dimensions as its header says.

    Raises DataCorrupt, naming `where`, unless header and length agree to the byte.
    """
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != _UINT8 or content[3] == 0:
        raise DataCorrupt(f"{where} is not an idx file of unsigned bytes: it starts with {content[:4].hex(' ')}.")
    dimensions = content[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise DataCorrupt(f"{where} ends inside its idx header, after {len(content)} bytes.")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) - start != prod(shape):
        raise DataCorrupt(
            f"{where} holds {len(content) - start:,} bytes of data; "
            f"its header says {' x '.join(map(str, shape))} = {prod(shape):,}."
        )
    try:
        return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
    except ValueError as error:  # more dimensions than numpy has, or empty in an impossible way
        raise DataCorrupt(f"{where} has an idx header that makes no array: {error}.") from error
