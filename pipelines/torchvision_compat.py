"""Imports torchvision even if its operators do not load beside another build of torch."""

from __future__ import annotations

import importlib
from contextlib import suppress
from types import ModuleType
from typing import Any

import torch

from bench.registry.own_code import OwnCode

_BOXES = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_schemas: list[Any] = []  # kept alive: a schema disappears with its library


def import_torchvision(module: str = "torchvision") -> ModuleType:
    """torchvision or a module of it, such as "torchvision.transforms.v2".

    torchvision's wheels are built for CUDA. Beside a torch for the CPU, its compiled part is not loaded and the import
    fails where Python code refers to its operators. With the operators' schemas defined, everything in pure Python
    (models, transforms, data sets) works.
    """
    try:
        return importlib.import_module(module)
    except RuntimeError as error:
        if "torchvision::nms" not in str(error) or _schemas:
            raise
    library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for operator in ("nms", "qnms"):
        library.define(operator + _BOXES)
    _schemas.append(library)
    return importlib.import_module(module)


def for_users_code(own: OwnCode | None) -> None:
    """Import torchvision for a user's code that will; where it is not installed, her own import tells so."""
    if own is not None and ("torchvision" in own.shown or own.mentions("torchvision")):
        with suppress(ImportError):
            import_torchvision()
