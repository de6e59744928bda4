"""A matrix file: a recipe or command, the axes along which it is varied, and the resulting cells. Nothing runs here."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NoReturn, Self

from pydantic import AfterValidator, Field, JsonValue, ValidationError, model_validator
from pydantic_core import to_jsonable_python

from bench.documents.document import YAML_SUFFIXES, Document, Incompatible, is_file
from bench.documents.limits import LARGEST_SEED, MOST_CELLS, MOST_RUNS, MOST_SEEDS
from bench.documents.numbers import Count, NotNegative, Positive
from bench.documents.strict import Seconds, Strict
from bench.errors import UsageError
from bench.files import PACKAGE
from bench.host.fingerprint import lack_of_precision
from bench.registry.checks import check_known
from bench.registry.reference import anchored_document
from bench.runs.run import NOT_IDENTITY
from bench.spec import command_cells as commands
from bench.spec import kept_nets, recipes
from bench.spec.buildable import why_not
from bench.spec.command import Command
from bench.spec.for_gate import ForGate
from bench.spec.measures import MEASURES, SAMPLED
from bench.spec.own import portable
from bench.spec.recipe import WORDS, Recipe
from bench.statistics.sampling import Bounds
from bench.text.canonical import canonical_json
from bench.text.nearest import did_you_mean, unknown

MATRICES = PACKAGE / "matrices"
# Axes that are not keys of a recipe: `arm` is a name that distinguishes two otherwise equal cells, for comparing a cell
# with itself.
SPECIAL = ("arm",)
# Keys that a matrix of commands cannot have.
NOT_OF_COMMANDS = {"set", "measure", "sampling"}

Values = Mapping[str, Any]
Order = Literal["interleaved", "grouped", "random"]


def _finite(value: JsonValue) -> JsonValue:
    canonical_json(value)  # raises ValueError
    return value


Value = Annotated[JsonValue, AfterValidator(_finite)]


class Sampling(Strict):
    """When the sampling of a figure may stop, and when it must; missing values are those of `Bounds`."""

    relative_error: Positive | None = None
    least_samples: Count | None = None
    least_s: NotNegative | None = None
    timeout_s: Seconds | None = None

    def bounds(self) -> Bounds:
        return Bounds(**self.model_dump(exclude_none=True))


class MatrixSpec(ForGate):
    """The content of a matrix file, for a `recipe`, or for a `command` whose placeholders and `env.NAME` the axes fill.

    `set` has changes of the recipe that all cells share, `axes` the values of each dotted key. Several keys separated
    by commas are an axis whose values are lists with one value for each key. `include` adds cells to the product of the
    axes; without axes, the product is the recipe itself. `exclude` removes cells of the product that have all values of
    one of its entries. `sampling` is not part of a cell's identity: like the number of seeds, it only says how
    precisely a figure is measured.
    """

    LISTED_BY: ClassVar = "bench list matrix-keys"

    summary: str = ""
    recipe: str | None = None
    command: Command | None = None
    set: dict[str, Value] = Field(default_factory=dict)
    measure: str = "time_to_accuracy"
    axes: dict[str, Annotated[list[Value], Field(min_length=1)]] = Field(default_factory=dict)
    include: list[Annotated[dict[str, Value], Field(min_length=1)]] = Field(default_factory=list)
    exclude: list[Annotated[dict[str, Value], Field(min_length=1)]] = Field(default_factory=list)
    seeds: Annotated[int, Field(gt=0, le=MOST_SEEDS)] = 1
    order: Order = "interleaved"
    order_seed: Annotated[int, Field(ge=0, le=LARGEST_SEED)] = 0
    timeout_s: Seconds | None = None
    sampling: Sampling = Field(default_factory=Sampling)
    price_per_hour: NotNegative | None = None

    @property
    def measured(self) -> str:
        """The name of the recipe, or of the command's script."""
        return Path(self.recipe).stem if self.recipe is not None else self.command.script if self.command else ""

    @model_validator(mode="after")
    def _known_measure(self) -> Self:
        if self.recipe is None and self.command is None:
            raise ValueError("the key 'recipe' or 'command' is missing")
        if self.recipe is not None and self.command is not None:
            raise ValueError("command: a matrix is of a recipe or of a command, and not of both")
        if self.command is not None and (needless := NOT_OF_COMMANDS & self.model_fields_set):
            raise ValueError(f"{min(needless)}: this key belongs to recipes, and the cells here are of a command")
        if self.command is not None and self.command.parameters:
            raise ValueError("command.parameters: what differs between cells stands in axes")
        check_known("measure", self.measure, MEASURES)
        if "sampling" in self.model_fields_set and self.measure not in SAMPLED:
            raise ValueError(f"sampling: {self.measure} samples nothing; {', '.join(SAMPLED)} do")
        return self


