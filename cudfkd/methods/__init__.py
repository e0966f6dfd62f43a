"""The methods by name. A method is a module with typed `Options`, `build(options, ctx) -> Method` and `ABOUT`."""

from pathlib import Path
from types import ModuleType

from cudfkd.base.errors import ConfigError, unknown
from cudfkd.base.files import read_json
from cudfkd.methods import (
    cmi,
    cudfkd,
    dafl,
    deepinversion,
    dfad,
    dfq,
    fast_dfkd,
    kd,
    mb_dfkd,
    noise,
    pre_dfkd,
    scratch,
    zskt,
)

_MODULES = (
    cmi, cudfkd, dafl, deepinversion, dfad, dfq, fast_dfkd, kd, mb_dfkd, noise, pre_dfkd, scratch, zskt,
)  # fmt: skip
_METHODS: dict[str, ModuleType] = {module.__name__.rsplit(".", 1)[1].replace("_", "-"): module for module in _MODULES}

COSTS = Path(__file__).parent.parent / "assets" / "methods.json"


def costs() -> dict[str, dict[str, float]]:
    """Recorded cost of a run of each method at the quick size, in seconds and MB; {} if no record ships."""
    return read_json(COSTS) if COSTS.exists() else {}


def names() -> list[str]:
    """The names of all methods, sorted."""
    return sorted(_METHODS)


def get(name: str) -> ModuleType:
    """The module of the method called `name`. Raises ConfigError for an unknown name."""
    if name not in _METHODS:
        raise ConfigError(unknown("method", name, _METHODS))
    return _METHODS[name]
