"""The loop of all trainings with a task: spans, rows, targets in both directions, and pictures."""

import pytest
import torch
from torch import nn

from bench.host.clock import Clock
from bench.training.device import Device
from bench.training.goal import Goal
from bench.training.loop import Diverged
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.schedules import linear
from bench.training.task import Quality, Task, TaskParts
from bench.training.task_trainer import TaskTrainer

STEPS = 4


class Counted:
    steps_per_epoch = STEPS

    def epoch(self, epoch):
        for step in range(STEPS):
            yield torch.full((2, 1, 2, 2), float(epoch * STEPS + step)), torch.zeros(2, dtype=torch.long)


class Countdown(Task):
    """Each step takes one from `left`, which is the quality; a loss of `loss_at[position]` if there is one."""

    quality = Quality("left", "lower")
    loss_at: dict = {}  # noqa: RUF012

    def begin(self):
        self.left, self.evaluations = 10.0, 0
        net = self.parts.model
        return Optimizers(net, {"name": "sgd", "lr": 0.1}, {}, linear(), 12, STEPS)

    def step(self, batch, position):
        assert batch.images.max() == position  # every batch once, in order
        self.left -= 1
        return torch.tensor(self.loss_at.get(position, self.left))

    def evaluate(self):
        self.evaluations += 1
        return {self.quality.name: self.left, "evaluations": self.evaluations}

    def epoch_figures(self):
        return {"other": 7.0}

    def pictures(self):
        return {"grid": torch.full((3, 2, 2), int(self.left), dtype=torch.uint8)}


class Countup(Countdown):
    quality = Quality("won", "higher")


def trained(kind=Countdown, loss_at=None, **goal):
    parts = TaskParts(nn.Linear(2, 2), None, None, Precision("fp32", Device("cpu")), None, 0, {}, 10)
    task, told, shown = kind(None, parts), [], []
    task.loss_at = loss_at or {}
    goal = Goal(**{"epochs": 3, "lower_is_better": kind.quality.better == "lower"} | goal)
    made = TaskTrainer(task, Counted(), goal, Clock(), told.append, lambda *picture: shown.append(picture))
    made.told, made.shown = told, shown
    return made


def names(made):
    return [span.name for span in made.clock.spans]


def test_it_is_recorded_as_every_training_with_the_tasks_own_numbers():
    made = trained()
    made.run()
    assert names(made) == ["init", *["train", "eval", "draw"] * 2, "train", "final_eval", "draw"]
    assert [row["left"] for row in made.rows] == [6.0, 2.0, -2.0]
    assert [(row["steps"], row["examples"], row["other"]) for row in made.rows] == [(4, 8, 7), (8, 16, 7), (12, 24, 7)]
    assert made.rows[0]["loss"] == (9 + 8 + 7 + 6) / 4
    assert "accuracy" not in made.rows[0]
    assert made.rows[0]["lr"] == 0.1
    assert (made.quality, made.measured["evaluations"]) == (-2.0, 3)
    assert [event["kind"] for event in made.told].count("epoch") == 3


def test_pictures_are_shown_after_each_evaluation_and_no_others():
    made = trained(epochs=4, eval_every_epochs=2)
    made.run()
    assert [(name, epoch) for name, epoch, _ in made.shown] == [("grid", 2), ("grid", 4)]
    assert ["left" in row for row in made.rows] == [False, True, False, True]


def test_a_quality_of_which_less_is_better_reaches_its_target_from_above():
    made = trained(target_quality=3.0, stop_at_target=True)
    made.run()
    assert len(made.rows) == 2
    assert made.time_to_target_s is not None
    missed = trained(target_quality=-5.0)
    missed.run()
    assert missed.time_to_target_s is None
    assert not missed.goal.reached_by(missed.quality)


def test_a_quality_of_which_more_is_better_reaches_its_target_from_below():
    made = trained(Countup, target_quality=5.0, stop_at_target=True)
    made.run()
    assert len(made.rows) == 1


def test_a_part_of_an_epoch_is_trained():
    made = trained(epochs=1.5)
    made.run()
    assert (made.step, made.total_steps, made.epochs) == (6, 6, 1.5)


def test_a_loss_that_is_no_number_is_a_divergence():
    made = trained(loss_at={5: float("nan")})
    with pytest.raises(Diverged, match="the loss is nan in epoch 2"):
        made.run()
    assert len(made.rows) == 1


def test_how_the_loss_goes_with_the_quality_is_told_of_four_epochs():
    made = trained(epochs=3)
    made.run()
    assert made.loss_quality_correlation is None
    made = trained(epochs=5)
    made.run()
    assert made.loss_quality_correlation == pytest.approx(1.0)
    made = trained(epochs=5, loss_at={position: float(position) for position in range(20)})
    made.run()
    assert made.loss_quality_correlation == pytest.approx(-1.0)


class Lost(Countdown):
    def evaluate(self):
        return {self.quality.name: float("inf")}


def test_a_quality_that_is_no_number_is_a_divergence_too():
    made = trained(Lost)
    with pytest.raises(Diverged, match="left is inf after step 4"):
        made.run()