@dataclass(frozen=True)
class Cell:
    """One point of a matrix: its values of the axes, its identity, and its recipe or the reason why it has none."""

    values: Values
    id: str
    config: dict[str, Any]
    recipe: Recipe | None
    skip: str | None = None
    command: Command | None = None
    merged: tuple[Values, ...] = field(default=())

    @property
    def label(self) -> str:
        usual = "the recipe as it is" if self.command is None else "the command as it is"
        return listed(self.values) or usual

    @property
    def target_accuracy(self) -> float | None:
        """The target accuracy of its runs."""
        return self.command.target if self.command else self.recipe.target_accuracy if self.recipe else None


@dataclass(frozen=True)
class Axis:
    """One key with its values, or several that move together: `points` has a mapping of all keys for each step."""

    name: str
    keys: tuple[str, ...]
    points: tuple[Values, ...]


class Matrix:
    """A valid matrix file; `name` identifies its runs in the store."""

    def __init__(self, document: Document) -> None:
        """Raises `UsageError`, with file, line and key, for a mistake that can be found without the recipe."""
        self._document = document
        self.name = document.path.stem
        if "measure" in document.values:
            measure = {"measure": document.values["measure"]}
            document.values |= anchored_document(measure, document.path.parent, document.where)
        self.spec = document.validate(MatrixSpec)
        self.axes = [self._axis(key, values) for key, values in self.spec.axes.items()]
        self._check_keys()
        self._check_size()

    @property
    def path(self) -> Path:
        return self._document.path

    @property
    def folder(self) -> Path:
        """The folder of its file, to which file names in it are relative, and in which a command runs."""
        return self.path.parent

    @property
    def keys(self) -> list[str]:
        """Every key for which some cell has a value, in declared order."""
        included = itertools.chain.from_iterable(self.spec.include)
        return list(dict.fromkeys(itertools.chain(*(axis.keys for axis in self.axes), included)))

    def points(self) -> list[tuple[Values, Mapping[str, str]]]:
        """The values of each cell and where each was set: the product without excluded cells, then the included
        ones."""
        where = self._document.where
        origins = {key: where(f"axes.{axis.name}") for axis in self.axes for key in axis.keys}
        product = [
            dict(itertools.chain.from_iterable(point.items() for point in points))
            for points in itertools.product(*(axis.points for axis in self.axes))
            if self.axes or not self.spec.include
        ]
        points: list[tuple[Values, Mapping[str, str]]] = [
            (values, origins) for values in product if not any(has(values, rule) for rule in self.spec.exclude)
        ]
        for index, values in enumerate(self.spec.include):
            points.append((values, {key: where(f"include.{index}.{key}") for key in values}))
        return points

    def refuse(self, key: str, why: str) -> NoReturn:
        """Raise the `UsageError` for a mistake at a dotted key."""
        self._document.refuse(key, why)

    def base(self, device: str) -> Document:
        """The recipe with the changes that all cells share."""
        name = self.spec.recipe
        assert name is not None
        try:
            draft = recipes.draft(self._document.beside(name), device)
        except UsageError as error:
            self._document.refuse("recipe", str(error))
        for key, value in anchored_document(self.spec.set, self.folder, self._document.where).items():
            draft.change(key, value, self._document.where(f"set.{key}"))
        return draft

    def cell_of_command(self, values: Values, origins: Mapping[str, str], device: str) -> Cell:
        """The command with these values in its placeholders or its environment.

        Raises `UsageError` for a value that fits neither.
        """
        command = self.spec.command
        assert command is not None
        own = {key: value for key, value in values.items() if key not in SPECIAL}
        try:
            filled = commands.filled(command, own)
        except ValidationError as error:
            raise UsageError(f"{next(iter(origins.values()))}: {error.errors()[0]['msg']}") from None
        config, cell = filled.identify(device, _special(values))
        return Cell(values, cell, config, None, command=filled)

    def _axis(self, key: str, values: Sequence[Any]) -> Axis:
        keys = tuple(part.strip() for part in key.split(","))
        if len(keys) == 1:
            return Axis(key, keys, tuple({keys[0]: value} for value in values))
        for value in values:
            if not isinstance(value, list) or len(value) != len(keys):
                self._document.refuse(
                    f"axes.{key}",
                    f"{key} are {len(keys)} keys that move together, so each entry is a list of {len(keys)} values, "
                    f"not {short(value)}",
                )
        return Axis(key, keys, tuple(dict(zip(keys, value, strict=True)) for value in values))

    def _check_size(self) -> None:
        """Checked before cells are made: the product of a few long axes would fill the memory."""
        cells = math.prod(len(axis.points) for axis in self.axes) + len(self.spec.include)
        if cells > MOST_CELLS:
            counts = " x ".join(str(len(axis.points)) for axis in self.axes)
            self._document.refuse("axes", f"these axes have {counts} = {cells:,} cells; at most {MOST_CELLS:,}")
        if cells * self.spec.seeds > MOST_RUNS:
            runs = f"{cells:,} cells with {self.spec.seeds:,} seeds are {cells * self.spec.seeds:,} runs"
            self._document.refuse("seeds", f"{runs}; at most {MOST_RUNS:,}")

    def _check_keys(self) -> None:
        refuse = self._document.refuse
        known: dict[str, list[Any]] = {}
        for axis in self.axes:
            for key in axis.keys:
                where = f"axes.{axis.name}"
                if not key:
                    refuse(where, "an axis needs the dotted key of a recipe's value, such as model.width")
                if key in known:
                    refuse(where, f"{key} is on two axes; name it once, or let it move with the other keys of one")
                known[key] = [point[key] for point in axis.points]
        varied = [(f"axes.{key}", key) for key in known]
        varied += [(f"include.{i}.{key}", key) for i, entry in enumerate(self.spec.include) for key in entry]
        varied += [(f"set.{key}", key) for key in self.spec.set]
        for where, key in varied:
            if key in NOT_IDENTITY:
                hint = f"; write {key}: at the top of the matrix" if key in MatrixSpec.model_fields else ""
                refuse(where, f"{key} does not change what a cell is, so it cannot be varied{hint}")
        if self.spec.command is not None:
            commands.check_axes(self.spec.command, {key: at for at, key in varied if key not in SPECIAL}, refuse)
        self._check_exclude(known)

    def _check_exclude(self, known: Mapping[str, Sequence[Any]]) -> None:
        """Refuse rules that exclude nothing; `known` has the values of each key on the axes."""
        refuse = self._document.refuse
        for index, rule in enumerate(self.spec.exclude):
            for key, value in rule.items():
                where = f"exclude.{index}.{key}"
                if key not in known:
                    refuse(where, f"{key!r} is on no axis{did_you_mean(key, known)}; there are: {', '.join(known)}")
                if not any(same(value, one) for one in known[key]):
                    refuse(where, f"{key} is never {short(value)}; it is {' or '.join(map(short, known[key]))}")
            for axis in self.axes:
                together = {key: rule[key] for key in axis.keys if key in rule}
                if not any(has(point, together) for point in axis.points):
                    where = f"exclude.{index}.{next(iter(together))}"
                    refuse(where, f"{listed(together)}: the keys of the axis {axis.name} move together, and never so")


