"""An ingredient: a key of a recipe whose settings, conflicts and work are in one file of this folder.

To add one, write its file and add a field to `Recipe` (bench/spec/recipe.py). The loop, the counts and the records ask
all ingredients alike. Only those that change how a network is built or run (image_sizes, proxy, cuda_graph, half_norms)
are known by name to `bench.measures` too. Recipes are read without torch, so these files import it only where they use
it.
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
    from bench.training.trained_net import TrainedNet


class RecipeFacts(Protocol):
    """What an ingredient may know about its recipe."""

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
        """The recipe's ingredients by key, in the order of its fields."""

    @property
    def step_sizes(self) -> Mapping[str, int]:
        """The examples of a step on all devices together, by the key that sets the number."""

    @property
    def parts_of_a_step(self) -> int:
        """The number of parts in which a batch goes through the network."""

    @property
    def optimizer_names(self) -> Mapping[str, str]:
        """The names of optimisers, by the key that sets them."""

    @property
    def schedule_name(self) -> str: ...

    def of_one_device(self, examples: int) -> int: ...


class SecondNetwork(NamedTuple):
    """A second network beside the recipe's: itself, its compiled form, and a function that makes its optimisers."""

    model: nn.Module
    forward: nn.Module
    make_optimizers: Callable[[], Optimizers]


@dataclass(frozen=True)
class TrainingParts:
    """The parts of a training, for the hooks of its ingredients.

    `before` are the hooks of an earlier training in this process, whose memory captured steps and compiled programs
    use. `make_proxy` makes the network of the recipe's `proxy`, in the memory of an earlier one (model, forward).
    `nets` are the networks trained earlier, in the recipe's precision, by the settings that name them.
    """

    model: nn.Module
    train: Batches
    precision: Precision
    loss: Loss
    before: Sequence[Hook]
    make_proxy: Callable[[tuple[nn.Module, nn.Module] | None], SecondNetwork]
    nets: Mapping[str, TrainedNet]


class Ingredient:
    """Something that a recipe adds to plain training. A subclass overrides the methods it needs.

    A subclass is also a pydantic model of its settings in the recipe.
    """

    # The settings that name networks trained earlier.
    NETS: ClassVar[tuple[str, ...]] = ()
    # The value that means the same as leaving the key out.
    says_nothing: ClassVar[Any] = None
    # Whether it works for a text, whose examples are not images.
    suits_text: ClassVar[bool] = True
    # What of it a count of operations and a profile leave out; None if nothing.
    not_counted: ClassVar[str | None] = None
    # Why a captured step cannot do it; None if it can.
    why_no_graph: ClassVar[str | None] = None

    def check(self, key: str, recipe: RecipeFacts) -> None:
        """Raise ValueError, beginning with a key, if the recipe has something incompatible."""

    def check_device(self, key: str, device: str) -> None:
        """Raise `UsageError` if it does not work on `cpu` or `cuda`."""

    def prepare_process(self, key: str, device: str) -> dict[str, Any]:
        """Change how this process works on `cpu` or `cuda`, before data is loaded; returns facts as `speed_up` does."""
        return {}

    def change_network(self, key: str, model: nn.Module) -> None:
        """Modify a newly built network. Raises `ImpossibleModel` for an unsuitable one."""

    def speed_up(self, key: str, model: nn.Module, device: str) -> dict[str, Any]:
        """Let the network compute the same in a faster way; returns facts for the record.

        A fact called `key` + `_lacks` is the reason why it is left out on this machine, and is told at the run's end.
        """
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
        """How often the number of trained parameters decreases."""
        return 0

    @property
    def period(self) -> int:
        """In every so many-th step, the first among them, it does more than in the others, which are all alike."""
        return 1

    @property
    def least_examples(self) -> int:
        """The fewest examples in a step from which the work of a larger one can be computed."""
        return 1

    def hooks(self, parts: TrainingParts) -> Iterator[Hook]:
        """Its actions in the loop."""
        return iter(())
