import contextlib

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from bench import models
from bench.models.darknet import Darknet, ResLayer

DATA = {"in_channels": 3, "classes": 10, "image_size": 32}
SMALL = {"blocks": [1, 1, 1], "width": 4}


def build(**options):
    return models.build("darknet", options, **DATA)


def refusal(image_size=32, **options):
    with pytest.raises(models.ImpossibleModel) as caught:
        models.check("darknet", options, **(DATA | {"image_size": image_size}))
    return str(caught.value)


def convs_of(net):
    return [module for module in net.modules() if isinstance(module, nn.Conv2d)]


def parameter_count(net):
    return sum(p.numel() for p in net.parameters())


def test_the_lessons_network_has_the_lessons_layers():
    net = build()
    convs = convs_of(net)
    # The stem, one conv that opens each of five groups, and two in each residual layer.
    assert len(convs) == 1 + 5 + 2 * (1 + 2 + 4 + 6 + 3)
    assert [conv.out_channels for conv in convs if conv.stride == (2, 2)] == [64, 256, 512, 1024]
    assert all(conv.bias is None for conv in convs)
    assert all(module.momentum == 0.01 for module in net.modules() if isinstance(module, nn.BatchNorm2d))


def test_a_seed_draws_the_weights_that_it_drew_before_the_block_had_options():
    """A layer's batch norm first, then its conv; layers in the order of the forward pass; the head last."""

    def layer(channels_in, channels_out, kernel):
        scale = nn.init.uniform_(torch.empty(channels_out))
        return [nn.Conv2d(channels_in, channels_out, kernel, bias=False).weight, scale]

    torch.manual_seed(0)
    drawn = [*layer(3, 8, 3), *layer(8, 16, 3), *layer(16, 8, 1), *layer(8, 16, 3), nn.Linear(16, 10).weight]
    torch.manual_seed(0)
    net = build(blocks=[1], width=8)
    shifts_of_norms = {id(module.bias) for module in net.modules() if isinstance(module, nn.BatchNorm2d)}
    made = [p for p in net.parameters() if id(p) not in shifts_of_norms]
    assert all(torch.equal(a, b) for a, b in zip(drawn, made[:-1], strict=True))


def test_batch_norm_starts_as_in_the_torch_of_the_lesson():
    scales = torch.cat([module.weight for module in build().modules() if isinstance(module, nn.BatchNorm2d)])
    assert 0 <= scales.min() < 0.05
    assert 0.95 < scales.max() <= 1
    assert scales.mean().item() == pytest.approx(0.5, abs=0.02)


def test_parameters_add_up():
    def conv(channels_in, channels_out, kernel):
        return channels_in * channels_out * kernel**2 + 2 * channels_out

    expected, width = conv(3, 32, 3), 32
    for layers in (1, 2, 4, 6, 3):
        expected += conv(width, 2 * width, 3)
        width *= 2
        expected += layers * (conv(width, width // 2, 1) + conv(width // 2, width, 3))
    assert parameter_count(build()) == expected + width * 10 + 10


@pytest.mark.parametrize("size", [32, 48])
def test_adaptive_pooling_takes_any_size(size):
    assert build(**SMALL)(torch.randn(2, 3, size, size)).shape == (2, 10)


def test_the_default_options_are_the_lessons():
    assert [p.shape for p in Darknet().parameters()] == [p.shape for p in build().parameters()]


@pytest.mark.parametrize(
    ("options", "convs"),
    [
        ({}, [(8, 4, 1, 1), (4, 8, 3, 1)]),
        ({"inner_ratio": 1}, [(8, 8, 1, 1), (8, 8, 3, 1)]),
        ({"inner_ratio": 2, "kernel_sizes": [3, 3]}, [(8, 16, 3, 1), (16, 8, 3, 1)]),
        ({"kernel_sizes": [5]}, [(8, 8, 5, 1)]),
        ({"kernel_sizes": [1, 3, 1], "groups": 2}, [(8, 4, 1, 2), (4, 4, 3, 2), (4, 8, 1, 2)]),
        ({"dense": True}, [(8, 4, 1, 1), (4, 4, 3, 1)]),
    ],
)
def test_a_block_is_made_of_the_convs_that_were_asked_for(options, convs):
    (block,) = [module for module in build(blocks=[1], width=4, **options).modules() if isinstance(module, ResLayer)]
    found = [(c.in_channels, c.out_channels, c.kernel_size[0], c.groups) for c in convs_of(block)]
    assert found == convs


@pytest.mark.parametrize("order", ["conv-bn-act", "conv-act-bn", "bn-act-conv"])
def test_layers_stand_in_the_order_of_the_option(order):
    net = build(blocks=[1], width=4, order=order)
    kinds = {nn.Conv2d: "conv", nn.BatchNorm2d: "bn", nn.LeakyReLU: "act"}
    layers = [kinds[type(module)] for module in net.body.modules() if type(module) in kinds]
    assert "-".join(layers[-3:] if order != "bn-act-conv" else layers[1:4]) == order
    # Whatever the order, pooling sees what was normalised, and no conv an image that was.
    assert layers[0] == "conv"
    assert layers.count("conv") == layers.count("bn") == layers.count("act")


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "gelu", "silu", "hardswish", "celu"])
@pytest.mark.parametrize("order", ["conv-bn-act", "conv-act-bn", "bn-act-conv"])
def test_in_place_changes_memory_and_no_number(order, activation):
    """Outputs and all gradients, against the same net that overwrites nothing."""
    nets = []
    for inplace in (True, False):
        torch.manual_seed(0)
        nets.append(build(**SMALL, order=order, activation=activation, inplace=inplace))
    x = torch.randn(4, 3, 32, 32)
    outputs = [net(x) for net in nets]
    assert torch.allclose(*outputs)
    for output in outputs:
        output.square().sum().backward()
    # CELU's derivative is taken from its result instead of its input, which rounds otherwise.
    gradients = zip(*(net.parameters() for net in nets), strict=True)
    assert all(torch.allclose(a.grad, b.grad, rtol=1e-4, atol=1e-4) for a, b in gradients)


