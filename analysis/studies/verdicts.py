"""What recorded live runs say about the paper's claims C2 to C4: effects over seeds with intervals, each controlled.

All of it is statistical: a check that fails is a result. (The exact checks of live runs: `analysis.live.accounts`.)
"""

import numpy as np
import pandas as pd
from jaxtyping import Float

from analysis.checks import Check, check
from analysis.checks.statistics import mean_over_seeds
from analysis.live.accounts import Account
from analysis.studies import study as studies
from cudfkd.evaluation import Estimate

MARGIN = 0.05  # of accuracy; fixed before the runs were made
MOVING, BLIND, STILL, DEAD = "default", "no adversary", "frozen, eval mode", "lambda too small"


def harder(found: pd.DataFrame) -> Check:
    """C2: for the student of their time, the samples of the last quarter are harder than those of the first.

    The control: a generator that is held, where the student only learns.
    """
    late, held = (_change(found, variant) for variant in (MOVING, STILL))
    return check("samples get harder", "mean loss of the last quarter > of the first, 95 % interval over seeds", "live",
                 [-late.low], (f"generator held ({STILL})", [-held.low]), tolerance=0.0, exact=False,
                 claims=("C2",))  # fmt: skip


def adapts(found: pd.DataFrame) -> Check:
    """C3: seeing the student makes the generator's turns raise Phi by more, at the same student. Paired by seed.

    The control: runs that do not see it against such runs with other seeds.
    """
    effect = studies.difference(found, "generator", MOVING, BLIND)
    none = studies.null(found, "generator", BLIND)
    return check("the generator aims at the student", "sum Gamma with the adversarial term > without, 95 % interval",
                 "live", [-effect.low], (f"{BLIND} against itself, other seeds", [-none.low]), tolerance=0.0,
                 exact=False, claims=("C3",))  # fmt: skip


def learns(found: pd.DataFrame) -> Check:
    """C4: over a run the student's own steps lower Phi (T7 asks it of the mean only). The control: the generator's."""
    parts = {name: studies.by_variant(found, name)[MOVING] for name in ("student", "generator")}
    return check("the student's steps lower Phi", "sum of the student's parts < 0, 95 % interval over seeds", "live",
                 [parts["student"].high], ("the generator's turns", [parts["generator"].high]), tolerance=0.0,
                 exact=False)  # fmt: skip


def settles(found: pd.DataFrame) -> Check:
    """C4, what convergence with a moving generator would need: it lifts Phi by less than the student lowers it.

    The control: a dead curriculum, where the student stands still and a growing lambda lifts Phi (T5). (The strong
    adversary is none: with its learning rate falling to 0, as the student's does, Phi falls there too.)
    """
    usual, dead = (_net(found, variant) for variant in (MOVING, DEAD))
    return check("Phi falls over the run", "student + lambda + generator < 0, 95 % interval over seeds", "live",
                 [usual.high], (f"a dead curriculum ({DEAD})", [dead.high]), tolerance=0.0, exact=False)  # fmt: skip


def paces(found: pd.DataFrame, regularizer: str) -> tuple[dict[str, pd.DataFrame], dict[str, pd.Series]]:
    """By loss: a table over the fixed lambda, and the same row of the moving quantile, of one regularizer.

    Columns: accuracy with low and high (95 %, over seeds), dead (share of dead steps).
    """
    rows = {str(name): _pace_row(group) for name, group in found.groupby("variant", sort=False)}
    fixed, following = {}, {}
    for loss in studies.LOSSES:
        own = {lam: rows[f"{regularizer}, {loss}, {lam:g}"] for lam in studies.FIXED}
        fixed[loss] = pd.DataFrame.from_dict(own, orient="index")
        following[loss] = pd.Series(rows[f"{regularizer}, {loss}, quantile"])
    return fixed, following


def one_setting(found: pd.DataFrame, regularizer: str, margin: float = MARGIN) -> Check:
    """The remedy: one setting of the moving quantile is not worse by `margin` than the best fixed lambda of each loss.

    The best is taken after the fact, by its mean over the same seeds, which favours the fixed pace. The violation is
    how far the lower end of the paired difference's interval lies below -margin. The control: the smallest lambda.
    """
    means = {name: one.value for name, one in studies.by_variant(found, "accuracy").items()}
    behind, wrong = [], []
    for loss in studies.LOSSES:
        best = max((f"{regularizer}, {loss}, {lam:g}" for lam in studies.FIXED), key=lambda name: means[name])
        for pace, into in (("quantile", behind), (f"{studies.FIXED[0]:g}", wrong)):
            effect = studies.difference(found, "accuracy", f"{regularizer}, {loss}, {pace}", best)
            into.append(-margin - effect.low)
    told = f"moving quantile > best fixed lambda - {100 * margin:g} points of accuracy, for each loss"
    return check(f"one setting for all losses, {regularizer}", told, "live", behind,
                 (f"lambda = {studies.FIXED[0]:g} on schedule", wrong), tolerance=0.0, exact=False,
                 claims=())  # fmt: skip


def maps(found: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """By regularizer: share of dead steps, mean over seeds, lambda at the start (rows) by its growth (columns)."""
    parts = found["variant"].str.split(", ", expand=True)
    table = found.assign(regularizer=parts[0], start=parts[1].astype(float), growth=parts[2].astype(float))
    return {
        name: table[table["regularizer"] == name].pivot_table("dead_steps", "start", "growth")
        for name in studies.REGULARIZERS
    }


def conclude(found: Account) -> str:
    """What one account allows to say about convergence, in a sentence."""
    total, dead = found.total("steps"), float(np.mean(found.samples["dead"].to_numpy(dtype=np.float64)))
    student, given = total["student"], total["generator"] + total["lambda"]
    generator = found.steps["generator"].to_numpy(dtype=np.float64)
    if dead > 0.5:
        return f"dead: {100 * dead:.0f} % of the samples weigh nothing, the student stands still, nothing can converge"
    if not generator[len(generator) // 2 :].any():
        return (
            "samples fixed in the second half: there the theorems on fixed samples apply (T5 exactly, T7 in the mean)"
        )
    back = 100 * given / abs(student)
    return f"tracking only (T6): generator and lambda gave back {back:.0f} % of what the student took off"


def _change(found: pd.DataFrame, variant: str) -> Estimate:
    return mean_over_seeds(_column(found, variant, "loss_late") - _column(found, variant, "loss_early"))


def _net(found: pd.DataFrame, variant: str) -> Estimate:
    return mean_over_seeds(_column(found, variant, "end") - _column(found, variant, "start"))


def _column(found: pd.DataFrame, variant: str, name: str) -> Float[np.ndarray, " seeds"]:
    """A number of one variant, in the order of the seeds."""
    return found[found["variant"] == variant].set_index("seed").sort_index()[name].to_numpy(dtype=np.float64)


def _pace_row(group: pd.DataFrame) -> dict[str, float]:
    accuracy = mean_over_seeds(group["accuracy"].to_numpy(dtype=np.float64))
    dead = float(group["dead_steps"].to_numpy(dtype=np.float64).mean())
    return {"accuracy": accuracy.value, "low": accuracy.low, "high": accuracy.high, "dead": dead}
