"""Recipes of segmentation and restoration: what goes together, and what is refused before anything starts."""

import re

import pytest

from bench.errors import MissingError, UsageError
from bench.spec import kept_nets, recipes
from bench.spec.buildable import why_not


@pytest.fixture
def results(tmp_path):
    """Where no run is."""
    token = kept_nets.RESULTS.set(tmp_path)
    yield
    kept_nets.RESULTS.reset(token)


@pytest.mark.parametrize(
    ("recipe", "settings", "said"),
    [
        ("unet", ["data=cifar10"], "loader: cifar10 has no targets, which pairs loads; take resident, ffcv or torch"),
        ("unet", ["loader=resident"], "loader: pasted_digits has targets, which resident does not load; take pairs"),
        ("unet", ["model=image_unet"], "model: task segmentation trains unet, not image_unet"),
        ("unet", ["task={name: restoration}"], "model: task restoration trains image_unet, not unet"),
        ("unet", ["task=null"], "model: unet is no classifier; add task: segmentation"),
        ("unet", ["task.frozen_until=1.5"], "task.frozen_until is 1.5"),
        ("unet", ["data.void=maybe"], "data.void: pasted_digits: void is 'maybe'; allowed: true or false"),
        ("superres", ["task.features=null"], "task.features: name the classifier whose features are compared"),
        ("superres", ["task.los=l1"], "unknown key 'task.los' (did you mean 'loss'"),
        ("restore_gan", ["task.critic_until=0.1"], "task.critic_until: 0.1 comes before generator_until: 0.3"),
        ("digits", ["loader=pairs"], "loader: digits has no targets"),
        ("unet", ["task=null", "model=resnet9"], "loader: pairs is for task segmentation or restoration"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_key(recipe, settings, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        recipes.load(recipe, "cpu", settings)


@pytest.mark.parametrize(
    ("recipe", "settings", "said"),
    [
        ("unet", ["model.widths=[8, 8, 8, 8, 8, 8]"], "6 stages halve the image, so it needs 64 pixels, not 32"),
        ("unet", ["model.widths=[8, 7]"], "a doubling halves the channels, and 7 is odd"),
        ("restore_gan", ["model.critic_blocks=3"], "critic_blocks: 3 blocks need images of 64 pixels, not 32"),
    ],
)
def test_a_net_that_does_not_suit_the_images_is_told_before_anything_starts(recipe, settings, said):
    assert said in why_not(recipes.load(recipe, "cpu", settings))


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize("recipe", ["superres", "restore", "restore_gan", "unet_frozen"])
def test_a_network_that_is_not_here_is_named_with_the_command_that_trains_it(recipe):
    with pytest.raises(MissingError, match="bench run encoder_cifar10 --keep-weights"):
        kept_nets.needed(recipes.load(recipe, "cpu"))


@pytest.mark.usefixtures("results")
@pytest.mark.parametrize("recipe", ["unet", "superres_pixels", "unet_smoke", "restore_smoke", "restore_gan_smoke"])
def test_a_network_that_may_be_left_out_is_not_looked_for(recipe):
    assert kept_nets.needed(recipes.load(recipe, "cpu")) == {}
