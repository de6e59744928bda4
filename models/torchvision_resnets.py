"""torchvision's ResNets, ResNeXts and wide ResNets by their own names, untrained."""

from __future__ import annotations

from torch import nn

from bench.pipelines.torchvision_compat import import_torchvision

LEAST_PIXELS = 32
LEAST_PIXELS_SMALL_STEM = 8


def torchvision_resnet(
    variant: str,
    in_channels: int = 3,
    classes: int = 10,
    image_size: int = 32,
    small_stem: bool = False,
    zero_init_residual: bool = False,
) -> nn.Module:
    """torchvision.models.`variant` for images [B, in_channels, H, W], which it makes 32 times smaller.

    `small_stem` is the usual change for 32 pixels: the first conv is 3×3 with stride 1 and there is no first pooling,
    so that the last stage sees 4×4 pixels instead of one. A replaced first conv is initialised as torchvision's is.
    """
    least = LEAST_PIXELS_SMALL_STEM if small_stem else LEAST_PIXELS
    if image_size < least:
        hint = "" if small_stem or image_size < LEAST_PIXELS_SMALL_STEM else "; small_stem: true needs 8"
        raise ValueError(f"{variant} halves the image to nothing below {least} pixels, not {image_size}{hint}")
    resnets = import_torchvision("torchvision.models.resnet")
    net: nn.Module = getattr(resnets, variant)(num_classes=classes, zero_init_residual=zero_init_residual)
    stem: nn.Conv2d = net.conv1  # type: ignore[assignment]
    if small_stem:
        net.conv1 = _initialised(nn.Conv2d(in_channels, stem.out_channels, 3, padding=1, bias=False))
        net.maxpool = nn.Identity()
    elif in_channels != stem.in_channels:
        net.conv1 = _initialised(nn.Conv2d(in_channels, stem.out_channels, 7, stride=2, padding=3, bias=False))
    return net


def _initialised(conv: nn.Conv2d) -> nn.Conv2d:
    """As every conv of torchvision.models.resnet (He et al., "Delving deep into rectifiers", 2015)."""
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv
