"""The pre-trained GAN: whose turn a batch is, against a log written by hand."""

import pytest
import torch
from pydantic import ValidationError

from bench.models.restoration_gan import RestorationGan
from bench.tasks.dense_settings import RestorationGanSettings
from bench.tasks.restoration_gan import RestorationGanTask, verdict_loss
from tests.bench.tasks.pairs import TOTAL_BATCHES, batch, pairs, parts


def task(**settings):
    torch.manual_seed(0)
    gan = RestorationGan(3, 2, 16, widths=[8, 16], critic_width=8, critic_blocks=1)
    return RestorationGanTask(
        RestorationGanSettings(name="restoration_gan", **settings), parts(gan, pairs("images"), lr=1e-3)
    )


def changed(one, position):
    """Which of the nets a step changes."""
    before = {net: [p.clone() for p in getattr(one, net).parameters()] for net in ("generator", "critic")}
    one.step(batch(one.parts), position)
    return [
        net
        for net, old in before.items()
        if any(not torch.equal(a, b) for a, b in zip(old, getattr(one, net).parameters(), strict=True))
    ]


def test_the_generator_alone_then_the_critic_alone_then_by_the_switch(monkeypatch):
    one = task(generator_until=0.1, critic_until=0.2, switch_below=0.65)
    one.begin()
    # Of 20 batches two are the generator's, two the critic's; then the critic's loss decides.
    critic_losses = iter([0.9, 0.8, 0.9, 0.7, 0.6, 0.66, 0.1])
    monkeypatch.setattr(
        one, "_critic_loss", lambda *_: one.critic(batch(one.parts).images).mean() * 0 + next(critic_losses)
    )
    turns = []
    for position in range(11):
        turns.append(one.turn(position)[0])
        one.step(batch(one.parts), position)
    assert "".join(turns) == "gg" + "cc" + "ccc" + "g" + "cc" + "g"


def test_each_step_changes_one_net():
    one = task(generator_until=0.1, critic_until=0.2, switch_below=1e9)
    one.begin()
    assert [changed(one, position) for position in (0, 2, 4, 5)] == [
        ["generator"],
        ["critic"],
        ["critic"],
        ["generator"],
    ]
    figures = one.epoch_figures()
    assert (figures["generator_steps"], figures["critic_steps"]) == (2, 2)
    assert one.epoch_figures() == {"generator_steps": 0, "critic_steps": 0}


def test_without_pre_training_the_switch_decides_from_the_first_batch():
    one = task(generator_until=0.0, critic_until=0.0)
    one.begin()
    assert one.turn(0) == "critic"


def test_the_generators_gradients_pass_through_a_critic_that_keeps_none():
    one = task(generator_until=0.0, critic_until=0.0, pixel_weight=0.0)
    one.begin()
    one._critics_turn = False
    known = batch(one.parts)
    one._generator_loss(known.images, known.labels, adversarial=True).backward()
    assert all(parameter.grad is None for parameter in one.critic.parameters())
    assert any(parameter.grad.abs().sum() > 0 for parameter in one.generator.parameters() if parameter.grad is not None)
    assert all(parameter.requires_grad for parameter in one.critic.parameters())


def test_it_learns_by_pixels():
    one = task(generator_until=0.9, critic_until=0.9)
    one.begin()
    before = one.evaluate()["psnr_db"]
    for position in range(TOTAL_BATCHES - 2):
        one.step(batch(one.parts), position)
    assert one.evaluate()["psnr_db"] > before + 2
    assert one.pictures()["before_after"].shape[0] == 3


def test_a_verdict_by_hand():
    assert verdict_loss(torch.zeros(4, 9), real=True).item() == pytest.approx(0.6931, abs=1e-4)
    assert verdict_loss(torch.full((4, 9), 5.0), real=False).item() == pytest.approx(5.0067, abs=1e-3)


def test_the_critic_learns_after_the_generator():
    with pytest.raises(ValidationError, match=r"task.critic_until: 0.2 comes before generator_until: 0.5"):
        RestorationGanSettings(name="restoration_gan", generator_until=0.5, critic_until=0.2)
