import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.ingredients.lookahead import Lookahead
from bench.measures import assembly, throughput
from bench.measures.throughput import WHOLE_EPOCH_S, Block, block_of
from bench.training.loop import Diverged

# Much longer than a step of the test's network, on any machine.
WAIT_S = 0.05


@given(st.floats(1e-5, 1e3), st.integers(1, 10_000), st.integers(0, 100))
def test_a_block_lies_within_an_epoch(step_s, steps_per_epoch, batches_ahead):
    block = block_of(step_s, steps_per_epoch, batches_ahead)
    assert block.steps >= 1
    assert 0 <= block.lead_in <= batches_ahead
    assert block.steps + block.lead_in <= steps_per_epoch
    if step_s * steps_per_epoch <= WHOLE_EPOCH_S:
        assert block == Block(steps_per_epoch, 0)
    elif block.steps > 1:
        assert 0.25 <= block.steps * step_s <= 0.75


@pytest.fixture
def slow_loader(monkeypatch):
    """Make every loader wait before each batch of an epoch but the first `ready`."""

    def slow_down(ready: int = 0) -> None:
        def make_slow(*args, **kwargs):
            loader = make_loader(*args, **kwargs)
            batches_of = loader._batches

            def waiting(*of_epoch):
                for position, batch in enumerate(batches_of(*of_epoch)):
                    time.sleep(WAIT_S if position >= ready else 0)
                    yield batch

            loader._batches = waiting
            return loader

        make_loader = assembly.make_loader
        monkeypatch.setattr(assembly, "make_loader", make_slow)

    return slow_down


def test_a_slow_loader_costs_the_steps_with_it_and_no_others(slow_loader, make_job, run_here):
    fast = run_here(make_job("throughput"))[-1]["metrics"]
    slow_loader()
    slow = run_here(make_job("throughput"))[-1]["metrics"]
    assert slow["loader_cost_fraction"] > 0.5 > fast["loader_cost_fraction"]
    assert slow["samples_per_s"] < 64 / WAIT_S < slow["samples_per_s_without_loader"]
    assert slow["step_median_s"] >= slow["step_min_s"] > WAIT_S > slow["step_without_loader_median_s"]


def test_what_a_loader_has_ready_does_not_flatter_a_part_of_an_epoch(slow_loader, monkeypatch, make_job, run_here):
    slow_loader(ready=4)
    monkeypatch.setattr(throughput, "block_of", lambda *_: Block(steps=3, lead_in=4))
    metrics = run_here(make_job("throughput"))[-1]["metrics"]
    assert metrics["block_steps"] == 3
    assert metrics["step_min_s"] > WAIT_S


def test_a_block_that_is_an_epoch_has_the_loaders_end_in_it_as_a_training_has(monkeypatch, make_job, run_here):
    """On a GPU the resident loader draws the next epoch there, while the last steps are computed."""
    ended = []
    make_loader = assembly.make_loader

    def noting(*args, **kwargs):
        loader = make_loader(*args, **kwargs)
        batches_of = loader._batches

        def batches(*of_epoch):
            yield from batches_of(*of_epoch)
            ended.append(of_epoch[0])

        loader._batches = batches
        return loader

    monkeypatch.setattr(assembly, "make_loader", noting)
    monkeypatch.setattr(throughput, "block_of", lambda _, steps_per_epoch, __: Block(steps_per_epoch, 0))
    metrics = run_here(make_job("throughput"))[-1]["metrics"]
    assert metrics["block_steps"] == 22
    assert ended == list(range(metrics["n"]))


def test_every_step_is_the_training_loops_with_lookahead_after_the_recipes_warm_up(monkeypatch, make_job, run_here):
    updates = []
    monkeypatch.setattr(Lookahead, "after_step", lambda self, step, total_steps: updates.append((step, total_steps)))
    settings = ("lookahead={every: 2, decay: 0.5}", "warm_up_steps=7", "epochs=1")
    metrics = run_here(make_job("throughput", *settings))[-1]["metrics"]
    rounds = metrics["n"]
    assert rounds == metrics["without_loader_n"]
    assert len(updates) == 7 + 2 * rounds * metrics["block_steps"]
    assert all(step < total_steps == 22 for step, total_steps in updates)


def test_a_loss_that_is_no_number_is_no_throughput(make_job, run_here):
    with pytest.raises(Diverged, match=r"the loss is (nan|inf) after \d+ steps; lower optimizer\.lr"):
        run_here(make_job("throughput", "optimizer.lr=1e30"))
