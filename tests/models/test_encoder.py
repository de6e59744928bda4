import pytest
import torch

from bench.models.encoder import ConvEncoder, EncoderNet, ResNet34Encoder
from bench.pipelines.torchvision_compat import import_torchvision


@pytest.mark.parametrize(("pixels", "sides"), [(32, [16, 8, 4]), (29, [15, 8, 4])])
def test_features_halve_and_round_up(pixels, sides):
    features = ConvEncoder(3, [4, 6, 8])(torch.randn(2, 3, pixels, pixels))
    assert [tuple(one.shape) for one in features] == [
        (2, width, side, side) for width, side in zip((4, 6, 8), sides, strict=True)
    ]


def test_resnet34_gives_its_five_resolutions_by_torchvisions_names():
    encoder = ResNet34Encoder().eval()
    whole = import_torchvision("torchvision.models.resnet").resnet34()
    encoder.load_state_dict({k: v for k, v in whole.state_dict().items() if not k.startswith("fc.")})
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        features = encoder(images)
        expected = whole.eval().fc(features[-1].mean((2, 3)))
        assert torch.allclose(whole(images), expected, atol=1e-5)
    assert [one.shape[1] for one in features] == list(encoder.widths)
    assert [one.shape[-1] for one in features] == [32, 16, 8, 4, 2]


def test_the_classifier_is_the_encoder_and_a_linear_layer():
    net = EncoderNet(3, 7, 16, [4, 8])
    images = torch.randn(5, 3, 16, 16)
    net.eval()
    assert torch.equal(net(images), net.head(net.encoder(images)[-1]))
    assert net(images).shape == (5, 7)


@pytest.mark.parametrize(
    ("widths", "pixels", "said"),
    [
        ([8, 8, 8], 7, "3 stages halve the image, so it needs 8 pixels, not 7"),
        ([8], 32, "two stages"),
        ([8, 0], 32, "a width: 0 is not between"),
    ],
)
def test_what_cannot_be_is_refused(widths, pixels, said):
    with pytest.raises(ValueError, match=said):
        EncoderNet(3, 10, pixels, widths)
