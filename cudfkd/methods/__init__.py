"""Methods by name. Each is a module with typed `Options`, `build(options, ctx) -> Method` and `ABOUT`."""

from types import ModuleType

from cudfkd.errors import ConfigError, unknown
from cudfkd.methods import cudfkd

_METHODS: dict[str, ModuleType] = {"cudfkd": cudfkd}


def names() -> list[str]:
    """The methods there are."""
    return sorted(_METHODS)


def get(name: str) -> ModuleType:
    """The module of a method. Raises ConfigError for an unknown name."""
    if name not in _METHODS:
        raise ConfigError(unknown("method", name, _METHODS))
    return _METHODS[name]
