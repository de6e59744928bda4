"""Data that a user's Python makes: a function that returns images and labels, or a torch `Dataset`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.data import Dataset as TorchDataset

from bench.errors import UsageError
from bench.pipelines.datasets.own.arrays import Splits, split_of
from bench.pipelines.datasets.own.npz import splits_of
from bench.pipelines.errors import WrongOption
from bench.pipelines.torchvision_compat import for_users_code
from bench.registry.registry import Found
from bench.registry.signature import check_options, parameters_of

# bench's own options, where the user's function has no parameter of that name.
OURS = ("classes", "held_out", "train_count", "test_count", "layout")
RETURNS = (
    "return images, labels (with held_out); or train_images, train_labels, test_images, test_labels; or two torch "
    "data sets, train and test; or a dictionary with the names of an .npz"
)


def read(found: Found, options: Mapping[str, Any]) -> tuple[Splits, dict[str, Any]]:
    """What the user's thing gives, and those of the options that are not for it.

    A class of torch data sets is made once for each split, if its constructor takes `train` (true or false) or `split`
    ("train" or "test"), else once. Raises WrongOption for an option that it does not take.
    """
    for_users_code(found.own)
    make = found.load()
    if not callable(make):
        raise WrongOption(f"{found.label} is {type(make).__name__}; name a function, or a class of torch data sets")
    parameters = parameters_of(make)
    theirs = {key: value for key, value in options.items() if key not in OURS or key in parameters}
    ours = {key: value for key, value in options.items() if key not in theirs}
    by_split = _by_split(make, set(parameters) - set(options))
    try:
        check_options(f"data {found.label}", make, theirs, by_split[0] if by_split else ())
    except ValueError as error:
        raise WrongOption(str(error)) from None
    layout = ours.pop("layout", None)
    with found.errors():
        made = tuple(make(**theirs, **arguments) for arguments in by_split) if by_split else make(**theirs)
        made = _in_memory(made, found.label)
    return _splits(made, found.label, layout), ours


def _by_split(make: Any, parameters: set[str]) -> tuple[dict[str, Any], ...]:
    """The arguments that tell a class of data sets which split to be."""
    if isinstance(make, type) and issubclass(make, TorchDataset):
        if "train" in parameters:
            return {"train": True}, {"train": False}
        if "split" in parameters:
            return {"split": "train"}, {"split": "test"}
    return ()


def _in_memory(made: Any, where: str) -> Any:
    """The same with images and labels in the place of each torch data set."""
    if isinstance(made, TorchDataset):
        return _items(made, where)
    if isinstance(made, tuple | list) and all(isinstance(each, TorchDataset) for each in made):
        return tuple(_items(each, where) for each in made)
    return made


def _items(data: TorchDataset[Any], where: str) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """The images and labels of a data set whose items are pairs of them."""
    if not hasattr(data, "__len__"):
        raise UsageError(f"{where} has no length; give a data set of the map style, with __len__ and __getitem__")
    images: list[npt.NDArray[Any]] = []
    labels: list[Any] = []
    for index in range(len(data)):
        item = data[index]
        if not isinstance(item, tuple | list) or len(item) != 2:
            raise UsageError(f"{where}: item {index} is a {type(item).__name__}, not an image and a label")
        image = np.asarray(item[0])
        if images and image.shape != images[0].shape:
            shapes = f"{list(image.shape)}, and image 0 {list(images[0].shape)}"
            raise UsageError(f"{where}: image {index} is {shapes}; resize them to one size in the data set")
        images.append(image)
        labels.append(item[1])
    return np.stack(images) if images else np.empty((0, 1, 1)), np.asarray(labels)


def _splits(made: Any, where: str, layout: str | None) -> Splits:
    match made:
        case dict():
            return splits_of(made, where, layout)
        case (images, labels, test_images, test_labels):
            pass
        case ((images, labels), (test_images, test_labels)) if _is_pair(made[0]) and _is_pair(made[1]):
            pass
        case (images, labels):
            return Splits(split_of(images, labels, where, layout), None)
        case _:
            raise UsageError(f"{where} returned a {type(made).__name__}; {RETURNS}")
    train = split_of(images, labels, f"{where} (train)", layout)
    return Splits(train, split_of(test_images, test_labels, f"{where} (test)", layout))


def _is_pair(value: Any) -> bool:
    """Whether it is images and labels, and not two images or two labels."""
    return isinstance(value, tuple) and np.ndim(value[0]) > np.ndim(value[1])
