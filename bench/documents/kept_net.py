"""How settings name a network that was trained earlier."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import PydanticCustomError

from bench.documents.strict import Strict


class KeptWeights(Strict):
    """Weights of an earlier run, as records name them: by the beginning of their SHA-256."""

    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


def _in_one_message(value: Any, validated: ValidatorFunctionWrapHandler) -> Any:
    if isinstance(value, dict) and "sha256" in value:
        value = {"sha256": value["sha256"]}  # without the name of a recipe that it was laid over
    try:
        return validated(value)
    except ValidationError:
        text = f"{value!r} names no network trained earlier; give a recipe's name, a run's id, or a file of weights"
        raise PydanticCustomError("unknown_name", "{text}", {"text": text}) from None


# A network trained earlier: a recipe's name, the id of a run, or a file of weights; in records its weights.
KeptNet = Annotated[Annotated[str, Field(min_length=1)] | KeptWeights, WrapValidator(_in_one_message)]
