from pathlib import Path
from typing import Literal

import pytest
from pydantic import BaseModel, model_validator

from bench.documents.document import Document, Incompatible, parse_setting
from bench.errors import UsageError


class Thing(BaseModel):
    kind: Literal["flat", "round"] = "flat"
    inner: dict[str, int] = {}
    corners: int = 4

    @model_validator(mode="after")
    def _fits(self):
        if self.kind == "round" and self.corners:
            raise ValueError("corners: a round thing has none")
        return self


@pytest.fixture
def read(tmp_path):
    def read(text, **options):
        path = tmp_path / "thing.yaml"
        path.write_text(text)
        return Document.read(path, Path("example.yaml"), **options)

    return read


def test_every_key_has_its_line_in_mappings_and_lists(read):
    document = read("a:\n  b: 1\nc:\n  - d: 1\n  - d: 2\n")
    lines = {key: place.rpartition(":")[2] for key, place in document.origin.items()}
    assert lines == {"a": "1", "a.b": "2", "c": "3", "c.0": "4", "c.0.d": "4", "c.1": "5", "c.1.d": "5"}


def test_a_place_is_looked_for_at_the_key_then_above_then_inside(read):
    document = read("a:\n  b: 1\n\nc: 2\n")
    assert [document.where(key).rpartition(":")[2] for key in ("a.b", "a.x.y", "c")] == ["2", "1", "4"]
    document.change("new.deep.key", 1, "--set new.deep.key=1")
    assert document.where("new") == document.where("new.deep") == "--set new.deep.key=1"
    assert document.where("nowhere") == str(document.path)


def test_circular_yaml_has_no_end_and_is_refused(read):
    with pytest.raises(UsageError, match=r"thing\.yaml:2: \*x stands inside &x"):
        read("a: &x\n  b: *x\n  c: 1\n")


def test_a_copy_and_what_was_set_are_independent(read):
    document = read("inner: {x: 1}\n")
    value = {"y": 2}
    changed = document.copy()
    changed.change("inner", value, "here")
    changed.change("inner.y", 3, "there")
    assert (document.values, changed.values, value) == ({"inner": {"x": 1}}, {"inner": {"x": 1, "y": 3}}, {"y": 2})
    assert "inner.y" not in document.origin


def test_values_that_do_not_fit_together_are_told_from_values_that_cannot_be(read):
    with pytest.raises(Incompatible, match="a round thing has none"):
        read("kind: round\n").validate(Thing)
    for text in ("kind: rond\n", "corners: many\n", "kind: rond\ncorners: 3\n"):
        with pytest.raises(UsageError) as caught:
            read(text).validate(Thing)
        assert not isinstance(caught.value, Incompatible)


def test_a_setting_names_the_option_that_it_came_from():
    assert parse_setting("--only", "a.b=[1, 1e-4]") == ("a.b", [1, 1e-4])
    for wrong in ("a", "=1"):
        with pytest.raises(UsageError, match=f"--only {wrong}: write key=value"):
            parse_setting("--only", wrong)


def test_a_setting_is_read_as_a_file_is_within_the_same_limits():
    for text, value in (("0500", 500), ("1:30.5", "1:30.5"), ("[016, 0o17]", [16, 15]), ("no", "no"), ("", None)):
        assert parse_setting("--set", f"a={text}") == ("a", value)
    for wrong in ("a=" + "[" * 1000, "a=" + "9" * 5000, "a=1e999", "a={b: 1, b: 2}", "a=!!int x", "a=[1"):
        with pytest.raises(UsageError, match=r"^--set a: .* is not a YAML value: ") as caught:
            parse_setting("--set", wrong)
        assert len(str(caught.value)) < 300
    for wrong in (".a=1", "a.=1", "a..b=1", ".".join("a" * 100) + "=1"):
        with pytest.raises(UsageError, match=r"a key is names with dots between"):
            parse_setting("--set", wrong)
