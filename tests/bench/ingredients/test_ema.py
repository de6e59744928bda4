import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from bench.ingredients.ema import Ema


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))


def begun(model, *args, **options):
    """An average of a run that begins with the weights as they are."""
    ema = Ema(model, *args, **options)
    ema.begin()
    return ema


def shake(model, step):
    """Change all that training changes, batch statistics included."""
    generator = torch.Generator().manual_seed(step)
    with torch.no_grad():
        for value in model.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.randn(value.shape, generator=generator).to(value.dtype))


def floating(model):
    return [value.clone() for value in model.state_dict().values() if value.is_floating_point()]


def test_it_is_torchs_averaged_model():
    model = network()
    reference = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
    reference.update_parameters(model)  # its first update takes the weights as they are
    ema = begun(model, 0.9)
    for step in range(1, 8):
        shake(model, step)
        reference.update_parameters(model)
        ema.after_step(step, 7)
    with ema.evaluated():
        for ours, theirs in zip(floating(model), floating(reference.module), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-6)


def test_the_weights_come_back_even_after_an_error():
    model = network()
    ema = begun(model, 0.5)
    shake(model, 1)
    own = floating(model)

    def fail():
        with ema.evaluated():
            assert not torch.equal(floating(model)[0], own[0])
            raise RuntimeError("evaluation failed")

    with pytest.raises(RuntimeError, match="evaluation failed"):
        fail()
    assert all(torch.equal(a, b) for a, b in zip(floating(model), own, strict=True))


def test_several_steps_at_once_decay_as_several():
    """Weights that stand still: one update of three steps is three updates."""
    singly, at_once = network(), network()
    one, three = begun(singly, 0.8), begun(at_once, 0.8, every=3)
    for model in (singly, at_once):
        shake(model, 1)
    for step in range(1, 4):
        one.after_step(step, 10)
        three.after_step(step, 10)
    with one.evaluated(), three.evaluated():
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(floating(singly), floating(at_once), strict=True))


def test_it_begins_with_the_weights_at_its_start():
    model = network()
    ema = begun(model, 0.9, start=0.5)
    for step in range(1, 6):
        shake(model, step)
        own = floating(model)
        ema.after_step(step, 10)
        with ema.evaluated():
            assert all(torch.equal(a, b) for a, b in zip(floating(model), own, strict=True))
    first_weights = floating(model)
    shake(model, 6)
    own = floating(model)
    ema.after_step(6, 10)
    with ema.evaluated():
        for average, first, second in zip(floating(model), first_weights, own, strict=True):
            assert torch.allclose(average, 0.9 * first + 0.1 * second, atol=1e-6)


def test_half_precision_weights_lose_no_small_change():
    """A change of 1 that a decay of 0.9999 takes in slowly: in bf16 itself it would never arrive."""
    model = nn.Linear(1, 1, bias=False).to(torch.bfloat16)
    nn.init.ones_(model.weight)
    ema = begun(model, 0.9999)
    nn.init.constant_(model.weight, 2.0)
    for step in range(1, 2001):
        ema.after_step(step, 2000)
    with ema.evaluated():
        assert model.weight.item() == pytest.approx(2 - 0.9999**2000, rel=0.01)
