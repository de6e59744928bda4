"""Batches rendered with gathers, against one image at a time in plain numpy."""

from __future__ import annotations

import dataclasses
from typing import Any
from unittest import mock

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.pipelines import render
from bench.pipelines.augment import Augment, Draws
from bench.pipelines.dataset import Dataset, Split
from bench.pipelines.loader import Placement
from bench.pipelines.render import Canvas, Renderer

CPU = torch.device("cpu")
TOLERANCE = {torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 4e-2}


def dataset(channels: int, height: int, width: int, count: int = 6) -> Dataset:
    pixels = np.random.default_rng(channels + 10 * height + 100 * width).integers(
        0, 256, (count, channels, height, width), dtype=np.uint8
    )
    split = Split(pixels, np.arange(count))
    mean, std = (0.45, 0.5, 0.4, 0.3)[:channels], (0.25, 0.2, 0.3, 0.27)[:channels]
    return Dataset("made up", split, split, count, mean, std, official=False)


def one_image(data: Dataset, augment: Augment, image: int, draw: dict[str, Any]) -> npt.NDArray[np.float64]:
    """Float64 [C, H, W], made as the documentation of Augment says, a pixel at a time where it matters."""
    pixels = data.train.images[image]
    _, height, width = pixels.shape
    if draw.get("mirrored", False):
        pixels = pixels[:, :, ::-1]
    if augment.shift_pixels:
        mode = {"reflect": "reflect", "zero": "constant"}[augment.pad]
        pad = augment.shift_pixels
        pixels = np.pad(pixels, ((0, 0), (pad, pad), (pad, pad)), mode=mode)
        top, left = draw["top"], draw["left"]
        pixels = pixels[:, top : top + height, left : left + width]
    values = pixels / 255
    values = (values - np.reshape(data.mean, (-1, 1, 1))) / np.reshape(data.std, (-1, 1, 1))
    values = values * draw.get("gain", 1.0) + draw.get("offset", 0.0)
    if augment.cutout_pixels:
        for row in range(height):
            for column in range(width):
                half = augment.cutout_pixels // 2
                down, right = row - draw["cutout_row"] + half, column - draw["cutout_column"] + half
                if 0 <= down < augment.cutout_pixels and 0 <= right < augment.cutout_pixels:
                    values[:, row, column] = 0
    return values


@st.composite
def cases(draw: st.DrawFn) -> tuple[Dataset, Augment]:
    channels, height, width = draw(st.integers(1, 4)), draw(st.integers(2, 9)), draw(st.integers(2, 9))
    side = min(height, width)
    augment = Augment(
        flip=draw(st.sampled_from(["none", "random", "alternating"])),
        shift_pixels=draw(st.integers(0, side - 1)),
        pad=draw(st.sampled_from(["reflect", "zero"])),
        cutout_pixels=draw(st.integers(0, side)),
        cutout_inside=draw(st.sampled_from([None, True])),
        brightness=draw(st.sampled_from([0, 0.3])),
        contrast=draw(st.sampled_from([0, 0.4])),
    )
    return dataset(channels, height, width), augment


@given(
    case=cases(),
    images=st.lists(st.integers(0, 5), min_size=1, max_size=12),
    epoch=st.integers(0, 3),
    dtype=st.sampled_from(list(TOLERANCE)),
    memory_format=st.sampled_from([torch.contiguous_format, torch.channels_last]),
    piece_values=st.sampled_from([1, 300, 1 << 20]),
)
def test_a_batch_is_what_its_images_are_one_by_one(
    case: tuple[Dataset, Augment],
    images: list[int],
    epoch: int,
    dtype: torch.dtype,
    memory_format: torch.memory_format,
    piece_values: int,
) -> None:
    data, augment = case
    channels, height, width = data.image_shape
    pixels = torch.from_numpy(data.train.images).permute(0, 2, 3, 1)
    index = torch.tensor(images)
    draws = augment.draw(7, epoch, len(data.train), height, width)[index]
    renderer = render.Renderer(data, augment, Placement(CPU, dtype, memory_format))
    with mock.patch.object(render, "PIECE_VALUES", piece_values):
        batch = renderer.render(render.Canvas(pixels, augment), index, draws)

    assert batch.shape == (len(images), channels, height, width)
    assert batch.dtype == dtype
    assert batch.is_contiguous(memory_format=memory_format)
    expected = [
        one_image(data, augment, image, {name: vector[row].item() for name, vector in draws.vectors().items()})
        for row, image in enumerate(images)
    ]
    np.testing.assert_allclose(batch.double().numpy(), np.stack(expected), rtol=0, atol=TOLERANCE[dtype])


def test_a_crop_may_reach_every_corner_of_the_padding() -> None:
    data, augment = dataset(1, 2, 3, count=1), Augment(shift_pixels=1, pad="zero")
    canvas = render.Canvas(torch.from_numpy(data.train.images).permute(0, 2, 3, 1), augment)
    (a, b, c), (d, e, f) = data.train.images[0, 0].tolist()
    seen = {
        (top, left): canvas.crops(
            canvas.first_pixels(torch.tensor([0]), Draws(top=torch.tensor([top]), left=torch.tensor([left])))
        )[0].tolist()
        for top in range(3)
        for left in range(3)
    }
    assert seen[1, 1] == [[a, b, c], [d, e, f]]
    assert seen[0, 0] == [[0, 0, 0], [0, a, b]]
    assert seen[2, 2] == [[e, f, 0], [0, 0, 0]]
    assert seen[0, 2] == [[0, 0, 0], [b, c, 0]]


