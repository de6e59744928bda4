"""How a recipe's network is built."""

import torch
from torch import nn

from bench.measures import assembly
from bench.pipelines.datasets import load_dataset
from bench.profiling.operations import Operations
from bench.spec import recipes

NOISE = "data={name: random, shape: [3, 8, 8], classes: 4, train_count: 64, test_count: 4}"


def built(*settings):
    recipe = recipes.load("digits", "cpu", [NOISE, "target_accuracy=null", *settings])
    data = load_dataset("random", options=recipe.data.options)
    torch.manual_seed(0)
    return assembly.build_model(recipe, data)


def test_batch_norms_count_no_batches_and_do_the_same():
    """Nothing reads the count where there is a momentum, and each is a kernel in every step."""
    model, counting = built("model={name: speedrun, widths: [4, 4]}"), built("model={name: speedrun, widths: [4, 4]}")
    norms = [module for module in counting.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.num_batches_tracked = torch.tensor(0)
    images, counts = torch.randn(4, 3, 8, 8), []
    for net in (model, counting):
        with Operations() as operations:
            net(images)
        counts.append(operations.total)
    assert counts[1] - counts[0] == len(norms) == 4
    assert torch.equal(model.eval()(images), counting.eval()(images))
    assert not any(name.endswith("num_batches_tracked") for name in model.state_dict())


def test_a_norm_without_a_momentum_goes_on_counting(monkeypatch):
    """Its statistics are means over all batches."""
    monkeypatch.setattr("bench.models.build", lambda *_, **__: nn.BatchNorm2d(3, momentum=None))
    norm = built()
    norm(torch.ones(2, 3, 8, 8))
    norm(torch.zeros(2, 3, 8, 8))
    assert norm.running_mean.tolist() == [0.5] * 3
