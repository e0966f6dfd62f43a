"""The rows of the paper's map: each figure, table and claim with its published numbers, and where ours come from.

A row reads the records of studies. Its numbers and checks are functions of these records, so that no result of ours
stands here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analysis.checks import Check
from analysis.checks.statistics import mean_over_seeds
from analysis.evidence.claims import CLAIMS
from analysis.paper import published
from analysis.studies import ablations, comparison, curves, faithful, target, verdicts
from analysis.studies.records import StudyRecord
from analysis.studies.table import frame
from cudfkd.evaluation import Estimate

Numbers = dict[str, Estimate]


def _no_numbers(*records: StudyRecord) -> Numbers:  # noqa: ARG001
    return {}


def _no_checks(*records: StudyRecord) -> list[Check]:  # noqa: ARG001
    return []


@dataclass(frozen=True)
class Row:
    """A figure, table or claim of the paper.

    id: "F1" ... "F13", "C1" ... "C9", or the name of a table.
    title: the subject, in our words.
    unit: unit of its numbers.
    notebook: number of the notebook that shows it.
    studies: names of the studies that it reads.
    published: by name, the published numbers; None where a number of ours has no published counterpart.
    ours: gives our numbers, by the same names; takes the records of `studies`.
    checks: gives our checks; takes the records of `studies`.
    source: where the published values stand.
    """

    id: str
    title: str
    unit: str
    notebook: str
    studies: tuple[str, ...]
    published: Mapping[str, float | None] = field(default_factory=dict)
    ours: Callable[..., Numbers] = _no_numbers
    checks: Callable[..., list[Check]] = _no_checks
    source: str = ""


EARLY, HEIGHT, WARM, START = "end at 2/3 - end at 4/5", "height 8/7 - 1/7", "T = 20 - T = 4", "start 2 - start 2.8"
HARDER, LAST, MEAN = "late - early", "PRE-DFKD, last epoch", "mean over training"
ON_TEST = {"accuracy": ("test_accuracy", 100.0), "loyalty": ("test_loyalty_published", 1.0)}
"""By measure on the test images: its column, and the factor to its unit, as in `ablations.MEASURES`."""


def _at(record: StudyRecord, axis: str, place: Any) -> pd.DataFrame:
    """The runs of a record at one place on an axis."""
    return ablations.at(frame(record), axis, place)


def _judged(judge: Callable[[Any], Check]) -> Callable[[StudyRecord], list[Check]]:
    return lambda record: [judge(frame(record))]


def _listed(judge: Callable[[Any], list[Check]]) -> Callable[[StudyRecord], list[Check]]:
    return lambda record: judge(frame(record))


def _difference(name: str, measure: str, axis: str, first: Any, second: Any) -> Callable[[StudyRecord], Numbers]:
    return lambda record: {name: ablations.difference(frame(record), measure, axis, first, second)}


def _ends(figure: str) -> dict[str, float | None]:
    rows = published.heat_map(figure, "accuracy").T
    return {EARLY: float(np.mean(rows["2/3"]) - np.mean(rows["4/5"]))}


def _heat_map(figure: str) -> Row:
    title = f"begin and end of the ramp, {published.figure(figure)['pair']}: accuracy"
    return Row(figure, title, "points", "16", ("ramp",), _ends(figure),
               _difference(EARLY, "accuracy", "end", "2/3", "4/5"), _judged(ablations.ramp_ends_early),
               published.source(figure))  # fmt: skip


def _between(figure: str, measure: str, first: Any, second: Any) -> float:
    values: dict[Any, float] = published.curve(figure)[measure].to_dict()
    return values[first] - values[second]


def _strategies() -> dict[str, float | None]:
    """Each curriculum with the ramp minus none without it, as published; and minus none with the ramp."""
    names: dict[str, float | None] = {
        f"{name} with the ramp - none without": _between("F6", "accuracy", name, "none") for name in ablations.CURRICULA
    }
    return names | {f"{name} - none, both with the ramp": None for name in ablations.CURRICULA}


def _our_strategies(record: StudyRecord) -> Numbers:
    runs = frame(record)
    with_ramp = ablations.of_ramp(runs, ablations.WITH_RAMP)
    without = ablations.of_ramp(runs, ablations.WITHOUT_RAMP)
    both = pd.concat([with_ramp, ablations.at(without, "strategy", "none").assign(strategy="bare")])
    return {
        f"{name} {words}": ablations.difference(both, "accuracy", "strategy", name, place)
        for words, place in (("with the ramp - none without", "bare"), ("- none, both with the ramp", "none"))
        for name in ablations.CURRICULA
    }


def _harder(record: StudyRecord) -> Numbers:
    runs = _at(record, "variant", verdicts.MOVING)
    return {HARDER: mean_over_seeds((runs["loss_late"] - runs["loss_early"]).to_numpy(dtype=np.float64))}


def _noisy() -> dict[str, float | None]:
    clean, noisy = (published.figure("F10")[teacher] for teacher in ("clean", "noisy"))
    lost: dict[str, float | None] = {
        f"lost by {method}": _mean_accuracy(runs) - _mean_accuracy(noisy[method]) for method, runs in clean.items()
    }
    return lost | dict.fromkeys(("lost by dfq", "lost by fast-dfkd"))


def _mean_accuracy(runs: list[list[float]]) -> float:
    return float(np.mean([accuracy for accuracy, _, _ in runs]))


def _our_noisy(record: StudyRecord) -> Numbers:
    lost = ablations.losses(frame(record), "accuracy")
    return {f"lost by {method}": mean_over_seeds(values.to_numpy()) for method, values in lost.items()}


def _score(
    name: str, measure: str, method: str = ablations.OURS, of: Mapping[str, tuple[str, float]] = ablations.MEASURES
) -> Callable[[StudyRecord], Numbers]:
    """The mean of a measure of a method over seeds. A seed's number is the mean over its teachers."""
    column, factor = of[measure]

    def read(record: StudyRecord) -> Numbers:
        runs = _at(record, "method", method)
        return {name: mean_over_seeds(factor * _by_seed(runs, column))}

    return read


