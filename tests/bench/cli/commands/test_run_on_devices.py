"""What `bench run` refuses of several devices before it runs anything."""

import pytest
from rich.console import Console

from bench.cli.commands.run import RunOptions, run
from bench.errors import MissingError, UsageError
from bench.host import fingerprint


@pytest.fixture
def run_on(tmp_path, monkeypatch):
    monkeypatch.setattr(fingerprint, "device_count", lambda facts, device: 2)

    def run_on(*settings, **options):
        return run(RunOptions("digits", settings, results=tmp_path, device="cpu", **options), Console())

    return run_on


def test_more_devices_than_there_are_are_missing_hardware(run_on):
    with pytest.raises(MissingError, match="devices: needs 3 CPU cores, found 2"):
        run_on("devices=3", "batch_size=66")


def test_a_measure_of_one_device_refuses_several(run_on):
    with pytest.raises(UsageError, match="devices: inference uses one device, not 2"):
        run_on("devices=2", measure="inference")


def test_a_batch_that_devices_cannot_share_is_refused(run_on):
    with pytest.raises(UsageError, match="batch_size: 65 cannot be shared evenly by 2 devices"):
        run_on("devices=2", "batch_size=65")
