"""What a run asks of a GPU, scaled up from steps of two images, and what a compiler makes of it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.errors import UsageError
from bench.profiling import cards, estimate
from bench.profiling.demand import Work, demand
from bench.profiling.operations import Operations, WithoutProducts
from bench.profiling.step import FORWARD
from bench.spec import recipes

SMALL = ["model.widths=[4, 8, 8]", "model.whiten_images=64"]


@pytest.fixture(scope="module")
def sizes():
    """A compiled recipe with three image sizes, and what a run of it asks."""
    recipe = recipes.load("speedrun94_e1", "cuda", SMALL)
    return recipe, demand(recipe)


def test_each_operand_is_read_and_written_once():
    x, index = torch.randn(6, 4), torch.tensor([0, 2, 2])
    with Operations() as operations:
        y = x.index_select(0, index)  # of x as much as it gives
        y.add_(x[:3])
        y.copy_(x[0].expand(3, 4))  # what is repeated is read once, what is overwritten is not read
        x.T @ x
    sizes = [(one.name, one.bytes - one.writes[0][1], one.writes[0][1]) for one in operations.each]
    assert sizes == [("index_select", 48 + 24, 48), ("add_", 96, 48), ("copy_", 16, 48), ("mm", 192, 64)]
    assert [one.flops for one in operations.each] == [0, 0, 0, 2 * 4 * 6 * 4]


def test_without_products_the_operations_and_their_sizes_are_the_same():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(16, 2)).to(
        memory_format=torch.channels_last
    )
    images = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)

    def step():
        with Operations() as operations:
            net(images).sum().backward()
        return [(one.name, one.flops, one.bytes, one.dtype) for one in operations.each]

    whole = step()
    net.zero_grad()
    with WithoutProducts():
        assert step() == whole


def test_a_step_of_each_size_and_every_evaluation_are_counted(sizes):
    recipe, work = sizes
    assert [one.title for one in work] == [
        "making a batch",
        "step at 24 px",
        "step at 28 px",
        "step at 32 px",
        "evaluation of an epoch",
        "final evaluation",
    ]
    batches, *steps, _, final = work
    assert batches.times == sum(step.times for step in steps) == 284
    assert final.times == 10_000 // recipe.evaluation.batch_size
    assert [step.flops for step in steps] == sorted(step.flops for step in steps)
    assert not any(one.waits for one in (batches, *steps))


def test_flops_and_bytes_are_a_line_in_the_batch():
    first, second = (
        next(
            work for work in demand(recipes.load("speedrun94", "cuda", [*SMALL, f"batch_size={size}"])) if work.is_step
        )
        for size in (100, 200)
    )
    forward = [sum(one.flops for one in step.operations if one.part == FORWARD) for step in (first, second)]
    assert forward[1] == 2 * forward[0] > 0
    assert first.bytes < second.bytes < 2 * first.bytes  # weights are read whatever the batch


def test_a_compiler_joins_what_lies_between_products_and_never_adds(sizes):
    _, work = sizes
    for one in work:
        joined = estimate.fused(one)
        assert len(joined.operations) <= len(one.operations)
        assert joined.bytes <= one.bytes
        assert joined.flops == one.flops


def test_pointwise_operations_after_a_product_are_one_kernel():
    x, weight = torch.randn(8, 8), torch.randn(8, 8)
    with Operations(part=FORWARD) as operations:
        y = (x @ weight).relu().mul(2).sum(0, keepdim=True)
        y.add(1).exp() @ weight
    joined = estimate.fused(Work("a step", 1, 8, tuple(operations.each)))
    assert [one.name for one in joined.operations] == ["mm", "joined", "joined", "mm"]
    first, second = joined.operations[1:3]
    assert first.bytes == 8 * 8 * 4  # the product is read; what the sum alone looks at is not written
    assert second.bytes == 8 * 4 + 8 * 4


def test_a_graph_is_launched_at_once_and_its_time_is_the_cards(sizes):
    recipe, work = sizes
    step = next(one for one in work if one.is_step)
    eager = recipes.load("speedrun94_e1", "cuda", [*SMALL, "compile=false", "cuda_graph=false"])
    assert estimate.launches(step, recipe) == estimate.REPLAY_LAUNCHES
    assert estimate.launches(step, eager) == len(step.operations)
    card = cards.find("h100")
    assert estimate.time(step, recipe, card).step_s == estimate.time(step, recipe, card).device_s
    # Operations this small are launched more slowly than they are computed.
    assert estimate.time(step, eager, card).step_s == estimate.time(step, eager, card).host_s


def test_a_faster_card_takes_less_time(sizes):
    recipe, work = sizes
    seconds = [sum(estimate.run_s(work, recipe, cards.find(name))) for name in ("h200", "h100", "a100", "v100", "t4")]
    assert seconds == sorted(seconds)


def test_an_unknown_card_is_refused_with_the_nearest():
    with pytest.raises(UsageError, match=r"did you mean 'h100'.*`bench list cards` lists all"):
        cards.find("h1000")
    assert cards.find("RTX4090").memory_gb_per_s == 1008


def test_every_card_has_a_source_and_a_day():
    for card in cards.table().values():
        assert card.source
        assert str(card.date) >= "2026-"
        assert card.half_tflops > card.fp32_tflops


def test_steps_in_which_a_proxy_learns_are_counted_apart():
    settings = [*SMALL, "proxy.model.widths=[2, 4, 4]", "epochs=1"]
    _, looks, learns, *_ = demand(recipes.load("speedrun96_proxy", "cuda", settings))
    assert learns.title.endswith("proxy")
    assert len(learns.operations) > len(looks.operations)
    assert looks.times + learns.times == 48
    assert learns.times == 12  # every fourth, the first among them
