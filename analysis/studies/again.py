"""Runs a recorded run again, as a whole or its first epochs, and says whether it is the same."""

from contextlib import suppress
from itertools import zip_longest
from statistics import stdev
from typing import Any, NamedTuple

import pandas as pd
import torch

from analysis.checks import Check, check, validate
from analysis.studies import records, run
from analysis.studies.records import CaseRecord, Entry, StudyRecord
from analysis.studies.study import Case, Study
from analysis.studies.watch import Pruned, Watch
from cudfkd.base.errors import DataError
from cudfkd.callbacks import Callback
from cudfkd.evaluation import Evaluation
from cudfkd.runs.context import Context

SAME_MACHINE = 1e-6  # of any number, relative to max(1, recorded): the same bits, written as text
OTHER_MACHINE = 0.02  # of accuracy, at least; or three times the standard deviation over the case's seeds
STAMP = ("torch", "hardware", "vectors", "threads")


class Repeat(NamedTuple):
    """A run that was done again.

    numbers: a row a number, with columns recorded, again, difference.
    same_machine: whether both runs were made with the same torch, hardware, vector instructions and threads.
    differing: names of the numbers that differ by more than the tolerance.
    """

    numbers: pd.DataFrame
    same_machine: bool
    differing: list[str]


def again(study: Study, record: StudyRecord, label: str, seed: int, tolerance: float | None = None) -> Repeat:
    """Runs one recorded run again, as it was described then, with as many threads.

    On the same machine all numbers must agree within `SAME_MACHINE`. On another machine rounding differs and training
    multiplies it, so that a run there is like a run with another seed: its accuracy must agree within three times the
    standard deviation over the recorded seeds of the case, or within `OTHER_MACHINE` if that is more.
    `tolerance` takes the place of both, for all numbers, relative to max(1, recorded).

    Raises:
        ConfigError: no such case or seed in the record.
        DataError: the record was made before a setting was there that the run would need now.
    """
    kept, old = record.find(label, seed)
    case = _ready(study, kept, old)
    new = run.entry(study, case, seed, watch=_watch(old))
    rows = [(name, *pair) for name in old.numbers for pair in _pairs(old.numbers[name], new.numbers.get(name))]
    table = pd.DataFrame(rows, columns=["number", "recorded", "again"]).set_index("number").astype(float)
    table["difference"] = (table["again"] - table["recorded"]).abs()
    same = all(old.made.get(name) == new.made[name] for name in STAMP)
    strict = same or tolerance is not None
    limit = tolerance if tolerance is not None else SAME_MACHINE if same else _between_machines(kept)
    differing = [
        name
        for name, recorded, difference in zip(table.index, table["recorded"], table["difference"], strict=True)
        if (strict or name == "accuracy") and not difference <= limit * max(1, abs(recorded))
    ]
    if (old.stopped is None) != (new.stopped is None):
        differing.append("stopped")
    return Repeat(table, same, list(dict.fromkeys(differing)))


def beginning(study: Study, record: StudyRecord, label: str, seed: int, epochs: int) -> pd.DataFrame:
    """Runs the first epochs of a recorded run again, a row an epoch.

    Its schedules are the whole run's, so that the epochs are the same as in the record.

    Columns: accuracy, agreement, loyalty and loyalty_published on dev, again; each also as NAME_recorded, and its
    tolerance NAME_limit: three times the standard deviation over the recorded seeds of the case, in the same epoch, or
    `OTHER_MACHINE` if that is more.

    Raises:
        ConfigError: no such case or seed in the record, or more epochs than the run has.
        DataError: the record holds no curve of the run, or is older than a setting that the run would need now.
    """
    recorded = records.curve(record, label, seed).set_index("epoch")
    kept, old = record.find(label, seed)
    validate.within("epochs", validate.count("epochs", epochs), 1, len(recorded) + 1)
    live = _Beginning(epochs)
    with suppress(Pruned):
        run.perform(_ready(study, kept, old).with_seed(seed), live)
    table = pd.DataFrame(live.rows).set_index("epoch").filter(list(Evaluation._fields))
    curves = pd.concat([pd.DataFrame(entry.rows) for entry in kept.runs.values()])
    spread = curves.groupby("epoch").std().fillna(0.0).loc[table.index]
    for name in Evaluation._fields:
        table[f"{name}_recorded"] = recorded[name]
        table[f"{name}_limit"] = (3 * spread[name].to_numpy(dtype=float)).clip(OTHER_MACHINE)
    return table


def as_recorded(repeat: pd.DataFrame, record: StudyRecord, other: str, seed: int, measure: str = "accuracy") -> Check:
    """The check that the last epoch of a repeated beginning is as recorded, within its tolerance.

    The control: the recorded number of another case in its place, in the same epoch.

    Arguments:
        repeat: as `beginning` returns it.
        other: label of the case for the control; seed: its seed.
        measure: accuracy, agreement, loyalty or loyalty_published.
    """
    epoch, last = int(repeat.index[-1]), repeat.iloc[-1]
    other_curve = records.curve(record, other, seed).set_index("epoch")
    limit, recorded = last[f"{measure}_limit"], last[f"{measure}_recorded"]
    return check(f"{measure} of a run made again", f"{measure} after epoch {epoch} = recorded, within 3 sd over seeds",
                 "study", [abs(last[measure] - recorded) - limit],
                 (f"{other} in its place", [abs(other_curve[measure][epoch] - recorded) - limit]), tolerance=0.0,
                 exact=False, claims=())  # fmt: skip


class _Beginning(Callback):
    """Keeps the metrics of the first epochs, and then ends the run."""

    def __init__(self, epochs: int) -> None:
        self.rows: list[dict[str, Any]] = []
        self._epochs = epochs

    def after_epoch(self, ctx: Context, row: dict[str, float | int | None]) -> None:
        self.rows.append(dict(row))
        if ctx.epoch == self._epochs:
            raise Pruned(ctx.epoch)


def _ready(study: Study, kept: CaseRecord, old: Entry) -> Case:
    """The case as it was described then, with as many threads as the run had."""
    case = _as_described(study.name, kept.at, kept.case)
    if threads := old.made.get("threads"):
        torch.set_num_threads(threads)
    return case


def _watch(old: Entry) -> Watch | None:
    """A watch for a run that had one. It ends a pruned run after the same epoch."""
    return Watch(lambda accuracies: len(accuracies) == old.pruned) if "student_steps" in old.numbers else None


def _between_machines(case: CaseRecord) -> float:
    accuracies = [run.numbers["accuracy"] for run in case.runs.values() if "accuracy" in run.numbers]
    return max(OTHER_MACHINE, 3 * stdev(accuracies)) if len(accuracies) > 1 else OTHER_MACHINE


def _as_described(name: str, at: dict[str, Any], plain: dict[str, Any]) -> Case:
    """The case of a description that leaves nothing to today's defaults."""
    case = Case(at=at, **plain)
    if case.plain != plain:
        raise DataError(f"the record {name}, {case.label!r} does not say all settings of today: record it again")
    return case


def _pairs(old: Any, new: Any) -> list[tuple[Any, Any]]:
    """Numbers to compare; one that is there on one side only is compared with None, and so differs."""
    if isinstance(old, list):
        return list(zip_longest(old, new or []))
    return [] if old is None and new is None else [(old, new)]