def names() -> list[str]:
    """The matrices that come with the project."""
    return sorted(path.stem for path in MATRICES.glob("*.yaml"))


def load(name: str) -> Matrix:
    """The matrix of that name, or in that file.

    Raises `UsageError` if there is none, and for a mistake in it, with file, line and key.
    """
    path = Path(name)
    if path.suffix not in YAML_SUFFIXES:
        if name not in names():
            raise UsageError(f"{unknown('matrix', name, names(), 'bench list matrices')}; or give a .yaml file")
        path = MATRICES / f"{name}.yaml"
    elif not is_file(path):
        raise UsageError(f"there is no matrix file {name[:200]}")
    return Matrix(Document.read(path, MATRICES / "digits.yaml"))


def expand(matrix: Matrix, device: str, found: int = 1, hosts: int = 1) -> list[Cell]:
    """The cells in declared order on `hosts` with `found` devices each, of kind `cpu` or `cuda`.

    Equal cells are merged. A cell has a recipe or a command. If its values do not fit together, or it needs more
    devices than there are, `skip` has the reason. Raises `UsageError` for a key or value that no recipe allows, and if
    no cell fits together.
    """
    base, points = None if matrix.spec.command is not None else matrix.base(device), matrix.points()
    if not points:
        raise UsageError(f"{matrix.name}: this matrix excludes all of its cells; include some, or exclude fewer")
    cells: dict[str, Cell] = {}
    for values, origins in points:
        if base is None:
            cell = matrix.cell_of_command(values, origins, device)
        else:
            cell = _cell(base.copy(), matrix.folder, values, origins, device, matrix.spec.measure, (found, hosts))
        if cell.id in cells:
            first = cells[cell.id]
            cells[cell.id] = replace(first, merged=(*first.merged, values))
        else:
            cells[cell.id] = cell
    if all(cell.recipe is None and cell.command is None for cell in cells.values()):
        reason = next(iter(cells.values())).skip
        raise UsageError(f"{matrix.name}: no cell of this matrix is a recipe that fits together; the first: {reason}")
    return list(cells.values())


