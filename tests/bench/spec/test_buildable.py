import pytest

from bench.documents.document import Document
from bench.errors import UsageError
from bench.spec import matrix as matrices
from bench.spec import recipes
from bench.spec.buildable import why_not
from bench.spec.matrix import Matrix, expand


@pytest.mark.parametrize("name", recipes.names())
def test_the_net_of_every_shipped_recipe_fits_its_data(name):
    for device in ("cpu", "cuda"):
        assert why_not(recipes.load(name, device)) is None


@pytest.mark.parametrize("name", matrices.names())
def test_the_net_of_every_cell_of_a_shipped_matrix_fits_its_data(name):
    for cell in expand(matrices.load(name), "cpu"):
        assert not (cell.skip or "").startswith("model ")


def test_why_not_names_the_numbers():
    recipe = recipes.load("digits", "cpu", ["model.groups=3"])
    assert "3 groups do not divide the 32 input channels" in (why_not(recipe) or "")
    recipe = recipes.load("digits", "cpu", ["model.blocks=[1, 1, 1, 1, 1]"])
    assert "4 groups halve the image, so it needs 16 pixels, not 8" in (why_not(recipe) or "")


def test_the_shape_of_made_up_data_counts():
    settings = ["data={name: random, shape: [1, 4, 6], classes: 3}", "target_accuracy=null"]
    assert why_not(recipes.load("digits", "cpu", settings)) is None
    settings = [settings[0], "target_accuracy=null", "augment={flip: none, shift_pixels: 0}"]
    settings[0] = "data={name: random, shape: [1, 1, 6]}"
    assert "not 1" in (why_not(recipes.load("digits", "cpu", settings)) or "")
    # A shape that is none is the data set's to refuse, in its own words.
    settings[0] = "data={name: random, shape: 3}"
    with pytest.raises(UsageError, match=r"data\.shape: random: shape is 3"):
        recipes.load("digits", "cpu", settings)


def test_the_smallest_of_progressive_sizes_counts():
    recipe = recipes.load("darknet", "cpu", ["image_sizes=[{pixels: 8, until: 0.5}]"])
    assert "image_sizes.0.pixels: 8 is too few; " in (why_not(recipe) or "")


def test_an_impossible_cell_is_skipped_in_the_plan_and_the_others_are_not():
    axes = {"model.groups": [1, 3], "model.kernel_sizes": [[1, 3], [2, 3]]}
    cells = expand(Matrix(Document(matrices.MATRICES / "mine.yaml", {"recipe": "digits", "axes": axes})), "cpu")
    assert [cell.skip is None for cell in cells] == [True, False, False, False]
    assert [cell.recipe is None for cell in cells] == [False, True, True, True]
    assert "a kernel is odd" in (cells[1].skip or "")
    assert "3 groups do not divide" in (cells[2].skip or "")
    assert len({cell.id for cell in cells}) == 4


@pytest.mark.parametrize(
    ("name", "rate", "decay"),
    [("speedrun94_sgd", 11.5, 0.0153), ("speedrun95", 10.0, 0.0153), ("speedrun96", 9.0, 0.012)],
)
def test_rates_are_those_that_the_source_gives_for_1024_examples(name, rate, decay):
    """Per 1,024 examples and freed of the momentum: see the comment in the recipes."""
    optimizer = recipes.load(name, "cpu").optimizer
    lengthened = 1 + 1 / (1 - 0.85)
    assert optimizer.lr * 1024 * lengthened == pytest.approx(rate, rel=1e-4)
    assert optimizer.lr * optimizer.weight_decay * lengthened == pytest.approx(decay, rel=1e-4)
    biases = optimizer.groups["biases"]
    assert biases.lr == pytest.approx(64 * optimizer.lr, rel=1e-4)
    assert biases.lr * biases.weight_decay == pytest.approx(optimizer.lr * optimizer.weight_decay, rel=1e-4)


def test_pages_rates_are_per_example_and_his_squares_inside():
    recipe = recipes.load("resnet9", "cpu")
    assert recipe.optimizer.lr * recipe.batch_size == pytest.approx(0.4)
    assert recipe.optimizer.weight_decay == pytest.approx(5e-4 * recipe.batch_size)
    assert recipe.schedule.peak * recipe.epochs == pytest.approx(5, rel=1e-6)
    assert recipe.augment.cutout_inside
