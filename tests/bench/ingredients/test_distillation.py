from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bench.ingredients.distillation import Distillation
from bench.training.device import Device
from bench.training.examples import Examples, SoftLabels
from bench.training.flops import forward_flops
from bench.training.loss import Loss
from bench.training.precision import Precision

CPU = Precision("fp32", Device("cpu"))


def teacher(classes=5):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, classes)).eval().requires_grad_(False)


def batch(count=6, side=4, classes=5):
    return Examples(torch.randn(count, 3, side, side), torch.arange(count) % classes)


def test_the_answers_are_the_teachers_softened_by_the_temperature():
    net, examples = teacher(), batch()
    soft = Distillation(net, CPU, temperature=3.0, share=0.4).mix(examples, 0).soft_labels
    assert torch.allclose(soft.probabilities, (net(examples.images) / 3).softmax(1))
    assert (soft.temperature, soft.share) == (3.0, 0.4)
    assert not soft.probabilities.requires_grad


def test_with_mirror_an_image_and_its_mirror_image_have_one_answer():
    hook, examples = Distillation(teacher(), CPU, mirror=True), batch()
    mirrored = replace(examples, images=examples.images.flip(-1))
    assert torch.allclose(
        hook.mix(examples, 0).soft_labels.probabilities, hook.mix(mirrored, 0).soft_labels.probabilities
    )


@given(temperature=st.floats(0.5, 8), share=st.floats(0.1, 1), reduction=st.sampled_from(["mean", "sum"]))
def test_the_gradients_are_those_of_hintons_loss(temperature, share, reduction):
    torch.manual_seed(1)
    logits, labels = torch.randn(6, 5, dtype=torch.float64, requires_grad=True), torch.arange(6) % 5
    probabilities = torch.randn(6, 5).softmax(1)
    loss = Loss(0.1, reduction)(logits, labels, soft_labels=SoftLabels(probabilities, temperature, share))
    (found,) = torch.autograd.grad(loss, logits)
    divergence = F.kl_div((logits / temperature).log_softmax(1), probabilities.double(), reduction="none").sum(1)
    each = (1 - share) * F.cross_entropy(logits, labels, label_smoothing=0.1, reduction="none")
    each = each + share * temperature**2 * divergence
    (expected,) = torch.autograd.grad(each.sum() if reduction == "sum" else each.mean(), logits)
    assert torch.allclose(found, expected, atol=1e-5 * temperature**2)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_loss_of_a_batch_is_that_of_its_examples(reduction):
    logits, labels, soft = torch.randn(6, 5), torch.arange(6) % 5, SoftLabels(torch.randn(6, 5).softmax(1), 2.0, 0.7)
    loss = Loss(0.2, reduction)
    assert torch.allclose(loss.reduced(loss.of_each(logits, labels, soft)), loss(logits, labels, soft_labels=soft))


def test_parts_keep_their_answers():
    taught = Distillation(teacher(), CPU, 2.0, 0.5).mix(batch(), 0)
    parts = list(taught.split(3))
    assert torch.equal(torch.cat([part.soft_labels.probabilities for part in parts]), taught.soft_labels.probabilities)
    assert {(part.soft_labels.temperature, part.soft_labels.share) for part in parts} == {(2.0, 0.5)}


def test_every_view_that_the_teacher_saw_is_counted_also_after_an_interruption():
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Conv2d(3, 5, 1, bias=False)

        def forward(self, images):
            return self.head(images).mean((2, 3))

    net, image = Mean().eval(), torch.randn(1, 3, 8, 8)
    hook = Distillation(net, CPU, mirror=True)
    with hook.forgotten():
        hook.mix(batch(), 0)
    hook.mix(batch(6, side=4), 0)
    again = Distillation(net, CPU, mirror=True)
    again.restore(hook.state())
    again.mix(batch(2, side=8), 1)
    assert again.flops(image) == 2 * (6 * forward_flops(net, image[..., :4, :4]) + 2 * forward_flops(net, image))
