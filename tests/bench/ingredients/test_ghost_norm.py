import copy

import pytest
import torch
from torch import nn

from bench.ingredients.ghost_batch_norm import GhostBatchNorm2d, use_ghost_batches
from bench.models.speedrun import SpeedrunNet
from bench.training.optimizers import roles


@pytest.fixture
def norm():
    torch.manual_seed(0)
    made = nn.BatchNorm2d(5, momentum=0.3)
    nn.init.uniform_(made.weight)
    nn.init.uniform_(made.bias)
    return made


def features(count):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, 5, 4, 3, generator=generator) * torch.arange(1, 6).view(1, 5, 1, 1)
    return x.to(memory_format=torch.channels_last)


def test_each_part_is_normalised_by_itself_and_the_statistics_are_their_mean(norm):
    ghost = GhostBatchNorm2d(copy.deepcopy(norm), 4)
    x = features(12).requires_grad_()
    parts = [copy.deepcopy(norm) for _ in range(3)]
    theirs = torch.cat([part(chunk) for part, chunk in zip(parts, x.split(4), strict=True)])
    ours = ghost(x)
    assert torch.allclose(ours, theirs)
    assert ours.is_contiguous(memory_format=torch.channels_last)
    for name in ("running_mean", "running_var"):
        assert torch.allclose(getattr(ghost, name), torch.stack([getattr(part, name) for part in parts]).mean(0))
    assert ghost.num_batches_tracked == 1
    upstream = torch.randn_like(ours)
    ours_gradient = torch.autograd.grad(ours, [x, ghost.weight], upstream)
    theirs_gradient = torch.autograd.grad(theirs, [x, *(part.weight for part in parts)], upstream)
    assert torch.allclose(ours_gradient[0], theirs_gradient[0], atol=1e-5)
    assert ours_gradient[0].is_contiguous(memory_format=torch.channels_last)
    assert torch.allclose(ours_gradient[1], sum(theirs_gradient[1:]), atol=1e-4)


def test_a_batch_of_one_part_is_plain_batch_norm(norm):
    ghost, plain = GhostBatchNorm2d(copy.deepcopy(norm), 8), copy.deepcopy(norm)
    assert torch.equal(ghost(features(8)), plain(features(8)))
    assert torch.equal(ghost.running_var, plain.running_var)


def test_a_batch_that_size_does_not_divide_is_cut_into_nearly_equal_parts(norm):
    ghost = GhostBatchNorm2d(copy.deepcopy(norm), 4)
    theirs = [copy.deepcopy(norm)(chunk) for chunk in features(11).split([6, 5])]
    assert torch.allclose(ghost(features(11)), torch.cat(theirs))


def test_evaluation_uses_the_running_statistics(norm):
    ghost = GhostBatchNorm2d(copy.deepcopy(norm), 4).eval()
    assert torch.equal(ghost(features(12)), norm.eval()(features(12)))


def test_every_batch_norm_is_replaced_and_all_else_stays():
    torch.manual_seed(0)
    model = SpeedrunNet(widths=(4, 8, 8))
    before, by_role = {k: v.clone() for k, v in model.state_dict().items()}, roles(model)
    use_ghost_batches(model, 16)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 6
    assert all(isinstance(module, GhostBatchNorm2d) and module.size == 16 for module in norms)
    assert all((module.eps, module.momentum) == (1e-12, 0.4) for module in norms)
    assert not any(module.weight.requires_grad for module in norms)
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert {role: [id(p) for p in found] for role, found in roles(model).items()} == {
        role: [id(p) for p in found] for role, found in by_role.items()
    }


def test_a_batch_smaller_than_size_is_one_part(norm):
    ghost, plain = GhostBatchNorm2d(copy.deepcopy(norm), 8), copy.deepcopy(norm)
    assert torch.equal(ghost(features(5)), plain(features(5)))


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (nn.Linear(2, 2), "this model has no BatchNorm2d"),
        (nn.Sequential(nn.BatchNorm2d(2, momentum=None)), "needs batch norms with running statistics and a momentum"),
        (nn.Sequential(nn.BatchNorm2d(2, track_running_stats=False)), "needs batch norms with running statistics"),
    ],
)
def test_a_model_without_fitting_norms_is_refused(model, why):
    with pytest.raises(ValueError, match=why):
        use_ghost_batches(model, 4)