def saved_bytes(net):
    """What autograd keeps of a forward pass."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = net(torch.randn(8, 3, 32, 32))
        assert output.shape == (8, 10)
    return sum(kept.values())


def test_in_place_activations_keep_less():
    assert saved_bytes(build(**SMALL)) < 0.9 * saved_bytes(build(**SMALL, inplace=False))


def test_dense_blocks_append_half_a_groups_width_each():
    net = build(blocks=[0, 3], width=4, dense=True)
    assert net.head[-1].in_features == 16 + 3 * 8


def test_biases_and_padding_reach_every_conv():
    net = build(**SMALL, bias=True, padding="reflect")
    assert all(conv.bias is not None and conv.padding_mode == "reflect" for conv in convs_of(net))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"groups": 3}, "3 groups do not divide the 64 input channels of a conv"),
        ({"groups": 0}, "0 groups do not divide"),
        ({"kernel_sizes": [1, 2]}, "a kernel is odd, so that it has a middle, and between 1 and 63, not 2"),
        ({"kernel_sizes": [0]}, "not 0"),
        ({"inner_ratio": 0.3}, "inner_ratio 0.3 of 64 channels is 19.2, and channels are whole"),
        ({"inner_ratio": -1}, "inner_ratio -1 of 64 channels is -64"),
        ({"width": 0}, "width: 0 is not between 1 and 65536"),
        ({"width": 4096}, "output channels of a conv: 131072 is not between 1 and 65536"),
        ({"blocks": [1, -1]}, "each of 0 to 1000 layers, not [1, -1]"),
        ({"blocks": [1] * 7}, "6 groups halve the image, so it needs 64 pixels, not 32"),
        (
            {"blocks": [1] * 6, "padding": "reflect"},
            "reflect padding for a kernel of 3 needs 2 pixels a side, and there are 1",
        ),
        (
            {"blocks": [1] * 4, "kernel_sizes": [11], "padding": "circular"},
            "circular padding for a kernel of 11 needs 5 pixels a side, and there are 4",
        ),
    ],
)
def test_an_impossible_combination_is_refused_with_the_numbers(options, said):
    assert said in refusal(**options)


def test_an_image_too_small_is_refused_with_the_numbers():
    assert "4 groups halve the image, so it needs 16 pixels, not 8" in refusal(image_size=8)


OPTIONS = {
    "blocks": st.lists(st.integers(-1, 2), max_size=5),
    "width": st.sampled_from([-1, 0, 1, 2, 4, 6, 8, 12, 20_000]),
    "inner_ratio": st.sampled_from([-0.5, 0, 0.25, 0.3, 0.5, 1, 1.5, 2]),
    "kernel_sizes": st.lists(st.sampled_from([-1, 0, 1, 2, 3, 5, 9]), max_size=3),
    "groups": st.sampled_from([-2, 0, 1, 2, 3, 4]),
    "activation": st.sampled_from(["relu", "leaky_relu", "gelu", "silu", "celu", "tanh"]),
    "order": st.sampled_from(["conv-bn-act", "conv-act-bn", "bn-act-conv", "act-conv-bn"]),
    "inplace": st.booleans(),
    "padding": st.sampled_from(["zeros", "reflect", "replicate", "circular", "black"]),
    "bias": st.booleans(),
    "dense": st.booleans(),
}
VALID = OPTIONS | {
    "blocks": st.lists(st.integers(0, 2), min_size=1, max_size=4),
    "width": st.sampled_from([4, 8, 12]),
    "inner_ratio": st.sampled_from([0.5, 1, 2]),
    "kernel_sizes": st.lists(st.sampled_from([1, 3, 5]), min_size=1, max_size=3),
    "groups": st.sampled_from([1, 2, 4]),
    "activation": st.sampled_from(["relu", "leaky_relu", "gelu", "silu", "celu"]),
    "order": st.sampled_from(["conv-bn-act", "conv-act-bn", "bn-act-conv"]),
    "padding": st.sampled_from(["zeros", "replicate"]),
}


@settings(max_examples=25)
@given(st.fixed_dictionaries({}, optional=VALID), st.integers(8, 40), st.sampled_from([1, 3]))
def test_every_valid_combination_makes_logits(options, size, channels):
    options = {"blocks": [1, 1], "width": 8} | options
    with torch.device("meta"):
        net = models.build("darknet", options, in_channels=channels, classes=7, image_size=size)
        assert net(torch.empty(2, channels, size, size)).shape == (2, 7)


@given(st.fixed_dictionaries({}, optional=OPTIONS), st.integers(1, 40))
def test_every_combination_makes_logits_or_is_refused_before_it_runs(options, size):
    options = {"blocks": [1, 1], "width": 8} | options
    with torch.device("meta"):
        try:
            net = models.build("darknet", options, in_channels=3, classes=7, image_size=size)
        except models.ImpossibleModel:
            return
        assert net(torch.empty(2, 3, size, size)).shape == (2, 7)


@given(
    st.dictionaries(
        st.sampled_from([*OPTIONS, "depth"]),
        st.none() | st.integers() | st.floats() | st.text(max_size=3) | st.lists(st.integers() | st.none(), max_size=2),
        min_size=1,
    )
)
def test_garbage_is_refused_and_nothing_else_is_raised(options):
    with contextlib.suppress(models.ImpossibleModel):
        models.check("darknet", {"blocks": [0], "width": 8} | options, **DATA)
