"""Layers in C++: what a recipe that asks for them says of a machine without a compiler, and of a GPU."""

from __future__ import annotations

import pytest
from torch import nn

from bench.errors import MissingError, UsageError
from bench.host import native
from bench.measures import assembly
from bench.spec import recipes

KEYS = ["winograd", "fused_activations"]
pytestmark = [pytest.mark.usefixtures("cxx"), pytest.mark.parametrize("key", KEYS)]


@pytest.fixture
def net():
    """A conv and a pooling, a norm and an activation."""
    return nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(16), nn.SiLU())


@pytest.fixture
def facts(key, net):
    """What a recipe with this value says of the network on a device."""

    def facts(value, device="cpu"):
        recipe = recipes.load("cifar94_cpu", device, [f"{one}={value if one == key else 'false'}" for one in KEYS])
        return assembly.speed_up(recipe, net, device)

    return facts


def kinds(net):
    return [type(layer) for layer in net]


PLAIN = [nn.Conv2d, nn.MaxPool2d, nn.BatchNorm2d, nn.SiLU]


@pytest.fixture
def no_compiler(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    native.load.cache_clear()
    yield
    native.load.cache_clear()


@pytest.mark.parametrize("value", ["true", "auto"])
def test_layers_are_replaced_and_counted(key, facts, net, value):
    assert facts(value) == {key: 1}
    assert kinds(net) != PLAIN


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_a_recipe_that_insists_is_refused_and_auto_says_so(key, facts, net):
    with pytest.raises(MissingError, match=rf"{key}: no C\+\+ compiler: no-such-compiler not found; {key}: auto"):
        facts("true")
    assert facts("auto") == {key: 0, f"{key}_lacks": "no C++ compiler: no-such-compiler not found"}
    assert kinds(net) == PLAIN


def test_on_a_gpu_auto_is_no(key, facts, net):
    assert facts("auto", "cuda") == {key: 0}
    with pytest.raises(UsageError, match=f"{key}: it is made for a CPU; write {key}: auto"):
        facts("true", "cuda")
    assert kinds(net) == PLAIN


def test_false_is_every_run_without_the_key(key):
    assert recipes.load("digits", "cpu", [f"{key}=false"]) == recipes.load("digits", "cpu")
