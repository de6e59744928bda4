"""A command as a document: what it may say, what its seeds and parameters fill, and which cell it is."""

import pytest
from pydantic import ValidationError

from bench.spec.command import Command


def test_a_string_is_split_as_a_shell_does_and_the_seed_fills_its_place():
    command = Command(argv="python train.py --name 'a b' --seed {seed}", env={"SEED": "s{seed}"})
    assert command.argv_of(7) == ["python", "train.py", "--name", "a b", "--seed", "7"]
    assert command.env_of(7) == {"PYTHONUNBUFFERED": "1", "SEED": "s7", "BENCH_SEED": "7"}
    assert command.uses_seed
    assert not Command(argv="python train.py").uses_seed


def test_braces_that_hold_no_name_stay():
    command = Command(argv=["tool", '{"lr": 0.1}', "${HOME}", "{}"])
    assert command.argv_of(0) == ["tool", '{"lr": 0.1}', "${HOME}", "{}"]


def test_buffered_leaves_python_as_it_is():
    assert "PYTHONUNBUFFERED" not in Command(argv="python t.py", buffered=True).env_of(0)


def test_a_note_tells_what_serves_a_target_only_where_no_pattern_does():
    note = Command(argv="x", target=0.9).target_note("--epoch-pattern")
    assert note is not None
    assert note.startswith("without --epoch-pattern, a run fails unless")
    assert Command(argv="x").target_note("--epoch-pattern") is None
    assert Command(argv="x", target=0.9, epoch_pattern=r"acc (?P<accuracy>\S+)").target_note("--epoch-pattern") is None


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"argv": ""}, "at least 1"),
        ({"argv": "python 'x"}, "no closing quotation"),
        ({"argv": ["a", "b\0c"]}, "zero byte"),
        ({"argv": "x", "cwd": "../elsewhere"}, "leads out"),
        ({"argv": "x", "cwd": "/etc"}, "leads out"),
        ({"argv": "x", "env": {"A=B": "1"}}, "letters, digits and _"),
        ({"argv": "x", "target": 94}, "less than 1"),
        ({"argv": "x", "task": "cifar10/inference"}, "such as cifar10/train"),
        ({"argv": "x", "epoch_pattern": "acc"}, "no named group"),
        ({"argv": "x", "epoch_pattern": r"(?P<epoch>\d+)", "target": 0.9}, "target needs an accuracy"),
        ({"argv": "x", "timeout_s": 0}, "greater than 0"),
    ],
)
def test_what_cannot_be_is_refused(said, word):
    with pytest.raises(ValidationError, match=word):
        Command(**said)


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        ("python train.py --seed 1", "train.py"),
        ("torchrun --nproc_per_node=2 src/main.py", "main.py"),
        ("python -m package.train", "package.train"),
        ("./run", "run"),
        ("bash -c 'exit 3'", "bash"),
    ],
)
def test_it_is_named_by_what_is_run(argv, name):
    assert Command(argv=argv).script == name


def test_a_parameter_in_a_matrix_is_the_same_cell_as_one_typed_by_hand():
    template = Command(argv="python train.py --lr {lr} --seed {seed}", target=0.9)
    typed = Command(argv="python train.py --lr 0.1 --seed {seed}", target=0.9, timeout_s=5)
    config, cell = template.with_values({"lr": 0.1}).identify("cpu")
    assert cell == typed.identify("cpu")[1]
    assert config["parameters"] == {"lr": 0.1}
    assert cell != template.with_values({"lr": 0.2}).identify("cpu")[1]
    assert cell != typed.model_copy(update={"target": 0.8}).identify("cpu")[1]


def test_a_value_for_no_placeholder_is_refused():
    with pytest.raises(KeyError, match="width"):
        Command(argv="python train.py {lr}").with_values({"width": 3})


def test_its_config_has_what_the_boards_read():
    config, _ = Command(argv="python train.py", target=0.94, task="cifar10/train").identify("cuda")
    assert config["data"] == {"name": "cifar10"}
    assert config["target_accuracy"] == 0.94
    assert config["device"] == "cuda"
