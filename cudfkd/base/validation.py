"""The base class of every description of a run: frozen and strictly typed, without unknown keys, errors of one line."""

import json
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    model_serializer,
    model_validator,
)

from cudfkd.base.errors import ConfigError, unknown

SMALLEST, LARGEST = 2.0**-126, (2 - 2.0**-23) * 2.0**127  # the smallest and the largest normal number of float32


class Described(BaseModel):
    """Immutable values, checked when they are set. A wrong value raises ConfigError, which names it and the rule.

    The docstring below a field is its help text on the command line. Validators of subclasses raise ConfigError
    themselves: pydantic passes it on, because it is no ValueError.
    """

    later: ClassVar[Mapping[str, Any]] = {}
    """settings that were added later, each with the value that all earlier runs had"""

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

    @model_serializer(mode="wrap")
    def _as_before(self, plain: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        """Leaves out a later setting where its value is the default, and is the value that earlier runs had.

        So descriptions from before keep their hashes.
        """
        values, fields = plain(self), type(self).model_fields
        for kind in type(self).__mro__:
            for name, before in vars(kind).get("later", {}).items():
                if values.get(name) == before == fields[name].default:
                    values.pop(name, None)
        return values

    @model_validator(mode="after")
    def _fits_the_machine(self) -> "Described":
        """Refuses numbers that would overflow: networks compute in float32 and count in 64 bits."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            for number in value if isinstance(value, tuple) else (value,):
                if isinstance(number, int) and abs(number) >= 2**63:
                    raise ConfigError(f"{name} = {number} is not allowed: it must be less than 2**63")
                if isinstance(number, float) and number and not SMALLEST <= abs(number) <= LARGEST:
                    allowed = f"float32 holds numbers from {SMALLEST:.2g} to {LARGEST:.2g}, and 0"
                    raise ConfigError(f"{name} = {number} is not allowed: {allowed}")
        return self


def digest(plain: Any) -> str:
    """Hash of plain data, 16 hexadecimal digits: equal descriptions have equal hashes."""
    return sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:16]


def difference(one: Any, other: Any) -> tuple[str, Any, Any] | None:
    """Returns the first name whose values differ between two descriptions (plain data), and both values; None if equal.

    Nested dicts are searched down to the differing value.
    """
    name = "description"
    while isinstance(one, dict) and isinstance(other, dict):
        differs = (key for key in [*other, *one] if one.get(key) != other.get(key) or (key in one) != (key in other))
        name = next(differs, None)
        if name is None:
            return None
        one, other = one.get(name), other.get(name)
    return name, one, other


def _line(model: type[BaseModel], error: ValidationError) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else model.__name__
    error_type, value = first["type"], first["input"]
    if error_type == "extra_forbidden":
        return unknown("option", name, model.model_fields)
    if error_type == "literal_error":
        return unknown(
            name, value, re.findall(r"[^\s,']+(?=[',\s]|$)", first.get("ctx", {})["expected"].replace(" or ", ", "))
        )
    if error_type == "missing":
        return f"{name} is missing from {model.__name__}"
    rule = first["msg"][0].lower() + first["msg"][1:].replace("a valid boolean", "true or false")
    return f"{name} = {' '.join(repr(value).split())} is not allowed: {rule.replace('input should be', 'it must be')}"
