"""Options of the command line that come from the fields of descriptions, and the conversion of texts to values.

A description checks the values of its fields. This module checks the values of all remaining options.
"""

import argparse
from collections.abc import Container
from math import inf
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cudfkd import methods
from cudfkd.base.errors import ConfigError, unknown
from cudfkd.config import DistillConfig


def add_fields(parser: argparse.ArgumentParser, kind: type[BaseModel], leave_out: Container[str] = ()) -> None:
    """Adds an option for each field of a description, with the field's own help and default."""
    for name, field in kind.model_fields.items():
        if name not in leave_out:
            default = "" if field.default in (None, ()) else f" [{field.default}]"
            option = f"--{name.replace('_', '-')}"
            parser.add_argument(option, dest=f"field_{name}", metavar="X", help=f"{field.description}{default}")


def add_method_options(parser: argparse.ArgumentParser) -> None:
    """Adds each setting of any method once, with the methods that have it and their defaults.

    The help text is the text of the default method, if it has the setting.
    """
    owners: dict[str, dict[str, Any]] = {}
    for name in methods.names():
        for option, field in methods.get(name).Options.model_fields.items():
            owners.setdefault(option, {})[name] = field
    for option, fields in owners.items():
        of_value: dict[str, list[str]] = {}
        for name, field in fields.items():
            if field.default not in (None, (), ""):
                of_value.setdefault(str(field.default), []).append(name)
        defaults = "; ".join(f"{', '.join(names)}: {value}" for value, names in of_value.items())
        described = fields.get(DistillConfig().method) or next(iter(fields.values()))
        text = described.description + (f" [{defaults}]" if defaults else "")
        parser.add_argument(f"--{option.replace('_', '-')}", dest=f"field_{option}", metavar="X", help=text)


def options_of_method(asked: argparse.Namespace) -> dict[str, Any]:
    """Returns the method's settings from the command line. Raises ConfigError for a setting that the method lacks."""
    kind = methods.get(asked.method).Options
    for name in methods.names():
        for option in methods.get(name).Options.model_fields:
            if option not in kind.model_fields and getattr(asked, f"field_{option}") is not None:
                raise ConfigError(unknown(f"option of method {asked.method}", option, kind.model_fields))
    return given(asked, kind)


def given(asked: argparse.Namespace, kind: type[BaseModel]) -> dict[str, Any]:
    """Returns the fields of `kind` that are set on the command line, as values of their types."""
    texts = {name: getattr(asked, f"field_{name}", None) for name in kind.model_fields}
    return {name: _value(kind, name, text) for name, text in texts.items() if text is not None}


def _value(kind: type[BaseModel], name: str, text: str) -> Any:
    """Converts text to a number, a list of numbers or a word, as the field needs it; `kind` checks the value later."""
    annotation = kind.model_fields[name].annotation
    if annotation is str:
        return text
    if annotation is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    return [number(item) for item in text.split(",")] if "tuple" in str(annotation) else number(text)


def number(text: str) -> int | float | str:
    """Converts text to a whole number if possible, else to a number, else leaves it as text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def path(text: str) -> Path:
    """Converts text to the path of a file or folder. Raises ConfigError for an empty text."""
    if not text:
        raise ConfigError(f"{text!r} is not allowed for a path: name a file or folder")
    return Path(text)


def whole(text: str) -> int:
    """Converts text to a seed. Raises ConfigError if it is no whole number."""
    try:
        return int(text)
    except ValueError:
        raise ConfigError(f"{text!r} is not allowed for a seed: it must be a whole number") from None


def pixels(text: str) -> int:
    """Converts text to a size in pixels. Raises ConfigError if it is no whole number of 1 or more."""
    value = number(text)
    if not isinstance(value, int) or value < 1:
        raise ConfigError(f"image_size = {text!r} is not allowed: it must be a whole number, 1 or more")
    return value


def minutes(text: str) -> int | float:
    """Converts text to minutes. Raises ConfigError if it is no finite number greater than 0."""
    value = number(text)
    if isinstance(value, str) or not 0 < value < inf:
        raise ConfigError(f"--stop-after {text!r} is not allowed: it must be minutes, greater than 0")
    return value
