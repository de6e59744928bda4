"""Make CIFAR-10 of sheets that came in two loads, once all six are here.

    python tools/gpu_sheets.py SHEETS WORK

SHEETS holds some of data_batch_1.webp to data_batch_5.webp and test_batch.webp, lossless square sheets of images, and
perhaps labels.npy. They are decoded into WORK/sheets. When nothing is missing, WORK/data/cifar10/cifar10.npz is written
for bench, and WORK/ref/cifar10/train.pt and test.pt for scripts that read airbench's form. Needs numpy, Pillow and
torch.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

SHEETS = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")
SIDE = 32
Pixels = npt.NDArray[np.uint8]


def decode(sheet: Path) -> Pixels:
    """A sheet of n × n images as uint8 [n · n, 3, 32, 32], line after line."""
    pixels = np.asarray(Image.open(sheet).convert("RGB"))
    across = len(pixels) // SIDE
    tiles = pixels.reshape(across, SIDE, across, SIDE, 3).transpose(0, 2, 4, 1, 3)
    return np.ascontiguousarray(tiles).reshape(-1, 3, SIDE, SIDE)


def keep(sheets: Path, kept: Path) -> None:
    """Decode what this load brought."""
    kept.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor() as pool:
        found = sorted(sheets.glob("*.webp"))
        for path, pixels in zip(found, pool.map(decode, found), strict=True):
            np.save(kept / f"{path.stem}.npy", pixels)
            print(f"decoded {path.name}")
    if (sheets / "labels.npy").exists():
        (kept / "labels.npy").write_bytes((sheets / "labels.npy").read_bytes())


def write(kept: Path, work: Path) -> None:
    """The data set, as bench and as airbench's scripts read it."""
    import torch

    *train_sheets, test_sheet = [np.load(kept / f"{name}.npy") for name in SHEETS]
    images, trained = np.concatenate([*train_sheets, test_sheet]), sum(map(len, train_sheets))
    labels = np.load(kept / "labels.npy", allow_pickle=False).astype(np.uint8)
    parts = {"train": slice(0, trained), "test": slice(trained, None)}
    own, theirs = (work / name / "cifar10" for name in ("data", "ref"))
    for folder in (own, theirs):
        folder.mkdir(parents=True, exist_ok=True)
    train, test = parts.values()
    np.savez(own / "draft.npz", train_x=images[train], train_y=labels[train], test_x=images[test], test_y=labels[test])
    (own / "draft.npz").replace(own / "cifar10.npz")
    for name, rows in parts.items():
        by_pixel = torch.from_numpy(np.ascontiguousarray(images[rows].transpose(0, 2, 3, 1)))
        of_classes = torch.from_numpy(labels[rows].astype(np.int64))
        named = {"images": by_pixel, "labels": of_classes, "classes": [str(label) for label in range(10)]}
        torch.save(named, theirs / f"{name}.pt")


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sheets, work = map(Path, sys.argv[1:])
    Image.MAX_IMAGE_PIXELS = None
    began_s = time.monotonic()
    kept = work / "sheets"
    keep(sheets, kept)
    missing = [name for name in (*(f"{sheet}.npy" for sheet in SHEETS), "labels.npy") if not (kept / name).exists()]
    if missing:
        print(f"still missing: {', '.join(missing)}")
        return
    write(kept, work)
    print(f"CIFAR-10 is complete after {time.monotonic() - began_s:.1f} s")


if __name__ == "__main__":
    main()
