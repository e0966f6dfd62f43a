"""Seconds a student step of every kind of run of a grid, for `python -m analysis.studies cost`; needs no data.

    python benchmarks/rates.py grids/paper.yaml                    nine minutes of it; call it until none is left
    python benchmarks/rates.py grids/paper.yaml --methods cudfkd   the kinds of one method

The cost of a step does not depend on the networks' weights, nor on the pictures. So the networks are untrained, and the
references, which study images, get noise of the data set's shape. A kind runs two epochs of some seconds, or of one
round where that takes longer, and the second epoch counts. The device is the grid's. Rates go into
benchmarks/results/rates.json, where `analysis.studies.cost` finds them. For CMI the rate is a lower bound: its bank of
earlier images has not filled yet.
"""

import cudfkd  # isort: skip  # before torch, whose threads then wait as in every run: see cudfkd.base.waiting
import sys
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import TensorDataset

from analysis.studies import cost, grid
from analysis.studies.grid import Cell
from benchmarks import RESULTS, parts
from benchmarks.parts import Outcome, Part
from cudfkd import data, methods, models
from cudfkd.base import command, devices
from cudfkd.base.command import Parser
from cudfkd.base.console import say
from cudfkd.base.errors import ConfigError, unknown
from cudfkd.base.files import write_json
from cudfkd.base.machine import hardware
from cudfkd.base.validation import digest


def main(arguments: list[str] | None = None) -> int:
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("grid", type=Path, help="a grid's YAML file")
    parser.add_argument("--methods", nargs="+", default=[], help="only these")
    parser.add_argument("--seconds", type=float, default=3.0, help="about so long an epoch [3]")
    parser.add_argument("--minutes", type=float, default=9.0, help="no run begins after so many [9]")
    parser.add_argument("--out", type=Path, default=RESULTS / "rates.json", help="the JSON file")

    def program() -> int:
        options = parser.parse_args(arguments)
        cells = list(kinds(grid.load(options.grid), options.methods))
        outcome = measure(cells, options.seconds, options.minutes, options.out)
        say(str(outcome))
        return 1 if outcome.failed else 0

    return command.run("rates.py", program, interrupted="interrupted; what was measured is kept")


def kinds(runs: grid.Grid, only: list[str]) -> Iterator[Cell]:
    """A run of each kind of a grid. Raises ConfigError for a method that the grid has not."""
    for name in only:
        if name not in runs.methods:
            raise ConfigError(unknown("method of this grid", name, runs.methods))
    for cell in runs.cells.values():
        if cell.seed == runs.seeds[0] and cell.method in (only or runs.methods):
            yield cell


def measure(cells: list[Cell], seconds: float, minutes: float, out: Path) -> Outcome:
    """Adds the rates to `out` that it lacks, each at once, until the minutes are over.

    A kind that cannot be run, for want of memory say, is reported in a line.

    Raises:
        ConfigError: the grid's device is missing, or `out` holds something else than rates.
    """
    rates = cost.rates_in(out) if out.exists() else []
    measured = {(rate.hardware, rate.kind) for rate in (cost.Rate(**values) for values in rates)}
    lacking = {}
    for cell in cells:
        place = hardware(devices.check(cell.distill().device))
        if (place, digest(cost.kind_of(cell))) not in measured:
            lacking[cell.name] = Part(partial(rate_of, cell, place), minutes=0.0)

    def keep(_: str, rate: dict[str, Any]) -> None:
        rates.append(rate)
        write_json(out, {"rates": rates})

    return parts.measure(lacking, seconds, keep, minutes)


def rate_of(cell: Cell, place: str, seconds: float, minutes: float) -> dict[str, Any]:  # noqa: ARG001
    """The rate of a kind, as plain data."""
    steps, duration = paced(cell, seconds)
    return cost.Rate(**cost.kind_of(cell), hardware=place, student_steps=steps, seconds=duration).model_dump()


def paced(cell: Cell, seconds: float) -> tuple[int, float]:
    """Student steps and seconds of an epoch that takes about `seconds`. Raises as `cudfkd.distill`."""
    steps, duration = second_epoch(cell, 1)
    return second_epoch(cell, round(seconds / duration)) if duration < seconds / 2 else (steps, duration)


def second_epoch(cell: Cell, rounds: int) -> tuple[int, float]:
    """Student steps and seconds of the second epoch of so many rounds."""
    about, config = data.info(cell.data), cell.distill()
    names, shape = (cell.pair.architecture, cell.pair.student), (about.channels, about.image_size)
    teacher, student = (models.build(name, about.num_classes, *shape, seed) for seed, name in enumerate(names))
    curriculum = config.curriculum.model_copy(update={"on_dead": "warn"})  # a dead step takes as long
    length = {"epochs": 2, "steps_per_epoch": rounds * config.round_steps, "keep_epochs": ()}
    sizes = {"image_size": about.image_size, "channels": about.channels, "curriculum": curriculum}
    noise = None
    if methods.get(config.method).ABOUT.real_images:
        labels = torch.arange(4 * config.batch_size) % about.num_classes
        noise = TensorDataset(torch.rand(len(labels), about.channels, about.image_size, about.image_size), labels)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the curriculum is dead")
        run = cudfkd.distill(teacher, student, config.model_copy(update=length | sizes), train_on=noise)
    return length["steps_per_epoch"], float(run.rows[-1]["seconds"] or 0.0)


if __name__ == "__main__":
    sys.exit(main())
