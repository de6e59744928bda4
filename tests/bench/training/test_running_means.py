import pytest
import torch

from bench.training.running_means import RunningMeans


def test_means_are_weighted_by_examples_and_begin_anew_when_taken():
    means = RunningMeans()
    means.add(3, loss=torch.tensor(1.0), other=torch.tensor(5.0, dtype=torch.float16))
    means.add(1, loss=torch.tensor(5.0, requires_grad=True))
    assert means.taken() == pytest.approx({"loss": 2.0, "other": 5.0})
    assert means.taken() == {}
    means.add(2, loss=torch.tensor(7.0))
    assert means.taken() == {"loss": 7.0}
