"""Two gloo ranks against one process with the same global batch, seed and augmentation, in fp32.

The network has no batch norm: that normalises by each rank's own part of the batch, and so makes another network.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

SCRIPT = Path(__file__).with_name("two_ranks.py")
# Of fp32, whose sums depend on their order: the mean of two means of 30 is no bit-for-bit mean of 60.
TOLERANCE = {"rtol": 1e-5, "atol": 1e-6}
# After an epoch of 23 steps these differences have grown.
AFTER_AN_EPOCH = {"rtol": 1e-3, "atol": 1e-4}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What one process found, and what each of two ranks did."""
    folders = [tmp_path_factory.mktemp(name) for name in ("one", "two")]
    launchers = [[], ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]]
    processes = [
        subprocess.Popen([sys.executable, *launcher, str(SCRIPT), str(folder)], cwd=SCRIPT.parents[3])
        for launcher, folder in zip(launchers, folders, strict=True)
    ]
    assert [process.wait(timeout=240) for process in processes] == [0, 0]
    one, two = folders
    return torch.load(one / "0.pt", weights_only=False), [
        torch.load(two / f"{rank}.pt", weights_only=False) for rank in (0, 1)
    ]


@pytest.mark.parametrize("case", ["mean", "sum", "adamw", "accumulate"])
def test_gradients_are_those_of_one_process(results, case):
    one, two = results
    assert len(one[case]["gradients"]) == 6
    for rank in two:
        for name, expected in one[case]["gradients"].items():
            assert expected.abs().max() > 1e-3
            torch.testing.assert_close(rank[case]["gradients"][name], expected, **TOLERANCE)


@pytest.mark.parametrize("case", ["mean", "sum", "adamw", "accumulate"])
def test_an_epoch_ends_as_that_of_one_process_and_alike_on_both_ranks(results, case):
    one, two = results
    for name, expected in one[case]["weights"].items():
        torch.testing.assert_close(two[0][case]["weights"][name], expected, **AFTER_AN_EPOCH)
        assert torch.equal(two[0][case]["weights"][name], two[1][case]["weights"][name])
    for rank in two:
        assert rank[case]["loss"] == pytest.approx(one[case]["loss"], rel=1e-4)
        assert rank[case]["accuracy"] == pytest.approx(one[case]["accuracy"], abs=0.006)  # two of 360 images
        assert rank[case]["examples"] == one[case]["examples"] == 1380


def test_evaluation_counts_every_image_once_with_the_mean_of_the_statistics(results):
    _, (first, second) = results
    assert first["evaluate"]["accuracy"] == second["evaluate"]["accuracy"]
    assert first["evaluate"]["images"] + second["evaluate"]["images"] == 360
    for rank in (first, second):
        assert rank["evaluate"]["running_mean"].tolist() == [0.5] * 8


def test_a_phase_takes_as_long_as_its_slowest_rank(results):
    _, two = results
    for rank in two:
        span = rank["evaluate"]["span"]
        assert (span.name, span.epoch, span.start_s, span.end_s, span.device_s) == ("train", 3, 1.0, 3.0, None)
        assert span.rank_s == (1.0, 2.0)


def test_the_devices_are_connected_before_anything_is_timed(monkeypatch):
    """NCCL does so at the first meeting on the GPUs, which would otherwise be within the network's initialisation."""
    import torch.distributed as dist

    from bench.training.device import Device
    from bench.training.distributed import Together

    met = []
    monkeypatch.setattr(dist, "init_process_group", lambda backend: met.append(backend))
    monkeypatch.setattr(dist, "all_reduce", lambda tensor: met.append(tensor.device))
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "get_world_size", lambda: 2)
    device = Device("cpu")
    Together(device)
    assert met == ["gloo", device.torch]
