import subprocess
import sys

import pytest
import torch

from bench import models
from bench.errors import UsageError
from bench.registry.signature import check_value

DATA = {"in_channels": 3, "classes": 10, "image_size": 32}


def refusal(name, **options) -> str:
    with pytest.raises(models.ImpossibleModel) as caught:
        models.build(name, options, **DATA)
    return str(caught.value)


@pytest.mark.parametrize("name", sorted(models.MODELS.keys() - models.OF_TASKS.keys()))
def test_every_classifier_builds_with_its_defaults(name):
    with torch.device("meta"):
        net = models.build(name, {}, **DATA)
        reads_words = name.startswith("counting_rnn:")
        assert net(torch.empty(2, 3) if reads_words else torch.empty(2, 3, 32, 32)).shape[:2] == (2, 10)


@pytest.mark.parametrize("name", models.MODELS)
def test_every_registered_name_has_a_summary_and_a_builder(name):
    assert models.MODELS[name].summary
    assert callable(models.builder(name))


def test_checking_takes_no_memory():
    models.check("wide_resnet", {"depth": 28, "widen": 1000}, **DATA)  # 1.4 terabytes of weights, were they there


def test_names_are_known_without_torch():
    code = "import sys, models; print(len(models.MODELS), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(models.MODELS)), "False"]


def test_preloading_the_families_does_not_import_torchvision():
    modules = list(models.MODULES)
    code = (
        f"import importlib, sys; [importlib.import_module(m) for m in {modules}]; print('torchvision' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("name", "nearest"), [("darknett", "'darknet'"), ("torchvision:resnet19", "'torchvision:resnet18'")]
)
def test_an_unknown_model_names_the_nearest_and_the_command_that_lists_all(name, nearest):
    with pytest.raises(
        UsageError, match=f"unknown model '{name}' .did you mean {nearest}.*`bench list models` lists all"
    ):
        models.build(name, {}, **DATA)


def test_an_unknown_option_names_the_nearest_and_all():
    assert "no option 'widht' (did you mean 'width'?); it has: blocks, width" in refusal("darknet", widht=3)
    assert "it has: small_stem, zero_init_residual" in refusal("torchvision:resnet18", pretrained=True)
    # What the data decides is no option.
    assert "no option 'classes'" in refusal("darknet", classes=3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": "wide"}, "width is 'wide'; it takes a whole number"),
        ({"width": 8.0}, "width is 8.0; it takes a whole number"),
        ({"width": True}, "width is True; it takes a whole number"),
        ({"blocks": 3}, "blocks is 3; it takes a list with at least one entry"),
        ({"blocks": []}, "it takes a list"),
        ({"blocks": [1, "2"]}, "blocks, in [1, '2'], is '2'; it takes a whole number"),
        ({"bias": "no"}, "bias is 'no'; it takes true or false"),
        ({"inner_ratio": float("inf")}, "it takes a number"),
        (
            {"activation": "gelux"},
            "(did you mean 'gelu', 'selu' or 'relu'?); allowed: relu, leaky_relu, gelu, silu, hardswish, celu",
        ),
        ({"activation": ["gelu"]}, "allowed: relu"),
        ({"padding": None}, "allowed: zeros, reflect"),
    ],
)
def test_a_wrong_kind_of_value_is_no_traceback(options, said):
    assert said in refusal("darknet", **options)


def test_a_whole_number_is_a_number():
    check_value("inner_ratio", 1, float)


def test_torchvision_nets_are_torchvisions_own():
    from bench.pipelines.torchvision_compat import import_torchvision

    torch.manual_seed(0)
    ours = models.build("torchvision:resnet18", {}, **DATA)
    torch.manual_seed(0)
    theirs = import_torchvision("torchvision.models").resnet18(num_classes=10)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


@pytest.mark.parametrize("name", [name for name in models.MODELS if name.startswith("torchvision:")])
def test_a_torchvision_summary_states_its_size(name):
    with torch.device("meta"):
        net = models.build(name, {}, in_channels=3, classes=1000, image_size=224)
    assert f"{sum(p.numel() for p in net.parameters()) / 1e6:.1f} M" in models.MODELS[name].summary


def test_a_small_stem_takes_small_images_of_any_channels():
    assert "below 32 pixels, not 8; small_stem: true needs 8" in _refusal_at("torchvision:resnet18", 8)
    with torch.device("meta"):
        net = models.build("torchvision:resnet18", {"small_stem": True}, in_channels=1, classes=4, image_size=8)
        assert net(torch.empty(2, 1, 8, 8)).shape == (2, 4)


@pytest.mark.parametrize(("small_stem", "fan_out"), [(True, 64 * 3 * 3), (False, 64 * 7 * 7)])
def test_a_replaced_stem_is_initialised_as_torchvision_initialises_every_conv(small_stem, fan_out):
    torch.manual_seed(0)
    net = models.build("torchvision:resnet18", {"small_stem": small_stem}, in_channels=2, classes=4, image_size=32)
    assert net.conv1.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)
    assert net.layer1[0].conv1.weight.std().item() == pytest.approx((2 / (64 * 3 * 3)) ** 0.5, rel=0.1)


@pytest.mark.parametrize(
    ("name", "pixels", "said"),
    [
        ("resnet9", 4, "3 layers halve the image, so it needs 8 pixels, not 4"),
        ("mnist_plain", 16, "5 convs halve the image, so it needs 17 pixels, not 16"),
        ("wide_resnet", 3, "needs 4 pixels, not 3"),
        ("speedrun", 8, "3 groups halve the image to nothing at 8 pixels"),
        ("darknet", 8, "4 groups halve the image, so it needs 16 pixels, not 8"),
    ],
)
def test_an_image_too_small_is_refused_with_the_numbers(name, pixels, said):
    assert said in _refusal_at(name, pixels)


def test_a_residual_pair_stands_behind_a_layer_that_is_there():
    assert "residuals are layers 1 to 3 of these widths, not [0]" in refusal("resnet9", residuals=[0])


def _refusal_at(name, pixels):
    with pytest.raises(models.ImpossibleModel) as caught:
        models.check(name, {}, in_channels=3, classes=10, image_size=pixels)
    return str(caught.value)