def configs(matrix: Matrix, device: str) -> list[tuple[Values, dict[str, Any]]]:
    """The values and the config of each cell, with `precision: auto` not resolved.

    It takes a millisecond for each cell and builds no network; it serves to identify recorded runs by their cells.
    Raises the errors of `expand`, except for networks that cannot be built.
    """
    base = matrix.base(device)
    found = []
    for values, origins in matrix.points():
        found.append((values, _fit(base.copy(), matrix.folder, values, origins)[1] | _special(values)))
    return found


def schedule(cells: Sequence[Cell], seeds: Sequence[int], order: Order, order_seed: int = 0) -> list[tuple[Cell, int]]:
    """Every cell with every seed.

    `interleaved` runs each cell with one seed before the next seed, so that a drift of the machine affects all alike;
    `grouped` finishes a cell before the next; `random` shuffles reproducibly by `order_seed`.
    """
    if order == "grouped":
        return [(cell, seed) for cell in cells for seed in seeds]
    pairs = [(cell, seed) for seed in seeds for cell in cells]
    if order == "random":
        random.Random(order_seed).shuffle(pairs)
    return pairs


def same(a: Any, b: Any) -> bool:
    """Whether two values are the same for a recipe: 1 and 1.0 are, 1 and true are not, and non-JSON values
    never are."""
    try:
        return canonical_json(a) == canonical_json(b)
    except (TypeError, ValueError):
        return False


def short(value: Any) -> str:
    """A value as one line of YAML, without quotes."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {short(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(short, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def listed(values: Values) -> str:
    """`model.width=8, precision=fp32`; empty for no values."""
    return ", ".join(f"{key}={short(value)}" for key, value in values.items())


def has(values: Values, wanted: Values) -> bool:
    """Whether all the wanted values are among these."""
    return all(key in values and same(values[key], value) for key, value in wanted.items())


def _special(values: Values) -> dict[str, Any]:
    """The values of axes that are no keys of a recipe."""
    return {key: values[key] for key in SPECIAL if key in values}


def _cell(
    draft: Document,
    folder: Path,
    values: Values,
    origins: Mapping[str, str],
    device: str,
    measure: str,
    found: tuple[int, int],
) -> Cell:
    """The cell of these values; file names in them are relative to `folder`."""
    recipe, config, skip = _fit(draft, folder, values, origins)
    if recipe is not None and (skip := why_not(recipe)):
        recipe = None
    config, cell = recipes.identify(config | _special(values), device, measure)
    if recipe is not None:
        lack = recipes.lack_of_devices(recipe, device, measure, *found)
        precision = (recipe.for_inference() if measure == "inference" else recipe).precision
        skip = lack or lack_of_precision(precision, device) or _lack_for(recipe, measure)
    return Cell(values, cell, config, recipe, skip)


def _lack_for(recipe: Recipe, measure: str) -> str | None:
    """Why a task cannot be measured, or the recipe lacks a network trained earlier; None if it can."""
    if recipe.task is not None:
        try:
            recipes.check_measure(recipe, measure)
        except UsageError as error:
            return str(error)
    return kept_nets.lack(recipe, measure)


def _fit(
    draft: Document, folder: Path, values: Values, origins: Mapping[str, str]
) -> tuple[Recipe | None, dict[str, Any], str | None]:
    """The recipe with these values and its config, or why they do not fit together; no network is built."""
    for key, value in anchored_document(values, folder, lambda key: origins.get(key, key)).items():
        if key not in SPECIAL:
            draft.change(key, value, origins[key])
    try:
        recipe = draft.validate(Recipe)
        return recipe, recipe.config(), None
    except Incompatible as error:
        config = {key: value for key, value in to_jsonable_python(draft.values).items() if key not in WORDS}
        return None, portable(config), "; ".join(str(error).splitlines())
