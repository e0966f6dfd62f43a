"""Methods by name. Each is a module with typed `Options`, `build(options, ctx) -> Method` and `ABOUT`."""

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
    """Seconds and MB of each method's run at the quick size, as recorded; {} where no record ships."""
    return read_json(COSTS) if COSTS.exists() else {}


def names() -> list[str]:
    """The methods there are."""
    return sorted(_METHODS)


def get(name: str) -> ModuleType:
    """The module of a method. Raises ConfigError for an unknown name."""
    if name not in _METHODS:
        raise ConfigError(unknown("method", name, _METHODS))
    return _METHODS[name]
