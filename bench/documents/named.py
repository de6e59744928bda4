"""A name with options, as a document gives it."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Named(BaseModel):
    """A registered name with options that its registry checks; the bare name is short for no options.

    An option that is null is absent, as it is from a cell's identity: so a matrix takes back what a recipe sets.
    """

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    name: str

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @property
    def options(self) -> dict[str, Any]:
        return {key: value for key, value in (self.model_extra or {}).items() if value is not None}
