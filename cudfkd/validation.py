"""The base of every description of a run: frozen, strictly typed, unknown keys refused, errors of one line."""

import re
from collections.abc import Callable
from typing import Any

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    model_validator,
)

from cudfkd.errors import ConfigError, unknown


class Described(BaseModel):
    """Immutable values, checked when made. A wrong one raises ConfigError naming it and what is allowed.

    The docstring below a field is its help text on the command line. Validators of subclasses raise ConfigError
    themselves: pydantic lets it pass, as it is no ValueError.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="wrap")
    @classmethod
    def _in_one_line(cls, values: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(values)
        except ValidationError as error:
            raise ConfigError(_line(cls, error)) from None


def _line(model: type[BaseModel], error: ValidationError) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else model.__name__
    kind, value = first["type"], first["input"]
    if kind == "extra_forbidden":
        return unknown("option", name, model.model_fields)
    if kind == "literal_error":
        return unknown(
            name, value, re.findall(r"[^\s,']+(?=[',\s]|$)", first.get("ctx", {})["expected"].replace(" or ", ", "))
        )
    if kind == "missing":
        return f"{name} is missing from {model.__name__}"
    rule = first["msg"][0].lower() + first["msg"][1:]
    return f"{name} = {' '.join(repr(value).split())} is not allowed: {rule.replace('input should be', 'it must be')}"
