import itertools

import pytest
import torch
from torch import nn

from bench.host.clock import Clock
from bench.ingredients.cutmix import CutMix
from bench.ingredients.ema import Ema
from bench.training.compiled import compiled
from bench.training.curriculum import Curriculum
from bench.training.device import Device
from bench.training.goal import Goal
from bench.training.loop import Diverged
from bench.training.loss import Loss
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.schedules import linear
from bench.training.step import TrainingStep
from bench.training.trainer import Trainer


class Blobs:
    """Two well-separated classes of 2×2 images; `steps` batches of eight an epoch."""

    def __init__(self, steps: int = 4, gap: float = 4.0) -> None:
        self.steps_per_epoch, self.gap = steps, gap
        self.epochs_drawn: list[int] = []

    def epoch(self, epoch):
        self.epochs_drawn.append(epoch)
        generator = torch.Generator().manual_seed(epoch)
        for _ in range(self.steps_per_epoch):
            labels = torch.arange(8) % 2
            yield torch.randn(8, 1, 2, 2, generator=generator) + self.gap * labels.view(-1, 1, 1, 1), labels


def network(norm=True):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.BatchNorm1d(4) if norm else nn.Identity(), nn.Linear(4, 2)
    )


def trainer(
    train=None,
    test=None,
    lr=0.05,
    reduction="mean",
    report=lambda event: None,
    model=None,
    extras=None,
    hooks=(),
    **goal,
):
    model, extras = model or network(), extras or {}
    train, goal = train or Blobs(), Goal(**{"epochs": 3} | goal)
    curriculum = {key: extras.pop(key) for key in ("sizes", "cuts", "scale_lr") if key in extras}
    train_step = TrainingStep(
        model,
        model,
        lambda: Optimizers(
            model, {"name": "sgd", "lr": lr}, {}, linear(), made.curriculum.total_batches, train.steps_per_epoch
        ),
        Precision("fp32", Device("cpu")),
        Loss(reduction=reduction),
        hooks,
        **extras,
    )
    made = Trainer(
        train_step,
        train,
        test or Blobs(),
        goal,
        Clock(),
        Curriculum(goal.epochs, train.steps_per_epoch, **curriculum),
        report,
    )
    return made


def names(made):
    return [span.name for span in made.clock.spans]


def test_it_learns_and_records_every_epoch():
    made = trainer(target_accuracy=0.9, tta=0)
    made.run()
    assert made.accuracy > 0.9
    assert [row["epoch"] for row in made.rows] == [1, 2, 3]
    assert [row["steps"] for row in made.rows] == [4, 8, 12]
    assert made.rows[0]["loss"] > made.rows[-1]["loss"]
    assert made.examples == 96
    assert [row["lr"] for row in made.rows] == pytest.approx([0.05 * (1 - step / 12) for step in (3, 7, 11)])
    assert {(row["lr_role"], row["momentum"]) for row in made.rows} == {("head", 0.0)}
    seconds = [row["train_s"] for row in made.rows]
    assert seconds == sorted(seconds)
    assert seconds[-1] == pytest.approx(made.clock.total_s("train"))


def test_the_last_evaluation_is_the_final_one_where_both_are_the_same():
    made = trainer()
    made.run()
    assert names(made) == ["init", "train", "eval", "train", "eval", "train", "final_eval"]
    assert made.rows[-1]["accuracy"] == made.accuracy


def test_a_stronger_final_evaluation_comes_on_top():
    made = trainer(tta=1, epoch_tta=0)
    made.run()
    assert names(made)[-3:] == ["train", "eval", "final_eval"]


@pytest.mark.parametrize(("every", "evals"), [(0, 0), (1, 4), (2, 2), (3, 1)])
def test_evaluations_are_as_rare_as_asked(every, evals):
    made = trainer(epochs=5, eval_every_epochs=every)
    made.run()
    assert names(made).count("eval") == evals
    assert names(made).count("final_eval") == 1


def test_nothing_is_evaluated_before_the_first_epoch_that_may_be_the_last():
    made = trainer(epochs=5, first_eval_epoch=4)
    made.run()
    assert [row["accuracy"] is None for row in made.rows] == [True, True, True, False, False]


def test_it_stops_at_the_target():
    made = trainer(epochs=50, lr=0.5, target_accuracy=0.9, stop_at_target=True)
    made.run()
    assert len(made.rows) < 50
    assert made.accuracy >= 0.9
    assert all(row["accuracy"] < 0.9 for row in made.rows[:-1])


def test_it_runs_its_epochs_when_not_told_to_stop():
    made = trainer(epochs=6, lr=0.5, target_accuracy=0.5)
    made.run()
    assert len(made.rows) == 6


