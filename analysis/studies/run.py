"""Runs of a study: a case with a seed, or all runs that a record lacks, in this process or in several processes."""

import base64
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import as_completed
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from analysis.live.accounts import Account, account
from analysis.live.classes import Classes
from analysis.live.interventions import Held
from analysis.live.probe import Probe
from analysis.studies import curves, records
from analysis.studies.grid import architecture_in, place
from analysis.studies.processes import pool
from analysis.studies.readers import NEED_GRADIENTS, READERS, Outcome, Reader
from analysis.studies.records import CaseRecord, Entry, StudyRecord
from analysis.studies.study import Case, Study
from analysis.studies.watch import Pruned, Watch
from cudfkd.base import machine
from cudfkd.base.errors import ConfigError, TrainingError, unknown
from cudfkd.base.files import read_json
from cudfkd.callbacks import Batch, Callback
from cudfkd.config import Experiment
from cudfkd.data.images import to_bytes
from cudfkd.engine import experiments
from cudfkd.engine.run import Run, load_run
from cudfkd.evaluation import Evaluation, evaluate
from cudfkd.runs.context import Context
from cudfkd.runs.records import SUMMARY

IMAGES = 10  # of the student's last batch
CURVE = ("epoch", "seconds", *curves.CLOCKS, *Evaluation._fields)


def perform(case: Case, *callbacks: Callback, gradient: bool = False, data_root: Path | None = None) -> Outcome:
    """Runs a case, evaluating on dev. The callbacks come before the probe; `gradient` as in `Probe`."""
    held = [] if case.held == "no" else [Held(case.held_after, case.held)]
    probes = [Probe(case.probe, case.latents, gradient=gradient)] if case.probe else []
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the curriculum is dead")  # some cases are there to show it
        run = experiments.run(case.experiment, callbacks=[*held, *callbacks, *probes], data_root=data_root)
    return Outcome(case, run, account(probes[0]) if probes else None, data_root=data_root)


def entry(study: Study, case: Case, seed: int, data_root: Path | None = None, watch: Watch | None = None) -> Entry:
    """Runs a case with a seed, and returns the entry that the study keeps of the run.

    A run that stops itself is a result: its entry says so and has no score. The same holds for a run that the watch
    ends. Such an entry has the numbers of the watch.
    """
    seeded, last, classes = case.with_seed(seed), _LastBatch(), Classes()
    made = _made(seeded.experiment)
    watching: list[Callback] = [classes, watch] if watch else [classes]
    watching += [last] if study.keep == "images" and seed == study.seeds[0] else []
    try:
        outcome = perform(seeded, *watching, gradient=bool(NEED_GRADIENTS & set(study.reads)), data_root=data_root)
    except Pruned as ended:
        return Entry(made=made, pruned=ended.epoch, **_seen(watch))
    except TrainingError as error:
        return Entry(made=made, stopped=str(error), **_seen(watch))
    further = classes.numbers() | (_accounted(outcome.account) if outcome.account else {})
    outcome = replace(outcome, split="test" if study.reads_test else "dev")
    for name in study.reads:
        further |= _reader(name)(outcome)
    test = _test_scores(outcome.run, seeded.experiment, data_root) if study.reads_test else None
    kept = of_run(outcome.run, made, further | (watch.numbers if watch else {}), test)
    return kept.model_copy(update=_less(kept, study.keep) | {"images": last.plain})


def of_run(run: Run, made: dict[str, Any], further: dict[str, Any] | None = None, test: Any = None) -> Entry:
    """A finished run as an entry with rows.

    Arguments:
        made: the stamp of the run.
        further: numbers besides the run's own.
        test: scores on the test images with their intervals, where they were read.
    """
    on_test = {f"test_{name}": score["value"] for name, score in (test or {}).items()}
    return Entry(
        made=made,
        seconds=round(run.summary["total_seconds"], 1),
        mb=round(float(run.rows[-1]["peak_memory_mb"] or 0), 0),
        numbers=numbers(run.rows, run.summary) | on_test | (further or {}),
        summary=run.summary | ({"test": test} if test else {}),
        rows=[rounded(row) for row in run.rows],
    )


def of_runs(study: Study, runs: Mapping[str, Run]) -> StudyRecord:
    """Finished runs of a study's first seed, by the labels of their cases, as its record."""
    record = records.begun(study)
    for label, run in runs.items():
        case = study.case(label)
        record = record.with_run(case, study.seeds[0], of_run(run, _made(case.experiment)))
    return record


def fill(
    study: Study,
    path: Path,
    *,
    processes: int = 0,
    labels: Iterable[str] = (),
    seeds: Iterable[int] = (),
    data_root: Path | None = None,
) -> Iterator[str]:
    """Runs everything that the record at `path` lacks; writes the record after each run, and yields a line about it.

    Arguments:
        processes: 0 runs in this process; k runs k at a time, each run in a process of its own, whose peak memory then
            is the run's.
        labels: only these cases; none: all.
        seeds: only these seeds; none: all.
        data_root: folder with data sets that do not ship.

    Raises:
        ConfigError: an unknown label, seed or reader. DataError: as `records.read`.
    """
    chosen = {study.case(label).key for label in labels} or {case.key for case in study.cases}
    for seed in seeds:
        if seed not in study.seeds:
            raise ConfigError(unknown(f"seed of {study.name}", str(seed), map(str, study.seeds)))
    wanted = set(seeds) or set(study.seeds)
    for name in study.reads:
        _reader(name)  # before the first run, which would be lost
    record = records.begun(study, path)
    todo = [(case, seed) for case, seed in records.lacking(study, record) if case.key in chosen and seed in wanted]
    work = partial(entry, study, data_root=data_root)
    for case, seed, done in _in_processes(work, todo, processes) if processes else _here(work, todo):
        record = record.with_run(case, seed, done)
        records.write(path, record)
        result = done.stopped or f"accuracy {done.numbers['accuracy']:.4f}"
        yield f"{study.name}, {case.label}, seed {seed}: {result}"


