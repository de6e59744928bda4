import itertools
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.documents.document import Document
from bench.errors import UsageError
from bench.host.fingerprint import lack_of_precision
from bench.spec import matrix as matrices
from bench.spec import recipes
from bench.spec.matrix import Matrix, expand, schedule

# Valid values of keys that are independent of one another.
CHOICES = {
    "model.width": [8, 16, 32],
    "model.blocks": [[1], [1, 1], [2]],
    "precision": ["fp32", "bf16"],
    "compile": [False],
    "loss": [{"label_smoothing": 0.1}, {"reduction": "sum"}],
    "devices": [1],
    "arm": ["a", "b"],
}


def matrix(**values) -> Matrix:
    return Matrix(Document(Path("mine.yaml"), {"recipe": "digits"} | values))


def cells(device="cpu", found=1, **values):
    return expand(matrix(**values), device, found)


@pytest.fixture
def refusal(tmp_path):
    def refusal(text: str) -> str:
        path = tmp_path / "mine.yaml"
        path.write_text(text)
        with pytest.raises(UsageError) as caught:
            expand(matrices.load(str(path)), "cpu")
        return str(caught.value)

    return refusal


@st.composite
def specs(draw):
    """Axes with distinct values, rules that leave some of them out, and cells beside them."""
    keys = draw(st.lists(st.sampled_from(sorted(CHOICES)), unique=True, max_size=4))
    axes = {key: draw(st.lists(st.sampled_from(CHOICES[key]), min_size=1, unique_by=str, max_size=3)) for key in keys}
    point = st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in axes.items()})
    exclude = draw(st.lists(point.filter(bool), max_size=2)) if axes else []
    include = draw(
        st.lists(
            st.fixed_dictionaries({}, optional={key: st.sampled_from(CHOICES[key]) for key in CHOICES}).filter(bool),
            max_size=3,
        )
    )
    return {"axes": axes, "exclude": exclude, "include": include}


@settings(deadline=None, max_examples=60)
@given(specs())
def test_cells_are_the_product_without_the_excluded_and_with_the_included(spec):
    product = [dict(zip(spec["axes"], point, strict=True)) for point in itertools.product(*spec["axes"].values())]
    if not spec["axes"] and spec["include"]:
        product = []  # nothing is varied, so there is nothing but the cells that are named
    kept = [point for point in product if not any(rule.items() <= point.items() for rule in spec["exclude"])]
    wanted = kept + spec["include"]
    if not wanted:
        with pytest.raises(UsageError, match="excludes all of its cells"):
            cells(**spec)
        return
    made = cells(**spec)
    assert len({cell.id for cell in made}) == len(made)
    # Nothing is lost: what is not a cell of its own was merged into an equal one.
    everything = [values for cell in made for values in (cell.values, *cell.merged)]
    assert sorted(map(str, everything)) == sorted(map(str, wanted))
    order = [wanted.index(dict(cell.values)) for cell in made]
    assert order == sorted(order)


@given(
    st.integers(1, 8),
    st.integers(1, 5),
    st.sampled_from(["interleaved", "grouped", "random"]),
    st.integers(0, 100),
)
def test_every_order_runs_each_cell_with_each_seed_once(cell_count, seed_count, order, order_seed):
    made = CELLS[:cell_count]
    pairs = schedule(made, range(seed_count), order, order_seed)
    assert Counter((cell.id, seed) for cell, seed in pairs) == {
        (cell.id, seed): 1 for cell in made for seed in range(seed_count)
    }
    assert pairs == schedule(made, range(seed_count), order, order_seed)


@given(st.integers(1, 8), st.integers(1, 5))
def test_interleaved_is_balanced_at_every_moment_and_grouped_is_not_mixed(cell_count, seed_count):
    made = CELLS[:cell_count]
    done: Counter[str] = Counter({cell.id: 0 for cell in made})
    for cell, seed in schedule(made, range(seed_count), "interleaved"):
        assert done[cell.id] == seed
        done[cell.id] += 1
        assert max(done.values()) - min(done.values()) <= 1
    grouped = [cell.id for cell, _ in schedule(made, range(seed_count), "grouped")]
    assert [cell for cell, _ in itertools.groupby(grouped)] == [cell.id for cell in made]


