import itertools

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.errors import UsageError
from bench.models.darknet import Darknet
from bench.models.speedrun import SpeedrunNet
from bench.training.muon import Muon, rescaling_steps
from bench.training.optimizers import Optimizers, roles, sgd
from bench.training.orthogonalization import NEWTON_SCHULZ, orthogonalize
from bench.training.schedules import constant, linear, one_cycle

HIVERGES = (3.4576, -4.7391, 2.0843)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return SpeedrunNet(widths=(4, 8, 8))


def make(net, common, groups=None, schedule=None, total_steps=10, steps_per_epoch=5, **options):
    return Optimizers(net, common, groups or {}, schedule or constant(), total_steps, steps_per_epoch, **options)


def test_muon_does_the_same_in_each_memory_format():
    torch.manual_seed(0)
    first = [torch.randn(6, 4, 3, 3), torch.randn(8, 6, 1, 1), torch.randn(6, 9)]
    kinds = []
    for memory_format in (torch.contiguous_format, torch.channels_last):
        weights = [nn.Parameter(v.clone(memory_format=memory_format) if v.ndim == 4 else v.clone()) for v in first]
        muon = Muon(weights, lr=0.1)
        for step in range(2):
            for weight, value in zip(weights, first, strict=True):
                weight.grad = (value + step).cos().to(memory_format=memory_format if value.ndim == 4 else None)
            muon.step()
        kinds.append(weights)
    for left, right, before in zip(*kinds, first, strict=True):
        assert torch.allclose(left, right, atol=5e-3)
        assert not torch.allclose(left, before, atol=0.05)


def test_muon_steps_as_described():
    """One parameter, two steps, against the description written out."""
    generator = torch.Generator().manual_seed(0)
    weight = nn.Parameter(torch.randn(6, 4, 3, 3, generator=generator))
    expected, velocity = weight.detach().clone(), torch.zeros(6, 36)
    muon = Muon([weight], lr=0.24, momentum=0.6, newton_schulz_steps=3)
    for _ in range(2):
        gradient = torch.randn(6, 4, 3, 3, generator=generator)
        weight.grad = gradient
        muon.step()
        velocity = 0.6 * velocity + gradient.flatten(1)
        direction = gradient.flatten(1) + 0.6 * velocity
        expected = expected * 6**0.5 / expected.norm()
        expected = expected - 0.24 * orthogonalize(direction[None], 3)[0].float().view_as(expected)
    assert torch.allclose(weight, expected, atol=1e-6)


def test_filters_of_one_shape_step_as_each_alone():
    torch.manual_seed(0)
    together = [nn.Parameter(torch.randn(8, 4, 3, 3)) for _ in range(3)]
    alone = [nn.Parameter(p.detach().clone()) for p in together]
    for left, right in zip(together, alone, strict=True):
        left.grad = torch.randn_like(left)
        right.grad = left.grad.clone()
    Muon(together, lr=0.1).step()
    for parameter in alone:
        Muon([parameter], lr=0.1).step()
    assert all(torch.allclose(a, b, atol=1e-2) for a, b in zip(together, alone, strict=True))


def test_muon_rescales_and_remembers_even_at_a_rate_of_zero():
    """A warm-up may begin there, and its first step is a step: what is timed and counted is often the first."""
    weight = nn.Parameter(torch.full((4, 9), 3.0))
    weight.grad = torch.randn(4, 9)
    muon = Muon([weight], lr=0.0)
    muon.step()
    assert weight.norm().item() == pytest.approx(2)
    assert torch.equal(muon.state[weight]["momentum"], weight.grad)


def test_muon_takes_the_coefficients_that_it_is_given():
    first = torch.randn(8, 12)
    weights = [nn.Parameter(first.clone()) for _ in range(2)]
    for weight, options in zip(weights, ({}, {"newton_schulz_coefficients": HIVERGES}), strict=True):
        weight.grad = first.cos()
        Muon([weight], lr=1.0, unit_filters=False, **options).step()
        expected = orthogonalize(1.95 * first.cos()[None], 3, options.get("newton_schulz_coefficients", NEWTON_SCHULZ))
        assert torch.allclose(weight, first - expected[0].float(), atol=1e-2)
    assert not torch.allclose(*weights, atol=1e-2)