def test_fractional_epochs_end_within_one():
    train = Blobs(steps=10)
    made = trainer(train=train, epochs=2.35)
    made.run()
    assert made.step == made.total_steps == 24
    assert train.epochs_drawn == [0, 1, 2]


def test_a_loss_that_is_not_finite_is_a_divergence():
    made = trainer(train=Blobs(gap=float("nan")))
    with pytest.raises(Diverged, match=r"the loss is nan in epoch 1"):
        made.run()
    assert made.step >= 1
    assert made.rows == []


def test_sum_and_mean_report_the_same_loss():
    rows = []
    for reduction, lr in (("mean", 0.08), ("sum", 0.01)):
        made = trainer(reduction=reduction, lr=lr)
        made.run()
        rows.append(made.rows)
    for left, right in zip(*rows, strict=True):
        assert left["loss"] == pytest.approx(right["loss"], rel=1e-4)


def test_a_warm_up_changes_nothing():
    cold, warm = trainer(), trainer()
    warm.warm_up(5, torch.randn(8, 1, 2, 2), torch.zeros(8, dtype=torch.long))
    for made in (cold, warm):
        made.run()
    drop = {"train_s"}
    for left, right in zip(cold.rows, warm.rows, strict=True):
        assert {k: v for k, v in left.items() if k not in drop} == {k: v for k, v in right.items() if k not in drop}
    for left, right in zip(cold.model.state_dict().values(), warm.model.state_dict().values(), strict=True):
        assert torch.equal(left, right)


def test_steps_are_reported_now_and_then_and_epochs_always(monkeypatch):
    ticks = itertools.count(step=0.1)
    monkeypatch.setattr("bench.training.loop.time.monotonic", lambda: next(ticks))
    events = []
    trainer(train=Blobs(steps=40), epochs=2, report=events.append).run()
    kinds = [event["kind"] for event in events]
    assert kinds.count("epoch") == 2
    assert 0 < kinds.count("step") < 80
    assert all(event["total_steps"] == 80 for event in events if event["kind"] == "step")


def test_one_seed_repeats_itself():
    first, second = trainer(), trainer()
    first.run()
    second.run()
    assert [row["loss"] for row in first.rows] == [row["loss"] for row in second.rows]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("hooks", [(), (CutMix(probability=1.0),)])
def test_accumulated_parts_are_one_batch_where_no_norm_looks_at_the_batch(reduction, hooks):
    whole, parts = (
        trainer(lr=0.01, reduction=reduction, model=network(norm=False), extras={"accumulate": n}, hooks=hooks)
        for n in (1, 4)
    )
    for made in (whole, parts):
        made.run()
    assert (parts.step, parts.examples) == (whole.step, whole.examples) == (12, 96)
    for left, right in zip(whole.rows, parts.rows, strict=True):
        assert left["loss"] == pytest.approx(right["loss"], rel=1e-5)
    for left, right in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        assert torch.allclose(left, right, atol=1e-6)


def test_smaller_batches_are_more_steps_over_the_same_examples():
    made = trainer(epochs=2.5, extras={"cuts": [(0.4, 4), (0.8, 2)]})
    made.run()
    assert made.total_steps == made.step == 4 * 4 + 4 * 2 + 2
    assert [row["steps"] for row in made.rows] == [16, 24, 26]
    assert [row["examples"] for row in made.rows] == [32, 64, 80]
    assert made.epochs == 2.5


def test_the_schedule_goes_by_examples_and_the_rate_by_the_batch_where_asked():
    rates = {}
    for scale_lr in (False, True):
        made = trainer(lr=1.0, epochs=2, extras={"cuts": [(0.5, 2)], "scale_lr": scale_lr})
        step, rates[scale_lr] = made.train_step.precision.step, []

        def noted(optimizers, step=step, seen=rates[scale_lr]):
            seen.append(optimizers[0].param_groups[0]["lr"])
            step(optimizers)

        made.train_step.precision.step = noted
        made.run()
    by_progress = [1 - half / 16 for half in range(8)] + [0.5 - quarter / 8 for quarter in range(4)]
    assert rates[False] == pytest.approx(by_progress)
    assert rates[True] == pytest.approx([rate / 2 for rate in by_progress[:8]] + by_progress[8:])


def test_images_grow_and_are_counted_by_their_size():
    seen = []

    class Watching(nn.Module):
        def forward(self, images):
            seen.append(images.shape[-1] if self.training else None)
            return net(images)

    net = network()
    made = trainer(model=net, epochs=2, eval_every_epochs=0, extras={"sizes": [(0.25, 1), (0.75, 3)]})
    made.train_step.forward = Watching()
    made.run()
    assert seen[:8] == [1, 1, 3, 3, 3, 3, 2, 2]
    assert set(seen[8:]) == {None}
    assert {pixels: count for (pixels, _), count in made.examples_by_work.items()} == {1: 16, 3: 32, None: 16}
    assert made.examples == 64


