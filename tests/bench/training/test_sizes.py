import pytest
import torch

from bench.training.sizes import bilinear_by_axes, resized


def photo(height=32, width=32, dtype=torch.float32):
    torch.manual_seed(0)
    return torch.randn(4, 3, height, width).to(dtype, memory_format=torch.channels_last)


def test_none_and_the_images_own_size_leave_them():
    images = photo()
    assert resized(images, None) is images
    assert resized(images, 32) is images


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_type_and_memory_format_stay(dtype):
    small = resized(photo(dtype=dtype), 20)
    assert small.shape == (4, 3, 20, 20)
    assert small.dtype == dtype
    assert small.is_contiguous(memory_format=torch.channels_last)


def test_a_pixel_is_the_triangle_weighted_mean_of_what_it_covers():
    """Against the definition in float64: a triangle twice as wide as a new pixel, normalised, along each axis."""
    images = photo()
    scale = 32 / 20
    centres = (torch.arange(20, dtype=torch.float64) + 0.5) * scale
    distance = (torch.arange(32, dtype=torch.float64) + 0.5 - centres[:, None]).abs() / scale
    weights = (1 - distance).clamp(min=0)
    weights /= weights.sum(dim=1, keepdim=True)
    expected = torch.einsum("ih,jw,bchw->bcij", weights, weights, images.double())
    assert torch.allclose(resized(images, 20).double(), expected, atol=1e-4)


def test_a_fine_checkerboard_turns_grey_and_does_not_alias():
    board = (torch.arange(32)[:, None] + torch.arange(32)) % 2
    images = board.float().expand(1, 3, 32, 32)
    inner = resized(images, 15)[..., 2:-2, 2:-2]
    assert (inner - 0.5).abs().max() < 0.05


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("on_a_gpu", [False, True])
@pytest.mark.parametrize("pixels", [20, 24, 28, 40])
def test_without_antialiasing_a_pixel_lies_on_lines_between_the_four_nearest(dtype, on_a_gpu, pixels):
    """Against the definition in float64; the centres of both images' corners are not the same."""
    images = photo(dtype=dtype)
    place = ((torch.arange(pixels, dtype=torch.float64) + 0.5) * 32 / pixels - 0.5).clamp(min=0)
    first, share = place.floor().long(), place - place.floor()
    weights = torch.zeros(pixels, 32, dtype=torch.float64)
    weights[range(pixels), first] = 1 - share
    weights[range(pixels), (first + 1).clamp(max=31)] += share
    expected = torch.einsum("ih,jw,bchw->bcij", weights, weights, images.double())
    small = bilinear_by_axes(images, [pixels, pixels]) if on_a_gpu else resized(images, pixels, antialias=False)
    assert torch.allclose(small.double(), expected, atol=1e-5 if dtype == torch.float32 else 3e-3)
    assert small.dtype == dtype
    assert small.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_the_form_for_a_gpu_keeps_sides_and_memory_format(layout):
    images = photo(32, 48).contiguous(memory_format=layout)
    small = bilinear_by_axes(images, [16, 24])
    assert torch.allclose(small, resized(images, 16, antialias=False), atol=1e-5)
    assert small.is_contiguous(memory_format=layout)


def test_the_shorter_side_decides():
    assert resized(photo(32, 48), 16).shape == (4, 3, 16, 24)