def test_muon_takes_the_form_that_it_is_given_and_remembers_the_same():
    first = torch.randn(8, 24, generator=torch.Generator().manual_seed(0))
    weights = {form: nn.Parameter(first.clone()) for form in (None, "gram")}
    momenta = []
    gradient = first.cos()
    direction = 0.95 * gradient + gradient
    for form, weight in weights.items():
        weight.grad = gradient.clone()
        muon = Muon([weight], lr=1.0, unit_filters=False, newton_schulz_form=form)
        muon.step()
        assert torch.equal(weight, first - orthogonalize(direction[None], 3, form=form)[0].float())
        momenta.append(muon.state[weight])
    assert [list(state) for state in momenta] == [["momentum"]] * 2
    assert torch.equal(momenta[0]["momentum"], momenta[1]["momentum"])
    assert not torch.equal(*weights.values())
    assert torch.allclose(*weights.values(), atol=0.05)


def test_hiverges_rescaling_becomes_rarer():
    due = sorted(rescaling_steps(250, 2, 17))
    assert due[:4] == [0, 2, 4, 6]
    for before, step in itertools.pairwise(due):
        assert step - before == 2 + int(15 * step / 250)  # progress moves on by less than a fifteenth meanwhile
    assert sorted(rescaling_steps(10, 3, 3)) == [0, 3, 6, 9]
    assert rescaling_steps(5, 1, 1) == frozenset(range(5))


@pytest.mark.parametrize("captured", [False, True])
def test_filters_are_rescaled_in_the_steps_that_are_due_alone(net, captured):
    """Before the update, which a rate of nearly zero makes small; a captured step reads a tensor."""
    vectors = {role: {"name": "sgd", "lr": 1e-9} for role in ("biases", "whiten_bias", "head")}
    common = {"name": "muon", "lr": 1e-9, "unit_filters_every": (2, 4)}
    made = make(net, common, vectors, total_steps=10, lr_on=torch.device("cpu") if captured else None)
    filters = roles(net)["filters"]
    rescaled = []
    for step in range(10):
        with torch.no_grad():
            for weight in filters:
                weight.mul_(3)
        made.set_progress(step)
        for weight in filters:
            weight.grad = torch.ones_like(weight)
        for optimizer in made.all:
            optimizer.step()
        norms = [weight.norm().item() / len(weight) ** 0.5 for weight in filters]
        rescaled.append(norms == pytest.approx([1.0] * 6, rel=1e-3))
    assert [step for step, done in enumerate(rescaled) if done] == [0, 2, 4, 7] == sorted(rescaling_steps(10, 2, 4))
    made.set_progress(2.5)  # a part of a batch begins no step of its own
    muon = next(optimizer for optimizer in made.all if type(optimizer) is Muon)
    assert not muon.param_groups[0]["rescales"]


