import pytest
import torch

from bench.errors import UsageError
from bench.models.encoder import ConvEncoder, EncoderNet
from bench.tasks.late_training import LateTraining, start_from


def trained(part):
    return {name for name, parameter in part.named_parameters() if parameter.requires_grad}


def test_until_then_only_the_norms_are_trained_and_all_from_then_on():
    encoder = ConvEncoder(3, [4, 8])
    everything = trained(encoder)
    late = LateTraining(encoder, 10)
    norms = {name for name in everything if int(name.split(".")[2]) in (1, 4)}
    assert trained(encoder) == norms
    late.advance(9.5)
    assert trained(encoder) == norms
    late.advance(10)
    assert trained(encoder) == everything


def test_a_part_that_is_not_frozen_is_left_alone():
    encoder = ConvEncoder(3, [4, 8])
    everything = trained(encoder)
    LateTraining(encoder, 0).advance(0)
    assert trained(encoder) == everything


def test_weights_of_a_classifier_become_the_encoders():
    torch.manual_seed(0)
    net, encoder = EncoderNet(3, 10, 16, [4, 8]), ConvEncoder(3, [4, 8])
    start_from(encoder, net, "task.encoder")
    assert all(torch.equal(a, b) for a, b in zip(encoder.parameters(), net.encoder.parameters(), strict=True))


@pytest.mark.parametrize(
    ("widths", "said"),
    [
        ([4, 8, 8], r"task.encoder: .* stages.2.0.weight is \[8, 8, 3, 3\] here, and missing there; set model.encoder"),
        ([6, 8], r"stages.0.0.weight is \[6, 3, 3, 3\] here, and \[4, 3, 3, 3\] there"),
    ],
)
def test_weights_of_another_shape_are_refused(widths, said):
    with pytest.raises(UsageError, match=said):
        start_from(ConvEncoder(3, widths), EncoderNet(3, 10, 16, [4, 8]), "task.encoder")
