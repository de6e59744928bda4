"""Optimisers by role in a recipe."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from bench.documents.document import refuse
from bench.documents.numbers import Count, Epochs, Kept, NotNegative, Number, Positive
from bench.documents.strict import Strict
from bench.registry.checks import check_known
from bench.text.nearest import did_you_mean
from bench.training.registries import OPTIMIZERS

Role = Literal["filters", "head", "biases", "norm_weights", "whiten_bias"]


class OptimizerGroup(Strict):
    """The options of an optimiser; a user's own may have others, which are checked when it is made."""

    model_config = ConfigDict(extra="allow")
    name: str | None = None
    """`sgd`, `muon`, `adamw`, `rmsprop`, or your own."""
    lr: Positive | None = None
    """Learning rate at a schedule's factor of 1."""
    momentum: Kept | None = None
    """Momentum; sgd, muon and rmsprop."""
    nesterov: bool | None = None
    """Nesterov momentum; sgd and muon."""
    weight_decay: NotNegative | None = None
    """Weight decay, multiplied by the learning rate."""
    decoupled: bool | None = None
    """Decay the weights directly instead of through the gradient."""
    newton_schulz_steps: Annotated[int, Field(gt=0, le=100)] | None = None
    """Muon: steps of the orthogonalisation."""
    newton_schulz_coefficients: tuple[Number, Number, Number] | None = None
    """Muon: coefficients of its polynomial."""
    newton_schulz_form: Literal["gram"] | None = None
    """Muon: `gram` makes two steps at once on small Gram matrices, in less time on a CPU; null one by one."""
    unit_filters: bool | None = None
    """Muon: rescale filters to unit length."""
    unit_filters_every: tuple[Count, Count] | None = None
    """Muon: steps between rescalings, at the beginning and at the end."""
    betas: tuple[Kept, Kept] | None = None
    """AdamW: decay of its two averages."""
    epochs: Epochs | None = None
    """Of a group: stop training it after so many epochs."""
    squeeze: bool | None = None
    """With `epochs`: whether the group's schedule is compressed into them (true) or cut off."""

    @model_validator(mode="before")
    @classmethod
    def _tuples_from_lists(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        keys = ("betas", "newton_schulz_coefficients", "unit_filters_every")
        return {**value, **{key: tuple(value[key]) for key in keys if isinstance(value.get(key), list)}}

    def settings(self) -> dict[str, Any]:
        """Only the values that the recipe sets, so that each optimiser's own defaults apply."""
        return {key: value for key, value in self if value is not None and key != "groups"}


# The options of each optimiser besides those that all of them have.
_OPTIMIZER_OPTIONS = {
    "sgd": {"momentum", "nesterov"},
    "muon": {
        "momentum",
        "nesterov",
        "newton_schulz_steps",
        "newton_schulz_coefficients",
        "newton_schulz_form",
        "unit_filters",
        "unit_filters_every",
    },
    "adamw": {"betas"},
    "rmsprop": {"momentum"},
}


class OptimizerConfig(OptimizerGroup):
    name: str = "sgd"
    lr: Positive
    groups: dict[Role, OptimizerGroup] = Field(default={})
    """Other options for `filters`, `head`, `biases`, `norm_weights` or `whiten_bias`."""

    @model_validator(mode="before")
    @classmethod
    def _known_first(cls, value: Any) -> Any:
        """A wrong name is told, and not what is missing because another name starts the mapping anew."""
        if isinstance(value, dict) and isinstance(name := value.get("name"), str):
            check_known("optimizer.name", name, OPTIMIZERS)
        return value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.epochs is not None:
            raise ValueError(
                "optimizer.epochs: name the role that stops early, as in optimizer.groups.whiten_bias.epochs"
            )
        everything: list[tuple[str, OptimizerGroup]] = [("optimizer", self)]
        everything += [(f"optimizer.groups.{role}", group) for role, group in self.groups.items()]
        for where, group in everything:
            name = group.name or self.name
            check_known(f"{where}.name", name, OPTIMIZERS)
            if group.lr is None and name != self.name:
                raise ValueError(f"{where}.lr: needed, because {name} does not share {self.name}'s learning rate")
            if name not in OPTIMIZERS:
                continue
            known = _OPTIMIZER_OPTIONS[name] | {"name", "lr", "weight_decay", "decoupled", "epochs", "squeeze"}
            if group.squeeze is not None and group.epochs is None:
                raise ValueError(f"{where}.squeeze: there is nothing to squeeze without {where}.epochs")
            for key in group.settings():
                if key not in known:
                    near = did_you_mean(key, known)
                    why = f"{name} has no such option{near}; it has {', '.join(sorted(known))}"
                    if key in (group.model_extra or {}):
                        refuse(f"{where}.{key}", why)
                    raise ValueError(f"{where}.{key}: {why}")
            if name == "rmsprop" and group.decoupled:
                raise ValueError(f"{where}.decoupled: rmsprop decays weights through the gradient alone; leave it out")
            if group.unit_filters is False and group.unit_filters_every is not None:
                raise ValueError(f"{where}.unit_filters_every: nothing is rescaled where unit_filters is false")
        return self
