"""Goes on with the search: the next run of a method follows from its recorded runs; methods run side by side."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic

from analysis.studies import records, run
from analysis.studies.processes import pool
from analysis.studies.records import CaseRecord, Entry, StudyRecord
from analysis.studies.study import Case
from analysis.studies.tuning.choice import DEFAULTS, best_finalist, finalists
from analysis.studies.tuning.plan import NAME, PLAN, Plan, Stage, begun, study
from analysis.studies.tuning.sampler import hopeless, propose
from analysis.studies.tuning.trials import scores, searched, spent
from analysis.studies.watch import Watch
from cudfkd import methods


@dataclass(frozen=True)
class Job:
    """A run of the search that is to be made.

    rivals: accuracies after each epoch, of the complete trials that a trial is pruned against; none at full length.
    """

    method: str
    stage: Stage
    case: Case
    seed: int
    plan: Plan
    rivals: tuple[tuple[float, ...], ...] = ()


Work = Callable[[Job], Entry]


def work(job: Job) -> Entry:
    """Makes a run of the search. Its memory is not recorded: the process has made other runs before."""
    prunes = partial(hopeless, job.rivals, plan=job.plan) if job.stage == "search" else _never
    watch = Watch(prunes)
    done = run.entry(study(StudyRecord(study={}, cases={}), job.plan), job.case, job.seed, watch=watch)
    return done.model_copy(update={"seconds": watch.seconds, "mb": None})


def following(record: StudyRecord, method: str, plan: Plan = PLAN) -> Job | None:
    """The next run of a method's search; None where the search is complete. It depends on the method's runs alone."""
    past = searched(record, method, plan)
    if len(past) < plan.trials:
        rivals = tuple(tuple(trial.accuracies) for trial in past if trial.complete)
        return Job(method, "search", propose(method, past, plan), plan.search_seed, plan, rivals)
    best = best_finalist(record, method, plan)
    if best is None:
        return _lacking(record, method, "finalists", finalists(record, method, plan), plan)
    return None if best == DEFAULTS else _lacking(record, method, "confirmation", [best, DEFAULTS], plan)


def tune(
    path: Path,
    names: Iterable[str] = (),
    *,
    processes: int = 0,
    minutes: float | None = None,
    plan: Plan = PLAN,
    work: Work = work,
) -> Iterator[str]:
    """Goes on with the search in the record at `path`; writes the record after each run, and yields a line about it.

    The method with the fewest runs has its turn. The trials depend neither on this order nor on `processes`.

    Arguments:
        path: the record, which may be absent.
        names: methods to go on with; none: all methods.
        processes: 0 runs in this process; k runs k methods at a time, each in a process of its own.
        minutes: no run is started that would end later, if it takes as long as the method's longest run at its stage.
        plan: the plan.
        work: makes a run.

    Raises:
        ConfigError: an unknown method.
        DataError: the record is damaged or of another search; data are missing.
    """
    chosen = list(names) or methods.names()
    for name in chosen:
        methods.get(name)
    searching = _Searching(begun(records.read(path) if path.exists() else None, plan), path, plan)
    end = None if minutes is None else monotonic() + 60 * minutes
    with _executor(processes) as executor:
        try:
            while searching.starts(executor, work, chosen, max(processes, 1), end):
                wait(searching.running, return_when=FIRST_COMPLETED)
                yield from searching.take()
        finally:
            searching.take()  # Ctrl-C loses no run that is finished


class _Searching:
    """The record of a search that goes on, and the runs that are on their way."""

    def __init__(self, record: StudyRecord, path: Path, plan: Plan) -> None:
        self.record, self.path, self.plan = record, path, plan
        self.running: dict[Future[Entry], Job] = {}

    def starts(self, executor: Executor, work: Work, names: list[str], places: int, end: float | None) -> bool:
        """Starts runs while places are free, and returns whether runs are on their way."""
        waiting = sorted(set(names) - {job.method for job in self.running.values()}, key=self._turn)
        for method in waiting:
            if len(self.running) == places:
                break
            job = following(self.record, method, self.plan)
            if job and (end is None or monotonic() + _longest(self.record, job) < end):
                self.running[executor.submit(work, job)] = job
        return bool(self.running)

    def take(self) -> list[str]:
        """Records the runs that are finished, and returns a line about each. Raises the error of a run that failed."""
        finished = {future: job for future, job in self.running.items() if future.done()}
        lines = []
        for future, job in finished.items():
            if future.cancelled() or future.exception():
                continue
            entry = future.result()
            self.record = _sorted(self.record.with_run(job.case, job.seed, entry))
            records.write(self.path, self.record)
            lines.append(f"{NAME}, {job.case.label}, seed {job.seed}: {_result(entry)}")
            del self.running[future]
        for future in finished:
            if future in self.running and not future.cancelled():
                future.result()
        return lines

    def _turn(self, method: str) -> tuple[int, str]:
        """The place of a method in the queue: the method with the fewest runs comes first."""
        return sum(case.at["method"] == method for case, _, _ in self.record.runs()), method


class _Here(Executor):
    """Makes each run at once, in this process."""

    def submit(self, fn, /, *args, **kwargs) -> Future:
        future: Future = Future()
        future.set_result(fn(*args, **kwargs))
        return future


def _executor(processes: int) -> AbstractContextManager[Executor]:
    return pool(processes) if processes else nullcontext(_Here())


def _lacking(record: StudyRecord, method: str, stage: Stage, numbers: list[int], plan: Plan) -> Job | None:
    """The first run at full length that the record lacks, seed by seed."""
    trials, done = searched(record, method, plan), scores(record, method, stage, plan)
    for seed in plan.seeds[stage]:
        for number in numbers:
            if seed not in done.get(number, {}):
                case = plan.case(method, number, "full", trials[number].settings)
                return Job(method, stage, case, seed, plan)
    return None


def _longest(record: StudyRecord, job: Job) -> float:
    """Seconds of the method's longest run at the job's stage.

    Before the first run at full length, it is the longest trial, times the ratio of the lengths.
    """
    full, short = job.plan.full_epochs, job.plan.epochs
    stages: dict[Stage, float] = {"confirmation": 1, "finalists": 1, "search": full / short}
    if job.stage == "search":
        stages = {"search": 1}
    for stage, ratio in stages.items():
        if runs := spent(record, job.method, stage, job.plan):
            return ratio * max(entry.seconds or 0.0 for entry in runs)
    return 0.0


def _sorted(record: StudyRecord) -> StudyRecord:
    """The record by method, length and trial, whatever the order of its runs."""

    def place(item: tuple[str, CaseRecord]) -> tuple[str, bool, int]:
        at = item[1].at
        return str(at["method"]), at["stage"] == "full", int(at["trial"])

    return StudyRecord(study=record.study, cases=dict(sorted(record.cases.items(), key=place)))


def _result(entry: Entry) -> str:
    if entry.stopped:
        return entry.stopped
    if entry.pruned:
        return f"pruned after epoch {entry.pruned}, at accuracy {entry.numbers['accuracies'][-1]:.4f}"
    return f"accuracy {entry.numbers['accuracy']:.4f}"


def _never(accuracies: list[float]) -> bool:  # noqa: ARG001
    return False
