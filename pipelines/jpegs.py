"""JPEG files to decode: photographs made here, or those of a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from bench.files import replacing
from bench.pipelines.errors import DataMissing, PipelineError

HEIGHT, WIDTH = 375, 500  # the commonest size of ImageNet's photographs
QUALITY = 90
SUFFIXES = (".jpg", ".jpeg")
_VERSION = 1
_CANVAS_PIXELS = 1024


def make_jpegs(count: int, cache: Path, seed: int = 0) -> list[Path]:
    """So many JPEG files of 375 by 500 pixels below `cache`, made where they are not there yet.

    Each is a piece of noise with a photograph's spectrum (power falls with the square of the frequency) under light
    and colours of its own, so that a file has about the bytes of a photograph, and decoding it takes as long. The same
    seed makes the same pixels. Raises PipelineError where they cannot be written.
    """
    folder = cache / "jpegs" / f"v{_VERSION}-{seed}"
    paths = [folder / f"{index // 1000:03d}" / f"{index:06d}.jpg" for index in range(count)]
    lacking = [index for index, path in enumerate(paths) if not path.is_file()]
    if lacking:
        canvas = _photograph(seed)
        try:
            for index in lacking:
                paths[index].parent.mkdir(parents=True, exist_ok=True)
                with replacing(paths[index]) as file:
                    _piece(canvas, seed, index).save(file, "JPEG", quality=QUALITY)
        except OSError as error:
            raise PipelineError(f"{folder}: the JPEGs cannot be written: {error.strerror or error}") from error
    return paths


def find_jpegs(folder: Path, count: int) -> list[Path]:
    """The first `count` .jpg and .jpeg files below `folder`, by their names.

    Raises DataMissing where there is no such folder, or it has fewer.
    """
    if not folder.is_dir():
        raise DataMissing(f"resize.folder: there is no folder {folder}")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if len(found) < count:
        raise DataMissing(
            f"resize.folder: {folder} has {len(found):,} JPEGs, and resize.images asks for {count:,}; set it to that"
        )
    return found[:count]


def fingerprint(paths: Iterable[Path]) -> tuple[str, int]:
    """SHA-256 over all their bytes, and how many there are."""
    digest, total_bytes = hashlib.sha256(), 0
    for path in paths:
        content = path.read_bytes()
        total_bytes += len(content)
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest(), total_bytes


def _photograph(seed: int) -> npt.NDArray[np.float32]:
    """Noise in [-1, 1] whose amplitude falls with the frequency, float32 [3, 1024, 1024]; channels are much alike."""
    rng = np.random.default_rng(seed)
    across = np.fft.rfftfreq(_CANVAS_PIXELS)[None, :]
    down = np.fft.fftfreq(_CANVAS_PIXELS)[:, None]
    falling = 1 / np.maximum(np.hypot(across, down), 1 / _CANVAS_PIXELS)
    waves = [np.fft.irfft2(np.fft.rfft2(rng.standard_normal((_CANVAS_PIXELS,) * 2)) * falling) for _ in range(4)]
    grey, *colours = (wave / np.abs(wave).max() for wave in waves)
    return np.stack([0.8 * grey + 0.2 * colour for colour in colours]).astype(np.float32)


def _piece(canvas: npt.NDArray[np.float32], seed: int, index: int) -> Image.Image:
    rng = np.random.default_rng([seed, index])
    top, left = rng.integers(_CANVAS_PIXELS - HEIGHT), rng.integers(_CANVAS_PIXELS - WIDTH)
    cut = canvas[:, top : top + HEIGHT, left : left + WIDTH]
    contrast, brightness = rng.uniform(120, 220), rng.uniform(100, 155, (3, 1, 1))
    pixels = np.clip(cut * contrast + brightness + rng.normal(0, 3, cut.shape), 0, 255).astype(np.uint8)
    if rng.integers(2):
        pixels = pixels[:, :, ::-1]
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
