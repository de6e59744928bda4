"""`extends`: a recipe that says only what it changes of another."""

from pathlib import Path

import pytest

from bench.documents import yaml_reader, yaml_writer
from bench.errors import UsageError
from bench.runs.run import cell_id
from bench.spec import recipes
from bench.spec.recipe import Recipe

BASE = """
data: digits
model: {name: darknet, width: 8}
batch_size: 64
epochs: 2
optimizer: {name: sgd, lr: 0.1, momentum: 0.9}
image_sizes: [{pixels: 6, until: 0.3}, {pixels: 7, until: 0.6}]
on_cuda: {batch_size: 32, precision: bf16}
"""
CELLS = (Path(__file__).parent / "recipe_cells.txt").read_text().splitlines()


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "mine.yaml") -> str:
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    write(BASE, "base.yaml")
    return write


def refusal(path: str, *settings: str, device: str = "cpu") -> str:
    with pytest.raises(UsageError) as caught:
        recipes.load(path, device, settings)
    return str(caught.value)


@pytest.mark.parametrize("line", CELLS)
def test_a_shipped_recipe_is_the_cell_that_it_was_when_it_stood_alone(line):
    name, device, cell = line.split()
    assert cell_id(recipes.load(name, device).config()) == cell


def test_own_values_replace_inherited_ones_key_by_key(write):
    path = write("extends: base.yaml\nepochs: 3\nmodel: {blocks: [1]}\nimage_sizes: [{pixels: 5, until: 0.5}]\n")
    recipe = recipes.load(path, "cpu")
    assert (recipe.epochs, recipe.batch_size, recipe.optimizer.momentum) == (3, 64, 0.9)
    assert recipe.model.options == {"width": 8, "blocks": [1]}
    assert recipe.image_sizes.pixels == [5]
    assert recipes.load(write("extends: base.yaml\nmodel: speedrun\n"), "cpu").model.options == {}
    assert recipes.load(write("extends: base.yaml\nimage_sizes: null\n"), "cpu").image_sizes is None


def test_a_recipes_own_value_beats_what_the_other_says_for_a_device(write):
    path = write("extends: base.yaml\nbatch_size: 48\non_cpu: {batch_size: 16}\n")
    assert recipes.load(path, "cpu").batch_size == 16
    on_cuda = recipes.load(path, "cuda")
    assert (on_cuda.batch_size, on_cuda.precision) == (48, "bf16")


def test_a_chain_and_a_recipe_that_names_another_for_a_device(write):
    write("extends: base.yaml\nepochs: 5\n", "middle.yaml")
    assert recipes.load(write("extends: middle.yaml\n"), "cpu").epochs == 5
    write("on_cpu: middle.yaml\non_cuda: base.yaml\n", "either.yaml")
    path = write("extends: either.yaml\nbatch_size: 48\n")
    assert [recipes.load(path, device).epochs for device in ("cpu", "cuda")] == [5, 2]
    assert [recipes.load(path, device).batch_size for device in ("cpu", "cuda")] == [48, 48]


def test_a_shipped_recipe_can_be_extended_from_any_folder(write):
    assert recipes.load(write("extends: digits\nepochs: 1\n"), "cpu").epochs == 1


def test_a_mistake_names_the_file_and_line_that_made_it(write, tmp_path):
    assert refusal(write("extends: base.yaml\nepochs: many\n")).startswith(f"{tmp_path}/mine.yaml:2: epochs is 'many'")
    write(BASE.replace("lr: 0.1", "lr: -1"), "base.yaml")
    assert refusal(write("extends: base.yaml\nepochs: 1\n")).startswith(f"{tmp_path}/base.yaml:6: optimizer.lr is -1")
    changed = "extends: base.yaml\noptimizer: {name: muon}\n"
    assert refusal(write(changed)).startswith(f"{tmp_path}/mine.yaml:2: the key 'optimizer.lr' is missing")
    write("\nephocs: 1" + BASE, "base.yaml")
    assert "base.yaml:2: unknown key 'ephocs' (did you mean 'epochs'?)" in refusal(write("extends: base.yaml\n"))


def test_a_value_for_the_other_device_is_not_blamed(write, tmp_path):
    path = write(BASE.replace("batch_size: 64", "batch_size: many"))
    assert refusal(path).startswith(f"{tmp_path}/mine.yaml:4: batch_size is 'many'")


@pytest.mark.parametrize(
    ("extends", "message"),
    [
        ("digtis", "mine.yaml:1: extends: unknown recipe 'digtis' (did you mean 'digits'?); `bench recipes` lists all"),
        ("nowhere.yaml", "mine.yaml:1: extends: there is no recipe file nowhere.yaml"),
        ("3", "mine.yaml:1: extends is 3; it holds the name of a recipe, or a .yaml file"),
        ("[digits]", "mine.yaml:1: extends is ['digits']; it holds the name of a recipe, or a .yaml file"),
        ("", "mine.yaml:1: extends is None; it holds the name of a recipe, or a .yaml file"),
        ("mine.yaml", "mine.yaml:1: extends: recipes must not lead back to themselves, and these do: mine.yaml → mine"),
        ("circle.yaml", "circle.yaml:1: extends: recipes must not lead back to themselves, and these do: mine.yaml → "),
        ("broken.yaml", "broken.yaml:1: this is not valid YAML"),
        ("list.yaml", "list.yaml: this should be a mapping of keys to values"),
    ],
)
def test_what_cannot_be_extended_is_refused(write, extends, message):
    write("extends: mine.yaml\n", "circle.yaml")
    write("epochs: [1, 2", "broken.yaml")
    write("- 1\n", "list.yaml")
    assert message in refusal(write(f"extends: {extends}\n"))


def test_recipes_that_stand_in_for_each_other_are_refused(write):
    write("on_cpu: mine.yaml\n", "other.yaml")
    assert "other.yaml:1: on_cpu: recipes must not lead back to themselves" in refusal(write("extends: other.yaml\n"))


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", recipes.names())
def test_a_resolved_recipe_loads_to_the_same_recipe(name, device):
    recipe = recipes.load(name, device)
    text = yaml_writer.write(recipe.model_dump(mode="json", exclude_none=True))
    read = Recipe.model_validate(yaml_reader.parse(text)[0])
    assert read.model_dump(exclude_none=True) == recipe.model_dump(exclude_none=True)
    assert cell_id(read.config()) == cell_id(recipe.config())
