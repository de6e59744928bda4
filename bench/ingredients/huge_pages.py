"""Tensors in huge pages, on a CPU (`bench.host.malloc`)."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, RootModel

from bench.host import malloc
from bench.ingredients.ingredient import Ingredient
from bench.ingredients.on_cpu import on_cpu


class HugePagesConfig(RootModel[Literal[True, "auto"]], Ingredient):
    """`auto` uses them only where the system allows it."""

    model_config = ConfigDict(strict=True, frozen=True)

    says_nothing: ClassVar[Any] = False

    def prepare_process(self, key: str, device: str) -> dict[str, Any]:
        """Raises `UsageError` and `MissingError` if the recipe requires it and it is impossible here."""

        def work() -> dict[str, Any]:
            malloc.use_huge_pages()
            return {key: 1}

        facts = on_cpu(key, work, device, optional=self.root is not True)
        return facts | {key: bool(facts[key])}
