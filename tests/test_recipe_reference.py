"""docs/recipe_reference.md says what the schema of a recipe allows."""

from __future__ import annotations

from bench.spec.recipe import Recipe
from tools.recipe_reference import OUT, descriptions, document


def test_the_page_is_what_the_schema_says_now():
    assert OUT.read_text(encoding="utf-8") == document(), "run `python -m tools.recipe_reference`"


def test_every_key_has_its_meaning():
    told = descriptions()["Recipe"]
    assert [key for key in Recipe.model_fields if not told.get(key)] == []


def test_bounds_choices_defaults_and_what_is_required_are_told():
    page = document()
    for row in (
        "| `target_accuracy` | number > 0, < 1 | |",
        "| `batch_size` | whole number > 0 | required | Examples of a step. |",
        "| `flip` | `none`, `random`, `alternating` | `none` |",
        "| `compile` | `true`, `false` | `false` |",
        "| `lr` | number > 0 | required |",
    ):
        assert row in page
    for section in ("## `image_sizes`", "## `optimizer.groups`", "## `schedule: {name: linear}`"):
        assert section in page
