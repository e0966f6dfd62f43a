"""Verdicts of recorded studies on the paper's claims C2 to C4: effects over seeds with intervals and controls.

All checks are statistical: a check that fails is a result. (The exact checks of live runs: `analysis.live.accounts`.)
Each function takes the runs of one study, as `analysis.studies.table.frame` has them.
"""

import numpy as np
import pandas as pd

from analysis.checks import Check, check
from analysis.checks.statistics import mean_over_seeds
from analysis.live.accounts import Account
from analysis.studies.table import means, null, paired
from cudfkd.evaluation import Estimate

MARGIN = 0.05  # of accuracy; fixed before the runs were made (catalog/pace.yaml)
MOVING, BLIND, STILL, DEAD = "default", "no adversary", "frozen, eval mode", "lambda too small"


def harder(drift: pd.DataFrame) -> Check:
    """C2: for the student of their time, the samples of the last quarter are harder than the samples of the first.

    The control: a generator that is held, where the student only learns.
    """
    late, held = (_difference(drift, variant, "loss_late", "loss_early") for variant in (MOVING, STILL))
    return check("samples get harder", "mean loss of the last quarter > of the first, 95 % interval over seeds", "live",
                 [-late.low], (f"generator held ({STILL})", [-held.low]), tolerance=0.0, exact=False,
                 claims=("C2",))  # fmt: skip


def adapts(drift: pd.DataFrame) -> Check:
    """C3: seeing the student makes the generator's turns raise Phi by more, at the same student. Paired by seed.

    The control: runs that do not see the student, against the same runs with other seeds.
    """
    effect = paired(drift, "generator", "variant", MOVING, BLIND)
    none = null(drift, "generator", "variant", BLIND)
    return check("the generator aims at the student", "sum Gamma with the adversarial term > without, 95 % interval",
                 "live", [-effect.low], (f"{BLIND} against itself, other seeds", [-none.low]), tolerance=0.0,
                 exact=False, claims=("C3",))  # fmt: skip


def learns(drift: pd.DataFrame) -> Check:
    """C4: over a run the student's own steps lower Phi (T7 says so of the mean only).

    The control: the generator's turns.
    """
    parts = {name: means(drift, name, "variant")[MOVING] for name in ("student", "generator")}
    return check("the student's steps lower Phi", "sum of the student's parts < 0, 95 % interval over seeds", "live",
                 [parts["student"].high], ("the generator's turns", [parts["generator"].high]), tolerance=0.0,
                 exact=False)  # fmt: skip


def settles(drift: pd.DataFrame) -> Check:
    """C4: the generator lifts Phi by less than the student lowers it, as convergence would need.

    The control: a dead curriculum, where the student stands still and a growing lambda lifts Phi (T5). (The strong
    adversary is no control: with its learning rate falling to 0, as the student's does, Phi falls there too.)
    """
    usual, dead = (_difference(drift, variant, "end", "start") for variant in (MOVING, DEAD))
    return check("Phi falls over the run", "student + lambda + generator < 0, 95 % interval over seeds", "live",
                 [usual.high], (f"a dead curriculum ({DEAD})", [dead.high]), tolerance=0.0, exact=False)  # fmt: skip


def better_than_batch(runs: pd.DataFrame) -> Check:
    """In recorded live runs a weight per sample agrees more with the teacher than a weight per batch, paired by seed.

    A failure would be a finding. The control: a weight per batch against itself, other seeds.
    """
    control = "batch against itself, other seeds", null(runs, "agreement", "granularity", "batch")
    return _better(runs, "a weight per sample is better live", control)


def leaves_out(pool: pd.DataFrame) -> Check:
    """On a corrupted pool weights per sample agree more with the true teacher than one per batch, paired by seed.

    pool: the table of `analysis.theory.batch_weight.corrupted_table`. The control: a weight per batch against none.
    """
    control = "batch against none", paired(pool, "agreement", "granularity", "batch", "none")
    return _better(pool, "a weight per sample leaves bad samples out", control)


