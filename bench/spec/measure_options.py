"""What a recipe says of one measure: the key is the name of the measure, which alone looks at it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bench.documents.limits import MOST_PIXELS
from bench.documents.numbers import Count, Positive, Threads
from bench.documents.strict import Strict
from bench.spec.formats import MemoryFormat, NumberFormat


class InferenceOptions(Strict):
    """How `--measure inference` runs the trained network; what is null is as in training.

    `fuse` folds each batch norm into the conv before it. `mirror` answers by the mean of an image and its mirror
    image, which go through the network together, as `evaluation.tta: 1` does after training. With `precision: int8`,
    convs of many channels are in int8, with ranges from training images, and the rest is as in `pure_bf16`, or in fp32
    where bf16 is not native. With `compile`, or in int8, `winograd` is off unless it is said here.
    """

    fuse: bool = False
    mirror: bool = False
    precision: Literal[NumberFormat, "int8"] | None = None
    memory_format: MemoryFormat | None = None
    compile: bool | None = None
    winograd: bool | Literal["auto"] | None = None
    threads: Threads | None = None

    @model_validator(mode="after")
    def _is_one_form(self) -> Self:
        if self.precision == "int8" and self.winograd:
            raise ValueError("inference.winograd: is not for int8; leave one of the two out")
        return self


class FindLrOptions(Strict):
    """How `--measure find_lr` searches: `steps` batches at rates that grow from `start` to `end`."""

    start: Positive = 1e-7
    end: Positive = 10.0
    steps: Annotated[int, Field(ge=3, le=100_000)] = 100

    @model_validator(mode="after")
    def _grows(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"find_lr.end: {self.end:g} should be more than {self.start:g}, the start")
        return self


class SurfaceOptions(Strict):
    """What `--measure surface` looks at after training: a grid of `points` by `points` out to `reach`.

    Each filter of the two directions is as long as the network's own. The loss is of the first `images` training
    images, or a few more, in whole batches.
    """

    points: Annotated[int, Field(ge=3, le=201)] = 15
    reach: Positive = 1.0
    images: Count = 500


class CheckerboardOptions(Strict):
    """What `--measure checkerboard` looks at, untrained: a way to double the resolution, between so many channels."""

    upsampling: Literal["transposed_k3", "transposed_k4", "upsample", "shuffle", "shuffle_icnr"] = "transposed_k4"
    channels: Count = 64
    pixels: Annotated[int, Field(ge=8, le=1024)] = 16


class NeighboursOptions(Strict):
    """What `--measure neighbours` searches: `k` nearest of the first `base` training images, for `queries` test images.

    `index` is faiss's: `hnsw` (a graph; `breadth` is efSearch) or `ivf` (lists; `breadth` is nprobe). `batch` queries
    are asked at once.
    """

    index: Literal["hnsw", "ivf"] = "hnsw"
    breadth: Annotated[int, Field(ge=1, le=100_000)] = 64
    k: Annotated[int, Field(ge=1, le=1000)] = 10
    base: Count = 20_000
    queries: Count = 1000
    batch: Count = 1

    @model_validator(mode="after")
    def _has_so_many(self) -> Self:
        if self.k > self.base:
            raise ValueError(f"neighbours.k: {self.base:,} images have no {self.k:,} nearest; ask for fewer")
        return self


class ResizeOptions(Strict):
    """What `--measure resize` does: `images` JPEGs to squares of `pixels`, kept in one memory-mapped array.

    The JPEGs are made, or those of `folder`. `simd: false` is without vector instructions; null is as the library has
    it.
    """

    method: Literal["pillow", "opencv", "torchvision", "ffcv"] = "pillow"
    how: Literal["serial", "threads", "processes"] = "serial"
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    pixels: Annotated[int, Field(ge=1, le=MOST_PIXELS)] = 72
    images: Annotated[int, Field(ge=1, le=1_000_000)] = 2000
    folder: str | None = None
    simd: Literal[False] | None = None

    @model_validator(mode="after")
    def _one_worker_alone(self) -> Self:
        if self.how == "serial" and self.workers > 1:
            raise ValueError(
                f"resize.workers: serial is one worker, not {self.workers}; write how: threads or processes"
            )
        return self