def _mean_over_training(record: StudyRecord) -> Numbers:
    runs = _at(record, "method", ablations.OURS)
    means = runs.assign(mean=[100 * float(np.mean(curve)) for curve in runs["accuracies"]])
    return {MEAN: mean_over_seeds(_by_seed(means, "mean"))}


def _by_seed(runs: pd.DataFrame, column: str) -> np.ndarray:
    """A number of each seed, the mean over its runs."""
    return runs.pivot_table(index="seed", values=column).to_numpy(dtype=np.float64)[:, 0]


def _accuracies(record: StudyRecord) -> Numbers:
    names = _accuracy_table()
    return {name: _score(name, "accuracy", name, ON_TEST)(record)[name] for name in names}


def _accuracy_table() -> dict[str, float | None]:
    values = published.figure("accuracy")
    return {name: values[name] for name in ("scratch", "cudfkd", "cmi", "dfq")}


def _both_live(record: StudyRecord) -> list[Check]:
    return [verdicts.learns(frame(record)), verdicts.settles(frame(record))]


def _steady(record: StudyRecord) -> pd.DataFrame:
    return curves.steadiness(curves.epochs(record))


def _needs_the_student(*records: StudyRecord) -> list[Check]:
    return target.needed(*map(_steady, records))


def _fastest(record: StudyRecord) -> list[Check]:
    return comparison.fastest(curves.epochs(record))


def _most_robust(noisy: StudyRecord, compared: StudyRecord) -> list[Check]:
    return [ablations.loses_least(frame(noisy)), *comparison.steadiest(_steady(compared))]


