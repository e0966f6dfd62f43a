"""Seconds a student step of every kind of run of a grid, for `python -m analysis.studies.cost`; needs no data.

    python benchmarks/rates.py grids/paper.yaml                    nine minutes of it; call it until none is left
    python benchmarks/rates.py grids/paper.yaml --methods cudfkd   those of one method

What a step costs depends neither on what the networks have learned nor on the pictures: so they are untrained ones,
and noise of the data set's shape for the references that study images. A kind runs two epochs of some seconds, or of a
single round where that takes longer, and the second counts. Rates go into benchmarks/rates.json, where
`analysis.studies.cost` finds them. The device is the grid's. For CMI the rate is a lower bound: its bank of earlier
images has not filled yet.
"""

import argparse
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

import torch
from analysis.studies.comparison import fingerprint
from torch.utils.data import TensorDataset

import cudfkd
from analysis.studies import cost, grid
from analysis.studies.grid import Cell
from cudfkd import data, methods, models
from cudfkd.base import devices
from cudfkd.base.errors import ConfigError, CudfkdError, unknown
from cudfkd.base.files import write_json
from cudfkd.base.machine import hardware


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("grid", type=Path, help="a grid's YAML file")
    parser.add_argument("--methods", nargs="+", default=[], help="only these")
    parser.add_argument("--seconds", type=float, default=3.0, help="about so long an epoch [3]")
    parser.add_argument("--minutes", type=float, default=9.0, help="no run begins after so many [9]")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"), help="the JSON file")
    asked = parser.parse_args(arguments)
    try:
        cells = list(kinds(grid.load(asked.grid), asked.methods))
        left, failed = measure(cells, asked.seconds, asked.minutes, asked.out)
    except CudfkdError as error:
        print(f"rates.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("rates.py: interrupted; what was measured is kept", file=sys.stderr)
        return 130
    print(f"{left} of {len(cells)} kinds are left, for further calls" if left else "all that runs here is measured")
    return 1 if failed else 0


def kinds(asked: grid.Grid, only: list[str]) -> Iterator[Cell]:
    """A run of each kind of a grid. Raises ConfigError for a method that the grid has not."""
    for name in only:
        if name not in asked.methods:
            raise ConfigError(unknown("method of this grid", name, asked.methods))
    for cell in asked.cells.values():
        if cell.seed == asked.seeds[0] and cell.method in (only or asked.methods):
            yield cell


def measure(cells: list[Cell], seconds: float, minutes: float, out: Path) -> tuple[int, list[str]]:
    """Adds to `out` the rates that it lacks, each at once, until the minutes are over.

    Returns how many kinds were not begun, and the names of those that cannot be run, for want of memory say: each of
    them is told in a line.

    Raises:
        ConfigError: the grid's device is not here, or `out` holds something else than rates.
    """
    until, left, failed = perf_counter() + 60 * minutes, 0, []
    found = {"rates": cost.rates_in(out) if out.exists() else []}
    have = {(one.hardware, one.kind) for one in (cost.Rate(**values) for values in found["rates"])}
    for cell in cells:
        place = hardware(str(devices.check(cell.distill().device)))
        if (place, fingerprint(cost.kind_of(cell))) in have:
            continue
        if perf_counter() > until:
            left += 1
            continue
        try:
            steps, took = paced(cell, seconds)
        except CudfkdError as error:
            print(f"rates.py: {cell.name}: {error}", file=sys.stderr)
            failed.append(cell.name)
            continue
        one = cost.Rate(**cost.kind_of(cell), hardware=place, student_steps=steps, seconds=took)
        found["rates"].append(one.model_dump())
        write_json(out, found)
        print(f"{cell.method} of {cell.group}: {took / steps:.4g} s a step", flush=True)
    return left, failed


def paced(cell: Cell, seconds: float) -> tuple[int, float]:
    """Student steps of an epoch of about so many seconds, and the seconds it took. Raises as `cudfkd.distill`."""
    steps, took = second_epoch(cell, 1)
    return second_epoch(cell, round(seconds / took)) if took < seconds / 2 else (steps, took)


def second_epoch(cell: Cell, rounds: int) -> tuple[int, float]:
    """Student steps and seconds of the second epoch of so many rounds."""
    about, config = data.info(cell.data), cell.distill()
    names, shape = (cell.pair.teacher, cell.pair.student), (about.channels, about.image_size)
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
