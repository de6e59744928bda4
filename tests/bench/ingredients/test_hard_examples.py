import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bench.host.clock import Clock
from bench.ingredients.hard_examples import HardExamples
from bench.training.curriculum import Curriculum, ShortEpochs
from bench.training.device import Device
from bench.training.goal import Goal
from bench.training.loss import Loss
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.schedules import linear
from bench.training.step import TrainingStep
from bench.training.trainer import Trainer

CPU = torch.device("cpu")


class Numbered:
    """22 images of one pixel, in batches of four, that the test knows by their value: their number."""

    batch_size, steps_per_epoch = 4, 5

    def __init__(self):
        self.shown = []

    def shuffled(self, epoch):
        return torch.randperm(22, generator=torch.Generator().manual_seed(epoch))

    def epoch(self, epoch, order):
        self.shown.append(order.tolist())
        for numbers in order.split(4):
            yield numbers.view(-1, 1, 1, 1).float(), numbers % 2


def noted(losses):
    hard = HardExamples(Numbered(), CPU)
    hard.note(torch.arange(len(losses)), torch.tensor(losses))
    return hard


def trained(epochs, short, warm_up=0, **options):
    torch.manual_seed(0)
    lr_on = CPU if "make_graph" in options else None
    train, precision = Numbered(), Precision("fp32", Device("cpu"))
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2))
    with torch.no_grad():
        model[1].weight.mul_(0.1)
    curriculum = Curriculum(epochs, train.steps_per_epoch, short=short)
    hard = HardExamples(train, CPU)
    test = [(torch.zeros(1, 1, 1, 1), torch.zeros(1, dtype=torch.int64))]
    sgd = {"name": "sgd", "lr": options.pop("lr", 1e-7)}
    train_step = TrainingStep(
        model,
        model,
        lambda: Optimizers(model, sgd, {}, linear(), curriculum.total_batches, 5, lr_on=lr_on),
        precision,
        Loss(0.1, options.pop("reduction", "mean")),
        [hard],
        **options,
    )
    goal, tests = Goal(epochs, eval_every_epochs=0), type("Test", (), {"epoch": lambda self, _: test})()
    made = Trainer(train_step, train, tests, goal, Clock(), curriculum)
    if warm_up:
        made.warm_up(warm_up, torch.arange(4.0).view(-1, 1, 1, 1), torch.arange(4) % 2)
    made.run()
    return made, train, hard


def test_the_largest_losses_stay_in_the_order_of_the_epoch():
    hard = noted([float(number % 7) for number in range(22)])
    numbers = torch.tensor([0, 6, 1, 13, 5, 12, 3])
    assert hard.hardest(numbers, 3).tolist() == [6, 13, 5]
    assert hard.hardest(numbers, 7).tolist() == numbers.tolist()


def test_an_image_that_was_never_shown_is_hard_and_one_left_out_comes_back():
    hard = noted([9.0] * 20)
    assert hard.hardest(torch.arange(22), 2).tolist() == [20, 21]
    hard.note(torch.tensor([20, 21]), torch.tensor([1.0, 1.0]))
    assert hard.hardest(torch.arange(22), 20).tolist() == list(range(20))
    hard.note(torch.arange(20), torch.zeros(20))
    assert hard.hardest(torch.arange(22), 2).tolist() == [20, 21]


@given(st.lists(st.floats(0, 10, width=32), min_size=22, max_size=22), st.integers(1, 22))
def test_no_image_that_is_left_out_is_harder_than_one_that_is_shown(losses, count):
    shown = noted(losses).hardest(torch.arange(22), count).tolist()
    assert len(set(shown)) == count
    left_out = [loss for number, loss in enumerate(losses) if number not in shown]
    assert min(losses[number] for number in shown) >= max(left_out, default=-math.inf)


@pytest.mark.parametrize(
    ("share", "epochs", "first"), [(0.4, 10, 4), (0.4, 7.59, 4), (0.41, 10, 5), (0.0, 3, 0), (0.3, 10, 3), (0.9, 2, 2)]
)
def test_short_epochs_begin_with_the_first_whole_one_after_their_share(share, epochs, first):
    assert ShortEpochs.between(share, None, epochs, 0.5).first == first


