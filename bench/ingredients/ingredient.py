"""What an ingredient is: a key of a recipe whose settings, conflicts and work stand in one file of this folder.

To add one, write its file and name it as a field of `Recipe` (bench/spec/recipe.py). Nothing else knows it by name.
Recipes are read without torch, so that these files import it where they use it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from bench.training.schedules import Schedule

if TYPE_CHECKING:
    import torch
    from torch import nn

    from bench.training.curriculum import Curriculum
    from bench.training.hook import Hook
    from bench.training.loop import Batches
    from bench.training.loss import Loss
    from bench.training.optimizers import Optimizers
    from bench.training.precision import Precision


class RecipeFacts(Protocol):
    """What an ingredient may know of the recipe that has it."""

    @property
    def epochs(self) -> float: ...

    @property
    def batch_size(self) -> int: ...

    @property
    def precision(self) -> str: ...

    @property
    def compile(self) -> bool: ...

    @property
    def warm_up_steps(self) -> int: ...

    @property
    def device_count(self) -> int: ...

    @property
    def ingredients(self) -> Mapping[str, Ingredient]:
        """All of the recipe's, by key, in the order of its fields."""

    @property
    def step_sizes(self) -> Mapping[str, int]:
        """How many examples a step takes, on all devices together, by the key that says so."""

    @property
    def parts_of_a_step(self) -> int:
        """In how many parts a batch goes through the network."""

    @property
    def optimizer_names(self) -> Mapping[str, str]:
        """By the key that says so."""

    @property
    def schedule_name(self) -> str: ...

    def of_one_device(self, examples: int) -> int: ...


class SecondNetwork(NamedTuple):
    """A network beside the recipe's own: itself, its compiled form, and what makes its optimisers."""

    model: nn.Module
    forward: nn.Module
    make_optimizers: Callable[[], Optimizers]


@dataclass(frozen=True)
class TrainingParts:
    """What a training is put together from, for the hooks of its ingredients.

    `before` are the hooks of an earlier training in this process, whose memory captured steps and compiled programs
    know. `make_proxy` makes the network of the recipe's `proxy`, in the memory of an earlier one (model, forward).
    """

    model: nn.Module
    train: Batches
    precision: Precision
    loss: Loss
    before: Sequence[Hook]
    make_proxy: Callable[[tuple[nn.Module, nn.Module] | None], SecondNetwork]


class Ingredient:
    """What a recipe adds to plain training. Of its methods an ingredient overrides those that it needs.

    A subclass is also a pydantic model of its settings, whose values are the recipe's.
    """

    # The value that says the same as leaving the key out.
    says_nothing: ClassVar[Any] = None
    # Whether it does something for a text, whose examples are no images.
    suits_text: ClassVar[bool] = True
    # Why a captured step cannot do it; None where it can.
    why_no_graph: ClassVar[str | None] = None

    def check(self, key: str, recipe: RecipeFacts) -> None:
        """Raise ValueError, beginning with a key, where the recipe has what this does not go with."""

    def check_device(self, key: str, device: str) -> None:
        """Raise `UsageError` where it cannot be on `cpu` or `cuda`."""

    def change_network(self, key: str, model: nn.Module) -> None:
        """Change a network that was just built. Raises `ImpossibleModel` for one that does not suit."""

    def speed_up(self, key: str, model: nn.Module, device: str) -> dict[str, Any]:
        """Let the network compute the same in another way; what the record says of that."""
        return {}

    def curriculum(self, recipe: RecipeFacts) -> dict[str, Any]:
        """Arguments of `Curriculum`."""
        return {}

    def change_schedule(self, schedule: Schedule, curriculum: Curriculum, epochs: float) -> Schedule:
        return schedule

    def optimizer_arguments(self, model: nn.Module, device: torch.device) -> dict[str, Any]:
        """Arguments of `Optimizers`."""
        return {}

    @property
    def freezings(self) -> int:
        """How often less of the network is trained than before."""
        return 0

    def hooks(self, parts: TrainingParts) -> Iterator[Hook]:
        """What it does in the loop."""
        return iter(())
