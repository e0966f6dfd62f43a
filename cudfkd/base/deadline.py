"""The deadline of a run that must stop in time."""

from math import inf
from time import perf_counter

from cudfkd.base.errors import ConfigError


def deadline_after(minutes: int | float | None) -> float:
    """Time of `time.perf_counter` at which `minutes` from now are over; infinity for None.

    Raises:
        ConfigError: `minutes` is not a finite number greater than 0.
    """
    if minutes is None:
        return inf
    if not isinstance(minutes, int | float) or not 0 < minutes < inf:
        raise ConfigError(f"stop_after = {minutes!r} is not allowed: it must be minutes, greater than 0")
    return perf_counter() + 60 * minutes
