import itertools

import pytest
import torch
from torch import nn

from bench.clock import Clock
from bench.training.device import Device
from bench.training.loop import Diverged, Goal, Loss, Trainer
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.schedules import linear


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


def trainer(train=None, test=None, lr=0.05, reduction="mean", report=lambda event: None, **goal):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4), nn.Linear(4, 2))
    train, goal = train or Blobs(), Goal(**{"epochs": 3} | goal)
    made = Trainer(
        model,
        model,
        lambda: Optimizers(model, {"name": "sgd", "lr": lr}, {}, linear(), made.total_steps, train.steps_per_epoch),
        Precision("fp32", Device("cpu")),
        Loss(reduction=reduction),
        goal,
        train,
        test or Blobs(),
        Clock(),
        report=report,
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
