"""Forward and backward pass of each network at a small size; on a GPU timed by its own clock.

One batch of 32 in the precision that `auto` means here, channels_last. A speed gate compares these with each other's
past, so the sizes stay as they are.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from pytest_benchmark.fixture import BenchmarkFixture

from bench import models
from bench.profiling.timer import device_seconds
from bench.training.device import Device
from bench.training.precision import Precision

BATCH_SIZE = 32
# The smallest that still has every kind of layer; the others are small enough as they are.
SMALL: dict[str, dict[str, Any]] = {
    "darknet": {"blocks": [1, 1, 1], "width": 16},
    "wide_resnet": {"depth": 10, "widen": 2},
    "resnet9": {"widths": [16, 32, 64, 64]},
    "speedrun": {"widths": [32, 64, 64]},
}
# Of torchvision's ResNets one stands for all, and the small Wide ResNet for the large one.
NETS = [name for name in models.MODELS if name not in models.OF_TASKS and name != "wrn_22" and ":" not in name]
NETS.append("torchvision:resnet18")

pytestmark = pytest.mark.benchmark(timer=device_seconds, min_rounds=5, max_time=0.5, warmup=True, warmup_iterations=2)


@pytest.fixture
def precision() -> Precision:
    return Precision("auto", Device("cuda" if torch.cuda.is_available() else "cpu"))


def prepared(name: str, precision: Precision) -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    channels, pixels = (1, 28) if name.startswith("mnist") else (3, 32)
    torch.manual_seed(0)
    model = models.build(name, SMALL.get(name, {}), in_channels=channels, classes=10, image_size=pixels)
    precision.prepare(model, torch.channels_last)
    place = {"device": precision.device.torch, "dtype": precision.inputs}
    images = torch.randn(BATCH_SIZE, channels, pixels, pixels).to(**place, memory_format=torch.channels_last)
    return model, images, torch.arange(BATCH_SIZE, device=precision.device.torch) % 10


@pytest.mark.parametrize("name", NETS)
def test_forward(name: str, precision: Precision, benchmark: BenchmarkFixture) -> None:
    model, images, _ = prepared(name, precision)
    model.eval()

    def forward() -> torch.Tensor:
        with torch.no_grad(), precision.autocast():
            return model(images)  # type: ignore[no-any-return]

    assert benchmark(forward).shape == (BATCH_SIZE, 10)


@pytest.mark.parametrize("name", NETS)
def test_forward_and_backward(name: str, precision: Precision, benchmark: BenchmarkFixture) -> None:
    model, images, labels = prepared(name, precision)

    def both() -> None:
        model.zero_grad(set_to_none=True)
        with precision.autocast():
            logits = model(images)
        F.cross_entropy(logits.float(), labels).backward()

    benchmark(both)
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)
