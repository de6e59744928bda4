import pytest
import torch
from torch import nn

from bench import models
from bench.profiling.stages import MOST_STAGES, Replay, record, stages_of
from bench.training.device import Device
from bench.training.flops import count_flops
from bench.training.precision import Precision


@pytest.fixture
def fp32():
    return Precision("fp32", Device("cpu"))


class Twice(nn.Module):
    """Uses one layer two times, and another not at all."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.LeakyReLU(inplace=True))
        self.shared = nn.Conv2d(4, 4, 3, padding=1)
        self.unused = nn.Linear(3, 3)
        self.head = nn.Linear(4, 10)

    def forward(self, x):
        x = self.stem(x)
        return self.head(self.shared(self.shared(x)).mean((2, 3)))


def batch(size=4):
    return torch.randn(size, 1, 8, 8), torch.arange(size) % 10


def names(model, depth=None):
    return [stage.name for stage in stages_of(model, depth)]


def test_depth_opens_level_by_level():
    model = Twice()
    assert names(model, 0) == [""]
    assert names(model, 1) == ["stem", "shared", "unused", "head"]
    assert names(model, 2) == ["stem.0", "stem.1", "stem.2", "shared", "unused", "head"]
    assert names(model, 9) == names(model, 2) == names(model)


def test_the_standard_depth_is_the_deepest_that_fits_on_a_screen():
    blocks = nn.Sequential(*(nn.Sequential(nn.Linear(2, 2), nn.ReLU()) for _ in range(MOST_STAGES // 2 + 1)))
    assert len(names(blocks)) == MOST_STAGES // 2 + 1


def test_a_module_with_weights_of_its_own_stays_whole():
    attention = nn.Sequential(nn.MultiheadAttention(8, 2))
    assert names(attention) == ["0"]


def test_a_recording_tells_shapes_calls_and_kept_bytes(fp32):
    model, data = Twice(), batch()
    recording = record(model, data, fp32, stages_of(model, 1))
    by_name = {stage.name: stage for stage in recording.stages}
    assert list(by_name) == ["stem", "shared", "head"]
    assert by_name["stem"].output_shape == (4, 4, 6, 6)
    assert len(by_name["shared"].calls) == 2
    assert by_name["head"].kept_bytes == 4 * 4 * 4
    assert 0 < sum(stage.kept_bytes for stage in recording.stages) <= recording.kept_bytes
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_the_stages_compute_what_the_net_computes(fp32, depth):
    model, data = Twice(), batch()
    recording = record(model, data, fp32, stages_of(model, depth))
    forward = backward = 0
    for stage in recording.stages:
        replay = Replay(stage, fp32)
        replay.prepare()
        forward += count_flops(replay.forward)
        backward += count_flops(replay.backward)
    assert (forward, backward) == (recording.forward_flops, recording.backward_flops)


# Of images; counting_rnn reads words.
OTHERS = ("wrn_22", "torchvision:", "counting_rnn", *models.OF_TASKS)
NETS = [name for name in models.MODELS if not name.startswith(OTHERS)]


@pytest.mark.parametrize("name", [*NETS, "torchvision:resnet18"])
def test_every_nets_stages_hold_its_parameters_and_products(fp32, name):
    options = {"darknet": {"blocks": [1, 1], "width": 8}, "wide_resnet": {"depth": 10, "widen": 1}}.get(name, {})
    model = models.build(name, options, in_channels=3, classes=10, image_size=32)
    data = torch.randn(2, 3, 32, 32), torch.tensor([0, 1])
    recording = record(model, data, fp32, stages_of(model))
    forward = 0
    for stage in recording.stages:
        replay = Replay(stage, fp32)
        replay.prepare()
        forward += count_flops(replay.forward)
    assert 3 <= len(recording.stages) <= MOST_STAGES
    assert forward == recording.forward_flops
    assert sum(s.parameters for s in recording.stages) == sum(p.numel() for p in model.parameters())
    assert 0.5 * recording.kept_bytes < sum(s.kept_bytes for s in recording.stages) <= recording.kept_bytes


def test_a_replay_sees_the_input_before_it_was_changed_in_place(fp32):
    model, data = Twice(), batch()
    recording = record(model, data, fp32, stages_of(model, 2))
    (act,) = [stage for stage in recording.stages if stage.name == "stem.2"]
    (call,) = act.calls
    assert (call.args[0] < -0.5).any()
    replay = Replay(act, fp32)
    for _ in range(2):  # each time from the same beginning
        before = call.args[0].clone()
        replay.prepare()
        replay.forward()
        replay.backward()
        assert torch.equal(call.args[0], before)
    (grad,) = call.grads.values()
    assert grad.shape == act.output_shape
