"""Names that tell cells apart."""

from __future__ import annotations

from bench.runs.labels import differing, flat, labels, ordered, show
from tests.bench.competitors import run


def test_a_lone_cell_is_named_by_its_recipe() -> None:
    assert labels([run()]) == ["digits"]


def test_cells_of_a_recipe_are_named_by_what_differs() -> None:
    runs = [run(cell="a", config={"batch_size": 1}), run(cell="b", config={"batch_size": 2})]
    assert labels(runs) == ["digits (batch_size=1)", "digits (batch_size=2)"]


def test_another_sweep_differs_for_itself() -> None:
    runs = [run(cell="a", config={"batch_size": 1}), run(cell="b", sweep="night", config={"batch_size": 2})]
    assert labels(runs) == ["digits a", "digits b"]


def test_what_follows_from_the_machine_does_not_differ() -> None:
    runs = [run(config={"resolved": {"threads": 1}}), run(config={"resolved": {"threads": 2}})]
    assert labels(runs) == ["digits", "digits"]


def test_of_many_keys_the_id_tells_the_rest() -> None:
    runs = [run(cell=f"{i}" * 16, config={f"k{j}": (i + j) % (j + 2) for j in range(6)}) for i in range(7)]
    names = labels(runs)
    assert len(set(names)) == 7
    assert all(name.count("=") == 4 for name in names)


def test_cells_that_change_little_are_named_by_what_they_change() -> None:
    base = {f"k{j}": 0 for j in range(6)}
    configs = [base, *(base | {f"k{j}": 1} for j in range(6)), base | {"k0": 1, "k5": None}]
    names = labels([run(cell=f"{i}" * 16, config=config) for i, config in enumerate(configs)])
    assert names == ["digits", *(f"digits (k{j}=1)" for j in range(6)), "digits (k0=1, k5=none)"]


def test_keys_that_move_together_are_told_once() -> None:
    configs = [{"a": 1, "b": "x", "c": 5}, {"a": 2, "b": "y", "c": 5}]
    assert differing(configs) == {"a": [1, 2]}


def test_a_nested_key_that_is_missing_is_a_value() -> None:
    assert differing([{"model": {"width": 8}}, {"model": {}}]) == {"model.width": [8, None]}


def test_true_is_not_one() -> None:
    assert differing([{"compile": True}, {"compile": 1}]) == {"compile": [True, 1]}


def test_flat_leaves_out_null() -> None:
    assert flat({"a": {"b": 1, "c": None}}) == {"a.b": 1}


def test_values_are_ordered_by_size_and_shown_short() -> None:
    assert ordered([10, 9, "b", None, 9, True]) == [9, 10, "b", None, True]
    assert [show(value) for value in (True, None, 0.5, [3, 3], {"pixels": 2})] == [
        "yes",
        "none",
        "0.5",
        "[3, 3]",
        "pixels=2",
    ]
