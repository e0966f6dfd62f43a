"""When a run that is to stop in time has to."""

from math import inf
from time import perf_counter

from cudfkd.base.errors import ConfigError


def deadline_after(minutes: int | float | None) -> float:
    """When so many minutes are over, on `time.perf_counter`; for None, never. Raises ConfigError."""
    if minutes is None:
        return inf
    if not isinstance(minutes, int | float) or not 0 < minutes < inf:
        raise ConfigError(f"stop_after = {minutes!r} is not allowed: it must be minutes, greater than 0")
    return perf_counter() + 60 * minutes
