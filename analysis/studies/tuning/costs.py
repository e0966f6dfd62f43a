"""The effort of the search: the core-hours of its runs, and the best accuracy so far by the steps that were spent."""

import pandas as pd

from analysis.studies.records import StudyRecord
from analysis.studies.tuning.plan import PLAN, Plan
from analysis.studies.tuning.trials import searched
from cudfkd import methods


def core_hours(record: StudyRecord) -> float:
    """Hours of all recorded runs of the search, each times the threads of its run."""
    return sum((run.seconds or 0.0) * run.made.get("threads", 1) for _, _, run in record.runs()) / 3600


def effort(record: StudyRecord, plan: Plan = PLAN) -> pd.DataFrame:
    """A row a trial of the search, in order.

    method: the method.
    trial: number of the trial.
    student_steps: student steps of the method's search up to the end of this trial; a trial that was pruned, or that
        stopped itself, counts with the steps that it took.
    accuracy: accuracy on dev of the trial's last student, a fraction; NaN where the trial was pruned or stopped itself.
    best: highest such accuracy so far; NaN before the first.
    outcome: "complete", "pruned" or "stopped".
    """
    rows = [
        {
            "method": method,
            "trial": trial.number,
            "student_steps": trial.entry.numbers.get("student_steps", 0),
            "accuracy": trial.entry.numbers.get("accuracy"),
            "outcome": "complete" if trial.complete else "stopped" if trial.entry.stopped else "pruned",
        }
        for method in methods.names() for trial in searched(record, method, plan)
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["method", "trial", "student_steps", "accuracy", "outcome"])
    table = table.astype({"student_steps": int, "accuracy": float})
    of_method = table.groupby("method")
    table["student_steps"], table["best"] = of_method["student_steps"].cumsum(), of_method["accuracy"].cummax()
    table["best"] = table.groupby("method")["best"].ffill()
    return table