def test_the_last_epochs_may_be_whole_again():
    short = ShortEpochs.between(0.25, 0.85, 8, 0.5)
    assert [short.share(epoch) for epoch in range(9)] == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 1, 1]


def test_every_so_many_th_of_them_is_whole():
    short = ShortEpochs(0.5, first=2, every=3)
    assert [short.share(epoch) for epoch in range(9)] == [1, 1, 0.5, 0.5, 1, 0.5, 0.5, 1, 0.5]


@pytest.mark.parametrize(("reduction", "accumulate"), [("mean", 1), ("sum", 2)])
def test_the_loop_shows_the_images_whose_own_loss_was_largest(reduction, accumulate):
    made, train, hard = trained(2, ShortEpochs(0.4, first=1), reduction=reduction, accumulate=accumulate)
    first, second = train.shown
    assert len(first) == 20
    assert len(second) == 8
    assert (made.examples, made.step, made.epochs) == (28, made.total_steps, 1.4)
    # The weights hardly move, so that the loss of each can be had from them as they are now.
    images = torch.arange(22.0).view(-1, 1, 1, 1)
    losses = Loss(0.1).of_each(made.model(images), torch.arange(22) % 2).detach()
    assert torch.allclose(hard._losses[first], losses[first], rtol=0.1)
    unseen = set(range(22)) - set(first)
    assert unseen <= set(second)
    kept = sorted(losses[number].item() for number in second if number not in unseen)
    left_out = [losses[number].item() for number in first if number not in second]
    assert kept[0] >= max(left_out) * 0.9
    positions = [train.shuffled(1).tolist().index(number) for number in second]
    assert positions == sorted(positions)


def test_whole_epochs_show_what_the_loader_would():
    _, train, _ = trained(2, ShortEpochs(0.5, first=2))
    assert train.shown == [train.shuffled(epoch)[:20].tolist() for epoch in range(2)]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_the_losses_of_the_examples_make_the_loss_of_the_batch(reduction):
    loss, logits, labels = Loss(0.2, reduction), torch.randn(6, 3), torch.arange(6) % 3
    assert torch.allclose(loss.reduced(loss.of_each(logits, labels)), loss(logits, labels))


def test_a_run_that_ends_within_a_short_epoch_has_its_part_of_it():
    made, train, _ = trained(2.5, ShortEpochs(0.8, first=1))
    assert made.step == made.total_steps == 5 + 4 + 2
    assert [len(order) for order in train.shown] == [20, 16, 16]
    assert made.examples == 44


class Replayed:
    """Stands in for a CUDA graph, as in test_loop.py: the same memory, whatever the arguments are."""

    def __init__(self, work, inputs):
        self.work, self.inputs = work, [tensor.clone() for tensor in inputs]
        work(*self.inputs)

    def __call__(self, *inputs):
        for static, new in zip(self.inputs, inputs, strict=True):
            static.copy_(new)
        return self.work(*self.inputs)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_a_captured_step_notes_the_losses_of_its_own_images_and_a_warm_up_none(reduction):
    short = ShortEpochs(0.4, first=1)
    plain, shown, losses = trained(3, short, lr=1e-3, reduction=reduction)
    for options in ({"warm_up": 2}, {"warm_up": 2, "make_graph": Replayed}):
        made, shown_here, losses_here = trained(3, short, lr=1e-3, reduction=reduction, **options)
        assert shown_here.shown == shown.shown
        assert torch.allclose(losses_here._losses, losses._losses, rtol=1e-5)
        assert made.rows[-1]["loss"] == pytest.approx(plain.rows[-1]["loss"], rel=1e-5)


def test_another_run_of_captured_steps_begins_with_no_loss_known():
    short = ShortEpochs(0.4, first=1)
    made, _, hard = trained(2, short, warm_up=1, make_graph=Replayed)
    after, _, fresh = trained(2, short, warm_up=1, make_graph=Replayed)
    after.train_step.take_over(made.train_step)
    assert fresh._losses is hard._losses
    assert hard._losses.isinf().all()