def _better(runs: pd.DataFrame, name: str, control: tuple[str, Estimate]) -> Check:
    effect = paired(runs, "agreement", "granularity", "sample", "batch")
    against, none = control
    return check(name, "agreement per sample > per batch, 95 % interval of the paired difference", "live",
                 [-effect.low], (against, [-none.low]), tolerance=0.0, exact=False, claims=())  # fmt: skip


def paces(pace: pd.DataFrame, regularizer: str) -> tuple[dict[str, pd.DataFrame], dict[str, pd.Series]]:
    """By loss: a table over the fixed lambda, and the same row of the moving quantile, of one regularizer.

    Columns: accuracy with low and high (95 %, over seeds), dead (share of dead steps).
    """
    fixed, following = {}, {}
    for loss, runs in _of(_of(pace, "regularizer")[regularizer], "loss").items():
        rows = {place: _pace_row(pd.DataFrame(group)) for place, group in runs.groupby("lambda", sort=False)}
        following[loss] = pd.Series(rows.pop("quantile"))
        fixed[loss] = pd.DataFrame.from_dict(rows, orient="index")
    return fixed, following


def one_setting(pace: pd.DataFrame, regularizer: str, margin: float = MARGIN) -> Check:
    """One setting of the moving quantile is not worse by `margin` than the best fixed lambda of each loss: the remedy.

    The best is taken after the fact, by its mean over the same seeds, which favours the fixed pace. The violation is
    how far the lower end of the paired difference's interval lies below -margin. The control: the smallest lambda.
    """
    behind, wrong = [], []
    for runs in _of(_of(pace, "regularizer")[regularizer], "loss").values():
        accuracy = {place: estimate.value for place, estimate in means(runs, "accuracy", "lambda").items()}
        fixed = [place for place in accuracy if place != "quantile"]
        best = max(fixed, key=lambda place: accuracy[place])
        for place, violations in (("quantile", behind), (min(fixed), wrong)):
            violations.append(-margin - paired(runs, "accuracy", "lambda", place, best).low)
    statement = f"moving quantile > best fixed lambda - {100 * margin:g} points of accuracy, for each loss"
    smallest = min(place for place in pace["lambda"] if place != "quantile")
    return check(f"one setting for all losses, {regularizer}", statement, "live", behind,
                 (f"lambda = {smallest:g} on schedule", wrong), tolerance=0.0, exact=False, claims=())  # fmt: skip


def maps(runs: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """By regularizer: share of dead steps, mean over seeds, lambda at the start (rows) by its growth (columns)."""
    groups = _of(runs, "regularizer")
    return {name: group.pivot_table("dead_steps", "start", "growth") for name, group in groups.items()}


def conclude(account: Account) -> str:
    """A sentence about convergence, as far as the account of a single run allows it."""
    total, dead = account.total("steps"), float(np.mean(account.samples["dead"].to_numpy(dtype=np.float64)))
    student, given = total["student"], total["generator"] + total["lambda"]
    generator = account.steps["generator"].to_numpy(dtype=np.float64)
    if dead > 0.5:
        return f"dead: {100 * dead:.0f} % of the samples weigh nothing, the student stands still, nothing can converge"
    if not generator[len(generator) // 2 :].any():
        return (
            "samples fixed in the second half: there the theorems on fixed samples apply (T5 exactly, T7 in the mean)"
        )
    back = 100 * given / abs(student)
    return f"tracking only (T6): generator and lambda gave back {back:.0f} % of what the student took off"


def _of(runs: pd.DataFrame, axis: str) -> dict[str, pd.DataFrame]:
    """The runs by their place on an axis."""
    return {str(place): pd.DataFrame(group) for place, group in runs.groupby(axis, sort=False)}


def _difference(runs: pd.DataFrame, variant: str, late: str, early: str) -> Estimate:
    rows = runs[runs["variant"] == variant].set_index("seed").sort_index()
    return mean_over_seeds((rows[late] - rows[early]).to_numpy(dtype=np.float64))


def _pace_row(group: pd.DataFrame) -> dict[str, float]:
    accuracy = mean_over_seeds(group["accuracy"].to_numpy(dtype=np.float64))
    dead = float(group["dead_steps"].to_numpy(dtype=np.float64).mean())
    return {"accuracy": accuracy.value, "low": accuracy.low, "high": accuracy.high, "dead": dead}
