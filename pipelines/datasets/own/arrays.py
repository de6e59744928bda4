"""Arrays of images and labels, as users have them, as a data set: pixels uint8 [N, C, H, W], classes from 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.errors import DataCorrupt, WrongOption

LAYOUTS = ("NCHW", "NHWC")
COLOUR_CHANNELS = (1, 3, 4)
# Pixels whose statistics are taken at once, so that the memory for them stays small.
CHUNK_IMAGES = 1000
SHOWN_CLASSES = 5


class Splits(NamedTuple):
    """What was read; `test` is None where the data has no split of its own."""

    train: Split
    test: Split | None


def split_of(images: Any, labels: Any, where: str, layout: str | None = None) -> Split:
    """Arrays or tensors as a split; `where` names them in messages.

    Images are uint8, or floats from 0 to 1, which are rounded to 255ths: [N, C, H, W], [N, H, W, C] or [N, H, W].
    `layout` says which; without it four dimensions are NHWC where only the last can be colour channels. Labels are
    whole numbers [N] or [N, 1]. Raises DataCorrupt for anything else, and for numbers that are no classes.
    """
    pixels, classes = _array(images, where, "images"), _array(labels, where, "labels")
    if classes.ndim == 2 and classes.shape[1] == 1:
        classes = classes[:, 0]
    if classes.dtype.kind == "f":
        raise DataCorrupt(
            f"{where}: labels are {classes.dtype}, numbers to be predicted; bench times classifiers, so give whole "
            "class numbers from 0. Regression is not supported."
        )
    if classes.dtype.kind not in "iu" or classes.ndim != 1:
        raise DataCorrupt(
            f"{where}: labels are {classes.dtype} {list(classes.shape)}; give one whole class number an image, [N]."
        )
    if len(pixels) != len(classes) or not len(pixels):
        raise DataCorrupt(f"{where}: {len(pixels):,} images and {len(classes):,} labels; give as many of both.")
    if classes.min() < 0:
        raise DataCorrupt(f"{where}: labels run from {classes.min()}; number the classes from 0.")
    return Split(_as_bytes(_channels_first(pixels, where, layout), where), classes.astype(np.int64))


def dataset_of(
    name: str, splits: Splits, classes: int | None, counts: Mapping[str, int], void: int | None = None
) -> Dataset:
    """The data set of these splits; the number of classes is the data's own, or `classes` where it is more.

    `void` is the value of pixels without a class. `counts` are those of `Dataset.first` and `holding_out`. Images are
    shuffled before any are left out, always in the same way, because files are often sorted by class. Raises
    WrongOption where there is no test split and none is held out, DataCorrupt for splits that do not fit together.
    """
    train, test = splits
    if test is None and "held_out" not in counts:
        raise WrongOption(f"{name} has no test images; say how many to hold out of the {len(train):,}: held_out: 1000")
    if test is not None and test.images.shape[1:] != train.images.shape[1:]:
        shapes = f"{list(train.images.shape[1:])} in train and {list(test.images.shape[1:])} in test"
        raise DataCorrupt(f"{name}: images are {shapes}; both splits need the same.")
    there = [split for split in splits if split is not None]
    if train.targets is None:
        count = _class_count(name, [split.labels for split in there], classes)
    else:
        count = classes or _pixel_class_count(name, there, void)
    if counts:
        train, test = _shuffled(train), _shuffled(test) if test is not None else None
    dataset = Dataset(name, train, test or train.take(slice(0)), count, (), (), None)
    sizes = {key: counts[key] for key in ("train_count", "test_count") if key in counts}
    if sizes:
        dataset = dataset.first(**sizes)
    if "held_out" in counts:
        dataset = dataset.holding_out(counts["held_out"])
    mean, std = _statistics(dataset.train.images)
    return Dataset(name, dataset.train, dataset.test, count, mean, std, None, void=void)


def _array(value: Any, where: str, what: str) -> npt.NDArray[Any]:
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataCorrupt(f"{where}: the {what} make no array: {error}.") from None
    if array.dtype == object:
        raise DataCorrupt(f"{where}: the {what} have different shapes or types; give one array of numbers.")
    return array


def _channels_first(images: npt.NDArray[Any], where: str, layout: str | None) -> npt.NDArray[Any]:
    if layout not in (None, *LAYOUTS):
        raise WrongOption(f"{where}: layout is {layout!r}; allowed: {', '.join(LAYOUTS)}")
    if images.ndim == 3:
        return images[:, None]
    if images.ndim != 4:
        raise DataCorrupt(
            f"{where}: images are {list(images.shape)}; give [N, C, H, W], [N, H, W, C], or [N, H, W] in grey."
        )
    is_last = images.shape[3] in COLOUR_CHANNELS and images.shape[1] not in COLOUR_CHANNELS
    return images.transpose(0, 3, 1, 2) if layout == "NHWC" or (layout is None and is_last) else images


def _as_bytes(images: npt.NDArray[Any], where: str) -> npt.NDArray[np.uint8]:
    if images.dtype == np.uint8:
        return np.ascontiguousarray(images)
    lowest, highest = images.min(), images.max()
    if images.dtype.kind == "f" and lowest >= 0 and highest <= 1:
        return np.ascontiguousarray(np.rint(images * 255).astype(np.uint8))
    if images.dtype.kind in "iu" and lowest >= 0 and highest <= 255:
        return np.ascontiguousarray(images.astype(np.uint8))
    raise DataCorrupt(
        f"{where}: pixels are {images.dtype} from {lowest:g} to {highest:g}; give uint8, or floats from 0 to 1. Leave "
        "normalising to bench, which does it by the training images."
    )


def _class_count(name: str, labels: list[npt.NDArray[np.int64]], classes: int | None) -> int:
    found = np.unique(np.concatenate(labels))
    count = int(found[-1]) + 1
    if classes is None:
        if len(found) < count:
            missing = np.setdiff1d(np.arange(min(count, len(found) + SHOWN_CLASSES + 1)), found)[:SHOWN_CLASSES]
            raise DataCorrupt(
                f"{name}: labels run to {count - 1:,}, but {count - len(found):,} of the class numbers below never "
                f"occur ({', '.join(map(str, missing))}, …); number the classes from 0, or say how many there are: "
                f"classes: {count}"
            )
        if count < 2:
            raise DataCorrupt(f"{name}: all labels are 0; a classifier needs at least two classes.")
        return count
    if type(classes) is not int or classes < max(count, 2):
        raise WrongOption(
            f"{name}: classes is {classes!r}; labels run to {count - 1}, so give {max(count, 2)} or more."
        )
    return classes


def _pixel_class_count(name: str, splits: list[Split], void: int | None) -> int:
    """One more than the largest class of a pixel."""
    highest = 0
    for split in splits:
        assert split.targets is not None
        found = split.targets if void is None else split.targets[split.targets != void]
        highest = max(highest, int(found.max(initial=0)))
    if not highest:
        raise DataCorrupt(f"{name}: all pixels of the masks are of class 0; a segmentation needs two classes at least.")
    return highest + 1


def _shuffled(split: Split) -> Split:
    order = np.random.default_rng(0).permutation(len(split))
    return split.take(order)


def _statistics(images: npt.NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, of pixels scaled to [0, 1]; a channel of one value deviates by 1."""
    sums, squares = np.zeros((2, images.shape[1]))
    for start in range(0, len(images), CHUNK_IMAGES):
        chunk = images[start : start + CHUNK_IMAGES].astype(np.float64) / 255
        sums += chunk.sum((0, 2, 3))
        squares += (chunk**2).sum((0, 2, 3))
    count = len(images) * images.shape[2] * images.shape[3]
    mean = sums / count
    std = np.sqrt(np.maximum(squares / count - mean**2, 0))
    return tuple(map(float, mean)), tuple(float(each) if each > 1e-6 else 1.0 for each in std)