@pytest.mark.parametrize(
    ("side", "centre", "kept"),
    [(3, 0, [2, 3, 4]), (3, 2, [0, 4]), (3, 4, [0, 1, 2]), (4, 0, [2, 3, 4]), (4, 4, [0, 1]), (1, 3, [0, 1, 2, 4])],
)
def test_the_border_clips_the_cut_square(side: int, centre: int, kept: list[int]) -> None:
    data, augment = dataset(3, 5, 5), Augment(cutout_pixels=side)
    draws = Draws(cutout_row=torch.tensor([centre]), cutout_column=torch.tensor([0]))
    canvas = render.Canvas(torch.from_numpy(data.train.images).permute(0, 2, 3, 1), augment)
    batch = render.Renderer(data, augment, Placement(CPU)).render(canvas, torch.tensor([2]), draws)
    assert [row for row in range(5) if (batch[0, :, row, 0] != 0).all()] == kept


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_renders_what_a_cpu_does_and_nobody_waits_for_it() -> None:
    data, augment = dataset(3, 8, 8), Augment("random", 2, "reflect", 3, 0.1, 0.1)
    index = torch.tensor([5, 0, 3])
    draws = augment.draw(0, 0, len(data.train), 8, 8)[index]
    batches = []
    for device in (CPU, torch.device("cuda")):
        canvas = render.Canvas(torch.from_numpy(data.train.images).to(device).permute(0, 2, 3, 1), augment)
        renderer = render.Renderer(data, augment, Placement(device))
        arguments = canvas, index.to(device), draws.to(device)
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("error")
        try:
            batches.append(renderer.render(*arguments))
        finally:
            if device.type == "cuda":
                torch.cuda.set_sync_debug_mode("default")
    torch.testing.assert_close(batches[1].cpu(), batches[0])


FULL = Augment("random", 2, "reflect", 3, 0.1, 0.1)


def both_ways(augment: Augment, placement: Placement, count: int = 5) -> tuple[torch.Tensor, torch.Tensor, Renderer]:
    """A batch made as it is and compiled, and the renderer that compiles."""
    data = dataset(3, 9, 8)
    canvas = Canvas(torch.from_numpy(data.train.images).permute(0, 2, 3, 1), augment)
    images, draws = torch.arange(count), augment.draw(0, 0, len(data.train), 9, 8)[:count]
    renderer = Renderer(data, augment, dataclasses.replace(placement, compiled=True))
    plain = Renderer(data, augment, placement).render(canvas, images, draws)
    return plain, renderer.render(canvas, images, draws), renderer


@pytest.mark.usefixtures("cxx")
@pytest.mark.parametrize(
    ("augment", "placement"),
    [
        (FULL, Placement(CPU, torch.bfloat16, torch.channels_last)),
        (Augment(), Placement(CPU, torch.float32, torch.channels_last)),
        (Augment(flip="random", shift_pixels=2), Placement(CPU, torch.float16, torch.contiguous_format)),
    ],
)
def test_compiled_it_is_one_kernel_that_makes_the_same(augment: Augment, placement: Placement) -> None:
    from torch._inductor import metrics

    torch._dynamo.reset()
    metrics.reset()
    plain, compiled, _ = both_ways(augment, placement)
    assert torch.equal(compiled, plain)
    assert compiled.stride() == plain.stride()
    assert metrics.generated_kernel_count == 1


def test_only_batches_of_the_first_size_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []

    def noting(function: Any, **options: Any) -> Any:
        assert options == {"dynamic": False}

        def program(crops: torch.Tensor, first_pixels: torch.Tensor, *others: Any) -> torch.Tensor:
            counts.append(len(first_pixels))
            return function(crops, first_pixels, *others)  # type: ignore[no-any-return]

        return program

    monkeypatch.setattr(torch, "compile", noting)
    plain, compiled, renderer = both_ways(FULL, Placement(CPU))
    assert torch.equal(plain, compiled)
    data = dataset(3, 9, 8)
    canvas = Canvas(torch.from_numpy(data.train.images).permute(0, 2, 3, 1), FULL)
    draws = FULL.draw(0, 0, 6, 9, 8)
    for count in (5, 3, 5):
        images = renderer.render(canvas, torch.arange(count), draws[:count])
        assert torch.equal(images, plain[:count])
    assert counts == [5, 5, 5]


def test_where_nothing_compiles_it_goes_on_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: Any) -> None:
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", lambda *_, **__: refusing)
    with pytest.warns(UserWarning, match="batches are rendered without torch.compile: no compiler"):
        plain, compiled, renderer = both_ways(FULL, Placement(CPU))
    assert torch.equal(plain, compiled)
    assert renderer._program is None
