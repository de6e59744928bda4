"""Finding checkpoints, and what is refused with what differs and what to do."""

from __future__ import annotations

import pytest

from bench.errors import UsageError
from bench.runs import checkpoint
from bench.runs.checkpoint import CheckpointPlace, Ended
from bench.runs.state_file import save

CODE = {"sources_sha256": "1234567890abcdef", "commit": "aaaaaaaaaaaaaaaa", "dirty": True}
MACHINE = {"id": "m1", "cpu_model": "EPYC", "usable_cores": 2, "torch": "2.9"}
CELL = "0123456789abcdef"


@pytest.fixture
def make(tmp_path):
    """Writes a checkpoint after this epoch of this run."""

    def written(epoch, run_id="20260101T000000.000000Z-00000000", cell=CELL, seed=0, **config):
        checkpoint.make_room(tmp_path)
        place = CheckpointPlace(checkpoint.folder_of(tmp_path), run_id, "digits", cell, seed, config, CODE, MACHINE)
        path = place.state_path(epoch, 0)
        place.write(
            epoch=epoch,
            epochs=9.0,
            elapsed_s=10.0 * epoch,
            data={"fingerprint": "f"},
            states={path.name: save({"epoch": epoch}, path)},
            spans=[{"name": "train", "start_s": 0.0, "end_s": 10.0 * epoch, "epoch": epoch}],
        )
        return place

    return written


def names(tmp_path):
    return sorted(path.name for path in checkpoint.folder_of(tmp_path).iterdir())


def test_the_one_with_the_most_epochs_is_found_and_only_of_this_cell_and_seed(make, tmp_path):
    assert checkpoint.find(tmp_path, CELL, 0) is None
    make(3, "20260101T000000.000000Z-00000001")
    make(1, "20260101T000005.000000Z-00000002")
    make(8, "20260101T000006.000000Z-00000003", seed=10)
    make(8, "20260101T000007.000000Z-00000004", cell="f" * 16, lr=0.1)
    found = checkpoint.find(tmp_path, CELL, 0)
    assert (found.values.run_id, found.values.epoch) == ("20260101T000000.000000Z-00000001", 3)
    assert checkpoint.find(tmp_path, CELL, 1) is None
    (other,) = checkpoint.of_other_cells(tmp_path, "digits", CELL, 0)
    assert other.values.config == {"lr": 0.1}


def test_a_later_one_of_the_run_replaces_the_earlier(make, tmp_path):
    make(1)
    place = make(2)
    assert names(tmp_path) == sorted([place.path.name, place.state_path(2, 0).name])
    checkpoint.read(place.path).remove()
    assert names(tmp_path) == []


def test_an_unfinished_write_is_no_checkpoint_and_goes_with_the_run(make, tmp_path):
    place = make(1)
    folder = checkpoint.folder_of(tmp_path)
    # A worker that is killed leaves a draft, or a state that no values name.
    (folder / f".{place.state_path(2, 0).name}.abcd.part").write_bytes(b"PK")
    place.state_path(2, 0).write_bytes(b"PK\x03")
    found = checkpoint.find(tmp_path, CELL, 0)
    assert found.values.epoch == 1
    found.check(CODE, MACHINE)
    found.remove()
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "machine", "said"),
    [
        (
            CODE | {"sources_sha256": "fedcba0987654321", "dirty": False},
            MACHINE,
            "it is of other code: aaaaaaaaaaaa with changes, sources 1234567890ab, and here is aaaaaaaaaaaa, sources",
        ),
        (
            CODE,
            MACHINE | {"id": "m2", "usable_cores": 4, "torch": "2.10"},
            "it is of another machine: usable_cores 2, and here 4; torch 2.9, and here 2.10",
        ),
        (CODE, MACHINE | {"id": "m2"}, "it is of another machine: m1, and here m2"),
    ],
)
def test_another_code_or_machine_is_refused_with_what_differs(make, tmp_path, code, machine, said):
    make(4)
    found = checkpoint.find(tmp_path, CELL, 0)
    with pytest.raises(UsageError) as raised:
        found.check(code, machine)
    text = str(raised.value)
    assert said in text
    assert "after epoch 4, cannot be continued" in text
    assert text.endswith("Continue it where it was made, or leave out --resume to begin anew")


@pytest.mark.parametrize("damage", ["cut", "changed", "gone", "values"])
def test_a_torn_one_is_refused_with_the_remedy(make, tmp_path, damage):
    place = make(4)
    state = place.state_path(4, 0)
    content = state.read_bytes()
    if damage == "cut":
        state.write_bytes(content[: len(content) // 2])
    elif damage == "changed":
        state.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "gone":
        state.unlink()
    else:
        place.path.write_bytes(place.path.read_bytes()[:-20])
    with pytest.raises(UsageError) as raised:
        checkpoint.find(tmp_path, CELL, 0).check(CODE, MACHINE)
    text = str(raised.value)
    assert f"the checkpoint {place.path} is torn" in text
    assert f"Remove it (rm {place.path.with_suffix('')}*), or leave out --resume, to begin anew" in text


def test_the_clock_goes_on_at_the_interruption_and_says_what_was_lost(make, tmp_path):
    place = make(4)
    killed = checkpoint.read(place.path)
    assert (killed.resumed_s, killed.lost_s) == (40.0, None)
    assert [span.name for span in killed.spans()] == ["train"]
    assert killed.parts(2000.0) == [{"run_id": place.run_id, "epoch": 4, "lost_s": None, "away_s": None}]
    killed.ended(Ended("later", "crashed", 47.5, 1000.0))
    noted = checkpoint.read(place.path)
    assert (noted.resumed_s, noted.lost_s) == (47.5, 7.5)
    assert [(span.name, span.start_s, span.end_s) for span in noted.spans()][-1] == ("lost", 40.0, 47.5)
    assert noted.parts(1060.0) == [{"run_id": "later", "epoch": 4, "lost_s": 7.5, "away_s": 60.0}]
    # A clock that was set back tells nothing.
    assert noted.parts(900.0)[0]["away_s"] is None
