import pytest
import torch

from bench.measures.checkerboard import phase_variation
from bench.models.upsampling import upsampling

KINDS = ("transposed_k3", "transposed_k4", "upsample", "shuffle", "shuffle_icnr")


def layer(kind, seed=0):
    torch.manual_seed(seed)
    return upsampling(kind, 6, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_it_doubles_the_resolution(kind):
    assert layer(kind)(torch.randn(2, 6, 5, 7)).shape == (2, 4, 10, 14)


def test_only_what_treats_each_new_pixel_alike_draws_no_checkerboard():
    grey = torch.ones(1, 6, 16, 16)
    drawn = {kind: sum(phase_variation(layer(kind, seed), grey) for seed in range(20)) / 20 for kind in KINDS}
    assert [kind for kind, variation in drawn.items() if variation < 1e-5] == ["upsample", "shuffle_icnr"]
    # Four independent values of mean 0: 0.921 sigma by 0.798 sigma.
    assert drawn["shuffle"] == pytest.approx(1.155, abs=0.15)
    assert drawn["transposed_k4"] == pytest.approx(1.155, abs=0.15)