FIGURES = (
    Row("F1", "loyalty of each image", "loyalty", "15", ("comparison",), {"mean": published.figure("F1")["loyalty"]},
        _score("mean", "loyalty", of=ON_TEST), source=published.source("F1")),
    *(_heat_map(name) for name in published.MAPS),
    Row("F5", "height of the ramp: agreement", "points", "16", ("height",),
        {HEIGHT: _between("F5", "agreement", 4, 0.5)}, _difference(HEIGHT, "agreement", "height", 11.4, 1.4),
        _judged(ablations.height_helps), published.source("F5")),
    Row("F6", "none, hard, soft, log: accuracy", "points", "16", ("strategy",), _strategies(), _our_strategies,
        _judged(ablations.curricula_help), published.source("F6")),
    Row("F7", "temperature: accuracy", "points", "16", ("temperature",), {WARM: _between("F7", "accuracy", 20, 4)},
        lambda record: {WARM: ablations.difference(_at(record, "loss", "l1"), "accuracy", "temperature", 20, 4)},
        _judged(ablations.warmth_helps), published.source("F7")),
    Row("F8", "start of λ: accuracy", "points", "16", ("start",), {START: _between("F8", "accuracy", 2, 2.8)},
        _difference(START, "accuracy", "start", 2.0, 2.8), _judged(ablations.low_start_helps),
        published.source("F8")),
    Row("F9", "samples of a pseudo-class, early and late", "loss", "17", ("drift",), {HARDER: None}, _harder,
        _judged(verdicts.harder), "cells 19 to 34: images and densities, no number"),
    Row("F10", "accuracy lost with a noisy teacher", "points", "17", ("noisy",), _noisy(), _our_noisy,
        _judged(ablations.loses_least), published.source("F10")),
    Row("F11", "features of real images and of samples (t-SNE)", "nats", "17", ("methods",),
        {f"KL of t-SNE, {name}": value for name, value in published.figure("F11")["kl"].items()},
        source=published.source("F11")),
    Row("F12", "features, class counts and terms of real and generated images", "", "17", ("methods",),
        {f"{name}, {images}": value for images in ("generated", "real")
         for name, value in published.figure("F12")[images].items()}, source=published.source("F12")),
    Row("F13", "curves of accuracy over epochs", "%", "14", ("comparison",),
        {LAST: published.figure("F13")["pre-dfkd"]["last"][-1]}, _score(LAST, "accuracy", "pre-dfkd"),
        source=published.source("F13")),
)  # fmt: skip

TABLES = (
    Row("accuracies", "table of accuracies", "%", "13", ("comparison",), _accuracy_table(), _accuracies,
        source=published.source("accuracy")),
    Row("steadiness", "table of mean, variance, time and memory over training", "%", "14", ("comparison",),
        {MEAN: published.figure("steadiness")["mu"]}, _mean_over_training, source=published.source("steadiness")),
    Row("Tiny-ImageNet", "table of accuracies on Tiny-ImageNet", "%", "", (),
        source="its values stand in the paper alone, which is not at hand"),
)  # fmt: skip

OF_CLAIMS: dict[str, tuple[tuple[str, ...], str, Callable[..., list[Check]]]] = {
    "C1": (("target", "parts", "comparison"), "14", _needs_the_student),
    "C2": (("drift",), "09", _judged(verdicts.harder)),
    "C3": (("drift",), "09", _judged(verdicts.adapts)),
    "C4": (("drift",), "04 to 09", _both_live),
    "C5": (("comparison",), "13", _listed(comparison.comparable_on_test)),
    "C6": (("comparison",), "14", _fastest),
    "C7": (("noisy", "comparison"), "14, 17", _most_robust),
    "C8": (("comparison",), "15", _listed(faithful.faithful_everywhere)),
    "C9": (("comparison",), "13", _listed(comparison.better_than_data_on_test)),
}
"""By claim: the studies that bear on it, the notebook that shows it, and the checks."""

ROWS = FIGURES + TABLES + tuple(
    Row(claim.id, claim.text.removesuffix("."), "", OF_CLAIMS[claim.id][1], OF_CLAIMS[claim.id][0],
        checks=OF_CLAIMS[claim.id][2], source="abstracts and README, in our words")
    for claim in CLAIMS
)  # fmt: skip