def test_random_orders_differ_by_their_seed():
    orders = [schedule(CELLS, range(3), "random", seed) for seed in range(3)]
    assert orders[0] != orders[1] != orders[2]


CELLS = cells(axes={"model.width": list(range(1, 9))})


def test_a_cell_is_the_one_that_run_makes():
    (cell,) = cells(set={"epochs": 3}, axes={"model.width": [8]})
    recipe = recipes.load("digits", "cpu", ["epochs=3", "model.width=8"])
    config, cell_id = recipes.identify(recipe.config(), "cpu", "time_to_accuracy")
    assert (cell.recipe, cell.config, cell.id) == (recipe, config, cell_id)
    assert cell.id != cells(set={"epochs": 3}, axes={"model.width": [8]}, measure="throughput")[0].id


def test_axes_are_laid_over_the_recipe_in_their_order():
    model = {"name": "darknet", "width": 4}
    (cell,) = cells(axes={"model": [model], "model.width": [8], "augment": [{"flip": "random"}]})
    assert cell.recipe.model.options == {"blocks": [1, 1], "width": 8}
    assert (cell.recipe.augment.flip, cell.recipe.augment.shift_pixels) == ("random", 1)


def test_one_mapping_on_an_axis_is_not_changed_by_the_next_axis():
    made = cells(axes={"augment": [{"flip": "random"}], "augment.shift_pixels": [0, 1, 2]})
    assert [cell.recipe.augment.shift_pixels for cell in made] == [0, 1, 2]
    assert all(cell.values["augment"] == {"flip": "random"} for cell in made)


def test_zipped_keys_move_together():
    made = cells(axes={"batch_size, optimizer.lr": [[64, 0.1], [128, 0.2]], "model.width": [8, 16]})
    assert [(cell.recipe.batch_size, cell.recipe.optimizer.lr) for cell in made] == [(64, 0.1)] * 2 + [(128, 0.2)] * 2
    assert made[0].label == "batch_size=64, optimizer.lr=0.1, model.width=8"


def test_equal_cells_are_one_that_knows_of_the_others():
    (cell,) = cells(axes={"model.width": [8, 8.0]}, include=[{"model.width": 8}])
    assert len(cell.merged) == 2


def test_arms_are_cells_of_their_own_with_the_same_recipe():
    first, second = cells(axes={"arm": ["a", "b"]})
    assert first.id != second.id
    assert first.recipe == second.recipe
    assert {**first.config, "arm": "b"} == second.config


def test_a_format_that_a_device_has_not_is_a_reason_to_skip():
    fine, without = cells(axes={"precision": ["fp32", "tf32"]})
    assert fine.skip is None
    assert without.skip.startswith("precision: tf32 is a format of CUDA's tensor cores")
    assert [cell.skip for cell in cells("cuda", axes={"precision": ["fp32", "tf32"]})] == [None, None]
    fine, without = cells("cuda", measure="inference", axes={"inference.precision": [None, "int8"]})
    assert (fine.skip, without.skip) == (None, lack_of_precision("int8", "cuda"))


def test_more_devices_than_there_are_is_a_reason_to_skip():
    one, eight = cells(axes={"devices": [1, 8]})
    assert (one.skip, eight.skip) == (None, "needs 8 CPU cores, found 1")
    assert one.id == cells()[0].id
    assert cells("cuda", 2, axes={"devices": [8]})[0].skip == "needs 8 GPUs, found 2"
    assert cells("cuda", 8, axes={"devices": [8]})[0].skip is None
    assert cells("cuda", 2, set={"devices": 8})[0].skip == "needs 8 GPUs, found 2"


def test_a_measure_of_one_device_is_skipped_on_several():
    (cell,) = cells("cuda", 8, measure="inference", axes={"devices": [2]})
    assert cell.skip == "inference uses one device, not 2; time_to_accuracy and throughput can use several"