def of_folder(folder: Path) -> StudyRecord:
    """A finished run's folder as a record of one run, for the jobs of a grid.

    Raises:
        DataError: the folder holds no finished run of our networks.
    """
    names, run, made = experiments.names(folder), load_run(folder), read_json(folder / SUMMARY).get("made", {})
    experiment = read_json(folder / experiments.FILE)
    seed = experiment["distill"]["seed"]
    experiment["distill"]["seed"] = 0
    plain = {"experiment": experiment} | {
        name: Case.model_fields[name].default for name in ("held", "held_after", "probe", "latents")
    }
    at = place(names["data"], architecture_in(names), experiment["student"], experiment["distill"]["method"])
    case = CaseRecord(at=at, case=plain, runs={seed: of_run(run, made)})
    return StudyRecord(study={"name": "grid", "key": "", "purpose": {}}, cases={records.digest(plain): case})


def numbers(rows: list[dict[str, Any]], summary: dict[str, Any]) -> dict[str, Any]:
    """Numbers of a run from its metrics and its summary."""
    return {
        **{name: summary[name]["value"] for name in ("accuracy", "agreement", "loyalty", "loyalty_published")},
        "accuracies": [row["accuracy"] for row in rows],
        "dead_steps": sum(float(row["dead_steps"] or 0) for row in rows) / len(rows),
        "mean_weight": sum(float(row["mean_weight"] or 0) for row in rows) / len(rows),
        "loss_first": rows[0]["loss_q50"],
        "loss_last": rows[-1]["loss_q50"],
        "lam_last": rows[-1]["lam"],
    }


def rounded(row: dict[str, Any]) -> dict[str, Any]:
    """A row of metrics as records keep it: numbers to six digits."""
    return {name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in row.items()}


def _accounted(of_run: Account) -> dict[str, Any]:
    steps, drift, samples = of_run.steps, of_run.drift, of_run.samples
    turns, quarter = steps["generator"][steps["generator"] != 0], max(1, len(samples) // 4)
    return {
        "start": float(steps["start"].to_numpy()[0]),
        "end": float(steps["end"].to_numpy()[-1]),
        **of_run.total("steps"),
        "relative": of_run.worst(),
        "student_descends": _average(steps["student"] < 0),
        "generator_rises": _average(turns > 0),
        "rounds_rise": _average(of_run.blocks["end"] > of_run.blocks["start"]),
        "drift": _average(drift["gamma"].abs()),
        "coupled": _average(drift["coupled"]),
        "plain": _average(drift["plain"]),
        "blocks_student": float(of_run.blocks["student"].to_numpy().sum()),
        "blocks_student_last": float(of_run.blocks["student last"].to_numpy().sum()),
        "ess": _average(samples["ess"]),
        "kl": _average(samples["kl"]),
        "loss_early": _average(samples["loss"][:quarter]),
        "loss_late": _average(samples["loss"][-quarter:]),
    }


def _seen(watch: Watch | None) -> dict[str, Any]:
    """The numbers of a watch, as fields of the entry of a run without a score."""
    return {"numbers": watch.numbers, "seconds": watch.seconds} if watch else {}


def _average(values: Any) -> float | None:
    """The mean; None where there is nothing to average: a dead curriculum has no effective share of samples."""
    array = np.asarray(values, dtype=np.float64)
    return float(array.mean()) if array.size and np.isfinite(array).all() else None


def _less(kept: Entry, keep: str) -> dict[str, Any]:
    """The fields that a study does not keep whole, as it keeps them."""
    if keep == "numbers":
        return {"summary": None, "rows": None}
    if keep == "curves":
        return {"rows": [{name: row[name] for name in CURVE} for row in kept.rows or []]}
    return {}


def _reader(name: str) -> Reader:
    if name not in READERS:
        raise ConfigError(unknown("reader", name, READERS))
    return READERS[name]


def _made(experiment: Experiment) -> dict[str, Any]:
    return {**machine.made(experiment.distill.device), "teacher": experiment.teacher_card()["sha256"][:16]}


def _test_scores(run: Run, experiment: Experiment, data_root: Path | None) -> dict[str, dict[str, Any]]:
    teacher, _, config = experiments.build(experiment)
    scores = evaluate(run.student, teacher, experiment.images("test", data_root), config.mean, config.std)
    return {name: estimate._asdict() for name, estimate in scores._asdict().items()}


def _here(work: Callable[[Case, int], Entry], todo: list[tuple[Case, int]]) -> Iterator[tuple[Case, int, Entry]]:
    for case, seed in todo:
        yield case, seed, work(case, seed)


def _in_processes(
    work: Callable[[Case, int], Entry], todo: list[tuple[Case, int]], processes: int
) -> Iterator[tuple[Case, int, Entry]]:
    """Runs in fresh processes, `processes` at a time. A process makes one run, whose peak memory then is the run's."""
    with pool(processes, tasks=1) as executor:
        jobs = {executor.submit(work, case, seed): (case, seed) for case, seed in todo}
        for job in as_completed(jobs):
            yield *jobs[job], job.result()


class _LastBatch(Callback):
    """Keeps images of the batch that the student studied last."""

    plain: dict[str, Any] | None = None

    def after_student_step(self, ctx: Context, batch: Batch) -> None:
        if ctx.step == ctx.config.total_steps - 1:
            shown = to_bytes(batch.images[:IMAGES]).cpu().numpy()
            self.plain = {"shape": list(shown.shape), "bytes": base64.b64encode(shown.tobytes()).decode()}
