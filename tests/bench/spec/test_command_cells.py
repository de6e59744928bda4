"""Matrices of commands: their cells, and what is wrong with one, by its line."""

import pytest

from bench.errors import UsageError
from bench.spec import matrix as matrices

TEXT = """\
command:
  argv: python train.py --seed {seed} --lr {lr}
  epoch_pattern: 'acc (?P<accuracy>[\\d.]+)'
  target: 0.9
axes:
  lr: [0.1, 0.2]
  env.OMP_NUM_THREADS: [1, 2]
"""


@pytest.fixture
def load(tmp_path):
    def read(text: str = TEXT) -> matrices.Matrix:
        (tmp_path / "mine.yaml").write_text(text)
        return matrices.load(str(tmp_path / "mine.yaml"))

    return read


def test_axes_fill_placeholders_and_variables(load, tmp_path):
    matrix = load()
    cells = matrices.expand(matrix, "cpu")
    assert (matrix.spec.measured, matrix.folder) == ("train.py", tmp_path)
    assert [cell.label for cell in cells] == [
        f"lr={lr}, env.OMP_NUM_THREADS={threads}" for lr in (0.1, 0.2) for threads in (1, 2)
    ]
    command = cells[3].command
    assert command is not None
    assert command.argv_of(5) == ["python", "train.py", "--seed", "5", "--lr", "0.2"]
    assert command.env_of(5)["OMP_NUM_THREADS"] == "2"
    assert cells[3].config["parameters"] == {"OMP_NUM_THREADS": 2, "lr": 0.2}
    assert len({cell.id for cell in cells}) == 4
    assert {cell.target_accuracy for cell in cells} == {0.9}


@pytest.mark.parametrize(
    ("value", "text", "cell"),
    [
        ("0.1", "0.1", "bba73db21a707a39"),
        ("1.0e-05", "1e-05", "0170bed290060f3e"),
        ("true", "true", "8e6fe935b09d0bfe"),
        ("word", "word", "609f975cb7ee8802"),
        ("[1, 2.5]", "[1, 2.5]", "4c436e07ffcfaf3f"),
        ("null", "null", None),
        ("[x, true]", '["x", true]', None),
        ("{a: 1, b: [é, null]}", '{"a": 1, "b": ["é", null]}', None),
    ],
)
def test_a_value_reaches_the_command_as_a_person_would_type_it_or_as_json(load, value, text, cell):
    """The ids are those of records."""
    axes = f"axes:\n  lr: [{value}]\n  env.MODE: [fast]\n"
    (found,) = matrices.expand(load(f"command: python train.py --lr {{lr}}\n{axes}"), "cpu")
    assert found.command is not None
    assert found.command.argv[-1] == text
    assert cell in (None, found.id)
    (of_variable,) = matrices.expand(load(f"command: make\naxes:\n  env.MODE: [{value}]\n"), "cpu")
    assert of_variable.command is not None
    assert of_variable.command.env == {"MODE": text}


def test_a_line_alone_is_a_command_and_arms_tell_equal_cells_apart(load):
    cells = matrices.expand(load("command: make train\naxes:\n  arm: [a, b]\n"), "cpu")
    assert [cell.command and cell.command.argv for cell in cells] == [["make", "train"]] * 2
    assert len({cell.id for cell in cells}) == 2


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("{lr}", "{rl}", "yaml:6: 'lr' is no placeholder of the command; there are: rl"),
        ("  lr: [0.1, 0.2]\n", "", r"yaml:1: nothing fills \{lr\}: add an axis lr"),
        ("command:", "recipe: digits\ncommand:", "a matrix is of a recipe or of a command"),
        ("axes:", "measure: loading\naxes:", "this key belongs to recipes"),
        ("axes:", "set: {epochs: 1}\naxes:", "this key belongs to recipes"),
        ("target: 0.9", "target: 90", "yaml:4: command.target is 90"),
        ("target:", "traget:", "did you mean 'target'"),
        ("(?P<accuracy>", "(", "target needs an accuracy|no named group"),
        ("OMP_NUM_THREADS", "A-B", "letters, digits and _"),
        ("python train.py", "python '", "no closing quotation"),
    ],
)
def test_a_mistake_is_told_with_its_place(load, old, new, word):
    with pytest.raises(UsageError, match=word):
        matrices.expand(load(TEXT.replace(old, new)), "cpu")


def test_without_recipe_and_command_there_is_nothing_to_vary(load):
    with pytest.raises(UsageError, match="the key 'recipe' or 'command' is missing"):
        load("seeds: 2\n")
