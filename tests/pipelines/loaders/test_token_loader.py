import pytest
import torch

from bench.pipelines.augment import Augment
from bench.pipelines.datasets import load_dataset
from bench.pipelines.errors import WrongOption
from bench.pipelines.loader import Placement
from bench.pipelines.loaders import make_loader

PLACE = Placement(torch.device("cpu"))


def make(name="tokens", data="human_numbers", split="train", batch_size=64, augment=Augment()):
    return make_loader(name, load_dataset(data), split, batch_size, augment, PLACE, seed=0)


def test_every_epoch_is_the_text_in_its_order():
    loader = make()
    epochs = [[tokens for tokens, _ in loader.epoch(epoch)] for epoch in (0, 1)]
    assert len(epochs[0]) == loader.steps_per_epoch == 39
    assert all(torch.equal(a, b) for a, b in zip(*epochs, strict=True))
    (tokens, labels), *_ = loader.epoch(0)
    assert tokens.shape == labels.shape == (64, 20)
    assert tokens.dtype == labels.dtype == torch.int64
    assert torch.equal(tokens[:, 1:], labels[:, :-1])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 32}, "batch size is 32; .* in 64 streams.*set batch_size and evaluation.batch_size to 64"),
        ({"augment": Augment(flip="random")}, "augment: words are not augmented"),
        ({"name": "resident"}, "is a text; write loader: tokens"),
        ({"data": "digits"}, "digits is images; write loader: resident, ffcv or torch"),
    ],
)
def test_what_does_not_fit_is_refused(options, said):
    with pytest.raises(WrongOption, match=said):
        make(**options)
