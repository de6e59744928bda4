import pytest
import torch
from torch import nn

from bench.measures.frozen import compiled, constant_weights


@pytest.mark.slow  # the first time, torch compiles its own headers
@pytest.mark.usefixtures("cxx")
@torch.no_grad()
def test_a_compiled_net_has_its_weights_as_constants():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GELU()).to(memory_format=torch.channels_last).eval()
    images = torch.randn(2, 3, 6, 6).contiguous(memory_format=torch.channels_last)
    expected = net(images)
    torch.compiler.reset()
    forward = compiled(net, is_cuda=False)
    with constant_weights(is_cuda=False):
        forward(images)
        nn.init.zeros_(net[0].weight)
        found = forward(images)
    assert (found - expected).abs().max() < 1e-5
    assert not torch.allclose(net(images), expected)
    torch.compiler.reset()


def test_a_gpus_graph_reads_the_weights_where_they_are(monkeypatch):
    """Frozen without `constant_weights`, they would be inputs that each replay copies."""
    asked = {}
    monkeypatch.setattr(torch, "compile", lambda _, **arguments: asked.update(arguments))
    compiled(nn.Identity(), is_cuda=True)
    assert asked["options"] == {"triton.cudagraphs": True}