class Formats(TorchDispatchMode):
    """The number formats of the floating-point tensors of each operation on lists."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in ("_foreach_mul_", "_foreach_add_"):
            tensors = [leaf for leaf in tree_leaves(args) if isinstance(leaf, torch.Tensor)]
            self.seen.append({tensor.dtype for tensor in tensors})
        return func(*args, **(kwargs or {}))


def test_a_rate_that_is_a_tensor_does_what_a_number_does_in_the_format_of_the_weights():
    """On a GPU an operation on a list of one format is one kernel, with a rate of another it is one for each weight."""
    first = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    weights = [nn.Parameter(first.half()) for _ in range(2)]
    for weight, lr in zip(weights, (0.25, torch.tensor(0.25)), strict=True):
        weight.grad = first.cos().half()
        muon = Muon([weight], lr=0.25, unit_filters=False, weight_decay=0.1)
        muon.param_groups[0]["lr"] = lr
        with Formats() as formats:
            muon.step()
        assert formats.seen
        assert {frozenset(seen) for seen in formats.seen} == {frozenset({torch.float16})}
    assert torch.allclose(*weights, atol=2**-9)
    unlike = Muon([nn.Parameter(first.half())], lr=0.25, unit_filters=False)
    unlike.param_groups[0]["params"][0].grad = first.cos().half()
    unlike.step()
    assert not torch.allclose(weights[1], unlike.param_groups[0]["params"][0], atol=2**-9)


def test_a_filter_without_gradient_stays():
    weight = nn.Parameter(torch.randn(4, 4))
    before = weight.detach().clone()
    Muon([weight], lr=1.0).step()
    assert torch.equal(weight, before)


@pytest.mark.parametrize("make_net", [lambda: SpeedrunNet(widths=(4, 8, 8)), lambda: Darknet(blocks=(1, 1), width=4)])
def test_every_trainable_parameter_has_one_role(make_net):
    net = make_net()
    assigned = [p for parameters in roles(net).values() for p in parameters]
    trainable = [p for p in net.parameters() if p.requires_grad]
    assert len(assigned) == len(set(map(id, assigned))) == len(trainable)


def test_the_speedrun_net_has_six_filters(net):
    found = roles(net)
    assert {role: len(parameters) for role, parameters in found.items()} == {
        "whiten_bias": 1,
        "filters": 6,
        "biases": 6,
        "head": 1,
    }


def test_groups_override_and_do_not_inherit_another_kinds_options(net):
    made = make(net, {"name": "muon", "lr": 0.2, "momentum": 0.6}, {
        "biases": {"name": "sgd", "lr": 0.05, "weight_decay": 0.1},
        "whiten_bias": {"name": "sgd", "lr": 0.05},
        "head": {"name": "adamw", "lr": 0.01},
    })  # fmt: skip
    kinds = {type(optimizer).__name__: optimizer for optimizer in made.all}
    assert set(kinds) == {"Muon", "SGD", "AdamW"}
    assert kinds["Muon"].param_groups[0]["momentum"] == 0.6
    biases, whiten = kinds["SGD"].param_groups[1], kinds["SGD"].param_groups[0]
    assert (biases["weight_decay"], biases["momentum"]) == (0.1, 0)
    assert whiten["weight_decay"] == 0


def test_a_group_inherits_what_it_does_not_say(net):
    made = make(net, {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True}, {"biases": {"lr": 6.4}})
    by_lr = {group["base_lr"]: group for group in made.all[0].param_groups}
    assert by_lr[6.4]["momentum"] == 0.9
    assert by_lr[6.4]["nesterov"]


def two_steps(common, lr_factors=(1.0, 1.0)):
    """A matrix of ones after two steps with known gradients, and the gradients."""
    model = nn.Linear(3, 2, bias=False)
    nn.init.ones_(model.weight)
    made = make(model, common)
    gradients = [torch.tensor([[1.0, -2.0, 0.5], [0.3, 0.0, -1.0]]), torch.tensor([[0.2, 1.0, 0.0], [-0.7, 0.4, 1.0]])]
    for gradient, lr_factor in zip(gradients, lr_factors, strict=True):
        made.set_progress(0, lr_factor)
        model.weight.grad = gradient.clone()
        for optimizer in made.all:
            optimizer.step()
    return model.weight.detach().double(), [gradient.double() for gradient in gradients]


def test_fused_sgd_takes_up_a_parameter_whose_gradients_come_later():
    weights = [nn.Parameter(torch.ones(2)) for _ in range(2)]
    optimizer = sgd([{"params": weights, "lr": 1.0, "momentum": 0.5}], None, fused=True)
    for trained in (weights[:1], weights):
        for weight in trained:
            weight.grad = torch.ones(2)
        optimizer.step()
    assert [weight.tolist() for weight in weights] == [[-1.5] * 2, [0.0] * 2]


LR, DECAY, MOMENTUM = 0.1, 0.05, 0.9


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("decoupled", [None, False, True])
def test_sgds_decay_is_in_the_gradient_unless_decoupled(decoupled, nesterov):
    common = {"name": "sgd", "lr": LR, "momentum": MOMENTUM, "nesterov": nesterov, "weight_decay": DECAY}
    weight, gradients = two_steps(common | {"decoupled": decoupled})
    expected, velocity = torch.ones(2, 3).double(), torch.zeros(2, 3).double()
    for gradient in gradients:
        if decoupled:
            expected = expected * (1 - LR * DECAY)
        else:
            gradient = gradient + DECAY * expected
        velocity = MOMENTUM * velocity + gradient
        expected = expected - LR * (gradient + MOMENTUM * velocity if nesterov else velocity)
    assert torch.allclose(weight, expected, atol=1e-6)


@pytest.mark.parametrize("decoupled", [None, False, True])
def test_adams_decay_is_decoupled_unless_asked_otherwise(decoupled):
    weight, gradients = two_steps({"name": "adamw", "lr": LR, "weight_decay": DECAY, "decoupled": decoupled})
    expected, first, second = torch.ones(2, 3).double(), 0.0, 0.0
    for step, gradient in enumerate(gradients, 1):
        if decoupled is False:
            gradient = gradient + DECAY * expected
        else:
            expected = expected * (1 - LR * DECAY)
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        expected = expected - LR * (first / (1 - 0.9**step)) / ((second / (1 - 0.999**step)).sqrt() + 1e-8)
    assert torch.allclose(weight, expected, atol=1e-6)


@pytest.mark.parametrize("decoupled", [None, False, True])
def test_muons_decay_is_decoupled_unless_asked_otherwise(decoupled):
    common = {"name": "muon", "lr": LR, "momentum": 0.6, "nesterov": False, "weight_decay": DECAY}
    weight, gradients = two_steps(common | {"decoupled": decoupled, "unit_filters": False})
    expected, velocity = torch.ones(2, 3).double(), torch.zeros(2, 3).double()
    for gradient in gradients:
        if decoupled is False:
            gradient = gradient + DECAY * expected
        velocity = 0.6 * velocity + gradient
        if decoupled is not False:
            expected = expected * (1 - LR * DECAY)
        expected = expected - LR * orthogonalize(velocity[None].float(), 3)[0].double()
    # Rounding of the gradient before bfloat16's own may tip a value over.
    assert torch.allclose(weight, expected, atol=2e-3)


def test_the_decay_of_every_kind_follows_the_rate_of_its_step():
    for name in ("sgd", "adamw"):
        common = {"name": name, "lr": LR, "weight_decay": DECAY, "decoupled": True}
        weight, _ = two_steps(common, lr_factors=(0.0, 0.0))
        assert torch.equal(weight, torch.ones(2, 3).double())


def test_roles_may_differ_in_how_they_decay(net):
    common = {"name": "sgd", "lr": 0.1, "weight_decay": 0.1}
    made = make(net, common, {"head": {"decoupled": True}, "biases": {"weight_decay": 0.0, "decoupled": True}})
    assert sorted(type(optimizer).__name__ for optimizer in made.all) == ["SGD", "SGDW"]
    (decoupled,) = [optimizer for optimizer in made.all if type(optimizer).__name__ == "SGDW"]
    assert sorted(group["decay"] for group in decoupled.param_groups) == [0.0, 0.1]
    assert all(group["weight_decay"] == 0 for group in decoupled.param_groups)


def test_the_schedule_drives_every_group(net):
    made = make(net, {"name": "sgd", "lr": 2.0, "momentum": 0.9}, {"head": {"lr": 4.0}}, one_cycle(20, 20, 0.95, 0.85))
    made.set_progress(4)  # 4 of 10 steps is the peak
    for group in made.all[0].param_groups:
        assert group["lr"] == pytest.approx(group["base_lr"])
        assert group["momentum"] == pytest.approx(0.85)


def test_adamw_takes_the_momentum_as_its_first_beta(net):
    made = make(net, {"name": "adamw", "lr": 0.1}, schedule=one_cycle(20, 20, 0.95, 0.85))
    made.set_progress(0)
    assert made.all[0].param_groups[0]["betas"] == (0.95, 0.999)


@pytest.mark.parametrize("drop_frozen", [True, False])
def test_a_role_stops_after_its_epochs(net, drop_frozen):
    """The whitening bias trains one epoch of five steps on the schedule squeezed into it, then stays."""
    made = make(net, {"name": "sgd", "lr": 1.0}, {"whiten_bias": {"epochs": 1}}, linear(), drop_frozen=drop_frozen)
    (group,) = [g for g in made.all[0].param_groups if g["steps"] == 5]
    made.set_progress(4)
    assert group["lr"] == pytest.approx(1 - 4 / 5)
    made.set_progress(5)
    assert group["lr"] == 0
    assert net.whiten.bias.requires_grad is not drop_frozen
    assert net.head.weight.requires_grad


def test_filters_that_have_stopped_are_not_even_rescaled(net):
    groups = {role: {"name": "sgd", "lr": 0.1} for role in ("biases", "whiten_bias", "head")} | {
        "filters": {"epochs": 1}
    }
    made = make(net, {"name": "muon", "lr": 0.1}, groups, drop_frozen=False)
    made.set_progress(5)
    before = [p.detach().clone() for p in roles(net)["filters"]]
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    for optimizer in made.all:
        optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(before, roles(net)["filters"], strict=True))


def test_a_role_may_keep_to_the_schedule_of_the_others_until_it_stops(net):
    common = {"name": "sgd", "lr": 1.0}
    made = make(net, common, {"whiten_bias": {"epochs": 1, "squeeze": False}}, linear())
    (group,) = [g for g in made.all[0].param_groups if g["steps"] == 5]
    made.set_progress(4)
    assert group["lr"] == pytest.approx(1 - 4 / 10)
    made.set_progress(5)
    assert group["lr"] == 0


def test_a_frozen_part_stays_as_it_is_and_what_comes_before_it_needs_no_gradient(net):
    groups = {role: {"name": "sgd", "lr": 0.1} for role in ("biases", "head")}
    groups["whiten_bias"] = {"name": "sgd", "lr": 0.1, "epochs": 1}
    made = make(net, {"name": "muon", "lr": 0.1}, groups, linear(), freeze={"groups.1": 0.6})
    frozen, free = list(net.groups[1].parameters()), list(net.groups[2].parameters())
    made.set_progress(5)
    assert [net.whiten.bias.requires_grad, frozen[0].requires_grad] == [False, True]
    # The schedule goes on for the rest as if nothing had been frozen.
    made.set_progress(6)
    assert {group["lr"] for group in made._groups} == {0, 0.1 * (1 - 6 / 10)}
    before = [parameter.detach().clone() for parameter in frozen]
    net(torch.randn(8, 3, 32, 32)).sum().backward()
    for optimizer in made.all:
        optimizer.step()
    assert all(parameter.grad is None for parameter in frozen)
    assert all(torch.equal(*pair) for pair in zip(before, frozen, strict=True))
    assert all(parameter.grad is not None for parameter in free if parameter.requires_grad)


def test_a_momentum_that_changes_is_refused_where_a_graph_would_keep_it(net):
    made = make(net, {"name": "sgd", "lr": 0.1, "momentum": 0.9}, schedule=one_cycle(), lr_on=torch.device("cpu"))
    with pytest.raises(UsageError, match="cuda_graph: the schedule sets the momentum"):
        made.set_progress(0)


def test_a_role_the_model_lacks_is_refused(net):
    with pytest.raises(UsageError, match=r"optimizer.groups.norm_weights: this model has only biases, filters"):
        make(net, {"name": "sgd", "lr": 1.0}, {"norm_weights": {"lr": 1.0}})


def test_muon_on_biases_is_refused(net):
    with pytest.raises(UsageError, match=r"muon trains matrices"):
        make(net, {"name": "muon", "lr": 1.0})


def test_the_rate_that_is_told_is_the_filters_whatever_stops_before_them(net):
    """It was that of the whitening bias, the network's first parameter, and so 0 from there on."""
    groups = {role: {"name": "sgd", "lr": 0.1, "momentum": 0.85} for role in ("biases", "head")}
    groups["whiten_bias"] = {"name": "sgd", "lr": 0.1, "epochs": 1}
    made = make(net, {"name": "muon", "lr": 0.2, "momentum": 0.6}, groups, linear(), freeze={"groups.1": 0.6})
    for step in (0, 5, 8):
        made.set_progress(step)
        assert (made.main_role, made.lr, made.momentum) == ("filters", pytest.approx(0.2 * (1 - step / 10)), 0.6)


@pytest.mark.parametrize(
    ("common", "momentum"),
    [
        ({"name": "sgd", "lr": 0.1}, 0.0),
        ({"name": "sgd", "lr": 0.1, "momentum": 0.9}, 0.9),
        ({"name": "adamw", "lr": 0.1, "betas": (0.8, 0.99)}, 0.8),
    ],
)
def test_without_filters_the_head_speaks_for_the_training(common, momentum):
    made = make(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)), common, {"biases": {"lr": 0.7}})
    assert (made.main_role, made.lr, made.momentum) == ("head", 0.1, momentum)


def test_a_momentum_that_the_schedule_sets_is_told(net):
    made = make(net, {"name": "sgd", "lr": 2.0, "momentum": 0.9}, {}, one_cycle(20, 20, 0.95, 0.85))
    made.set_progress(0)
    assert made.momentum == 0.95