def test_a_batch_that_devices_cannot_share_is_skipped():
    shared, uneven, each = cells("cuda", 8, axes={"devices, batch_per": [[2, "global"], [3, "global"], [3, "device"]]})
    assert (shared.skip, each.skip) == (None, None)
    assert "batch_size: 64 cannot be shared evenly by 3 devices" in uneven.skip


def test_values_that_do_not_fit_together_make_a_skipped_cell():
    fine, wrong = cells(axes={"compile": [False, True]})
    assert fine.skip is None
    assert wrong.recipe is None
    assert wrong.skip.startswith("mine.yaml: compile: needs warm_up_steps of at least 1")
    assert wrong.config["compile"] is True
    assert wrong.id != fine.id
    with pytest.raises(UsageError, match=r"no cell .* is a recipe that fits together; the first: .*compile"):
        cells(axes={"compile": [True]})


def test_what_does_not_fit_together_may_leave_a_network_unnamed_that_its_measure_does_not_need():
    fine, wrong = cells(recipe="unet_smoke", measure="throughput", axes={"cutmix": [None, {"alpha": 1}]})
    assert fine.skip is None
    assert "task segmentation has no use for it" in wrong.skip


HEAD = "recipe: digits\naxes:\n  model.width: [8, 16]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipe: digts\n", r"mine.yaml:1: unknown recipe 'digts' \(did you mean 'digits'\?\)"),
        (f"recipe: {'a' * 300}.yaml\n", r"mine.yaml:1: there is no recipe file aaa"),
        ("axes: {}\n", r"the key 'recipe' or 'command' is missing"),
        (HEAD + "command: ls\n", r":4: command: a matrix is of a recipe or of a command"),
        ("command: ls\nset: {epochs: 1}\n", r":2: set: this key belongs to recipes"),
        ("command: ls {lr}\naxes: {lf: [1]}\n", r":2: 'lf' is no placeholder of the command; there are: lr"),
        ("command: {argv: ls, timout_s: 3}\n", r":1: unknown key 'command.timout_s' \(did you mean 'timeout_s'\?\)"),
        (HEAD + "axis: {}\n", r":4: unknown key 'axis' \(did you mean 'axes'\?\); `bench list matrix-keys` lists all"),
        (HEAD + "  modle.width: [1]\n", r":4: unknown key 'modle' \(did you mean 'model' or 'nodes'\?\)"),
        (HEAD + "  optimizer.momentun: [1]\n", r":4: optimizer.momentun: sgd has no such option \(did you mean 'mom"),
        (HEAD + "  precision: [fp32, fp8]\n", r":4: precision is 'fp8'.*allowed: 'auto'"),
        (HEAD + "  batch_size: [64, 0]\n", r":4: batch_size is 0: input should be greater than 0"),
        (HEAD + "  loader: [residnet]\n", r":4: loader: unknown loader 'residnet' \(did you mean 'resident'\?\)"),
        (HEAD + "  precision: fp32\n", r":4: axes.precision is 'fp32': input should be a valid list"),
        (HEAD + "  precision: []\n", r":4: axes.precision is \[\]: list should have at least 1 item"),
        (HEAD + "  loss: [!!set {a}]\n", r":4: the tag !!set is not allowed"),
        (HEAD + "  optimizer.lr: [.inf]\n", r":4: axes.optimizer.lr"),
        (HEAD + "sampling: {timeout_s: 1}\n", r":4: sampling: time_to_accuracy samples nothing; throughput, "),
        (
            HEAD + "measure: loading\nsampling:\n  timeout_s: -1\n",
            r":6: sampling.timeout_s is -1: input should be greater than 0",
        ),
        (
            HEAD + "measure: loading\nsampling: {least: 1}\n",
            r":5: unknown key 'sampling.least' \(did you mean 'least_\w+'.*; there are: relative_error",
        ),
        (HEAD + "  seeds: [1, 2]\n", r":4: seeds does not change what a cell is.*write seeds: at the top"),
        (HEAD + "  devices: [some]\n", r":4: devices is 'some': input should be a valid integer"),
        (HEAD + "  batch_size, epochs: [[64]]\n", r":4: batch_size, epochs are 2 keys.*a list of 2 values, not \[64\]"),
        (HEAD + "  model.width, epochs: [[8, 1]]\n", r":4: model.width is on two axes"),
        (HEAD + "exclude: [{model.widht: 8}]\n", r":4: 'model.widht' is on no axis \(did you mean 'model.width'\?\)"),
        (HEAD + "exclude: [{model.width: 9}]\n", r":4: model.width is never 9; it is 8 or 16"),
        (
            "recipe: digits\naxes:\n  epochs, model.width: [[1, 8], [2, 16]]\nexclude: [{model.width: 8, epochs: 2}]\n",
            r":4: epochs=2, model.width=8: the keys of the axis epochs, model.width move together, and never so",
        ),
        (HEAD + "include:\n  - {model.width: 8}\n  - {epohcs: 3}\n", r":6: unknown key 'epohcs'"),
        (HEAD + "set: {epohcs: 3}\n", r":4: unknown key 'epohcs' \(did you mean 'epochs'\?\)"),
        (HEAD + "measure: troughput\n", r":4: measure: unknown measure 'troughput' \(did you mean 'throughput'\?\)"),
        (HEAD + "order: shuffled\n", r":4: order is 'shuffled'; allowed: 'interleaved', 'grouped' or 'random'"),
        (HEAD + "seeds: 0\n", r":4: seeds is 0: input should be greater than 0"),
        (HEAD + "seeds: 1\nseeds: 2\n", r":5: seeds appears twice"),
        ("- a\n", r"should be a mapping of keys to values; see .*digits.yaml"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_told_with_its_line_and_what_is_allowed(refusal, text, message):
    assert re.search(message, said := refusal(text)), said


def test_an_unknown_matrix_names_the_nearest():
    with pytest.raises(UsageError, match=r"unknown matrix 'digts' \(did you mean 'digits'\?\); `bench list matrices`"):
        matrices.load("digts")
    with pytest.raises(UsageError, match=r"there is no matrix file nowhere/x.yaml"):
        matrices.load("nowhere/x.yaml")


def test_a_recipe_beside_the_matrix_is_found(tmp_path):
    (tmp_path / "own.yaml").write_text(recipes.find("digits").read_text().replace("epochs: 20", "epochs: 7"))
    (tmp_path / "mine.yaml").write_text("recipe: own.yaml\n")
    (cell,) = expand(matrices.load(str(tmp_path / "mine.yaml")), "cpu")
    assert cell.recipe.epochs == 7


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("name", matrices.names())
def test_every_shipped_matrix_expands_and_says_what_it_is(name, device):
    shipped = matrices.load(name)
    assert shipped.spec.summary
    made = expand(shipped, device, found=8)
    assert not any(cell.merged for cell in made)
    skipped = [cell.skip for cell in made if cell.skip is not None]
    needs_network = made[0].recipe is not None and made[0].recipe.task is not None
    lacks = {lack_of_precision(name, device) for name in ("tf32", "int8")}
    assert all("kept its weights" in reason if needs_network else reason in lacks for reason in skipped)
    assert len(skipped) < len(made) or needs_network


def test_the_digits_matrix_has_sixteen_cells():
    assert len(expand(matrices.load("digits"), "cpu")) == 16


def test_axes_fill_the_placeholders_of_a_command(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("command: python train.py --lr {lr} --seed {seed}\naxes: {lr: [0.1, 0.2]}\nprepare: make\n")
    cells = expand(matrices.load(str(path)), "cpu")
    assert [cell.command.argv_of(3)[3:] for cell in cells] == [["0.1", "--seed", "3"], ["0.2", "--seed", "3"]]
    assert len({cell.id for cell in cells}) == 2
    assert cells[0].recipe is None
    path.write_text("command: {argv: [python, train.py, --lr, '0.1', --seed, '{seed}']}\n")
    assert expand(matrices.load(str(path)), "cpu")[0].id == cells[0].id  # what the gate alone is told is no part of it