def test_a_warm_up_runs_every_shape_of_the_training():
    made = trainer(extras={"sizes": [(0.5, 1)], "cuts": [(0.25, 4)]})
    shapes, forward = [], made.train_step.forward

    def seen(images):
        shapes.append((len(images), images.shape[-1]))
        return forward(images)

    made.train_step.forward = seen
    seen.eval, seen.train = forward.eval, forward.train
    made.goal = Goal(epochs=3, tta=0)
    made.warm_up(2, torch.randn(8, 1, 2, 2), torch.zeros(8, dtype=torch.long))
    assert shapes[:6] == [(2, 1), (2, 1), (8, 1), (8, 1), (8, 2), (8, 2)]


def test_the_averaged_weights_are_evaluated_and_the_own_ones_trained_on():
    model = network()
    plain = trainer(eval_every_epochs=0)
    averaged = trainer(eval_every_epochs=0, model=model, hooks=[Ema(model, decay=0.999999)])
    random_guess = trainer(epochs=3)
    for made in (plain, averaged):
        made.run()
    assert all(torch.equal(a, b) for a, b in zip(plain.model.parameters(), averaged.model.parameters(), strict=True))
    # A decay so near 1 keeps the weights of the beginning.
    assert averaged.accuracy == random_guess._accuracy(0)


class Replayed:
    """Stands in for a CUDA graph: what was captured runs again on the same memory, whatever Python has become since."""

    made: list = []  # noqa: RUF012

    def __init__(self, work, inputs):
        self.work, self.inputs, self.calls = work, [tensor.clone() for tensor in inputs], 0
        for _ in range(2):
            work(*self.inputs)
        self.made.append(self)

    def __call__(self, *inputs):
        self.calls += 1
        for static, given in zip(self.inputs, inputs, strict=True):
            static.copy_(given)
        return self.work(*self.inputs)


@pytest.mark.parametrize(
    ("common", "groups"),
    [
        ({"name": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}, {}),
        ({"name": "sgd", "lr": 0.05, "momentum": 0.9, "decoupled": True, "weight_decay": 0.01}, {}),
        ({"name": "sgd", "lr": 0.05, "momentum": 0.9}, {"biases": {"epochs": 1}}),
        ({"name": "sgd", "lr": 0.05}, {"head": {"name": "muon", "lr": 0.1, "weight_decay": 0.01, "epochs": 2}}),
    ],
)
def test_captured_steps_train_as_others_do(common, groups):
    rows, weights = [], []
    for captured in (False, True):
        Replayed.made = []
        model = network()
        extras = {"cuts": [(0.25, 2)], "scale_lr": True, "make_graph": Replayed if captured else None}
        made = trainer(model=model, extras=extras)
        made.train_step.make_optimizers = lambda made=made, captured=captured, model=model: Optimizers(
            model, common, groups, linear(), 12, 4, fused=True, lr_on=torch.device("cpu") if captured else None
        )
        made.warm_up(2, torch.randn(8, 1, 2, 2), torch.zeros(8, dtype=torch.long))
        made.run()
        rows.append([(row["loss"], row["accuracy"], row["lr"]) for row in made.rows])
        weights.append(list(model.state_dict().values()))
    # Two stages, and a further kind of step where a role stops in the second one.
    assert len(Replayed.made) == len(made.curriculum.stages) + any("epochs" in group for group in groups.values())
    assert sum(one.calls for one in Replayed.made) == made.step == made.total_steps
    for left, right in zip(*rows, strict=True):
        assert left == pytest.approx(right, rel=1e-5)
    for left, right in zip(*weights, strict=True):
        assert torch.allclose(left, right, atol=1e-6)


def test_what_is_compiled_is_compiled_in_the_warm_up_for_less_that_is_trained_too(monkeypatch):
    model, programs = network(), []

    def counted(graph, _):
        programs.append(graph)
        return graph.forward

    made = trainer(model=model)
    made.train_step.forward = compiled(model, shapes=1, freezings=1, backend=counted)
    made.train_step.make_optimizers = lambda: Optimizers(
        model, {"name": "sgd", "lr": 0.05}, {"biases": {"epochs": 1}}, linear(), 12, 4
    )
    made.warm_up(1, torch.randn(8, 1, 2, 2), torch.zeros(8, dtype=torch.long))
    in_warm_up = len(programs)
    made.run()
    assert len(programs) == in_warm_up >= 3
    assert not model[3].bias.requires_grad
