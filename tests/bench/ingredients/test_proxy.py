"""A proxy net that chooses the images of each step."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from bench.errors import UsageError
from bench.host.clock import Clock
from bench.ingredients.proxy import Proxy
from bench.measures import assembly
from bench.pipelines.datasets import load_dataset
from bench.profiling.footprint import footprint
from bench.profiling.workbench import Workbench
from bench.spec import recipes
from bench.spec.buildable import why_not
from bench.training.device import Device
from bench.training.examples import Examples
from bench.training.flops import forward_flops, training_flops
from bench.training.loss import Loss
from bench.training.optimizers import Optimizers
from bench.training.precision import Precision
from bench.training.schedules import linear
from bench.training.trainer import Trainer

SHAPE = [3, 16, 16]
SMALL = (
    "data={name: random, shape: [3, 16, 16], classes: 10, train_count: 80, test_count: 20}",
    "model.widths=[4, 6, 6]",
    "proxy.model.widths=[2, 4, 4]",
    "batch_size=20",
    "epochs=2",
    "target_accuracy=null",
    "augment={flip: alternating}",
    "evaluation.batch_size=20",
    "optimizer.groups.whiten_bias.epochs=1",
)

SIZES = "image_sizes=[{pixels: 10, until: 0.5}]"


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3))


def make(model, kept=0.5, every=2, precision="fp32", reduction="sum"):
    def optimizers():
        return Optimizers(model, {"name": "sgd", "lr": 0.01, "momentum": 0.9}, {}, linear(), 10, 5)

    return Proxy(model, model, optimizers, Precision(precision, Device("cpu")), Loss(0.1, reduction), kept, every)


def batches(count, size=8):
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        images = torch.randn(size, 3, 2, 2, generator=generator).contiguous(memory_format=torch.channels_last)
        yield Examples(images, torch.randint(3, (size,), generator=generator))


def test_it_keeps_the_hardest_in_their_order_and_format():
    model = net()
    (batch,) = batches(1)
    images, labels = batch.images, batch.labels
    losses = nn.functional.cross_entropy(model(images), labels, label_smoothing=0.1, reduction="none")
    expected = losses.argsort(descending=True)[:4].sort().values
    kept = make(model).choose(batch, 0)
    assert torch.equal(kept.images, images[expected])
    assert torch.equal(kept.labels, labels[expected])
    assert kept.images.is_contiguous(memory_format=torch.channels_last)


def test_of_equal_losses_the_first_are_kept():
    images, labels = torch.zeros(6, 3, 2, 2), torch.tensor([0, 0, 0, 0, 0, 0])
    images[:, 0, 0, 0] = torch.arange(6) * 1e-30
    kept = make(net()).choose(Examples(images, labels), 0)
    assert torch.equal(kept.images, images[:3])


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_it_learns_as_torch_does_at_every_so_many_th_step_alone(reduction):
    model, same = net(), net()
    proxy = make(model, every=3, reduction=reduction)
    plain = torch.optim.SGD(same.parameters(), lr=0.01, momentum=0.9)
    for step, batch in enumerate(batches(7)):
        proxy.choose(batch, step)
        if step % 3 == 0:
            plain.param_groups[0]["lr"] = 0.01 * (1 - step / 10)
            loss = nn.functional.cross_entropy(
                same(batch.images), batch.labels, label_smoothing=0.1, reduction=reduction
            )
            loss.backward()
            plain.step()
            plain.zero_grad()
        assert all(torch.allclose(*pair) for pair in zip(model.parameters(), same.parameters(), strict=True))
    trained = {bool(parameters): count for (_, parameters), count in proxy.examples_by_work.items()}
    assert trained == {True: 3 * 8, False: 4 * 8}


def test_its_flops_are_of_learning_in_some_steps_and_of_looking_in_the_others():
    proxy = make(net(), every=3)
    for step, batch in enumerate(batches(7)):
        proxy.choose(batch, step)
    # A product of 12 by 3 forward, and one backward for the weights: the input needs no gradient.
    product = 2 * 12 * 3
    assert proxy.flops(torch.zeros(1, 3, 2, 2)) == 8 * (3 * 2 * product + 4 * product)


def test_what_it_learnt_in_a_warm_up_is_forgotten():
    chosen = []
    model = net()
    proxy = make(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for rehearsal in (True, False):
        if rehearsal:
            with proxy.forgotten():
                for batch in batches(3):
                    proxy.rehearse(batch, 0)
                    proxy.choose(batch, 0)
                assert not torch.equal(model[1].weight, before["1.weight"])
            assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
            assert not proxy.examples_by_work
        chosen.append([proxy.choose(batch, step).images for step, batch in enumerate(batches(5))])
        model.load_state_dict(before)
        proxy.reset()
    assert all(torch.equal(*pair) for pair in zip(*chosen, strict=True))


def proxy_of(trainer):
    (proxy,) = (hook for hook in trainer.train_step.hooks if isinstance(hook, Proxy))
    return proxy


def load(*settings, device="cpu"):
    return recipes.load("speedrun96_proxy", device, [*SMALL, *settings])


def trained(recipe, warm_up=0):
    data = load_dataset("random", options=recipe.data.options)
    workbench = Workbench(recipe, "cpu", data)
    with (
        assembly.build_loader(recipe, data, "train", workbench.placement, 0, None, None) as train,
        assembly.build_loader(recipe, data, "test", workbench.placement, 0, None, None) as test,
    ):
        trainer = assembly.build_trainer(
            recipe, workbench.model, workbench.precision, train, test, Clock(), lambda _: None, data=data
        )
        if warm_up:
            trainer.warm_up(warm_up, *workbench.batch(recipe.batch_size))
        trainer.run()
    return trainer


@pytest.mark.parametrize(
    "settings",
    [
        ("precision=fp32",),
        ("precision=bf16", "cutmix={alpha: 1.0, probability: 1.0}"),
        ("precision=pure_bf16", "half_norms=true", "ema={decay: 0.9}"),
        ("precision=fp16", "accumulate=2"),
        ("precision=fp32", SIZES, "antialias=false"),
        ("precision=fp32", "batch_sizes={stages: [{examples: 10, until: 0.5}], scale_lr: true}", "ghost_batch=5"),
    ],
)
def test_a_recipe_with_a_proxy_trains_on_half_of_its_images(settings):
    trainer = trained(load(*settings))
    assert trainer.examples == sum(trainer.examples_by_work.values()) == 2 * 80 // 2
    assert sum(proxy_of(trainer).examples_by_work.values()) == 2 * 80
    assert trainer.epochs == 2
    assert trainer.rows[-1]["loss"] > 0
    values = [*trainer.model.state_dict().values(), *proxy_of(trainer).model.state_dict().values()]
    assert all(value.isfinite().all() for value in values if value.is_floating_point())
    pixels = {pixels for pixels, _ in proxy_of(trainer).examples_by_work}
    assert pixels == ({10, 16} if any("image_sizes" in setting for setting in settings) else {16})


def test_a_warm_up_changes_nothing():
    plain, warmed = trained(load("precision=fp32")), trained(load("precision=fp32"), warm_up=2)
    for left, right in ((plain.model, warmed.model), (proxy_of(plain).model, proxy_of(warmed).model)):
        for a, b in zip(left.state_dict().values(), right.state_dict().values(), strict=True):
            assert torch.equal(a, b)
    assert proxy_of(plain).examples_by_work.total() == proxy_of(warmed).examples_by_work.total()


def test_its_share_of_the_work_is_counted_by_show():
    recipe = load("precision=fp32")
    counted = footprint(recipe, "cpu")
    data = load_dataset("random", options={"shape": SHAPE, "classes": 10, "train_count": 64, "test_count": 1})
    main, proxy = (
        Workbench(made, "cpu", data) for made in (recipe.model_copy(update={"proxy": None}), recipe.of_proxy())
    )

    def flops(bench):
        image = bench.batch(1)[0]
        everything = frozenset(p for p in bench.model.parameters() if p.requires_grad)
        return training_flops(bench.model, image, everything), forward_flops(bench.model, image)

    (training, _), (learning, looking) = flops(main), flops(proxy)
    assert counted.training_flops_per_example == training / 2 + learning / 4 + looking * 3 / 4
    assert counted.parameters == sum(p.numel() for p in main.model.parameters())


def test_the_shipped_one_has_the_published_proxy():
    recipe = recipes.load("speedrun96_proxy", "cuda")
    proxy = recipe.of_proxy()
    assert proxy.model.options == recipe.model.options | {"widths": [32, 64, 64], "convs": 2, "residual": False}
    assert proxy.proxy is None
    assert (recipe.proxy.kept * recipe.batch_size, recipe.proxy.every, recipe.epochs) == (512, 4, 45)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["proxy.kept=1"], "proxy.kept is 1: input should be less than 1"),
        (["proxy.every=0"], "proxy.every is 0"),
        (["proxy.kept=0.01"], "proxy.kept: 0.01 of a batch_size of 20 is 0, of which 1 equal parts cannot be made"),
        (["accumulate=4"], "proxy.kept: 0.5 of a batch_size of 20 is 10, of which 4 equal parts cannot be made"),
        (["drop_easy={kept: 0.5, start: 0}"], "proxy: it chooses images of each batch, and drop_easy those"),
        (["devices=2"], "proxy: each device would train one of its own"),
        (["proxy={kept: 0.5}"], None),
        (
            ["precision=bf16", "warm_up_steps=3", "cuda_graph=true"],
            "cuda_graph: .* does not go with proxy: in some steps alone its proxy learns",
        ),
    ],
)
def test_what_a_proxy_does_not_go_with_is_refused(settings, message):
    if message is None:  # what is laid over keeps the rest
        assert load(*settings).proxy.every == 4
        return
    with pytest.raises(UsageError, match=message):
        load(*settings)


def test_a_proxy_that_cannot_be_built_is_told_before_anything_runs():
    assert why_not(load()) is None
    assert "proxy.model: model 'speedrun' has no option 'widht'" in why_not(load("proxy.model.widht=[2]"))


def test_every_step_is_the_same_when_the_seed_is():
    first, second = (trained(load("precision=fp32")) for _ in range(2))
    for a, b in itertools.zip_longest(proxy_of(first).model.parameters(), proxy_of(second).model.parameters()):
        assert torch.equal(a, b)


def test_every_program_of_it_is_made_in_the_warm_up(monkeypatch):
    """It learns at some steps alone, and is compiled for both kinds, of each size and of each role that stops."""
    compile_it, programs = torch.compile, []

    def counting(graph, _):
        programs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda model, **options: compile_it(model, backend=counting, **options))
    warmed, total = Trainer.warm_up, []
    monkeypatch.setattr(Trainer, "warm_up", lambda *args: (warmed(*args), total.append(len(programs)))[0])
    trainer = trained(load("precision=fp32", "compile=true", "warm_up_steps=1", SIZES), warm_up=1)
    assert trainer.step == trainer.total_steps
    assert len(programs) == total[0] >= 4
    torch._dynamo.reset()
