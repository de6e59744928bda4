"""A JPEG file to a small square of pixels, by each of four libraries; and many of them by threads or processes.

Every method does the same: decode the whole file, cut out the middle square, and make it smaller. A new pixel is a mean
of all that it covers. Importing this imports none of the libraries, nor torch.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bench.pipelines.errors import DataCorrupt, PartMissing

Pixels = npt.NDArray[np.uint8]
Resize = Callable[[bytes, int], Pixels]
Method = Literal["pillow", "opencv", "torchvision", "ffcv"]
How = Literal["serial", "threads", "processes"]

# What a worker takes at once: few enough to share the work evenly, and enough for a task's cost not to show.
PER_TASK = 16
START_TIMEOUT_S = 300


def _pillow(content: bytes, pixels: int) -> Pixels:
    from PIL import Image

    with Image.open(BytesIO(content)) as image:
        square = _square(image.height, image.width)
        box = (square[2], square[0], square[3], square[1])
        small = image.convert("RGB").resize((pixels, pixels), Image.Resampling.BILINEAR, box)
        return np.asarray(small)


def _opencv(content: bytes, pixels: int) -> Pixels:
    import cv2

    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    if image is None:
        raise ValueError("not a JPEG")
    top, bottom, left, right = _square(*image.shape[:2])
    return np.asarray(cv2.resize(image[top:bottom, left:right], (pixels, pixels), interpolation=cv2.INTER_AREA))


def _torchvision(content: bytes, pixels: int) -> Pixels:
    """As torchvision's ImageFolder does it: Pillow decodes, and the rest is done on tensors."""
    import torch
    from PIL import Image

    functional = _import_tensor_resize()
    with Image.open(BytesIO(content)) as image:
        decoded = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    top, bottom, left, right = _square(*decoded.shape[1:])
    small = functional.resize(decoded[:, top:bottom, left:right], [pixels, pixels], antialias=True)
    return small.permute(1, 2, 0).numpy()  # type: ignore[no-any-return]


def _import_tensor_resize() -> Any:
    from bench.pipelines.torchvision_compat import import_torchvision

    return import_torchvision("torchvision.transforms.v2.functional")


def _ffcv(content: bytes, pixels: int) -> Pixels:
    from ffcv import libffcv

    source = np.frombuffer(content, np.uint8)
    height, width = _size_of(content)
    decoded, small = np.empty((height, width, 3), np.uint8), np.empty((pixels, pixels, 3), np.uint8)
    libffcv.imdecode(source, decoded, height, width, height, width, 0, 0, 1, 1, False, False)
    libffcv.resize_crop(decoded, *_square(height, width), small)
    return small


_METHODS: dict[Method, tuple[Resize, tuple[str, ...]]] = {
    "pillow": (_pillow, ("PIL.Image",)),
    "opencv": (_opencv, ("cv2",)),
    "torchvision": (_torchvision, ("PIL.Image", "torch")),
    "ffcv": (_ffcv, ("ffcv.libffcv",)),
}


def prepare(method: Method, simd: bool = True) -> Resize:
    """The function of this method, its library imported, on the calling thread alone.

    Without `simd` neither libjpeg-turbo nor OpenCV use vector instructions in this process, which must not have decoded
    anything before. Raises PartMissing where the library is not here.
    """
    if not simd:
        os.environ["JSIMD_FORCENONE"] = "1"
    resize, libraries = _METHODS[method]
    try:
        for library in libraries:
            importlib.import_module(library)
        if method == "torchvision":
            _import_tensor_resize()
    except (ImportError, OSError) as error:
        raise PartMissing(f"resize.method: {method} does not load here ({error}); choose another") from error
    _keep_to_one_thread(method, simd)
    return resize


def _keep_to_one_thread(method: Method, simd: bool) -> None:
    if method in ("opencv", "ffcv"):
        import cv2

        cv2.setNumThreads(1)
        cv2.setUseOptimized(simd)
    if method in ("torchvision", "ffcv"):
        import torch

        torch.set_num_threads(1)


class Pool:
    """So many workers that resize files into rows of a memory-mapped array, uint8 [N, pixels, pixels, 3] in `file`.

    Once it is made, every worker has started and has imported its library.
    """

    def __init__(self, method: Method, how: How, workers: int, pixels: int, file: Path, simd: bool = True) -> None:
        """Raises PartMissing where the library is not here."""
        prepare(method, simd)
        self._task = partial(_into_rows, method, simd, pixels, file)
        self._executor = _executor(how, workers, method, simd)
        if self._executor:
            # Each keeps its worker until all are there, so that every worker gets one.
            list(self._executor.map(_meet, range(workers)))

    def run(self, paths: Sequence[Path], count: int) -> Iterator[int]:
        """Resize `paths` into the first rows of the array, which has `count`; yields how many are done.

        Raises DataCorrupt for a damaged file.
        """
        tasks = [(start, paths[start : start + PER_TASK], count) for start in range(0, len(paths), PER_TASK)]
        done = self._executor.map(self._task, tasks) if self._executor else map(self._task, tasks)
        for index, _ in enumerate(done, 1):
            yield min(index * PER_TASK, len(paths))

    def close(self) -> None:
        if self._executor:
            self._executor.shutdown(cancel_futures=True)


@contextmanager
def pool(*args: Any, **kwargs: Any) -> Iterator[Pool]:
    """A `Pool` that is closed at the end."""
    made = Pool(*args, **kwargs)
    try:
        yield made
    finally:
        made.close()


def open_rows(file: Path, count: int, pixels: int, mode: Literal["r", "r+", "w+"] = "r") -> np.memmap[Any, Any]:
    """The array of resized images in `file`, uint8 [count, pixels, pixels, 3]."""
    return np.memmap(file, np.uint8, mode, shape=(count, pixels, pixels, 3))


_meeting: Any = None


def _executor(how: How, workers: int, method: Method, simd: bool) -> Executor | None:
    if how == "serial":
        return None
    if how == "threads":
        return ThreadPoolExecutor(workers, initializer=_start, initargs=(threading.Barrier(workers), method, simd))
    # A fresh interpreter each: what this process has loaded, torch's threads among it, is not safely forked.
    context = multiprocessing.get_context("spawn")
    start = (context.Barrier(workers), method, simd)
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_process, initargs=start)


def _start(meeting: Any, method: Method, simd: bool) -> None:
    global _meeting
    _meeting = meeting
    prepare(method, simd)


def _start_process(meeting: Any, method: Method, simd: bool) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _start(meeting, method, simd)


def _end_with_parent() -> None:
    """However the parent ends, even by a signal that nothing can answer."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _meet(_: int) -> None:
    _meeting.wait(START_TIMEOUT_S)


def _into_rows(method: Method, simd: bool, pixels: int, file: Path, task: tuple[int, Sequence[Path], int]) -> None:
    start, paths, count = task
    resize, rows = prepare(method, simd), open_rows(file, count, pixels, "r+")
    for row, path in enumerate(paths, start):
        rows[row] = _resized(resize, path, pixels)


def _resized(resize: Resize, path: Path, pixels: int) -> Pixels:
    try:
        return resize(path.read_bytes(), pixels)
    except Exception as error:
        raise DataCorrupt(f"{path} cannot be decoded: {error}") from error


def _square(height: int, width: int) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the middle square."""
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return top, top + side, left, left + side


def _size_of(content: bytes) -> tuple[int, int]:
    """Height and width from a JPEG's header."""
    from PIL import Image

    with Image.open(BytesIO(content)) as image:
        return image.height, image.width
