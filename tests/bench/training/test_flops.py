import torch
from torch import nn

from bench.training.flops import count_flops, forward_flops, training_flops


def test_a_convolution_by_hand():
    conv = nn.Conv2d(3, 8, 3, padding=1)
    # 8 outputs of 27 products each, at 16 places; a multiply-add is two.
    assert forward_flops(conv, torch.randn(1, 3, 4, 4)) == 2 * 8 * 27 * 16
    assert conv.training
    forward_flops(conv.eval(), torch.randn(1, 3, 4, 4))
    assert not conv.training, "a network that is asked alone stays as it was"


def test_a_backward_pass_counts_a_product_for_each_gradient():
    layer = nn.Linear(8, 4)
    frozen_input, moving_input = torch.randn(2, 8), torch.randn(2, 8, requires_grad=True)
    forward = 2 * 2 * 8 * 4
    assert count_flops(lambda: layer(frozen_input).sum().backward()) == 2 * forward
    assert count_flops(lambda: layer(moving_input).sum().backward()) == 3 * forward


def test_training_counts_what_is_trained_alone_and_leaves_all_as_it_was():
    first, norm, last = nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)
    model, image = nn.Sequential(first, norm, last), torch.randn(1, 8)
    first.weight.requires_grad_(False)
    last.weight.grad = gradient = torch.ones_like(last.weight)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    forward, of_last = 2 * (8 * 4 + 4 * 2), 2 * 4 * 2
    assert training_flops(model, image, set(model.parameters())) == forward + 2 * 8 * 4 + 2 * of_last
    assert training_flops(model, image, set(last.parameters())) == forward + of_last
    assert model.training
    assert [parameter.requires_grad for parameter in first.parameters()] == [False, True]
    assert [parameter.grad for parameter in (last.weight, first.bias)] == [gradient, None]
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())


def test_no_algorithm_is_sought_for_one_image_and_training_goes_on_with_its_own(monkeypatch):
    """On a GPU cuDNN would try all it has, at every size of the images."""
    tuned = []

    class Net(nn.Linear):
        def forward(self, x):
            tuned.append(torch.backends.cudnn.benchmark)
            return super().forward(x)

    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    net = Net(8, 4)
    forward_flops(net, torch.randn(1, 8))
    training_flops(net, torch.randn(1, 8), set(net.parameters()))
    assert tuned == [False, False]
    assert torch.backends.cudnn.benchmark


def test_a_recurrent_network_is_counted_without_cudnn():
    """Whose products are not counted, and which refuses a backward pass in evaluation mode."""
    used = []

    class Net(nn.GRU):
        def forward(self, x):
            used.append(torch.backends.cudnn.enabled)
            return super().forward(x)[0]

    before = torch.backends.cudnn.enabled
    net = Net(8, 4, batch_first=True)
    # Three gates, of products with 8 inputs and 4 hidden values, at each of 5 steps.
    forward = 2 * 3 * 4 * (8 + 4) * 5
    assert forward_flops(net, torch.randn(1, 5, 8)) == forward
    assert training_flops(net, torch.randn(1, 5, 8), set(net.parameters())) > 2 * forward
    assert used == [False, False]
    assert torch.backends.cudnn.enabled == before


def test_a_convolution_keeps_cudnn(monkeypatch):
    used = []
    net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Identity())
    net[1].register_forward_hook(lambda *_: used.append(torch.backends.cudnn.enabled))
    monkeypatch.setattr(torch.backends.cudnn, "enabled", True)
    forward_flops(net, torch.randn(1, 1, 2, 2))
    assert used == [True]
