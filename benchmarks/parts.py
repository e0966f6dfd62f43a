"""The harness of the benchmarks: parts of a measurement, and the JSON file that keeps their results.

A `Part` measures one quantity in minutes. `measure` runs parts one by one until a time limit, and each result is kept
at once: a `Record` files it under the hardware, with a stamp. So a measurement may end at any moment, and the next call
goes on with the parts that the file lacks. `throughput.py`, `gpu.py` and `rates.py` are plans over parts.

The parts that throughput.py and gpu.py share are defined here (`SHARED`): ceiling, flops and traffic of a setting.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import torch

from analysis.origin import commit
from benchmarks import ceilings, loops
from benchmarks.loops import Setting
from cudfkd.base.console import complain, say
from cudfkd.base.errors import ConfigError, CudfkdError
from cudfkd.base.files import read_json, write_json

Result = dict[str, Any] | None  # None: the part needs another call, in which it goes on
FAILURES = (CudfkdError, MemoryError, RuntimeError, BrokenProcessPool)  # of one part; RuntimeError is CUDA's


class Part(NamedTuple):
    """A part of a measurement."""

    measure: Callable[[Any, float], Result]
    """Takes the plan and the minutes that are left. Messages under "warnings" of its result are printed."""

    minutes: float = 1.0
    """Minutes that it may take; of a part that can go on, minutes of its first epoch."""


class Outcome(NamedTuple):
    """The parts without a result after a call of `measure`."""

    left: list[str]
    """Parts that did not begin, or that go on at the next call."""

    failed: list[str]

    def __str__(self) -> str:
        if self.left:
            return f"{len(self.left)} left, for further calls; next: {self.left[0]}"
        return f"{len(self.failed)} failed, all else is measured" if self.failed else "all is measured"


def measure(
    parts: Mapping[str, Part], plan: Any, keep: Callable[[str, dict[str, Any]], None], minutes: float = inf
) -> Outcome:
    """Runs the parts one by one until the minutes are over.

    A part that may take longer than the minutes left does not begin, unless it is the first. A part that fails is
    reported in a line, and the next one begins.

    Arguments:
        parts: the parts by name.
        plan: the first argument of each part: the object and the length of its measurement.
        keep: stores the result of a part, under its name, at once.
    """
    until, left, failed = perf_counter() + 60 * minutes, list(parts), []
    for position, (name, part) in enumerate(parts.items()):
        minutes_left = (until - perf_counter()) / 60
        if minutes_left <= 0 or (minutes_left < part.minutes and position > 0):
            break
        started = perf_counter()
        try:
            result = part.measure(plan, minutes_left)
        except FAILURES as error:
            complain(f"{name}: {' '.join(str(error).split()) or type(error).__name__}")
            left.remove(name)
            failed.append(name)
            continue
        say(f"{name}: {'to go on' if result is None else 'measured'}, {perf_counter() - started:.0f} s")
        if result is None:
            break
        for message in result.get("warnings", []):
            complain(f"{name}: {message}")
        keep(name, result)
        left.remove(name)
    return Outcome(left, failed)


class Record:
    """A JSON file of results, each with its stamp, in nested objects: place, then part.

    Arguments:
        path: the file. It is made with the first result. Results of other places in it are kept.
        place: keys above the parts, such as the hardware.
        follows: what follows from the results of a place, to be filed beside them whenever one is added.

    Raises:
        DataError: the file is damaged.
        ConfigError: the file holds something else.
    """

    def __init__(
        self, path: Path, *place: str, follows: Callable[[dict[str, Any]], dict[str, Any]] = lambda _: {}
    ) -> None:
        self.path, self.follows = path, follows
        self.content = self.results = read_json(path) if path.exists() else {}
        for key in place:
            self.results = self.results.setdefault(key, {})
            if not isinstance(self.results, dict):
                raise ConfigError(f"{path} does not hold measurements: name another file with --out")

    def lacks(self, names: Iterable[str]) -> list[str]:
        """The parts without a result."""
        return [name for name in names if name not in self.results]

    def keep(self, name: str, result: dict[str, Any]) -> None:
        """Files the result of a part and writes the file."""
        self.results[name] = {**result, **stamp()}
        self.results.update(self.follows(self.results))
        write_json(self.path, self.content)


def stamp() -> dict[str, Any]:
    """The software of a measurement."""
    return {"torch": torch.__version__, "tf32": torch.backends.cudnn.allow_tf32, "commit": commit()}


@dataclass(frozen=True)
class Plan:
    """The object of the shared parts. A command's own plan adds fields."""

    setting: Setting

    loops: Sequence[str]
    """Names of the loops to count and to time."""


def ceiling(plan: Plan, minutes: float) -> Result:  # noqa: ARG001
    """Limits of the device: GFLOP/s in float32 and in the setting's precision, and GB/s."""
    device, precisions = torch.device(plan.setting.device), dict.fromkeys(("float32", plan.setting.precision))
    return {
        "gflops": {name: ceilings.gflops(device, getattr(torch, name)) for name in precisions},
        "gb_per_second": ceilings.bandwidths(device),
    }


def flops(plan: Plan, minutes: float) -> Result:  # noqa: ARG001
    """Operations of a student step of each loop."""
    return {"per_step": {name: loops.flops(plan.setting, name) for name in plan.loops}}


def traffic(plan: Plan, minutes: float) -> Result:  # noqa: ARG001
    """Kernels and bytes of a student step of each loop."""
    return {"per_step": {name: loops.moved(plan.setting, name) for name in plan.loops}}


SHARED = {"ceiling": Part(ceiling), "flops": Part(flops, 2.0), "traffic": Part(traffic)}


def shares(results: dict[str, Any], precision: str) -> dict[str, Any]:
    """The shares of the device's limits, where speed and all the shared parts are measured; else nothing."""
    complete = {"speed", *SHARED} <= results.keys()
    return {"achieved": ceilings.achieved(results, precision)} if complete else {}
