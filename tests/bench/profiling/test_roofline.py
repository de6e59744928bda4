"""The least time of operations on this machine: the sizes of their products, and the rates that limit them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
import torch.nn.functional as F

from bench.profiling.kinds import OTHER_KIND, kind_of
from bench.profiling.operations import Operation, Operations
from bench.profiling.products import Product
from bench.profiling.roofline import MachineLimits, measured, shortened
from bench.statistics.sampling import Bounds
from bench.training.device import Device

HASTY = Bounds(relative_error=0.5, least_samples=2, least_s=0.0, timeout_s=1.0)
FP32 = torch.float32


@dataclass(frozen=True)
class KnownRate:
    per_s: float


def operations_of(work):
    with Operations() as counted:
        work()
    return [operation for operation in counted.each if operation.flops]


def test_a_grouped_convolution_is_one_product_a_group_and_its_gradients_are_two():
    images, weight = torch.randn(4, 6, 8, 8, requires_grad=True), torch.randn(10, 3, 3, 3, requires_grad=True)
    outputs = []
    (forward,) = operations_of(lambda: outputs.append(F.conv2d(images, weight, stride=2, padding=1, groups=2)))
    # Two groups: 4 images of 4x4 positions, 3 channels times 9 taps, 5 channels out.
    assert forward.products == (Product(2, 64, 27, 5, FP32),)
    assert forward.products[0].flops == forward.flops
    (backward,) = operations_of(lambda: outputs[0].sum().backward())
    assert backward.products == (Product(2, 64, 5, 27, FP32), Product(2, 5, 64, 27, FP32))


def test_the_products_of_a_convolution_have_its_flops():
    images, weight = torch.randn(4, 6, 8, 8, requires_grad=True), torch.randn(10, 6, 3, 3, requires_grad=True)
    outputs = []
    (forward,) = operations_of(lambda: outputs.append(F.conv2d(images, weight, padding=1)))
    (backward,) = operations_of(lambda: outputs[0].sum().backward())
    for operation in (forward, backward):
        assert sum(product.flops for product in operation.products) == operation.flops


def test_the_first_layer_has_only_the_gradient_of_its_weights():
    images, weight = torch.randn(2, 3, 4, 4), torch.randn(5, 3, 1, 1, requires_grad=True)
    output = F.conv2d(images, weight)
    (backward,) = operations_of(lambda: output.sum().backward())
    assert backward.products == (Product(1, 5, 32, 3, FP32),)


@pytest.mark.parametrize(
    ("work", "product"),
    [
        (lambda: torch.randn(4, 5) @ torch.randn(5, 6), Product(1, 4, 5, 6, FP32)),
        (lambda: torch.bmm(torch.randn(3, 4, 5), torch.randn(3, 5, 6)), Product(3, 4, 5, 6, FP32)),
        (lambda: F.linear(torch.randn(4, 5), torch.randn(6, 5), torch.randn(6)), Product(1, 4, 5, 6, FP32)),
        (
            lambda: torch.baddbmm(torch.randn(3, 4, 6), torch.randn(3, 4, 5), torch.randn(3, 5, 6)),
            Product(3, 4, 5, 6, FP32),
        ),
    ],
)
def test_matrix_products_have_their_sizes(work, product):
    (operation,) = operations_of(work)
    assert operation.products == (product,)


def test_an_operation_is_limited_by_its_products_or_by_its_bytes():
    product = Product(1, 10, 10, 10, FP32)
    limits = MachineLimits(KnownRate(100.0), {product: KnownRate(500.0)}, KnownRate(1000.0))  # type: ignore[arg-type]

    def least_s(flops, products, size):
        return limits.least_s([Operation("mm", "", flops, FP32, ((0, size),), (), products)])

    assert least_s(2000, (product,), 100) == 4.0  # 2000 FLOP at the rate of this size
    assert least_s(2000, (product,), 800) == 8.0  # 800 bytes
    assert least_s(2000, (Product(1, 5, 20, 10, FP32),), 0) == 2.0  # a size that was not measured
    assert least_s(0, (), 50) == 0.5


def test_a_large_product_is_cut_where_it_is_long():
    assert shortened(Product(1, 1000, 30, 40, FP32), 10**9) == Product(1, 1000, 30, 40, FP32)
    assert shortened(Product(1, 1000, 30, 40, FP32), 240_000) == Product(1, 100, 30, 40, FP32)
    assert shortened(Product(1, 30, 1000, 40, FP32), 240_000) == Product(1, 30, 100, 40, FP32)


def test_each_size_and_the_memory_are_measured(monkeypatch):
    monkeypatch.setattr("bench.profiling.reference.COPY_BYTES", {"cpu": 2**16})
    products = (Product(1, 32, 16, 8, FP32), Product(3, 8, 8, 8, torch.bfloat16))
    operations = [Operation("mm", "", product.flops, product.dtype, (), (), (product,)) for product in products * 2]
    limits = measured(Device("cpu"), operations, KnownRate(1.0), HASTY)  # type: ignore[arg-type]
    assert set(limits.products) == set(products)
    assert all(rate.per_s > 0 and rate.work == product.flops for product, rate in limits.products.items())
    assert limits.copy.per_s > 0


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aten::mkldnn_convolution", "conv or matrix product"),
        ("convolution_backward", "conv or matrix product"),
        ("aten::addmm", "conv or matrix product"),
        ("native_batch_norm_backward", "norm"),
        ("aten::max_pool2d_with_indices", "pooling"),
        ("gelu_backward", "activation"),
        ("_foreach_add_", kind_of("aten::add_")),
        ("_foreach_copy_", kind_of("aten::copy_")),
        ("_foreach_norm", kind_of("aten::linalg_vector_norm")),
        ("_fused_sgd_", "fused optimiser"),
        ("aten::_upsample_bilinear2d_aa", "resizing"),
        ("_Pooled", "Winograd transforms"),
        ("_AloneBackward", "Winograd transforms"),
        ("_ActivatedBackward", "activated norm"),
        ("activated_norm_moments", "activated norm"),
        ("bench::narrow_conv", "conv or matrix product"),
        ("aten::copy_", "copy"),
        ("aten::add_", OTHER_KIND),
    ],
)
def test_the_dispatchers_names_and_the_profilers_are_of_one_kind(name, kind):
    assert kind_of(name) == kind
