import pickle
from pathlib import Path

import pytest
import torch

from bench import models
from bench.errors import UsageError
from bench.runs import weights_file
from bench.runs.weights import find
from bench.runs.weights_file import Weights

ORIGIN = {"run_id": "20261121T000000.000000Z-0123abcd", "model": '{"name": "darknet", "width": 4}'}


def net(width=4, blocks=(1,)):
    return models.build("darknet", {"width": width, "blocks": list(blocks)}, in_channels=1, classes=10, image_size=8)


def net_that_counts(counts):
    model = net()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d) and not counts:
            module.num_batches_tracked = None
    return model


@pytest.fixture
def kept(tmp_path):
    return weights_file.save(Weights(weights_file.state_of(net()), ORIGIN), tmp_path / "deep" / "kept.pt")


def refused(work, *arguments) -> str:
    with pytest.raises(UsageError) as caught:
        work(*arguments)
    return str(caught.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_come_back_to_the_bit(tmp_path, dtype):
    model = net().to(dtype).to(memory_format=torch.channels_last)
    kept = weights_file.save(Weights(weights_file.state_of(model), ORIGIN), tmp_path / "kept.pt")
    weights = weights_file.load(kept)
    assert weights.origin == ORIGIN
    other = net().to(dtype)
    weights_file.put_into(other, weights, kept.path)
    for name, value in model.state_dict().items():
        assert torch.equal(other.state_dict()[name], value)
    assert kept == find(str(kept.path), tmp_path)


def test_what_is_kept_does_not_follow_the_training():
    model = net()
    state = weights_file.state_of(model)
    before = {name: value.clone() for name, value in state.items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    assert all(torch.equal(before[name], value) for name, value in state.items())


def test_a_failure_leaves_the_file_that_was_there_and_nothing_else(kept, monkeypatch):
    before = kept.path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        weights_file.save(Weights(weights_file.state_of(net())), kept.path)
    assert kept.path.read_bytes() == before
    assert list(kept.path.parent.iterdir()) == [kept.path]


def test_a_bare_state_dict_is_taken(tmp_path):
    model, path = net(), tmp_path / "bare.pt"
    torch.save(model.state_dict(), path)
    weights = weights_file.load(find(str(path), tmp_path))
    assert weights.origin == {}
    assert list(weights.state) == list(model.state_dict())


class Bomb:
    def __reduce__(self):
        return Path.touch, (Path("bomb"),)


@pytest.mark.parametrize(
    "content",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:-1],
        lambda _: b"",
        lambda _: b"just words",
        lambda _: pickle.dumps(Bomb(), protocol=2),
    ],
)
def test_what_is_no_file_of_weights_is_refused_and_not_run(kept, tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    kept.path.write_bytes(content(kept.path.read_bytes()))
    assert "no file of weights, or a torn one" in refused(weights_file.load, find(str(kept.path), tmp_path))
    assert not Path("bomb").exists()


@pytest.mark.parametrize("held", [{"a": 1}, [torch.zeros(1)], {}, {"format": weights_file.FORMAT, "origin": 3}])
def test_a_file_of_something_else_is_refused(tmp_path, held):
    path = tmp_path / "other.pt"
    torch.save(held, path)
    assert "holds no weights" in refused(weights_file.load, find(str(path), tmp_path))


def test_a_file_that_changes_between_command_and_run_is_refused(kept):
    kept.path.write_bytes(kept.path.read_bytes() + b"x")
    assert "was replaced" in refused(weights_file.load, kept)
    kept.path.unlink()
    assert "cannot be read: No such file" in refused(weights_file.load, kept)


def test_the_first_difference_to_the_network_is_named(kept):
    weights = weights_file.load(kept)
    wide = refused(weights_file.put_into, net(width=8), weights, kept.path)
    assert "body.0.0.weight is [4, 1, 3, 3], and here [8, 1, 3, 3]" in wide
    assert f"They are of run {ORIGIN['run_id']}, model {ORIGIN['model']}" in wide
    assert "--set model.OPTION=VALUE" in wide
    assert "they have no body.3.convs.0.0.weight, which here is" in refused(
        weights_file.put_into, net(blocks=(2,)), weights, kept.path
    )
    assert "they have body.2." in refused(weights_file.put_into, net(blocks=(0,)), weights, kept.path)


@pytest.mark.parametrize("counted", [True, False])
def test_weights_fit_whether_or_not_batches_were_counted(kept, counted):
    """Kept by a network that counts them or by one that does not, and put into one of the other kind."""
    given, other = (net_that_counts(counts) for counts in (counted, not counted))
    with torch.no_grad():
        for value in given.state_dict().values():
            value.add_(1)
    weights_file.put_into(other, Weights(weights_file.state_of(given)), kept.path)
    for name, value in other.state_dict().items():
        assert name.endswith("num_batches_tracked") or torch.equal(value, given.state_dict()[name])
