import torch
from torch import nn

from bench.ingredients.lookahead import Lookahead


def test_slow_weights_follow_as_described():
    """Three updates against the description written out, with the batch statistics included."""
    model = nn.BatchNorm1d(2)
    lookahead = Lookahead(model, every=2, decay=0.9)
    lookahead.begin()
    slow = {k: v.clone() for k, v in model.state_dict().items() if v.is_floating_point()}
    for step in range(1, 8):
        for value in model.state_dict().values():
            value.add_(step)
        fast = {k: v.clone() for k, v in model.state_dict().items()}
        lookahead.after_step(step, 8)
        if step % 2:
            assert all(torch.equal(v, fast[k]) for k, v in model.state_dict().items())
            continue
        alpha = 0.9**2 * (step / 8) ** 3
        slow = {k: alpha * v + (1 - alpha) * fast[k] for k, v in slow.items()}
        assert all(torch.allclose(model.state_dict()[k], v) for k, v in slow.items())


def test_the_last_step_leaves_the_slow_weights():
    model = nn.Linear(2, 2)
    lookahead = Lookahead(model, every=5)
    lookahead.begin()
    start = {k: v.clone() for k, v in model.state_dict().items()}
    with torch.no_grad():
        model.weight.add_(1)
    lookahead.after_step(3, 3)
    assert all(torch.equal(v, start[k]) for k, v in model.state_dict().items())


def test_a_last_step_that_is_due_follows_first():
    model = nn.Linear(1, 1)
    lookahead = Lookahead(model, every=5, decay=0.9)
    lookahead.begin()
    start = model.weight.item()
    with torch.no_grad():
        model.weight.add_(1)
    lookahead.after_step(5, 5)
    assert abs(model.weight.item() - (start + 1 - 0.9**5)) < 1e-6
